//! When Home Assistant is told of which device.
//!
//! Not here: what the documents say (`homeassistant::discovery`).

use std::collections::BTreeSet;

use super::super::outbox::Class;
use super::Publisher;
use super::known::{self, Known};
use crate::homeassistant::discovery::{AgentTopics, Announcer, Document, MeterDevice};
use crate::spool::Memo;

/// The agent's own announcement in the store: no meter may have this name.
pub(super) const AGENT: &str = "bridge";

impl Publisher {
    /// Who makes the documents; `None` where Home Assistant is not wanted.
    pub(super) fn new_announcer(&self) -> Option<Announcer> {
        let (homeassistant, topics) = (&self.config.homeassistant, &self.topics);
        let own = AgentTopics {
            state: topics.bridge_state(),
            info: topics.bridge_info(),
            scan: topics.request("scan"),
            scanned: topics.response("scan"),
            power: topics.request("power"),
        };
        homeassistant.enabled.then(|| Announcer::new(homeassistant, topics.base(), own))
    }

    /// The agent's own announcement; what belongs to a bus that is gone is removed.
    pub(super) fn announce_agent(&mut self) {
        let Some(announcer) = &self.announcer else { return };
        let document = announcer.agent(&self.config.buses).after(&self.agent_before, |_| false);
        self.agent_before.extend(document.components.clone());
        self.set_announcement(Class::AgentAnnouncement, AGENT, "", document);
    }

    /// Publishes a document that says something new, and remembers it.
    fn set_announcement(&mut self, class: Class, name: &str, rules: &str, document: Document) {
        let Document { topic, payload, .. } = document;
        if self.outbox.get(class, &topic) != Some(payload.as_bytes()) {
            self.spool.remember(Memo::Announcement, name, &format!("{topic}\n{rules}\n{payload}"), self.now);
            self.outbox.set(class, &topic, payload.into(), true);
        }
    }

    /// The agent's own announcement, and those of all meters seen so far.
    pub(super) fn announce_all(&mut self) {
        self.announce_agent();
        let names: Vec<String> = self.meters.keys().cloned().collect();
        names.iter().for_each(|name| self.announce(name));
    }

    /// Announces a meter where that says something new, and every other one whose id it shares.
    pub(super) fn announce(&mut self, name: &str) {
        let identity = self.meters.get(name).and_then(|known| known.presence.identity());
        let same = |known: &&Known| identity.is_some() && known.presence.identity() == identity;
        let mut names: BTreeSet<String> = self.meters.values().filter(same).map(|k| k.meter.name.clone()).collect();
        let shared = names.len() > 1;
        names.insert(name.to_owned());
        for name in names {
            self.announce_one(&name, shared);
        }
    }

    fn announce_one(&mut self, name: &str, shares_identity: bool) {
        let (Some(announcer), Some(known)) = (&self.announcer, self.meters.get_mut(name)) else { return };
        if known.seen.is_empty() {
            return;
        }
        if known.learn_from_found() {
            known.remember_identity(&mut self.spool, self.now);
        }
        let device = MeterDevice {
            name,
            title: known.meter.title.as_deref(),
            identity: known.presence.identity(),
            shares_identity,
            replaces_another: known.replaces_another,
            state_topic: &self.topics.state(name),
            availability_topic: &self.topics.availability(name),
            read_topic: &self.topics.read(name),
            measurements: &known.seen,
        };
        let (document, by_name) = (announcer.meter(&device), device.is_known_by_name());
        if let Some(former) = self.held.remove(&document.topic) {
            known.found.insert(document.topic.clone(), former);
        }
        let wrong = known.move_to(&document.topic);
        let document = document.after(&known.before, |component| known.keeps(component));
        known.told(document.components.clone());
        let rules = known::rules_mark(&known.meter, &self.config);
        if self.outbox.get(Class::Announcement, &document.topic).is_none() {
            say_first(name, by_name, document.left_out);
        }
        wrong.iter().for_each(|(topic, former)| self.retract(topic, &former.components));
        self.set_announcement(Class::Announcement, name, &rules, document);
    }

    /// A retained announcement on the broker. One of ours that is no longer right is taken back,
    /// although the store may know nothing of it.
    pub(in super::super) fn found(&mut self, topic: &str, payload: &[u8]) {
        let Some(announced) = self.announcer.as_ref().and_then(|announcer| announcer.recognise(payload)) else {
            return;
        };
        let Some(state_topic) = announced.state_topic.clone() else {
            announced.components.into_iter().for_each(|(id, c)| _ = self.agent_before.entry(id).or_insert(c));
            return self.announce_agent();
        };
        // already taken back: Home Assistant warns of a second time
        if self.outbox.get(Class::Announcement, topic).is_some_and(<[u8]>::is_empty) {
            return;
        }
        let own = self.topics.meter_of_state(&state_topic).filter(|name| self.meters.contains_key(*name));
        if own.is_none() {
            self.take_back_found(&state_topic);
        }
        // announced anew already, perhaps by a meter under another name
        let now = self.meters.values().find(|k| k.announced.as_deref() == Some(topic)).map(|k| k.meter.name.as_str());
        let Some(name) = now.or(own).map(str::to_owned) else {
            self.held.insert(topic.to_owned(), announced);
            return self.release_held();
        };
        let Some(known) = self.meters.get_mut(&name) else { return };
        if known.announced.as_deref().is_some_and(|current| current != topic) {
            return self.retract(topic, &announced.components);
        }
        known.found.insert(topic.to_owned(), announced);
        self.announce(&name);
    }

    /// Takes back the announcements of meters that are not configured, unless one of those not yet
    /// read may be the same meter under another name.
    pub(super) fn release_held(&mut self) {
        let is_new = |known: &Known| !known.tried && known.announced.is_none();
        if self.meters.values().any(is_new) {
            return;
        }
        for (topic, announced) in std::mem::take(&mut self.held) {
            tracing::info!(topic, "takes back the announcement of a meter that is not configured");
            self.retract(&topic, &announced.components);
        }
    }

    /// The other topics of a meter that was found announced but is not configured.
    fn take_back_found(&mut self, state_topic: &str) {
        if let Some(name) = self.topics.meter_of_state(state_topic) {
            self.outbox.set(Class::Availability, &self.topics.availability(name), Vec::new(), true);
        }
        self.outbox.set(Class::State, state_topic, Vec::new(), true);
    }
}

/// What is said once, when a device is announced for the first time.
fn say_first(meter: &str, by_name: bool, left_out: usize) {
    if by_name {
        tracing::warn!(
            meter,
            "its identification tells it from no other meter, so Home Assistant knows it by its name here: keep that"
        );
    }
    if left_out > 0 {
        tracing::warn!(meter, "{left_out} entities are left out: too many for a message");
    }
}
