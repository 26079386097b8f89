//! One meter: every measurement, a chart, its telegrams byte by byte.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::super::chart::{self, Chart};
use super::super::house::{App, House};
use super::super::part::{Path, Query};
use super::super::rest::no_meter;
use super::super::words::{Words, word};
use super::frame::{Frame, show};
use super::meters::{Card, card};
use super::telegram::{self, Explained};
use super::values::{self, Shown};
use crate::config::{DEFAULT_INTERVAL, Meter, duration};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::{maker, medium};
use crate::measure::{Reading, RecordFault};

#[derive(Template)]
#[template(path = "meter.html")]
struct Page {
    frame: Frame,
    card: Card,
    values: Vec<Shown>,
    /// The key whose chart is shown, and its name and unit.
    drawn: Option<(String, String, &'static str)>,
    chart: Option<Chart>,
    facts: Vec<(&'static str, String)>,
    status: Vec<String>,
    errors: Vec<RecordFault>,
    telegrams: Vec<Explained>,
    /// What may be changed here; `None`: nothing.
    adopted: Option<Adopted>,
    width: f64,
    height: f64,
}

/// What the file of adopted meters says of it; empty where that is the default.
struct Adopted {
    title: String,
    interval: String,
    has_key: bool,
}

/// What of it is drawn.
#[derive(Deserialize)]
pub(crate) struct Draw {
    key: Option<String>,
}

/// `GET /meter/<name>`.
pub(crate) async fn meter(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(draw): Query<Draw>,
    frame: Frame,
) -> Response {
    let (house, status, t) = (app.house(), app.status(), frame.t);
    let Some(meter) = house.config.meters.iter().find(|meter| meter.name == name) else {
        return no_meter(&name).into_response();
    };
    let status = status.borrow();
    let card = card(&app, &house, &status, meter, t);
    let known = status.meters.get(&name).cloned().unwrap_or_default();
    let reading = known.newest.as_ref().and_then(|newest| newest.reading.clone());
    let values = match (&reading, &known.newest) {
        (Some(reading), _) => values::all(reading, &house.config, t),
        (None, Some(newest)) => values::main(newest, &house.config, t),
        (None, None) => Vec::new(),
    };
    let wanted = |value: &&Shown| value.is_number && draw.key.as_ref().is_none_or(|key| *key == value.key);
    let drawn = values.iter().find(wanted).map(|value| (value.key.clone(), value.name.clone(), value.unit));
    let chart = drawn.as_ref().and_then(|(key, ..)| {
        let history = app.history();
        chart::chart(history.series(&name, key)?, meter.interval, &house.config.time_zone())
    });
    let shown = frame.may_all && !frame.only_live;
    let telegrams = if shown { known.telegrams.iter().map(Vec::as_slice).collect() } else { Vec::new() };
    show(&Page {
        card,
        values,
        drawn,
        chart,
        facts: facts(&house, meter, reading.as_deref(), t),
        status: known.newest.as_ref().map(|newest| newest.status.clone()).unwrap_or_default(),
        errors: reading.as_ref().map(|reading| reading.errors.clone()).unwrap_or_default(),
        telegrams: telegram::all(telegrams, meter.key.as_ref()),
        adopted: Some(adopted(meter)).filter(|_| frame.may_all && house.config.adopted.names.contains(&name)),
        width: chart::WIDTH,
        height: chart::HEIGHT,
        frame,
    })
}

fn adopted(meter: &Meter) -> Adopted {
    let interval = Some(interval(meter)).filter(|_| meter.interval != DEFAULT_INTERVAL);
    Adopted {
        title: meter.title.clone().unwrap_or_default(),
        interval: interval.unwrap_or_default(),
        has_key: meter.key.is_some(),
    }
}

fn interval(meter: &Meter) -> String {
    duration(i64::try_from(meter.interval.as_millis()).unwrap_or(i64::MAX))
}

fn facts(house: &House, meter: &Meter, reading: Option<&Reading>, t: Words) -> Vec<(&'static str, String)> {
    let identity = reading.and_then(|reading| reading.device.identity);
    let bus = house.config.buses.get(meter.bus).map(|bus| bus.name.clone()).unwrap_or_default();
    let mut facts = vec![(word("Bus"), bus), (word("Address"), meter.address.to_string())];
    if let Some(identity) = identity {
        facts.push((word("Identification"), format!("{:08X}", identity.id())));
        if !identity.is_anonymous() {
            let letters = identity.manufacturer();
            let maker = maker::name(letters).map(|name| format!("{name} ({letters})"));
            facts.push((word("Maker"), maker.unwrap_or_else(|| letters.to_string())));
            facts.push((word("Version"), identity.version().to_string()));
        }
        if let Some(medium) = identity.known_medium() {
            facts.push((word("Medium"), t.of(&medium::name(medium).replace('_', " ")).to_owned()));
        }
    }
    facts.push((word("Read every"), interval(meter)));
    facts.push((word("Profile"), profile(house, meter, identity)));
    let rules = meter.records.iter().filter_map(|rule| rule.key.clone()).collect::<Vec<_>>().join(", ");
    if !meter.records.is_empty() {
        facts.push((word("Own rules"), format!("{} {rules}", meter.records.len())));
    }
    facts.extend(meter.labels.iter().map(|(name, text)| (word("Label"), format!("{name} = {text}"))));
    facts
}

fn profile(house: &House, meter: &Meter, identity: Option<SecondaryAddress>) -> String {
    let mut profiles = house.config.profiles.iter();
    let used = match &meter.profile {
        Some(name) => profiles.find(|profile| profile.name == *name),
        None => profiles.find(|profile| identity.is_some_and(|identity| profile.matches(identity))),
    };
    used.map_or_else(|| "–".to_owned(), |profile| format!("{} ({})", profile.title, profile.name))
}
