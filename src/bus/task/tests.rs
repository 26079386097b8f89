//! A bus over minutes and hours, in virtual time.

mod power;
mod readouts;
mod requests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::turns::is_alive;
use crate::bus::Happened;
use crate::bus::bench::{Bench, at, meter};
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::application::telegram::ApplicationError;
use crate::mbus::link::frame::{Control, Frame};
use crate::mbus::master::readout::ReadoutError;
use crate::mbus::master::reply::ExchangeError;
use crate::request::{Answer, BusRequest, Scan};

#[tokio::test(start_paused = true)]
async fn the_first_failure_is_repeated_as_configured_and_a_silent_meter_is_asked_once() {
    let mut bus = Bench::start("", "retries = 2", &meter("dead", 9, "60s", "offline_after = 2"));
    let mut sends = vec![0];
    while sends.len() < 7 {
        assert_eq!(bus.readout().await.0.frames, Err(ReadoutError::Silence));
        sends.push(bus.health.borrow().traffic.sends);
    }
    // A reset and a request, repeated, until it counts as silent.
    let each: Vec<u32> = sends.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(each, [4, 4, 1, 1, 1, 1]);
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_meter_is_asked_less_often_up_to_fifteen_minutes_and_at_its_interval_once_it_is_back() {
    let mut bus =
        Bench::start(&at(5), "", &(meter("dead", 9, "60s", "offline_after = 1") + &meter("alive", 5, "60s", "")));
    let (mut dead, mut alive) = (Vec::new(), Vec::new());
    while bus.started.elapsed() < Duration::from_secs(3600) {
        let (readout, at) = bus.readout().await;
        if readout.meter == "dead" { &mut dead } else { &mut alive }.push(at);
    }
    let rounded = |gap: f64| (gap / 60.0).round();
    let gaps = |times: &[f64]| times.windows(2).map(|two| rounded(two[1] - two[0])).collect::<Vec<_>>();
    assert_eq!(gaps(&dead)[..6], [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]);
    assert!(alive.len() >= 59 && gaps(&alive).iter().all(|gap| *gap == 1.0), "{alive:?}");
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_every_meter_is_read_within_the_shortest_interval_and_one_cycle() {
    for (interval, minutes) in [(10, 3), (10, 10), (60, 10), (60, 60)] {
        let segment: String = (1..=10).map(at).collect();
        let faults = format!("[faults]\ndead_from = \"95s\"\ndead_for = \"{minutes}m\"\n{segment}");
        let meters: String = (1..=10).map(|n| meter(&format!("m{n}"), n, &format!("{interval}s"), "")).collect();
        let mut bus = Bench::start(&faults, "", &meters);
        let (outage_began, back) = (95.0, 95.0 + f64::from(minutes) * 60.0);
        let (mut first, mut last) = (BTreeMap::new(), 0.0);
        while first.len() < 10 {
            let (readout, at) = bus.readout().await;
            if readout.frames.is_ok() && at > outage_began + 30.0 {
                first.entry(readout.meter).or_insert(at - back);
                last = at - back;
            }
        }
        let soonest = first.values().copied().fold(f64::MAX, f64::min);
        println!(
            "every {interval} s, {minutes} min without power: first read {soonest:.1} s, last {last:.1} s after it"
        );
        assert!(soonest > 0.0 && last < f64::from(interval) + 15.0, "{first:?}");
        bus.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_meter_that_wants_a_reset_is_read_again_after_a_power_cut() {
    for (interval, more) in [(10, ""), (60, ""), (10, "acknowledges_reset = false\n")] {
        let stubborn = format!("{}wants_reset = true\n{more}", at(5));
        // alone on its bus, and beside one that is back first
        for others in [0, 1] {
            let segment = format!("[faults]\ndead_from = \"95s\"\ndead_for = \"3m\"\n{stubborn}{}", at(6));
            let other = if others == 1 { meter("b", 6, "10s", "") } else { String::new() };
            let configured = meter("a", 5, &format!("{interval}s"), "") + &other;
            let mut bus = Bench::start(&segment, "", &configured);
            let back = loop {
                let (readout, at) = bus.readout_of("a").await;
                if at > 95.0 + 180.0 && readout.frames.is_ok() {
                    break at - 95.0 - 180.0;
                }
                assert!(at < 1000.0, "not read again: {readout:?}");
            };
            let tries = if others == 1 { 1 } else { 2 };
            assert!(back < f64::from(tries * interval) + 15.0, "{back:.1} s, every {interval} s");
            bus.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_repeats_a_late_meter_is_read_all_the_same() {
    let late = format!("{}delay = \"1200ms\"\n", at(5));
    let mut bus = Bench::start(&late, "retries = 0", &meter("a", 5, "10s", ""));
    for _ in 0..3 {
        assert!(bus.readout().await.0.frames.is_ok());
    }
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_meter_that_sleeps_is_woken_before_each_readout_by_whoever_asks() {
    let asleep = format!("{}wakes_by = \"0x55 for 2s at 8N1\"\n", at(5));
    let wake_up = "wake_up = \"0x55 for 2.1s at 8N1\"\n";
    let mut bus = Bench::start(&asleep, "", &meter("a", 5, "60s", "offline_after = 255"));
    assert_eq!(bus.readout().await.0.frames, Err(ReadoutError::Silence), "without it the meter sleeps on");
    bus.stop().await;
    let other_parity = "wake_up = \"0x55 for 2.1s\"";
    let mut bus = Bench::start(&asleep, other_parity, &meter("a", 5, "60s", "offline_after = 255"));
    assert_eq!(bus.readout().await.0.frames, Err(ReadoutError::Silence), "it hears no character of another parity");
    bus.stop().await;
    for (of_bus, of_meter) in [(wake_up, ""), ("", wake_up)] {
        let mut bus = Bench::start(&asleep, of_bus, &meter("a", 5, "60s", of_meter));
        for _ in 0..3 {
            assert!(bus.readout().await.0.frames.is_ok());
        }
        bus.stop().await;
    }
    let mut bus = Bench::start(&asleep, wake_up, &meter("a", 5, "1h", ""));
    bus.readout().await;
    let mask = SecondaryAddress::parse("672005??").expect("a mask");
    let found = bus.ask(BusRequest::Scan(Scan::Secondary(mask))).await;
    while !matches!(bus.next().await, Happened::Scanned { .. }) {}
    assert!(matches!(found.await, Ok(Answer::Found(found)) if found.len() == 1));
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_meter_alone_on_its_bus_is_read_at_254() {
    let mut bus = Bench::start(&at(77), "", &meter("only", 254, "10s", ""));
    for _ in 0..3 {
        assert!(bus.readout().await.0.frames.is_ok());
    }
    bus.stop().await;
    let mut bus = Bench::start(&(at(7) + &at(8)), "", &meter("only", 254, "10s", ""));
    assert!(matches!(bus.readout().await.0.frames, Err(ReadoutError::NoAnswer(_))), "two answer at once");
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_meter_shifts_no_slot_of_the_others() {
    let others: String = (5..9).map(|n| meter(&format!("m{n}"), n, "10s", "")).collect();
    let segment: String = (5..9).map(at).collect();
    let mut bus = Bench::start(&segment, "", &(meter("dead", 99, "10s", "offline_after = 255") + &others));
    let mut slots: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    while bus.started.elapsed() < Duration::from_secs(100) {
        let (readout, at) = bus.readout().await;
        slots.entry(readout.meter).or_default().push(at);
    }
    for (meter, times) in slots.into_iter().filter(|(meter, _)| meter != "dead") {
        assert!(times.len() >= 9, "{meter}: {times:?}");
        assert!(times.windows(2).skip(1).all(|two| (two[1] - two[0] - 10.0).abs() < 2.0), "{meter}: {times:?}");
    }
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn where_there_is_not_time_for_all_each_meter_has_its_turn() {
    let segment: String = (5..9).map(at).collect();
    let meters: String = (5..9).map(|n| meter(&format!("m{n}"), n, "1s", "")).collect();
    let mut bus = Bench::start(&segment, "", &meters);
    let mut turns: BTreeMap<String, u32> = BTreeMap::new();
    while bus.started.elapsed() < Duration::from_secs(60) {
        *turns.entry(bus.readout().await.0.meter).or_default() += 1;
    }
    let all: u32 = turns.values().sum();
    assert_eq!(turns.len(), 4);
    assert!(turns.values().all(|own| own * 4 * 4 >= all * 3), "each has three quarters of its share: {turns:?}");
    assert!(bus.health.borrow().load_permille > 950, "{:?}", bus.health.borrow());
    bus.stop().await;
}

#[test]
fn a_meter_that_answers_anything_is_alive_and_its_bus_keeps_its_power() {
    let error = ApplicationError(Some(8));
    for answer in [Ok(vec![vec![0xE5]]), Err(ReadoutError::NoData), Err(ReadoutError::Application(error))] {
        assert!(is_alive(&answer), "{answer:?}");
    }
    let other = SecondaryAddress::ANY;
    for error in [
        ExchangeError::WrongAddress { got: 0, want: 5 },
        ExchangeError::WrongIdentity { got: other, want: other },
        ExchangeError::NotAReply { control: 0x53 },
    ] {
        assert!(is_alive(&Err(ReadoutError::NoAnswer(error))), "{error:?}");
    }
    for error in [ReadoutError::Silence, ReadoutError::NoAnswer(ExchangeError::Garbled { bytes: 3 })] {
        assert!(!is_alive(&Err(error)), "{error:?}");
    }
}

fn primary(address: u8) -> PrimaryAddress {
    PrimaryAddress::new(address).expect("0 to 250")
}

#[tokio::test(start_paused = true)]
async fn a_bad_wire_costs_repeats_but_no_wrong_reading() {
    let faults = "[faults]\ncorrupt_per_mille = 5\nnoise_per_mille = 300\necho = true\n";
    let known = "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n";
    let mut bus = Bench::start(&(faults.to_owned() + known), "", &meter("ats", 48, "10s", "offline_after = 255"));
    let mut good = Vec::new();
    for _ in 0..40 {
        good.extend(bus.readout().await.0.frames.ok());
    }
    assert!(good.windows(2).all(|pair| pair[0] == pair[1]), "a wrong reading");
    assert!(good.len() >= 30, "{} of 40", good.len());
    assert!(bus.health.borrow().traffic.retries > 0, "nothing went wrong: {:?}", bus.health.borrow());
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_readout_on_the_wire_has_the_time_of_the_longest_telegram_to_finish_when_the_task_is_stopped() {
    let bus = Bench::start("", "response_timeout = \"30s\"", &meter("a", 5, "1h", ""));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bus.stop().await, Duration::from_millis(1300));
    let bus = Bench::start(&at(5), "", &meter("a", 5, "1h", ""));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(bus.stop().await < Duration::from_millis(10), "nothing is on the wire");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_stopped_begins_nothing_more() {
    let mut bus = Bench::start(&at(5), "response_timeout = \"900ms\"\nretries = 0", &meter("a", 5, "1h", ""));
    bus.readout().await;
    let _scan = bus.ask(BusRequest::Scan(Scan::Primary)).await;
    while !matches!(bus.next().await, Happened::Scanning) {}
    // while a probe is on the wire
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _read = bus.ask(BusRequest::ReadAt(MeterAddress::Primary(primary(9)))).await;
    assert!(bus.stop().await < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn other_meters_are_read_without_the_line_being_opened_again() {
    let configured = meter("a", 1, "1m", "") + &meter("b", 2, "1h", "");
    let mut bench = Bench::start(&(at(1) + &at(2) + &at(3)), "", &configured);
    let first = [bench.readout().await.0.meter, bench.readout().await.0.meter];
    assert_eq!(first, ["a", "b"]);
    bench.exchange(&(meter("b", 2, "1h", "title = \"B\"\n") + &meter("c", 3, "1h", "")));
    // the new one at once, the old one in its time, the one that is gone no more
    let (next, at) = bench.readout().await;
    assert!(next.meter == "c" && at < 5.0, "{next:?} {at}");
    let (next, at) = bench.readout().await;
    assert!(next.meter == "b" && (3599.0..3602.0).contains(&at), "{next:?} {at}");
    assert_eq!(bench.health.borrow().line_losses, 0);
}
