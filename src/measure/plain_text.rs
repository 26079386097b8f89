//! What the meter's own words say of a record (VIF 7C and FC): its name, its unit, in a record without
//! data even its value.
//!
//! `bat. time` is `bat_time`, `Temp 1` is `temp_1`, `97 % BATT` is `batt` and 97 % where the record has no data. A text that is
//! not ASCII, has no letters, is very long or a mere unit gives no name.
//!
//! Not here: the rest of the key (`key`), which record is which (`normalise`).

use std::collections::BTreeSet;

use crate::mbus::application::dib::Coding;
use crate::mbus::application::quantity::{Known, Quantity, Unit};
use crate::mbus::application::record::DataRecord;
use crate::mbus::decimal::Decimal;
use crate::measure::Reading;

/// Names that a meter may bring along over its life: a text is as long as the meter likes, and may change.
pub const MOST_NAMES: usize = 256;
/// Longer texts are no names: Home Assistant takes an id of 255 characters.
const LONGEST: usize = 64;
/// What opens a meter is published only where it is asked for.
const SECRETS: [&str; 5] = ["key", "password", "pw", "pin", "access_code"];

/// A text taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// Lower case letters, digits and underscores.
    pub(super) key: String,
    /// For people.
    pub(super) title: String,
    /// A number with its unit before or after the words.
    amount: Option<(Decimal, Unit)>,
    /// A % before or after the words, without a number.
    unit: Unit,
}

impl Words {
    /// The words of a record, where they are a name.
    pub(super) fn of(record: &DataRecord<'_>) -> Option<Self> {
        Self::parse(&record.vib.text()?.to_string(), record.dib.coding != Coding::None)
    }

    /// A number without a unit is part of the name where the record has a value of its own: it tells two apart.
    fn parse(text: &str, has_value: bool) -> Option<Self> {
        let is_text = text.len() <= LONGEST && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_text || Unit::from_name(text.trim()).is_some() {
            return None;
        }
        let spaced = text.replace('%', " % ").replace([':', '=', ';'], " ");
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        let counts = |(_, unit): &(Decimal, Unit)| !has_value || *unit != Unit::None;
        let (amount, rest) = match amount(&tokens) {
            (Some(amount), rest) if counts(&amount) => (Some(amount), rest),
            _ => (None, tokens.as_slice()),
        };
        let unit = [rest.first(), rest.last()].contains(&Some(&"%")) && amount.is_none();
        let rest = rest.join(" ");
        let parts: Vec<&str> = rest.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let has_letter = |part: &&str| part.bytes().any(|byte| byte.is_ascii_alphabetic());
        let (from, to) = (parts.iter().position(has_letter)?, parts.iter().rposition(has_letter)?);
        let is_part = |part: &&str| !part.is_empty();
        let words: Vec<&str> = parts.get(from..=to)?.iter().copied().filter(is_part).collect();
        let key = words.join("_").to_ascii_lowercase();
        let (digits, key) = key.split_at(key.find(|c: char| !c.is_ascii_digit())?);
        let before = parts.iter().copied().take(from).chain(std::iter::once(digits)).filter(is_part);
        let before: Vec<&str> = before.filter(|_| has_value).collect();
        let behind: Vec<&str> = parts.iter().copied().skip(to + 1).filter(is_part).filter(|_| has_value).collect();
        let numbers = [behind.as_slice(), &before].concat();
        let key = [&[key], numbers.as_slice()].concat().join("_");
        // what `state` has beside a time
        if key.ends_with("_zoned") {
            return None;
        }
        let last = behind.last().or(words.last())?;
        let title = title(text, words.first()?, last).unwrap_or_else(|| words.join(" "));
        let title = [&[title.as_str()], before.as_slice()].concat().join(" ");
        Some(Self { key, title, amount, unit: if unit { Unit::Percent } else { Unit::None } })
    }

    /// Whether it is published only where it is asked for.
    pub(super) fn is_secret(&self) -> bool {
        let name = self.key.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        SECRETS.contains(&name)
    }

    /// The unit that the text says of this record.
    pub(super) fn unit(&self, record: &DataRecord<'_>) -> Option<Unit> {
        let unit = match self.amount {
            Some((_, unit)) if record.dib.coding == Coding::None => unit,
            _ => self.unit,
        };
        Some(unit).filter(|unit| *unit != Unit::None)
    }

    /// The number that the text says of this record, which has none itself.
    pub(super) fn number(&self, record: &DataRecord<'_>) -> Option<Decimal> {
        self.amount.filter(|_| record.dib.coding == Coding::None).map(|(number, _)| number)
    }

    /// The title of a key that begins with this one: what follows tells equal names apart.
    pub(super) fn title_of(&self, key: &str) -> String {
        let more = key.strip_prefix(&self.key).unwrap_or_default();
        format!("{}{}", self.title, more.replace('_', " "))
    }
}

/// A number, and its unit where there is one, in front of the words or behind them; and the other tokens.
fn amount<'a, 't>(tokens: &'a [&'t str]) -> (Option<(Decimal, Unit)>, &'a [&'t str]) {
    for count in [2, 1] {
        let ends = [
            tokens.split_at_checked(count),
            tokens.len().checked_sub(count).and_then(|at| tokens.split_at_checked(at).map(|(rest, end)| (end, rest))),
        ];
        for (end, rest) in ends.into_iter().flatten() {
            let has_words = rest.iter().any(|token| token.bytes().any(|byte| byte.is_ascii_alphabetic()));
            if let Some(amount) = number_and_unit(&end.concat()).filter(|_| has_words) {
                return (Some(amount), rest);
            }
        }
    }
    (None, tokens)
}

