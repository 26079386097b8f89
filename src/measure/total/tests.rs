use super::{CONFIRM_AFTER, Jump, Totals, Verdict, is_total};
use crate::mbus::application::quantity::{Function, Known};
use crate::mbus::application::vife::Modifier;
use crate::mbus::decimal::Decimal;
use crate::measure::{Measured, Measurement, Reading, sample};
use std::time::{Duration, Instant};

const L1: Modifier = Modifier::Extended(0x01);
const PER_HOUR: Modifier = Modifier::Combinable(0x22);

#[test]
fn only_what_counts_up_now_is_a_total() {
    let energy = sample::number("energy", Known::Energy, "1");
    assert!(is_total(&energy));
    assert!(is_total(&Measurement { tariff: 2, modifiers: vec![Modifier::IMPORT, L1], ..energy.clone() }));
    for other in [
        Measurement { storage_number: 1, ..energy.clone() },
        Measurement { function: Function::Maximum, ..energy.clone() },
        Measurement { modifiers: vec![Modifier::IMPORT_MINUS_EXPORT], ..energy.clone() },
        Measurement { modifiers: vec![PER_HOUR], ..energy.clone() },
        sample::number("power", Known::Power, "1"),
        sample::number("flow_temperature", Known::FlowTemperature, "1"),
    ] {
        assert!(!is_total(&other), "{other:?}");
    }
}

/// A meter that counts a volume in litres, on a clock of its own.
struct Meter {
    totals: Totals,
    doubtful: Option<Reading>,
    now: Instant,
    plausible: bool,
}

/// What a readout became: the value and what was said, or `again`.
const AGAIN: &str = "again";

impl Meter {
    fn new() -> Self {
        Self { totals: Totals::default(), doubtful: None, now: Instant::now(), plausible: true }
    }

