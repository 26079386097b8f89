//! The order in which the values of a meter get another meaning, and in which the agent comes back.
//!
//! Home Assistant pairs whatever number it has with the newest unit. So where an announcement changes what a
//! number means, the retained state says `null` first, then comes the announcement, then the value, each once
//! the broker has the one before, and while Home Assistant is connected (`listener`). Home Assistant also needs a moment to take an announcement over, in which it
//! would give a new value the old unit.
//!
//! What the broker holds after a crash of either side is not known. So after each connect the agent stays
//! `offline` until everything has arrived: what is unavailable is not recorded.
//!
//! Not here: which values are concerned (`homeassistant::announcements`).

use std::time::{Duration, Instant};

use super::super::outbox::Class;
use super::super::payload::{self, OFFLINE, ONLINE};
use super::Publisher;
use super::listener::Listener;
use crate::homeassistant::announcements::Outdated;

/// What Home Assistant is given to take an announcement over.
const SETTLE: Duration = Duration::from_secs(2);
/// A broker that is slower than this with everything retained sees the agent `online` before it has it all.
const OFFLINE_AT_MOST: Duration = Duration::from_secs(60);

/// How far a meter's new announcement is.
#[derive(Debug)]
pub(super) struct Transition {
    step: Step,
    /// Discovery topic and document.
    document: (String, String),
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

/// The agent is connected, but still `offline`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// When it is `online`: at the latest, until everything has arrived.
    online_at: Instant,
    has_caught_up: bool,
}

#[cfg(test)]
impl Transition {
    /// The document that waits for this topic.
    pub(super) fn pending(&self, topic: &str) -> Option<&str> {
        Some(self.document.1.as_str()).filter(|_| self.document.0 == topic)
    }
}

impl Publisher {
    /// There is a new connection.
    pub(in crate::mqtt) fn up(&mut self) {
        self.go_offline();
        self.outbox.up();
        self.listener = Listener::unknown(self.now);
        self.arrival = Some(Arrival { online_at: self.now + OFFLINE_AT_MOST, has_caught_up: false });
    }

    /// There is no connection, or soon none.
    pub(in crate::mqtt) fn go_offline(&mut self) {
        self.arrival = None;
        self.outbox.set(Class::BridgeState, &self.topics.bridge_state(), OFFLINE.into(), true);
    }

    /// Whether it is connected, but still `offline`.
    pub(in crate::mqtt) fn is_arriving(&self) -> bool {
        self.arrival.is_some()
    }

    /// Goes on with what waited for the broker or for its time.
    pub(in crate::mqtt) fn advance(&mut self) {
        self.arrive();
        let Self { meters, outbox, topics, spool, config, listener, now, .. } = self;
        for (name, known) in meters.iter_mut() {
            let Some(Transition { step, document: (topic, document) }) = &mut known.transition else { continue };
            let state_topic = topics.state(name);
            let is_done = |class, topic: &str| outbox.has_arrived(class, topic) || outbox.is_blocked(class, topic);
            match step {
                Step::Blank if is_done(Class::State, &state_topic) && !listener.is_awaited(*now) => {
                    outbox.set(Class::Announcement, topic, document.clone().into(), true);
                    *step = Step::Announce;
                }
                Step::Announce if is_done(Class::Announcement, topic) => *step = Step::Settle(*now + SETTLE),
                Step::Settle(until) if *until <= *now => {
                    if let Some(state) = spool.state_of(name) {
                        outbox.set(Class::State, &state_topic, state.into(), config.mqtt.retain_state);
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
        settled.chain(self.arrival.map(|arrival| arrival.online_at)).min()
    }

    fn arrive(&mut self) {
        let Some(arrival) = &mut self.arrival else { return };
        if !arrival.has_caught_up && self.outbox.has_caught_up() {
            *arrival = Arrival { online_at: arrival.online_at.min(self.now + SETTLE), has_caught_up: true };
        }
        if arrival.online_at <= self.now {
            self.arrival = None;
            self.outbox.set(Class::BridgeState, &self.topics.bridge_state(), ONLINE.into(), true);
        }
    }

    /// Announces a configured meter, at once where none of its published values is `outdated`.
    pub(super) fn announce(&mut self, name: &str, outdated: &Outdated, topic: String, document: String) {
        let blanked = self.blanked(name, outdated);
        let Some(known) = self.meters.get_mut(name) else { return };
        if let Some(state) = blanked {
            self.outbox.set(Class::State, &self.topics.state(name), state.into(), self.config.mqtt.retain_state);
            known.transition = Some(Transition { step: Step::Blank, document: (topic, document) });
            return;
        }
        if let Some(transition) = &mut known.transition {
            transition.document = (topic.clone(), document.clone());
            if transition.step == Step::Blank {
                return;
            }
            transition.step = Step::Announce;
        }
        if self.outbox.get(Class::Announcement, &topic) != Some(document.as_bytes()) {
            self.outbox.set(Class::Announcement, &topic, document.into(), true);
        }
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
