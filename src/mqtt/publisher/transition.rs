//! The order in which the values of a meter get another meaning.
//!
//! Home Assistant pairs whatever number it has with the newest unit. So where an announcement changes what a
//! number means, the retained state says `null` first, then comes the announcement, then the value, each once
//! the broker has the one before, and while Home Assistant is connected (`listener`). It also needs a moment to
//! take an announcement over, in which it would give a new value the old unit. And no value is published while
//! another device sees that topic (`viewers`): it would take the value for its own.
//!
//! Not here: which values are concerned (`homeassistant::announcements`).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::outbox::Class;
use super::super::payload;
use super::Publisher;
use crate::homeassistant::announcements::Outdated;

/// After this time another agent is known to be there, or not to be; its devices are left alone.
const CONTESTED_FOR: Duration = Duration::from_secs(80);
/// What Home Assistant is given to take an announcement over.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// What a meter's value waits for.
#[derive(Clone, Debug)]
pub(super) struct Transition {
    step: Step,
    /// Announcements to be published when the values are gone: discovery topic and document.
    documents: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The states without the values are on their way, on these topics.
    Blank(Vec<String>),
    /// The document on this topic is.
    Announce(String),
    /// Home Assistant takes it over until this time; then the values follow.
    Settle(Instant),
}

impl Transition {
    /// The document that waits for this topic.
    #[cfg(test)]
    pub(super) fn pending(&self, topic: &str) -> Option<&str> {
        let waiting = self.documents.iter().rfind(|(waiting, _)| waiting == topic);
        waiting.map(|(_, document)| document.as_str())
    }
}

