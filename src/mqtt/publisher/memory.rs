//! What the publisher knows of one meter.
//!
//! Not here: what Home Assistant knows of it (`homeassistant::announcements`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::super::presence::Presence;
use crate::config::{Config, Expose, Meter};
use crate::mbus::application::quantity::Unit;
use crate::measure::Reading;
use crate::measure::normalise::MeterRules;
use crate::measure::total::Totals;
use crate::spool::memo::MeterKey;
use crate::spool::{Memo, Spool};
use crate::status::Newest;

/// One configured meter.
#[derive(Debug)]
pub(super) struct MeterMemory {
    /// As configured.
    pub(super) meter: Meter,
    pub(super) presence: Presence,
    pub(super) totals: Totals,
    /// The unit in which each key was first published.
    pub(super) units: BTreeMap<String, Unit>,
    /// A reading with a total that cannot be, after which the meter is read again.
    pub(super) doubtful: Option<Reading>,
    /// When it is read once more for the sake of a total that is held.
    pub(super) confirm_at: Option<Instant>,
    /// What was published last.
    pub(super) newest: Option<Arc<Newest>>,
    /// Whether it was read well since the start, which is logged once.
    pub(super) was_read: bool,
}

impl MeterMemory {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            meter: meter.clone(),
            presence: Presence::new(meter.offline_after),
            totals: Totals::default(),
            units: BTreeMap::new(),
            doubtful: None,
            confirm_at: None,
            newest: None,
            was_read: false,
        }
    }

    /// Another configuration of the same meter.
    pub(super) fn reconfigure(&mut self, meter: &Meter) {
        self.presence.tolerate(meter.offline_after);
        self.meter = meter.clone();
    }

    pub(super) fn described<'a>(&'a self, config: &'a Config) -> MeterRules<'a> {
        MeterRules {
            name: &self.meter.name,
            rules: &self.meter.records,
            profile: self.meter.profile.as_deref(),
            profiles: &config.profiles,
            plausible: self.meter.plausible,
            only: match &self.meter.expose {
                Expose::Sensible => None,
                Expose::Keys(keys) => Some(keys),
            },
            units: &self.units,
        }
    }

    /// Another meter answers, or by other rules: its keys may mean something else now.
    pub(super) fn forget_values(&mut self, spool: &mut Spool, now: Instant) {
        for key in self.totals.forget() {
            let name = MeterKey { meter: &self.meter.name, key: &key }.to_string();
            spool.remember(Memo::Rises, &name, "", now);
        }
        self.doubtful = None;
        self.confirm_at = None;
    }

    /// Keeps the values of a reading that is published.
    pub(super) fn believe(&mut self, reading: &Reading, spool: &mut Spool, now: Instant) {
        for (key, rises) in self.totals.believe(reading, now) {
            let name = MeterKey { meter: &self.meter.name, key: &key }.to_string();
            spool.remember(Memo::Rises, &name, &rises.to_string(), now);
        }
        for measurement in &reading.measurements {
            let key = &measurement.key;
            if !self.units.contains_key(key) {
                self.units.insert(key.clone(), measurement.unit);
                let name = MeterKey { meter: &self.meter.name, key }.to_string();
                spool.remember(Memo::Unit, &name, measurement.unit.name(), now);
            }
        }
    }
}
