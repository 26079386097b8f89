//! Names for people and ids for Home Assistant, made from keys and topics.

use crate::mbus::application::quantity::{Known, Quantity};
use crate::mbus::application::vife::Modifier;
use crate::measure::Measurement;
use crate::measure::key::{self, Place};
use crate::measure::medium::Kind;

/// What flows through a pipe is neither imported nor exported (EN 13757-3 calls it forward and backward flow).
const FLOWS: [(Known, &str, &str); 4] = [
    (Known::Volume, "Forward volume", "Backward volume"),
    (Known::VolumeFlow, "Forward volume flow", "Backward volume flow"),
    (Known::Energy, "Energy received", "Energy given back"),
    (Known::Power, "Power received", "Power given back"),
];

/// The name of a measurement of such a meter: the one that a rule gives, else one made of its key.
pub(crate) fn of(measurement: &Measurement, kind: Kind) -> String {
    if let Some(title) = &measurement.presentation.title {
        return title.clone();
    }
    let (key, number) = without_number(measurement);
    let name = flow(measurement, key).filter(|_| kind != Kind::Electricity).unwrap_or_else(|| title(key));
    let name = PHRASES.iter().fold(name, |name, (codes, words)| name.replace(codes, words));
    number.map_or_else(|| name.clone(), |number| format!("{name} ({number})"))
}

/// The key without the number that tells equal records apart, and that number.
fn without_number(measurement: &Measurement) -> (&str, Option<u32>) {
    let Measurement { key, quantity, function, tariff, subunit, storage_number, modifiers, .. } = measurement;
    let place = Place { tariff: *tariff, subunit: *subunit, storage_number: *storage_number };
    let base = key::of(quantity.to_string(), *function, place, modifiers);
    let number = key.strip_prefix(&base).and_then(|rest| rest.strip_prefix('_')?.parse().ok());
    (key.get(..base.len()).filter(|_| number.is_some()).unwrap_or(key), number)
}

/// What the standard's words and codes mean to people.
const PHRASES: [(&str, &str); 11] = [
    ("Date time", "Date and time"),
    ("Dimensionless", "Plain number"),
    ("Manufacturer specific", "Maker's own value"),
    ("Unknown ", "Unknown value "),
    (" manufacturer", ", maker's code"),
    (" vife", ", unknown code"),
    (" subunit", " channel"),
    (" non metric", " in non-metric units"),
    (" base conditions", " at base conditions"),
    (" lower limit exceed", " below lower limit:"),
    (" upper limit exceed", " above upper limit:"),
];

fn flow(measurement: &Measurement, key: &str) -> Option<String> {
    let (known, forward, backward) = FLOWS.into_iter().find(|flow| measurement.quantity == Quantity::Known(flow.0))?;
    let (name, direction) = if measurement.modifiers.contains(&Modifier::IMPORT) {
        (forward, "_import")
    } else if measurement.modifiers.contains(&Modifier::EXPORT) {
        (backward, "_export")
    } else {
        return None;
    };
    let words = title(&key.replacen(direction, "", 1));
    Some(format!("{name}{}", words.strip_prefix(&title(known.name()))?))
}

/// Whether Home Assistant calls an entity of this class so by itself, in the language of its user.
pub(super) fn is_of_class(name: &str, class: &str) -> bool {
    let same =
        [("Volume flow", "volume_flow_rate"), ("Relative humidity", "humidity"), ("RF level", "signal_strength")];
    name == title(class) || same.contains(&(name, class))
}

/// Abbreviations, and units.
const SPELLED: [&str; 8] = ["HCA", "RF", "OBIS", "ID", "kWh", "kW", "GJ", "CO2"];

/// `volume_flow_max_storage_3` as people write it: `Volume flow max storage 3`. Short words with a digit are names of
/// phases, quadrants and codes.
pub(crate) fn title(key: &str) -> String {
    let words = key.split('_').filter(|word| !word.is_empty());
    let spelled = words.enumerate().map(|(index, word)| match SPELLED.iter().find(|s| s.eq_ignore_ascii_case(word)) {
        Some(spelled) => (*spelled).to_owned(),
        None if word == "m3" => "m³".to_owned(),
        None if word.len() == 1 || word.len() < 3 && word.bytes().any(|b| b.is_ascii_digit()) => word.to_uppercase(),
        None if index == 0 => capitalised(word),
        None => word.to_owned(),
    });
    spelled.collect::<Vec<_>>().join(" ")
}

