//! The schedule over days, with both clocks moved by hand.

use super::{Due, Next, Now, Plan, Schedule};
use crate::mbus::master::readout::Effort;
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
fn what_was_asked_for_is_read_though_the_meters_have_other_places_now() {
    let clocks = Clocks::at("2026-11-22T22:00:00+01:00");
    let mut schedule = Schedule::new(vec![plan(15 * MINUTE); 3], berlin(), clocks.0);
    schedule.read_soon(2);
    schedule.read_soon(0);
    let plans = [None, Some(2), Some(1)].map(|before| (plan(15 * MINUTE), before)).to_vec();
    let mut schedule = schedule.exchanged(plans, clocks.0);
    let asked: Vec<_> = std::iter::from_fn(|| match schedule.next(clocks.0) {
        Next::Read(due) => Some((due.meter, due.due_at.is_none())),
        _ => None,
    })
    .collect();
    assert_eq!(asked, [(1, true), (0, false), (1, false), (2, false)], "of the one that is gone nothing is left");
}

#[test]
fn a_slot_that_is_ahead_moves_with_the_clock() {
    for (set, waits) in [(3 * MINUTE, 7), (20 * MINUTE, 5)] {
        let mut clocks = Clocks::at("2026-11-22T21:45:00+01:00");
        let mut schedule = Schedule::new(vec![plan(15 * MINUTE)], berlin(), clocks.0);
        clocks.next_slot(&mut schedule);
        clocks.advance(5 * MINUTE);
        assert!(matches!(schedule.next(clocks.0), Next::WaitUntil(_)));
        clocks.0.wall += set;
        let before = clocks.0.monotonic;
        let due = clocks.next_read(&mut schedule);
        assert_eq!(due.due_at, Some(clocks.0.wall), "{set:?}");
        assert_eq!((clocks.0.monotonic - before).as_secs() / 60, waits, "{set:?}");
    }
}

#[test]
fn a_meter_that_is_asked_for_without_end_does_not_keep_the_others_from_their_slots() {
    let mut clocks = Clocks::at("2026-11-22T21:45:00+01:00");
    let mut schedule = Schedule::new(vec![plan(15 * MINUTE), plan(15 * MINUTE)], berlin(), clocks.0);
    let mut slots = 0;
    for _ in 0..120 {
        schedule.read_soon(0);
        schedule.read_soon(1);
        let due = clocks.next_read(&mut schedule);
        clocks.advance(MINUTE);
        schedule.finished(due, true, clocks.0);
        slots += usize::from(due.due_at.is_some());
    }
    assert_eq!(slots, 16, "two meters in two hours");
}

#[test]
fn on_demand_comes_first_once_and_leaves_the_slots_alone() {
    let mut clocks = Clocks::at("2026-11-22T22:00:00+01:00");
    let mut schedule = Schedule::new(vec![plan(15 * MINUTE), plan(15 * MINUTE)], berlin(), clocks.0);
    schedule.read_soon(1);
    schedule.read_soon(1);
    schedule.read_soon(7);
    let demanded = clocks.next_read(&mut schedule);
    assert_eq!(demanded, Due { meter: 1, due_at: None, effort: Effort::Full });
    schedule.finished(demanded, true, clocks.0);
    assert_eq!(clocks.next_read(&mut schedule).meter, 0);
    assert_eq!(clocks.next_read(&mut schedule).meter, 1);
    assert_eq!(clocks.next_slot(&mut schedule), "22:15:00");
}

