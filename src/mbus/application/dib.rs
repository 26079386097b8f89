//! The data information block, DIF and DIFEs: how the data is coded and which value of the meter
//! it is (EN 13757-3 clause 6.3).

use crate::mbus::application::quantity::Function;
use crate::mbus::application::structure::StructureError;

/// The most DIFEs after a DIF (EN 13757-3 clause 6.3.3); the same for VIFEs.
pub const MAX_EXTENSIONS: usize = 10;
/// Manufacturer specific data to the end of the telegram.
pub const MANUFACTURER_DATA: u8 = 0x0F;
/// The same, and more records follow in the next telegram.
pub const MORE_RECORDS_FOLLOW: u8 = 0x1F;
/// Filler without meaning.
pub const IDLE_FILLER: u8 = 0x2F;
/// Asks for everything (master to slave).
pub const GLOBAL_READOUT: u8 = 0x7F;

/// How the data bytes are coded: the data field, bits 0 to 3 of the DIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// No data.
    None,
    /// A binary integer of 1, 2, 3, 4, 6 or 8 bytes: signed, unsigned, bits or a date, as the VIF says.
    Integer(u8),
    /// IEEE 754 single precision.
    Real,
    /// Binary coded decimal of 1, 2, 3, 4 or 6 bytes.
    Bcd(u8),
    /// The first data byte (LVAR) gives length and coding.
    Variable,
    /// No data; the master asks for this record.
    Selection,
}

impl Coding {
    /// From the data field; `None` for F, which does not code data.
    #[must_use]
    pub const fn from_field(field: u8) -> Option<Self> {
        Some(match field & 0x0F {
            0x0 => Self::None,
            0x1 => Self::Integer(1),
            0x2 => Self::Integer(2),
            0x3 => Self::Integer(3),
            0x4 => Self::Integer(4),
            0x5 => Self::Real,
            0x6 => Self::Integer(6),
            0x7 => Self::Integer(8),
            0x8 => Self::Selection,
            0x9 => Self::Bcd(1),
            0xA => Self::Bcd(2),
            0xB => Self::Bcd(3),
            0xC => Self::Bcd(4),
            0xD => Self::Variable,
            0xE => Self::Bcd(6),
            _ => return None,
        })
    }

    /// Data bytes, without those of LVAR data, which have their own length.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::None | Self::Selection | Self::Variable => 0,
            Self::Integer(length) | Self::Bcd(length) => usize::from(length),
            Self::Real => 4,
        }
    }

    /// Whether no data byte has a fixed place.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// DIF and DIFEs taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dib<'a> {
    /// As on the wire; empty for the fixed structure, which has none.
    pub bytes: &'a [u8],
    /// How the data is coded.
    pub coding: Coding,
    /// Instantaneous, maximum, minimum or during error.
    pub function: Function,
    /// 0 is the value now, others are historic or set days; up to 41 bits.
    pub storage_number: u64,
    /// Up to 20 bits; 0 is the total.
    pub tariff: u32,
    /// Up to 10 bits; 0 is the device itself.
    pub subunit: u16,
}

impl<'a> Dib<'a> {
    /// Takes the block from the front of `bytes`, which begin with a DIF other than a special function.
    ///
    /// # Errors
    /// [`StructureError`]: cut off, more than ten DIFEs, or a reserved data field.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), StructureError> {
        let &dif = bytes.first().ok_or(StructureError::CutInDib)?;
        let coding = Coding::from_field(dif).ok_or(StructureError::ReservedDif { dif })?;
        let function = function_of(dif);
        let (mut storage_number, mut tariff, mut subunit) = (u64::from((dif >> 6) & 1), 0, 0);
        let mut length = 1;
        let mut more = dif & 0x80 != 0;
        while more {
            let n = length - 1;
            if n == MAX_EXTENSIONS {
                return Err(StructureError::TooManyDifes);
            }
            let &dife = bytes.get(length).ok_or(StructureError::CutInDib)?;
            storage_number |= u64::from(dife & 0x0F) << (1 + 4 * n);
            tariff |= u32::from((dife >> 4) & 3) << (2 * n);
            subunit |= u16::from((dife >> 6) & 1) << n;
            more = dife & 0x80 != 0;
            length += 1;
        }
        let (own, rest) = bytes.split_at_checked(length).ok_or(StructureError::CutInDib)?;
        Ok((Self { bytes: own, coding, function, storage_number, tariff, subunit }, rest))
    }
}

const fn function_of(dif: u8) -> Function {
    match (dif >> 4) & 3 {
        0 => Function::Instantaneous,
        1 => Function::Maximum,
        2 => Function::Minimum,
        _ => Function::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::{Coding, Dib, Function, StructureError};

    #[test]
    fn the_first_dife_adds_storage_bits_one_to_four() {
        for (bytes, storage_number, tariff, subunit) in [
            (&[0xDA_u8, 0x02][..], 5, 0, 0),
            (&[0xC4, 0x01], 3, 0, 0),
            (&[0x84, 0x8F, 0x0F], 510, 0, 0),
            (&[0xC4, 0xF1, 0x61], 35, 11, 3),
            (&[0x94, 0xD0, 0x40], 0, 1, 3),
            (&[0x8B, 0x60], 0, 2, 1),
        ] {
            let (dib, rest) = Dib::parse(bytes).expect("a block");
            assert!(rest.is_empty());
            assert_eq!((dib.storage_number, dib.tariff, dib.subunit), (storage_number, tariff, subunit));
        }
    }

    #[test]
    fn ten_difes_hold_all_ones_and_eleven_are_refused() {
        let mut bytes = [0xFF; 11];
        bytes[0] = 0xCC;
        bytes[10] = 0x7F;
        let (dib, _) = Dib::parse(&bytes).expect("ten DIFEs");
        assert_eq!((dib.storage_number, dib.tariff, dib.subunit), ((1 << 41) - 1, (1 << 20) - 1, (1 << 10) - 1));
        assert_eq!(Dib::parse(&[0xFF - 3; 12]).map(|_| ()), Err(StructureError::TooManyDifes));
    }

    #[test]
    fn a_cut_block_is_an_error() {
        assert_eq!(Dib::parse(&[]), Err(StructureError::CutInDib));
        assert_eq!(Dib::parse(&[0x84, 0x80]), Err(StructureError::CutInDib));
        assert_eq!(Dib::parse(&[0x3F]), Err(StructureError::ReservedDif { dif: 0x3F }));
    }

    #[test]
    fn the_data_field_says_how_many_bytes_follow() {
        let length = |field| Coding::from_field(field).map(Coding::len);
        let lengths = [0, 1, 2, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4, 0, 6].map(Some);
        assert_eq!((0..15).map(length).collect::<Vec<_>>(), lengths);
        assert_eq!(length(15), None);
        assert_eq!(Dib::parse(&[0x31]).map(|(dib, _)| dib.function), Ok(Function::Error));
    }
}
