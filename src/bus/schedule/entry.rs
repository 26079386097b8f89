//! One meter in the schedule: which slot is next, and when it may be read.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Now, Plan};
use crate::bus::slot::{rounding, slot_distance};

/// The longest gap between two tries of a silent meter with a short interval.
const LONGEST_SILENT_GAP: Duration = Duration::from_secs(15 * 60);

/// A step of the wall clock against the monotonic one that moves the slots.
const CLOCK_STEP: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) plan: Plan,
    pub(super) due: Slot,
    /// Not before, though the slot may be.
    pub(super) earliest: Instant,
    /// Due beside its slots, for its bus may be back.
    pub(super) woken: bool,
    /// Due because its bus surely is.
    pub(super) bus_is_back: bool,
    /// Start of the last scheduled read, or of one that ended a silence; and the slot that it was for.
    pub(super) last: Instant,
    pub(super) last_slot: Instant,
    /// Failed readouts in a row.
    pub(super) failures: u32,
    /// How often the line was lost in the middle of its read.
    pub(super) interrupted: u32,
    /// Whether another read came to its end since the first time.
    pub(super) others_end: bool,
}

/// A slot on both clocks, as seen when it was planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) monotonic: Instant,
    pub(super) wall: Timestamp,
}

impl Entry {
    /// Due at once, unless its last good reading is younger than its interval.
    pub(super) fn new(plan: Plan, now: Now, timezone: &TimeZone) -> Self {
        let age = plan.last_good.and_then(|good| Duration::try_from(now.wall.duration_since(good)).ok());
        let at_once = Slot { monotonic: now.monotonic, wall: now.wall };
        let last = age.filter(|age| *age < plan.interval).and_then(|age| now.monotonic.checked_sub(age));
        let mut entry = Self {
            due: at_once,
            earliest: now.monotonic,
            woken: false,
            bus_is_back: false,
            last_slot: last.unwrap_or(now.monotonic),
            last: last.unwrap_or(now.monotonic),
            failures: 0,
            interrupted: 0,
            others_end: false,
            plan,
        };
        if last.is_some() {
            entry.plan_next(now, timezone);
        }
        entry
    }

    pub(super) fn is_silent(&self) -> bool {
        self.failures >= u32::from(self.plan.offline_after.max(1))
    }

    pub(super) fn ready_at(&self) -> Instant {
        self.due.monotonic.max(self.earliest)
    }

    /// Due then, whatever its slots.
    pub(super) fn wake(&mut self, at: Instant, now: Now) {
        let wall = now.wall.saturating_add(signed_difference(at, now.monotonic)).unwrap_or(now.wall);
        (self.due, self.earliest, self.woken) = (Slot { monotonic: at, wall }, at, true);
    }

    /// Due now: another meter of its bus answers after a silence of all.
    pub(super) fn wake_with_its_bus(&mut self, now: Now) {
        self.wake(now.monotonic, now);
        self.bus_is_back = true;
    }

    /// One interval; for a silent meter doubled with each try, up to the longer of its interval and 15 min.
    fn gap(&self) -> Duration {
        let tries = self.failures.saturating_sub(u32::from(self.plan.offline_after.max(1)));
        let doubled = self.plan.interval.saturating_mul(2_u32.saturating_pow(tries));
        doubled.min(self.plan.interval.max(LONGEST_SILENT_GAP))
    }

    /// Plans the slot nearest to one gap after the last one, as the clocks stand now.
    pub(super) fn plan_next(&mut self, now: Now, timezone: &TimeZone) {
        let target = self.last_slot.checked_add(self.gap()).unwrap_or(self.last);
        self.due = self.slot_near(target, now, timezone);
        self.earliest = self.last.checked_add(self.plan.interval / 2).unwrap_or(self.last);
        (self.woken, self.bus_is_back) = (false, false);
    }

    /// Plans again where the wall clock was set since. A slot that is due by then is read at once all
    /// the same, for the nearest one of the clock as it is now.
    pub(super) fn follow_clock(&mut self, now: Now, timezone: &TimeZone) {
        let planned = self.due.wall.duration_since(now.wall);
        let step = planned - signed_difference(self.due.monotonic, now.monotonic);
        if step.unsigned_abs() < CLOCK_STEP {
            return;
        }
        if self.woken {
            return self.wake(self.due.monotonic, now);
        }
        if self.due.monotonic > now.monotonic {
            self.plan_next(now, timezone);
        } else {
            self.due.wall = self.slot_near(self.due.monotonic, now, timezone).wall;
        }
    }

    /// The slot that a read now is for: the one that is due, or after a long outage the latest.
    pub(super) fn slot_before(&self, now: Now, timezone: &TimeZone) -> Timestamp {
        if !self.woken && now.monotonic.duration_since(self.due.monotonic) < self.plan.interval {
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

pub(super) fn shift(instant: Instant, by: SignedDuration) -> Instant {
    let shifted =
        if by.is_negative() { instant.checked_sub(by.unsigned_abs()) } else { instant.checked_add(by.unsigned_abs()) };
    shifted.unwrap_or(instant)
}
