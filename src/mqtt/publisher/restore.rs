//! What is published without a readout: from the store at a start, from another configuration at a
//! reload.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::outbox::Class;
use super::super::payload::{self, OFFLINE, ONLINE};
use super::super::topic::Topics;
use super::Publisher;
use super::announce::AGENT;
use super::known::{self, Known};
use crate::config::Config;
use crate::homeassistant::discovery::{self, Announced};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::Unit;
use crate::spool::Memo;

impl Publisher {
    /// Sets every document that is known without a readout.
    pub(super) fn restore(&mut self) {
        self.outbox.set(Class::BridgeState, &self.topics.bridge_state(), ONLINE.into(), true);
        self.announcer = self.new_announcer();
        self.restore_states();
        self.restore_announcements();
        self.announce_agent();
        for known in self.meters.values() {
            let payload = if known.presence.is_online() { ONLINE } else { OFFLINE };
            let topic = self.topics.availability(&known.meter.name);
            self.outbox.set(Class::Availability, &topic, payload.into(), true);
        }
    }

    /// A state from the store counts as present for one interval, so that a restart is no outage.
    fn restore_states(&mut self) {
        for (name, state) in self.spool.remembered(Memo::State) {
            let Some(known) = self.meters.get_mut(name) else { continue };
            known.last = payload::numbers_of_state(state.as_bytes()).unwrap_or_default();
            if last_good(state).is_some_and(|at| is_recent(at, known.meter.interval)) {
                known.presence.restore();
            }
            self.outbox.set(Class::State, &self.topics.state(name), state.into(), self.config.mqtt.retain_state);
        }
        for (name, unit) in self.spool.remembered(Memo::Unit) {
            let Some((meter, key)) = name.split_once('/') else { continue };
            if let (Some(known), Some(unit)) = (self.meters.get_mut(meter), Unit::from_name(unit)) {
                known.units.insert(key.to_owned(), unit);
            }
        }
        for (name, identity) in self.spool.remembered(Memo::Identity) {
            let Some(known) = self.meters.get_mut(name) else { continue };
            let (identity, replaced) = identity.split_once(' ').map_or((identity, false), |(id, _)| (id, true));
            known.replaces_another = replaced;
            if let Ok(identity) = SecondaryAddress::parse(identity) {
                known.presence.recognise(identity);
            }
        }
    }

    /// Announces what the store knows; takes back what is no longer configured.
    fn restore_announcements(&mut self) {
        for (name, text) in self.spool.remembered(Memo::Announcement) {
            let Some((topic, rules, payload)) = announcement(text) else { continue };
            let announced = self.announcer.as_ref().and_then(|a| a.recognise(payload.as_bytes()));
            match (announced, self.meters.get_mut(name)) {
                (Some(announced), Some(known)) => {
                    let payload = discovery::retitled(payload, name, known.meter.title.as_deref());
                    self.outbox.set(Class::Announcement, topic, payload.into(), true);
                    known.resume(topic, announced, rules == known::rules_mark(&known.meter, &self.config));
                }
                (Some(announced), None) if name == AGENT => self.agent_before = announced.components,
                (Some(announced), None) => _ = self.held.insert(topic.to_owned(), announced),
                (None, _) => self.outbox.set(Class::Announcement, topic, Vec::new(), true),
            }
        }
        self.held.retain(|topic, _| !self.meters.values().any(|known| known.announced.as_ref() == Some(topic)));
        self.release_held();
        let remembered = self.spool.remembered(Memo::State).chain(self.spool.remembered(Memo::Announcement));
        let names = remembered.map(|(name, _)| name).filter(|name| *name != AGENT);
        let gone: BTreeSet<String> = names.filter(|name| !self.meters.contains_key(*name)).map(str::to_owned).collect();
        gone.iter().for_each(|name| self.take_back(name));
    }

    /// Takes another configuration over. Its topics are followed by
    /// [`follow_base_topic`](Self::follow_base_topic), once the old connection is closed.
    pub(in super::super) fn reconfigure(&mut self, config: Config) {
        let gone: Vec<String> =
            self.meters.keys().filter(|name| !config.meters.iter().any(|m| m.name == **name)).cloned().collect();
        gone.iter().for_each(|name| self.remove(name));
        if self.config.mqtt.value_topics && !config.mqtt.value_topics {
            self.take_values_back();
        }
        for meter in &config.meters {
            match self.meters.get_mut(&meter.name) {
                Some(known) => known.reconfigure(meter),
                None => {
                    self.meters.insert(meter.name.clone(), Known::new(meter));
                    let topic = self.topics.availability(&meter.name);
                    self.outbox.set(Class::Availability, &topic, OFFLINE.into(), true);
                }
            }
        }
        let rebased = self.config.mqtt.base_topic != config.mqtt.base_topic;
        let announced_otherwise = rebased || self.config.homeassistant != config.homeassistant;
        if announced_otherwise {
            self.outbox.clear(|class| matches!(class, Class::Announcement | Class::AgentAnnouncement));
        }
        if rebased {
            self.outbox.clear(|_| true);
        }
        self.config = config;
        self.zone = self.config.time_zone();
        if announced_otherwise {
            self.announcer = self.new_announcer();
            self.meters.values_mut().for_each(|known| known.announced = None);
        }
        if !rebased {
            self.announce_all();
        }
        self.release_held();
    }

