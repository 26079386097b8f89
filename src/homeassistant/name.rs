//! Names for people and ids for Home Assistant, made from keys and topics.

use crate::mbus::application::quantity::{Known, Quantity};
use crate::mbus::application::vife::Modifier;
use crate::measure::Measurement;
use crate::measure::medium::Kind;

/// What flows through a pipe is neither imported nor exported (EN 13757-3 calls it forward and backward flow).
const FLOWS: [(Known, &str, &str); 4] = [
    (Known::Volume, "Forward volume", "Backward volume"),
    (Known::VolumeFlow, "Forward volume flow", "Backward volume flow"),
    (Known::Energy, "Energy received", "Energy given back"),
    (Known::Power, "Power received", "Power given back"),
];

/// The name of a measurement of such a meter: the one that a rule gives, else one made of its key.
pub(super) fn of(measurement: &Measurement, kind: Kind) -> String {
    if let Some(title) = &measurement.presentation.title {
        return title.clone();
    }
    flow(measurement).filter(|_| kind != Kind::Electricity).unwrap_or_else(|| title(&measurement.key))
}

fn flow(measurement: &Measurement) -> Option<String> {
    let (known, forward, backward) = FLOWS.into_iter().find(|flow| measurement.quantity == Quantity::Known(flow.0))?;
    let (name, direction) = if measurement.modifiers.contains(&Modifier::IMPORT) {
        (forward, "_import")
    } else if measurement.modifiers.contains(&Modifier::EXPORT) {
        (backward, "_export")
    } else {
        return None;
    };
    let rest = measurement.key.strip_prefix(known.name())?.replacen(direction, "", 1);
    Some(format!("{name} {}", title(&rest).to_lowercase()).trim_end().to_owned())
}

/// Abbreviations.
const UPPER: [&str; 11] = ["L1", "L2", "L3", "Q1", "Q2", "Q3", "Q4", "HCA", "RF", "OBIS", "ID"];

/// `volume_flow_max_storage_3` as people write it: `Volume flow max storage 3`.
pub(super) fn title(key: &str) -> String {
    let words = key.split('_').filter(|word| !word.is_empty());
    let spelled = words.enumerate().map(|(index, word)| match UPPER.iter().find(|u| u.eq_ignore_ascii_case(word)) {
        Some(upper) => (*upper).to_owned(),
        None if word.len() == 1 => word.to_uppercase(),
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
    fn titles_are_what_people_write() {
        assert_eq!(title("volume_flow_max_storage_3"), "Volume flow max storage 3");
        assert_eq!(title("voltage_l1_l2"), "Voltage L1 L2");
        assert_eq!(title("hca_units"), "HCA units");
        assert_eq!(title("input_a_storage_1"), "Input A storage 1");
        assert_eq!(title("cold_water"), "Cold water");
        assert_eq!(title(""), "");
    }

    #[test]
    fn ids_have_no_character_that_home_assistant_drops() {
        assert_eq!(id("mbushat/house7"), "mbushat_house7");
        assert_eq!(id("Küche.1 @"), "K_che_1__");
    }
}
