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

/// The longest gap between two tries of a silent meter with a short interval.
const LONGEST_SILENT_GAP: Duration = Duration::from_secs(15 * 60);

/// A step of the wall clock against the monotonic one that moves the slots.
const CLOCK_STEP: Duration = Duration::from_secs(1);

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

/// A meter that is to be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Place in the plans.
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
    /// Nothing is due before.
    WaitUntil(Instant),
    /// There is no meter.
    Idle,
}

/// The reads of one bus.
#[derive(Clone, Debug)]
pub struct Schedule {
    meters: Vec<Entry>,
    /// Meters to read on demand, first come first served, each once.
    wanted: VecDeque<usize>,
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
            let mut entry = Entry { due: at_once, last: last.unwrap_or(now.monotonic), failures: 0, plan };
            if last.is_some() {
                entry.plan_next(now, &timezone);
            }
            entry
        };
        let meters = plans.into_iter().map(entry).collect();
        Self { meters, wanted: VecDeque::new(), timezone }
    }

    /// Reads this meter before anything scheduled; a wish that is already waiting is not doubled.
    pub fn want(&mut self, meter: usize) {
        if meter < self.meters.len() && !self.wanted.contains(&meter) {
            self.wanted.push_back(meter);
        }
    }

    /// What to do now: on demand before scheduled, the longest due first. What is returned counts as started.
    pub fn next(&mut self, now: Now) -> Next {
        if let Some(meter) = self.wanted.pop_front() {
            return Next::Read(Due { meter, due_at: None, retry: true });
        }
        for entry in &mut self.meters {
            entry.follow_clock(now, &self.timezone);
        }
        let Some((meter, entry)) = self.meters.iter_mut().enumerate().min_by_key(|(_, e)| e.due.monotonic) else {
            return Next::Idle;
        };
        if entry.due.monotonic > now.monotonic {
            return Next::WaitUntil(entry.due.monotonic);
        }
        let due = Due { meter, due_at: Some(entry.slot_before(now, &self.timezone)), retry: !entry.is_silent() };
        entry.last = now.monotonic;
        entry.plan_next(now, &self.timezone);
        Next::Read(due)
    }

    /// Says how a read ended: the gap of a silent meter grows, one that answers is silent no more.
    pub fn finished(&mut self, due: Due, answered: bool, now: Now) {
        let Some(entry) = self.meters.get_mut(due.meter) else { return };
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

    /// Plans anew where the wall clock was set since.
    fn follow_clock(&mut self, now: Now, timezone: &TimeZone) {
        let planned = self.due.wall.duration_since(now.wall);
        let step = planned - signed_difference(self.due.monotonic, now.monotonic);
        if step.unsigned_abs() >= CLOCK_STEP && self.due.monotonic > now.monotonic {
            self.plan_next(now, timezone);
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
mod tests {
    use super::{Due, Next, Now, Plan, Schedule};
    use jiff::tz::TimeZone;
    use jiff::{SignedDuration, Timestamp};
    use std::time::{Duration, Instant};

    const MINUTE: Duration = Duration::from_secs(60);

    /// Both clocks, moved by hand.
    struct Clocks(Now);

    impl Clocks {
        fn at(wall: &str) -> Self {
            Self(Now { monotonic: Instant::now(), wall: wall.parse().expect("a time") })
        }

        fn advance(&mut self, by: Duration) {
            self.0.monotonic += by;
            self.0.wall += by;
        }

        /// Runs until the next read and says for which slot it is.
        fn next_read(&mut self, schedule: &mut Schedule) -> Due {
            loop {
                match schedule.next(self.0) {
                    Next::Read(due) => return due,
                    Next::WaitUntil(due) => self.advance(due - self.0.monotonic),
                    Next::Idle => panic!("no meter"),
                }
            }
        }

        /// The same for a meter that answers, as local time.
        fn next_slot(&mut self, schedule: &mut Schedule) -> String {
            let due = self.next_read(schedule);
            schedule.finished(due, true, self.0);
            let slot = due.due_at.expect("scheduled").to_zoned(schedule.timezone.clone());
            slot.strftime("%H:%M:%S").to_string()
        }
    }

    fn plan(interval: Duration) -> Plan {
        Plan { interval, aligned_offset_ms: Some(0), offline_after: 2, last_good: None }
    }

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").expect("a zone")
    }

    #[test]
    fn first_read_at_start_then_on_the_grid_of_local_midnight() {
        let mut clocks = Clocks::at("2026-11-22T21:40:21+01:00");
        let mut schedule = Schedule::new(vec![plan(15 * MINUTE)], berlin(), clocks.0);
        let slots: Vec<String> = (0..4).map(|_| clocks.next_slot(&mut schedule)).collect();
        assert_eq!(slots, ["21:40:21", "22:00:00", "22:15:00", "22:30:00"]);
    }

    #[test]
    fn a_negative_offset_shifts_each_slot() {
        let mut clocks = Clocks::at("2026-11-22T21:40:21+01:00");
        let shifted = Plan { aligned_offset_ms: Some(-30_000), ..plan(15 * MINUTE) };
        let mut schedule = Schedule::new(vec![shifted], berlin(), clocks.0);
        let slots: Vec<String> = (0..3).map(|_| clocks.next_slot(&mut schedule)).collect();
        assert_eq!(slots, ["21:40:21", "21:59:30", "22:14:30"]);
    }

    #[test]
    fn a_young_last_reading_puts_the_first_read_off() {
        let mut clocks = Clocks::at("2026-11-22T21:40:21+01:00");
        let young = Plan { last_good: Some(clocks.0.wall - 6 * MINUTE), ..plan(15 * MINUTE) };
        let old = Plan { last_good: Some(clocks.0.wall - 16 * MINUTE), ..plan(15 * MINUTE) };
        let future = Plan { last_good: Some(clocks.0.wall + MINUTE), ..plan(15 * MINUTE) };
        let mut schedule = Schedule::new(vec![young, old, future], berlin(), clocks.0);
        assert_eq!(clocks.next_read(&mut schedule).meter, 1);
        assert_eq!(clocks.next_read(&mut schedule).meter, 2);
        let due = clocks.next_read(&mut schedule);
        assert_eq!((due.meter, clocks.0.wall), (0, "2026-11-22T21:45:00+01:00".parse().expect("a time")));
    }

    #[test]
    fn not_aligned_counts_from_the_first_read() {
        let mut clocks = Clocks::at("2026-11-22T21:40:21+01:00");
        let free = Plan { aligned_offset_ms: None, ..plan(7 * MINUTE) };
        let mut schedule = Schedule::new(vec![free], berlin(), clocks.0);
        assert_eq!(clocks.next_slot(&mut schedule), "21:40:21");
        clocks.advance(8 * MINUTE);
        assert_eq!(clocks.next_slot(&mut schedule), "21:47:21", "a late read");
        assert_eq!(clocks.next_slot(&mut schedule), "21:54:21", "does not shift the grid");
    }

    #[test]
    fn missed_slots_are_read_once_for_the_latest() {
        let mut clocks = Clocks::at("2026-11-22T21:45:00+01:00");
        let mut schedule = Schedule::new(vec![plan(15 * MINUTE)], berlin(), clocks.0);
        assert_eq!(clocks.next_slot(&mut schedule), "21:45:00");
        clocks.advance(5 * 60 * MINUTE + 5 * MINUTE);
        assert_eq!(clocks.next_slot(&mut schedule), "02:45:00");
        assert_eq!(clocks.next_slot(&mut schedule), "03:00:00");
    }

    #[test]
    fn six_hours_keep_their_civil_times_over_both_changes_of_the_clock() {
        for start in ["2026-03-28T12:00:00+01:00", "2026-10-24T12:00:00+02:00"] {
            let mut clocks = Clocks::at(start);
            let mut schedule = Schedule::new(vec![plan(360 * MINUTE)], berlin(), clocks.0);
            let slots: Vec<String> = (0..6).map(|_| clocks.next_slot(&mut schedule)).collect();
            assert_eq!(slots, ["12:00:00", "18:00:00", "00:00:00", "06:00:00", "12:00:00", "18:00:00"], "{start}");
        }
    }

    #[test]
    fn the_first_slot_after_the_clock_went_back_is_found() {
        let mut clocks = Clocks::at("2026-10-25T02:38:00+02:00");
        let mut schedule = Schedule::new(vec![plan(15 * MINUTE)], berlin(), clocks.0);
        clocks.next_read(&mut schedule);
        assert_eq!(clocks.next_slot(&mut schedule), "02:00:00");
        assert_eq!(clocks.0.wall, "2026-10-25T02:00:00+01:00".parse().expect("a time"));
    }

    #[test]
    fn a_skipped_civil_time_is_read_all_the_same() {
        let mut clocks = Clocks::at("2026-03-27T02:30:00+01:00");
        let daily = Plan { aligned_offset_ms: Some(150 * 60_000), ..plan(24 * 60 * MINUTE) };
        let mut schedule = Schedule::new(vec![daily], berlin(), clocks.0);
        let slots: Vec<String> = (0..4).map(|_| clocks.next_slot(&mut schedule)).collect();
        assert_eq!(slots, ["02:30:00", "02:30:00", "03:30:00", "02:30:00"]);
    }

    #[test]
    fn on_demand_comes_first_once_and_leaves_the_slots_alone() {
        let mut clocks = Clocks::at("2026-11-22T22:00:00+01:00");
        let mut schedule = Schedule::new(vec![plan(15 * MINUTE), plan(15 * MINUTE)], berlin(), clocks.0);
        schedule.want(1);
        schedule.want(1);
        schedule.want(7);
        let demanded = clocks.next_read(&mut schedule);
        assert_eq!(demanded, Due { meter: 1, due_at: None, retry: true });
        schedule.finished(demanded, true, clocks.0);
        assert_eq!(clocks.next_read(&mut schedule).meter, 0);
        assert_eq!(clocks.next_read(&mut schedule).meter, 1);
        assert_eq!(clocks.next_slot(&mut schedule), "22:15:00");
    }

    #[test]
    fn tries_of_a_silent_meter_thin_out_to_15_min_and_an_answer_ends_that() {
        let mut clocks = Clocks::at("2026-11-22T22:00:00+01:00");
        let mut schedule = Schedule::new(vec![plan(MINUTE)], berlin(), clocks.0);
        let mut last = clocks.0.monotonic;
        let mut gaps = Vec::new();
        for _ in 0..8 {
            let due = clocks.next_read(&mut schedule);
            gaps.push(((clocks.0.monotonic - last).as_secs() / 60, due.retry));
            last = clocks.0.monotonic;
            schedule.finished(due, false, clocks.0);
        }
        let want = [(0, true), (1, true), (1, false), (2, false), (4, false), (8, false), (15, false), (15, false)];
        assert_eq!(gaps, want);
        schedule.want(0);
        let due = clocks.next_read(&mut schedule);
        schedule.finished(due, true, clocks.0);
        let back = clocks.next_read(&mut schedule);
        assert_eq!((clocks.0.monotonic - last, back.retry), (MINUTE, true));
    }

    #[test]
    fn a_silent_meter_leaves_the_others_their_times() {
        let mut clocks = Clocks::at("2026-11-22T22:00:00+01:00");
        let mut schedule = Schedule::new(vec![plan(MINUTE), plan(MINUTE)], berlin(), clocks.0);
        let mut good = Vec::new();
        while good.len() < 30 {
            let due = clocks.next_read(&mut schedule);
            clocks.advance(Duration::from_millis(if due.meter == 0 { 2000 } else { 400 }));
            schedule.finished(due, due.meter == 1, clocks.0);
            good.extend(due.due_at.filter(|_| due.meter == 1));
        }
        assert!(good.windows(2).all(|w| w[1].duration_since(w[0]) == SignedDuration::from_mins(1)), "{good:?}");
    }

    #[test]
    fn reads_stay_half_to_one_and_a_half_intervals_apart_whatever_the_clock_does() {
        let mut seed = 1_u64;
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((seed >> 33) % u64::from(below)).expect("below a u32")
        };
        let pick = |n: u32| usize::try_from(n).expect("an index");
        for round in 0..400 {
            let zone = ["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "UTC"][pick(random(4))];
            let minutes = [1, 5, 15, 20, 60, 80, 90, 120, 480, 720, 1440][pick(random(11))];
            let interval = minutes * MINUTE;
            // A week before one of the changes of these zones.
            let start = ["2026-03-26T00:00:00Z", "2026-10-22T00:00:00Z", "2026-04-02T00:00:00Z"][pick(random(3))];
            let mut clocks = Clocks::at(start);
            let offset_ms = i64::from(random(7_200_000)) - 3_600_000;
            let aligned_offset_ms = (random(4) > 0).then_some(offset_ms);
            let mut schedule = Schedule::new(
                vec![Plan { aligned_offset_ms, ..plan(interval) }],
                TimeZone::get(zone).expect("a zone"),
                clocks.0,
            );
            let mut last = None;
            for _ in 0..(5 * 1440 / minutes).min(300) {
                if random(5) == 0 {
                    clocks.0.wall += SignedDuration::from_millis(i64::from(random(10_000_000)) - 5_000_000);
                }
                let due = clocks.next_read(&mut schedule);
                let started = clocks.0.monotonic;
                if let Some(last) = last {
                    let gap = started - last;
                    let what =
                        format!("round {round}: {gap:?} for {interval:?} in {zone}, offset {aligned_offset_ms:?}");
                    assert!(gap * 2 >= interval && gap * 2 <= interval * 3, "{what}");
                }
                last = Some(started);
                clocks.advance(interval / 10 * random(4) / 10);
                schedule.finished(due, true, clocks.0);
            }
        }
    }

    #[test]
    fn a_clock_set_after_the_start_realigns_the_slots() {
        let mut clocks = Clocks::at("1970-01-01T01:00:10+01:00");
        let mut schedule = Schedule::new(vec![plan(60 * MINUTE)], berlin(), clocks.0);
        clocks.next_slot(&mut schedule);
        clocks.advance(20 * MINUTE);
        clocks.0.wall = "2026-11-22T22:40:00+01:00".parse::<Timestamp>().expect("a time");
        assert_eq!(clocks.next_slot(&mut schedule), "23:00:00");
        assert_eq!(clocks.next_slot(&mut schedule), "00:00:00");
    }

    #[test]
    fn without_meters_there_is_nothing_to_do() {
        let clocks = Clocks::at("2026-11-22T22:00:00+01:00");
        assert_eq!(Schedule::new(Vec::new(), TimeZone::UTC, clocks.0).next(clocks.0), Next::Idle);
    }
}
