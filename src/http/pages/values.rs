//! The values of a reading as people read them.

use super::super::words::Words;
use crate::config::Config;
use crate::homeassistant::{class, name};
use crate::mbus::address::SecondaryAddress;
use crate::measure::medium::{Kind, kind};
use crate::measure::{Measured, Measurement, Reading};
use crate::status::Newest;

/// Values on the first page, of each meter.
const MAIN: usize = 3;

/// One value.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) key: String,
    pub(super) name: String,
    /// With every digit of the meter; empty where it says that it has none.
    pub(super) value: String,
    pub(super) unit: &'static str,
    /// Whether a line of it can be drawn.
    pub(super) is_number: bool,
    /// Whether it is what the meter is there for.
    pub(super) is_main: bool,
    /// Read, but not believed yet.
    pub(super) held: Option<String>,
}

/// All of a reading; those that matter first.
pub(super) fn all(reading: &Reading, config: &Config, t: Words) -> Vec<Shown> {
    let medium = reading.device.identity.and_then(SecondaryAddress::known_medium);
    let kind = medium.map_or(Kind::Other, kind);
    let shown = |measurement: &Measurement| {
        let shown = class::shown(measurement, &reading.measurements, medium, config.homeassistant.version);
        let (value, held) = match &measurement.value {
            Measured::Number(number) => (number.to_string(), None),
            Measured::Text(text) => (text.replacen('T', " ", usize::from(class::is_time(text))), None),
            Measured::Invalid => (String::new(), None),
            Measured::Held { read, last } => {
                (last.map(|last| last.to_string()).unwrap_or_default(), Some(read.to_string()))
            }
        };
        let is_number = matches!(measurement.value, Measured::Number(_) | Measured::Held { .. });
        Shown {
            key: measurement.key.clone(),
            name: t.name(&name::of(measurement, kind)),
            value,
            unit: measurement.unit.name(),
            is_number,
            is_main: is_number && shown.enabled && !shown.diagnostic,
            held,
        }
    };
    let mut all: Vec<Shown> = reading.measurements.iter().map(shown).collect();
    all.sort_by_key(|shown| !shown.is_main);
    all
}

/// Those of the first page.
pub(super) fn main(newest: &Newest, config: &Config, t: Words) -> Vec<Shown> {
    let all = match &newest.reading {
        Some(reading) => all(reading, config, t),
        None => of_state(newest, t),
    };
    let is_any_main = all.iter().any(|shown| shown.is_main);
    all.into_iter().filter(|shown| shown.is_main || !is_any_main).take(MAIN).collect()
}

/// What is known of a meter that was not read since the start.
fn of_state(newest: &Newest, t: Words) -> Vec<Shown> {
    let shown = |(key, value): (&String, &crate::status::Value)| {
        let text = value.value.get();
        Shown {
            key: key.clone(),
            name: t.name(&name::title(key)),
            value: text.trim_matches('"').to_owned(),
            unit: value.unit.unwrap_or_default(),
            is_number: !text.starts_with('"') && text != "null",
            is_main: false,
            held: None,
        }
    };
    newest.values.iter().map(shown).collect()
}
