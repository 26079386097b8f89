//! Exact decimals: an integer times a power of ten, the only number a meter value ever is.
//!
//! Nothing here touches a binary float except [`Decimal::from_f32`], which keeps the shortest
//! decimal that reads back as the same real32.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

/// `mantissa` × 10^`exponent`, compared and hashed by value (5e1 equals 50).
///
/// The mantissa holds any 64-bit integer, any 18-digit BCD and any LVAR number up to 16 bytes;
/// the exponent of a meter value lies within −60..=60.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decimal {
    mantissa: i128,
    exponent: i8,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Decimal = Decimal { mantissa: 0, exponent: 0 };

    /// `mantissa` × 10^`exponent`.
    #[must_use]
    pub const fn new(mantissa: i128, exponent: i8) -> Self {
        Self { mantissa, exponent }
    }

    /// The integer as given or computed; not reduced.
    #[must_use]
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// The power of ten that goes with [`mantissa`](Self::mantissa).
    #[must_use]
    pub const fn exponent(self) -> i8 {
        self.exponent
    }

    /// The shortest decimal that reads back as the same real32; `None` for NaN and infinities
    /// (EN 13757-3 type H: no value).
    #[must_use]
    pub fn from_f32(real: f32) -> Option<Self> {
        if !real.is_finite() {
            return None;
        }
        if let Some(short) = short_real(real) {
            return Some(short);
        }
        let mut text = Digits::default();
        fmt::Write::write_fmt(&mut text, format_args!("{real:e}")).ok()?;
        text.parse()
    }

    /// The same value with its decimal point moved: × 10^`places`. `None` past ±127.
    #[must_use]
    pub fn shift(self, places: i8) -> Option<Self> {
        let exponent = self.exponent.checked_add(places)?;
        Some(Self { exponent, ..self })
    }

    /// The value as an integer; `None` where it has digits after the point or does not fit.
    #[must_use]
    pub fn to_integer(self) -> Option<i128> {
        self.reduced().at(0)
    }

    /// Exact product; `None` where it does not fit.
    #[must_use]
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let (a, b) = (self.reduced(), other.reduced());
        Some(Self { mantissa: a.mantissa.checked_mul(b.mantissa)?, exponent: a.exponent.checked_add(b.exponent)? })
    }

    /// Exact sum; `None` where it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let mantissa = self.at(exponent)?.checked_add(other.at(exponent)?)?;
        Some(Self { mantissa, exponent })
    }

    /// Quotient by an integer, exact where ten divides it out, else rounded half away from zero
    /// to `places` digits after the point. `None` for a zero divisor or where it does not fit.
    #[must_use]
    pub fn div_rounded(self, divisor: i128, places: i8) -> Option<Self> {
        if divisor == 0 {
            return None;
        }
        let exponent = places.checked_neg()?;
        let reduced = self.reduced();
        if reduced.exponent > exponent {
            return round_div(reduced.at(exponent)?, divisor, exponent);
        }
        let more = 10_i128.checked_pow(u32::try_from(i16::from(exponent) - i16::from(reduced.exponent)).ok()?)?;
        round_div(reduced.mantissa, divisor.checked_mul(more)?, exponent)
    }

    /// Without trailing zeros in the mantissa: one form for each value.
    #[must_use]
    pub fn reduced(self) -> Self {
        let Self { mut mantissa, mut exponent } = self;
        if mantissa == 0 {
            return Self::ZERO;
        }
        while mantissa % 10 == 0 && exponent < i8::MAX {
            mantissa /= 10;
            exponent += 1;
        }
        Self { mantissa, exponent }
    }

    /// The mantissa at a smaller or equal exponent.
    fn at(self, exponent: i8) -> Option<i128> {
        let places = u32::try_from(i16::from(self.exponent) - i16::from(exponent)).ok()?;
        if self.mantissa == 0 {
            return Some(0);
        }
        self.mantissa.checked_mul(10_i128.checked_pow(places)?)
    }
}

