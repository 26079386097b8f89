//! The first page: every meter at a glance.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::chart;
use super::super::house::{App, House};
use super::super::words::Words;
use super::frame::{Frame, show};
use super::story::Story;
use super::values::{self, Shown};
use super::when::When;
use crate::config::Meter;
use crate::homeassistant::name;
use crate::status::{MeterStatus, Readings, Status};

#[derive(Template)]
#[template(path = "meters.html")]
struct Page {
    frame: Frame,
    /// Whether something needs attention.
    is_well: bool,
    summary: String,
    readings: Readings,
    story: Story,
    meters: Vec<Card>,
}

/// One meter.
pub(super) struct Card {
    pub(super) name: String,
    pub(super) title: String,
    /// `ok`, `silent` or `waiting`.
    pub(super) class: &'static str,
    pub(super) state: String,
    pub(super) error: Option<String>,
    pub(super) values: Vec<Shown>,
    /// The name of the value whose line it is, and the line.
    pub(super) line: Option<(String, String)>,
    pub(super) read: Option<When>,
    pub(super) next: Option<When>,
}

/// `GET /`.
pub(crate) async fn meters(State(app): State<App>, frame: Frame) -> Response {
    let (house, status, t) = (app.house(), app.status(), frame.t);
    let status = status.borrow();
    let meters: Vec<Card> = house.config.meters.iter().map(|meter| card(&app, &house, &status, meter, t)).collect();
    let silent = meters.iter().filter(|card| card.class == "silent").count();
    let summary = match (silent, meters.len()) {
        (_, 0) => t.of("No meter is configured yet").to_owned(),
        (0, _) if meters.iter().all(|card| card.class == "ok") => t.of("All meters answer").to_owned(),
        (0, _) => t.of("Waiting for the first readings").to_owned(),
        (1, _) => t.of("One meter is silent").to_owned(),
        (silent, _) => t.with("{} meters are silent", silent),
    };
    let readings = status.agent.readings;
    let is_well = silent == 0 && status.connected && readings.dropped == 0 && !frame.other_agent;
    let story = Story::of(&status.agent, None, t);
    show(&Page { frame, is_well, summary, readings, story, meters })
}

/// What is shown of one meter at a glance.
pub(super) fn card(app: &App, house: &House, status: &Status, meter: &Meter, t: Words) -> Card {
    let zone = house.config.time_zone();
    let known = status.meters.get(&meter.name).cloned().unwrap_or_default();
    let newest = known.newest.as_deref();
    let values = newest.map(|newest| values::main(newest, &house.config, t)).unwrap_or_default();
    let drawn = values.iter().find(|value| value.is_number);
    let line = drawn.and_then(|value| {
        let history = app.history();
        let line = chart::spark(history.series(&meter.name, &value.key)?, meter.interval, 200.0, 40.0)?;
        Some((value.name.clone(), line))
    });
    let (class, state) = state(&known, &zone, t);
    Card {
        name: meter.name.clone(),
        title: meter.title.clone().unwrap_or_else(|| name::title(&meter.name)),
        class,
        state,
        error: known.error.clone(),
        values,
        line,
        read: newest.and_then(|newest| When::parse(&newest.read_at, &zone, t)),
        next: next_read(house, meter).map(|at| When::due(at, &zone, t)),
    }
}

fn state(known: &MeterStatus, zone: &TimeZone, t: Words) -> (&'static str, String) {
    let read = known.newest.as_ref().and_then(|newest| When::parse(&newest.read_at, zone, t));
    match (known.online, read, &known.error) {
        (true, ..) => ("ok", t.of("answers").to_owned()),
        (false, Some(read), _) => ("silent", t.with("silent since {}", read.local)),
        (false, None, Some(_)) => ("silent", t.of("has not answered yet").to_owned()),
        (false, None, None) => ("waiting", t.of("not read yet").to_owned()),
    }
}

fn next_read(house: &House, meter: &Meter) -> Option<Timestamp> {
    let place = house.config.meters.iter().filter(|other| other.bus == meter.bus).position(|m| m.name == meter.name)?;
    house.health.get(meter.bus)?.borrow().next_reads.get(place).copied()
}
