//! The data records of a telegram, one after the other, without allocating (EN 13757-3 clause 6).
//!
//! A record that has no usable value costs itself alone: it is delivered with its bytes and the
//! reason, and the next one follows. Only where the *length* of a record cannot be known does the
//! telegram end, with a [`Cut`] that says where and why.

use crate::mbus::address::Manufacturer;
use crate::mbus::application::calendar::decode_digits;
use crate::mbus::application::dib::{Coding, Dib, GLOBAL_READOUT, IDLE_FILLER, MANUFACTURER_DATA, MORE_RECORDS_FOLLOW};
use crate::mbus::application::fixed::Fixed;
use crate::mbus::application::lvar::{self, Lvar};
use crate::mbus::application::record::DataRecord;
use crate::mbus::application::structure::{Cut, StructureError};
use crate::mbus::application::value::{self, RecordError, Value};
use crate::mbus::application::vib::Vib;
use crate::mbus::application::vif::Kind;
use crate::mbus::octets::{ByteOrder, Octets};

/// Iterates the records of a telegram; allocates nothing. After the last item [`Self::manufacturer_data`]
/// and [`Self::more_records_follow`] say what stood behind the records.
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
    /// A time in 12 digits is one of ABB's.
    times_in_digits: bool,
}

/// "ABB", which sends some times in decimal digits.
const ABB: Manufacturer = Manufacturer(0x0442);

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
            times_in_digits: false,
        }
    }

    /// The same with what this manufacturer does in its own way.
    pub(crate) fn of_maker(mut self, manufacturer: Manufacturer) -> Self {
        self.times_in_digits = manufacturer == ABB;
        self
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
            _ if self.times_in_digits && dib.coding == Coding::Bcd(6) && vib.kind == Kind::Moment => {
                decode_digits(Octets::new(data, self.order)).map(Value::from).ok_or(RecordError::InvalidBcd)
            }
            _ => value::read(dib.coding, vib.scaling(), Octets::new(data, self.order)),
        };
        let index = self.index;
        self.index += 1;
        Ok(DataRecord { index, dib, vib, data, value })
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
                // "everything", a master's request without a VIF
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
