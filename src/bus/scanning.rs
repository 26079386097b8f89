//! A search for meters that goes on between the readouts of a running bus, one probe at a time.
//!
//! Not here: what to probe next (`mbus::master::search`), when a readout is due (`task`).

use super::heartbeat::{Promise, Watched};
use super::line::LineError;
use super::session::{Session, character};
use crate::config::Bus;
use crate::mbus::address::{PrimaryAddress, SecondaryAddress};
use crate::mbus::master::exchange::LineTiming;
use crate::mbus::master::search::{Finding, Search};

/// Which meters are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// At every primary address.
    Primary,
    /// By secondary address, among those that the mask matches.
    Secondary(SecondaryAddress),
}

/// A search at work.
#[derive(Debug)]
pub(super) struct Scanning {
    search: Search,
    found: Vec<Finding>,
}

impl Scanning {
    /// `None` never happens but where 0 and 250 are no addresses.
    pub(super) fn new(scan: Scan) -> Option<Self> {
        let search = match scan {
            Scan::Primary => Search::primary(PrimaryAddress::new(0)?, PrimaryAddress::new(250)?),
            Scan::Secondary(mask) => Search::secondary(vec![mask]),
        };
        Some(Self { search, found: Vec::new() })
    }

    /// The next probe, at the rate of the bus; `false` where there is none left.
    pub(super) async fn probe(
        &mut self,
        session: &mut Session,
        bus: &Bus,
        promise: &Promise,
    ) -> Result<bool, LineError> {
        let response_timeout = bus.response_timeout.unwrap_or(bus.baud.response_timeout());
        let timing = LineTiming { baud: bus.baud, response_timeout, latency: session.latency(), retries: 0 };
        let Some(probe) = self.search.next_probe(timing) else { return Ok(false) };
        let mut probe = Watched { conversation: probe, promise };
        let probed = session.converse(character(bus, None), &mut probe).await?;
        self.found.extend(self.search.take(probed));
        Ok(true)
    }

    /// What it found.
    pub(super) fn found(self) -> Vec<Finding> {
        self.found
    }
}
