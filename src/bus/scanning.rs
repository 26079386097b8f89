//! A search for meters that goes on between the readouts of a running bus, one probe at a time.
//!
//! Not here: what to probe next (`mbus::master::search`), when a readout is due (`task`).

use super::health::ScanProgress;
use super::line::LineError;
use super::session::{Session, character, response_timeout};
use crate::config::Bus;
use crate::mbus::address::PrimaryAddress;
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::reply::{ExchangeError, FIND_THE_NOISE};
use crate::mbus::master::search::{Found, Progress, Search};
use crate::request::Scan;

/// A search at work.
#[derive(Debug)]
pub(super) struct Scanning {
    search: Search,
    timing: LineTiming,
    found: Vec<Found>,
    /// How many of them were there before the last probe.
    before: usize,
    /// That the line cannot have the characters of the bus, or those that wake its meters.
    unsupported: Option<String>,
}

impl Scanning {
    /// `None` never happens unless 0 and 250 are not addresses.
    pub(super) fn new(scan: Scan, bus: &Bus, session: &Session) -> Option<Self> {
        let timing = session.timing(bus.baud, response_timeout(bus, None, bus.baud), 0);
        let search = match scan {
            Scan::Primary => Search::primary(PrimaryAddress::new(0)?, PrimaryAddress::new(250)?, timing),
            Scan::Secondary(mask) => Search::secondary(vec![mask], timing),
        };
        Some(Self { search, timing, found: Vec::new(), before: 0, unsupported: None })
    }

    /// The next probe, at the rate of the bus; `false` where it was the last.
    pub(super) async fn probe(&mut self, session: &mut Session, bus: &Bus) -> Result<bool, LineError> {
        match self.try_probe(session, bus).await {
            Err(error @ LineError::Unsupported(_)) => {
                self.unsupported = Some(error.to_string());
                Ok(false)
            }
            other => other,
        }
    }

    async fn try_probe(&mut self, session: &mut Session, bus: &Bus) -> Result<bool, LineError> {
        session.wake(character(bus, None), bus.wake_up).await?;
        let new = session.converse(character(bus, None), &mut self.search).await?;
        self.found.retain(|earlier| !new.iter().any(|new| new.was_hidden_by(earlier)));
        self.before = self.found.len();
        self.found.extend(new);
        Ok(!self.search.is_over())
    }

    /// How far it is.
    pub(super) fn progress(&self) -> ScanProgress {
        let progress @ Progress { done, left, .. } = self.search.progress();
        let percent = done.saturating_mul(100) / done.saturating_add(left).max(1);
        ScanProgress { percent, left: progress.time_left(self.timing), found: self.found.len() }
    }

    /// What the last probe found.
    pub(super) fn new_found(&self) -> &[Found] {
        self.found.get(self.before..).unwrap_or_default()
    }

    /// What it found so far.
    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// Why nothing could be asked to the end.
    pub(super) fn fault(&self) -> Option<String> {
        let noise =
            || self.search.was_never_quiet().then(|| format!("{}: {FIND_THE_NOISE}", ExchangeError::NeverQuiet));
        self.unsupported.clone().or_else(noise)
    }
}
