//! Who answered when the agent read its meters, as its store remembers it.
//!
//! Not here: who a search found (`kept`).

use std::collections::BTreeMap;

use super::find::Find;
use crate::config::{Config, Meter};
use crate::mbus::address::{MeterAddress, SecondaryAddress};
use crate::mbus::link::frame::Frame;
use crate::spool::{Memo, memo, peek};

/// What the store says, by meter.
pub(super) struct Remembered {
    identities: BTreeMap<String, String>,
    telegrams: BTreeMap<String, String>,
}

impl Remembered {
    /// A store that is not there yet, or not ours to read, remembers nothing.
    pub(super) fn of(config: &Config) -> Self {
        let read = |what| peek(&config.store.directory, what).unwrap_or_default();
        Self { identities: read(Memo::Identity), telegrams: read(Memo::Telegrams) }
    }

    /// The meters of a bus that were read, the user's first: those say for sure who is at their address.
    pub(super) fn finds(&self, config: &Config, bus: usize) -> Vec<Find> {
        let (adopted, users): (Vec<_>, Vec<_>) = config
            .all_meters()
            .map(|(meter, _)| meter)
            .filter(|meter| meter.bus == bus)
            .partition(|meter| config.adopted.names.contains(&meter.name));
        users.into_iter().chain(adopted).filter_map(|meter| self.find(config, meter)).collect()
    }

    fn find(&self, config: &Config, meter: &Meter) -> Option<Find> {
        let bus = config.buses.get(meter.bus)?;
        let identity = self.identity(meter, &bus.name)?;
        let primary = match meter.address {
            MeterAddress::Primary(address) => Some(address.get()),
            MeterAddress::Secondary(_) => self.primary(&meter.name),
        };
        Some(Find { identity: Some(identity), primary, ..Find::known(meter.address, meter.baud.unwrap_or(bus.baud)) })
    }

    /// Who answered at this very place.
    fn identity(&self, meter: &Meter, bus: &str) -> Option<SecondaryAddress> {
        let known = memo::Identity::parse(self.identities.get(&meter.name)?)?;
        let is_here = known.place == format!("{bus}/{}", meter.address);
        Some(known.address).filter(|identity| is_here && !identity.has_wildcard() && !identity.is_anonymous())
    }

    /// The primary address in its last telegram.
    fn primary(&self, meter: &str) -> Option<u8> {
        let telegrams = memo::Telegrams::parse(self.telegrams.get(meter)?)?;
        match Frame::parse(telegrams.frames.first()?) {
            Ok(Frame::Long { a, .. }) => Some(a).filter(|a| *a <= 250),
            _ => None,
        }
    }
}
