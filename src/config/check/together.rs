//! What several meters on one bus cannot have in common.

use super::called;
use super::meter::Found;
use crate::config::problem::{LINE, Problem};
use crate::config::{Bus, Meter, turn};
use crate::mbus::address::{MeterAddress, PrimaryAddress};

/// Characters of a long frame that says nothing.
const SHORTEST_REPLY: usize = 9;

pub(super) fn check(found: &[Found], buses: &[Bus], problems: &mut Vec<Problem>) {
    shared_addresses(found, problems);
    not_alone(found, buses, problems);
    other_rates(found, buses, problems);
    impossible_intervals(found, buses, problems);
}

/// Whether both answer when one is asked. One meter may be read in two ways, told apart by the application
/// that is selected before.
fn both_answer(one: &Meter, other: &Meter) -> bool {
    let read_alike = one.address != other.address || one.application_select == other.application_select;
    read_alike && share_an_address(one.address, other.address)
}

/// Whether one meter may answer at both addresses of one bus.
pub(super) fn share_an_address(one: MeterAddress, other: MeterAddress) -> bool {
    match (one, other) {
        (MeterAddress::Secondary(a), MeterAddress::Secondary(b)) => a.matches(b) || b.matches(a),
        (a, b) => a == b,
    }
}

/// Address 254 is every meter's.
fn not_alone(found: &[Found], buses: &[Bus], problems: &mut Vec<Problem>) {
    let only = MeterAddress::Primary(PrimaryAddress::ONLY);
    for alone in found.iter().filter(|found| found.comparable && found.meter.address == only) {
        let other =
            |found: &&Found| found.comparable && found.meter.bus == alone.meter.bus && found.meter.address != only;
        let (Some(other), Some(bus)) = (found.iter().find(other), buses.get(alone.meter.bus)) else { continue };
        let what = format!(
            "every meter answers to address 254, and {} has {} too: give each meter its own address",
            called("bus ", &bus.name, "its bus"),
            called("", &other.meter.name, "another one")
        );
        problems.push(Problem::new(alone.address_at, what));
    }
}

/// Two meters on a bus that would both answer when one is asked.
fn shared_addresses(found: &[Found], problems: &mut Vec<Problem>) {
    for (place, later) in found.iter().enumerate() {
        let clash = |earlier: &&Found| {
            let here = earlier.meter.bus == later.meter.bus && earlier.comparable && later.comparable;
            here && both_answer(&earlier.meter, &later.meter)
        };
        if let Some(earlier) = found.iter().take(place).find(clash) {
            let meter = called("meter ", &earlier.meter.name, "the meter");
            let what = format!("this address is also that of {meter} of {LINE}, on the same bus");
            problems.push(Problem::beside(earlier.address_at, later.address_at, what));
        }
    }
}

/// A transparent gateway cannot be told another rate or parity for one meter.
fn other_rates(found: &[Found], buses: &[Bus], problems: &mut Vec<Problem>) {
    for Found { meter, character_at, .. } in found.iter().filter(|found| found.comparable) {
        let Some(bus) = buses.get(meter.bus).filter(|bus| bus.port.keeps_its_rate()) else { continue };
        let baud = meter.baud.filter(|baud| *baud != bus.baud).map(|baud| format!("baud = {baud}"));
        let parity = meter.parity.filter(|parity| *parity != bus.parity);
        let Some(own) = baud.or(parity.map(|parity| format!("parity = \"{}\"", parity.word()))) else { continue };
        let what = format!(
            "{} has {own}, and the gateway {} keeps one rate and parity for all meters: use rfc2217:// if it \
             speaks that, or a bus of its own",
            called("", &meter.name, "this meter"),
            bus.port
        );
        problems.push(Problem::new(*character_at, what));
    }
}

/// Buses whose meters cannot be read in time even if each answers with the shortest telegram.
fn impossible_intervals(found: &[Found], buses: &[Bus], problems: &mut Vec<Problem>) {
    for (place, bus) in buses.iter().enumerate() {
        let here = || found.iter().filter(|found| found.comparable && found.meter.bus == place);
        let load = |found: &Found| turn::load(&found.meter, bus, turn::Replies::each(&found.meter, SHORTEST_REPLY));
        let percent = here().map(load).sum::<f64>() * 100.0;
        if percent <= 100.0 {
            continue;
        }
        if let Some(most) = here().max_by(|a, b| load(a).total_cmp(&load(b))) {
            let at = most.interval_at;
            let what = format!(
                "{} would be busy {percent:.0} % of the time even with the shortest telegrams, \
                 most of it for {}: choose longer intervals or a higher baud rate",
                called("bus ", &bus.name, "its bus"),
                called("", &most.meter.name, "this meter")
            );
            problems.push(Problem::new(at, what));
        }
    }
}
