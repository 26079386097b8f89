//! Why does the broker close the connection? One of MQTT 3.1.1 cannot refuse a message, and some of MQTT 5
//! do not want to: they hang up. So whatever was on the way then is suspect, until it has arrived. After
//! a second time all messages go one at a time, which shows which one it is.
//!
//! Not here: what becomes of it (`blocks`).

use std::collections::BTreeSet;

/// Closed connections after which messages go one at a time.
const ONE_BY_ONE_AFTER: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Connections closed since nothing was suspect.
    closed: u32,
    /// Topics of what was on the way then and has not arrived since.
    topics: BTreeSet<String>,
    /// One of those was the reason.
    has_convicted: bool,
}

impl Suspects {
    /// The broker closed the connection with these topics on the way: is one message alone on the way the
    /// reason?
    pub(super) fn hung_up<'a>(&mut self, topics: impl ExactSizeIterator<Item = &'a str>) -> bool {
        if topics.len() == 0 {
            return false;
        }
        let shown = self.go_one_by_one() && topics.len() == 1;
        self.closed += 1;
        self.topics.extend(topics.map(str::to_owned));
        shown
    }

    /// It arrived: no longer suspect. Whether it was the last one, so that no message was the reason.
    pub(super) fn cleared(&mut self, topic: &str) -> bool {
        if !self.topics.remove(topic) || !self.topics.is_empty() {
            return false;
        }
        let was_none = !self.has_convicted;
        (self.closed, self.has_convicted) = (0, false);
        was_none
    }

    /// It is blocked from now on.
    pub(super) fn convicted(&mut self, topic: &str) {
        self.has_convicted = true;
        self.cleared(topic);
    }

    pub(super) fn go_one_by_one(&self) -> bool {
        self.closed >= ONE_BY_ONE_AFTER
    }
}