#[test]
fn tries_of_a_silent_meter_thin_out_to_15_min_and_an_answer_ends_that() {
    let mut clocks = Clocks::at("2026-11-22T22:00:00+01:00");
    // the other one answers, so the bus is not silent
    let mut schedule = Schedule::new(vec![plan(MINUTE), plan(24 * 60 * MINUTE)], berlin(), clocks.0);
    let mut last = clocks.0.monotonic;
    let mut gaps = Vec::new();
    while gaps.len() < 8 {
        let due = clocks.next_read(&mut schedule);
        if due.meter == 0 {
            gaps.push(((clocks.0.monotonic - last).as_secs() / 60, due.effort == Effort::Full));
            last = clocks.0.monotonic;
        }
        schedule.finished(due, due.meter == 1, clocks.0);
    }
    let want = [(0, true), (1, true), (1, false), (2, false), (4, false), (8, false), (15, false), (15, false)];
    assert_eq!(gaps, want);
    schedule.read_soon(0);
    let due = clocks.next_read(&mut schedule);
    schedule.finished(due, true, clocks.0);
    let back = clocks.next_read(&mut schedule);
    assert_eq!((clocks.0.monotonic - last, back.effort), (MINUTE, Effort::Full));
}

#[test]
fn a_silent_bus_is_asked_at_its_shortest_interval_one_meter_after_the_other_until_one_answers() {
    let mut clocks = Clocks::at("2026-11-22T22:00:00+01:00");
    let plans = [MINUTE, 15 * MINUTE, 60 * MINUTE].map(plan).to_vec();
    let mut schedule = Schedule::new(plans, berlin(), clocks.0);
    let (start, mut asked) = (clocks.0.monotonic, Vec::new());
    while clocks.0.monotonic - start < 10 * 60 * MINUTE {
        let due = clocks.next_read(&mut schedule);
        schedule.finished(due, false, clocks.0);
        asked.push((clocks.0.monotonic - start, due.meter));
    }
    let late: Vec<_> = asked.iter().filter(|(at, _)| *at > 5 * 60 * MINUTE).collect();
    assert!(late.windows(2).all(|two| two[1].0 - two[0].0 <= MINUTE), "{late:?}");
    for meter in 0..3 {
        assert!(late.iter().filter(|(_, asked)| *asked == meter).count() > 50, "each in turn, one may be broken");
    }
    let first = clocks.next_read(&mut schedule);
    assert!(first.effort == Effort::Shortest && first.due_at.expect("a slot") <= clocks.0.wall, "{first:?}");
    schedule.finished(first, true, clocks.0);
    let back = clocks.0.monotonic;
    for _ in 0..2 {
        let due = clocks.next_read(&mut schedule);
        assert!(due.meter != first.meter && due.due_at.expect("a slot") <= clocks.0.wall, "{due:?}");
        schedule.finished(due, true, clocks.0);
    }
    assert_eq!(clocks.0.monotonic, back, "all at once");
    clocks.next_read(&mut schedule);
    assert!(clocks.0.monotonic > back, "and each once");
}

#[test]
fn a_bus_that_is_busy_nearly_all_the_time_reads_every_slot() {
    for (count, interval) in [(20, 10_000), (60, 30_000)] {
        let mut clocks = Clocks::at("2026-11-22T22:00:03.7+01:00");
        let interval = Duration::from_millis(interval);
        let mut schedule = Schedule::new(vec![plan(interval); count], berlin(), clocks.0);
        let turn = interval * 97 / 100 / u32::try_from(count).expect("few");
        let mut slots = vec![Vec::new(); count];
        while slots[0].len() < 100 {
            let due = clocks.next_read(&mut schedule);
            slots[due.meter].extend(due.due_at);
            clocks.advance(turn);
            schedule.finished(due, true, clocks.0);
        }
        let apart = |two: &[Timestamp]| two[1].duration_since(two[0]).unsigned_abs();
        // the first ones are those of the start
        let missed = slots.iter().flat_map(|slots| slots[2..].windows(2)).filter(|two| apart(two) > interval).count();
        assert_eq!(missed, 0, "of {} slots of {count} meters", 98 * count);
    }
}

