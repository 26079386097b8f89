//! What the publisher knows of one meter.
//!
//! Not here: what Home Assistant knows of it (`homeassistant::announcements`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::super::presence::Presence;
use super::transition::Transition;
use crate::config::{Config, Meter};
use crate::homeassistant::class;
use crate::mbus::address::{MeterAddress, SecondaryAddress};
use crate::mbus::application::quantity::Unit;
use crate::measure::normalise::MeterRules;
use crate::measure::total::Totals;
use crate::measure::{Reading, plain_text};
use crate::spool::memo::{MeterKey, Names};
use crate::spool::{Memo, Spool};
use crate::status::Newest;

/// Keys of one meter, at most: sixteen long telegrams have half as many records.
pub(super) const MOST_KEYS: usize = 2000;

/// Another meter answers than the one that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surprise {
    ReadAgain,
    /// And another one each time.
    Unbelievable,
}

/// One configured meter.
#[derive(Debug)]
pub(super) struct MeterMemory {
    /// As configured.
    pub(super) meter: Meter,
    /// Whether it is read; else it keeps its device, which is unavailable.
    pub(super) enabled: bool,
    pub(super) presence: Presence,
    pub(super) totals: Totals,
    /// The unit in which each key was first published.
    pub(super) units: BTreeMap<String, Unit>,
    /// Those that its plain texts gave.
    pub(super) names: Names,
    /// Whether it was said that these are too many.
    names_are_said: bool,
    /// And that its keys are.
    keys_are_said: bool,
    /// The identity of another meter that has answered once, and the slot that was for.
    stranger: Option<(SecondaryAddress, Option<SystemTime>)>,
    /// A reading with a total that cannot be, after which the meter is read again.
    pub(super) doubtful: Option<Reading>,
    /// When it is read once more for the sake of a total that is held.
    pub(super) confirm_at: Option<Instant>,
    /// It is announced with another meaning of its values.
    pub(super) transition: Option<Transition>,
    /// Since when a device sees its values that may be another agent's.
    pub(super) contested_since: Option<Instant>,
    /// What was published last.
    pub(super) newest: Option<Arc<Newest>>,
    /// The whole frames of its last good readout, and why the last one of all was not good.
    pub(super) telegrams: Arc<Vec<Vec<u8>>>,
    pub(super) error: Option<String>,
    /// Whether it was read well since the start, which is logged once.
    pub(super) was_read: bool,
    /// The most values without a name that were logged.
    pub(super) unnamed: usize,
    /// Classes of rules that do not fit what is read, as they were logged, by key.
    unfit: BTreeMap<String, Vec<String>>,
}

impl MeterMemory {
    pub(super) fn new(meter: &Meter, enabled: bool) -> Self {
        Self {
            meter: meter.clone(),
            enabled,
            presence: Presence::new(meter.offline_after),
            totals: Totals::default(),
            units: BTreeMap::new(),
            names: Names::default(),
            names_are_said: false,
            keys_are_said: false,
            stranger: None,
            doubtful: None,
            confirm_at: None,
            transition: None,
            contested_since: None,
            newest: None,
            telegrams: Arc::default(),
            error: None,
            was_read: false,
            unnamed: 0,
            unfit: BTreeMap::new(),
        }
    }

    /// Whether it is configured there.
    pub(super) fn is_at(&self, (bus, address): (usize, MeterAddress)) -> bool {
        self.meter.bus == bus && self.meter.address == address
    }

    /// As it was before another configuration takes it over: enough to understand a readout of it.
    pub(super) fn before(&self) -> Self {
        Self { units: self.units.clone(), ..Self::new(&self.meter, self.enabled) }
    }

    /// What to do with a reading that seems to be another meter's for the first time. One telegram of many has
    /// two damaged bits that its checksum does not show, so an identity is believed the second time in a row.
    pub(super) fn surprise(&mut self, reading: &mut Reading, known: Option<SecondaryAddress>) -> Option<Surprise> {
        let other = reading.device.identity.filter(|identity| known.is_some_and(|known| known != *identity));
        let before = self.stranger.take();
        reading.due_at = reading.due_at.or(before.and_then(|(_, due_at)| due_at));
        match (other?, before) {
            (other, None) => {
                self.stranger = Some((other, reading.due_at));
                Some(Surprise::ReadAgain)
            }
            (other, Some((before, _))) => (other != before).then_some(Surprise::Unbelievable),
        }
    }

