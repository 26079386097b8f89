//! When to take a bus's power away and give it back: a short, or meters that hang, may end with it.
//! Pure, `now` is passed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Failed readouts in a row, of whatever meters, after which the bus itself is suspected.
const FAILURES: u32 = 10;
/// Power cycles within an hour at most: where two did not help, the next will not either.
const PER_HOUR: usize = 2;
const HOUR: Duration = Duration::from_secs(3600);

/// Long enough for the bus to discharge and its meters to forget.
pub(super) const OFF_FOR: Duration = Duration::from_secs(5);

/// What happened on a bus since somebody answered.
#[derive(Clone, Debug, Default)]
pub(super) struct PowerCycles {
    failures: u32,
    cycled: VecDeque<Instant>,
}

impl PowerCycles {
    /// Takes the outcome of a readout; whether the bus shall be power-cycled now.
    pub(super) fn after(&mut self, answered: bool, now: Instant) -> bool {
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        self.cycled.retain(|cycled| now.duration_since(*cycled) < HOUR);
        if self.failures < FAILURES || self.cycled.len() >= PER_HOUR {
            return false;
        }
        self.failures = 0;
        self.cycled.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::PowerCycles;
    use std::time::{Duration, Instant};

    #[test]
    fn ten_failures_in_a_row_are_one_cycle_and_two_an_hour_the_most() {
        let start = Instant::now();
        let mut cycles = PowerCycles::default();
        let cycled: Vec<u64> = (1..=400)
            .filter(|ten_seconds| cycles.after(false, start + Duration::from_secs(10 * ten_seconds)))
            .collect();
        // The third comes when the first is an hour old, the fourth when the second is.
        assert_eq!(cycled, [10, 20, 370, 380]);
    }

    #[test]
    fn one_answer_is_enough_to_leave_the_power_alone() {
        let now = Instant::now();
        let mut cycles = PowerCycles::default();
        assert!(!(0..100).any(|n| cycles.after(n % 10 == 9, now)));
    }
}
