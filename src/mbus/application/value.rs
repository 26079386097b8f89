//! The data of a record as a value: types A to J and the variable length codings
//! (EN 13757-3 clause 6.3.3, tables 4 and 5, annex A). Back to bytes is `encode`.
//!
//! Not here: dates (`calendar`), texts (`text`), series of values (`profile`).

mod encode;

use core::fmt;

use crate::mbus::address::{Manufacturer, SecondaryAddress};
use crate::mbus::application::bcd::{self, Sign};
use crate::mbus::application::calendar::{Date, DateTime, Moment, Periodic, Time, decode};
use crate::mbus::application::compact_profile::CompactProfile;
use crate::mbus::application::dib::Coding;
use crate::mbus::application::lvar::{self, Lvar};
use crate::mbus::application::text::{Digits, Text};
use crate::mbus::application::vib::Scaling;
use crate::mbus::application::vif::Kind;
use crate::mbus::application::vife::ReportedError;
use crate::mbus::decimal::Decimal;
use crate::mbus::octets::Octets;

pub use encode::{DoesNotFit, write};

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The record carries no data (DIF 0 or 8, LVAR of length 0).
    None,
    /// The meter marks that it has no valid value. Never a number, never 0.
    Invalid,
    /// Exact, in the unit of the record.
    Number(Decimal),
    /// Bits, bit 0 first; error flags, inputs and outputs.
    Flags(u64),
    /// The digits of a number that names something: a serial number, a version.
    Digits(Digits<'a>),
    /// A text.
    Text(Text<'a>),
    /// A day by the meter's calendar.
    Date(Date),
    /// A point in time by the meter's clock.
    DateTime(DateTime),
    /// A time of day by the meter's clock.
    Time(Time),
    /// A moment that comes again ("every year") or is only partly given: no point in time.
    Periodic(Periodic),
    /// A whole secondary address.
    Identity(SecondaryAddress),
    /// The letters of a manufacturer.
    Manufacturer(Manufacturer),
    /// A series of values.
    Profile(CompactProfile<'a>),
    /// Bytes whose meaning another protocol or the manufacturer knows, or integers beyond 16 bytes.
    Bytes(Octets<'a>),
}

/// Why a record has no value though its bytes are all there. The records beside it are not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The meter itself says so, by a VIFE.
    Reported(ReportedError),
    /// A nibble of a BCD number is not a digit.
    InvalidBcd,
    /// Beyond 38 digits with all its corrections.
    TooLarge,
    /// A part of a manufacturer's block that ends before.
    Outside {
        /// Bytes of the block.
        length: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported(error) => write!(f, "meter reports: {}", error.name()),
            Self::InvalidBcd => f.write_str("invalid BCD"),
            Self::TooLarge => f.write_str("number too large"),
            Self::Outside { length } => write!(f, "outside the manufacturer's block, which has {length} bytes"),
        }
    }
}

impl core::error::Error for RecordError {}

/// Reads the data of a record. `data` is all of it; for LVAR data the first byte is the LVAR.
pub(crate) fn read<'a>(coding: Coding, scaling: Scaling, data: Octets<'a>) -> Result<Value<'a>, RecordError> {
    match coding {
        Coding::None | Coding::Selection => Ok(Value::None),
        Coding::Integer(_) => read_integer(scaling, data),
        Coding::Real => read_real(scaling, data),
        Coding::Bcd(_) => read_bcd(scaling, data, Sign::InTopDigit),
        Coding::Variable => read_variable(scaling, data),
    }
}

fn read_integer<'a>(scaling: Scaling, data: Octets<'a>) -> Result<Value<'a>, RecordError> {
    match scaling.kind {
        Kind::Moment => match decode(data) {
            Some(moment) => Ok(moment.into()),
            None => signed(scaling, data),
        },
        Kind::Flags => Ok(data.unsigned().and_then(|n| u64::try_from(n).ok()).map_or(Value::Bytes(data), Value::Flags)),
        Kind::Identity if data.len() == 8 => {
            Ok(data.wire().try_into().map_or(Value::Bytes(data), |id| Value::Identity(SecondaryAddress::from_wire(id))))
        }
        Kind::Manufacturer if data.len() == 2 => {
            let code = data.array().map(u16::from_le_bytes);
            Ok(code.map_or(Value::Bytes(data), |code| Value::Manufacturer(Manufacturer(code))))
        }
        Kind::Unsigned | Kind::Twelfth | Kind::Label | Kind::Identity | Kind::Manufacturer => {
            if data.all_ones() {
                return Ok(Value::Invalid);
            }
            integer(scaling, data, data.unsigned().and_then(|n| i128::try_from(n).ok()))
        }
        // the marker is only known for values whose coding the standard defines
        Kind::Opaque | Kind::Container => integer(scaling, data, data.signed()),
        Kind::Signed => signed(scaling, data),
    }
}

