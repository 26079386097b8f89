//! When Home Assistant gets which document, and when a device is taken back. Pure.
//!
//! In: what is configured ([`configure`](Announcements::configure), at a start and at a reload alike), which
//! meter answers by which rules ([`answered`](Announcements::answered)), what it measures
//! ([`read`](Announcements::read)), documents found on the broker, births of Home Assistant. Out:
//! [`Change`]s, taken with [`changes`](Announcements::changes). A document is only made when something
//! happened that may change it.
//!
//! Not here: what the documents say (`discovery`), publishing them (`mqtt`), the store (`spool`).

mod announce;
mod change;
mod farewell;
mod kept;
mod leaving;
mod meter;
mod restore;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::discovery::{Announced, Announcer, Document};
use crate::config::Bus;
use crate::mbus::address::SecondaryAddress;
use crate::measure::Measurement;
use crate::measure::profile::Product;
use crate::spool::memo::AGENT;
use crate::spool::{Memo, memo};
pub use change::{Answered, Change, Of, Outdated};
use farewell::Farewells;
pub use meter::{Configured, MISSES};
use meter::{Doubt, Meter};

/// What Home Assistant knows, and what it should know.
#[derive(Debug, Default)]
pub struct Announcements {
    /// `None`: nothing is announced.
    announcer: Option<Announcer>,
    /// The agent's own document as the configuration makes it.
    agent: Option<Document>,
    /// Where it is announced.
    agent_topic: Option<String>,
    /// Components of the agent announced so far.
    agent_components: BTreeMap<String, String>,
    meters: BTreeMap<String, Meter>,
    /// Announcements of meters that are not configured under that name, by topic: taken back once it
    /// is clear that none of them is a renamed meter, which keeps its device.
    held: BTreeMap<String, Announced>,
    /// Topics that are being taken back.
    leaving: BTreeSet<String>,
    /// Memos of meters that are not configured, by name, with the topics that must be settled first.
    forgetting: BTreeMap<String, BTreeSet<String>>,
    farewells: Farewells,
    /// `Some`: what may be another agent's is left alone. What was found meanwhile waits here, by topic.
    put_off: Option<BTreeMap<String, Announced>>,
    changes: Vec<Change>,
}

impl Announcements {
    /// What is configured from now on. Without an `announcer` nothing is announced; what was, is taken back.
    pub fn configure(&mut self, announcer: Option<Announcer>, buses: &[Bus], meters: BTreeMap<String, Configured>) {
        if let Some(former) = &self.announcer {
            if announcer.as_ref().is_none_or(|now| former.is_of_another_agent(now)) {
                self.withdraw_all();
            }
        }
        let changed = self.announcer != announcer;
        self.announcer = announcer;
        let gone: Vec<String> = self.meters.keys().filter(|name| !meters.contains_key(*name)).cloned().collect();
        gone.iter().for_each(|name| self.remove(name));
        for (name, configured) in meters {
            if !self.meters.contains_key(&name) {
                let former = self.take_held(&configured.state_topic);
                self.meters.insert(name.clone(), Meter::new(configured.clone(), former));
            }
            let Some(meter) = self.meters.get_mut(&name) else { continue };
            meter.stale |= changed;
            if meter.configure(configured) {
                self.changes.push(Change::Memo { memo: Memo::Kept, name: name.clone(), text: String::new() });
            }
        }
        self.agent = self.announcer.as_ref().map(|announcer| announcer.agent(buses));
        self.announce_agent();
        // where one meter's readouts have changed places, the id of the first must be free before it takes that
        let (firsts, others): (Vec<String>, Vec<String>) =
            self.meters.keys().cloned().partition(|name| !self.is_another_readout(name));
        others.iter().chain(&firsts).for_each(|name| self.announce(name));
        self.release_held();
    }

    /// The meter of this name answered, as `identity` where the answer says so, and is read by `rules`.
    pub fn answered(&mut self, name: &str, identity: Option<SecondaryAddress>, rules: &str) -> Answered {
        let nothing = Answered { former: None, moved: false, other_rules: false };
        let Some(meter) = self.meters.get_mut(name) else { return nothing };
        let moved = meter.doubt == Doubt::Moved;
        let former = meter.identify(identity);
        let other_rules = meter.follow(rules);
        if former.is_some() {
            let first = meter.first_readout(name).to_owned();
            let others = self.meters.iter_mut().filter(|(other, meter)| meter.first_readout(other) != first);
            let same = others.filter(|(_, meter)| meter.identity == identity);
            same.filter(|(_, meter)| meter.doubt == Doubt::Nothing)
                .for_each(|(_, meter)| meter.expect_another(Doubt::Claimed));
        }
        if identity.is_some() {
            self.remember_identity(name);
        }
        Answered { former, moved, other_rules }
    }

