//! A connection that comes and goes all the time fills no log: after a few changes they are counted,
//! and the count is said once a minute, after an hour once an hour. Pure: `now` is passed.
//!
//! Not here: the lines themselves (`task`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many changes within [`CALM`] are one too many.
const CHANGES: usize = 6;
/// Without a change for so long, the next one has its own line again.
const CALM: Duration = Duration::from_secs(120);
/// How often the count is said in the first hour, and later.
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How restless the connection is.
#[derive(Debug, Default)]
pub(super) struct Flapping {
    /// The last changes.
    last: VecDeque<Instant>,
    /// Where changes are counted: since when, and what is not said yet.
    counting: Option<Counting>,
}

#[derive(Debug)]
struct Counting {
    since: Instant,
    changes: u32,
    say_at: Instant,
}

impl Flapping {
    /// The connection is up, or is lost: whether that has a line of its own.
    pub(super) fn change(&mut self, now: Instant) -> bool {
        self.last.push_back(now);
        if self.last.len() > CHANGES {
            self.last.pop_front();
        }
        if let Some(counting) = &mut self.counting {
            counting.changes += 1;
            return false;
        }
        let is_restless =
            self.last.len() == CHANGES && self.last.front().is_some_and(|first| now.duration_since(*first) < CALM);
        if is_restless {
            self.counting = Some(Counting { since: now, changes: 1, say_at: now + MINUTE });
        }
        !is_restless
    }

    /// Whether changes are only counted now.
    pub(super) fn is_counting(&self) -> bool {
        self.counting.is_some()
    }

    /// When [`Flapping::summary`] has something to do.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.counting.as_ref().map(|counting| counting.say_at)
    }

    /// How many changes there were that had no line, where it is time to say so.
    pub(super) fn summary(&mut self, now: Instant) -> Option<u32> {
        let counting = self.counting.as_mut().filter(|counting| counting.say_at <= now)?;
        let changes = std::mem::take(&mut counting.changes);
        counting.say_at = now + if now.duration_since(counting.since) < HOUR { MINUTE } else { HOUR };
        if self.last.back().is_none_or(|last| now.duration_since(*last) >= CALM) {
            (self.counting, self.last) = (None, VecDeque::new());
        }
        (changes > 0).then_some(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines and summaries of a connection that changes every five seconds for so long.
    fn lines(flapping: &mut Flapping, start: Instant, seconds: u64) -> (u32, Vec<u32>) {
        let (mut own, mut summaries) = (0, Vec::new());
        for second in (0..seconds).step_by(5) {
            let now = start + Duration::from_secs(second);
            own += u32::from(flapping.change(now));
            summaries.extend(flapping.summary(now));
        }
        (own, summaries)
    }

    #[test]
    fn a_broker_that_flaps_for_a_day_has_a_line_a_minute_then_an_hour() {
        let (start, mut flapping) = (Instant::now(), Flapping::default());
        let (own, summaries) = lines(&mut flapping, start, 24 * 3600);
        assert_eq!(own, 5, "one a change, at first");
        assert_eq!(summaries.len(), 60 + 22);
        assert_eq!((summaries[1], summaries[80]), (12, 720));
        assert_eq!(5 + summaries.iter().sum::<u32>() + flapping.counting.expect("it counts").changes, 17280);
    }

    #[test]
    fn the_end_of_it_is_said_and_then_a_change_has_its_line_again() {
        let (start, mut flapping) = (Instant::now(), Flapping::default());
        lines(&mut flapping, start, 100);
        let at = flapping.wake_at().expect("something to say");
        assert!(at <= start + Duration::from_secs(160), "within a minute");
        assert!(flapping.summary(at - Duration::from_secs(1)).is_none());
        assert_eq!(flapping.summary(at), Some(2));
        assert!(flapping.is_counting(), "it may go on");
        let calm = at + CALM;
        assert_eq!(flapping.summary(calm), None, "nothing came");
        assert!(!flapping.is_counting() && flapping.wake_at().is_none());
        assert!(flapping.change(calm + MINUTE));
    }

    #[test]
    fn restarts_of_a_broker_now_and_then_have_their_lines() {
        let (start, mut flapping) = (Instant::now(), Flapping::default());
        for n in 0..50 {
            assert!(flapping.change(start + Duration::from_secs(30 * n)));
            assert_eq!(flapping.summary(start), None);
        }
    }
}
