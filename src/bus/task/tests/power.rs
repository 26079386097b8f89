//! The power of a bus: switched by a user, by the task itself, or not there.

use std::time::Duration;

use super::primary;
use crate::bus::Happened;
use crate::bus::bench::{Bench, at, let_next_switch_fail, levels, meter, switched_at};
use crate::mbus::address::MeterAddress;
use crate::request::{Answer, BusRequest, Scan};

/// How long the meters of a powered bus need to start.
const SETTLE: Duration = Duration::from_secs(7);

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
