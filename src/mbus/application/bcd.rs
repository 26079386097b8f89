//! Binary coded decimals, type A (EN 13757-3 annex A): two digits a byte, least significant byte
//! first, and where the minus sign is.

use crate::mbus::octets::{ByteOrder, Octets, push_integer};

/// Where the sign of a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// A most significant digit F is a minus sign.
    InTopDigit,
    /// An LVAR has said that the number is positive.
    Plus,
    /// An LVAR has said that the number is negative.
    Minus,
}

/// The number; `None` where a nibble is not a digit, or beyond the 9 bytes of the longest LVAR.
pub(crate) fn read(data: Octets<'_>, sign: Sign) -> Option<i64> {
    let packed = data.unsigned().filter(|_| data.len() <= 9)?;
    let minus = sign == Sign::InTopDigit && data.most_significant().is_some_and(|top| top >> 4 == 0xF);
    let digits = if minus { packed & !(0xF << (8 * data.len() - 4)) } else { packed };
    let number = unpacked(digits)?;
    Some(if minus || sign == Sign::Minus { -number } else { number })
}

/// The number whose decimal digits are the nibbles; `None` where one is not a digit.
fn unpacked(packed: u128) -> Option<i64> {
    let (mut rest, mut number, mut weight) = (u64::try_from(packed & u128::from(u64::MAX)).ok()?, 0, 1);
    while rest != 0 {
        let digit = i64::try_from(rest & 0xF).ok().filter(|digit| *digit <= 9)?;
        number += digit * weight;
        // past the sixteenth digit the weight is not used any more
        (rest, weight) = (rest >> 4, weight * 10);
    }
    match u8::try_from(packed >> 64).ok()? {
        0 => Some(number),
        high if high >> 4 <= 9 && high & 0xF <= 9 => {
            Some(number + i64::from(10 * (high >> 4) + (high & 0xF)) * 10_000_000_000_000_000)
        }
        _ => None,
    }
}

/// Appends `len` bytes; `None` where the number has more digits or another sign than they hold.
pub(crate) fn write(number: i128, len: usize, sign: Sign, order: ByteOrder, out: &mut Vec<u8>) -> Option<()> {
    // the minus sign takes the place of the top digit, except with an LVAR, which has it
    let minus = number < 0 && sign == Sign::InTopDigit;
    let mut rest = number.unsigned_abs();
    let mut packed = 0_u128;
    for index in 0..2 * len - usize::from(minus) {
        packed |= (rest % 10) << (4 * index);
        rest /= 10;
    }
    let wrong_sign = (number < 0 && sign == Sign::Plus) || (number > 0 && sign == Sign::Minus);
    if rest != 0 || wrong_sign {
        return None;
    }
    if minus {
        packed |= 0xF << (8 * len - 4);
    }
    push_integer(out, i128::from_le_bytes(packed.to_le_bytes()), len, order);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{ByteOrder, Octets, Sign, read, write};

    fn number(bytes: &[u8], sign: Sign) -> Option<i64> {
        read(Octets::new(bytes, ByteOrder::LeastFirst), sign)
    }

    #[test]
    fn numbers_read_back_as_written() {
        for (bytes, sign, value) in [
            (&[0x32_u8, 0xF1][..], Sign::InTopDigit, -132),
            (&[0x45, 0x23, 0x01, 0xF0], Sign::InTopDigit, -12_345),
            (&[0x99], Sign::InTopDigit, 99),
            (&[0x99; 6], Sign::InTopDigit, 999_999_999_999),
            (&[0x56, 0x34, 0x12], Sign::Plus, 123_456),
            (&[0x21, 0x43], Sign::Minus, -4321),
            (&[0x99; 9], Sign::Plus, 999_999_999_999_999_999),
            (&[0x99; 8], Sign::Minus, -9_999_999_999_999_999),
        ] {
            assert_eq!(number(bytes, sign), Some(value), "{bytes:02X?}");
            for order in [ByteOrder::LeastFirst, ByteOrder::MostFirst] {
                let mut out = Vec::new();
                assert_eq!(write(value.into(), bytes.len(), sign, order, &mut out), Some(()));
                assert_eq!(read(Octets::new(&out, order), sign), Some(value));
            }
        }
    }

    #[test]
    fn a_nibble_beyond_nine_is_no_digit() {
        for bytes in [&[0x5A_u8, 0xE1][..], &[0xF1, 0x00], &[0x1F], &[0, 0, 0, 0, 0, 0, 0, 0, 0xA1], &[0; 10]] {
            assert_eq!(number(bytes, Sign::InTopDigit), None, "{bytes:02X?}");
        }
        assert_eq!(number(&[0x00, 0xF1], Sign::Minus), None, "an LVAR leaves no room for a second sign");
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        for (value, len, sign) in
            [(100, 1, Sign::InTopDigit), (-100, 1, Sign::InTopDigit), (-1, 1, Sign::Plus), (1, 1, Sign::Minus)]
        {
            assert_eq!(write(value, len, sign, ByteOrder::LeastFirst, &mut Vec::new()), None);
        }
    }
}
