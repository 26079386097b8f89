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

/// What a meter answers in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replies {
    /// Telegrams.
    pub telegrams: usize,
    /// Characters of all of them.
    pub characters: usize,
}

impl Replies {
    /// One telegram of so many characters to each of the meter's requests.
    #[must_use]
    pub fn each(meter: &Meter, characters: usize) -> Self {
        let telegrams = 1 + meter.requests.len();
        Self { telegrams, characters: telegrams * characters }
    }

    /// These telegrams.
    #[must_use]
    pub fn of(frames: &[Vec<u8>]) -> Self {
        Self { telegrams: frames.len(), characters: frames.iter().map(Vec::len).sum() }
    }
}

/// The least time that a meter's turn takes with these replies, when every answer comes after the
/// least pause, 11 bit times (EN 13757-2 clause 5.5).
#[must_use]
pub fn turn_time(meter: &Meter, bus: &Bus, replies: Replies) -> Duration {
    let baud = meter.baud.unwrap_or(bus.baud);
    let exchange = |request: usize, reply: usize| baud.characters(request + reply) + baud.bits(11);
    let requests = replies.telegrams * SHORT + meter.requests.len() * (CONTROL - SHORT);
    let pauses = u32::try_from(replies.telegrams).unwrap_or(u32::MAX);
    let mut time = baud.characters(requests + replies.characters) + baud.bits(11) * pauses + bus.idle;
    if let Some(wake_up) = meter.wake_up.or(bus.wake_up) {
        time += wake_up.time(baud, meter.parity.unwrap_or(bus.parity));
    }
    if meter.reset {
        time += exchange(SHORT, ACK);
    }
    if matches!(meter.address, MeterAddress::Secondary(_)) {
        time += exchange(SELECTION, ACK);
    }
    if meter.application_select.is_some() {
        time += exchange(APPLICATION_SELECT, ACK);
    }
    time
}

/// The part of the time that a bus is busy with one of its meters, 1 for all of it.
#[must_use]
pub fn load(meter: &Meter, bus: &Bus, replies: Replies) -> f64 {
    turn_time(meter, bus, replies).as_secs_f64() / meter.interval.as_secs_f64()
}
