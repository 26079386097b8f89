//! When Home Assistant is told of which device.
//!
//! Not here: what the documents say (`homeassistant::discovery`).

use std::collections::BTreeSet;

use super::super::outbox::Class;
use super::Publisher;
use super::known::Known;
use crate::homeassistant::discovery::{AgentTopics, Announcer, MeterDevice};
use crate::spool::Memo;

impl Publisher {
    pub(super) fn announce_agent(&mut self) {
        let homeassistant = &self.config.homeassistant;
        if !homeassistant.enabled {
            return;
        }
        let topics = &self.topics;
        let own = AgentTopics {
            state: topics.bridge_state(),
            info: topics.bridge_info(),
            scan: topics.request("scan"),
            scanned: topics.response("scan"),
            power: topics.request("power"),
        };
        let announcer = Announcer::new(homeassistant, topics.base(), own);
        let document = announcer.agent(&self.config.buses);
        if self.outbox.get(Class::AgentAnnouncement, &document.topic) != Some(document.payload.as_bytes()) {
            self.outbox.set(Class::AgentAnnouncement, &document.topic, document.payload.into(), true);
        }
        self.announcer = Some(announcer);
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
        for (topic, components) in std::mem::take(&mut known.found) {
            if topic == document.topic {
                known.had.extend(components);
            } else {
                self.outbox.set(Class::Announcement, &topic, Vec::new(), true);
            }
        }
        let payload = document.removing(&known.had).unwrap_or(document.payload);
        if self.outbox.get(Class::Announcement, &document.topic) == Some(payload.as_bytes()) {
            return;
        }
        if document.left_out > 0 {
            tracing::warn!(meter = name, "{} entities are left out: too many for a message", document.left_out);
        }
        let before = known.announced.replace(document.topic.clone());
        if before.as_ref() != Some(&document.topic) {
            if by_name {
                tracing::warn!(
                    meter = name,
                    "its identification tells it from no other meter, so Home Assistant knows it by its name here: keep that"
                );
            }
            if let Some(old) = before {
                self.outbox.set(Class::Announcement, &old, Vec::new(), true);
            }
        }
        let text = format!("{}\n{payload}", document.topic);
        self.spool.remember(Memo::Announcement, name, &text, self.now);
        self.outbox.set(Class::Announcement, &document.topic, payload.into(), true);
    }

    /// A retained announcement on the broker. One of ours that is no longer right is taken back,
    /// although the store may know nothing of it.
    pub(in super::super) fn found(&mut self, topic: &str, payload: &[u8]) {
        let Some(announced) = self.announcer.as_ref().and_then(|announcer| announcer.recognise(payload)) else {
            return;
        };
        let Some(state_topic) = announced.state_topic else { return };
        // already taken back: Home Assistant warns of a second time
        if self.outbox.get(Class::Announcement, topic).is_some_and(<[u8]>::is_empty) {
            return;
        }
        let Some(known) = self.meters.values_mut().find(|k| self.topics.state(&k.meter.name) == state_topic) else {
            tracing::info!(topic, "takes back the announcement of a meter that is not configured");
            self.outbox.set(Class::Announcement, topic, Vec::new(), true);
            if let Some(name) = self.topics.meter_of_state(&state_topic) {
                self.outbox.set(Class::Availability, &self.topics.availability(name), Vec::new(), true);
            }
            return self.outbox.set(Class::State, &state_topic, Vec::new(), true);
        };
        if known.announced.as_deref().is_some_and(|current| current != topic) {
            return self.outbox.set(Class::Announcement, topic, Vec::new(), true);
        }
        known.found.insert(topic.to_owned(), announced.components);
        let name = known.meter.name.clone();
        self.announce(&name);
    }
}
