//! Names for people and ids for Home Assistant, made from keys and topics.

/// Abbreviations.
const UPPER: [&str; 11] = ["L1", "L2", "L3", "Q1", "Q2", "Q3", "Q4", "HCA", "RF", "OBIS", "ID"];

/// `volume_flow_max_storage_3` as people write it: `Volume flow max storage 3`.
pub(super) fn title(key: &str) -> String {
    let words = key.split('_').filter(|word| !word.is_empty());
    let spelled = words.enumerate().map(|(index, word)| match UPPER.iter().find(|u| u.eq_ignore_ascii_case(word)) {
        Some(upper) => (*upper).to_owned(),
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
    use super::{id, title};

    #[test]
    fn titles_are_what_people_write() {
        assert_eq!(title("volume_flow_max_storage_3"), "Volume flow max storage 3");
        assert_eq!(title("voltage_l1_l2"), "Voltage L1 L2");
        assert_eq!(title("hca_units"), "HCA units");
        assert_eq!(title("cold_water"), "Cold water");
        assert_eq!(title(""), "");
    }

    #[test]
    fn ids_have_no_character_that_home_assistant_drops() {
        assert_eq!(id("mbushat/house7"), "mbushat_house7");
        assert_eq!(id("Küche.1 @"), "K_che_1__");
    }
}