/// The shortest decimal of a real32 of a meter's usual size, by integers alone: the first number of
/// places at which the nearest decimal lies within half a unit of the last bit. `None` for what is
/// too large, too small, or on the border of a power of two, where that half is a quarter.
fn short_real(real: f32) -> Option<Decimal> {
    let bits = real.to_bits();
    let mantissa = u64::from((bits & 0x7F_FFFF) | 0x80_0000);
    // the value is mantissa / 2^halvings
    let halvings = 150_u32.checked_sub((bits >> 23) & 0xFF).filter(|n| *n <= 40)?;
    if mantissa == 0x80_0000 {
        return None;
    }
    let mut ten = 1_u64;
    for places in 0..=12_i8 {
        let scaled = mantissa * ten;
        let digits = (scaled + ((1_u64 << halvings) >> 1)) >> halvings;
        let off = (digits << halvings).abs_diff(scaled);
        if 2 * off < ten {
            let digits = i128::from(digits);
            return Some(Decimal::new(if real < 0.0 { -digits } else { digits }, -places));
        }
        ten *= 10;
    }
    None
}

fn round_div(value: i128, divisor: i128, exponent: i8) -> Option<Decimal> {
    let (quotient, rest) = (value.checked_div(divisor)?, value.checked_rem(divisor)?);
    let up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    let away = if (value < 0) == (divisor < 0) { 1 } else { -1 };
    Some(Decimal { mantissa: if up { quotient.checked_add(away)? } else { quotient }, exponent })
}

impl From<i64> for Decimal {
    fn from(integer: i64) -> Self {
        Self::new(i128::from(integer), 0)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl core::hash::Hash for Decimal {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let reduced = self.reduced();
        (reduced.mantissa, reduced.exponent).hash(state);
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let exponent = self.exponent.min(other.exponent);
        match (self.at(exponent), other.at(exponent)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // one side is beyond 38 digits at the other's exponent: it is the larger in magnitude
            (None, _) => self.mantissa.cmp(&0),
            (_, None) => 0.cmp(&other.mantissa),
        }
    }
}

impl fmt::Display for Decimal {
    /// Plain digits, as few as say the value: `0.05`, `-12`, `35000`; never an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mantissa, exponent } = self.reduced();
        let digits = mantissa.unsigned_abs();
        if mantissa < 0 {
            f.write_str("-")?;
        }
        if exponent >= 0 {
            write!(f, "{digits}")?;
            return (0..exponent).try_for_each(|_| f.write_str("0"));
        }
        let places = usize::from(exponent.unsigned_abs());
        match 10_u128.checked_pow(u32::from(exponent.unsigned_abs())) {
            Some(one) => write!(f, "{}.{:0places$}", digits / one, digits % one),
            None => write!(f, "0.{digits:0places$}"),
        }
    }
}

/// What a decimal text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADecimal;

impl fmt::Display for NotADecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a decimal number such as 0.001 or -25 with at most 30 digits")
    }
}

impl core::error::Error for NotADecimal {}

impl FromStr for Decimal {
    type Err = NotADecimal;

    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let dangling = whole.is_empty() || (digits.contains('.') && fraction.is_empty());
        if dangling || whole.len() + fraction.len() > 30 {
            return Err(NotADecimal);
        }
        let mut mantissa: i128 = 0;
        for c in whole.chars().chain(fraction.chars()) {
            mantissa = mantissa * 10 + i128::from(c.to_digit(10).ok_or(NotADecimal)?);
        }
        let exponent = i8::try_from(fraction.len()).map_err(|_| NotADecimal)?;
        Ok(Self { mantissa: if negative { -mantissa } else { mantissa }, exponent: -exponent })
    }
}

/// A stack buffer for the digits of one real32 (`-1.17549435e-38` is the longest kind).
#[derive(Default)]
struct Digits {
    text: [u8; 32],
    len: usize,
}

