//! What a long frame carries: the CI field decides how its data is read (EN 13757-7 table 2).
//!
//! # From bytes to values
//!
//! ```
//! use mbushat::mbus::{link::frame::Frame, application::telegram::Telegram};
//!
//! let bytes = [0x68, 9, 9, 0x68, 8, 5, 0x78, 0x04, 0x13, 0x39, 0x30, 0, 0, 0x05, 0x16];
//! let telegram = Telegram::parse(&Frame::parse(&bytes)?)?;
//! let mut records = telegram.records();
//! for record in &mut records {
//!     let record = record.expect("nothing is cut here");
//!     assert_eq!(record.vib.quantity.to_string(), "volume");
//!     assert_eq!(record.number().map(|n| n.to_string()).as_deref(), Some("12.345"));
//! }
//! assert!(!records.more_records_follow());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each item is a [`DataRecord`](crate::mbus::application::record::DataRecord) with its index, DIB (function,
//! storage number, tariff, subunit), VIB (quantity, unit, modifiers by their published names) and
//! the value, already exact in the unit of the VIB; or, once and at the end, a
//! [`Cut`](crate::mbus::application::structure::Cut) where the rest cannot be understood. An encrypted telegram
//! gives one `Cut` and no record, and so does a compact frame, until it is opened (`opener`).

use core::fmt;

use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::afl::{Afl, AflError};
use crate::mbus::application::compact::{Compact, FormatFrame};
use crate::mbus::application::fixed::{self, Fixed};
use crate::mbus::application::header::{Header, Status};
use crate::mbus::application::records::Records;
use crate::mbus::application::security::{self, Encrypted};
use crate::mbus::application::structure::StructureError;
use crate::mbus::link::frame::{Control, Frame};
use crate::mbus::link::timing::Baud;
use crate::mbus::octets::ByteOrder;

/// A long frame with its data taken apart as far as the CI field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telegram<'a> {
    /// The C field.
    pub c: Control,
    /// The A field.
    pub a: u8,
    /// The CI field of the application; behind an authentication layer (CI 90) the second one.
    pub ci: u8,
    /// The authentication layer, where there is one.
    pub afl: Option<Afl<'a>>,
    /// What the header says, as far as this CI has one.
    pub header: Header,
    /// The rest.
    pub content: Content<'a>,
    /// The header announces encryption, but the data came without (`security`).
    pub sent_plain: bool,
    order: ByteOrder,
}

/// What a telegram carries behind its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Data records: a meter's full frame (72, 7A, 78, 76), or a master's data (51, 5A, 5B).
    Records(&'a [u8]),
    /// The same or a compact frame, not decrypted yet.
    Encrypted(Encrypted<'a>),
    /// The fixed structure (73, 77).
    Fixed(Fixed<'a>),
    /// A compact frame (79, 7B, 73): values without their heads.
    Compact(Compact<'a>),
    /// A format frame (69, 6A, 6B): heads without values.
    Format(FormatFrame<'a>),
    /// The meter could not do what was asked (70, 6E, 6F).
    ApplicationError(ApplicationError),
    /// Alarm flags (71, 74, 75); their meaning is the manufacturer's. `None`: no byte was sent.
    Alarm(Option<u8>),
    /// A master's selection by secondary address (52), and the records that narrow it down.
    Selection(SecondaryAddress, &'a [u8]),
    /// A master's application reset (50, 53) with its sub-code.
    ApplicationReset(Option<u8>),
    /// A master's request for another bit rate (B8 to BF).
    SetBaud(Baud),
    /// A CI field that this program does not decode, with its data.
    Other(&'a [u8]),
}

/// The code of an application error; `None`: the byte was not sent, which means "unspecified".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApplicationError(pub Option<u8>);

impl ApplicationError {
    /// What the code means (EN 13757-3 table 19; from 10h on OMS volume 2).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            None | Some(0x00) => "unspecified error",
            Some(0x01) => "unimplemented CI field",
            Some(0x02) => "buffer too long, truncated",
            Some(0x03) => "too many records",
            Some(0x04) => "premature end of record",
            Some(0x05) => "more than 10 DIFEs",
            Some(0x06) => "more than 10 VIFEs",
            Some(0x08) => "application too busy for readout",
            Some(0x09) => "too many readouts",
            Some(0x10) => "access denied",
            Some(0x11) => "application or command unknown",
            Some(0x12) => "parameter missing or wrong",
            Some(0x13) => "unknown receiver address",
            Some(0x14) => "decryption key fails",
            Some(0x15) => "encryption method not supported",
            Some(0x16) => "signature method not supported",
            Some(0xF0) => "dynamic application error",
            Some(_) => "reserved error code",
        }
    }
}

impl fmt::Display for ApplicationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(f, "application error {code}: {}", self.name()),
            None => write!(f, "application error: {}", self.name()),
        }
    }
}

/// Why a frame carries no telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelegramError {
    /// An acknowledgement or a short frame has no CI field.
    NoData,
    /// The data ends within the header.
    HeaderCut {
        /// Bytes there are.
        got: usize,
        /// Bytes the header has.
        want: usize,
    },
    /// The authentication layer cannot be read.
    Afl(AflError),
}

