//! The key of a measurement: stable for the life of an installation, unique in a reading.
//!
//! Not here: the names it is made of (`mbus::application::quantity` and `vife`), rules that replace it
//! (`profile`).

use std::collections::BTreeMap;

use crate::mbus::application::quantity::Function;
use crate::mbus::application::vife::Modifier;

/// Keys of a state document that are not measurements; a rule must not use them.
pub const RESERVED: [&str; 3] = ["read_at", "seq", "status"];

/// The key of the plain case and what differs from it, in this order: maximum or minimum, tariff,
/// subunit, storage number, modifiers as on the wire. `name`: of the quantity, or one of its own.
///
/// A value during error is named as the plain one: meters change the function field of a record
/// while a sensor is broken, and that must not rename the records after it.
#[must_use]
pub fn of(name: String, function: Function, place: Place, modifiers: &[Modifier]) -> String {
    name + &differences(function, place, modifiers)
}

/// The key that a rule gives: its first `_*` becomes what the record's own key has behind its quantity,
/// but for the subunit and the codes of the manufacturer, which the rule is there to name.
#[must_use]
pub fn of_rule(key: &str, function: Function, place: Place, modifiers: &[Modifier]) -> String {
    let modifiers: Vec<Modifier> = modifiers.iter().copied().filter(|m| !m.is_manufacturers()).collect();
    key.replacen("_*", &differences(function, Place { subunit: 0, ..place }, &modifiers), 1)
}

/// What differs from the plain case, each part with a `_` before it.
fn differences(function: Function, place: Place, modifiers: &[Modifier]) -> String {
    let mut key = String::new();
    match function {
        Function::Instantaneous | Function::Error => {}
        Function::Maximum => key.push_str("_max"),
        Function::Minimum => key.push_str("_min"),
    }
    let numbers =
        [("tariff", u64::from(place.tariff)), ("subunit", u64::from(place.subunit)), ("storage", place.storage_number)];
    for (name, number) in numbers.into_iter().filter(|&(_, number)| number != 0) {
        key.push_str(&format!("_{name}_{number}"));
    }
    for name in modifiers.iter().filter_map(|modifier| modifier.name()) {
        key.push('_');
        key.push_str(name);
    }
    key
}

/// Where in a meter's registers a record stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Tariff.
    pub tariff: u32,
    /// Subunit.
    pub subunit: u16,
    /// Storage number.
    pub storage_number: u64,
}

/// Numbers equal keys by their order in a readout: `energy`, `energy_2`, `energy_3`.
#[derive(Debug, Default)]
pub struct Numbering {
    seen: BTreeMap<String, u32>,
}

impl Numbering {
    /// The key of the next record whose key would be `base`. Call it for every record, whether it
    /// has a value or not, so that one bad record never renames the next.
    pub fn next(&mut self, base: &str) -> String {
        let count = self.count(base);
        if count == 1 && !RESERVED.contains(&base) {
            return base.to_owned();
        }
        let mut key = format!("{base}_{}", count.max(2));
        while self.seen.contains_key(&key) {
            let count = self.count(base);
            key = format!("{base}_{count}");
        }
        self.count(&key);
        key
    }

    /// The key of the next record that a rule names with `key`: a last part `N` becomes its number
    /// among them (`active_energy_N`: `active_energy_1`, `active_energy_2`).
    pub fn next_of_rule(&mut self, key: &str) -> String {
        match key.strip_suffix("_N") {
            Some(stem) => {
                let count = self.count(key);
                self.next(&format!("{stem}_{count}"))
            }
            None => self.next(key),
        }
    }

    fn count(&mut self, base: &str) -> u32 {
        let count = self.seen.entry(base.to_owned()).or_insert(0);
        *count += 1;
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::{Modifier, Numbering, Place, of};
    use crate::mbus::application::quantity::{Function, Known, Quantity};

    #[test]
    fn a_key_names_what_differs_from_the_plain_case_in_one_order() {
        let place = Place { tariff: 1, subunit: 2, storage_number: 3 };
        let volume_flow = Quantity::Known(Known::VolumeFlow);
        let key = of(volume_flow.to_string(), Function::Maximum, place, &[Modifier::IMPORT, Modifier::Extended(0x01)]);
        assert_eq!(key, "volume_flow_max_tariff_1_subunit_2_storage_3_import_l1");
        let energy = Quantity::Known(Known::Energy);
        let tariff = Place { tariff: 1, ..Place::default() };
        assert_eq!(
            of(energy.to_string(), Function::Instantaneous, tariff, &[Modifier::IMPORT]),
            "energy_tariff_1_import"
        );
        let storage = Place { storage_number: 1, ..Place::default() };
        assert_eq!(
            of(Quantity::Known(Known::Date).to_string(), Function::Instantaneous, storage, &[]),
            "date_storage_1"
        );
        let unknown = Quantity::Unknown { table: 0xFD, code: 0x3F };
        assert_eq!(of(unknown.to_string(), Function::Minimum, Place::default(), &[]), "unknown_fd3f_min");
        assert_eq!(of(energy.to_string(), Function::Error, Place::default(), &[]), "energy");
    }

    #[test]
    fn equal_keys_are_numbered_and_no_two_keys_are_equal() {
        let mut numbering = Numbering::default();
        let keys: Vec<String> = ["energy", "volume", "energy", "energy_2", "energy", "energy_2", "status", "status"]
            .map(|base| numbering.next(base))
            .into();
        let distinct: std::collections::BTreeSet<&String> = keys.iter().collect();
        assert_eq!(keys[..3], ["energy", "volume", "energy_2"]);
        assert_eq!(distinct.len(), keys.len(), "{keys:?}");
        assert!(!keys.contains(&"status".to_owned()));
    }

    #[test]
    fn a_rule_ending_in_n_counts_from_one() {
        let mut numbering = Numbering::default();
        let keys = ["active_energy_N", "reactive_energy_N", "active_energy_N"].map(|key| numbering.next_of_rule(key));
        assert_eq!(keys, ["active_energy_1", "reactive_energy_1", "active_energy_2"]);
        assert_eq!(["total", "total"].map(|key| numbering.next_of_rule(key)), ["total", "total_2"]);
    }
}
