//! From a value to the data of a record: the inverse of reading it.

use core::fmt;

use crate::mbus::application::bcd::{self, Sign};
use crate::mbus::application::dib::Coding;
use crate::mbus::application::lvar::Lvar;
use crate::mbus::application::value::Value;
use crate::mbus::application::vib::Vib;
use crate::mbus::application::vif::Kind;
use crate::mbus::decimal::Decimal;
use crate::mbus::octets::{ByteOrder, push_integer};

/// A value that the coding of a record does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoesNotFit;

impl fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this coding does not hold the value")
    }
}

impl core::error::Error for DoesNotFit {}

/// Appends the data of a record: the inverse of reading it. `lvar` is the LVAR byte of
/// [`Coding::Variable`] data and is not looked at otherwise.
///
/// # Errors
/// [`DoesNotFit`]: too large, too many decimals, or of another kind than the coding and the VIF
/// allow.
pub fn write(
    coding: Coding,
    lvar: u8,
    vib: &Vib<'_>,
    value: &Value<'_>,
    order: ByteOrder,
    out: &mut Vec<u8>,
) -> Result<(), DoesNotFit> {
    match coding {
        Coding::None | Coding::Selection => matches!(value, Value::None).then_some(()).ok_or(DoesNotFit),
        Coding::Integer(len) => write_integer(usize::from(len), vib, value, order, out),
        Coding::Bcd(len) => write_bcd(usize::from(len), None, vib, value, order, out),
        Coding::Real => write_real(vib, value, order, out),
        Coding::Variable => write_variable(lvar, vib, value, order, out),
    }
}

fn write_integer(
    len: usize,
    vib: &Vib<'_>,
    value: &Value<'_>,
    order: ByteOrder,
    out: &mut Vec<u8>,
) -> Result<(), DoesNotFit> {
    let unsigned = !matches!(vib.kind, Kind::Signed | Kind::Opaque | Kind::Container | Kind::Moment);
    let bits = u32::try_from(8 * len).map_err(|_| DoesNotFit)?;
    match value {
        Value::Number(number) => {
            let integer = unscaled(vib, *number)?.to_integer().ok_or(DoesNotFit)?;
            // the marker of "no value" is not a number, but only the manufacturer knows its own markers
            let lowest = if matches!(vib.kind, Kind::Opaque | Kind::Container) { bits } else { bits - 1 };
            let fits = match (bits, unsigned) {
                // 16 bytes hold whatever an i128 holds
                (128.., _) => true,
                (_, true) => integer >= 0 && integer >> bits == 0 && integer != (1 << bits) - 1,
                (_, false) => matches!(integer >> (bits - 1), 0 | -1) && integer != -(1 << lowest),
            };
            if !fits {
                return Err(DoesNotFit);
            }
            push_integer(out, integer, len, order);
            Ok(())
        }
        Value::Flags(flags) => {
            if bits < 64 && flags >> bits != 0 {
                return Err(DoesNotFit);
            }
            push_integer(out, i128::from(*flags), len, order);
            Ok(())
        }
        Value::Date(date) if len == 2 => push(&date.to_g(), order, out),
        Value::DateTime(at) if len == 6 => push(&at.to_i(), order, out),
        Value::DateTime(at) if len == 4 => push(&at.to_f(), order, out),
        Value::Time(time) if len == 3 => push(&time.to_j(), order, out),
        Value::Identity(id) if len == 8 => {
            out.extend(id.to_wire());
            Ok(())
        }
        Value::Manufacturer(code) if len == 2 => {
            push_integer(out, i128::from(code.0), len, order);
            Ok(())
        }
        Value::Invalid => {
            let ones = unsigned || (vib.kind == Kind::Moment && matches!(len, 2 | 3));
            let marker = match (ones, vib.kind, len) {
                (true, ..) => -1,
                (false, Kind::Moment, 6) => 0x8000,
                (false, Kind::Moment, 4) => 0x80,
                _ => i128::MIN >> (128 - bits.clamp(1, 128)),
            };
            push_integer(out, marker, len, order);
            Ok(())
        }
        _ => Err(DoesNotFit),
    }
}