    /// What the profile of this meter says of it.
    pub fn product(&mut self, name: &str, product: Option<&Product>) {
        if let Some(meter) = self.meters.get_mut(name) {
            meter.is_product(product);
        }
    }

    /// This meter says that its power is low.
    pub fn says_low_power(&mut self, name: &str) {
        if let Some(meter) = self.meters.get_mut(name) {
            meter.stale |= !meter.said_low_power();
            meter.said_low_power = true;
        }
    }

    /// The topic filter of the documents to look for on the broker.
    #[must_use]
    pub fn filter(&self) -> Option<String> {
        self.announcer.as_ref().map(Announcer::filter)
    }

    /// Whether documents are looked for on this topic: what stands elsewhere is not ours, whatever it says.
    #[must_use]
    pub fn is_own_topic(&self, topic: &str) -> bool {
        self.announcer.as_ref().is_some_and(|announcer| announcer.is_own_topic(topic))
    }

    /// Who answered under this name last.
    #[must_use]
    pub fn identity(&self, name: &str) -> Option<SecondaryAddress> {
        self.meters.get(name)?.identity
    }

    /// Whether its bus or address is another one than where it answered last.
    #[must_use]
    pub fn is_moved(&self, name: &str) -> bool {
        self.meters.get(name).is_some_and(|meter| meter.doubt == Doubt::Moved)
    }

    /// The meter that is expected to answer under this name; `None` where any may.
    #[must_use]
    pub fn expected(&self, name: &str) -> Option<SecondaryAddress> {
        let meter = self.meters.get(name)?;
        meter.identity.filter(|_| meter.doubt == Doubt::Nothing)
    }

