//! Compact profiles: a series of values in one record (EN 13757-3 annex F), VIFE 13, 1E and 1F.

use core::fmt;

use crate::mbus::application::dib::Coding;
use crate::mbus::application::vife::ProfileKind;
use crate::mbus::decimal::Decimal;
use crate::mbus::octets::Octets;

/// A series of elements, still relative to the base value, which is another record: the one with
/// the same storage number, tariff, subunit and VIF without the profile VIFE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactProfile<'a> {
    /// Which way the series goes from its base.
    pub kind: ProfileKind,
    /// How an element relates to the one before.
    pub mode: Mode,
    /// Time from one element to the next.
    pub step: Step,
    octets: Octets<'a>,
    element: Coding,
    exponent: i8,
}

/// How elements are coded: bits 7 and 6 of the control byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each is a value of its own.
    Absolute,
    /// The younger value is larger by the element.
    Increments,
    /// The younger value is smaller by the element.
    Decrements,
    /// The younger value minus the older one, signed.
    Differences,
}

/// The time between elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This many seconds.
    Seconds(u32),
    /// Half a calendar month.
    HalfMonth,
    /// This many calendar months.
    Months(u8),
    /// An array with this many columns, no time series.
    Columns(u8),
    /// A reserved code.
    Reserved,
}

impl<'a> CompactProfile<'a> {
    /// From the data behind the LVAR; `None` where control byte and elements do not fit together.
    pub(crate) fn new(kind: ProfileKind, data: Octets<'a>, exponent: i8) -> Option<Self> {
        let &[control, spacing, ref elements @ ..] = data.wire() else {
            return None;
        };
        let element = Coding::from_field(control)?;
        if element.is_empty() || elements.len() % element.len() != 0 {
            return None;
        }
        let mode = match control >> 6 {
            0 => Mode::Absolute,
            1 => Mode::Increments,
            2 => Mode::Decrements,
            _ => Mode::Differences,
        };
        Some(Self { kind, mode, step: step(control, spacing), octets: data, element, exponent })
    }

    /// All bytes behind the LVAR: control, spacing, elements.
    #[must_use]
    pub const fn octets(self) -> Octets<'a> {
        self.octets
    }

    /// The values, from the base outwards, scaled like the base. An invalid element is `None`; in
    /// the relative modes it ends the series, because nothing after it can be known. `base` is the
    /// value of the base record; without it only absolute elements can be read.
    pub fn values(self, base: Option<Decimal>) -> impl Iterator<Item = Option<Decimal>> + use<'a> {
        let mut current = base;
        let mut ended = false;
        let elements = self.octets.wire().get(2..).unwrap_or_default();
        elements.chunks_exact(self.element.len().max(1)).map_while(move |chunk| {
            if ended {
                return None;
            }
            let element = self.element_of(Octets::new(chunk, self.octets.order()));
            if self.mode == Mode::Absolute {
                return Some(element);
            }
            let next = current
                .zip(element)
                .and_then(|(now, by)| now.checked_add(if self.older_is_less() { negated(by)? } else { by }));
            current = next;
            ended = next.is_none();
            Some(next)
        })
    }

    /// Whether an element is to be taken away: backwards over growth, or forwards over decline.
    fn older_is_less(self) -> bool {
        let growth = self.mode != Mode::Decrements;
        growth == (self.kind == ProfileKind::Inverse)
    }

    fn element_of(self, data: Octets<'_>) -> Option<Decimal> {
        let raw = match self.element {
            Coding::Integer(_) if matches!(self.mode, Mode::Increments | Mode::Decrements) => {
                if data.all_ones() {
                    return None;
                }
                i128::try_from(data.unsigned()?).ok()?
            }
            Coding::Integer(_) => {
                if data.most_negative() {
                    return None;
                }
                data.signed()?
            }
            Coding::Bcd(_) => data.ascending().rev().try_fold(0_i128, |n, byte| {
                let (tens, ones) = (byte >> 4, byte & 0x0F);
                (tens <= 9 && ones <= 9).then(|| n * 100 + i128::from(10 * tens + ones))
            })?,
            Coding::Real => return Decimal::from_f32(f32::from_le_bytes(data.array()?))?.shift(self.exponent),
            Coding::None | Coding::Selection | Coding::Variable => return None,
        };
        Decimal::new(raw, 0).shift(self.exponent)
    }
}

