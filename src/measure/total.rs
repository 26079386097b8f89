//! Which measurements only ever grow, and what to do when one of them does what it cannot.
//!
//! A subscriber takes any drop of a total for a new meter and books the whole value again, and what a
//! spike adds stays in its statistics for good. So a total that falls, or rises out of all proportion,
//! is read again at once. A fall to a tenth or more that is there again is published. A deeper one and
//! an improbable rise are held, and published once a readout a minute later says the same: a meter
//! whose supply returned may send zeros for some seconds.
//!
//! Not here: asking the meter again (`mqtt`, the bus), the events (`mqtt`).

mod rises;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use rises::Rises;

use crate::mbus::application::quantity::{Function, Quantity, Unit};
use crate::mbus::decimal::Decimal;
use crate::measure::quantities::{Sort, row};
use crate::measure::{Measured, Measurement, Reading};
use rises::Sample;

/// After so long the same value again is believed.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(60);
/// A rise of so many steps of the last digit is never improbable.
const STEPS_ALLOWED: i128 = 1000;

/// Whether this measurement only ever grows: a counted quantity as it is now, whole or of a part, or
/// what a rule says is one.
#[must_use]
pub fn is_total(measurement: &Measurement) -> bool {
    if let Some(said) = &measurement.presentation.state_class {
        return said == "total_increasing";
    }
    let is_counter = |known| row(known).sort == Sort::Counter;
    let counted = matches!(measurement.quantity, Quantity::Known(known) if is_counter(known));
    counted
        && measurement.function == Function::Instantaneous
        && measurement.storage_number == 0
        && measurement.modifiers.iter().all(|modifier| modifier.is_part())
}

/// What is known of one total.
#[derive(Clone, Debug, Default)]
struct Total {
    /// The last believed value.
    last: Option<Sample>,
    /// That is from the store: when it was read is as uncertain as the wall clock.
    is_restored: bool,
    rises: Rises,
    held: Option<Held>,
}

/// A value that cannot be, read twice.
#[derive(Clone, Copy, Debug)]
struct Held {
    sample: Sample,
    /// When it was held first, or one that it may have risen from.
    since: Instant,
    /// Both readings agreed.
    is_stable: bool,
}

/// What a value looks like beside what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Good,
    /// A fall to a tenth or more.
    Fell,
    /// A deeper fall, or an improbable rise.
    Absurd,
    /// What is held, but not for long enough.
    Waits,
    /// What was held for long enough.
    Confirmed,
}

impl Total {
    /// What it grows from; a counter begins at zero.
    fn from(&self, now: Sample) -> Option<Sample> {
        self.last.or_else(|| (now.number < Decimal::ZERO).then_some(Sample { number: Decimal::ZERO, ..now }))
    }

    /// `digits`: places after the point that the meter counts.
    fn look(&self, now: Sample, digits: i8) -> Look {
        let Some(from) = self.from(now) else { return Look::Good };
        if now.number < from.number {
            // one that counts below zero may well go down
            let is_deep = from.number >= Decimal::ZERO && now.number.shift(1).is_none_or(|ten| ten < from.number);
            return if is_deep { Look::Absurd } else { Look::Fell };
        }
        if self.is_plausible(from, now, digits) { Look::Good } else { Look::Absurd }
    }

    /// Whether it says the same, or a plausible rise from it.
    fn is_plausible(&self, from: Sample, now: Sample, digits: i8) -> bool {
        let few = Decimal::new(STEPS_ALLOWED, digits.saturating_neg());
        from.rise_to(now).is_some_and(|(rise, within_ms)| rise <= few || self.rises.allow(rise, within_ms))
    }

