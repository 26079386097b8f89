//! One data record: its two blocks, its data and its value (EN 13757-3 clause 6).

use crate::mbus::application::dib::{Coding, Dib};
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
