//! How long a meter's turn takes on the wire, as far as its configuration tells.

use std::time::Duration;

use super::{Bus, Meter};
use crate::mbus::address::MeterAddress;

/// Characters of a short frame, and of E5.
const SHORT: usize = 5;
const ACK: usize = 1;
/// Characters of a control frame, of one with a byte of data, and of a selection (EN 13757-2 clause 5.6).
const CONTROL: usize = 9;
const APPLICATION_SELECT: usize = CONTROL + 1;
const SELECTION: usize = CONTROL + 8;

/// The least time that a meter's turn takes when each of its replies has `reply` characters and
/// every answer comes after the least pause, 11 bit times (EN 13757-2 clause 5.5).
#[must_use]
pub fn turn_time(meter: &Meter, bus: &Bus, reply: usize) -> Duration {
    let baud = meter.baud.unwrap_or(bus.baud);
    let exchange = |request: usize, reply: usize| baud.characters(request + reply) + baud.bits(11);
    let mut time = exchange(SHORT, reply) + bus.idle;
    if meter.reset {
        time += exchange(SHORT, ACK);
    }
    if matches!(meter.address, MeterAddress::Secondary(_)) {
        time += exchange(SELECTION, ACK);
    }
    if meter.application_select.is_some() {
        time += exchange(APPLICATION_SELECT, ACK);
    }
    meter.requests.iter().fold(time, |time, _| time + exchange(CONTROL, reply))
}

/// The part of the time that a bus is busy with one of its meters, 1 for all of it.
#[must_use]
pub fn load(meter: &Meter, bus: &Bus, reply: usize) -> f64 {
    turn_time(meter, bus, reply).as_secs_f64() / meter.interval.as_secs_f64()
}
