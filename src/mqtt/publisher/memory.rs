//! What the publisher knows of one meter.
//!
//! Not here: what Home Assistant knows of it (`homeassistant::announcements`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::super::presence::Presence;
use crate::config::{Config, Meter};
use crate::mbus::application::quantity::Unit;
use crate::mbus::decimal::Decimal;
use crate::measure::normalise::MeterRules;
use crate::measure::{Measured, Reading};
use crate::spool::memo::MeterKey;
use crate::spool::{Memo, Spool};
use crate::status::Newest;

/// One configured meter.
#[derive(Debug)]
pub(super) struct MeterMemory {
    /// As configured.
    pub(super) meter: Meter,
    pub(super) presence: Presence,
    /// Believed values, by key.
    pub(super) last: BTreeMap<String, Decimal>,
    /// The unit in which each key was first published.
    pub(super) units: BTreeMap<String, Unit>,
    /// A reading with a total too low, after which the meter is read again.
    pub(super) doubtful: Option<Reading>,
    /// What was published last.
    pub(super) newest: Option<Arc<Newest>>,
    /// Whether it was read well since the start, which is logged once.
    pub(super) was_read: bool,
    /// The most values without a name that were logged.
    pub(super) unnamed: usize,
}

impl MeterMemory {
    pub(super) fn new(meter: &Meter) -> Self {
        Self {
            meter: meter.clone(),
            presence: Presence::new(meter.offline_after),
            last: BTreeMap::new(),
            units: BTreeMap::new(),
            doubtful: None,
            newest: None,
            was_read: false,
            unnamed: 0,
        }
    }

    /// Another configuration of the same meter.
    pub(super) fn reconfigure(&mut self, meter: &Meter) {
        self.presence.tolerate(meter.offline_after);
        self.meter = meter.clone();
    }

    pub(super) fn described<'a>(&'a self, config: &'a Config) -> MeterRules<'a> {
        self.meter.rules(&config.profiles, &self.units)
    }

    /// Another meter answers, or by other rules: its keys may mean something else now.
    pub(super) fn forget_values(&mut self) {
        self.last.clear();
        self.doubtful = None;
        self.unnamed = 0;
    }

    /// Keeps the values of a reading that is published.
    pub(super) fn believe(&mut self, reading: &Reading, spool: &mut Spool, now: Instant) {
        for measurement in &reading.measurements {
            let key = &measurement.key;
            if let Measured::Number(number) = measurement.value {
                self.last.insert(key.clone(), number);
            }
            if !self.units.contains_key(key) {
                self.units.insert(key.clone(), measurement.unit);
                let name = MeterKey { meter: &self.meter.name, key }.to_string();
                spool.remember(Memo::Unit, &name, measurement.unit.name(), now);
            }
        }
    }
}