#[test]
fn a_meter_that_is_back_on_demand_has_its_next_slot_an_interval_later() {
    let mut clocks = Clocks::at("2026-11-22T22:00:00+01:00");
    let mut schedule = Schedule::new(vec![plan(MINUTE)], berlin(), clocks.0);
    for _ in 0..7 {
        let due = clocks.next_read(&mut schedule);
        schedule.finished(due, false, clocks.0);
    }
    clocks.advance(10 * MINUTE);
    schedule.read_soon(0);
    let due = clocks.next_read(&mut schedule);
    schedule.finished(due, true, clocks.0);
    let back = clocks.0.monotonic;
    assert!(clocks.next_read(&mut schedule).due_at.is_some());
    assert_eq!(clocks.0.monotonic - back, MINUTE, "not at once, for the time since its last try");
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
                let what = format!("round {round}: {gap:?} for {interval:?} in {zone}, offset {aligned_offset_ms:?}");
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
fn a_clock_set_while_nothing_is_due_is_noticed_within_a_minute() {
    let mut clocks = Clocks::at("1970-01-01T01:00:10+01:00");
    let mut schedule = Schedule::new(vec![plan(24 * 60 * MINUTE)], berlin(), clocks.0);
    clocks.next_slot(&mut schedule);
    let Next::WaitUntil(look) = schedule.next(clocks.0) else { panic!("due at once") };
    assert_eq!(look - clocks.0.monotonic, MINUTE);
    clocks.0.wall = "2026-11-22T22:40:00+01:00".parse::<Timestamp>().expect("a time");
    assert_eq!(clocks.next_slot(&mut schedule), "00:00:00");
    assert_eq!(clocks.0.wall, "2026-11-24T00:00:00+01:00".parse().expect("a time"), "not after half a day");
}

#[test]
fn a_clock_set_just_before_a_slot_gives_the_reading_its_slot_of_the_new_clock_once() {
    for day in [SignedDuration::from_hours(24), SignedDuration::from_hours(-24)] {
        let mut clocks = Clocks::at("2026-11-22T22:00:00+01:00");
        let mut schedule = Schedule::new(vec![plan(MINUTE)], berlin(), clocks.0);
        let mut before = clocks.next_read(&mut schedule).due_at.expect("scheduled");
        for step in [SignedDuration::ZERO, day, SignedDuration::ZERO] {
            let Next::WaitUntil(due) = schedule.next(clocks.0) else { panic!("due at once") };
            clocks.0.wall += step;
            clocks.advance(due - clocks.0.monotonic);
            let due = clocks.next_read(&mut schedule).due_at.expect("scheduled");
            assert_eq!(due.duration_since(before), SignedDuration::from_mins(1) + step);
            before = due;
        }
    }
}

#[test]
fn without_meters_there_is_nothing_to_do() {
    let clocks = Clocks::at("2026-11-22T22:00:00+01:00");
    assert_eq!(Schedule::new(Vec::new(), TimeZone::UTC, clocks.0).next(clocks.0), Next::Idle);
}

#[test]
fn a_slot_whose_read_was_cut_short_is_due_again_after_those_of_others() {
    let mut clocks = Clocks::at("2026-01-01T10:00:00Z");
    let hour = Duration::from_secs(3600);
    let mut schedule = Schedule::new(vec![plan(hour), plan(hour)], TimeZone::UTC, clocks.0);
    let first = clocks.next_read(&mut schedule);
    for _ in 0..10 {
        schedule.interrupted(first, clocks.0);
        clocks.advance(Duration::from_secs(20));
        let other = clocks.next_read(&mut schedule);
        assert_eq!(other.meter, 1, "it may be the first one that the other end hangs up at");
        schedule.interrupted(other, clocks.0);
        clocks.advance(Duration::from_secs(20));
        assert_eq!(clocks.next_read(&mut schedule), first, "nothing was read yet: its slot is not lost");
    }
    schedule.interrupted(first, clocks.0);
    let other = clocks.next_read(&mut schedule);
    schedule.finished(other, true, clocks.0);
    assert_eq!(clocks.next_read(&mut schedule), first);
    schedule.interrupted(first, clocks.0);
    let next = clocks.next_read(&mut schedule);
    assert!(next.due_at > first.due_at, "others can be read, this one cannot: {next:?}");
}
