//! Readouts through every kind of fault, and the figures a master is judged by: what the line made
//! possible is read, nothing wrong is taken, and no time is wasted. All in virtual time.
//!
//! `cargo test --test it -- --include-ignored --nocapture endurance::` prints the tables, the large
//! runs among them.

use std::time::Duration;

use mbushat::mbus::link::timing::Baud;
use mbushat::mbus::master::readout::ReadoutError;
use mbushat::sim::plan::{Faults, MeterPlan, SegmentPlan};

use crate::link::{Bench, faulty, heat};

/// The faults of which a master must lose nothing that the line made possible.
fn hardships() -> [(&'static str, Faults); 9] {
    let none = Faults::default();
    let late_by = Duration::from_millis(450);
    [
        ("no fault", none),
        ("1 % of bytes corrupt", Faults { corrupt_per_mille: 10, ..none }),
        ("noise before half the answers", Faults { noise_per_mille: 500, ..none }),
        ("echo", Faults { echo: true, ..none }),
        ("20 % of answers 450 ms late", Faults { late_per_mille: 200, late_by, ..none }),
        (
            "mixture",
            Faults { corrupt_per_mille: 2, noise_per_mille: 100, echo: true, late_per_mille: 50, late_by, ..none },
        ),
        ("truncated, wrong checksum", Faults { truncated_per_mille: 200, wrong_checksum_per_mille: 100, ..none }),
        ("dropped bytes, wrong address", Faults { drop_per_mille: 5, wrong_address_per_mille: 100, ..none }),
        ("bunched", Faults { bunch: Duration::from_millis(40), noise_per_mille: 100, ..none }),
    ]
}

#[derive(Debug, Default)]
struct Tally {
    /// Turns in which at least one intact request had an intact answer in time.
    possible: u32,
    read: u32,
    /// Readings that no meter sent as the answer in that turn.
    wrong: u32,
    undetectable: u64,
    exchanges: u64,
}

/// Reads a 74-byte meter again and again.
fn endure(faults: Faults, seed: u64, reads: u32) -> Tally {
    let mut bench = faulty(vec![heat(1)], faults, seed);
    let (mut tally, mut earlier) = (Tally::default(), Vec::new());
    for _ in 0..reads {
        bench.now += Duration::from_secs(60);
        bench.segment.take_answers();
        let over = bench.read(1);
        let answers: Vec<_> = bench.segment.take_answers().into_iter().filter(|a| a.frame.len() > 1).collect();
        tally.possible += u32::from(answers.iter().any(|a| a.intact));
        for frame in over.frames.iter().flatten() {
            tally.read += 1;
            let fresh = answers.iter().any(|a| a.frame == *frame) && !earlier.contains(frame);
            tally.wrong += u32::from(!fresh);
        }
        earlier = answers.into_iter().map(|a| a.frame).collect();
    }
    tally.undetectable = bench.segment.counts().undetectable;
    tally.exchanges = bench.segment.counts().requests;
    tally
}

fn judge(name: &str, tally: &Tally) {
    assert!(tally.read >= tally.possible * 99 / 100, "{name}: {tally:?}");
    assert!(u64::from(tally.wrong) <= tally.undetectable, "{name}: {tally:?}");
}

#[test]
fn what_the_line_makes_possible_is_read_and_nothing_wrong() {
    for (name, faults) in hardships() {
        judge(name, &endure(faults, 7, 200));
    }
}

#[test]
fn a_cycle_takes_two_percent_more_than_the_wire_at_most() {
    println!("{:>6} {:>6} {:>12} {:>12} {:>8}", "baud", "meters", "cycle", "bound", "ratio");
    for baud in [2400, 9600].map(|rate| Baud::new(rate).expect("a rate")) {
        for count in [1, 20, 60, 250] {
            let meters = (1..=count).map(heat).collect();
            let mut bench = Bench::new(SegmentPlan { baud, ..SegmentPlan::new(meters) });
            let mut cycle = || {
                let (start, before) = (bench.now, bench.segment.counts().bound);
                (1..=count).for_each(|address| assert!(bench.read(address).frames.is_ok()));
                (bench.now - start, bench.segment.counts().bound - before)
            };
            cycle(); // resets every meter
            let (took, bound) = cycle();
            let ratio = took.as_secs_f64() / bound.as_secs_f64();
            println!("{baud:>6} {count:>6} {took:>12.3?} {bound:>12.3?} {ratio:>8.4}");
            assert!(ratio <= 1.02, "{count} meters at {baud} baud: {ratio}");
        }
    }
}

#[test]
fn a_strict_meter_is_never_stale_in_a_thousand_readouts() {
    let faults = Faults { corrupt_per_mille: 10, drop_per_mille: 2, noise_per_mille: 100, ..Faults::default() };
    let tally = endure(faults, 5, 1000);
    assert!(tally.exchanges > 1500, "many were repeated: {tally:?}");
    assert!(u64::from(tally.wrong) <= tally.undetectable, "{tally:?}");
}

#[test]
fn a_day_of_bus_time_misses_nothing_that_the_bus_could_deliver() {
    let late_by = Duration::from_millis(450);
    let mixture = Faults {
        corrupt_per_mille: 2,
        noise_per_mille: 100,
        echo: true,
        late_per_mille: 50,
        late_by,
        ..Faults::default()
    };
    let dead = |address| MeterPlan { silent: true, ..heat(address) };
    let meters: Vec<MeterPlan> = (1..=60).map(|a| if a % 20 == 0 { dead(a) } else { heat(a) }).collect();
    let mut bench = faulty(meters, mixture, 1);
    let (mut possible, mut read, mut slot) = (0_u32, 0_u32, bench.now);
    for round in 0..96 {
        bench.now = slot.max(bench.now);
        for address in 1..=60 {
            bench.segment.take_answers();
            // what the schedule does with a meter that is known to be silent
            bench.timing.retries = if address % 20 == 0 && round > 0 { 0 } else { 2 };
            let over = bench.read(address);
            let answers: Vec<_> = bench.segment.take_answers().into_iter().filter(|a| a.frame.len() > 1).collect();
            possible += u32::from(answers.iter().any(|a| a.intact));
            for frame in over.frames.iter().flatten() {
                read += 1;
                assert!(answers.iter().any(|a| a.frame == *frame), "{address} gave an old reading");
            }
            if address % 20 == 0 {
                assert_eq!(over.frames, Err(ReadoutError::Silence));
            }
        }
        slot += Duration::from_secs(900);
        assert!(bench.now < slot, "the cycle ends before the next is due");
    }
    println!("a day: {read} of {possible} possible readings, {:?}", bench.segment.counts());
    assert!(read >= possible, "{read} of {possible}");
}

#[test]
#[ignore = "the large run: 1,000 reads for each fault and ten seeds"]
fn figures_of_reading_through_faults() {
    println!("{:32} {:>8} {:>8} {:>9} {:>6} {:>13}", "fault", "possible", "read", "exchanges", "wrong", "undetectable");
    for (name, faults) in hardships() {
        let mut sum = Tally::default();
        for seed in 0..10 {
            let tally = endure(faults, seed, 1000);
            sum.possible += tally.possible;
            sum.read += tally.read;
            sum.wrong += tally.wrong;
            sum.undetectable += tally.undetectable;
            sum.exchanges += tally.exchanges;
        }
        let Tally { possible, read, wrong, undetectable, exchanges } = sum;
        println!("{name:32} {possible:>8} {read:>8} {exchanges:>9} {wrong:>6} {undetectable:>13}");
        judge(name, &sum);
    }
}