    /// One that rose by ten litres in each of so many quarters of an hour, up to 100 m³.
    fn after(rises: i32) -> Self {
        let mut meter = Self::new();
        for n in (0..=rises).rev() {
            let volume = Decimal::new(100_000 - 10 * i128::from(n), -3).to_string();
            assert_eq!(meter.says(&volume, 900), volume);
        }
        meter
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// The next readout, so many seconds after the last one, says this.
    fn says(&mut self, volume: &str, after: u64) -> String {
        self.pass(after);
        let volume = sample::number("volume", Known::Volume, volume);
        self.reads(vec![Measurement { digits: Some(3), plausible: self.plausible, ..volume }])
    }

    fn reads(&mut self, measurements: Vec<Measurement>) -> String {
        let mut reading = sample::reading(measurements);
        let first = self.doubtful.take();
        match self.totals.judge(first.as_ref(), &mut reading, self.now) {
            Verdict::ReadAgain => {
                self.doubtful = Some(reading);
                AGAIN.to_owned()
            }
            Verdict::Publish { jumps, confirm } => {
                self.totals.believe(&reading, self.now);
                let value = |measurement: &Measurement| match &measurement.value {
                    Measured::Number(number) => number.to_string(),
                    Measured::Held { read, last } => {
                        format!("{} holds {read}", last.map_or_else(|| "null".to_owned(), |last| last.to_string()))
                    }
                    other => format!("{other:?}"),
                };
                let said = |Jump { what, from, to, .. }: Jump| format!("{what:?} {from} {to}");
                let values = reading.measurements.iter().map(value);
                let confirm = confirm.then(|| "confirm".to_owned());
                values.chain(jumps.into_iter().map(said)).chain(confirm).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

#[test]
fn what_is_plausible_is_published_at_once() {
    let mut meter = Meter::new();
    for volume in ["0", "0", "0.001", "5000000", "5000000"] {
        assert_eq!(meter.says(volume, 900), volume, "nine rises prove nothing");
    }
}

#[test]
fn a_fall_that_is_gone_when_read_again_was_a_fault() {
    for low in ["0", "99.999", "-1"] {
        let mut meter = Meter::after(10);
        assert_eq!(meter.says(low, 900), AGAIN);
        assert_eq!(meter.says("100.001", 1), format!("100.001, Fault 100 {low}"));
        assert_eq!(meter.says("100.001", 900), "100.001");
    }
}

#[test]
fn a_fall_to_a_tenth_or_more_is_published_when_it_is_there_again() {
    let mut meter = Meter::after(0);
    assert_eq!(meter.says("10", 900), AGAIN);
    assert_eq!(meter.says("10.001", 1), "10.001, Fell 100 10.001");
    assert_eq!(meter.says("10.002", 900), "10.002");
    assert_eq!(meter.says("0", 900), AGAIN, "a deeper one first");
    assert_eq!(meter.says("5", 1), "10.002 holds 5, confirm");
}

#[test]
fn two_different_falls_are_no_fall_that_is_there_again() {
    let mut meter = Meter::after(0);
    assert_eq!(meter.says("70", 900), AGAIN);
    assert_eq!(meter.says("60", 1), "100 holds 60, confirm");
    assert_eq!(meter.says("100", 60), "100, Fault 100 60");
    assert_eq!(meter.says("99.9", 900), AGAIN);
    assert_eq!(meter.says("99.8", 1), "100 holds 99.8, confirm");
    assert_eq!(meter.says("100", 60), "100, Fault 100 99.8", "though it is near what was held too");
}

#[test]
fn a_deeper_fall_waits_a_minute_for_a_readout_that_says_the_same() {
    let mut meter = Meter::after(0);
    assert_eq!(meter.says("9.999", 5), AGAIN);
    assert_eq!(meter.says("9.999", 1), "100 holds 9.999, confirm");
    // sooner than that nothing is confirmed, nor planned again
    assert_eq!(meter.says("9.999", 5), "100 holds 9.999");
    assert_eq!(meter.says("10", 54), "100 holds 10");
    assert_eq!(meter.says("10.001", 1), "10.001, Fell 100 10.001");
    assert_eq!(meter.says("10.002", 5), "10.002");
}

#[test]
fn zeros_for_some_seconds_after_the_supply_returned_are_never_published() {
    let mut meter = Meter::after(10);
    assert_eq!(meter.says("0", 5), AGAIN);
    for after in [1, 5, 5] {
        assert!(meter.says("0", after).starts_with("100 holds 0"));
    }
    assert_eq!(meter.says("100.001", 5), "100.001, Fault 100 0");
    assert_eq!(meter.says("0", 5), AGAIN, "and what was held then confirms nothing later");
    assert_eq!(meter.says("0", 100), "100.001 holds 0, confirm");
}

#[test]
fn a_value_held_that_is_another_one_later_waits_again() {
    let mut meter = Meter::after(10);
    assert_eq!(meter.says("5", 5), AGAIN);
    assert_eq!(meter.says("5", 1), "100 holds 5, confirm");
    assert_eq!(meter.says("8", 60), AGAIN);
    assert_eq!(meter.says("1", 1), "100 holds 1", "and the meter is not read every minute for it");
    assert_eq!(meter.says("1.5", 60), "1.5, Fell 100 1.5");
}

#[test]
fn before_ten_rises_are_known_every_rise_from_what_is_held_is_plausible() {
    let mut meter = Meter::after(9);
    assert_eq!(meter.says("5", 5), AGAIN);
    assert_eq!(meter.says("5", 1), "100 holds 5, confirm");
    assert_eq!(meter.says("8", 60), "8, Fell 100 8");
}

#[test]
fn a_meter_that_now_counts_much_faster_is_believed_once_two_stable_values_rise() {
    let mut meter = Meter::after(10);
    assert_eq!(meter.says("5000", 900), AGAIN);
    assert_eq!(meter.says("5001", 1), "100 holds 5001, confirm");
    assert_eq!(meter.says("5001.5", 5), "100 holds 5001.5", "as stable as before");
    assert_eq!(meter.says("5061", 55), AGAIN);
    assert_eq!(meter.says("5062", 1), "5062, Leapt 100 5062");
    // not so where one of them is not stable, or lower
    for (first, second, third, fourth) in
        [("5000", "5010", "5061", "5062"), ("5000", "5001", "5061", "5072"), ("5000", "5001", "4900", "4901")]
    {
        let mut meter = Meter::after(10);
        assert_eq!(meter.says(first, 900), AGAIN);
        assert_eq!(meter.says(second, 1), format!("100 holds {second}, confirm"));
        assert_eq!(meter.says(third, 60), AGAIN);
        assert_eq!(meter.says(fourth, 1), format!("100 holds {fourth}"));
    }
}

#[test]
fn a_rise_is_improbable_beyond_a_hundred_times_the_steepest_of_ten() {
    // ten litres in a quarter of an hour, so 1000 at most; up to 1000 steps are never improbable
    for (rises, volume, after, is_improbable) in [
        (9, "99999.999", 900, false),
        (10, "99999.999", 900, true),
        (10, "101", 900, false),
        (10, "101.001", 900, true),
        (10, "101.001", 901, false),
        (10, "101", 5, false),
        (10, "101.001", 5, true),
        (10, "197", 86_400, true),
        (10, "196", 86_400, false),
    ] {
        let mut meter = Meter::after(rises);
        let became = meter.says(volume, after);
        assert_eq!(became, if is_improbable { AGAIN } else { volume }, "{rises} {volume} {after}");
    }
}

#[test]
fn an_improbable_rise_is_never_published_unless_it_is_there_a_minute_later() {
    let mut meter = Meter::after(10);
    assert_eq!(meter.says("99999.999", 900), AGAIN);
    assert_eq!(meter.says("100.001", 1), "100.001, Fault 100 99999.999");
    assert_eq!(meter.says("99999.999", 900), AGAIN);
    assert_eq!(meter.says("99999.999", 1), "100.001 holds 99999.999, confirm");
    assert_eq!(meter.says("100.002", 60), "100.002, Fault 100.001 99999.999");
    assert_eq!(meter.says("5000", 900), AGAIN);
    assert_eq!(meter.says("5000", 1), "100.002 holds 5000, confirm");
    assert_eq!(meter.says("5000.01", 60), "5000.01, Leapt 100.002 5000.01");
    assert_eq!(meter.says("9000", 900), "9000", "such a rise has been published now");
}

#[test]
fn minus_one_is_a_fall_of_a_counter_that_never_was_negative() {
    for mut meter in [Meter::new(), Meter::after(3)] {
        let last = if meter.totals.0.is_empty() { "null" } else { "100" };
        assert_eq!(meter.says("-0.001", 900), AGAIN);
        assert_eq!(meter.says("-0.001", 1), format!("{last} holds -0.001, confirm"));
        let fall = if last == "null" { "" } else { ", Fell 100 -0.001" };
        assert_eq!(meter.says("-0.001", 60), format!("-0.001{fall}"), "of one that said nothing before it is no fall");
        // one that is negative may go down
        assert_eq!(meter.says("-7", 900), AGAIN);
        assert_eq!(meter.says("-7", 1), "-7, Fell -0.001 -7");
    }
}

#[test]
fn a_first_value_that_was_a_fault_came_after_nothing() {
    let mut meter = Meter::new();
    assert_eq!(meter.says("-0.001", 900), AGAIN);
    assert_eq!(meter.says("0.001", 1), "0.001");
}

#[test]
fn nothing_is_doubted_where_it_need_not_be_plausible() {
    let mut meter = Meter { plausible: false, ..Meter::after(10) };
    for volume in ["0", "99999.999", "50", "-1"] {
        assert_eq!(meter.says(volume, 900), volume);
    }
    let mut meter = Meter::after(0);
    assert_eq!(meter.says("0", 5), AGAIN);
    assert_eq!(meter.says("0", 1), "100 holds 0, confirm");
    meter.plausible = false;
    assert_eq!(meter.says("0", 1), "0", "nor what was held before");
}

#[test]
fn an_invalid_or_missing_total_is_no_fall_and_one_key_does_not_hold_the_other() {
    let mut meter = Meter::new();
    let both = |energy: &str, volume: &str| {
        vec![sample::number("energy", Known::Energy, energy), sample::number("volume", Known::Volume, volume)]
    };
    assert_eq!(meter.reads(both("100", "20")), "100, 20");
    assert_eq!(meter.reads(vec![Measurement { value: Measured::Invalid, ..both("0", "0").remove(0) }]), "Invalid");
    assert_eq!(meter.reads(both("0", "20")), AGAIN);
    assert_eq!(meter.reads(both("100", "1")), "100, 20 holds 1, Fault 100 0, confirm");
    meter.pass(60);
    assert_eq!(meter.reads(both("101", "1")), "101, 1, Fell 20 1");
}

#[test]
fn after_a_restart_a_value_is_held_again_and_its_uncertain_time_teaches_nothing() {
    let meter = Meter::after(10);
    let rises = meter.totals.0["volume"].rises;
    let mut after = Meter { now: meter.now + Duration::from_secs(5), ..Meter::new() };
    after.totals.restore_rises("volume".to_owned(), rises);
    after.totals.restore("volume".to_owned(), Decimal::new(100, 0), meter.now);
    after.totals.restore("volume".to_owned(), Decimal::new(7, 0), meter.now);
    assert_eq!(after.says("99999.999", 0), AGAIN);
    assert_eq!(after.says("99999.999", 1), "100 holds 99999.999, confirm");
    assert_eq!(after.says("99999.999", 59), "100 holds 99999.999");
    assert_eq!(after.says("100.9", 1), "100.9, Fault 100 99999.999");
    assert_eq!(after.totals.0["volume"].rises, rises);
    assert_eq!(after.totals.forget().collect::<Vec<_>>(), ["volume"]);
    assert_eq!(after.says("0", 1), "0");
    assert_eq!(CONFIRM_AFTER.as_secs(), 60);
}

#[test]
fn the_steepest_rise_is_kept_with_its_time() {
    let mut meter = Meter::after(0);
    let mut rises = Vec::new();
    for (volume, after) in [("100.01", 900), ("100.02", 300), ("100.02", 60), ("100.1", 86_400), ("100.2", 0)] {
        meter.says(volume, after);
        let known = meter.totals.0["volume"].rises;
        rises.push((known.known, known.greatest.to_string(), known.within_ms));
    }
    let want =
        [(1, "0.01", 900_000), (2, "0.01", 300_000), (2, "0.01", 300_000), (3, "0.01", 300_000), (4, "0.1", 1000)];
    assert_eq!(rises, want.map(|(known, greatest, ms)| (known, greatest.to_owned(), ms)));
}
