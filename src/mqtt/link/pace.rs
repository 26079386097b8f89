//! When to try the broker again, and in which MQTT version. Pure: `now` and the seed are passed.
//!
//! Not here: what went wrong (`fault`), trying (`link`).

use std::time::{Duration, Instant};

use super::Version;
use crate::config::Protocol;

/// First and largest wait where the broker is unreachable or closed the connection.
const SOON: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
/// First and largest wait where it refused us: only a person can change that.
const LATER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// A broker that only knew 3.1.1 may have been updated after this time.
const FORGET_FALLBACK: Duration = Duration::from_secs(24 * 3600);

/// Waits that double from try to try, a random part shorter so that a thousand agents do not
/// come back to a restarted broker in the same second. Of several brokers each is tried once before a wait.
#[derive(Debug)]
pub(super) struct BackOff {
    failures: u32,
    /// Brokers tried since the last wait, and whether one of them may soon be back.
    tried: usize,
    soon: bool,
    /// How long the connection lasted that failed last, where there was one.
    lasted: Duration,
    random: u64,
}

impl BackOff {
    /// `seed` must differ between agents.
    pub(super) fn new(seed: u64) -> Self {
        Self { failures: 0, tried: 0, soon: false, lasted: Duration::ZERO, random: seed | 1 }
    }

    /// Another broker: the next failure starts at the first wait again.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.random);
    }

    /// A connection was up for so long.
    pub(super) fn lasted(&mut self, time: Duration) {
        self.lasted = time;
    }

    /// How long to wait after one more failure, of so many brokers. One after a connection that lasted
    /// longer than the longest wait starts at the first wait again: two agents that take one id from each
    /// other are both let in each time.
    pub(super) fn next(&mut self, refused: bool, brokers: usize) -> Duration {
        let pace = |soon| if soon { SOON } else { LATER };
        if std::mem::take(&mut self.lasted) >= pace(!refused).1 {
            (self.failures, self.tried, self.soon) = (0, 0, false);
        }
        self.tried += 1;
        self.soon |= !refused;
        if self.tried < brokers {
            return Duration::ZERO;
        }
        self.tried = 0;
        let (first, most) = pace(std::mem::take(&mut self.soon));
        let full = first.saturating_mul(1 << self.failures.min(8)).min(most);
        self.failures = self.failures.saturating_add(1);
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let percent = u32::try_from(self.random % 26).unwrap_or(0);
        full - full * percent / 100
    }
}

/// Which MQTT version to try next.
#[derive(Debug)]
pub(super) struct Dialect {
    protocol: Protocol,
    fell_back: Option<Instant>,
    /// MQTT 5 was the last that worked: a broker that is silent now is not an old one, but frozen.
    spoke_5: bool,
}

