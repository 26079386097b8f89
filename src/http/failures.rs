//! Wrong passwords, counted by address, so that guessing takes for ever.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// So many within a minute are answered. An address that makes more waits for the end of the minute.
const A_MINUTE: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses that are remembered. Beyond that all others count as one.
const ADDRESSES: usize = 1000;

/// Who failed, how often, since when.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<Option<IpAddr>, (u32, Instant)>);

impl Failures {
    /// Whether a password from there is looked at now.
    pub(super) fn may_try(&mut self, from: IpAddr, now: Instant) -> bool {
        self.0.retain(|_, (_, since)| now.duration_since(*since) < MINUTE);
        self.0.get(&self.key(from)).is_none_or(|(count, _)| *count < A_MINUTE)
    }

    /// It was wrong.
    pub(super) fn failed(&mut self, from: IpAddr, now: Instant) {
        self.0.entry(self.key(from)).or_insert((0, now)).0 += 1;
    }

    fn key(&self, from: IpAddr) -> Option<IpAddr> {
        let known = self.0.contains_key(&Some(from));
        Some(from).filter(|_| known || self.0.len() < ADDRESSES)
    }
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES, Failures};
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    fn address(number: usize) -> IpAddr {
        Ipv4Addr::from_bits(u32::try_from(number).expect("a small number")).into()
    }

    #[test]
    fn the_eleventh_try_within_a_minute_waits_and_others_do_not() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for _ in 0..10 {
            assert!(failures.may_try(address(1), now));
            failures.failed(address(1), now);
        }
        assert!(!failures.may_try(address(1), now + Duration::from_secs(59)));
        assert!(failures.may_try(address(2), now));
        assert!(failures.may_try(address(1), now + Duration::from_secs(60)));
    }

    #[test]
    fn memory_is_bounded_whoever_asks() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        (0..5 * ADDRESSES).for_each(|number| failures.failed(address(number), now));
        assert!(failures.0.len() <= ADDRESSES + 1);
        assert!(!failures.may_try(address(10 * ADDRESSES), now));
    }
}