    /// Another configuration of the same meter.
    pub(super) fn reconfigure(&mut self, meter: &Meter, enabled: bool) {
        if self.enabled == enabled {
            self.presence.tolerate(meter.offline_after);
        } else {
            (self.enabled, self.presence) = (enabled, Presence::new(meter.offline_after));
            (self.doubtful, self.confirm_at) = (None, None);
        }
        self.meter = meter.clone();
    }

    pub(super) fn described<'a>(&'a self, config: &'a Config) -> MeterRules<'a> {
        self.meter.rules(&config.profiles, &self.units)
    }

    /// Another meter answers, or by other rules: its keys may mean something else now.
    pub(super) fn forget_values(&mut self, spool: &mut Spool, now: Instant) {
        for key in self.totals.forget() {
            let name = MeterKey { meter: &self.meter.name, key: &key }.to_string();
            spool.remember(Memo::Rises, &name, "", now);
        }
        self.doubtful = None;
        self.confirm_at = None;
        self.unnamed = 0;
    }

    /// Whether this is the meter that has answered once although another one is known.
    pub(super) fn is_stranger(&self, identity: SecondaryAddress) -> bool {
        self.stranger.is_some_and(|(stranger, _)| stranger == identity)
    }

    /// Another meter answers, which has units of its own.
    pub(super) fn forget_units(&mut self, spool: &mut Spool, now: Instant) {
        for key in std::mem::take(&mut self.units).into_keys() {
            let name = MeterKey { meter: &self.meter.name, key: &key }.to_string();
            spool.remember(Memo::Unit, &name, "", now);
        }
    }

    /// Another meter answers, which has names of its own.
    pub(super) fn forget_names(&mut self, spool: &mut Spool, now: Instant) {
        (self.names, self.names_are_said) = (Names::default(), false);
        spool.remember(Memo::Names, &self.meter.name, "", now);
    }

    /// Leaves out of a reading what would make too many names, and says so once.
    pub(super) fn limit_names(&mut self, reading: &mut Reading) {
        let left_out = plain_text::limit(reading, &self.names.0);
        if left_out > 0 && !std::mem::replace(&mut self.names_are_said, true) {
            tracing::warn!(
                meter = self.meter.name,
                "has more than {} names of its own (plain texts) by now: {left_out} values are left out",
                plain_text::MOST_NAMES
            );
        }
    }

    /// Leaves out of a reading what would make too many keys, and says so once: all of them are remembered.
    pub(super) fn limit_keys(&mut self, reading: &mut Reading) {
        let room = MOST_KEYS.saturating_sub(self.units.len());
        let left_out = reading.leave_out_new(room, |measurement| !self.units.contains_key(&measurement.key));
        if left_out > 0 && !std::mem::replace(&mut self.keys_are_said, true) {
            tracing::warn!(
                meter = self.meter.name,
                "has sent more than {MOST_KEYS} different values by now: {left_out} new ones are left out"
            );
        }
    }

    /// Says once of each key which classes of its rule Home Assistant would not take for what is read.
    pub(super) fn say_unfit_classes(&mut self, reading: &Reading) {
        let medium = reading.device.identity.map(SecondaryAddress::medium);
        for measurement in &reading.measurements {
            let unfit = class::unfit(measurement, medium);
            if unfit.is_empty() || self.unfit.get(&measurement.key) == Some(&unfit) {
                continue;
            }
            for what in &unfit {
                tracing::warn!(meter = self.meter.name, key = measurement.key, "the rule's {what}");
            }
            self.unfit.insert(measurement.key.clone(), unfit);
        }
    }

    /// Keeps the values of a reading that is published.
    pub(super) fn believe(&mut self, reading: &Reading, spool: &mut Spool, now: Instant) {
        let known = self.names.0.len();
        self.names.0.extend(plain_text::names(reading).map(str::to_owned));
        if self.names.0.len() > known {
            spool.remember(Memo::Names, &self.meter.name, &self.names.to_string(), now);
        }
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