impl Dialect {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self { protocol, fell_back: None, spoke_5: false }
    }

    /// The version of the next CONNECT.
    pub(super) fn first(&mut self, now: Instant) -> Version {
        if self.fell_back.is_some_and(|then| now.saturating_duration_since(then) >= FORGET_FALLBACK) {
            self.fell_back = None;
        }
        match self.protocol {
            Protocol::V3 => Version::V3,
            Protocol::Auto if self.fell_back.is_some() => Version::V3,
            Protocol::V5 | Protocol::Auto => Version::V5,
        }
    }

    /// Whether to try 3.1.1 at once after `tried` failed in a way that an old broker's does.
    pub(super) fn may_fall_back(&self, tried: Version) -> bool {
        self.protocol == Protocol::Auto && tried == Version::V5 && !self.spoke_5
    }

    /// A CONNACK came: the version that got it is kept.
    pub(super) fn succeeded(&mut self, version: Version, now: Instant) {
        match version {
            Version::V5 => self.fell_back = None,
            Version::V3 => _ = self.fell_back.get_or_insert(now),
        }
        self.spoke_5 = version == Version::V5;
    }

    /// The kept version does not work any more either: both are tried again.
    pub(super) fn failed(&mut self) {
        self.fell_back = None;
        self.spoke_5 = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_their_bounds() {
        let mut soon = BackOff::new(7);
        let waits: Vec<_> = (0..100).map(|_| soon.next(false, 1)).collect();
        assert!(waits[0] <= Duration::from_secs(1) && waits[0] >= Duration::from_millis(740));
        assert!(waits.iter().all(|w| *w <= Duration::from_secs(5)));
        assert!(waits[10..].iter().all(|w| *w >= Duration::from_millis(3700)));
        assert!(waits[10..].windows(2).any(|pair| pair[0] != pair[1]), "no jitter");
        let last = (0..20).map(|_| soon.next(true, 1)).last();
        assert!(last.is_some_and(|w| w > Duration::from_secs(40) && w <= Duration::from_secs(60)));
        soon.reset();
        assert!(soon.next(false, 1) <= Duration::from_secs(1));
    }

    #[test]
    fn only_a_connection_that_lasted_starts_the_waits_again() {
        let mut refused = BackOff::new(7);
        for _ in 0..10 {
            refused.lasted(Duration::from_secs(1));
            refused.next(true, 1);
        }
        refused.lasted(Duration::from_secs(59));
        assert!(refused.next(true, 1) > Duration::from_secs(40), "let in and thrown out again");
        refused.lasted(Duration::from_secs(60));
        assert!(refused.next(true, 1) <= Duration::from_secs(2));
        assert!(refused.next(true, 1) > Duration::from_secs(2), "it counts once");
        let mut closed = BackOff::new(7);
        (0..10).for_each(|_| _ = closed.next(false, 1));
        closed.lasted(Duration::from_secs(6));
        assert!(closed.next(false, 1) <= Duration::from_secs(1));
    }

    #[test]
    fn every_broker_is_tried_once_before_a_wait() {
        let mut back_off = BackOff::new(7);
        let waits: Vec<_> = (0..6).map(|_| back_off.next(false, 3)).collect();
        assert!(waits.iter().enumerate().all(|(place, wait)| wait.is_zero() == (place % 3 != 2)), "{waits:?}");
        assert!(waits[2] <= Duration::from_secs(1) && waits[5] > Duration::from_secs(1), "{waits:?}");
        // a connection that lasted begins a new round, one that did not belongs to the old one
        assert!(back_off.next(false, 2).is_zero());
        back_off.lasted(Duration::from_secs(6));
        assert!(back_off.next(false, 2).is_zero());
        back_off.lasted(Duration::from_secs(1));
        assert!(!back_off.next(false, 2).is_zero(), "let in and thrown out again");
        // one that refuses us does not delay another that may be back at once
        (0..20).for_each(|_| _ = back_off.next(true, 2));
        assert!(back_off.next(false, 2).is_zero());
        assert!(back_off.next(true, 2) <= Duration::from_secs(5));
    }

    #[test]
    fn version_3_is_kept_for_a_day_only_after_its_connack() {
        let start = Instant::now();
        let mut dialect = Dialect::new(Protocol::Auto);
        assert_eq!(dialect.first(start), Version::V5);
        assert!(dialect.may_fall_back(Version::V5));
        assert_eq!(dialect.first(start), Version::V5, "trying 3.1.1 alone keeps nothing");
        dialect.succeeded(Version::V3, start);
        assert_eq!(dialect.first(start + Duration::from_secs(3600)), Version::V3);
        dialect.succeeded(Version::V3, start + Duration::from_secs(3600));
        assert_eq!(dialect.first(start + Duration::from_secs(24 * 3600)), Version::V5);
    }

    #[test]
    fn who_spoke_version_5_is_taken_for_an_old_broker_only_at_the_second_failure() {
        let mut dialect = Dialect::new(Protocol::Auto);
        dialect.succeeded(Version::V5, Instant::now());
        assert!(!dialect.may_fall_back(Version::V5));
        dialect.failed();
        assert!(dialect.may_fall_back(Version::V5), "it may have been replaced by an older one");
    }

    #[test]
    fn a_configured_version_is_the_only_one() {
        let now = Instant::now();
        for (protocol, version) in [(Protocol::V5, Version::V5), (Protocol::V3, Version::V3)] {
            let mut dialect = Dialect::new(protocol);
            assert_eq!(dialect.first(now), version);
            assert!(!dialect.may_fall_back(version));
        }
    }
}