/// Appends bytes that stand least significant first.
fn push(bytes: &[u8], order: ByteOrder, out: &mut Vec<u8>) -> Result<(), DoesNotFit> {
    match order {
        ByteOrder::LeastFirst => out.extend_from_slice(bytes),
        ByteOrder::MostFirst => out.extend(bytes.iter().rev()),
    }
    Ok(())
}

fn write_bcd(
    len: usize,
    lvar: Option<bool>,
    vib: &Vib<'_>,
    value: &Value<'_>,
    order: ByteOrder,
    out: &mut Vec<u8>,
) -> Result<(), DoesNotFit> {
    let number = match value {
        Value::Number(number) => unscaled(vib, *number)?.to_integer().ok_or(DoesNotFit)?,
        Value::Digits(digits) if digits.octets().len() == len => {
            out.extend_from_slice(digits.octets().wire());
            return Ok(());
        }
        Value::Invalid => {
            out.extend(core::iter::repeat_n(0xFF, len));
            return Ok(());
        }
        _ => return Err(DoesNotFit),
    };
    let sign = match lvar {
        None => Sign::InTopDigit,
        Some(true) => Sign::Minus,
        Some(false) => Sign::Plus,
    };
    bcd::write(number, len, sign, order, out).ok_or(DoesNotFit)
}

fn write_real(vib: &Vib<'_>, value: &Value<'_>, order: ByteOrder, out: &mut Vec<u8>) -> Result<(), DoesNotFit> {
    let real = match value {
        Value::Number(number) => {
            let raw = unscaled(vib, *number)?;
            raw.to_string().parse::<f32>().map_err(|_| DoesNotFit)?
        }
        Value::Invalid => f32::NAN,
        _ => return Err(DoesNotFit),
    };
    if !real.is_finite() && *value != Value::Invalid {
        return Err(DoesNotFit);
    }
    push_integer(out, i128::from(real.to_bits()), 4, order);
    Ok(())
}

fn write_variable(
    lvar: u8,
    vib: &Vib<'_>,
    value: &Value<'_>,
    order: ByteOrder,
    out: &mut Vec<u8>,
) -> Result<(), DoesNotFit> {
    let form = Lvar::of(lvar).ok_or(DoesNotFit)?;
    out.push(lvar);
    match (form, value) {
        (Lvar::Text(len), Value::Text(text)) if text.octets().len() == len => {
            out.extend_from_slice(text.octets().wire());
            Ok(())
        }
        (form, Value::Bytes(bytes)) if bytes.len() == form.len() => {
            out.extend_from_slice(bytes.wire());
            Ok(())
        }
        (form, Value::Profile(profile)) if profile.octets().len() == form.len() => {
            out.extend_from_slice(profile.octets().wire());
            Ok(())
        }
        (form, Value::None) if form.len() == 0 => Ok(()),
        (Lvar::Bcd(len, minus), _) if len > 0 => write_bcd(len, Some(minus), vib, value, order, out),
        (Lvar::Binary(len @ 1..=16), _) => write_integer(len, vib, value, order, out),
        _ => Err(DoesNotFit),
    }
}

/// The number before it was scaled.
fn unscaled(vib: &Vib<'_>, value: Decimal) -> Result<Decimal, DoesNotFit> {
    let mut value = value;
    if let Some(places) = vib.offset {
        value = value.checked_add(Decimal::new(-1, places)).ok_or(DoesNotFit)?;
    }
    if vib.kind == Kind::Twelfth {
        value = value.checked_mul(Decimal::new(4096, 0)).ok_or(DoesNotFit)?;
    }
    value.shift(vib.exponent.checked_neg().ok_or(DoesNotFit)?).ok_or(DoesNotFit)
}