impl fmt::Display for TelegramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoData => f.write_str("the frame carries no data"),
            Self::HeaderCut { got, want } => write!(f, "the header is cut: {got} bytes, expected {want}"),
            Self::Afl(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for TelegramError {}

impl<'a> Telegram<'a> {
    /// Takes a frame apart.
    ///
    /// # Errors
    /// [`TelegramError`] where the header itself cannot be read.
    pub fn parse(frame: &Frame<'a>) -> Result<Self, TelegramError> {
        let Frame::Long { c, a, ci, data } = *frame else {
            return Err(TelegramError::NoData);
        };
        let (afl, ci, data) = match ci {
            0x90 => Afl::take(data).map(|(afl, ci, rest)| (Some(afl), ci, rest)).map_err(TelegramError::Afl)?,
            _ => (None, ci, data),
        };
        let order = match ci {
            0x76 | 0x77 => ByteOrder::MostFirst,
            _ => ByteOrder::LeastFirst,
        };
        let (header, rest) = take_header(ci, data, order)?;
        let content = match Encrypted::of(&header, rest) {
            Some(encrypted) => Content::Encrypted(encrypted),
            None => Content::of(ci, &header, security::plain_data(&header, rest), order),
        };
        Ok(Self { c, a, ci, afl, header, content, sent_plain: false, order })
    }

    /// The records, with the exact values. None for telegrams that carry something else.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        let from_meter = !matches!(self.ci, 0x51 | 0x52 | 0x5A | 0x5B);
        match self.content {
            Content::Records(bytes) | Content::Selection(_, bytes) => {
                let records = Records::new(bytes, self.order, from_meter);
                let maker = self.header.identity.map(SecondaryAddress::manufacturer);
                match maker {
                    Some(maker) => records.of_maker(maker),
                    None => records,
                }
            }
            Content::Fixed(fixed) => Records::fixed(fixed),
            Content::Encrypted(encrypted) => {
                let error = StructureError::Encrypted { mode: encrypted.configuration().mode() };
                Records::unreadable(encrypted.bytes(), error)
            }
            Content::Compact(compact) => {
                let error = StructureError::FormatUnknown { signature: compact.signature };
                Records::unreadable(compact.values, error)
            }
            _ => Records::new(&[], self.order, from_meter),
        }
    }

    /// Who answers, from wherever the telegram has it.
    #[must_use]
    pub fn identity(&self) -> Option<SecondaryAddress> {
        match self.content {
            Content::Fixed(fixed) => Some(fixed.identity()),
            _ => self.header.identity,
        }
    }

    /// The status, from wherever the telegram has it.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self.content {
            Content::Fixed(fixed) => Some(fixed.common_status()),
            _ => self.header.short.map(|short| short.status),
        }
    }

    /// The access number, from wherever the telegram has it.
    #[must_use]
    pub fn access_number(&self) -> Option<u8> {
        match self.content {
            Content::Fixed(fixed) => Some(fixed.access_number),
            _ => self.header.short.map(|short| short.access_number),
        }
    }

    /// The same telegram with readable data in place of what was encrypted.
    pub(crate) fn with_plain<'b>(&self, plain: &'b [u8]) -> Telegram<'b>
    where
        'a: 'b,
    {
        Telegram { content: Content::of(self.ci, &self.header, plain, self.order), ..*self }
    }

    /// The same telegram where what it calls encrypted can be read as it is, to the last byte.
    pub(crate) fn if_sent_plain(&self) -> Option<Self> {
        let Content::Encrypted(encrypted) = self.content else { return None };
        let plain = Self { sent_plain: true, ..self.with_plain(encrypted.sent_plain()?) };
        let is_whole = matches!(plain.content, Content::Records(_)) && plain.records().all(|record| record.is_ok());
        is_whole.then_some(plain)
    }

    /// The same telegram with the records a compact frame stands for.
    pub(crate) fn with_records<'b>(&self, records: &'b [u8]) -> Telegram<'b>
    where
        'a: 'b,
    {
        Telegram { content: Content::Records(records), ..*self }
    }
}

