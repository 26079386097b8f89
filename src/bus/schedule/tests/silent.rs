//! Meters and buses that do not answer, and reads that were cut short.

use super::{Clocks, Effort, MINUTE, Schedule, berlin, plan};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use std::time::Duration;

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
