//! What holds of every record, whatever bytes it came from: an invalid value is never a number, a
//! number reads back from its digits, a value reads back from the bytes it is written to. The fuzz
//! targets hold records to the same.

use mbushat::mbus::application::dib::Coding;
use mbushat::mbus::application::record::DataRecord;
use mbushat::mbus::application::records::Records;
use mbushat::mbus::application::value::{self, DoesNotFit, Value};
use mbushat::mbus::application::vif::Kind;
use mbushat::mbus::decimal::Decimal;
use mbushat::mbus::octets::{ByteOrder, Octets};

/// Looks at a record of a telegram with this byte order. `from_meter` as in [`Records::new`].
///
/// # Panics
/// Where something does not hold.
pub(crate) fn check(record: &DataRecord<'_>, order: ByteOrder, from_meter: bool) {
    if record.dib.bytes.is_empty() {
        return; // a counter of the fixed structure
    }
    assert!(record.vib.modifiers().all(|modifier| modifier.name() != Some("")));
    let value = record.value;
    if is_marked_invalid(record, order) {
        assert!(!matches!(value, Ok(Value::Number(_) | Value::Digits(_) | Value::Date(_))), "{record:?}");
    }
    if let Ok(Value::Number(number)) = value {
        reads_back_from_its_digits(number);
    }
    if let Ok(Value::Profile(profile)) = value {
        assert!(profile.values(None).count() <= record.data.len());
    }
    let mut out = Vec::new();
    let written = write(record, order, &mut out);
    assert_eq!(written.is_ok(), is_writable(record), "{record:?}");
    if written.is_err() {
        return;
    }
    let mut again = Records::new(&out, order, from_meter);
    let back = again.next().expect("a record").expect("a whole one");
    assert_eq!((back.value, back.dib, back.vib), (value, record.dib, record.vib), "{out:02X?}");
    assert!(again.next().is_none());
    if is_exact(record) {
        assert_eq!(out, [record.dib.bytes, record.vib.bytes, record.data].concat(), "{record:?}");
    }
}

/// Appends the record: its two blocks as they are, and its data written again from the value.
pub(crate) fn write(record: &DataRecord<'_>, order: ByteOrder, out: &mut Vec<u8>) -> Result<(), DoesNotFit> {
    let value = record.value.map_err(|_| DoesNotFit)?;
    out.extend_from_slice(record.dib.bytes);
    out.extend_from_slice(record.vib.bytes);
    let lvar = record.data.first().copied().unwrap_or(0);
    value::write(record.dib.coding, lvar, &record.vib, &value, order, out)
}

/// Whether the data is the marker of "no value" that its type has (annex A).
fn is_marked_invalid(record: &DataRecord<'_>, order: ByteOrder) -> bool {
    let data = Octets::new(record.data, order);
    match (record.dib.coding, record.vib.kind) {
        (Coding::Bcd(_), _) => data.all_ones(),
        (Coding::Real, _) => data.array().is_some_and(|bytes| !f32::from_le_bytes(bytes).is_finite()),
        (Coding::Integer(_), Kind::Signed) => data.most_negative(),
        (Coding::Integer(_), Kind::Unsigned | Kind::Twelfth | Kind::Label) => data.all_ones(),
        (Coding::Integer(2), Kind::Moment) => data.all_ones(),
        _ => false,
    }
}

/// Plain digits without a superfluous zero, that are the number.
fn reads_back_from_its_digits(number: Decimal) {
    let text = number.to_string();
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    assert!(whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()), "{text}");
    assert!(whole == "0" || !whole.is_empty() && !whole.starts_with('0'), "{text}");
    assert!(!fraction.ends_with('0') && !text.ends_with('.') && text != "-0", "{text}");
    let all = format!("{whole}{fraction}");
    let significant = all.trim_end_matches('0');
    let exponent =
        i8::try_from(all.len() - significant.len()).expect("short") - i8::try_from(fraction.len()).expect("short");
    let mantissa: i128 = if significant.is_empty() { 0 } else { significant.parse().expect("digits") };
    let back = Decimal::new(if text.starts_with('-') { -mantissa } else { mantissa }, exponent);
    assert_eq!(back, number, "{text}");
}

/// Values without bytes of their own are not written: errors, moments that come again, one maker's
/// times in digits, and the floating point numbers that variable length data had until 2004.
fn is_writable(record: &DataRecord<'_>) -> bool {
    let Ok(value) = record.value else { return false };
    let variable = record.dib.coding == Coding::Variable;
    let old_real = variable
        && matches!(*record.data, [lvar @ 0xF1..=0xFA, ref rest @ ..] if rest.len() == usize::from(lvar & 0x0F));
    let long_marker = variable && record.data.len() > 17 && value == Value::Invalid;
    let in_digits = matches!((record.dib.coding, value), (Coding::Bcd(_), Value::DateTime(_)));
    !matches!(value, Value::Periodic(_)) && !in_digits && !old_real && !long_marker
}

/// Whether the value has one spelling alone: a date may have spare bits, a zero a sign.
fn is_exact(record: &DataRecord<'_>) -> bool {
    match record.value {
        Ok(Value::Number(_)) => !record.data.iter().all(|byte| matches!(byte, 0 | 0x80 | 0xF0)),
        Ok(Value::Invalid | Value::DateTime(_) | Value::Time(_) | Value::Periodic(_)) | Err(_) => false,
        Ok(_) => true,
    }
}
