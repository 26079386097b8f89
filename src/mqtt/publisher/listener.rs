//! Whether a Home Assistant is connected to the broker, as far as its status topic tells.
//!
//! One that is not connected but runs keeps its last numbers, and meets what is retained in an order of its own
//! when it comes back: it would pair them with a new unit. So what changes the meaning of a number waits for it,
//! for a while: one that starts knows no old number.

use std::time::{Duration, Instant};

/// After the agent's own connect: a Home Assistant that lost the same broker tries every 10 s.
const UNKNOWN_FOR: Duration = Duration::from_secs(20);
/// One that was cut off for longer than this was more likely stopped.
const GONE_FOR: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug)]
pub(super) enum Listener {
    /// It was born on this connection, and has got what it then needs.
    There,
    /// It was born, and gets that now.
    Born,
    /// Nothing was heard of it; or it said goodbye: not waited for any more from this time on.
    Away(Instant),
}

impl Listener {
    /// There is a new connection: it may have lost the broker too.
    pub(super) fn unknown(now: Instant) -> Self {
        Self::Away(now + UNKNOWN_FOR)
    }

    /// It was born, or it said goodbye.
    pub(super) fn heard(is_born: bool, now: Instant) -> Self {
        if is_born { Self::Born } else { Self::Away(now + GONE_FOR) }
    }

    /// Whether it is waited for now.
    pub(super) fn is_awaited(self, now: Instant) -> bool {
        match self {
            Self::There => false,
            Self::Born => true,
            Self::Away(until) => now < until,
        }
    }

    /// When it is not waited for any more, if nothing happens before.
    pub(super) fn until(self) -> Option<Instant> {
        match self {
            Self::There | Self::Born => None,
            Self::Away(until) => Some(until),
        }
    }
}
