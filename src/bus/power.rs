//! The power of one bus: on as its user wants it, and taken away for a moment as the last resort.
//!
//! Not here: the pin (`hat`), when the last resort helps (`last_resort`).

use std::time::{Duration, Instant};

use super::last_resort::LastResort;
use super::session::{Outage, Session};
use crate::config::{Bus, Hat};

/// Whether and how a bus is powered.
#[derive(Debug)]
pub(super) struct PowerSwitch {
    hat: Option<Hat>,
    gateway: bool,
    on: bool,
    last_resort: LastResort,
}

/// What may help a bus on which no meter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Off for a moment and on again.
    PowerCycle,
    /// A new connection to its gateway.
    Reconnect,
}

impl PowerSwitch {
    /// Of a bus with so many meters; on, unless it was switched off before a reload and a Hat can do that.
    pub(super) fn new(bus: &Bus, meters: usize, on: bool) -> Self {
        let gateway = bus.port.is_gateway();
        Self { hat: bus.hat, gateway, on: on || bus.hat.is_none(), last_resort: LastResort::new(meters, gateway) }
    }

    /// The bus has so many meters now.
    pub(super) fn meters(&mut self, meters: usize) {
        self.last_resort.meters(meters);
    }

    /// Whether the bus is to have power; always where no Hat switches it.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// Whether a Hat switches it.
    pub(super) fn can_switch(&self) -> bool {
        self.hat.is_some()
    }

    /// How long the meters need to start.
    pub(super) fn settle(&self) -> Duration {
        self.hat.map_or(Duration::ZERO, |hat| hat.power_settle)
    }

    /// Switches it as a user asks. It stays so over a new opening of the line.
    ///
    /// # Errors
    /// Where the pin cannot be driven; then it counts as it was.
    pub(super) fn set(&mut self, session: &Session, on: bool) -> Result<(), Outage> {
        drive(session, on)?;
        self.on = on;
        Ok(())
    }

    /// Drives the pin for the last resort; what the user wants stays as it is.
    ///
    /// # Errors
    /// Where the pin cannot be driven.
    pub(super) fn interrupt(&self, session: &Session, on: bool) -> Result<(), Outage> {
        drive(session, on)
    }

    /// Takes the outcome of a readout; what may help where none has answered for long.
    pub(super) fn after(&mut self, alive: bool, now: Instant) -> Option<Remedy> {
        if !self.last_resort.after(alive, now) {
            return None;
        }
        match (self.hat, self.gateway) {
            (Some(_), _) => Some(Remedy::PowerCycle),
            (None, true) => Some(Remedy::Reconnect),
            (None, false) => None,
        }
    }
}

fn drive(session: &Session, on: bool) -> Result<(), Outage> {
    session.power().map_or(Ok(()), |power| power.switch(on)).map_err(Outage::from)
}
