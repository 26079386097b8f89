//! When each meter of a bus is read next: a pure computation, `now` is passed.
//!
//! A slot is a point of a meter's grid: every `interval` from local midnight, shifted by `offset`, or
//! from the first read where the meter is not aligned. After the read of a slot, the next one is due at the
//! slot nearest to one interval later on the monotonic clock, but half an interval after the read at the
//! soonest. So a bus that is busy all the time reads each slot, if late, and two reads are never less than
//! 0.5 or, where there is time, more than 1.5 intervals apart, whatever the wall clock does. A missed slot
//! is not made up.
//!
//! A silent meter is asked less and less often. Where all of a bus are silent, one of them in turn is
//! asked at the shortest interval; the first answer after that, and all are due at once.
//!
//! Not here: where slots lie in a time zone (`slot`), reading, or what a reading says.

mod entry;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Meter;
use crate::mbus::master::readout::Effort;
use entry::{Entry, Slot, shift};

/// So many failed readouts in a row, and the next answer may be the end of an outage.
const OUTAGE: usize = 2;

/// So often a slot's read may be cut short by a lost line while others are not.
const INTERRUPTED: u32 = 3;

/// How often to look at the wall clock while nothing is due: a day's slot must not wait for a clock
/// that was set long before it.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// What intervals run on.
    pub monotonic: Instant,
    /// What slots are aligned to.
    pub wall: Timestamp,
}

/// What the schedule must know of a meter.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Time between two reads, more than zero.
    pub interval: Duration,
    /// Shift of the slots that count from local midnight; `None`: they count from the first read.
    pub aligned_offset_ms: Option<i64>,
    /// Failed readouts in a row before the meter counts as silent, at least 1.
    pub offline_after: u8,
    /// When it last gave a good reading, if that is known from before.
    pub last_good: Option<Timestamp>,
}

impl Plan {
    /// As configured.
    #[must_use]
    pub fn new(meter: &Meter, last_good: Option<Timestamp>) -> Self {
        let aligned_offset_ms = meter.align.then_some(meter.offset_ms);
        Self { interval: meter.interval, aligned_offset_ms, offline_after: meter.offline_after, last_good }
    }
}

/// A meter that is to be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Index in the plans.
    pub meter: usize,
    /// The slot it is for; `None` on demand.
    pub due_at: Option<Timestamp>,
    /// How long to try: a silent meter not for long.
    pub effort: Effort,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read this meter at once, then call [`Schedule::finished`].
    Read(Due),
    /// Nothing is due before; ask again then.
    WaitUntil(Instant),
    /// There is no meter.
    Idle,
}

/// The reads of one bus.
#[derive(Clone, Debug)]
pub struct Schedule {
    meters: Vec<Entry>,
    /// Meters to read on demand, first come first served, each once; and whether the last read was one of them:
    /// then a slot that is due comes next, so that who asks without end does not keep the others from theirs.
    soon: VecDeque<usize>,
    last_was_asked_for: bool,
    /// Failed readouts in a row, of whatever meters.
    failures: usize,
    timezone: TimeZone,
}

impl Schedule {
    /// A meter is due at once, unless its last good reading is younger than its interval.
    #[must_use]
    pub fn new(plans: Vec<Plan>, timezone: TimeZone, now: Now) -> Self {
        let meters = plans.into_iter().map(|plan| Entry::new(plan, now, &timezone)).collect();
        Self { meters, soon: VecDeque::new(), last_was_asked_for: false, failures: 0, timezone }
    }

    /// The same for other meters: each with the index that it had here, where its reads go on as they were.
    pub(super) fn exchanged(&self, plans: Vec<(Plan, Option<usize>)>, now: Now) -> Self {
        let before: Vec<Option<usize>> = plans.iter().map(|(_, before)| *before).collect();
        let mut next = Self::new(plans.into_iter().map(|(plan, _)| plan).collect(), self.timezone.clone(), now);
        for (entry, before) in next.meters.iter_mut().zip(&before) {
            if let Some(former) = before.and_then(|before| self.meters.get(before)) {
                *entry = former.clone();
            }
        }
        let place = |former: &usize| before.iter().position(|before| *before == Some(*former));
        next.soon = self.soon.iter().filter_map(place).collect();
        next
    }

    /// Reads this meter before anything scheduled; once, however often it is asked for until then.
    pub fn read_soon(&mut self, meter: usize) {
        if meter < self.meters.len() && !self.soon.contains(&meter) {
            self.soon.push_back(meter);
        }
    }

