//! How long an exchange waits: for the first byte, for the next one, for silence.
//!
//! A silence inside a telegram may last longer where the length field says that more is coming and the line
//! is a gateway's ([`LineTiming::gap_timeout`](crate::mbus::master::conversation::LineTiming)). That time is
//! given and not learnt from the gaps seen: a whole telegram never waits for it, so a shorter one would win
//! time only after answers that end too early; and a gateway's longest gap, which comes with a busy network, would
//! be met for the first time as a reading that is lost.

use std::time::{Duration, Instant};

use super::{Exchange, Wait};
use crate::mbus::link::frame::MAX_LEN;

/// Silence between the bytes of one telegram after which it is given up, beyond the standard's 33 bit
/// times: what a loaded system may take to hand the next bytes on. It costs only broken replies.
const JITTER: Duration = Duration::from_millis(100);

/// The latest first byte of an answer that is waited for where nothing else came: modules in meters that
/// sleep, and gateways that fetch the answer first, take one or two seconds (the standard allows 330 bit
/// times + 50 ms).
pub const LATEST_ANSWER: Duration = Duration::from_secs(3);

impl Exchange {
    /// From the end of this send to the first byte of its answer.
    pub(super) fn response_timeout(&self) -> Duration {
        let last = self.traffic.sends > u32::from(self.timing.retries);
        let longest = if self.patient && last { LATEST_ANSWER } else { Duration::ZERO };
        self.timing.response_timeout.max(longest)
    }

    /// Longer than any reply or noise burst that a working line carries.
    pub(super) fn longest(&self) -> Duration {
        self.timing.baud.characters(2 * MAX_LEN) + self.response_timeout() + self.inter_byte()
    }

    /// When the wait has ended, had it been polled in time.
    pub(super) fn ended(&self, wait: &Wait) -> Instant {
        let expected = |last| wait.first_byte_by.max(last + self.inter_byte().max(self.quiet_at_the_end()));
        wait.last_byte.map_or(wait.first_byte_by, expected)
    }

    /// The longest silence between two bytes of what is coming.
    pub(super) fn inter_byte(&self) -> Duration {
        let usual = self.quiet() + JITTER;
        if self.framer.promises_more() { usual.max(self.timing.gap_timeout) } else { usual }
    }

    /// The silence after which the next request may follow.
    pub(super) fn quiet(&self) -> Duration {
        self.timing.baud.quiet_after_error() + self.timing.latency
    }

    /// The silence after which nothing more is expected.
    pub(super) fn quiet_at_the_end(&self) -> Duration {
        if self.doubts_ack { self.quiet().max(LATEST_ANSWER) } else { self.quiet() }
    }

    /// Until when the answer to another send may begin, where one has come by `now`: if this one answers
    /// an earlier send, the next follows it as the next send followed that.
    pub(super) fn another_by(&self, first_byte_by: Instant, now: Instant) -> Instant {
        let [.., before, last] = self.ends.as_slice() else { return first_byte_by.max(now) };
        first_byte_by.max(now + (*last - *before))
    }
}
