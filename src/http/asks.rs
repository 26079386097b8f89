//! What somebody asks the agent to do, over REST or with a button: it goes where MQTT's requests go.

use std::time::{Duration, SystemTime};

use axum::http::StatusCode;
use tokio::time::sleep;

use super::house::{App, House};
use super::problem::{Problem, shortened};
use super::rest::no_meter;
use crate::config::Config;
use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::opener::Opener;
use crate::measure::Reading;
use crate::measure::normalise::{self, MeterRules, Occasion};
use crate::request::{AgentRequest, Answer, BusRequest, Request, Scan};

/// A bus that is busy may take so long before a scan begins; it begins later then.
const SCAN_BEGINS_WITHIN: Duration = Duration::from_secs(10);

/// The index of a bus.
pub(super) fn bus_index(house: &House, name: &str) -> Result<usize, Problem> {
    let index = house.config.buses.iter().position(|bus| bus.name == name);
    index.ok_or_else(|| Problem::not_found(format!("no such bus: {}", shortened(name))))
}

/// Anything that a bus does, once it is done.
pub(super) async fn bus(app: &App, name: &str, what: BusRequest) -> Result<Answer, Problem> {
    let house = app.house();
    bus_index(&house, name)?;
    let answer = house.desk.ask(Request::Bus { name: Some(name.to_owned()), what });
    answer.await.map_err(|why| Problem::new(StatusCode::BAD_GATEWAY, why))
}

/// Ends the scan that goes on.
pub(super) async fn end_scan(app: &App, name: &str) -> Result<(), Problem> {
    let house = app.house();
    let health = house.health.get(bus_index(&house, name)?);
    if health.is_some_and(|health| health.borrow().scan.is_none()) {
        return Err(Problem::new(StatusCode::CONFLICT, "this bus is not being scanned"));
    }
    bus(app, name, BusRequest::EndScan).await.map(|_| ())
}

/// Switches bus power.
pub(super) async fn power(app: &App, name: &str, on: bool) -> Result<(), Problem> {
    let house = app.house();
    if house.config.buses.get(bus_index(&house, name)?).is_some_and(|bus| bus.hat.is_none()) {
        return Err(Problem::new(StatusCode::CONFLICT, "no Hat powers this bus"));
    }
    bus(app, name, BusRequest::Power(on)).await.map(|_| ())
}

/// Reads a configured meter: the reading, as it is published.
pub(super) async fn read(app: &App, name: &str) -> Result<String, Problem> {
    let house = app.house();
    if !house.config.meters.iter().any(|meter| meter.name == name) {
        return Err(no_meter(name));
    }
    let what = BusRequest::Read { meter: name.to_owned() };
    let answer = house.desk.ask(Request::Bus { name: None, what });
    match answer.await {
        Ok(Answer::Reading(reading)) => Ok(reading),
        Ok(_) => Err(Problem::unavailable("the answer is not a reading")),
        Err(why) => Err(Problem::new(StatusCode::BAD_GATEWAY, why)),
    }
}

/// Starts a scan, and waits until it has begun.
pub(super) async fn scan(app: &App, name: &str, scan: Scan) -> Result<(), Problem> {
    let house = app.house();
    let index = bus_index(&house, name)?;
    let Some(mut health) = house.health.get(index).cloned() else { return Err(Problem::unavailable("reloading")) };
    if health.borrow().scan.is_some() {
        return Err(Problem::new(StatusCode::CONFLICT, "this bus is being scanned already"));
    }
    let answer = house.desk.ask(Request::Bus { name: Some(name.to_owned()), what: BusRequest::Scan(scan) });
    tokio::select! {
        over = answer => over.map(|_| ()).map_err(|why| Problem::new(StatusCode::BAD_GATEWAY, why)),
        _ = health.wait_for(|health| health.scan.is_some()) => Ok(()),
        () = sleep(SCAN_BEGINS_WITHIN) => Ok(()),
    }
}

/// Reads the configuration again.
pub(super) async fn reload(app: &App) -> Result<(), Problem> {
    let answer = app.house().desk.ask(Request::Agent(AgentRequest::Reload));
    answer.await.map(|_| ()).map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why))
}

/// A mask for secondary addresses; nothing is every one.
pub(super) fn mask(text: &str) -> Result<SecondaryAddress, Problem> {
    if text.trim().is_empty() {
        return Ok(SecondaryAddress::ANY);
    }
    let expected = "expected a mask such as 3013???? or 16 hex digits with ? for any";
    SecondaryAddress::parse(text.trim()).map_err(|_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, expected))
}

/// What a telegram that a scan has found says, by the profiles.
pub(super) fn found_values(config: &Config, frame: &[u8]) -> Option<Reading> {
    let when = Occasion { due_at: None, read_at: SystemTime::now(), clock_synced: None };
    let rules = MeterRules::of_profiles("", &config.profiles);
    normalise::reading(&[frame.to_vec()], &rules, &mut Opener::default(), when).ok()
}
