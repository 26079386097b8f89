//! What the publisher knows of one meter.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::super::presence::Presence;
use crate::config::{Config, Expose, Meter};
use crate::homeassistant::discovery::Announced;
use crate::mbus::application::quantity::Unit;
use crate::mbus::decimal::Decimal;
use crate::measure::{Measured, Measurement, Reading, normalise};
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
    /// Everything it was seen to measure since the start, or since its rules changed.
    pub(super) seen: Vec<Measurement>,
    /// A reading with a total too low, after which the meter is read again.
    pub(super) doubtful: Option<Reading>,
    /// Another meter answered under this name before.
    pub(super) replaces_another: bool,
    /// Whether it was read since the start, with whatever outcome.
    pub(super) tried: bool,
    /// Topic of its announcement.
    pub(super) announced: Option<String>,
    /// Components announced there so far: one that is gone must be named to be removed.
    pub(super) before: BTreeMap<String, String>,
    /// In how many good readouts in a row each component was missing.
    missed: BTreeMap<String, u8>,
    /// What it was announced with belongs to other rules: what is missing now is missing for good.
    other_rules: bool,
    /// Announcements under its name on the broker that are not, or perhaps not, the one of now, by topic.
    pub(super) found: BTreeMap<String, Announced>,
}

/// A component that was missing in so many good readouts in a row is gone. Fewer mean nothing: some
/// meters send their records by turns, and in a fault leave some out. At the usual quarter of an
/// hour it is five hours.
pub(super) const MISSES: u8 = 20;

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
            tried: false,
            announced: None,
            before: BTreeMap::new(),
            missed: BTreeMap::new(),
            other_rules: false,
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
            self.other_rules = true;
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

    /// Another meter has its place: nothing of the former one holds.
    pub(super) fn replace(&mut self) {
        self.replaces_another = true;
        self.last.clear();
        self.seen.clear();
        self.leave();
        self.doubtful = None;
    }

    /// Takes over what was announced on `topic` before this start, under rules with this mark.
    pub(super) fn resume(&mut self, topic: &str, announced: Announced, same_rules: bool) {
        self.announced = Some(topic.to_owned());
        self.before = announced.components;
        self.other_rules = !same_rules;
    }

    /// An announcement with another meter's number under this name: that meter was replaced while
    /// nobody looked. Whether that is news.
    pub(super) fn learn_from_found(&mut self) -> bool {
        let own = self.presence.identity().map(|identity| format!("{:08X}", identity.id()));
        let other = self.found.values().any(|found| found.serial.is_some() && found.serial != own);
        other && !std::mem::replace(&mut self.replaces_another, true)
    }

    /// For the next start: who answers, and whether it was another one before.
    pub(super) fn remember_identity(&self, spool: &mut Spool, now: Instant) {
        let Some(identity) = self.presence.identity() else { return };
        let mark = if self.replaces_another { " replaced" } else { "" };
        spool.remember(Memo::Identity, &self.meter.name, &format!("{identity}{mark}"), now);
    }

    /// What it was announced as is one of those to be taken back, unless it comes to the same topic again.
    fn leave(&mut self) {
        let components = std::mem::take(&mut self.before);
        if let Some(topic) = self.announced.take() {
            self.found.insert(topic, Announced { state_topic: None, serial: None, components });
        }
        self.missed.clear();
    }

    /// It is announced on `topic` from now on: its other announcements are to be taken back.
    pub(super) fn move_to(&mut self, topic: &str) -> BTreeMap<String, Announced> {
        if self.announced.as_deref().is_some_and(|old| old != topic) {
            self.leave();
        }
        self.announced = Some(topic.to_owned());
        if let Some(same) = self.found.remove(topic) {
            same.components.into_iter().for_each(|(id, component)| _ = self.before.entry(id).or_insert(component));
        }
        std::mem::take(&mut self.found)
    }

    /// Whether a component that the last readouts did not give stays announced. One with a hyphen is
    /// no measurement.
    pub(super) fn keeps(&self, component: &str) -> bool {
        let missed = self.missed.get(component).is_some_and(|&missed| missed >= MISSES);
        !self.other_rules && !missed && !component.contains('-')
    }

    /// It is announced with these components.
    pub(super) fn told(&mut self, components: BTreeMap<String, String>) {
        for id in self.before.keys().filter(|id| !components.contains_key(*id)) {
            self.missed.insert(id.clone(), MISSES);
        }
        self.before.extend(components);
        self.other_rules = false;
    }

    /// Keeps what is measured, and counts what is missing.
    pub(super) fn see_all(&mut self, measurements: &[Measurement], spool: &mut Spool, now: Instant) {
        let there: BTreeSet<&str> = measurements.iter().map(|measurement| measurement.key.as_str()).collect();
        for key in self.seen.iter().map(|seen| &seen.key).chain(self.before.keys()) {
            if !there.contains(key.as_str()) && !self.missed.contains_key(key) {
                self.missed.insert(key.clone(), 0);
            }
        }
        self.missed.retain(|key, _| !there.contains(key.as_str()));
        self.missed.values_mut().for_each(|missed| *missed = missed.saturating_add(1));
        self.seen.retain(|seen| self.missed.get(&seen.key).is_none_or(|&missed| missed < MISSES));
        measurements.iter().for_each(|measurement| self.see(measurement, spool, now));
    }

    /// What decides how it is shown must not go to and fro with its value: a valid one tells more
    /// than an invalid one, a negative one more than a positive one, fine steps more than coarse ones.
    fn see(&mut self, measurement: &Measurement, spool: &mut Spool, now: Instant) {
        match self.seen.iter_mut().find(|seen| seen.key == measurement.key) {
            Some(seen) => {
                let keeps = measurement.value == Measured::Invalid || is_negative(&seen.value);
                let value = if keeps { seen.value.clone() } else { measurement.value.clone() };
                *seen = Measurement { value, digits: seen.digits.max(measurement.digits), ..measurement.clone() };
            }
            None => self.seen.push(measurement.clone()),
        }
        if !self.units.contains_key(&measurement.key) {
            self.units.insert(measurement.key.clone(), measurement.unit);
            let name = format!("{}/{}", self.meter.name, measurement.key);
            spool.remember(Memo::Unit, &name, measurement.unit.name(), now);
        }
    }
}

fn is_negative(value: &Measured) -> bool {
    matches!(value, Measured::Number(number) if number.mantissa() < 0)
}

/// A mark of everything in the configuration that decides which keys a meter's records get.
pub(super) fn rules_mark(meter: &Meter, config: &Config) -> String {
    let mut hasher = DefaultHasher::new();
    format!("{:?}", (&meter.records, &meter.expose, &meter.profile, &config.profiles)).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
