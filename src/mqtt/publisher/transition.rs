//! The order in which the values of a meter get another meaning.
//!
//! Home Assistant pairs whatever number it has with the newest unit. So where an announcement changes what a
//! number means, the retained state says `null` first, then comes the announcement, then the value, each once
//! the broker has the one before, and while Home Assistant is connected (`listener`). It also needs a moment to
//! take an announcement over, in which it would give a new value the old unit.
//!
//! Not here: which values are concerned (`homeassistant::announcements`).

use std::time::{Duration, Instant};

use super::super::outbox::Class;
use super::super::payload;
use super::Publisher;
use crate::homeassistant::announcements::Outdated;

/// What Home Assistant is given to take an announcement over.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// How far a meter's new announcement is.
#[derive(Debug)]
pub(super) struct Transition {
    step: Step,
    /// State topics that say nothing of what is outdated, once that has arrived.
    blanked: Vec<String>,
    /// Discovery topic and document; and those of devices that saw these values until now.
    document: (String, String),
    left: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The state without the values is on its way.
    Blank,
    /// The document is.
    Announce,
    /// Home Assistant takes it over until this time; then the values follow.
    Settle(Instant),
}

#[cfg(test)]
impl Transition {
    /// The document that waits for this topic.
    pub(super) fn pending(&self, topic: &str) -> Option<&str> {
        let all = self.left.iter().chain([&self.document]);
        all.filter(|(waiting, _)| waiting == topic).map(|(_, document)| document.as_str()).next()
    }
}

impl Publisher {
    /// Goes on with what waited for the broker or for its time.
    pub(in crate::mqtt) fn advance(&mut self) {
        self.arrive();
        let Self { meters, outbox, topics, spool, config, listener, now, .. } = self;
        for (name, known) in meters.iter_mut() {
            let Some(Transition { step, blanked, document: (topic, document), left }) = &mut known.transition else {
                continue;
            };
            let is_done = |class, topic: &str| outbox.has_arrived(class, topic) || outbox.is_blocked(class, topic);
            match step {
                Step::Blank
                    if blanked.iter().all(|topic| is_done(Class::State, topic)) && !listener.is_awaited(*now) =>
                {
                    outbox.set(Class::Announcement, topic, document.clone().into(), true);
                    for (topic, document) in left.drain(..) {
                        outbox.set(Class::Announcement, &topic, document.into(), true);
                    }
                    *step = Step::Announce;
                }
                Step::Announce if is_done(Class::Announcement, topic) => *step = Step::Settle(*now + SETTLE),
                Step::Settle(until) if *until <= *now => {
                    if let Some(state) = spool.state_of(name) {
                        outbox.set(Class::State, &topics.state(name), state.into(), config.mqtt.retain_state);
                    }
                    known.transition = None;
                }
                Step::Blank | Step::Announce | Step::Settle(_) => {}
            }
        }
    }

    /// When [`advance`](Self::advance) has something to do without anything else happening.
    pub(in crate::mqtt) fn wake_at(&self) -> Option<Instant> {
        let settled = self.meters.values().filter_map(|known| match known.transition.as_ref()?.step {
            Step::Blank => self.listener.until().filter(|until| self.now < *until),
            Step::Announce => None,
            Step::Settle(until) => Some(until),
        });
        settled.chain(self.online_at()).min()
    }

    /// Announces a configured meter, at once where none of its published values is `outdated` and its device saw
    /// none under the names `before`.
    pub(super) fn announce(&mut self, name: &str, outdated: &Outdated, before: &[String], document: (String, String)) {
        let own = self.blanked(name, outdated).map(|state| (self.topics.state(name), state));
        let others =
            before.iter().filter_map(|other| Some((self.topics.state(other), self.blanked(other, &Outdated::All)?)));
        let states: Vec<(String, String)> = own.into_iter().chain(others).collect();
        let Some(known) = self.meters.get_mut(name) else { return };
        if !states.is_empty() {
            let blanked = states.iter().map(|(topic, _)| topic.clone()).collect();
            known.transition = Some(Transition { step: Step::Blank, blanked, document, left: Vec::new() });
            for (topic, state) in states {
                self.outbox.set(Class::State, &topic, state.into(), self.config.mqtt.retain_state);
            }
            return;
        }
        if let Some(transition) = &mut known.transition {
            transition.document.clone_from(&document);
            if transition.step == Step::Blank {
                return;
            }
            transition.step = Step::Announce;
        }
        let (topic, document) = document;
        if self.outbox.get(Class::Announcement, &topic) != Some(document.as_bytes()) {
            self.outbox.set(Class::Announcement, &topic, document.into(), true);
        }
    }

    /// Takes a device back that saw the values of this meter, or shows it without them, once they are gone.
    pub(super) fn leave(&mut self, name: &str, topic: String, document: String) {
        match self.meters.get_mut(name).and_then(|known| known.transition.as_mut()) {
            Some(transition) if transition.step == Step::Blank => transition.left.push((topic, document)),
            _ => self.outbox.set(Class::Announcement, &topic, document.into(), true),
        }
    }

    /// Topics of the announcements that wait for their time.
    pub(super) fn pending(&self) -> impl Iterator<Item = &str> {
        let transitions = self.meters.values().filter_map(|known| known.transition.as_ref());
        let waiting = transitions.filter(|transition| transition.step == Step::Blank);
        waiting.flat_map(|waiting| waiting.left.iter().chain([&waiting.document])).map(|(topic, _)| topic.as_str())
    }

    /// The newest state without what is outdated; `None` where that is nothing.
    fn blanked(&self, name: &str, outdated: &Outdated) -> Option<String> {
        let published = self.outbox.get(Class::State, &self.topics.state(name)).filter(|state| !state.is_empty());
        let published = published.and_then(|state| std::str::from_utf8(state).ok());
        let keys = match outdated {
            Outdated::Nothing => return None,
            Outdated::Published if published.is_none() => return None,
            Outdated::Published | Outdated::All => None,
            Outdated::Keys(keys) => Some(keys),
        };
        payload::blanked(self.spool.state_of(name)?, published, |key| keys.is_none_or(|keys| keys.contains(key)))
    }

    /// Publishes the newest state of a meter, unless that has to wait.
    pub(super) fn show_state(&mut self, name: &str, state: String) {
        let (topic, waits) =
            (self.topics.state(name), self.meters.get(name).is_some_and(|known| known.transition.is_some()));
        if !waits && self.outbox.get(Class::State, &topic) != Some(state.as_bytes()) {
            self.outbox.set(Class::State, &topic, state.into(), self.config.mqtt.retain_state);
        }
    }
}