    /// What to do now: on demand and scheduled by turns, the longest due first. What is returned counts as started.
    pub fn next(&mut self, now: Now) -> Next {
        if core::mem::take(&mut self.last_was_asked_for) {
            if let due @ Next::Read(_) = self.next_slot(now) {
                return due;
            }
        }
        let Some(meter) = self.soon.pop_front() else { return self.next_slot(now) };
        self.last_was_asked_for = true;
        Next::Read(Due { meter, due_at: None, effort: Effort::Full })
    }

    /// The slot that is due now, or when the next one is.
    fn next_slot(&mut self, now: Now) -> Next {
        for entry in &mut self.meters {
            entry.follow_clock(now, &self.timezone);
        }
        let order = |entry: &Entry| match entry.ready_at() {
            due if due <= now.monotonic => (entry.interrupted, due),
            due => (u32::MAX, due),
        };
        let Some((meter, entry)) = self.meters.iter_mut().enumerate().min_by_key(|(_, entry)| order(entry)) else {
            return Next::Idle;
        };
        let ready_at = entry.ready_at();
        if ready_at > now.monotonic {
            return Next::WaitUntil(now.monotonic.checked_add(LOOK_EVERY).map_or(ready_at, |look| ready_at.min(look)));
        }
        let effort = match (entry.is_silent(), entry.bus_is_back) {
            (false, _) => Effort::Full,
            (true, true) => Effort::Short,
            (true, false) => Effort::Shortest,
        };
        let due = Due { meter, due_at: Some(entry.slot_before(now, &self.timezone)), effort };
        let in_time = !entry.woken && now.monotonic - entry.due.monotonic < entry.plan.interval;
        entry.last_slot = if in_time { entry.due.monotonic } else { now.monotonic };
        entry.last = now.monotonic;
        entry.plan_next(now, &self.timezone);
        Next::Read(due)
    }

    /// When each meter is read next, in their order.
    #[must_use]
    pub fn next_reads(&self) -> Vec<Timestamp> {
        self.meters.iter().map(|entry| entry.due.wall).collect()
    }

    /// The line was lost in the middle of a scheduled read: its slot is due again, after those of others; but
    /// not forever, where only this read ends so.
    pub fn interrupted(&mut self, due: Due, now: Now) {
        let (Some(entry), Some(wall)) = (self.meters.get_mut(due.meter), due.due_at) else { return };
        entry.interrupted += 1;
        if entry.interrupted < INTERRUPTED || !entry.others_end {
            entry.due = Slot { monotonic: shift(now.monotonic, wall.duration_since(now.wall)), wall };
            entry.earliest = now.monotonic;
        } else {
            (entry.interrupted, entry.others_end) = (0, false);
        }
    }

    /// Says how a read ended: the gap of a silent meter grows, one that answers is silent no more, and after
    /// a silence of the bus neither are the others.
    pub fn finished(&mut self, due: Due, answered: bool, now: Now) {
        let Some(entry) = self.meters.get_mut(due.meter) else { return };
        (entry.interrupted, entry.others_end) = (0, false);
        let on_demand = due.due_at.is_none();
        let back = answered && entry.is_silent();
        if answered {
            entry.failures = 0;
        } else if !on_demand || !entry.is_silent() {
            entry.failures = entry.failures.saturating_add(1);
        }
        if back {
            (entry.last, entry.last_slot) = (now.monotonic, now.monotonic);
        }
        if back || !on_demand {
            entry.plan_next(now, &self.timezone);
        }
        self.meters.iter_mut().for_each(|entry| entry.others_end |= entry.interrupted > 0);
        if answered {
            if core::mem::take(&mut self.failures) >= OUTAGE {
                self.meters.iter_mut().filter(|entry| entry.is_silent()).for_each(|entry| entry.wake_with_its_bus(now));
            }
        } else {
            self.failures = self.failures.saturating_add(1);
            self.watch_silent_bus(now);
        }
    }

    /// Where all meters are silent, the one that was not tried for longest is due at the shortest interval.
    fn watch_silent_bus(&mut self, now: Now) {
        let shortest = self.meters.iter().map(|entry| entry.plan.interval).min();
        let last = self.meters.iter().map(|entry| entry.last).max();
        let (Some(shortest), Some(last)) = (shortest, last) else { return };
        let at = last.checked_add(shortest).unwrap_or(last);
        if self.meters.iter().all(Entry::is_silent) && self.meters.iter().all(|entry| entry.ready_at() > at) {
            if let Some(entry) = self.meters.iter_mut().min_by_key(|entry| entry.last) {
                entry.wake(at, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
