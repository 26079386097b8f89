//! What the publisher knows of one meter.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::presence::Presence;
use crate::config::{Config, Expose, Meter};
use crate::mbus::decimal::Decimal;
use crate::mbus::quantity::Unit;
use crate::measure::{Measurement, Reading, normalise};
use crate::spool::{Memo, Spool};

/// One configured meter.
#[derive(Debug)]
pub(super) struct Known {
    /// As configured.
    pub(super) meter: Meter,
    pub(super) presence: Presence,
    /// Believed values, by key.
    pub(super) last: BTreeMap<String, Decimal>,
    /// The unit in which each key was first published.
    pub(super) units: BTreeMap<String, Unit>,
    /// Everything it was seen to measure.
    pub(super) seen: Vec<Measurement>,
    /// A reading with a total too low, after which the meter is read again.
    pub(super) doubtful: Option<Reading>,
    /// Another meter answered under this name before.
    pub(super) replaces_another: bool,
    /// Topic of its announcement.
    pub(super) announced: Option<String>,
    /// Components of earlier announcements there: those that are gone must be named to be removed.
    pub(super) had: BTreeMap<String, String>,
    /// Its announcements on the broker of which the store knows nothing: components by topic.
    pub(super) found: BTreeMap<String, BTreeMap<String, String>>,
}

impl Known {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            meter: meter.clone(),
            presence: Presence::new(meter.offline_after),
            last: BTreeMap::new(),
            units: BTreeMap::new(),
            seen: Vec::new(),
            doubtful: None,
            replaces_another: false,
            announced: None,
            had: BTreeMap::new(),
            found: BTreeMap::new(),
        }
    }

    /// Another configuration of the same meter: what it was seen to measure may have other names now.
    pub(super) fn reconfigure(&mut self, meter: &Meter) {
        let same = self.meter.records == meter.records
            && self.meter.expose == meter.expose
            && self.meter.profile == meter.profile;
        if !same {
            self.seen.clear();
            self.last.clear();
        }
        self.presence.tolerate(meter.offline_after);
        self.meter = meter.clone();
    }

    pub(super) fn described<'a>(&'a self, config: &'a Config) -> normalise::Meter<'a> {
        normalise::Meter {
            name: &self.meter.name,
            key: self.meter.key.as_ref().map(|key| &key.0),
            rules: &self.meter.records,
            profile: self.meter.profile.as_deref(),
            profiles: &config.profiles,
            only: match &self.meter.expose {
                Expose::Sensible => None,
                Expose::Keys(keys) => Some(keys),
            },
            units: &self.units,
        }
    }

    /// Keeps what is measured, and the first unit of each key.
    pub(super) fn see(&mut self, measurement: &Measurement, spool: &mut Spool, now: Instant) {
        match self.seen.iter_mut().find(|seen| seen.key == measurement.key) {
            Some(seen) => seen.clone_from(measurement),
            None => self.seen.push(measurement.clone()),
        }
        if !self.units.contains_key(&measurement.key) {
            self.units.insert(measurement.key.clone(), measurement.unit);
            let name = format!("{}/{}", self.meter.name, measurement.key);
            spool.remember(Memo::Unit, &name, measurement.unit.name(), now);
        }
    }
}
