//! A bus over minutes and hours, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::turns::is_alive;
use crate::bus::Happened;
use crate::bus::bench::{Bench, at, let_next_switch_fail, levels, meter, switched_at};
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::application::telegram::ApplicationError;
use crate::mbus::link::frame::{Control, Frame};
use crate::mbus::master::readout::ReadoutError;
use crate::mbus::master::reply::ExchangeError;
use crate::request::{Answer, BusRequest, Scan};

/// How long the meters of a powered bus need to start.
const SETTLE: Duration = Duration::from_secs(7);

mod readouts;

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

#[tokio::test(start_paused = true)]
async fn meters_have_the_time_to_start_that_is_configured() {
    let mut bus = Bench::powered(17, SETTLE, &at(5), &meter("a", 5, "60s", ""));
    let (readout, over) = bus.readout().await;
    assert!(readout.frames.is_ok() && over > SETTLE.as_secs_f64() && over < SETTLE.as_secs_f64() + 1.0, "{over}");
    // The same after a user has switched the bus off and on.
    assert_eq!(bus.switch(false).await, Ok(Answer::Done));
    assert_eq!(bus.switch(true).await, Ok(Answer::Done));
    assert_eq!(levels(), [true, false, true], "answered when the pin has moved");
    _ = bus.read("a").await;
    let (readout, over) = bus.readout().await;
    let on = switched_at(bus.started)[2];
    assert!(readout.frames.is_ok() && over > on + SETTLE.as_secs_f64(), "{on} {over}");
    bus.stop().await;
    assert_eq!(levels(), [true, false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_a_user_switched_off_stays_off_when_its_line_is_opened_again() {
    let mut bus = Bench::powered(18, SETTLE, &at(5), &meter("a", 5, "10s", ""));
    bus.readout().await;
    assert!(bus.switch(false).await.is_ok());
    // The pin fails, for which the line is closed and opened again.
    let_next_switch_fail();
    assert_eq!(bus.switch(false).await, Err("cannot switch GPIO 18: as planned".to_owned()));
    assert!(matches!(bus.next().await, Happened::Down { .. }));
    assert!(matches!(bus.next().await, Happened::Up));
    assert_eq!(levels(), [true, false, false, false], "on, off by the user, off as the line is closed, opened off");
    assert_eq!((bus.health.borrow().up, bus.health.borrow().line_losses), (false, 1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(bus.events.try_recv().is_err(), "a bus without power is not read");
    assert!(bus.switch(true).await.is_ok());
    assert!(bus.readout().await.0.frames.is_ok());
    assert!(bus.health.borrow().up);
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_meter_whose_bus_lost_its_power_is_reset_before_its_next_answer_is_believed() {
    let mut bus = Bench::powered(19, SETTLE, &at(5), &meter("a", 5, "1h", ""));
    bus.readout().await;
    assert_eq!(bus.sends_of("a").await, 1, "a request alone while the frame count is known");
    assert!(bus.switch(false).await.is_ok() && bus.switch(true).await.is_ok());
    assert_eq!(bus.sends_of("a").await, 2, "a reset before the request");
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bus_on_which_no_meter_answers_is_switched_off_and_on_and_every_meter_is_reset() {
    let meters = meter("a", 5, "1h", "") + &meter("dead", 9, "10s", "offline_after = 255");
    let mut bus = Bench::powered(20, SETTLE, &at(5), &meters);
    for _ in 0..10 {
        bus.readout().await;
    }
    assert_eq!(levels(), [true], "nine failures in a row mean nothing");
    bus.readout().await;
    assert_eq!(bus.sends_of("a").await, 2, "the first request after the power came back follows a reset");
    let [on, off, again] = switched_at(bus.started)[..] else { panic!("{:?}", levels()) };
    assert_eq!((levels(), on), (vec![true, false, true], 0.0));
    assert!((again - off - 5.0).abs() < 0.01, "{off} {again}");
    assert!(bus.started.elapsed().as_secs_f64() > again + SETTLE.as_secs_f64());
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

#[tokio::test(start_paused = true)]
async fn a_scan_goes_on_between_the_readings_and_resets_the_meters_it_may_have_met() {
    let mut bus = Bench::start(&(at(5) + &at(6)), "", &meter("a", 5, "10s", ""));
    bus.readout().await;
    let response = bus.ask(BusRequest::Scan(Scan::Primary)).await;
    let second = bus.ask(BusRequest::Scan(Scan::Primary)).await;
    assert_eq!(second.await, Err("this bus is being scanned already".to_owned()));
    let (mut times, mut progress) = (Vec::new(), Vec::new());
    let found = loop {
        match bus.next().await {
            Happened::Read { readout, .. } => {
                assert!(readout.frames.is_ok());
                times.push(bus.started.elapsed().as_secs_f64());
            }
            Happened::Scanning => progress.extend(bus.health.borrow().scan),
            Happened::Scanned { found } => break found,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(found.len(), 2);
    assert_eq!(response.await, Ok(Answer::Found(found)));
    assert!(bus.started.elapsed() > Duration::from_secs(40) && times.len() >= 4, "{times:?}");
    assert!(times.windows(2).all(|two| (two[1] - two[0] - 10.0).abs() < 1.0), "{times:?}");
    assert!(progress.iter().is_sorted_by_key(|scan| scan.percent), "{progress:?}");
    let halfway = progress.iter().find(|scan| scan.percent == 50).expect("halfway");
    assert_eq!((halfway.found, halfway.left.as_secs() / 10), (2, 7), "at least: {halfway:?}");
    assert_eq!(bus.health.borrow().scan, None, "it is over");
    assert_eq!(bus.sends_of("a").await, 2, "a probe resets the meter it finds");
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_noise_cuts_short_answers_with_what_it_found() {
    let noise = |from: u8| format!("[faults]\nbabble_per_second = 100\nbabble_from = \"{from}s\"\n{}", at(5));
    let mut bus = Bench::start(&noise(20), "", "");
    assert!(matches!(bus.next().await, Happened::Up));
    let scan = bus.ask(BusRequest::Scan(Scan::Primary)).await;
    let found = loop {
        if let Happened::Scanned { found } = bus.next().await {
            break found;
        }
    };
    assert_eq!(found.len(), 1);
    let Ok(Answer::FoundSome { found: answered, warning }) = scan.await else { panic!("an answer") };
    assert_eq!(answered, found);
    assert!(warning.contains("never falls silent") && warning.contains("unplug one half"), "{warning}");
    bus.stop().await;
    let mut bus = Bench::start(&noise(0), "", "");
    assert!(matches!(bus.next().await, Happened::Up));
    let scan = bus.ask(BusRequest::Scan(Scan::Primary)).await;
    while !matches!(bus.next().await, Happened::Scanned { .. }) {}
    assert!(scan.await.is_err_and(|why| why.contains("never falls silent")), "nothing was found");
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_is_read_between_the_readings_for_who_asked_alone() {
    let mut bus = Bench::start(&(at(5) + &at(6)), "retries = 2", &meter("a", 5, "10s", ""));
    bus.readout().await;
    let before = bus.health.borrow().clone();
    let asked = [6, 5, 7].map(|address| BusRequest::ReadAt(MeterAddress::Primary(primary(address))));
    let mut responses = Vec::new();
    for what in asked {
        responses.push(bus.ask(what).await);
    }
    for (name, address) in [(None, 6), (Some("a"), 5)] {
        let Happened::ReadAt { meter, frames, reply, .. } = bus.next().await else { panic!("not read") };
        assert_eq!((meter.as_deref(), frames.len(), frames[0][5]), (name, 1, address));
        reply.answer(Ok(Answer::Done));
        assert_eq!(responses.remove(0).await, Ok(Answer::Done));
    }
    assert_eq!(responses.remove(0).await, Err("no answer".to_owned()));
    let after = bus.health.borrow().clone();
    assert_eq!((after.readouts_ok, after.readouts_failed, &after.last_error), (before.readouts_ok, 0, &None));
    // One for each of two meters that had been reset, then a reset and a request with two repeats.
    assert_eq!(after.traffic.sends - before.traffic.sends, 2 + 2 + 4);
    assert!((bus.readout().await.1 - 10.0).abs() < 1.0, "the slots stay");
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn addresses_to_read_take_turns_with_the_meters_that_are_due() {
    let mut bus = Bench::start(&(at(5) + &at(6)), "", &meter("a", 5, "1s", ""));
    bus.readout().await;
    let mut responses = Vec::new();
    for _ in 0..40 {
        responses.push(bus.ask(BusRequest::ReadAt(MeterAddress::Primary(primary(6)))).await);
    }
    let (mut at_address, mut due) = (0, 0);
    while at_address < 32 && due < 100 {
        match bus.next().await {
            Happened::ReadAt { .. } => at_address += 1,
            Happened::Read { .. } => due += 1,
            _ => {}
        }
    }
    assert!((15..100).contains(&due), "{due} readings of the meter that is due each second");
    assert_eq!(responses.remove(39).await, Err("too many requests wait for this bus".to_owned()));
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_bus_that_is_down_are_answered_with_why() {
    let_next_switch_fail();
    let mut bus = Bench::powered(21, SETTLE, &at(5), &meter("a", 5, "1h", ""));
    assert!(matches!(bus.next().await, Happened::Down { .. }));
    let why = Err("the bus is down: cannot switch GPIO 21: as planned".to_owned());
    assert_eq!(bus.read("a").await.await, why);
    assert_eq!(bus.switch(false).await, why);
    bus.readout().await;
    let waiting = [
        bus.ask(BusRequest::Scan(Scan::Primary)).await,
        bus.ask(BusRequest::ReadAt(MeterAddress::Primary(primary(6)))).await,
        bus.read("a").await,
    ];
    let_next_switch_fail();
    assert!(bus.switch(true).await.is_err());
    for response in waiting {
        assert_eq!(response.await, why);
    }
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_was_switched_off_stays_so_over_a_reload() {
    let mut bus = Bench::switched_off(23, SETTLE, &at(5), &meter("a", 5, "1h", ""));
    assert!(matches!(bus.next().await, Happened::Up));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let health = bus.health.borrow().clone();
    assert!(health.switched_off && !health.up && health.readouts_failed == 0, "{health:?}");
    assert_eq!(bus.read("a").await.await, Err("the bus is down: bus power was switched off".to_owned()));
    assert_eq!(levels(), [false]);
    assert!(bus.switch(true).await.is_ok());
    assert!(bus.readout().await.0.frames.is_ok() && !bus.health.borrow().switched_off);
    bus.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bus_without_power_answers_that_it_is_off() {
    let mut bus = Bench::powered(22, SETTLE, &at(5), &meter("a", 5, "1h", ""));
    bus.readout().await;
    let scan = bus.ask(BusRequest::Scan(Scan::Primary)).await;
    assert!(matches!(bus.next().await, Happened::Scanning));
    assert!(bus.health.borrow().scan.is_some());
    assert!(bus.switch(false).await.is_ok());
    assert_eq!(bus.health.borrow().scan, None);
    let why = Err("the bus is down: bus power was switched off".to_owned());
    assert_eq!(scan.await, why);
    assert_eq!(bus.read("a").await.await, why);
    bus.stop().await;
    let mut bus = Bench::start(&at(5), "", &meter("a", 5, "1h", ""));
    bus.readout().await;
    assert_eq!(bus.switch(false).await, Err("no Hat powers this bus, so it cannot be switched".to_owned()));
    bus.stop().await;
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
