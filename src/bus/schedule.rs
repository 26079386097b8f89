//! When each meter of a bus is read next: a pure computation, `now` is passed.
//!
//! A slot is a point of a meter's grid: every `interval` from local midnight, shifted by `offset`, or
//! from the first read where the meter is not aligned. After a read that started at `t`, the next one
//! is due at the slot nearest to `t + interval` on the monotonic clock. So two reads are never less
//! than 0.5 or more than 1.5 intervals apart, whatever the wall clock does, and a missed slot is not
//! made up.
//!
//! Not here: where slots lie in a time zone (`slot`), reading, or what a reading says.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::slot::{rounding, slot_distance};
use crate::config::Meter;

/// The longest gap between two tries of a silent meter with a short interval.
const LONGEST_SILENT_GAP: Duration = Duration::from_secs(15 * 60);

/// A step of the wall clock against the monotonic one that moves the slots.
const CLOCK_STEP: Duration = Duration::from_secs(1);

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
    /// Whether a failed request may be repeated: not for a silent meter's try.
    pub retry: bool,
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
    /// Meters to read on demand, first come first served, each once.
    soon: VecDeque<usize>,
    timezone: TimeZone,
}

#[derive(Clone, Debug)]
struct Entry {
    plan: Plan,
    due: Slot,
    /// Start of the last scheduled read, or of one that ended a silence.
    last: Instant,
    /// Failed readouts in a row.
    failures: u32,
    /// How often the line was lost in the middle of its read.
    interrupted: u32,
    /// Whether another read came to its end since the first time.
    others_end: bool,
}

/// A slot on both clocks, as seen when it was planned.
#[derive(Clone, Copy, Debug)]
struct Slot {
    monotonic: Instant,
    wall: Timestamp,
}

impl Schedule {
    /// A meter is due at once, unless its last good reading is younger than its interval.
    #[must_use]
    pub fn new(plans: Vec<Plan>, timezone: TimeZone, now: Now) -> Self {
        let entry = |plan: Plan| {
            let age = plan.last_good.and_then(|good| Duration::try_from(now.wall.duration_since(good)).ok());
            let at_once = Slot { monotonic: now.monotonic, wall: now.wall };
            let last = age.filter(|age| *age < plan.interval).and_then(|age| now.monotonic.checked_sub(age));
            let mut entry = Entry {
                due: at_once,
                last: last.unwrap_or(now.monotonic),
                failures: 0,
                interrupted: 0,
                others_end: false,
                plan,
            };
            if last.is_some() {
                entry.plan_next(now, &timezone);
            }
            entry
        };
        let meters = plans.into_iter().map(entry).collect();
        Self { meters, soon: VecDeque::new(), timezone }
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

    /// What to do now: on demand before scheduled, the longest due first. What is returned counts as started.
    pub fn next(&mut self, now: Now) -> Next {
        if let Some(meter) = self.soon.pop_front() {
            return Next::Read(Due { meter, due_at: None, retry: true });
        }
        for entry in &mut self.meters {
            entry.follow_clock(now, &self.timezone);
        }
        let order = |entry: &Entry| match entry.due.monotonic {
            due if due <= now.monotonic => (entry.interrupted, due),
            due => (u32::MAX, due),
        };
        let Some((meter, entry)) = self.meters.iter_mut().enumerate().min_by_key(|(_, entry)| order(entry)) else {
            return Next::Idle;
        };
        if entry.due.monotonic > now.monotonic {
            let look_at = now.monotonic.checked_add(LOOK_EVERY).unwrap_or(entry.due.monotonic);
            return Next::WaitUntil(entry.due.monotonic.min(look_at));
        }
        let due = Due { meter, due_at: Some(entry.slot_before(now, &self.timezone)), retry: !entry.is_silent() };
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
        } else {
            (entry.interrupted, entry.others_end) = (0, false);
        }
    }

    /// Says how a read ended: the gap of a silent meter grows, one that answers is silent no more.
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
            entry.last = now.monotonic;
        }
        if back || !on_demand {
            entry.plan_next(now, &self.timezone);
        }
        self.meters.iter_mut().for_each(|entry| entry.others_end |= entry.interrupted > 0);
    }
}

impl Entry {
    fn is_silent(&self) -> bool {
        self.failures >= u32::from(self.plan.offline_after.max(1))
    }

    /// One interval; for a silent meter doubled with each try, up to the longer of its interval and 15 min.
    fn gap(&self) -> Duration {
        let tries = self.failures.saturating_sub(u32::from(self.plan.offline_after.max(1)));
        let doubled = self.plan.interval.saturating_mul(2_u32.saturating_pow(tries));
        doubled.min(self.plan.interval.max(LONGEST_SILENT_GAP))
    }

    /// Plans the slot nearest to one gap after the last read, as the clocks stand now.
    fn plan_next(&mut self, now: Now, timezone: &TimeZone) {
        let target = self.last.checked_add(self.gap()).unwrap_or(self.last);
        self.due = self.slot_near(target, now, timezone);
    }

    /// Plans again where the wall clock was set since. A slot that is due by then is read at once all
    /// the same, for the nearest one of the clock as it stands now.
    fn follow_clock(&mut self, now: Now, timezone: &TimeZone) {
        let planned = self.due.wall.duration_since(now.wall);
        let step = planned - signed_difference(self.due.monotonic, now.monotonic);
        if step.unsigned_abs() < CLOCK_STEP {
            return;
        }
        if self.due.monotonic > now.monotonic {
            self.plan_next(now, timezone);
        } else {
            self.due.wall = self.slot_near(self.due.monotonic, now, timezone).wall;
        }
    }

    /// The slot that a read now is for: the one that is due, or after a long outage the latest.
    fn slot_before(&self, now: Now, timezone: &TimeZone) -> Timestamp {
        if now.monotonic.duration_since(self.due.monotonic) < self.plan.interval {
            return self.due.wall;
        }
        let half_ago = now.monotonic.checked_sub(self.plan.interval / 2).unwrap_or(now.monotonic);
        self.slot_near(half_ago, now, timezone).wall
    }

    /// The slot nearest to `target`, or `target` itself where none is within half an interval of it.
    fn slot_near(&self, target: Instant, now: Now, timezone: &TimeZone) -> Slot {
        let ahead = signed_difference(target, now.monotonic);
        let wall = now.wall.saturating_add(ahead).unwrap_or(now.wall);
        let by = match self.plan.aligned_offset_ms {
            Some(offset_ms) => slot_distance(wall, self.plan.interval, offset_ms, timezone),
            None => rounding(signed_difference(target, self.due.monotonic), self.plan.interval),
        };
        Slot { monotonic: shift(target, by), wall: wall.saturating_add(by).unwrap_or(wall) }
    }
}

/// `a - b`.
fn signed_difference(a: Instant, b: Instant) -> SignedDuration {
    let signed = |d: Duration| SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX);
    if a >= b { signed(a - b) } else { -signed(b - a) }
}

fn shift(instant: Instant, by: SignedDuration) -> Instant {
    let shifted =
        if by.is_negative() { instant.checked_sub(by.unsigned_abs()) } else { instant.checked_add(by.unsigned_abs()) };
    shifted.unwrap_or(instant)
}

#[cfg(test)]
mod tests;
