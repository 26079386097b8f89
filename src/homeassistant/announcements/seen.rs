//! What a meter was seen to measure, each with a value that decides how it is shown.
//!
//! Not here: how it is shown (`class`).

use std::collections::BTreeSet;

use super::super::class;
use super::meter::{MISSES, Meter, State, is_own};
use crate::mbus::application::quantity::{Known, Quantity};
use crate::measure::{Measured, Measurement};

impl Meter {
    /// Keeps what is measured, and counts what is missing.
    pub(super) fn see(&mut self, measurements: &[Measurement], unnamed: usize) {
        self.stale |= unnamed > self.unnamed;
        self.unnamed = self.unnamed.max(unnamed);
        self.is_read = true;
        let there: BTreeSet<&str> = measurements.iter().map(|measurement| measurement.key.as_str()).collect();
        let announced = match &self.state {
            State::Announced { components, .. } => Some(components.keys()),
            State::New { .. } => None,
        };
        let known = self.seen.iter().map(|seen| &seen.key).chain(announced.into_iter().flatten());
        for key in known.filter(|key| !there.contains(key.as_str()) && !is_own(key)) {
            if !self.missed.contains_key(key) {
                self.missed.insert(key.clone(), 0);
            }
        }
        self.missed.retain(|key, _| !there.contains(key.as_str()));
        for missed in self.missed.values_mut() {
            *missed = missed.saturating_add(1);
            self.stale |= *missed == MISSES;
        }
        self.seen.retain(|seen| self.missed.get(&seen.key).is_none_or(|&missed| missed < MISSES));
        for measurement in measurements {
            self.stale |= see_one(&mut self.seen, measurement);
        }
    }
}

/// Takes a measurement into what was seen. What decides how it is shown must not go to and fro with
/// its value: a valid one says more than an invalid one, a negative one more than a positive one,
/// fine steps more than coarse ones. Whether anything is new.
fn see_one(seen: &mut Vec<Measurement>, measurement: &Measurement) -> bool {
    let Some(before) = seen.iter_mut().find(|before| before.key == measurement.key) else {
        seen.push(measurement.clone());
        return true;
    };
    let keeps = matches!(measurement.value, Measured::Invalid | Measured::Held { .. })
        || is_negative(&before.value)
        || is_shown_alike(&before.value, &measurement.value) && !is_of_the_device(measurement.quantity);
    let value = if keeps { before.value.clone() } else { measurement.value.clone() };
    let now = Measurement { value, digits: before.digits.max(measurement.digits), ..measurement.clone() };
    let is_new = *before != now;
    *before = now;
    is_new
}

/// What stands on the device's page.
fn is_of_the_device(quantity: Quantity) -> bool {
    use Known::{FirmwareVersion, HardwareVersion, Manufacturer, Model, SoftwareVersion};
    matches!(quantity, Quantity::Known(Manufacturer | Model | FirmwareVersion | SoftwareVersion | HardwareVersion))
}

fn is_negative(value: &Measured) -> bool {
    matches!(value, Measured::Number(number) if number.mantissa() < 0)
}

fn is_shown_alike(one: &Measured, other: &Measured) -> bool {
    match (one, other) {
        (Measured::Number(_), Measured::Number(_)) => is_negative(one) == is_negative(other),
        (Measured::Text(one), Measured::Text(other)) => class::class_of_time(one) == class::class_of_time(other),
        _ => one == other,
    }
}
