//! One bus: its health, its wire, and the search for meters.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::super::asks::{bus_index, found_values};
use super::super::house::{App, House};
use super::super::part::Path;
use super::super::problem::Problem;
use super::super::wire::{Line, lines};
use super::super::words::Words;
use super::frame::{Frame, show};
use super::story::{Story, time_left};
use super::values::{self, Shown};
use super::when::When;
use crate::bus::health::Health;
use crate::mbus::address::{MeterAddress, SecondaryAddress};
use crate::mbus::link::frame as link;
use crate::mbus::master::search::Found;
use crate::mbus::{maker, medium};

/// Values shown of a find.
const VALUES: usize = 3;

#[derive(Template)]
#[template(path = "bus.html")]
struct Page {
    frame: Frame,
    name: String,
    port: String,
    baud: String,
    health: Health,
    load: String,
    has_power: bool,
    story: Story,
    left: Option<String>,
    finds: Vec<Find>,
    meters: Vec<(String, String, Option<When>)>,
    lines: Vec<Line>,
}

/// A meter that was found, or several that cannot be told apart.
struct Find {
    address: String,
    who: String,
    values: Vec<Shown>,
    is_collision: bool,
    /// Configured already, under this name, and whether it is read.
    known: Option<(String, bool)>,
}

/// `GET /bus/<name>`.
pub(crate) async fn bus(State(app): State<App>, Path(name): Path<String>, frame: Frame) -> Response {
    let (house, t) = (app.house(), frame.t);
    let index = match bus_index(&house, &name) {
        Ok(index) => index,
        Err(problem) => return problem.into_response(),
    };
    let (Some(bus), Some(health)) = (house.config.buses.get(index), house.health.get(index)) else {
        return Problem::unavailable("reloading").into_response();
    };
    let health = health.borrow().clone();
    let zone = house.config.time_zone();
    let meters = house.config.meters.iter().filter(|meter| meter.bus == index);
    let next = |place: usize| health.next_reads.get(place).copied();
    let meters = meters.enumerate().map(|(place, meter)| {
        let next = next(place).map(|at| When::due(at, &zone, t));
        (meter.name.clone(), meter.address.to_string(), next)
    });
    let lines = house
        .tapes
        .get(index)
        .filter(|_| frame.may_all && !frame.only_live)
        .map(|tape| lines(&tape.borrow(), 0, &zone));
    show(&Page {
        port: bus.port.to_string(),
        baud: format!("{} 8{}{}", bus.baud, bus.parity.letter(), bus.stop_bits),
        load: format!("{}.{} %", health.load_permille / 10, health.load_permille % 10),
        has_power: bus.hat.is_some(),
        story: Story::of(&app.status().borrow().agent, Some(&name), t),
        left: health.scan.map(|scan| time_left(scan.left.as_secs(), t)),
        finds: health.found.iter().map(|found| find(&house, index, found, &health.found, t)).collect(),
        meters: meters.collect(),
        lines: lines.unwrap_or_default().into_iter().rev().collect(),
        name,
        health,
        frame,
    })
}

fn find(house: &House, bus: usize, found: &Found, all: &[Found], t: Words) -> Find {
    match found {
        Found::Collision(address) => Find {
            address: address.to_string(),
            who: String::new(),
            values: Vec::new(),
            is_collision: true,
            known: None,
        },
        Found::Meter { address, identity, frame, .. } => {
            let reading = frame.as_ref().and_then(|frame| found_values(&house.config, frame));
            let values = reading.map(|reading| values::all(&reading, &house.config, t)).unwrap_or_default();
            Find {
                address: address.to_string(),
                who: identity.map(|identity| who(house, identity, t)).unwrap_or_default(),
                values: values.into_iter().filter(|value| value.is_main).take(VALUES).collect(),
                is_collision: false,
                known: known(house, bus, *address, *identity, primary(found, all)),
            }
        }
    }
}

/// `Kamstrup 67200512, heat`, and the model where a profile knows it.
fn who(house: &House, identity: SecondaryAddress, t: Words) -> String {
    let letters = identity.manufacturer();
    let maker = maker::name(letters).map_or_else(|| letters.to_string(), str::to_owned);
    let medium = medium::name(identity.medium()).replace('_', " ");
    let model = house.config.profiles.iter().find(|profile| profile.matches(identity));
    let model = model.map(|profile| format!(" ({})", profile.title)).unwrap_or_default();
    format!("{maker} {:08X}, {}{model}", identity.id(), t.of(&medium))
}

/// The primary address in its telegram, however it was found, where no other that was found has it too.
fn primary(found: &Found, all: &[Found]) -> Option<u8> {
    let of = |found: &Found| match found {
        Found::Meter { frame: Some(frame), .. } => match link::Frame::parse(frame) {
            Ok(link::Frame::Long { a, .. }) => Some(a),
            _ => None,
        },
        _ => None,
    };
    of(found).filter(|at| all.iter().filter(|other| of(other) == Some(*at)).count() == 1)
}

/// The configured meter that this is, if it is one.
fn known(
    house: &House,
    bus: usize,
    at: MeterAddress,
    identity: Option<SecondaryAddress>,
    primary: Option<u8>,
) -> Option<(String, bool)> {
    let is_it = |address: &MeterAddress| match address {
        MeterAddress::Secondary(mask) => identity.is_some_and(|identity| mask.matches(identity)),
        MeterAddress::Primary(own) => *address == at || Some(own.get()) == primary,
    };
    let mut meters = house.config.all_meters().filter(|(meter, _)| meter.bus == bus);
    meters.find(|(meter, _)| is_it(&meter.address)).map(|(meter, enabled)| (meter.name.clone(), enabled))
}
