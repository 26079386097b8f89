//! When to do something about a bus on which no meter answers: take its power away and give it back, for
//! a short or meters that hang may end with it; or connect to its gateway again, for one that was
//! restarted behind a proxy, or hangs, acknowledges everything and sends nothing.
//! Pure, `now` is passed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Times within an hour at most: where two did not help, the next will not either.
const PER_HOUR: usize = 2;
const HOUR: Duration = Duration::from_secs(3600);

/// Long enough for the bus to discharge and its meters to forget.
pub(super) const OFF_FOR: Duration = Duration::from_secs(5);

/// What happened on a bus since a meter answered.
#[derive(Clone, Debug)]
pub(super) struct LastResort {
    /// Failed readouts in a row, of whatever meters, after which the bus itself is suspected.
    suspicious: usize,
    gateway: bool,
    failures: usize,
    taken: VecDeque<Instant>,
}

impl LastResort {
    /// For a bus with so many meters: where some are dead, the others are asked first.
    pub(super) fn new(meters: usize, gateway: bool) -> Self {
        let mut new = Self { suspicious: 0, gateway, failures: 0, taken: VecDeque::new() };
        new.meters(meters);
        new
    }

    /// There are so many meters now.
    pub(super) fn meters(&mut self, meters: usize) {
        // A new connection costs next to nothing, a power cycle all meters' memory.
        self.suspicious = meters.max(if self.gateway { 3 } else { 10 });
    }

    /// Takes the outcome of a readout; whether the last resort is due now.
    pub(super) fn after(&mut self, answered: bool, now: Instant) -> bool {
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        self.taken.retain(|taken| now.duration_since(*taken) < HOUR);
        if self.failures < self.suspicious || self.taken.len() >= PER_HOUR {
            return false;
        }
        self.failures = 0;
        self.taken.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::LastResort;
    use std::time::{Duration, Instant};

    #[test]
    fn ten_failures_in_a_row_are_one_cycle_and_two_an_hour_the_most() {
        let start = Instant::now();
        let mut cycles = LastResort::new(1, false);
        let cycled: Vec<u64> = (1..=400)
            .filter(|ten_seconds| cycles.after(false, start + Duration::from_secs(10 * ten_seconds)))
            .collect();
        // The third comes when the first is an hour old, the fourth when the second is.
        assert_eq!(cycled, [10, 20, 370, 380]);
    }

    #[test]
    fn one_answer_is_enough_to_leave_the_power_alone() {
        let now = Instant::now();
        let mut cycles = LastResort::new(1, false);
        assert!(!(0..100).any(|n| cycles.after(n % 10 == 9, now)));
    }

    #[test]
    fn dead_meters_in_a_row_are_no_reason_while_others_have_not_been_asked() {
        let now = Instant::now();
        for gateway in [false, true] {
            let mut bus = LastResort::new(60, gateway);
            assert!(!(0..600).any(|n| bus.after(n % 60 == 59, now)), "59 of 60 are dead");
            assert!((0..60).any(|_| bus.after(false, now)));
        }
        let mut gateway = LastResort::new(1, true);
        assert_eq!([false; 3].map(|answered| gateway.after(answered, now)), [false, false, true]);
    }
}
