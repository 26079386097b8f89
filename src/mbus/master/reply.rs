//! Whether a frame answers a request, and why not. A late answer of another meter is a wrong bill.
//!
//! Not here: waiting for the frame (`exchange`), what it says (`telegram`).

use core::fmt;

use crate::mbus::address::SecondaryAddress;
use crate::mbus::link::frame::{Frame, SHORT_LEN};
use crate::mbus::master::request::Answer;

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The request wanted none.
    None,
    /// E5.
    Ack,
    /// The whole frame of an RSP_UD.
    Data(Vec<u8>),
}

/// Why a request was not answered, after every repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// No byte came back.
    Silence,
    /// Bytes came back, but no whole frame: noise, a broken reply, or several meters at once.
    Garbled {
        /// How many.
        bytes: usize,
    },
    /// All bytes of an answer came back, with longer pauses between them than are waited for.
    InPieces {
        /// How many.
        bytes: usize,
    },
    /// Another meter answered.
    WrongAddress {
        /// A field of the reply.
        got: u8,
        /// A field of the request.
        want: u8,
    },
    /// A meter answered that was not selected.
    WrongIdentity {
        /// Identity in the reply.
        got: SecondaryAddress,
        /// Identity or mask that was selected.
        want: SecondaryAddress,
    },
    /// A whole frame came that answers no such request.
    NotAReply {
        /// Its C field.
        control: u8,
    },
    /// The line never falls silent; nothing can be sent.
    NeverQuiet,
    /// The answer lay unread long after its time, for this program was stopped: its values are old.
    ReadTooLate,
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Silence => f.write_str("no answer"),
            Self::Garbled { bytes } => write!(f, "{bytes} bytes came back but no telegram (noise, or two meters)"),
            Self::InPieces { bytes } => write!(
                f,
                "a whole telegram of {bytes} bytes came, but in pieces with long pauses: set a longer gap_timeout in its \
                 [[bus]]"
            ),
            Self::WrongAddress { got, want } => write!(f, "the meter at {got} answered instead of the one at {want}"),
            Self::WrongIdentity { got, want } => write!(f, "meter {got} answered instead of {want}"),
            Self::NotAReply { control } => {
                write!(f, "a telegram with C field {control:02X} came, which is not an answer")
            }
            Self::ReadTooLate => f.write_str("the answer was read long after it came, so its values are old"),
            Self::NeverQuiet => f.write_str("the line never falls silent"),
        }
    }
}

/// What helps where the line never falls silent.
pub const FIND_THE_NOISE: &str = "something on the wire talks without end, a damaged meter or a short: unplug one half \
    of the bus, then half of the half that talks, until one device is left";

impl core::error::Error for ExchangeError {}

/// Whether a whole frame answers the request.
pub(super) fn check(answer: Answer, frame: &[u8]) -> Result<(), ExchangeError> {
    let garbled = ExchangeError::Garbled { bytes: frame.len() };
    let parsed = Frame::parse(frame).map_err(|_| garbled)?;
    let (control, address) = match parsed {
        Frame::Long { c, a, .. } | Frame::Short { c, a } => (c, a),
        Frame::Ack => return Err(garbled),
    };
    let Answer::Data { from, identity } = answer else {
        return Err(ExchangeError::NotAReply { control: control.0 });
    };
    if !control.is_rsp_ud() || frame.len() <= SHORT_LEN {
        return Err(ExchangeError::NotAReply { control: control.0 });
    }
    match (from, identity_in(&parsed)) {
        (Some(want), _) if want != address => Err(ExchangeError::WrongAddress { got: address, want }),
        (_, Some(got)) if !identity.matches(got) => Err(ExchangeError::WrongIdentity { got, want: identity }),
        _ => Ok(()),
    }
}

/// The identity in the long header of a reply (CI 72); `None` where the frame has no such header.
#[must_use]
pub fn identity_of(frame: &[u8]) -> Option<SecondaryAddress> {
    identity_in(&Frame::parse(frame).ok()?)
}

/// The A field of a long frame.
#[must_use]
pub fn address_of(frame: &[u8]) -> Option<u8> {
    match Frame::parse(frame) {
        Ok(Frame::Long { a, .. }) => Some(a),
        _ => None,
    }
}

fn identity_in(frame: &Frame<'_>) -> Option<SecondaryAddress> {
    match *frame {
        Frame::Long { ci: 0x72, data, .. } => data.first_chunk().copied().map(SecondaryAddress::from_wire),
        _ => None,
    }
}