impl fmt::Write for Digits {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();
        self.text.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl Digits {
    fn parse(&self) -> Option<Decimal> {
        let text = core::str::from_utf8(self.text.get(..self.len)?).ok()?;
        let (digits, exponent) = text.split_once('e')?;
        digits.parse::<Decimal>().ok()?.shift(exponent.parse().ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, short_real};

    fn dec(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    #[test]
    fn prints_as_few_digits_as_say_the_value() {
        for (mantissa, exponent, text) in [
            (5, -2, "0.05"),
            (500, -2, "5"),
            (-123, -1, "-12.3"),
            (7, 3, "7000"),
            (0, 5, "0"),
            (i128::from(i64::MIN), 0, "-9223372036854775808"),
            (1, -45, "0.000000000000000000000000000000000000000000001"),
        ] {
            assert_eq!(Decimal::new(mantissa, exponent).to_string(), text);
        }
    }

    #[test]
    fn a_real32_keeps_the_shortest_decimal_that_reads_back() {
        for real in [0.1_f32, -12.5, 230.1, 1e-10, f32::MAX, f32::MIN_POSITIVE, 0.0, 16_777_216.0] {
            let text = Decimal::from_f32(real).expect("finite").to_string();
            assert_eq!(text.parse::<f32>().expect("a number"), real);
        }
        assert_eq!(Decimal::from_f32(230.1).map(|d| d.to_string()).as_deref(), Some("230.1"));
        assert_eq!(Decimal::from_f32(f32::NAN), None);
        assert_eq!(Decimal::from_f32(f32::INFINITY), None);
    }

    #[test]
    fn the_quick_way_to_the_shortest_decimal_is_the_standard_librarys() {
        let mut bits = 0x4366_199A_u32;
        let mut quick = 0;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // from 2^-16 to 2^24, both signs
            let real = f32::from_bits((bits & 0x807F_FFFF) | ((111 + (bits >> 8) % 40) << 23));
            let Some(short) = short_real(real) else { continue };
            quick += 1;
            assert_eq!(short.to_string(), real.to_string());
        }
        assert!(quick > 190_000, "{quick}");
        assert_eq!(short_real(0.1).map(|d| d.to_string()).as_deref(), Some("0.1"));
    }

    #[test]
    fn compares_by_value() {
        assert_eq!(Decimal::new(50, -1), Decimal::new(5, 0));
        assert!(Decimal::new(1, 120) > Decimal::new(i128::MAX, 0));
        assert!(Decimal::new(-1, 120) < Decimal::new(i128::MIN, 0));
        assert!(dec("-0.05") < dec("0.049"));
    }

    #[test]
    fn arithmetic_is_exact_or_says_no() {
        assert_eq!(dec("0.1").checked_add(dec("0.2")), Some(dec("0.3")));
        assert_eq!(dec("1.5").checked_mul(dec("-0.02")), Some(dec("-0.03")));
        assert_eq!(Decimal::new(i128::MAX, 0).checked_mul(dec("3")), None);
        // 1 MJ/h is 277.777... W, to the mW
        assert_eq!(dec("1000000").div_rounded(3600, 3), Some(dec("277.778")));
        assert_eq!(dec("-1000000").div_rounded(3600, 3), Some(dec("-277.778")));
        assert_eq!(dec("1000000").div_rounded(-3600, 3), Some(dec("-277.778")));
        assert_eq!(dec("-1000000").div_rounded(-3600, 3), Some(dec("277.778")));
        assert_eq!(dec("7.5").div_rounded(5, 1), Some(dec("1.5")));
        assert_eq!(dec("1").div_rounded(0, 1), None);
        // half goes away from zero
        for (value, rounded) in [("1", "1"), ("-1", "-1"), ("5", "3"), ("0.9", "0"), ("-0.9", "0")] {
            assert_eq!(dec(value).div_rounded(2, 0).map(|n| n.to_string()).as_deref(), Some(rounded), "{value} / 2");
        }
    }

    #[test]
    fn text_that_is_no_decimal_is_refused() {
        for text in ["", "-", ".", "1.", ".5", "1e3", "1 ", "٣", "1.2.3", "+1", &"9".repeat(31)] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }
}