impl<'a> Content<'a> {
    /// What `data`, in the clear and behind this header, is under this CI field.
    fn of(ci: u8, header: &Header, data: &'a [u8], order: ByteOrder) -> Self {
        let fixed = || Fixed::parse(data, order).filter(|_| data.len() == fixed::LEN).map(Self::Fixed);
        let compact = |bytes| Compact::parse(bytes).map(Self::Compact);
        let content = match ci {
            0x72 | 0x7A | 0x78 | 0x76 | 0x51 | 0x5A | 0x5B => Some(Self::Records(data)),
            // a header alone acknowledges
            0x8A | 0x8B if data.is_empty() => Some(Self::Records(data)),
            // `take_header` has told the two apart
            0x73 if *header == Header::NONE => fixed(),
            0x77 => fixed(),
            0x73 | 0x79 | 0x7B => compact(data),
            0x69..=0x6B => FormatFrame::parse(data).map(Self::Format),
            0x6E..=0x70 => Some(Self::ApplicationError(ApplicationError(data.first().copied()))),
            0x71 | 0x74 | 0x75 => Some(Self::Alarm(data.first().copied())),
            0x50 | 0x53 => Some(Self::ApplicationReset(data.first().copied())),
            0x52 => data.split_first_chunk().map(|(id, rest)| Self::Selection(SecondaryAddress::from_wire(*id), rest)),
            0xB8..=0xBF => Baud::ALL.get(usize::from(ci - 0xB8)).copied().map(Self::SetBaud),
            _ => None,
        };
        content.unwrap_or(Self::Other(data))
    }
}

/// Takes the header that this CI field announces (EN 13757-7 table 2).
fn take_header(ci: u8, data: &[u8], order: ByteOrder) -> Result<(Header, &[u8]), TelegramError> {
    let got = data.len();
    match ci {
        // the fixed structure has no header, today's compact frame behind the same CI has
        0x73 if got == fixed::LEN => Ok((Header::NONE, data)),
        0x53
        | 0x55
        | 0x5B
        | 0x5F
        | 0x60
        | 0x64
        | 0x68
        | 0x6B..=0x6D
        | 0x6F
        | 0x72
        | 0x73
        | 0x75
        | 0x76
        | 0x7C
        | 0x7E
        | 0x80
        | 0x82
        | 0x84
        | 0x85
        | 0x87
        | 0x8B
        | 0x9F
        | 0xC0
        | 0xC2
        | 0xC3
        | 0xC5 => Header::take_long(data, order).ok_or(TelegramError::HeaderCut { got, want: 12 }),
        0x5A | 0x61 | 0x65 | 0x67 | 0x6A | 0x6E | 0x74 | 0x7A | 0x7B | 0x7D | 0x7F | 0x88 | 0x8A | 0x9E | 0xC1
        | 0xC4 => Header::take_short(data, order).ok_or(TelegramError::HeaderCut { got, want: 4 }),
        _ => Ok((Header::NONE, data)),
    }
}

#[cfg(test)]
mod tests;