    /// The same with regard to a value that is held; `is_stable`: two readings in a row agreed on this one.
    ///
    /// Of a meter that now really counts much faster no two values are plausible beside each other; it is
    /// enough that they rise, and that each is stable.
    fn look_again(&self, now: Sample, digits: i8, is_stable: bool) -> Look {
        match (self.look(now, digits), self.held) {
            (Look::Good, _) => Look::Good,
            (_, Some(held)) if self.confirms(&held, now, digits, is_stable) => {
                if now.at.saturating_duration_since(held.since) < CONFIRM_AFTER { Look::Waits } else { Look::Confirmed }
            }
            (look, _) => look,
        }
    }

    fn confirms(&self, held: &Held, now: Sample, digits: i8, is_stable: bool) -> bool {
        let rises = is_stable && held.is_stable && held.sample.number <= now.number;
        rises || self.is_plausible(held.sample, now, digits)
    }

    fn hold(&mut self, sample: Sample, digits: i8, is_stable: bool) {
        let goes_on = self.held.filter(|held| self.confirms(held, sample, digits, is_stable));
        let since = goes_on.map_or(sample.at, |held| held.since);
        self.held = Some(Held { sample, since, is_stable: is_stable || goes_on.is_some_and(|held| held.is_stable) });
    }

    /// Whether it was a rise worth remembering.
    fn believe(&mut self, now: Sample, is_watched: bool) -> bool {
        let learnt = self.last.filter(|_| is_watched && !self.is_restored).and_then(|last| last.rise_to(now));
        let before = self.rises;
        if let Some((rise, within_ms)) = learnt.filter(|(rise, _)| *rise > Decimal::ZERO) {
            self.rises.learn(rise, within_ms);
        }
        (self.last, self.is_restored, self.held) = (Some(now), false, None);
        self.rises != before
    }
}

/// What a total did that it should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jump {
    /// What it was.
    pub what: What,
    /// Key of the total.
    pub key: String,
    /// Its last believed value.
    pub from: Decimal,
    /// What a reading said.
    pub to: Decimal,
    /// Unit of both.
    pub unit: Unit,
}

/// What a jump was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It fell, said more than once: published.
    Fell,
    /// It rose out of all proportion, said more than once: published.
    Leapt,
    /// It was gone when read again: never published.
    Fault,
}

/// What to do with a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Keep it unpublished, read the meter again at once and judge that reading with this one as `first`.
    ReadAgain,
    /// Publish it.
    Publish {
        /// What is to be said of its totals.
        jumps: Vec<Jump>,
        /// Some are held now that no reading has been planned for: read once more after [`CONFIRM_AFTER`].
        confirm: bool,
    },
}

/// Every number of one meter that was published, by key.
#[derive(Debug, Default)]
pub struct Totals(BTreeMap<String, Total>);

impl Totals {
    /// Takes over what was published before a restart, as far as nothing is known of it.
    pub fn restore(&mut self, key: String, number: Decimal, at: Instant) {
        let total = self.0.entry(key).or_default();
        if total.last.is_none() {
            (total.last, total.is_restored) = (Some(Sample { number, at }), true);
        }
    }

    /// Takes over what rises were before a restart.
    pub fn restore_rises(&mut self, key: String, rises: Rises) {
        self.0.entry(key).or_default().rises = rises;
    }

    /// Knows nothing any more; the keys that it knew.
    pub fn forget(&mut self) -> impl Iterator<Item = String> + use<> {
        std::mem::take(&mut self.0).into_keys()
    }

