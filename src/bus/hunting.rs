//! A search for meters that nobody wrote down, as far as a bus does it: one step where nothing is due.
//!
//! Not here: what is asked next (`adopt::hunt`), what becomes of who is found (`adopt::task`).

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::line::{Character, LineError};
use super::session::{Session, character, response_timeout};
use crate::adopt::Sighting;
use crate::adopt::find::Find;
use crate::adopt::hunt::{Hunt, Progress, Saved};
use crate::config::{Bus, Port};
use crate::mbus::address::MeterAddress;
use crate::mbus::link::timing::Baud;
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::search::Found;

/// Every rate, the likely ones first.
pub(crate) const LIKELY: [u32; 8] = [2400, 300, 9600, 1200, 600, 4800, 19_200, 38_400];
/// The Hat does no more.
pub(crate) const HAT_RATE: u32 = 9600;

/// How long a search rests that the noise on the line has ended.
const RESTS_FOR: Duration = Duration::from_secs(600);

/// A hunt at work.
#[derive(Debug)]
pub struct Hunting {
    hunt: Hunt,
    /// When a hunt that rests goes on.
    rests_until: Option<Instant>,
    sightings: mpsc::Sender<Sighting>,
    /// How many finds are no news.
    told: usize,
    /// At these addresses a scan, which tells of them itself, found somebody.
    scanned: Vec<MeterAddress>,
    /// Whether there is something to tell for which there was no room.
    untold: Option<Sighting>,
}

impl Hunting {
    /// One that goes on where `saved` ended; `sightings` are told how far it is after each step.
    #[must_use]
    pub fn new(bus: &Bus, saved: &Saved, sightings: mpsc::Sender<Sighting>) -> Self {
        let hunt = Hunt::new(timings(bus, None), saved);
        let told = hunt.finds().len();
        Self { hunt, rests_until: None, sightings, told, scanned: Vec::new(), untold: None }
    }

    /// The line is open, after it was lost or not yet there.
    pub(super) fn line_is_open(&mut self, bus: &Bus, session: &Session) {
        self.hunt.again(timings(bus, Some(session)));
        self.rests_until = None;
    }

    /// Whether nothing is left to do, or there is nothing to do before [`rests_until`](Self::rests_until).
    pub(super) fn is_over(&self) -> bool {
        self.hunt.is_over() && self.rests_until.is_none_or(|until| until > Instant::now())
    }

    /// When it has something to do again.
    pub(super) const fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// The next step.
    pub(super) async fn step(&mut self, session: &mut Session, bus: &Bus) -> Result<(), LineError> {
        if self.rests_until.take_if(|until| *until <= Instant::now()).is_some() {
            self.hunt.go_on();
        }
        let Some(baud) = self.hunt.baud() else { return Ok(()) };
        match session.converse(Character { baud, ..character(bus, None) }, &mut self.hunt).await {
            Err(why @ LineError::Unsupported(_)) => {
                tracing::info!(bus = bus.name, "no meter is looked for at {baud} baud: {why}");
                self.hunt.skip_rate();
            }
            stepped => stepped?,
        }
        if self.hunt.rests() && self.rests_until.is_none() {
            self.rests_until = Some(Instant::now() + RESTS_FOR);
        }
        self.see(bus, false);
        Ok(())
    }

    /// Whom it has found since this was asked last.
    pub(super) fn news(&mut self) -> Vec<Find> {
        let finds = self.hunt.finds();
        let new = finds.get(self.told..).unwrap_or_default().iter();
        let new = new.filter(|find| !self.scanned.contains(&find.address)).cloned().collect();
        self.told = finds.len();
        new
    }

    /// Takes what a scan found; `over`: that was all.
    pub(super) fn consider(&mut self, found: &[Found], bus: &Bus, over: bool) {
        self.scanned.extend(found.iter().filter_map(|found| match found {
            Found::Meter { address, .. } => Some(*address),
            Found::Collision(_) => None,
        }));
        self.hunt.consider(found, bus.baud, bus.discover);
        if over {
            self.see(bus, true);
        }
    }

    /// Tells what there was no room for: nothing here waits for whoever listens.
    pub(super) fn tell(&mut self) {
        let Some(sighting) = self.untold.take() else { return };
        if let Err(mpsc::error::TrySendError::Full(sighting)) = self.sightings.try_send(sighting) {
            self.untold = Some(sighting);
        }
    }

    /// How far it is, while it goes on.
    pub(super) fn progress(&self) -> Option<Progress> {
        Some(self.hunt.progress()).filter(|progress| progress.stage.is_some() && !self.hunt.rests())
    }

    fn see(&mut self, bus: &Bus, scanned: bool) {
        let scanned = scanned || self.untold.as_ref().is_some_and(|untold| untold.scanned);
        self.untold = Some(Sighting {
            bus: bus.name.clone(),
            saved: self.hunt.saved(),
            progress: self.hunt.progress(),
            troubles: self.hunt.troubles().collect(),
            scanned,
        });
        self.tell();
    }
}

/// Every rate that the line can do, the bus's own first, then the likely ones.
pub(crate) fn rates(bus: &Bus) -> Vec<Baud> {
    let most = match (&bus.port, bus.hat) {
        // whatever is behind a gateway has the rate that it was set to
        (Port::Tcp { .. }, _) => 0,
        (_, Some(_)) => HAT_RATE,
        _ => u32::MAX,
    };
    let others = LIKELY.into_iter().filter(|rate| *rate <= most).filter_map(Baud::new).filter(|rate| *rate != bus.baud);
    std::iter::once(bus.baud).chain(others).collect()
}

/// What a hunt must know of the line, which may not be open yet.
pub(crate) fn timings(bus: &Bus, session: Option<&Session>) -> Vec<LineTiming> {
    let timing = |baud| {
        let response_timeout = response_timeout(bus, None, baud);
        match session {
            Some(session) => session.timing(baud, response_timeout, 0),
            None => LineTiming { response_timeout, retries: 0, ..LineTiming::new(baud) },
        }
    };
    rates(bus).into_iter().map(timing).collect()
}

#[cfg(test)]
mod tests;