fn signed<'a>(scaling: Scaling, data: Octets<'a>) -> Result<Value<'a>, RecordError> {
    if data.most_negative() { Ok(Value::Invalid) } else { integer(scaling, data, data.signed()) }
}

fn integer<'a>(scaling: Scaling, data: Octets<'a>, integer: Option<i128>) -> Result<Value<'a>, RecordError> {
    match integer {
        Some(mantissa) => scaled(scaling, Decimal::new(mantissa, 0)),
        None => Ok(Value::Bytes(data)),
    }
}

/// Type H. NaN and infinity are not values.
fn read_real<'a>(scaling: Scaling, data: Octets<'a>) -> Result<Value<'a>, RecordError> {
    match data.array().map(f32::from_le_bytes).and_then(Decimal::from_f32) {
        Some(real) => scaled(scaling, real),
        None => Ok(Value::Invalid),
    }
}

/// Type A. All ones is not a value; what names a thing keeps its leading zeros.
fn read_bcd<'a>(scaling: Scaling, data: Octets<'a>, sign: Sign) -> Result<Value<'a>, RecordError> {
    if data.all_ones() {
        return Ok(Value::Invalid);
    }
    if matches!(scaling.kind, Kind::Label | Kind::Identity) && sign != Sign::Minus {
        return Digits::new(data).map(Value::Digits).ok_or(RecordError::InvalidBcd);
    }
    let number = bcd::read(data, sign).ok_or(RecordError::InvalidBcd)?;
    scaled(scaling, Decimal::from(number))
}

fn scaled<'a>(scaling: Scaling, raw: Decimal) -> Result<Value<'a>, RecordError> {
    let mut value = raw.shift(scaling.exponent).ok_or(RecordError::TooLarge)?;
    if scaling.kind == Kind::Twelfth {
        // 2^-12 = 5^12 × 10^-12
        value = value.checked_mul(Decimal::new(244_140_625, -12)).ok_or(RecordError::TooLarge)?;
    }
    if let Some(places) = scaling.offset {
        value = value.checked_add(Decimal::new(1, places)).ok_or(RecordError::TooLarge)?;
    }
    Ok(Value::Number(value))
}

fn read_variable<'a>(scaling: Scaling, data: Octets<'a>) -> Result<Value<'a>, RecordError> {
    let Some((&byte, rest)) = data.wire().split_first() else {
        return Ok(Value::None);
    };
    let content = Octets::new(rest, data.order());
    if let Some(profile) = scaling.profile.and_then(|kind| CompactProfile::new(kind, content, scaling.exponent)) {
        return Ok(Value::Profile(profile));
    }
    if scaling.kind == Kind::Container {
        return Ok(if rest.is_empty() { Value::None } else { Value::Bytes(content) });
    }
    if lvar::is_old_real(byte, rest.len()) {
        return match rest.len() {
            4 => read_real(scaling, content),
            // how other lengths are coded was never published
            _ => Ok(Value::Bytes(content)),
        };
    }
    match Lvar::of(byte) {
        Some(Lvar::Text(_)) => {
            let text = Text::new(content);
            let bytes = scaling.kind == Kind::Opaque && !text.is_printable();
            Ok(if bytes || scaling.kind == Kind::Moment { Value::Bytes(content) } else { Value::Text(text) })
        }
        Some(Lvar::Bcd(0, _) | Lvar::Binary(0)) => Ok(Value::None),
        Some(Lvar::Bcd(_, minus)) => read_bcd(scaling, content, if minus { Sign::Minus } else { Sign::Plus }),
        // a number only where the VIF makes it one
        Some(Lvar::Binary(_)) if matches!(scaling.kind, Kind::Moment | Kind::Opaque) => Ok(Value::Bytes(content)),
        Some(Lvar::Binary(_)) => read_integer(scaling, content),
        None => Ok(Value::Bytes(content)),
    }
}

impl From<Moment> for Value<'_> {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::Date(date) => Self::Date(date),
            Moment::DateTime(at) => Self::DateTime(at),
            Moment::Time(time) => Self::Time(time),
            Moment::Periodic(periodic) => Self::Periodic(periodic),
            Moment::Invalid => Self::Invalid,
        }
    }
}