    /// Judges the reading `now`, and takes values out of it that must wait; `first` is the unpublished
    /// reading after which the meter was read again.
    pub fn judge(&mut self, first: Option<&Reading>, now: &mut Reading, at: Instant) -> Verdict {
        let unknown = Total::default();
        let look = |measurement: &Measurement| {
            let now = Sample { number: watched(measurement)?, at };
            let total = self.0.get(&measurement.key).unwrap_or(&unknown);
            let (digits, before) = (digits(measurement, total), sample_in(first, &measurement.key, at));
            Some(total.look_again(now, digits, before.is_some_and(|before| total.is_plausible(before, now, digits))))
        };
        let looks: Vec<Option<Look>> = now.measurements.iter().map(look).collect();
        if first.is_none() && looks.iter().any(|look| matches!(look, Some(Look::Fell | Look::Absurd))) {
            return Verdict::ReadAgain;
        }
        let is_planned = self.0.values().any(|total| total.held.is_some());
        let mut jumps = Vec::new();
        for (measurement, look) in now.measurements.iter_mut().zip(looks) {
            if let (Some(number), Some(look)) = (watched(measurement), look) {
                let total = self.0.entry(measurement.key.clone()).or_default();
                let before = sample_in(first, &measurement.key, at);
                decide(total, measurement, (Sample { number, at }, look), before, &mut jumps);
            }
        }
        Verdict::Publish { jumps, confirm: !is_planned && self.0.values().any(|total| total.held.is_some()) }
    }

    /// Keeps the values of a reading that is published; the keys of which the rises are others now.
    pub fn believe(&mut self, reading: &Reading, at: Instant) -> Vec<(String, Rises)> {
        let mut changed = Vec::new();
        for measurement in &reading.measurements {
            let Measured::Number(number) = measurement.value else { continue };
            let total = self.0.entry(measurement.key.clone()).or_default();
            if total.believe(Sample { number, at }, watched(measurement).is_some()) {
                changed.push((measurement.key.clone(), total.rises));
            }
        }
        changed
    }
}

/// What becomes of one value that was read, `before` being what the reading before this one said.
fn decide(
    total: &mut Total,
    measurement: &mut Measurement,
    (now, look): (Sample, Look),
    before: Option<Sample>,
    jumps: &mut Vec<Jump>,
) {
    let digits = digits(measurement, total);
    let last = total.last.map(|last| last.number);
    // where nothing was believed before, nothing fell or leapt
    let jump = |what, to| Some(Jump { what, key: measurement.key.clone(), from: last?, to, unit: measurement.unit });
    let is_stable = before.is_some_and(|before| total.is_plausible(before, now, digits));
    let is_there_again = is_stable && before.is_some_and(|before| total.look(before, digits) == Look::Fell);
    match look {
        Look::Good => {
            let doubted = before.filter(|before| total.look(*before, digits) != Look::Good);
            let held = total.held.take().map(|held| held.sample);
            let faults = held.into_iter().chain(doubted);
            jumps.extend(faults.filter_map(|sample| jump(What::Fault, sample.number)));
        }
        Look::Confirmed => jumps
            .extend(last.and_then(|from| jump(if now.number < from { What::Fell } else { What::Leapt }, now.number))),
        Look::Fell if is_there_again => jumps.extend(jump(What::Fell, now.number)),
        Look::Fell | Look::Absurd | Look::Waits => {
            total.hold(now, digits, is_stable);
            measurement.value = Measured::Held { read: now.number, last };
        }
    }
}

/// The number of a total that is to be plausible.
fn watched(measurement: &Measurement) -> Option<Decimal> {
    match measurement.value {
        Measured::Number(number) if measurement.plausible && is_total(measurement) => Some(number),
        _ => None,
    }
}

/// What the reading before this one said.
fn sample_in(first: Option<&Reading>, key: &str, at: Instant) -> Option<Sample> {
    let before = first?.measurements.iter().find(|measurement| measurement.key == key)?;
    Some(Sample { number: watched(before)?, at })
}

/// Places after the point; of a real32, which has no fixed ones, those that are seen.
fn digits(measurement: &Measurement, total: &Total) -> i8 {
    let places = |number: Decimal| number.reduced().exponent().min(0).saturating_neg();
    let seen = total.last.map(|last| last.number).into_iter().chain(watched(measurement)).map(places).max();
    measurement.digits.and_then(|digits| i8::try_from(digits).ok()).or(seen).unwrap_or(0)
}

#[cfg(test)]
mod tests;
