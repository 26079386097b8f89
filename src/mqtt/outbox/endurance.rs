//! How long connections last, and how fast messages may follow each other on them. Pure: `now` is passed.
//!
//! A broker may end each connection after a few messages. If every connect began with all documents, it would
//! never come to the readings.

use std::time::{Duration, Instant};

/// A connection that lasted so long has served.
pub(super) const LASTED: Duration = Duration::from_secs(10);
/// So many in a row that were cut short while something was on the way: one may be a restart of the broker,
/// which then perhaps has nothing any more.
const CUT_SHORT: u32 = 2;
/// So often no message may turn out to be the reason for which the broker hangs up: at the next time it is their rate.
const NO_MESSAGE_WAS_IT: u32 = 4;
/// First and longest pause between two messages, where they come too fast for the broker.
const PAUSE: (Duration, Duration) = (Duration::from_millis(8), Duration::from_secs(1));
/// After so long without a complaint the pause is halved.
const EASE_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Endurance {
    /// When the connection came up.
    since: Option<Instant>,
    /// Connections in a row that were cut short.
    cut_short: u32,
    /// How often the broker has hung up, and then took every message that it may have disliked.
    blameless: u32,
    pause: Duration,
    eased: Option<Instant>,
    /// A message has left since it was last asked whether one may.
    has_sent: bool,
    /// When the next one may leave, where it must wait.
    next_at: Option<Instant>,
}

impl Endurance {
    /// A new connection: whether those before it were cut short.
    pub(super) fn begin(&mut self) -> bool {
        self.since = None;
        self.cut_short >= CUT_SHORT
    }

    /// The connection is over, `closed` by the broker; `busy`: with something on the way.
    pub(super) fn end(&mut self, busy: bool, closed: bool, now: Instant) {
        let since = self.since.take();
        let is_short = since.is_some_and(|since| now < since + LASTED);
        self.cut_short = if is_short && busy { self.cut_short.saturating_add(1) } else { 0 };
        if self.pause.is_zero() && since.is_some_and(|since| now >= since + EASE_AFTER) {
            self.blameless = 0;
        }
        if closed && busy && self.blameless >= NO_MESSAGE_WAS_IT {
            self.too_fast(now);
        }
    }

    /// The broker had hung up, and now it has every message that was on the way then.
    pub(super) fn no_message_was_it(&mut self) {
        self.blameless = self.blameless.saturating_add(1);
    }

    /// Whether the connection has lasted.
    pub(super) fn has_lasted(&mut self, now: Instant) -> bool {
        *self.since.get_or_insert(now) + LASTED <= now
    }

    /// When it will have.
    pub(super) fn lasts_at(&self) -> Option<Instant> {
        self.since.map(|since| since + LASTED)
    }

    /// Messages come too fast for the broker.
    pub(super) fn too_fast(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(PAUSE.0, PAUSE.1);
        self.eased = Some(now);
    }

    /// A message leaves.
    pub(super) fn sends(&mut self) {
        self.has_sent = true;
    }

    /// Whether the next one may.
    pub(super) fn may_send(&mut self, now: Instant) -> bool {
        if std::mem::take(&mut self.has_sent) && !self.pause.is_zero() {
            self.next_at = Some(now + self.pause);
            self.ease(now);
        }
        self.next_at.take_if(|at| *at <= now);
        self.next_at.is_none()
    }

    fn ease(&mut self, now: Instant) {
        if self.eased.is_some_and(|eased| eased + EASE_AFTER <= now) {
            self.pause = Some(self.pause / 2).filter(|pause| *pause >= PAUSE.0).unwrap_or_default();
            self.eased = Some(now);
        }
    }

    /// When it may, where it must wait.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.next_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_a_second_and_shrinks_again() {
        let mut now = Instant::now();
        let mut endurance = Endurance::default();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            endurance.too_fast(now);
            pauses.push(endurance.pause.as_millis());
        }
        assert_eq!(pauses, [8, 16, 32, 64, 128, 256, 512, 1000, 1000, 1000]);
        endurance.sends();
        assert!(!endurance.may_send(now));
        assert_eq!(endurance.next_at(), Some(now + PAUSE.1));
        assert!(endurance.may_send(now + PAUSE.1) && endurance.next_at().is_none());
        for _ in 0..7 {
            now += EASE_AFTER;
            endurance.sends();
            endurance.may_send(now);
        }
        endurance.sends();
        assert!(endurance.may_send(now + PAUSE.1) && endurance.next_at().is_none());
    }
}
