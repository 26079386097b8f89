//! The data records of a telegram, one after the other, without allocating (EN 13757-3 clause 6).
//!
//! A record that has no usable value costs itself alone: it is delivered with its bytes and the
//! reason, and the next one follows. Only where the *length* of a record cannot be known does the
//! telegram end, with a [`Cut`] that says where and why.

use core::fmt;

use crate::mbus::application::dib::{Coding, Dib, GLOBAL_READOUT, IDLE_FILLER, MANUFACTURER_DATA, MORE_RECORDS_FOLLOW};
use crate::mbus::application::fixed::Fixed;
use crate::mbus::application::lvar::{self, Lvar};
use crate::mbus::application::quantity::{Function, Known, Quantity, Unit};
use crate::mbus::application::value::{self, DoesNotFit, RecordError, Value};
use crate::mbus::application::vib::Vib;
use crate::mbus::application::vif::Kind;
use crate::mbus::octets::{ByteOrder, Octets};

/// One record, taken apart and scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataRecord<'a> {
    /// Its place in the telegram, from 0; records without a usable value count too, fillers do not.
    pub index: usize,
    /// Coding, function, storage number, tariff, subunit.
    pub dib: Dib<'a>,
    /// Quantity, unit, modifiers.
    pub vib: Vib<'a>,
    /// The data bytes as sent; of variable length data with the LVAR.
    pub data: &'a [u8],
    /// The value in `vib.unit`, or why there is none.
    pub value: Result<Value<'a>, RecordError>,
    order: ByteOrder,
}

impl<'a> DataRecord<'a> {
    /// Appends the record: its two blocks as they stand, and its data written anew from the value.
    ///
    /// # Errors
    /// [`DoesNotFit`] where the value cannot be written; nothing is promised about `out` then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), DoesNotFit> {
        let value = self.value.map_err(|_| DoesNotFit)?;
        out.extend_from_slice(self.dib.bytes);
        out.extend_from_slice(self.vib.bytes);
        value::write(self.dib.coding, self.data.first().copied().unwrap_or(0), &self.vib, &value, self.order, out)
    }

    /// The number, where the value is one.
    #[must_use]
    pub fn number(&self) -> Option<crate::mbus::decimal::Decimal> {
        match self.value {
            Ok(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// One of the two counters of the fixed structure, which has no blocks.
    pub(crate) fn of_counter(index: usize, dib: Dib<'a>, vib: Vib<'a>, data: &'a [u8], order: ByteOrder) -> Self {
        let value = value::read(dib.coding, vib.scaling(), Octets::new(data, order));
        Self { index, dib, vib, data, value, order }
    }
}

/// Why nothing after some place of a telegram can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructureError {
    /// The telegram ends within DIF and DIFEs.
    CutInDib,
    /// The telegram ends within VIF and VIFEs, or before the VIF.
    CutInVib,
    /// The telegram ends within the data.
    CutInData {
        /// Bytes there are.
        got: usize,
        /// Bytes the record needs.
        want: usize,
    },
    /// More than ten DIFEs.
    TooManyDifes,
    /// More than ten VIFEs.
    TooManyVifes,
    /// A special function that the standard reserves: its length is unknown.
    ReservedDif {
        /// The DIF.
        dif: u8,
    },
    /// A variable length code that the standard reserves: its length is unknown.
    ReservedLvar {
        /// The first data byte.
        lvar: u8,
    },
    /// The records are encrypted and were not decrypted.
    Encrypted {
        /// The security mode.
        mode: u8,
    },
    /// A compact frame whose format is not known yet.
    FormatUnknown {
        /// The signature of the format.
        signature: u16,
    },
}

impl fmt::Display for StructureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CutInDib => f.write_str("the telegram ends within DIF and DIFEs"),
            Self::CutInVib => f.write_str("the telegram ends within VIF and VIFEs"),
            Self::CutInData { got, want } => write!(f, "the telegram ends within the data: {got} bytes, want {want}"),
            Self::TooManyDifes => f.write_str("more than 10 DIFEs"),
            Self::TooManyVifes => f.write_str("more than 10 VIFEs"),
            Self::ReservedDif { dif } => write!(f, "reserved DIF {dif:02X}"),
            Self::ReservedLvar { lvar } => write!(f, "reserved variable length code {lvar:02X}"),
            Self::Encrypted { mode } => write!(f, "encrypted in security mode {mode}: the meter's key is needed"),
            Self::FormatUnknown { signature } => {
                write!(f, "compact frame of the unknown format {signature:04X}: a full frame must be read first")
            }
        }
    }
}

impl core::error::Error for StructureError {}

