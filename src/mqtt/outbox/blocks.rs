//! What the broker does not take now, and when it is tried again. Nothing is given up here.
//!
//! A refusal blocks the topic. A broker that cannot refuse, or does not want to, closes the connection:
//! then whoever it was (`suspects`) is blocked for longer, and the second of a kind blocks its whole
//! kind, so that a right that is missing for 250 announcements does not cost 250 connections before the
//! first reading. What was blocked so is tried alone: should the connection close again, it was that.
//!
//! Not here: what becomes of a reading that is blocked too long (`outbox`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Kind;

/// Of a topic that was refused. They grow slowly, so that a broker that refuses for a few seconds, as one of a
/// cluster may, has the message soon after.
const REFUSED: Pauses = Pauses { first: Duration::from_secs(1), longest: Duration::from_secs(15), growth_percent: 25 };
/// Of what made the broker close the connection.
const CLOSED: Pauses =
    Pauses { first: Duration::from_secs(5), longest: Duration::from_secs(3600), growth_percent: 100 };
/// So many of a kind in a row, and the kind is blocked.
const OF_A_KIND: u32 = 2;

/// Blocked topics and kinds.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    topics: BTreeMap<String, Block>,
    kinds: BTreeMap<Kind, Block>,
}

#[derive(Clone, Copy, Debug)]
struct Pauses {
    first: Duration,
    longest: Duration,
    /// By how much each is longer than the one before.
    growth_percent: u32,
}

#[derive(Debug, Default)]
struct Block {
    /// `None`: the next message may be tried.
    until: Option<Instant>,
    pause: Duration,
    /// That message is on the way.
    trying: bool,
    /// How often in a row the broker closed the connection at it …
    closed: u32,
    /// … and when it did so first.
    since: Option<Instant>,
}

/// How a broker has closed the connection at messages of a topic, in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closings {
    pub(super) is_first: bool,
    /// For how long it does so.
    pub(super) lasting: Duration,
}

impl Block {
    fn begin(&mut self, now: Instant, Pauses { first, longest, growth_percent }: Pauses) {
        let longer = self.pause + self.pause * growth_percent / 100;
        self.pause = longer.clamp(first, longest);
        self.until = Some(now + self.pause);
        self.trying = false;
    }

    fn may_go(&self) -> bool {
        self.until.is_none() && !self.trying
    }
}

impl Blocks {
    /// Whether this is the first refusal since the topic was last taken.
    pub(super) fn refused(&mut self, topic: &str, now: Instant) -> bool {
        let first = !self.topics.contains_key(topic);
        self.topics.entry(topic.to_owned()).or_default().begin(now, REFUSED);
        first
    }

    /// The broker closed the connection at this message.
    pub(super) fn closed(&mut self, kind: Kind, topic: &str, now: Instant) -> Closings {
        if kind != Kind::Reading {
            let block = self.kinds.entry(kind).or_default();
            block.closed += 1;
            block.trying = false;
            if block.closed >= OF_A_KIND {
                block.begin(now, CLOSED);
            }
        }
        if kind == Kind::Note {
            return Closings { is_first: true, lasting: Duration::ZERO };
        }
        let block = self.topics.entry(topic.to_owned()).or_default();
        if block.closed == 0 {
            block.pause = Duration::ZERO;
        }
        block.closed += 1;
        block.begin(now, CLOSED);
        let since = *block.since.get_or_insert(now);
        Closings { is_first: block.closed == 1, lasting: now.duration_since(since) }
    }

    /// The broker has it: whether it had closed the connection at it before.
    pub(super) fn acked(&mut self, kind: Kind, topic: &str) -> bool {
        self.kinds.remove(&kind);
        self.topics.remove(topic).is_some_and(|block| block.closed > 0)
    }

    /// Refusals end with their connection: rights may be others on the next one.
    pub(super) fn reconnected(&mut self) {
        self.topics.retain(|_, block| block.closed > 0);
        self.recall();
    }

    /// Nothing is on the way any more.
    pub(super) fn recall(&mut self) {
        self.topics.values_mut().chain(self.kinds.values_mut()).for_each(|block| block.trying = false);
    }

    /// What was on the way of this topic is not waited for any more.
    pub(super) fn not_tried(&mut self, topic: &str) {
        self.topics.get_mut(topic).into_iter().for_each(|block| block.trying = false);
    }

    /// Ends the pauses that are over.
    pub(super) fn expire(&mut self, now: Instant) {
        let over = |block: &&mut Block| block.until.is_some_and(|until| until <= now);
        self.topics.values_mut().chain(self.kinds.values_mut()).filter(over).for_each(|block| block.until = None);
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.topics.values().chain(self.kinds.values()).filter_map(|block| block.until).min()
    }

    /// Whether a message may be sent; `is_idle`: nothing is on the way.
    pub(super) fn may_go(&self, kind: Kind, topic: &str, is_idle: bool) -> bool {
        self.topics.get(topic).is_none_or(Block::may_go)
            && self.kinds.get(&kind).is_none_or(Block::may_go)
            && (is_idle || !self.goes_alone(kind, topic))
    }

    /// Whether it is held for a pause.
    pub(super) fn is_blocked(&self, kind: Kind, topic: &str) -> bool {
        [self.topics.get(topic), self.kinds.get(&kind)].into_iter().flatten().any(|block| block.until.is_some())
    }

    /// Whether nothing else may be on the way with it.
    pub(super) fn goes_alone(&self, kind: Kind, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|block| block.closed > 0)
            || self.kinds.get(&kind).is_some_and(|block| block.closed >= OF_A_KIND)
    }

    /// It is on the way: no other of its topic, or of its blocked kind, may go before it has arrived.
    pub(super) fn trying(&mut self, kind: Kind, topic: &str) {
        if let Some(block) = self.topics.get_mut(topic) {
            block.trying = true;
        }
        if let Some(block) = self.kinds.get_mut(&kind).filter(|block| block.closed >= OF_A_KIND) {
            block.trying = true;
        }
    }
}
