//! What is heard of other agents, and what follows: it is said, nothing of theirs is taken back, and who is
//! thrown out for the client id takes another one.
//!
//! Not here: what proves another agent (`other_agent`, `namesake`).

use super::super::link::{Credentials, Fault};
use super::super::namesake::another_id;
use super::super::other_agent::{self, Change};
use super::super::outbox::Class;
use super::super::payload::{Event, OFFLINE, ONLINE};
use super::OutboxTask;

impl OutboxTask {
    /// A message on the agent's own topics; `false` where it is on another one.
    pub(super) fn heard_of_others(&mut self, topic: &str, payload: &[u8], retain: bool) -> bool {
        let (topics, now) = (&self.publisher.topics, self.publisher.now);
        if topic == topics.bridge_state() {
            // after a connect it is the agent's own
            if payload == OFFLINE.as_bytes() && !retain && !self.publisher.is_arriving() {
                self.other.heard_offline(now);
            }
            return true;
        }
        if topic != topics.bridge_info() {
            return false;
        }
        if retain {
            self.found_info(payload);
        } else {
            let change = self.other.heard(payload, now);
            self.tell_change(change);
        }
        true
    }

    /// The newest `bridge/info` at a new connection.
    fn found_info(&mut self, payload: &[u8]) {
        let is_own = other_agent::instance(payload).is_none_or(|instance| instance == self.publisher.spool.instance());
        if is_own {
            self.namesake.ended(false);
        } else if self.namesake.found_another(self.other.instance().is_some(), self.publisher.now) {
            self.take_another_id();
        }
    }

    /// There is no connection, or no longer.
    pub(super) fn ended(&mut self, fault: &Fault) {
        self.other.down();
        let was_up = self.connection.is_some();
        if *fault == Fault::TakenOver {
            if self.namesake.taken_over(self.publisher.now) {
                self.take_another_id();
            }
            return;
        }
        let newest_is_own = self.publisher.outbox.has_arrived(Class::Info, &self.publisher.topics.bridge_info());
        self.namesake.ended(was_up && newest_is_own && *fault == Fault::Closed);
    }

    /// What time alone changes.
    pub(super) fn look_around(&mut self) {
        let now = self.publisher.now;
        let gone = self.other.check(now);
        self.tell_change(gone);
        if self.other.is_to_say_online(now) {
            self.publisher.outbox.set(Class::BridgeState, &self.publisher.topics.bridge_state(), ONLINE.into(), true);
        }
        self.publisher.hold_back(!self.other.is_alone(now));
    }

    fn tell_change(&mut self, change: Option<Change>) {
        let base = self.publisher.topics.base();
        let instance = match change {
            None => return,
            Some(Change::Appeared(instance)) => {
                tracing::warn!(
                    instance,
                    "another agent publishes below the base_topic {base}, too; give each agent its own base_topic in \
                     [mqtt]; until then, nothing that may be the other's is taken back"
                );
                Some(instance)
            }
            Some(Change::Gone(instance)) => {
                tracing::info!(instance, "the other agent below the base_topic {base} is gone");
                None
            }
        };
        self.publisher.tell(&Event::OtherAgent { instance });
        self.display.info_now(self.publisher.now);
    }

    fn take_another_id(&mut self) {
        self.who.client_id = another_id(&self.who.client_id, self.publisher.spool.instance());
        tracing::warn!(
            "another client with the same client id has thrown this one out twice, so it connects as {} until its next \
             start; give each agent its own base_topic, or its own client_id, in [mqtt]",
            self.who.client_id
        );
        self.reconnect = Some((self.who.clone(), self.publisher.now));
    }

    /// Who to connect as with another configuration.
    pub(super) fn connect_as(&mut self, mut who: Credentials) -> Credentials {
        if self.namesake.is_renamed() {
            who.client_id = another_id(&who.client_id, self.publisher.spool.instance());
        }
        self.who = who.clone();
        who
    }
}
