//! What Home Assistant gets: the decisions of `homeassistant::announcements`, carried out.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::outbox::{BirthPhase, Class};
use super::super::topic::Topics;
use super::Publisher;
use super::listener::Listener;
use crate::config::Config;
use crate::homeassistant::announcements::{Change, Configured, Of};
use crate::homeassistant::discovery::{AgentTopics, Announcer};

impl Publisher {
    /// A retained message on the broker, perhaps an announcement.
    pub(in crate::mqtt) fn found(&mut self, topic: &str, payload: &[u8]) {
        if !self.announcements.is_own_topic(topic) {
            return;
        }
        self.viewers.found(topic, payload);
        // a broker that was killed may have an old one; it gets ours
        if let Some(document) = self.outbox.get(Class::Announcement, topic) {
            self.viewers.published(topic, document);
        }
        self.announcements.found(topic, payload);
        self.carry_out();
        self.hide_from(topic);
    }

    /// An announcement was taken back, perhaps by another agent whose own it was.
    pub(in crate::mqtt) fn gone(&mut self, topic: &str) {
        self.announcements.gone(topic);
    }

    /// Whether what may be another agent's is left alone. So is what may be of an adopted meter while their file is
    /// broken.
    pub(in crate::mqtt) fn hold_back(&mut self, hold: bool) {
        let broken = self.config.adopted.trouble.is_some();
        self.announcements.hold_back(hold || broken);
        self.carry_out();
    }

    /// Home Assistant was born, and is so far.
    pub(in crate::mqtt) fn born(&mut self, phase: BirthPhase) {
        match phase {
            BirthPhase::Announce => {
                // what stood here before, for a moment beside what is leaving, would get other entity ids
                let coming = self.moving.and_then(|_| announcer(&self.config, &self.topics));
                self.announcements.born(|topic| coming.as_ref().is_some_and(|coming| coming.is_own_topic(topic)));
            }
            BirthPhase::States => {
                self.announcements.born_and_ready();
                // a birth may be of a connection before
                if matches!(self.listener, Listener::Born) {
                    self.listener = Listener::There;
                }
            }
        }
        self.carry_out();
    }

    /// Home Assistant was born, or said goodbye.
    pub(in crate::mqtt) fn heard_listener(&mut self, is_born: bool, now: Instant) {
        self.listener = Listener::heard(is_born, now);
        match is_born {
            true => self.outbox.birth(now),
            false => self.outbox.forget_birth(),
        }
    }

    /// Does what the announcements ask for. A document that says nothing new is not published again; and nothing
    /// is taken back while the file of adopted meters is broken, for its meters are not gone for good.
    pub(super) fn carry_out(&mut self) {
        let broken = self.config.adopted.trouble.is_some();
        let changes = self.announcements.changes().into_iter();
        for change in changes.filter(|change| !broken || !takes_back(change)) {
            match change {
                Change::Document { of: Of::Meter { name, outdated }, topic, payload, .. } => {
                    self.announce(&name, &outdated, (topic, payload));
                }
                Change::Document { of: Of::Left { name }, topic, payload, .. } => self.leave(&name, topic, payload),
                Change::Document { of: Of::Agent, topic, payload, retain } => {
                    if self.outbox.get(Class::AgentAnnouncement, &topic) != Some(payload.as_bytes()) {
                        self.outbox.set(Class::AgentAnnouncement, &topic, payload.into(), retain);
                    }
                }
                Change::Document { of: Of::Former, topic, payload, retain } => {
                    self.set_announcement(&topic, payload, retain);
                }
                Change::Memo { memo, name, text } => self.spool.remember(memo, &name, &text, self.now),
                Change::Orphan { state_topic } => self.take_back_orphan(&state_topic),
                Change::First { meter, by_name, left_out } => log_first(&meter, by_name, left_out),
                Change::NotUsed { topic } => {
                    tracing::info!(topic, "removes an announcement that is not used any more");
                }
            }
        }
    }

    /// Publishes the announcement of a meter, if it says something new.
    pub(super) fn set_announcement(&mut self, topic: &str, document: String, retain: bool) {
        if self.outbox.get(Class::Announcement, topic) != Some(document.as_bytes()) {
            self.viewers.published(topic, document.as_bytes());
            self.outbox.set(Class::Announcement, topic, document.into(), retain);
        }
    }

    /// The topics of a meter that was found announced but is not configured.
    fn take_back_orphan(&mut self, state_topic: &str) {
        if let Some(name) = self.topics.meter_of_state(state_topic) {
            self.outbox.set(Class::Availability, &self.topics.availability(name), Vec::new(), true);
        }
        self.outbox.set(Class::State, state_topic, Vec::new(), true);
    }
}

/// Who makes the documents; `None` where Home Assistant is switched off.
pub(super) fn announcer(config: &Config, topics: &Topics) -> Option<Announcer> {
    let own = AgentTopics {
        state: topics.bridge_state(),
        info: topics.bridge_info(),
        event: topics.bridge_event(),
        scan: topics.request("scan"),
        scanned: topics.bridge_scan(),
        restart: topics.request("restart"),
        log_level: topics.request("log_level"),
        power: topics.request("power"),
    };
    let page = config.http.as_ref().filter(|_| cfg!(feature = "http")).and_then(|http| http.url.clone());
    config.homeassistant.enabled.then(|| Announcer::new(&config.homeassistant, topics.base(), own, page))
}

/// What the announcements must know of each configured meter.
pub(super) fn configured(config: &Config, topics: &Topics) -> BTreeMap<String, Configured> {
    let meters = config.all_meters().map(|(meter, enabled)| {
        let bus = config.buses.get(meter.bus).map_or("", |bus| bus.name.as_str());
        let configured = Configured {
            place: format!("{bus}/{}", meter.address),
            enabled,
            readout_of: meter.readout_of.clone(),
            keep_entities: meter.keep_entities,
            title: meter.title.clone(),
            area: meter.area.clone(),
            state_topic: topics.state(&meter.name),
            availability_topic: topics.availability(&meter.name),
            read_topic: topics.read(&meter.name),
        };
        (meter.name.clone(), configured)
    });
    meters.collect()
}

fn log_first(meter: &str, by_name: bool, left_out: usize) {
    if by_name {
        tracing::warn!(
            meter,
            "its identification does not distinguish it from other meters, so Home Assistant knows it by its name \
             here: keep that"
        );
    }
    if left_out > 0 {
        tracing::warn!(meter, "{left_out} entities are left out: too many for a message");
    }
}

/// Whether it is of a meter that is not configured.
fn takes_back(change: &Change) -> bool {
    match change {
        Change::Document { of, .. } => matches!(of, Of::Left { .. } | Of::Former),
        Change::Memo { text, .. } => text.is_empty(),
        Change::Orphan { .. } | Change::NotUsed { .. } => true,
        Change::First { .. } => false,
    }
}