#[cfg(test)]
mod tests {
    use super::{ByteOrder, Coding, Decimal, DoesNotFit, Value, Vib, write};
    use crate::mbus::application::value::read;
    use crate::mbus::octets::Octets;

    fn written(coding: Coding, vib: &[u8], value: &Value<'_>) -> Result<Vec<u8>, DoesNotFit> {
        let (vib, _) = Vib::parse(vib, ByteOrder::LeastFirst).expect("a block");
        let mut out = Vec::new();
        write(coding, 0xE2, &vib, value, ByteOrder::LeastFirst, &mut out).map(|()| out)
    }

    #[test]
    fn what_a_coding_does_not_hold_is_refused() {
        let number = |mantissa, exponent| Value::Number(Decimal::new(mantissa, exponent));
        // 1 litre is the step of VIF 13
        assert_eq!(written(Coding::Integer(1), &[0x13], &number(-127, -3)), Ok(vec![0x81]));
        assert_eq!(written(Coding::Integer(1), &[0x7F], &number(-128, 0)), Ok(vec![0x80]));
        assert_eq!(written(Coding::Integer(1), &[0x78], &number(254, 0)), Ok(vec![0xFE]));
        assert_eq!(written(Coding::Integer(1), &[0x78], &number(255, 0)), Err(DoesNotFit));
        for (coding, value) in [
            (Coding::Integer(1), number(1, -4)),
            (Coding::Integer(1), number(128, -3)),
            (Coding::Integer(1), number(-128, -3)),
            (Coding::Integer(8), number(1, 30)),
            (Coding::Bcd(1), number(100, -3)),
            (Coding::Real, number(1, 60)),
            (Coding::None, number(0, 0)),
            (Coding::Integer(1), Value::Flags(0x100)),
            (Coding::Variable, number(1 << 15, -3)),
            (Coding::Integer(2), Value::None),
        ] {
            assert_eq!(written(coding, &[0x13], &value), Err(DoesNotFit), "{coding:?} {value:?}");
        }
    }

    #[test]
    fn every_coding_has_a_marker_for_no_value() {
        for (coding, vif) in [
            (Coding::Integer(1), &[0x13_u8][..]),
            (Coding::Integer(1), &[0x6D]),
            (Coding::Integer(8), &[0x6D]),
            (Coding::Integer(8), &[0x13]),
            (Coding::Integer(16), &[0x13]),
            (Coding::Integer(4), &[0x78]),
            (Coding::Integer(2), &[0x6C]),
            (Coding::Integer(3), &[0x6D]),
            (Coding::Integer(4), &[0x6D]),
            (Coding::Integer(6), &[0x6D]),
            (Coding::Bcd(4), &[0x13]),
            (Coding::Real, &[0x2B]),
        ] {
            let bytes = written(coding, vif, &Value::Invalid).expect("a marker");
            let (vib, _) = Vib::parse(vif, ByteOrder::LeastFirst).expect("a block");
            let back = read(coding, vib.scaling(), Octets::new(&bytes, ByteOrder::LeastFirst));
            assert_eq!(back, Ok(Value::Invalid), "{coding:?} {vif:02X?} {bytes:02X?}");
        }
    }

    #[test]
    fn rating_factors_count_in_parts_of_4096() {
        let bytes = [0x00, 0x18];
        let (vib, _) = Vib::parse(&[0xFB, 0x68], ByteOrder::LeastFirst).expect("a block");
        let value =
            read(Coding::Integer(2), vib.scaling(), Octets::new(&bytes, ByteOrder::LeastFirst)).expect("a value");
        assert_eq!(value, Value::Number(Decimal::new(15, -1)));
        assert_eq!(written(Coding::Integer(2), &[0xFB, 0x68], &value), Ok(bytes.to_vec()));
    }
}