/// Only `[a-zA-Z0-9_-]`, which is all that Home Assistant takes in a discovery topic.
pub(super) fn id(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

/// What is said of values that nothing names, and what to do about them.
#[must_use]
pub fn unnamed(count: usize, meter: &str) -> String {
    let values = if count == 1 { "value" } else { "values" };
    format!("{count} {values} without a name: `mbushat profiles unknown {meter}` prints rules that name them")
}

/// The same under a heading that says the rest.
pub(super) fn unnamed_state(count: usize, meter: &str) -> String {
    format!("{count}: mbushat profiles unknown {meter}")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{id, of, title};
    use crate::mbus::application::quantity::Known;
    use crate::mbus::application::vife::Modifier;
    use crate::measure::medium::Kind;
    use crate::measure::{Measurement, sample};

    #[test]
    fn what_flows_through_a_pipe_is_not_exported() {
        for (key, quantity, modifier, title, of_electricity) in [
            ("volume_export", Known::Volume, Modifier::EXPORT, "Backward volume", "Volume export"),
            (
                "volume_storage_1_import",
                Known::Volume,
                Modifier::IMPORT,
                "Forward volume storage 1",
                "Volume storage 1 import",
            ),
            ("energy_import", Known::Energy, Modifier::IMPORT, "Energy received", "Energy import"),
            ("house_export", Known::Energy, Modifier::EXPORT, "House export", "House export"),
        ] {
            let measurement = Measurement { modifiers: vec![modifier], ..sample::number(key, quantity, "1") };
            assert_eq!(of(&measurement, Kind::Water), title);
            assert_eq!(of(&measurement, Kind::Electricity), of_electricity);
        }
        assert_eq!(of(&sample::number("volume", Known::Volume, "1"), Kind::Heat), "Volume");
    }

    #[test]
    fn codes_are_said_in_words_and_equal_records_are_told_apart_by_a_number_in_brackets() {
        let voltage = |code| vec![Modifier::Manufacturer(code)];
        for (key, quantity, modifiers, tariff, name) in [
            ("voltage_manufacturer_05", Known::Voltage, voltage(5), 0, "Voltage, maker's code 05"),
            ("energy_manufacturer", Known::Energy, vec![Modifier::Combinable(0x7F)], 0, "Energy, maker's code"),
            ("energy_14", Known::Energy, vec![], 0, "Energy (14)"),
            ("energy_tariff_1_2", Known::Energy, vec![], 1, "Energy tariff 1 (2)"),
            ("energy_tariff_1", Known::Energy, vec![], 1, "Energy tariff 1"),
            ("volume_export_2", Known::Volume, vec![Modifier::EXPORT], 0, "Backward volume (2)"),
            ("dimensionless", Known::Dimensionless, vec![], 0, "Plain number"),
            ("manufacturer", Known::Manufacturer, vec![], 0, "Manufacturer"),
            ("date_time", Known::DateTime, vec![], 0, "Date and time"),
            ("input_2", Known::Volume, vec![], 0, "Input 2"),
        ] {
            let measurement = Measurement { modifiers, tariff, ..sample::number(key, quantity, "1") };
            assert_eq!(of(&measurement, Kind::Water), name);
        }
        let limit = Measurement {
            modifiers: vec![Modifier::Combinable(0x54)],
            ..sample::number("volume_flow_lower_limit_exceed_last_duration", Known::VolumeFlow, "1")
        };
        assert_eq!(of(&limit, Kind::Water), "Volume flow below lower limit: last duration");
        let channel = Measurement { subunit: 1, ..sample::number("power_subunit_1", Known::Power, "1") };
        assert_eq!(of(&channel, Kind::Electricity), "Power channel 1");
    }

    #[test]
    fn titles_are_what_people_write() {
        assert_eq!(title("volume_flow_max_storage_3"), "Volume flow max storage 3");
        assert_eq!(title("voltage_l1_l2"), "Voltage L1 L2");
        assert_eq!(title("hca_units"), "HCA units");
        assert_eq!(title("input_a_storage_1"), "Input A storage 1");
        assert_eq!(title("cold_water"), "Cold water");
        assert_eq!(title("house7_energy_e8_per_m3"), "House7 energy E8 per m³");
        assert_eq!(title(""), "");
    }

    #[test]
    fn ids_have_no_character_that_home_assistant_drops() {
        assert_eq!(id("mbushat/house7"), "mbushat_house7");
        assert_eq!(id("Küche.1 @"), "K_che_1__");
    }
}