fn negated(value: Decimal) -> Option<Decimal> {
    Some(Decimal::new(value.mantissa().checked_neg()?, value.exponent()))
}

/// Bits 5 and 4 of the control byte are the unit, the second byte the number of units.
fn step(control: u8, spacing: u8) -> Step {
    let unit = (control >> 4) & 3;
    let seconds = [1, 60, 3600, 86_400].get(usize::from(unit)).copied().unwrap_or(1);
    match (spacing, unit) {
        (0, _) => Step::Columns(unit + 1),
        (1..=250, _) => Step::Seconds(u32::from(spacing) * seconds),
        (253, 3) => Step::HalfMonth,
        (254, 1) => Step::Months(6),
        (254, 2) => Step::Months(3),
        (254, 3) => Step::Months(1),
        _ => Step::Reserved,
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Seconds(n) => write!(f, "{n} s"),
            Self::HalfMonth => f.write_str("half a month"),
            Self::Months(n) => write!(f, "{n} month{}", if n == 1 { "" } else { "s" }),
            Self::Columns(n) => write!(f, "{n} columns"),
            Self::Reserved => f.write_str("reserved"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CompactProfile, Decimal, Mode, Octets, ProfileKind, Step};
    use crate::mbus::octets::ByteOrder;

    fn values(kind: ProfileKind, data: &[u8], base: i64) -> Vec<Option<i128>> {
        let profile = CompactProfile::new(kind, Octets::new(data, ByteOrder::LeastFirst), 0).expect("a profile");
        profile.values(Some(base.into())).map(|v| v.map(Decimal::mantissa)).collect()
    }

    #[test]
    fn increments_are_taken_from_the_base_going_back_in_time() {
        let data = [0x72, 0xFE, 0x02, 0x01, 0x4C, 0x01, 0xD6, 0x00, 0x90, 0x00];
        let profile =
            CompactProfile::new(ProfileKind::Inverse, Octets::new(&data, ByteOrder::LeastFirst), 0).expect("ok");
        assert_eq!((profile.mode, profile.step), (Mode::Increments, Step::Months(1)));
        assert_eq!(values(ProfileKind::Inverse, &data, 1013), [Some(755), Some(423), Some(209), Some(65)]);
        assert_eq!(values(ProfileKind::Forward, &data, 0), [Some(258), Some(590), Some(804), Some(948)]);
    }

    #[test]
    fn register_numbers_rise_from_that_of_the_base() {
        // 4-byte integers, absolute, a month apart
        let data = [0x34, 0xFE, 0xA0, 0x86, 0x01, 0x00, 0x00, 0x00, 0x00, 0x80, 0xD0, 0xFB, 0x01, 0x00];
        let profile =
            CompactProfile::new(ProfileKind::Registers, Octets::new(&data, ByteOrder::LeastFirst), 0).expect("ok");
        assert_eq!((profile.mode, profile.step), (Mode::Absolute, Step::Months(1)));
        assert_eq!(values(ProfileKind::Registers, &data, 150_000), [Some(100_000), None, Some(130_000)]);
        assert_eq!(values(ProfileKind::Registers, &[0x71, 1, 3, 4], 10), [Some(13), Some(17)]);
    }

    #[test]
    fn an_invalid_element_ends_a_relative_series_but_not_an_absolute_one() {
        assert_eq!(values(ProfileKind::Inverse, &[0x71, 1, 3, 0xFF, 4], 10), [Some(7), None]);
        assert_eq!(values(ProfileKind::Inverse, &[0x31, 1, 3, 0x80, 4], 10), [Some(3), None, Some(4)]);
        assert_eq!(values(ProfileKind::Inverse, &[0xF1, 1, 0xFD, 2], 10), [Some(13), Some(11)]);
        assert_eq!(values(ProfileKind::Inverse, &[0xB1, 1, 3], 10), [Some(13)]);
    }

    #[test]
    fn elements_that_do_not_fill_the_data_give_none() {
        for data in [&[][..], &[0x72], &[0x72, 1, 2], &[0x7D, 1, 2], &[0x7F, 1, 2], &[0x70, 1]] {
            let profile = CompactProfile::new(ProfileKind::Inverse, Octets::new(data, ByteOrder::LeastFirst), 0);
            assert_eq!(profile, None, "{data:02X?}");
        }
    }
}
