//! What one record means by itself: quantity, unit and value, whether it is a secret, whether its codes leave
//! it open.
//!
//! Not here: its key, and whether it is published (`normalise`).

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::mbus::address::Manufacturer;
use crate::mbus::application::dib::Coding;
use crate::mbus::application::quantity::{Known, Quantity, Unit};
use crate::mbus::application::record::DataRecord;
use crate::mbus::application::records::Records;
use crate::mbus::application::value::Value;
use crate::mbus::application::vife::Modifier;
use crate::mbus::decimal::Decimal;
use crate::mbus::octets::hex;
use crate::measure::plain_text::Words;
use crate::measure::profile::{Facts, Presentation, RecordRule};
use crate::measure::quantities::{Sort, is_text, row};
use crate::measure::{Measured, maker};

/// Whether it opens the meter, as its quantity or its own words say.
pub(super) fn is_secret(quantity: Quantity, words: Option<&Words>) -> bool {
    words.is_some_and(Words::is_secret) || matches!(quantity, Quantity::Known(known) if row(known).sort == Sort::Secret)
}

/// The storages whose date is FFFF, and no other: nothing was stored there yet, and FFFFFFFF is no -1.
pub(super) fn unused_storages(records: Records<'_>) -> BTreeSet<u64> {
    let is_date = |record: &DataRecord<'_>| {
        record.dib.storage_number > 0 && matches!(record.vib.quantity, Quantity::Known(Known::Date | Known::DateTime))
    };
    let (unset, set): (Vec<_>, Vec<_>) = records.flatten().filter(is_date).partition(is_all_ones);
    let mut unused: BTreeSet<u64> = unset.iter().map(|record| record.dib.storage_number).collect();
    set.iter().for_each(|record| _ = unused.remove(&record.dib.storage_number));
    unused
}

pub(super) fn is_all_ones(record: &DataRecord<'_>) -> bool {
    matches!(record.dib.coding, Coding::Integer(_)) && record.data.iter().all(|byte| *byte == 0xFF)
}

/// Quantity and unit of a record; a plain text that spells a unit of ours is that unit.
pub(super) fn what(record: &DataRecord<'_>) -> (Quantity, Unit) {
    let (quantity, unit) = (record.vib.quantity, record.vib.unit);
    let Some(text) = record.vib.text().map(|text| text.to_string()) else { return (quantity, unit) };
    match text.as_str() {
        // pieces, hardly stones
        "st" => (quantity, unit),
        "%RH" | "% RH" | "RH%" => (Quantity::Known(Known::RelativeHumidity), Unit::Percent),
        other => {
            let said = || Words::of(record)?.unit(record);
            (quantity, Unit::from_name(other).or_else(said).unwrap_or(unit))
        }
    }
}

/// Whether the codes of the record leave open what it measures.
pub(super) fn is_unnamed(record: &DataRecord<'_>, maker: Option<Manufacturer>) -> bool {
    let says_nothing = |known| matches!(known, Known::Dimensionless | Known::ManufacturerSpecific | Known::AnyQuantity);
    let quantity = match what(record).0 {
        Quantity::Known(Known::PlainText) => Words::of(record).is_none(),
        Quantity::Known(known) => says_nothing(known),
        Quantity::Unknown { .. } => true,
    };
    let (modifiers, _) = maker::understood(maker, what(record).0, record.vib.modifiers());
    quantity || modifiers.iter().any(|modifier| modifier.is_manufacturers())
}

pub(super) fn facts<'r>(record: &DataRecord<'r>, quantity: Quantity, before: usize) -> Facts<'r> {
    Facts {
        quantity,
        function: record.dib.function,
        storage: record.dib.storage_number,
        tariff: record.dib.tariff,
        subunit: record.dib.subunit,
        index: before + record.index,
        dib: record.dib.bytes,
        vib: record.vib.bytes,
        part: None,
    }
}

/// The modifiers without the manufacturer's codes where a rule gives the key: it says what they mean.
pub(super) fn left_open(mut modifiers: Vec<Modifier>, rule: Option<&RecordRule>) -> Vec<Modifier> {
    let named = rule.is_some_and(|rule| rule.key.is_some());
    modifiers.retain(|modifier| !named || !modifier.is_manufacturers());
    modifiers
}

pub(super) fn presentation(rule: &RecordRule, record: &DataRecord<'_>) -> Presentation {
    let dib = &record.dib;
    let enabled = rule.enables(dib.function, dib.storage_number, dib.tariff);
    Presentation { enabled, ..rule.presentation.clone() }
}

/// The value of a record as a number, where a rule says in which unit or scale it is one: what names a thing, and what
/// only the manufacturer can read, too.
pub(super) fn number_by_rule(record: &DataRecord<'_>, rule: Option<&RecordRule>) -> Option<Measured> {
    let counts = |rule: &RecordRule| rule.unit.is_some() || rule.scale.is_some() || rule.offset.is_some();
    rule.filter(|rule| counts(rule))?;
    let number = match record.value.ok()? {
        Value::Number(number) => Some(number),
        Value::Digits(digits) => digits.to_string().parse().ok(),
        Value::Bytes(bytes) => bytes.signed().map(|mantissa| Decimal::new(mantissa, 0)),
        _ => None,
    };
    number.map(Measured::Number)
}

/// The value as it is published, not yet converted; `None` for a record that carries none.
pub(super) fn measured(record: &DataRecord<'_>, quantity: Quantity, modifiers: &[Modifier]) -> Option<Measured> {
    let text = |value: &dyn Display| Some(Measured::Text(value.to_string()));
    let Ok(value) = record.value else { return Some(Measured::Invalid) };
    match value {
        Value::None => None,
        // "every year" is a rule for billing dates, no point in time
        Value::Invalid | Value::Periodic(_) => Some(Measured::Invalid),
        Value::Number(number) if is_text(quantity, modifiers) => text(&number),
        Value::Number(number) => Some(Measured::Number(number)),
        Value::Flags(flags) => Some(Measured::Number(Decimal::new(i128::from(flags), 0))),
        Value::Digits(digits) => text(&digits),
        Value::Text(characters) => text(&characters),
        Value::Date(date) => text(&date),
        Value::DateTime(moment) => text(&moment),
        Value::Time(time) => text(&time),
        Value::Identity(identity) => text(&identity),
        Value::Manufacturer(manufacturer) => text(&manufacturer),
        Value::Profile(_) | Value::Bytes(_) => Some(Measured::Text(hex(record.data))),
    }
}