impl Publisher {
    /// Goes on with what waited for the broker or for its time.
    pub(in crate::mqtt) fn advance(&mut self) {
        self.arrive();
        self.advance_move();
        let Self { outbox, viewers, .. } = self;
        viewers.update(|topic| outbox.has_arrived(Class::Announcement, topic));
        let waiting = self.meters.iter().filter(|(_, known)| known.transition.is_some());
        let names: Vec<String> = waiting.map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.advance_one(name));
    }

    fn advance_one(&mut self, name: &str) {
        let is_contested = self.is_contested(name);
        let Some(transition) = self.meters.get_mut(name).and_then(|known| known.transition.as_mut()) else { return };
        let outbox = &self.outbox;
        let is_done = |class, topic: &str| outbox.has_arrived(class, topic) || outbox.is_blocked(class, topic);
        match &transition.step {
            Step::Blank(topics) if topics.iter().all(|topic| is_done(Class::State, topic)) => {
                if self.listener.is_awaited(self.now) {
                    return;
                }
                let documents = std::mem::take(&mut transition.documents);
                let own = documents.first().map(|(topic, _)| topic.clone()).unwrap_or_default();
                transition.step = Step::Announce(own);
                documents.into_iter().for_each(|(topic, document)| self.set_announcement(&topic, document, true));
                // one that says what the broker has already does not arrive again
                self.advance_one(name);
            }
            Step::Announce(topic) if is_done(Class::Announcement, topic) => {
                transition.step = Step::Settle(self.now + SETTLE);
            }
            // one that is away may not have heard whose device it no longer is, or what its number means now
            Step::Settle(_) if is_contested || self.listener.is_awaited(self.now) => {
                transition.step = Step::Settle(self.now + SETTLE);
            }
            Step::Settle(until) if *until <= self.now => {
                self.meters.get_mut(name).into_iter().for_each(|known| known.transition = None);
                let state = self.spool.state_of(name).map(str::to_owned);
                state.into_iter().for_each(|state| self.set_state(name, state));
            }
            Step::Blank(_) | Step::Announce(_) | Step::Settle(_) => {}
        }
    }

    /// When [`advance`](Self::advance) has something to do without anything else happening.
    pub(in crate::mqtt) fn wake_at(&self) -> Option<Instant> {
        let settled = self.meters.values().filter_map(|known| match known.transition.as_ref()?.step {
            Step::Blank(_) => self.listener.until().filter(|until| self.now < *until),
            Step::Announce(_) => None,
            Step::Settle(until) => Some(until),
        });
        settled.chain(self.online_at()).chain(self.moves_at()).min()
    }

    /// Announces a configured meter, at once where none of its published values is `outdated` and its device saw no
    /// others until now.
    pub(super) fn announce(&mut self, name: &str, outdated: &Outdated, (topic, document): (String, String)) {
        let own = self.topics.state(name);
        let seen = self.viewers.sees(&topic).filter(|seen| *seen != own);
        let other = seen.and_then(|seen| self.topics.meter_of_state(seen)).map(str::to_owned);
        let other = other.filter(|other| self.meters.contains_key(other));
        let outdated = if other.is_some() { &Outdated::All } else { outdated };
        let own = self.blanked(name, outdated).map(|state| (own, state));
        let mut states: Vec<(String, String)> = own.into_iter().collect();
        if let Some(other) = &other {
            let state = self.blanked(other, &Outdated::All).unwrap_or_else(|| payload::without_values(&document));
            states.push((self.topics.state(other), state));
        }
        let mut documents = vec![(topic.clone(), document)];
        documents.extend(self.cancel(&topic, name, other.as_deref()));
        let Some(known) = self.meters.get_mut(name) else { return };
        let waits = known.transition.take();
        let mut blank: Vec<String> = states.iter().map(|(topic, _)| topic.clone()).collect();
        if let Some(Transition { step: Step::Blank(topics), documents: waiting }) = waits {
            blank.extend(topics);
            documents.extend(waiting.into_iter().filter(|(waiting, _)| *waiting != topic));
        } else if states.is_empty() {
            known.transition = waits.map(|_| Transition { step: Step::Announce(topic), documents: Vec::new() });
            documents.into_iter().for_each(|(topic, document)| self.set_announcement(&topic, document, true));
            return;
        }
        known.transition = Some(Transition { step: Step::Blank(blank), documents });
        for (topic, state) in states {
            self.outbox.set(Class::State, &topic, state.into(), self.config.mqtt.retain_state);
        }
    }

    /// Other meters no longer wait to announce this device, and that which it leaves shows no value before its next
    /// reading: what else they waited for.
    fn cancel(&mut self, topic: &str, name: &str, left: Option<&str>) -> Vec<(String, String)> {
        let mut others = Vec::new();
        for (other, known) in self.meters.iter_mut().filter(|(other, _)| *other != name) {
            let is_of_it = |transition: &mut Transition| {
                Some(other.as_str()) == left || transition.documents.iter().any(|(waiting, _)| waiting == topic)
            };
            let cancelled = known.transition.take_if(is_of_it);
            others.extend(cancelled.into_iter().flat_map(|transition| transition.documents));
        }
        others.retain(|(waiting, _)| waiting != topic);
        others
    }

    /// Takes a device back that saw the values of this meter, or shows it without them, once they are gone.
    pub(super) fn leave(&mut self, name: &str, topic: String, document: String) {
        match self.meters.get_mut(name).and_then(|known| known.transition.as_mut()) {
            Some(Transition { step: Step::Blank(_), documents }) => documents.push((topic, document)),
            _ => self.set_announcement(&topic, document, true),
        }
    }

    /// Topics of the announcements that wait for their time.
    pub(super) fn pending(&self) -> impl Iterator<Item = &str> {
        let transitions = self.meters.values().filter_map(|known| known.transition.as_ref());
        transitions.flat_map(|transition| &transition.documents).map(|(topic, _)| topic.as_str())
    }

    /// The newest state without what is outdated; `None` where that is nothing.
    fn blanked(&self, name: &str, outdated: &Outdated) -> Option<String> {
        let published = self.outbox.get(Class::State, &self.topics.state(name)).filter(|state| !state.is_empty());
        let published = published.and_then(|state| std::str::from_utf8(state).ok());
        let newest = self.spool.state_of(name)?;
        let changed = || published.map(|published| payload::changed(newest, published));
        let keys = match outdated {
            Outdated::Nothing => return None,
            Outdated::Published if published.is_none() => return None,
            Outdated::Published | Outdated::All => None,
            Outdated::Keys(keys) => Some(keys.clone()),
            Outdated::Changed(keys) => changed().map(|changed| changed.union(keys).cloned().collect()),
        };
        if keys.as_ref().is_some_and(BTreeSet::is_empty) {
            return None;
        }
        payload::blanked(newest, published, |key| keys.as_ref().is_none_or(|keys| keys.contains(key)))
    }

    /// The device on this topic may see the values of a meter that is another one: they are withdrawn until it is
    /// known whose it is.
    pub(super) fn hide_from(&mut self, topic: &str) {
        let Some(name) = self.viewers.sees(topic).and_then(|seen| self.topics.meter_of_state(seen)) else { return };
        let name = name.to_owned();
        let is_settling = |transition: &Transition| matches!(transition.step, Step::Settle(_));
        let transition = self.meters.get(&name).and_then(|known| known.transition.as_ref());
        if !transition.is_none_or(is_settling) || !self.is_contested(&name) {
            return;
        }
        if let Some(state) = self.blanked(&name, &Outdated::Published) {
            let transition = Transition { step: Step::Settle(self.now + SETTLE), documents: Vec::new() };
            self.meters.get_mut(&name).into_iter().for_each(|known| known.transition = Some(transition.clone()));
            self.set_state(&name, state);
        }
    }

    /// Publishes the newest state of a meter, unless that has to wait.
    pub(super) fn show_state(&mut self, name: &str, state: String) {
        let is_contested = self.is_contested(name);
        let Some(known) = self.meters.get_mut(name) else { return };
        if known.transition.is_none() && is_contested {
            known.transition = Some(Transition { step: Step::Settle(self.now + SETTLE), documents: Vec::new() });
        }
        if known.transition.is_none() {
            self.set_state(name, state);
        }
    }

    fn set_state(&mut self, name: &str, state: String) {
        let topic = self.topics.state(name);
        if self.outbox.get(Class::State, &topic) != Some(state.as_bytes()) {
            self.outbox.set(Class::State, &topic, state.into(), self.config.mqtt.retain_state);
        }
    }

    /// Whether another device sees the values of this meter: one of ours that waits to be announced otherwise, or
    /// any, for not too long yet.
    fn is_contested(&mut self, name: &str) -> bool {
        let (own, state_topic) = (self.announcements.topic(name), self.topics.state(name));
        let is_contested = self.viewers.are_seen_by_another(&state_topic, own);
        let is_ours = |topic: &str| Some(topic) != own && self.viewers.sees(topic) == Some(&state_topic);
        if self.pending().any(is_ours) {
            return true;
        }
        let Some(known) = self.meters.get_mut(name) else { return false };
        known.contested_since = known.contested_since.filter(|_| is_contested);
        is_contested && self.now < *known.contested_since.get_or_insert(self.now) + CONTESTED_FOR
    }
}
