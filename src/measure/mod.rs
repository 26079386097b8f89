//! What a reading means: records become named, unit-tagged, exact measurements. Pure.
//!
//! `quantities` is the table of what each quantity is, `unit` holds the exact conversions to the one unit that
//! is published, `device_class` the classes that Home Assistant knows. `meaning` says what one record means by itself, `maker` what a maker's codes mean, `plain_text`
//! what a meter's own words say, `scale` converts its number; `normalise` makes a [`Reading`] of the telegrams
//! of one readout, `profile` the rules a user or a built-in profile adds. `total` doubts totals that fall or
//! leap, `unnamed` lists the records that wait for a rule, `seen` the rules that wait for a record.
//!
//! Not here: JSON (`mqtt::payload`), which class a value has in Home Assistant (`homeassistant`), any clock.

pub mod unit;
pub mod medium;
pub mod maker;
pub mod key;
pub mod plain_text;
pub mod quantities;
pub(crate) mod device_class;
mod meaning;
mod scale;
pub mod normalise;
pub mod unnamed;
pub mod seen;
pub mod total;
pub mod profile;
#[cfg(test)]
pub(crate) mod sample;

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::{Function, Quantity, Unit};
use crate::mbus::application::vife::Modifier;
use crate::mbus::decimal::Decimal;

/// All measurements of one readout of one meter.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The meter's configured name.
    pub meter: String,
    /// When the schedule wanted it; `None` on demand.
    pub due_at: Option<SystemTime>,
    /// The wall clock when its last telegram was complete.
    pub read_at: SystemTime,
    /// Whether the wall clock could be trusted then; `None`: not known.
    pub clock_synced: Option<bool>,
    /// Who answered.
    pub device: Device,
    /// In the order of the records.
    pub measurements: Vec<Measurement>,
    /// Records that could not be understood.
    pub errors: Vec<RecordFault>,
    /// What stood behind DIF 0F or 1F, of all telegrams.
    pub manufacturer_data: Vec<u8>,
    /// How many records leave open what they measure ([`unnamed`]); those of a maker's own codes are not
    /// among the measurements.
    pub unnamed: usize,
    /// The telegrams as they came, where they are wanted.
    pub telegrams: Vec<Vec<u8>>,
    /// What the configuration says of the meter.
    pub labels: BTreeMap<String, String>,
}

impl Reading {
    /// Leaves out the measurements that are new, all but the first so many; how many.
    pub fn leave_out_new(&mut self, mut room: usize, is_new: impl Fn(&Measurement) -> bool) -> usize {
        let before = self.measurements.len();
        self.measurements.retain(|measurement| {
            let fits = room > 0 || !is_new(measurement);
            room -= usize::from(room > 0 && is_new(measurement));
            fits
        });
        before - self.measurements.len()
    }
}

/// So many values stand in a summary.
const SUMMARISED: usize = 3;

impl Reading {
    /// A few words for people: `9 values, energy 0 kWh, volume 0.05 m³, power 1000 W …`.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = self.measurements.len();
        let numbers = self.measurements.iter().filter_map(|measurement| match &measurement.value {
            Measured::Number(number) => {
                let unit = measurement.unit.name();
                Some(format!("{} {number}{}{unit}", measurement.key, if unit.is_empty() { "" } else { " " }))
            }
            Measured::Text(_) | Measured::Invalid | Measured::Held { .. } => None,
        });
        let mut words = vec![if count == 1 { "1 value".to_owned() } else { format!("{count} values") }];
        words.extend(numbers.take(SUMMARISED));
        let more = if count > words.len() - 1 { " …" } else { "" };
        format!("{}{more}", words.join(", "))
    }
}

/// The meter as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Id, manufacturer, version, medium; of the fixed structure id and medium
    /// ([`SecondaryAddress::of_fixed`]). `None` where no telegram says it.
    pub identity: Option<SecondaryAddress>,
    /// The A field of its reply.
    pub address: u8,
    /// Counts its replies.
    pub access_number: u8,
    /// Set bits, by name: `busy application_error abnormal low_power permanent_error temporary_error
    /// manufacturer_5 manufacturer_6 manufacturer_7`.
    pub status: Vec<&'static str>,
}

/// One named value with its unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Stable for the life of the installation; unique in a reading.
    pub key: String,
    /// What is measured.
    pub quantity: Quantity,
    /// How much.
    pub value: Measured,
    /// Always the same for a key.
    pub unit: Unit,
    /// Instantaneous, maximum, minimum (never error).
    pub function: Function,
    /// Storage number.
    pub storage_number: u64,
    /// Tariff.
    pub tariff: u32,
    /// Subunit.
    pub subunit: u16,
    /// The modifiers that have a name, in wire order.
    pub modifiers: Vec<Modifier>,
    /// Digits after the point that the meter counts, in the published unit; `None` where they vary
    /// (real32) or there is no number.
    pub digits: Option<u8>,
    /// Whether it is to be doubted where it falls or leaps, if it is a total.
    pub plausible: bool,
    /// What a rule says for its presentation.
    pub presentation: profile::Presentation,
}

/// The value of a measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measured {
    /// A number.
    Number(Decimal),
    /// A text, an id, or a date or time of the meter's own clock as `2020-01-15` / `2024-03-31T02:15`.
    Text(String),
    /// The meter says that it has no valid value.
    Invalid,
    /// A total that cannot be, and waits to be said again (`total`).
    Held {
        /// What the meter says.
        read: Decimal,
        /// What was published last.
        last: Option<Decimal>,
    },
}

/// A record that could not be understood; the others of its telegram are not affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFault {
    /// Place in the whole readout, from 0.
    pub index: usize,
    /// DIF and DIFEs.
    pub dib: Vec<u8>,
    /// VIF and VIFEs.
    pub vib: Vec<u8>,
    /// Its data bytes.
    pub data: Vec<u8>,
    /// What is wrong with it.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::{Measured, sample};
    use crate::mbus::application::quantity::Known;

    #[test]
    fn a_summary_counts_the_values_and_shows_the_first_numbers() {
        let mut reading = sample::reading(vec![sample::number("volume", Known::Volume, "0.05")]);
        assert_eq!(reading.summary(), "1 value, volume 0.05 m³");
        let invalid = sample::number("power", Known::Power, "1");
        reading.measurements.push(super::Measurement { value: Measured::Invalid, ..invalid });
        reading.measurements.push(sample::number("count", Known::HcaUnits, "7"));
        assert_eq!(reading.summary(), "3 values, volume 0.05 m³, count 7 …");
    }
}
