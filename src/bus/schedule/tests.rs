//! The schedule over days, with both clocks moved by hand.

mod clock;
mod silent;

use super::{Due, Next, Now, Plan, Schedule};
use crate::mbus::master::readout::Effort;
use jiff::Timestamp;
use jiff::tz::TimeZone;
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
fn without_meters_there_is_nothing_to_do() {
    let clocks = Clocks::at("2026-11-22T22:00:00+01:00");
    assert_eq!(Schedule::new(Vec::new(), TimeZone::UTC, clocks.0).next(clocks.0), Next::Idle);
}