    /// The discovery topic on which this meter is announced.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&str> {
        self.meters.get(name)?.topic()
    }

    /// The rules by which this meter is read.
    #[must_use]
    pub fn rules(&self, name: &str) -> Option<&str> {
        self.meters.get(name)?.rules.as_deref()
    }

    /// A good reading of this meter, with the number of its values that nothing names.
    pub fn read(&mut self, name: &str, measurements: &[Measurement], unnamed: usize) {
        self.complete(name, measurements);
        if let Some(meter) = self.meters.get_mut(name) {
            meter.see(measurements, unnamed);
            self.announce(name);
        }
    }

    /// The turn of this meter is over, with whatever outcome.
    pub fn tried(&mut self, name: &str) {
        if let Some(meter) = self.meters.get_mut(name) {
            meter.tried();
        }
        self.release_held();
    }

    /// A retained announcement on the broker. One of ours that is no longer right is taken back,
    /// although the store may know nothing of it.
    pub fn found(&mut self, topic: &str, payload: &[u8]) {
        let Some(announced) = self.announcer.as_ref().and_then(|announcer| announcer.recognise(payload)) else {
            return;
        };
        // the agent's own device is that of each agent of this base topic
        let is_ours = self.held.contains_key(topic) || self.is_a_meter_announced(topic);
        match &mut self.put_off {
            Some(put_off) if !is_ours && !self.leaving.contains(topic) => {
                _ = put_off.insert(topic.to_owned(), announced)
            }
            _ => self.found_document(topic, announced),
        }
    }

    /// Somebody has taken back what was retained there: Home Assistant warns of a second time.
    pub fn gone(&mut self, topic: &str) {
        self.put_off.as_mut().and_then(|put_off| put_off.remove(topic));
    }

    /// Whether to leave alone what the store does not know and may be another agent's.
    pub fn hold_back(&mut self, hold: bool) {
        if hold {
            self.put_off.get_or_insert_default();
            return;
        }
        for (topic, announced) in self.put_off.take().into_iter().flatten() {
            self.found_document(&topic, announced);
        }
    }

    fn found_document(&mut self, topic: &str, announced: Announced) {
        let Some(state_topic) = announced.state_topic.clone() else {
            announced.components.into_iter().for_each(|(id, c)| _ = self.agent_components.entry(id).or_insert(c));
            return self.announce_agent();
        };
        // Home Assistant warns of a second time; and one that waits for its meter goes on waiting
        if self.leaving.contains(topic) || self.held.contains_key(topic) {
            return;
        }
        self.orphan(Some(&announced));
        let own = self.meters.iter().find(|(_, meter)| meter.configured.state_topic == state_topic);
        // announced again already, perhaps by a meter under another name
        let now = self.meters.iter().find(|(_, meter)| meter.topic() == Some(topic));
        let Some(name) = now.or(own).map(|(name, _)| name.clone()) else {
            self.held.insert(topic.to_owned(), announced);
            return self.release_held();
        };
        let Some(meter) = self.meters.get_mut(&name) else { return };
        if meter.topic().is_some_and(|current| current != topic) {
            return self.retract(Of::Former, topic, &announced);
        }
        meter.find(topic, announced);
        self.announce(&name);
    }

    /// Home Assistant was born: it gets the devices taken back once more, but for what `may_be_back`.
    pub fn born(&mut self, may_be_back: impl Fn(&str) -> bool) {
        let mut farewells = std::mem::take(&mut self.farewells);
        let may_be_back = |topic: &str| self.held.contains_key(topic) || may_be_back(topic);
        let shown = farewells.show(|topic| self.is_announced(topic), may_be_back);
        self.farewells = farewells;
        shown.into_iter().for_each(|(topic, payload)| self.document(Of::Former, &topic, payload, false));
    }

    /// It has made its entities: it loses those devices.
    pub fn born_and_ready(&mut self) {
        let mut farewells = std::mem::take(&mut self.farewells);
        let lost = farewells.take_back(|topic| self.is_announced(topic));
        self.farewells = farewells;
        lost.iter().for_each(|topic| self.clear(topic));
    }

    /// Forgets what is done with: the broker has the newest of every document of which `has_arrived` says so.
    /// Earlier would be too early: a restart without a broker would leave it there for good.
    pub fn settle(&mut self, has_arrived: impl Fn(&str) -> bool) {
        self.leaving.retain(|topic| !has_arrived(topic));
        let Self { forgetting, held, meters, changes, farewells, .. } = self;
        forgetting.retain(|name, topics| {
            if topics.iter().any(|topic| held.contains_key(topic) || !has_arrived(topic)) {
                return true;
            }
            let of_the_meter = [Memo::Identity, Memo::Kept].into_iter().filter(|_| !meters.contains_key(name));
            for memo in of_the_meter.chain([Memo::Announcement]) {
                changes.push(Change::Memo { memo, name: name.clone(), text: String::new() });
            }
            false
        });
        for name in farewells.settle(has_arrived) {
            changes.push(Change::Memo { memo: Memo::Farewell, name, text: String::new() });
        }
    }

    /// Whether the agent itself is announced.
    #[must_use]
    pub fn is_agent_announced(&self) -> bool {
        self.agent_topic.is_some()
    }

    /// The topics that are being taken back.
    pub fn leaving(&self) -> impl Iterator<Item = &str> {
        self.leaving.iter().map(String::as_str)
    }

    /// What is to be done since the last call.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn document(&mut self, of: Of, topic: &str, payload: String, retain: bool) {
        if payload.is_empty() {
            self.leaving.insert(topic.to_owned());
        } else {
            self.leaving.remove(topic);
        }
        self.changes.push(Change::Document { of, topic: topic.to_owned(), payload, retain });
    }

    fn clear(&mut self, topic: &str) {
        self.document(Of::Former, topic, String::new(), true);
    }

    /// Whether a meter of ours, or the agent, is announced there.
    fn is_announced(&self, topic: &str) -> bool {
        self.agent_topic.as_deref() == Some(topic) || self.is_a_meter_announced(topic)
    }

    fn is_a_meter_announced(&self, topic: &str) -> bool {
        self.meters.values().any(|meter| meter.topic() == Some(topic))
    }

    fn remember_identity(&mut self, name: &str) {
        let Some(meter) = self.meters.get(name) else { return };
        let Some(address) = meter.identity else { return };
        let text = memo::Identity { address, first: meter.first, place: meter.configured.place.clone() }.to_string();
        self.changes.push(Change::Memo { memo: Memo::Identity, name: name.to_owned(), text });
    }

    /// The agent's own announcement; what belongs to a bus that is gone is removed.
    fn announce_agent(&mut self) {
        let Some(document) = &self.agent else { return };
        let Document { topic, payload, components, .. } = document.clone().after(&self.agent_components, |_| false);
        self.agent_components.extend(components);
        self.forgetting.remove(AGENT);
        if let Some(former) = self.agent_topic.replace(topic.clone()).filter(|former| *former != topic) {
            self.document(Of::Agent, &former, String::new(), true);
        }
        let text = memo::Announcement { topic: &topic, rules: None, payload: &payload }.to_string();
        self.changes.push(Change::Memo { memo: Memo::Announcement, name: AGENT.to_owned(), text });
        self.document(Of::Agent, &topic, payload, true);
    }
}
