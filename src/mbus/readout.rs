//! One meter's turn: reset or selection, REQ_UD2 with the right FCB, all its telegrams.

use core::fmt;

/// Why a meter's turn gave no reading. The bus goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadoutError {
    /// No byte came back in time, after every repeat.
    Silence,
}

impl fmt::Display for ReadoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("no answer"),
        }
    }
}

impl core::error::Error for ReadoutError {}