/// The end of what can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut<'a> {
    /// The place of the record that could not be taken apart, as in [`DataRecord::index`].
    pub index: usize,
    /// Why.
    pub error: StructureError,
    /// The bytes from that record on.
    pub rest: &'a [u8],
}

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.index, self.error)
    }
}

/// Iterates the records of a telegram; allocates nothing. After the last item [`Self::manufacturer_data`]
/// and [`Self::more_records_follow`] tell what stood behind the records.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    order: ByteOrder,
    index: usize,
    from_meter: bool,
    fixed: Option<Fixed<'a>>,
    unreadable: Option<StructureError>,
    manufacturer_data: &'a [u8],
    more_records_follow: bool,
}

impl<'a> Records<'a> {
    /// The records in `bytes`, which hold nothing else. Error codes in VIFEs are a meter's words;
    /// from a master the same codes are actions.
    #[must_use]
    pub const fn new(bytes: &'a [u8], order: ByteOrder, from_meter: bool) -> Self {
        Self {
            rest: bytes,
            order,
            index: 0,
            from_meter,
            fixed: None,
            unreadable: None,
            manufacturer_data: &[],
            more_records_follow: false,
        }
    }

    /// The two counters of a fixed structure.
    pub(crate) const fn fixed(fixed: Fixed<'a>) -> Self {
        let mut records = Self::new(&[], ByteOrder::LeastFirst, true);
        records.fixed = Some(fixed);
        records
    }

    /// Records that are there but cannot be read.
    pub(crate) const fn unreadable(bytes: &'a [u8], error: StructureError) -> Self {
        let mut records = Self::new(bytes, ByteOrder::LeastFirst, true);
        records.unreadable = Some(error);
        records
    }

    /// What stood behind DIF 0F or 1F; empty until the iterator has come there.
    #[must_use]
    pub const fn manufacturer_data(&self) -> &'a [u8] {
        self.manufacturer_data
    }

    /// Whether the telegram ended with DIF 1F: the meter has another one. False until the
    /// iterator has come there.
    #[must_use]
    pub const fn more_records_follow(&self) -> bool {
        self.more_records_follow
    }

    #[inline]
    fn take(&mut self) -> Result<DataRecord<'a>, Cut<'a>> {
        let cut = |error| Cut { index: self.index, error, rest: self.rest };
        let (dib, rest) = Dib::parse(self.rest).map_err(cut)?;
        let (vib, rest) = Vib::parse(rest, self.order).map_err(cut)?;
        let want = data_len(dib.coding, rest).map_err(cut)?;
        let Some((data, behind)) = rest.split_at_checked(want) else {
            return Err(cut(StructureError::CutInData { got: rest.len(), want }));
        };
        self.rest = behind;
        let value = match vib.reported {
            Some(error) if self.from_meter => Err(RecordError::Reported(error)),
            _ => value::read(dib.coding, vib.scaling(), Octets::new(data, self.order)),
        };
        let index = self.index;
        self.index += 1;
        Ok(DataRecord { index, dib, vib, data, value, order: self.order })
    }

    /// Skips fillers and takes what ends the records. `None`: a record follows.
    fn special(&mut self) -> Option<()> {
        while let Some((&dif, rest)) = self.rest.split_first() {
            match dif {
                IDLE_FILLER => self.rest = rest,
                MANUFACTURER_DATA | MORE_RECORDS_FOLLOW => {
                    self.manufacturer_data = rest;
                    self.more_records_follow = dif == MORE_RECORDS_FOLLOW;
                    self.rest = &[];
                }
                // "everything", a master's wish without a VIF
                GLOBAL_READOUT if !self.from_meter => self.rest = rest,
                _ => return None,
            }
        }
        Some(())
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<DataRecord<'a>, Cut<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.unreadable.take() {
            let rest = core::mem::take(&mut self.rest);
            return Some(Err(Cut { index: 0, error, rest }));
        }
        if let Some(fixed) = &self.fixed {
            let counter = fixed.counter(self.index)?;
            self.index += 1;
            return Some(Ok(counter));
        }
        if self.special().is_some() {
            return None;
        }
        let item = self.take();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

impl core::iter::FusedIterator for Records<'_> {}

/// How many data bytes a record has; `rest` begins with them.
fn data_len(coding: Coding, rest: &[u8]) -> Result<usize, StructureError> {
    if coding != Coding::Variable {
        return Ok(coding.len());
    }
    let &lvar = rest.first().ok_or(StructureError::CutInData { got: 0, want: 1 })?;
    let want = Lvar::of(lvar).map(|form| 1 + form.len()).ok_or(StructureError::ReservedLvar { lvar });
    // the meaning until 2004 is believed where only that fits
    if want.is_ok_and(|want| want <= rest.len()) || !lvar::is_old_real(lvar, rest.len() - 1) {
        return want;
    }
    Ok(rest.len())
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
