//! Why a meter's turn gave no reading.

use core::fmt;

use crate::mbus::application::telegram::ApplicationError;
use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::reply::ExchangeError;

/// Why a meter's turn gave no reading. The bus goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadoutError {
    /// No byte came back in time, after every repeat.
    Silence,
    /// Something came back that does not answer; never [`ExchangeError::Silence`].
    NoAnswer(ExchangeError),
    /// The meter acknowledged, but has no data at the moment (E5 to REQ_UD2).
    NoData,
    /// The meter answered with an application error (EN 13757-3 clause 10).
    Application(ApplicationError),
    /// It could not be asked: the line cannot have characters like its own.
    Unsupported {
        /// Bit rate.
        baud: Baud,
        /// Parity.
        parity: Parity,
        /// One or two.
        stop_bits: u8,
    },
}

impl From<ExchangeError> for ReadoutError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Silence => Self::Silence,
            other => Self::NoAnswer(other),
        }
    }
}

impl fmt::Display for ReadoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("no answer"),
            Self::NoAnswer(error) => error.fmt(f),
            Self::NoData => {
                f.write_str("the meter acknowledged (E5) instead of sending data: it has none at the moment, or wants a longer `timeout`")
            }
            Self::Application(error) => write!(f, "the meter answered with {error}"),
            Self::Unsupported { baud, parity, stop_bits } => {
                write!(f, "the gateway does not take {baud} 8{}{stop_bits}", parity.letter())
            }
        }
    }
}

impl core::error::Error for ReadoutError {}
