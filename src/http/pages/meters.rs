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
use crate::status::{BusStatus, MeterStatus, Readings, Status};

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
    /// Whether it stands in a file.
    pub(super) is_kept: bool,
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
    let readings = status.agent.readings;
    let story = Story::of(&status.agent, None, t);
    let classes: Vec<&str> = meters.iter().map(|card| card.class).collect();
    let (summary, is_well) = summary(&classes, &status, !story.troubles.is_empty(), t);
    show(&Page { frame, is_well, summary, readings, story, meters })
}

/// How all of it is, in one sentence, and whether that is well. What is worst comes first.
fn summary(meters: &[&str], status: &Status, is_any_trouble: bool, t: Words) -> (String, bool) {
    let count = |class: &str| meters.iter().filter(|meter| **meter == class).count();
    // before a bus was opened for the first time nothing is known of it
    let is_down = |bus: &BusStatus| !bus.up && bus.last_error.is_some();
    let down = status.agent.buses.iter().find(|(_, bus)| is_down(bus)).map(|(name, _)| name);
    let Readings { dropped, set_aside, .. } = status.agent.readings;
    let worst = match (count("silent"), down) {
        (1, _) => Some(t.of("One meter is silent").to_owned()),
        (silent @ 2.., _) => Some(t.with("{} meters are silent", silent)),
        (0, Some(bus)) => Some(t.with("Bus {} is down", bus)),
        (0, None) if is_any_trouble => Some(t.of("Something is in the way").to_owned()),
        (0, None) if dropped > 0 => Some(t.of("Readings were lost").to_owned()),
        (0, None) if set_aside > 0 => Some(t.of("The broker has refused readings").to_owned()),
        (0, None) if !status.connected => Some(t.of("There is no connection to the broker").to_owned()),
        (0, None) => None,
    };
    let usual = match meters.len() {
        0 => t.of("No meter is configured yet"),
        all if count("ok") == all => t.of("All meters answer"),
        _ => t.of("Waiting for the first readings"),
    };
    let is_well = worst.is_none() && status.agent.other_agent.is_none();
    (worst.unwrap_or_else(|| usual.to_owned()), is_well)
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
        is_kept: house.keeps(&meter.name, &status.agent.adoption),
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderMap;

    #[test]
    fn well_is_said_only_where_nothing_is_wrong() {
        let of = |meters: &[&str], trouble: bool, change: fn(&mut Status)| {
            let mut status = Status { connected: true, ..Status::default() };
            let up = BusStatus { up: true, ..BusStatus::default() };
            status.agent.buses.insert("hat".to_owned(), up);
            change(&mut status);
            summary(meters, &status, trouble, Words::wanted(&HeaderMap::new()))
        };
        let said = |text: &str, well: bool| (text.to_owned(), well);
        assert_eq!(of(&["ok"], false, |_| {}), said("All meters answer", true));
        assert_eq!(of(&["ok", "waiting"], false, |_| {}), said("Waiting for the first readings", true));
        assert_eq!(of(&[], false, |_| {}), said("No meter is configured yet", true));
        assert_eq!(of(&[], true, |_| {}), said("Something is in the way", false));
        assert_eq!(of(&["ok", "silent"], true, |_| {}), said("One meter is silent", false));
        let aside: fn(&mut Status) = |status| status.agent.readings.set_aside = 1;
        assert_eq!(of(&["ok"], false, aside), said("The broker has refused readings", false));
        let down: fn(&mut Status) = |status| {
            let error = Some("No such device".to_owned());
            status.agent.buses.insert("usb".to_owned(), BusStatus { last_error: error, ..BusStatus::default() });
        };
        assert_eq!(of(&[], false, down), said("Bus usb is down", false));
        assert!(!of(&["ok"], false, |status| status.connected = false).1);
        assert!(!of(&["ok"], false, |status| status.agent.other_agent = Some("other".to_owned())).1);
    }
}