/// `97%`, `-5.2` or `3,6V`.
fn number_and_unit(text: &str) -> Option<(Decimal, Unit)> {
    let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | ',');
    let (number, unit) = text.split_at(text.find(|c| !is_of_number(c)).unwrap_or(text.len()));
    let unit = if unit.is_empty() { Unit::None } else { Unit::from_name(unit)? };
    Some((number.strip_prefix('+').unwrap_or(number).replace(',', ".").parse().ok()?, unit))
}

/// The text from its first word to its last, with a capital.
fn title(text: &str, first: &str, last: &str) -> Option<String> {
    let (from, to) = (text.find(first)?, text.rfind(last)? + last.len());
    let own = text.get(from..to)?.trim_start_matches(|c: char| c.is_ascii_digit());
    let mut letters = own.chars();
    Some(letters.next()?.to_uppercase().chain(letters).collect())
}

/// Whether this key is one that a text gave.
fn is_name(quantity: Quantity, key: &str) -> bool {
    quantity == Quantity::Known(Known::PlainText) && !key.starts_with(Known::PlainText.name())
}

/// The names in a reading that its texts gave.
pub fn names(reading: &Reading) -> impl Iterator<Item = &str> {
    let names = reading.measurements.iter().filter(|measurement| is_name(measurement.quantity, &measurement.key));
    names.map(|measurement| measurement.key.as_str())
}

/// Leaves out what would make more names than [`MOST_NAMES`] with those `known`; how many values.
pub fn limit(reading: &mut Reading, known: &BTreeSet<String>) -> usize {
    reading.leave_out_new(MOST_NAMES.saturating_sub(known.len()), |measurement| {
        is_name(measurement.quantity, &measurement.key) && !known.contains(&measurement.key)
    })
}

#[cfg(test)]
mod tests {
    use super::{MOST_NAMES, Words, limit, names};
    use crate::mbus::application::quantity::Known;
    use crate::measure::sample;
    use std::collections::BTreeSet;

    /// Key, title, and amount or unit.
    fn words(text: &str, has_value: bool) -> Option<String> {
        let Words { key, title, amount, unit } = Words::parse(text, has_value)?;
        let amount = amount.map(|(number, unit)| format!(" {number}{}", unit.name()));
        Some(format!("{key}|{title}|{}{}", amount.unwrap_or_default(), unit.name()))
    }

    #[test]
    fn words_are_a_key_and_a_title() {
        for (text, want) in [
            ("bat. time", "bat_time|Bat. time|"),
            ("cust. ID", "cust_id|Cust. ID|"),
            ("CO2", "co2|CO2|"),
            ("#AL", "al|AL|"),
            ("  T1 - hot!! ", "t1_hot|T1 - hot|"),
            ("no. 7, old 12", "no_7_old|No. 7, old| 12"),
            ("Temp 1", "temp|Temp| 1"),
            ("4WIRE", "wire|WIRE|"),
            ("97 % BATT", "batt|BATT| 97%"),
            ("97%BATT", "batt|BATT| 97%"),
            ("BATT: 97 %", "batt|BATT| 97%"),
            ("3,6V batt", "batt|Batt| 3.6V"),
            ("+3.6 V batt", "batt|Batt| 3.6V"),
            ("supply -5.2 V", "supply|Supply| -5.2V"),
            ("BATT %", "batt|BATT|%"),
            ("% BATT", "batt|BATT|%"),
            ("3.6. V batt", "v_batt|V batt|"),
        ] {
            assert_eq!(words(text, false).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn a_number_beside_a_value_tells_two_of_one_name_apart() {
        for (text, want) in [
            ("Temp 1", "temp_1|Temp 1|"),
            ("Temp. 12", "temp_12|Temp. 12|"),
            ("2 Temp", "temp_2|Temp 2|"),
            ("T1 - hot 3", "t1_hot_3|T1 - hot 3|"),
            ("4WIRE", "wire_4|WIRE 4|"),
            ("97 % BATT", "batt|BATT| 97%"),
            ("BATT %", "batt|BATT|%"),
        ] {
            assert_eq!(words(text, true).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_has_none() {
        for text in ["", "97 %", "m³", "Zähler", "kWh", " W ", "a\nb", "12-34", "x zoned", &"x".repeat(65)] {
            assert_eq!(words(text, true), None, "{text}");
        }
        assert!(words(&"x".repeat(64), true).is_some());
    }

    #[test]
    fn what_opens_a_meter_is_secret() {
        let is_secret = |text| Words::parse(text, true).expect("words").is_secret();
        assert!(["key", "Password", "PW", "PIN", "access code", "key: 17"].into_iter().all(is_secret));
        assert!(!["keys", "pin 2 state", "pw level", "access code user"].into_iter().any(is_secret));
    }

    #[test]
    fn a_meter_has_so_many_names_in_a_reading_and_over_its_life() {
        let named = |name: &str| sample::number(name, Known::PlainText, "1");
        let of = |range: std::ops::Range<usize>| range.map(|n| named(&format!("batt_{n}"))).collect::<Vec<_>>();
        let mut known = BTreeSet::new();
        for (range, left_out) in [(0..200, 0), (100..300, 44), (0..256, 0), (250..260, 4)] {
            let others = vec![named("plain_text_2"), sample::number("volume", Known::Volume, "1")];
            let mut reading = sample::reading([of(range.clone()), others].concat());
            assert_eq!(limit(&mut reading, &known), left_out, "{range:?}");
            assert_eq!(reading.measurements.len(), range.len() + 2 - left_out);
            known.extend(names(&reading).map(str::to_owned));
        }
        assert_eq!(known.len(), MOST_NAMES);
        assert_eq!(limit(&mut sample::reading(of(0..300)), &BTreeSet::new()), 44);
    }
}
