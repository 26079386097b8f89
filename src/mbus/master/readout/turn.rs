//! What one meter's turn is asked for, and what comes of it.

use std::time::Duration;

use super::{LinkState, ReadoutError};
use crate::mbus::address::MeterAddress;
use crate::mbus::application::security::Key;
use crate::mbus::master::conversation::Traffic;

/// What is read of a meter in its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// How it is asked.
    pub address: MeterAddress,
    /// Reset it before each readout, not only where the frame count bit is in doubt.
    pub reset: bool,
    /// Sub-code of an application select before the data is requested.
    pub application_select: Option<u8>,
    /// Reset the application instead: another one was selected since.
    pub application_reset: bool,
    /// CI fields of extra control frames; each reply is one more telegram.
    pub requests: Vec<u8>,
    /// Opens encrypted telegrams, only to see whether more follow.
    pub key: Option<Key>,
    /// How long to try.
    pub effort: Effort,
}

/// How long a meter is tried that may be dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// With every repeat, and once as long as the slowest meters take.
    #[default]
    Full,
    /// A reset and a request, each once: its bus may just have come back.
    Short,
    /// Silence costs one reply timeout: a reset and a request by turns.
    Shortest,
}

impl Turn {
    /// The plain readout of the meter at `address`.
    #[must_use]
    pub const fn new(address: MeterAddress) -> Self {
        Self {
            address,
            reset: false,
            application_select: None,
            application_reset: false,
            requests: Vec::new(),
            key: None,
            effort: Effort::Full,
        }
    }

    /// Whether an application is chosen before the data is requested.
    pub(super) fn chooses_application(&self) -> bool {
        self.application_reset || self.application_select.is_some()
    }
}

/// How a meter's turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnOver {
    /// The whole frames of its telegrams, in order; or why there are none.
    pub frames: Result<Vec<Vec<u8>>, ReadoutError>,
    /// CI fields of extra requests that were not answered, though the meter's data was read.
    pub unanswered: Vec<u8>,
    /// For its next turn.
    pub link: LinkState,
    /// The longest that it took to answer, as far as that is known.
    pub response_time: Option<Duration>,
    /// What it took.
    pub traffic: Traffic,
}