    /// Nobody keeps the topics of single values right any more.
    fn take_values_back(&mut self) {
        for known in self.meters.values() {
            for measurement in &known.seen {
                let topic = self.topics.value(&known.meter.name, &measurement.key);
                self.outbox.set(Class::State, &topic, Vec::new(), true);
            }
        }
    }

    /// Publishes everything under the base topic of the configuration, if it is another one.
    pub(in super::super) fn follow_base_topic(&mut self) {
        if self.topics.base() == self.config.mqtt.base_topic {
            return;
        }
        self.topics = Topics::new(&self.config.mqtt.base_topic);
        self.outbox.forget_documents();
        self.agent_before.clear();
        self.restore();
        self.announce_all();
    }

    /// Takes a meter that is no longer configured back from the broker.
    fn remove(&mut self, name: &str) {
        let Some(known) = self.meters.remove(name) else { return };
        let announced = Announced { state_topic: None, serial: None, components: known.before };
        self.held.extend(known.announced.map(|topic| (topic, announced)));
        self.held.extend(known.found);
        self.take_back(name);
    }

    fn take_back(&mut self, name: &str) {
        let state = self.spool.remembered(Memo::State).find(|(meter, _)| *meter == name);
        let keys = state.map(|(_, state)| payload::keys_of_state(state)).unwrap_or_default();
        for key in keys.iter().filter(|_| self.config.mqtt.value_topics) {
            self.outbox.set(Class::State, &self.topics.value(name, key), Vec::new(), true);
        }
        self.outbox.set(Class::State, &self.topics.state(name), Vec::new(), true);
        self.outbox.set(Class::Availability, &self.topics.availability(name), Vec::new(), true);
        self.leaving.insert(name.to_owned());
    }

    /// Forgets meters that are no longer configured, once the broker has forgotten them: else a
    /// restart without a broker would leave them there for ever.
    pub(in super::super) fn forget_gone(&mut self) {
        let Self { leaving, held, outbox, spool, topics, meters, now, .. } = self;
        leaving.retain(|name| {
            if meters.contains_key(name) {
                return false;
            }
            let remembered = spool.remembered(Memo::Announcement).find(|(other, _)| other == name);
            let announcement = remembered.and_then(|(_, text)| announcement(text)).map_or("", |(topic, ..)| topic);
            let gone = outbox.has_arrived(Class::State, &topics.state(name))
                && outbox.has_arrived(Class::Availability, &topics.availability(name))
                && !held.contains_key(announcement)
                && outbox.has_arrived(Class::Announcement, announcement);
            if gone {
                for memo in [Memo::State, Memo::Announcement, Memo::Identity] {
                    spool.remember(memo, name, "", *now);
                }
            }
            !gone
        });
        self.forget_farewells();
    }

    /// When each meter's last good reading was taken, where the store knows.
    pub(in super::super) fn last_good(&self) -> BTreeMap<String, jiff::Timestamp> {
        let states = self.spool.remembered(Memo::State);
        states.filter_map(|(name, state)| Some((name.to_owned(), last_good(state)?))).collect()
    }
}

/// Topic, mark of the rules and document of a remembered announcement.
fn announcement(text: &str) -> Option<(&str, &str, &str)> {
    let (topic, rest) = text.split_once('\n')?;
    let (rules, document) = rest.split_once('\n')?;
    Some((topic, rules, document))
}

/// `read_at` of a `state` document.
fn last_good(state: &str) -> Option<jiff::Timestamp> {
    #[derive(serde::Deserialize)]
    struct ReadAt {
        read_at: String,
    }
    serde_json::from_str::<ReadAt>(state).ok()?.read_at.parse().ok()
}

/// Not older than `interval`, and not from a future that a clock without battery made up.
fn is_recent(at: jiff::Timestamp, interval: Duration) -> bool {
    let age = jiff::Timestamp::now().as_second() - at.as_second();
    (0..=i64::try_from(interval.as_secs()).unwrap_or(i64::MAX)).contains(&age)
}
