//! How the agent comes back: after each connect it is `offline` until everything retained has arrived.
//!
//! What the broker holds after a crash of either side is not known, and it gets document after document. What is
//! unavailable meanwhile is not recorded.

use std::time::{Duration, Instant};

use super::super::outbox::Class;
use super::super::payload::{OFFLINE, ONLINE};
use super::Publisher;
use super::listener::Listener;
use super::transition::SETTLE;

/// A broker that is slower than this with everything retained sees the agent `online` before it has it all.
const OFFLINE_AT_MOST: Duration = Duration::from_secs(60);

/// The agent is connected, but still `offline`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// When it is `online`: at the latest, until everything has arrived.
    online_at: Instant,
    has_caught_up: bool,
}

impl Publisher {
    /// There is a new connection.
    pub(in crate::mqtt) fn up(&mut self) {
        self.go_offline();
        self.outbox.up();
        self.meters.values_mut().for_each(|known| known.contested_since = None);
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

    /// When it is `online` at the latest.
    pub(super) fn online_at(&self) -> Option<Instant> {
        self.arrival.map(|arrival| arrival.online_at)
    }

    /// Goes `online` if the time has come.
    pub(super) fn arrive(&mut self) {
        let Some(arrival) = &mut self.arrival else { return };
        if !arrival.has_caught_up && self.outbox.has_caught_up() {
            *arrival = Arrival { online_at: arrival.online_at.min(self.now + SETTLE), has_caught_up: true };
        }
        if arrival.online_at <= self.now {
            self.arrival = None;
            self.outbox.set(Class::BridgeState, &self.topics.bridge_state(), ONLINE.into(), true);
        }
    }
}
