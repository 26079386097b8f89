//! The wall clock is set, or goes forward in spring and back in autumn.

use super::{Clocks, MINUTE, Next, Plan, Schedule, berlin, plan};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

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
