//! Scans, and addresses that somebody wants read, between the readings.

use std::time::Duration;

use super::primary;
use crate::bus::Happened;
use crate::bus::bench::{Bench, at, meter};
use crate::mbus::address::MeterAddress;
use crate::request::{Answer, BusRequest, Scan};

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
