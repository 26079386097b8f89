//! One data record: its two blocks, its data and its value (EN 13757-3 clause 6).

use crate::mbus::application::dib::{Coding, Dib, MANUFACTURER_DATA};
use crate::mbus::application::quantity::{Function, Known, Quantity, Unit};
use crate::mbus::application::value::{self, RecordError, Value};
use crate::mbus::application::vib::Vib;
use crate::mbus::application::vif::Kind;
use crate::mbus::decimal::Decimal;
use crate::mbus::octets::{ByteOrder, Octets};

/// One record, taken apart and scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataRecord<'a> {
    /// Its index in the telegram, from 0; records without a usable value count too, fillers do not.
    pub index: usize,
    /// Coding, function, storage number, tariff, subunit.
    pub dib: Dib<'a>,
    /// Quantity, unit, modifiers.
    pub vib: Vib<'a>,
    /// The data bytes as sent; of variable length data with the LVAR.
    pub data: &'a [u8],
    /// The value in `vib.unit`, or why there is none.
    pub value: Result<Value<'a>, RecordError>,
}

impl<'a> DataRecord<'a> {
    /// The number, where the value is one.
    #[must_use]
    pub fn number(&self) -> Option<Decimal> {
        match self.value {
            Ok(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// One of the two counters of the fixed structure, which has no blocks.
    pub(crate) fn of_counter(index: usize, dib: Dib<'a>, vib: Vib<'a>, data: &'a [u8], order: ByteOrder) -> Self {
        let value = value::read(dib.coding, vib.scaling(), Octets::new(data, order));
        Self { index, dib, vib, data, value }
    }
}

/// A part of what stands behind DIF 0F or 1F, whose layout only the manufacturer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first byte, from 0.
    pub at: usize,
    /// How many bytes it has.
    pub length: usize,
    /// How they are coded.
    pub coding: PartCoding,
}

/// How a part is coded: as one of the types of EN 13757-3 annex A, the least significant byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartCoding {
    /// Unsigned integer (type C).
    Uint,
    /// Signed integer (type B).
    Int,
    /// Binary coded decimal (type A).
    Bcd,
    /// IEEE 754 single precision (type H), of 4 bytes.
    Real,
}

impl PartCoding {
    /// Each with its name in a rule.
    pub const ALL: [(&'static str, Self); 4] =
        [("uint", Self::Uint), ("int", Self::Int), ("bcd", Self::Bcd), ("real", Self::Real)];

    /// The name in a rule.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uint => "uint",
            Self::Int => "int",
            Self::Bcd => "bcd",
            Self::Real => "real",
        }
    }
}

impl Part {
    /// The part as a record of its own; one without a value where the block does not reach so far.
    #[must_use]
    pub fn of(self, index: usize, block: &[u8]) -> DataRecord<'_> {
        let bytes = u8::try_from(self.length).unwrap_or(u8::MAX);
        let (coding, kind) = match self.coding {
            PartCoding::Uint => (Coding::Integer(bytes), Kind::Unsigned),
            PartCoding::Int => (Coding::Integer(bytes), Kind::Signed),
            PartCoding::Bcd => (Coding::Bcd(bytes), Kind::Signed),
            PartCoding::Real => (Coding::Real, Kind::Signed),
        };
        let vib = Vib::plain(&[], Quantity::Known(Known::ManufacturerSpecific), Unit::None, 0, kind);
        let data = self.at.checked_add(self.length).and_then(|end| block.get(self.at..end));
        let value = match data {
            Some(data) => value::read(coding, vib.scaling(), Octets::new(data, ByteOrder::LeastFirst)),
            None => Err(RecordError::Outside { length: block.len() }),
        };
        let dib = Dib { bytes: &[MANUFACTURER_DATA], ..plain_dib(coding, 0) };
        DataRecord { index, dib, vib, data: data.unwrap_or_default(), value }
    }
}

/// The function, storage number and so on of a value that has no DIB.
pub(crate) const fn plain_dib(coding: Coding, storage_number: u64) -> Dib<'static> {
    Dib { bytes: &[], coding, function: Function::Instantaneous, storage_number, tariff: 0, subunit: 0 }
}

/// The block of a value that has no VIB but this one code.
pub(crate) const fn plain_vib(code: &[u8], quantity: Option<Known>, unit: Unit, exponent: i8) -> Vib<'_> {
    let [code_byte, ..] = code else {
        return Vib::plain(code, Quantity::Unknown { table: 0, code: 0 }, unit, exponent, Kind::Signed);
    };
    let quantity = match quantity {
        Some(known) => Quantity::Known(known),
        None => Quantity::Unknown { table: 0x73, code: *code_byte & 0x3F },
    };
    Vib::plain(code, quantity, unit, exponent, Kind::Signed)
}
