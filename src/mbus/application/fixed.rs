//! The fixed data structure of the 1990s (CI 73 and 77, EN 1434-3; EN 13757-3 until 2004): 16 bytes
//! with two counters and no VIFs.

use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::dib::Coding;
use crate::mbus::application::header::Status;
use crate::mbus::application::quantity::{Known, Unit};
use crate::mbus::application::record::{DataRecord, plain_dib, plain_vib};
use crate::mbus::octets::ByteOrder;

/// Bytes of the structure. A compact frame (the CI 73 of today) of this size would hold no value.
pub const LEN: usize = 16;
/// Unit code of the second counter: the unit of the first one, at a set day.
const SAME_HISTORIC: u8 = 0x3E;

/// A fixed structure taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed<'a> {
    /// The identification number, eight BCD digits.
    pub id: u32,
    /// Counts the replies.
    pub access_number: u8,
    /// Bits 0 and 1 are of this structure, the others as in any status byte.
    pub status: u8,
    /// The medium in the codes of this structure (0 to 15).
    pub medium: u8,
    units: &'a [u8; 2],
    counters: [&'a [u8]; 2],
    order: ByteOrder,
}

impl<'a> Fixed<'a> {
    /// From exactly [`LEN`] bytes.
    pub(crate) fn parse(data: &'a [u8], order: ByteOrder) -> Option<Self> {
        let (&id, rest) = data.split_first_chunk::<4>()?;
        let (&[access_number, status], rest) = rest.split_first_chunk::<2>()?;
        let (units, rest) = rest.split_first_chunk::<2>()?;
        let (first, second) = rest.split_at_checked(4).filter(|(_, second)| second.len() == 4)?;
        let id = if order == ByteOrder::MostFirst { u32::from_be_bytes(id) } else { u32::from_le_bytes(id) };
        let [a, b] = *units;
        let medium = (a >> 6) | ((b >> 6) << 2);
        Some(Self { id, access_number, status, medium, units, counters: [first, second], order })
    }

    /// The status as other telegrams have it: without the two bits of this structure.
    #[must_use]
    pub const fn common_status(&self) -> Status {
        Status(self.status & !3)
    }

    /// Who answers, as far as this structure says it.
    #[must_use]
    pub const fn identity(&self) -> SecondaryAddress {
        SecondaryAddress::of_fixed(self.id, self.device_type())
    }

    /// The device type of the long header that means the same; `None` for the reserved codes.
    #[must_use]
    pub const fn device_type(&self) -> Option<u8> {
        Some(match self.medium {
            // 0 to 8 were taken over
            code @ 0..=8 => code,
            0xA => 0x03,
            0xB => 0x04,
            0xC => 0x06,
            0xD => 0x07,
            0xE => 0x08,
            _ => return None,
        })
    }

    /// The counter at `index`, 0 or 1. A historic one has storage number 1.
    pub(crate) fn counter(&self, index: usize) -> Option<DataRecord<'a>> {
        let (own, code) = (self.units[0], self.units.get(index..=index)?);
        let historic = index == 1 && self.units[1] & 0x3F == SAME_HISTORIC;
        let (quantity, name, exponent) = unit(0x3F & if historic { own } else { *code.first()? });
        let coding = if self.status & 1 == 0 { Coding::Bcd(4) } else { Coding::Integer(4) };
        let storage = u64::from(historic || self.status & 2 != 0);
        let vib = plain_vib(code, quantity, name, exponent);
        Some(DataRecord::of_counter(index, plain_dib(coding, storage), vib, self.counters.get(index)?, self.order))
    }
}

/// The unit codes 00 to 3F: three decades of each unit, in order. Dates and times (00, 01) are
/// passed on as numbers.
fn unit(code: u8) -> (Option<Known>, Unit, i8) {
    match code {
        0x02..=0x0A => (Some(Known::Energy), Unit::WattHour, decades(code, 0x02, 0)),
        0x0B..=0x13 => (Some(Known::Energy), Unit::Joule, decades(code, 0x0B, 3)),
        0x14..=0x1C => (Some(Known::Power), Unit::Watt, decades(code, 0x14, 0)),
        0x1D..=0x25 => (Some(Known::Power), Unit::JoulePerHour, decades(code, 0x1D, 3)),
        0x26..=0x2E => (Some(Known::Volume), Unit::CubicMetre, decades(code, 0x26, -6)),
        0x2F..=0x37 => (Some(Known::VolumeFlow), Unit::CubicMetrePerHour, decades(code, 0x2F, -6)),
        0x38 => (Some(Known::FlowTemperature), Unit::Celsius, -3),
        0x39 => (Some(Known::HcaUnits), Unit::HcaUnit, 0),
        0x3F => (Some(Known::Dimensionless), Unit::None, 0),
        _ => (None, Unit::None, 0),
    }
}

fn decades(code: u8, first: u8, exponent: i8) -> i8 {
    exponent + i8::try_from(code - first).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{ByteOrder, Fixed, Known, Unit, unit};

    #[test]
    fn units_rise_by_decades() {
        assert_eq!(unit(0x0A), (Some(Known::Energy), Unit::WattHour, 8));
        assert_eq!(unit(0x0D), (Some(Known::Energy), Unit::Joule, 5), "100 kJ");
        assert_eq!(unit(0x0E), (Some(Known::Energy), Unit::Joule, 6), "MJ");
        assert_eq!(unit(0x29), (Some(Known::Volume), Unit::CubicMetre, -3));
        assert_eq!(unit(0x32), (Some(Known::VolumeFlow), Unit::CubicMetrePerHour, -3));
    }

    #[test]
    fn the_medium_is_spread_over_both_unit_bytes() {
        let data = [0x78, 0x56, 0x34, 0x12, 0x0A, 0x00, 0xE9, 0x7E, 1, 0, 0, 0, 0x35, 1, 0, 0];
        let fixed = Fixed::parse(&data, ByteOrder::LeastFirst).expect("16 bytes");
        assert_eq!((fixed.id, fixed.medium, fixed.device_type()), (0x1234_5678, 7, Some(7)));
        let records: Vec<_> = (0..2).filter_map(|index| fixed.counter(index)).collect();
        let told: Vec<_> =
            records.iter().map(|r| (r.number().map(|n| n.to_string()), r.vib.unit, r.dib.storage_number)).collect();
        let litres = |n: &str| Some(n.to_owned());
        assert_eq!(told, [(litres("0.001"), Unit::CubicMetre, 0), (litres("0.135"), Unit::CubicMetre, 1)]);
        assert!(Fixed::parse(&data[..15], ByteOrder::LeastFirst).is_none());
    }
}
