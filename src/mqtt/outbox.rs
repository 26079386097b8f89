//! What to publish next. Pure: `now` is passed, and the spool is read by the caller.
//!
//! Three kinds of message leave the agent, all QoS 1:
//! - *retained documents* (bridge state, availability, announcements, states): each topic has one
//!   newest payload. After every connect all of them are published again, in the order of
//!   [`Class`], because a will may have been sent, or the broker may have forgotten them. Where no
//!   connection lasts, those that have arrived wait for one that does (`endurance`).
//! - *notes* (events, responses): once, in order, kept in a bounded queue while there is no broker.
//! - *readings*: from the spool, oldest first, of each topic one at a time. A cursor moves only when the
//!   broker has acknowledged everything up to it; after a reconnect what it does not have is sent again.
//!
//! Documents go before notes, notes before readings, and readings never fill the whole window, so
//! that live data is not delayed by a backlog.
//!
//! What the broker refuses, or closes the connection at, is tried again after growing pauses (`blocks`),
//! while everything else goes on. Only a reading that it can never take is given up: one that is too
//! large, or of a topic it does not know, or at which it has closed the connection for two days.
//!
//! Not here: topics and payloads, the connection (`link`), the store (`spool`).

mod blocks;
mod documents;
mod endurance;
mod readings;
mod suspects;
mod turn;
mod verdict;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::link::Publish;
use blocks::Blocks;
use documents::{Documents, Key};
use endurance::Endurance;
use readings::{Readings, Waiting};
use suspects::Suspects;
pub use verdict::Verdict;

/// Messages on the way, at most.
const WINDOW: usize = 64;
/// Notes that wait for a broker; the oldest are dropped.
const NOTES: usize = 1000;
/// After a birth message, Home Assistant is given this time to send another one …
const BIRTH_DEBOUNCE: Duration = Duration::from_secs(2);
/// … and after the announcements this time to make its entities, before it gets their states.
const BIRTH_SETTLE: Duration = Duration::from_secs(5);

/// What a retained document is; also the order in which documents are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// `bridge/state`.
    BridgeState,
    /// Availability of a meter.
    Availability,
    /// The announcement of the agent itself: the others refer to it.
    AgentAnnouncement,
    /// The announcement of a meter.
    Announcement,
    /// A meter's last values.
    State,
    /// `bridge/info` and `bridge/scan`.
    Info,
}

impl Class {
    const fn is_announcement(self) -> bool {
        matches!(self, Self::Announcement | Self::AgentAnnouncement)
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Document(Class),
    Note,
    Reading,
}

/// What the caller must do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Subscribe to all command topics.
    Subscribe,
    /// Publish this.
    Publish(Publish),
    /// Look for the first reading with a higher number in the spool and hand it to
    /// [`Outbox::reading`]; if there is none, there is nothing to do.
    ReadingAfter(u64),
    /// Hand this reading to [`Outbox::reading`] again.
    ReadingAgain(u64),
    /// Home Assistant restarted and is ready for the next step: queue what only it needs.
    Birth(BirthPhase),
    /// Nothing, until something happens or [`Outbox::wake_at`].
    Wait,
}

/// The broker has a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The cursor, where it moved.
    pub cursor: Option<u64>,
}

/// The queue in front of the broker.
#[derive(Debug)]
pub struct Outbox {
    connected: bool,
    subscribed: bool,
    documents: Documents,
    /// Everything but announcements is being taken back for good: nothing new appears there.
    leaving: bool,
    notes: VecDeque<Note>,
    /// Notes lost: too many waited, or the broker did not take them.
    notes_dropped: u64,
    on_the_way: BTreeMap<u64, Sent>,
    next_id: u64,
    readings: Readings,
    blocks: Blocks,
    suspects: Suspects,
    endurance: Endurance,
    /// The message sent last is a document: where messages go one at a time, it is a reading's turn.
    after_document: bool,
    /// A reading was asked for before the documents: if there is none, it is their turn, since this time.
    passed_over: Option<Instant>,
    /// Topics of which a message that can never be taken was logged on this connection.
    logged: HashSet<String>,
    birth: Option<(Instant, BirthPhase)>,
}

#[derive(Debug)]
struct Note {
    topic: String,
    payload: Vec<u8>,
}

#[derive(Debug)]
struct Sent {
    what: What,
    bytes: usize,
}

#[derive(Debug)]
enum What {
    Document(Key),
    Note(Note),
    Reading { seq: u64, topic: String },
}

impl What {
    fn kind(&self) -> Kind {
        match self {
            Self::Document((class, _)) => Kind::Document(*class),
            Self::Note(_) => Kind::Note,
            Self::Reading { .. } => Kind::Reading,
        }
    }

    fn topic(&self) -> &str {
        match self {
            Self::Document((_, topic)) | Self::Note(Note { topic, .. }) | Self::Reading { topic, .. } => topic,
        }
    }
}

/// How far a Home Assistant is that was just started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BirthPhase {
    /// It gets the announcements.
    Announce,
    /// It has made its entities, and gets their states.
    States,
}

impl Outbox {
    /// `cursor`: the number of the last reading that needs no publishing.
    #[must_use]
    pub fn new(cursor: u64) -> Self {
        Self {
            connected: false,
            subscribed: false,
            documents: Documents::default(),
            leaving: false,
            notes: VecDeque::new(),
            notes_dropped: 0,
            on_the_way: BTreeMap::new(),
            next_id: 0,
            readings: Readings::new(cursor),
            blocks: Blocks::default(),
            suspects: Suspects::default(),
            endurance: Endurance::default(),
            after_document: false,
            passed_over: None,
            logged: HashSet::new(),
            birth: None,
        }
    }

    /// Sets the newest payload of a topic; an empty one removes it from the broker.
    pub fn set(&mut self, class: Class, topic: &str, payload: Vec<u8>, retain: bool) {
        if self.leaving && !class.is_announcement() && !payload.is_empty() {
            return;
        }
        self.documents.set((class, topic.to_owned()), payload, retain);
    }

    /// Whether everything that was to be published at the last connect has arrived, but for what the broker
    /// refuses.
    #[must_use]
    pub fn has_caught_up(&self) -> bool {
        self.documents.missing().all(|(class, topic)| self.is_blocked(*class, topic))
    }

    /// Whether the broker has everything that was sent.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.on_the_way.is_empty()
    }

    /// Whether the broker refuses this document, which is tried again later.
    #[must_use]
    pub fn is_blocked(&self, class: Class, topic: &str) -> bool {
        self.blocks.is_blocked(Kind::Document(class), topic)
    }

    /// The newest payload of a topic.
    #[must_use]
    pub fn get(&self, class: Class, topic: &str) -> Option<&[u8]> {
        self.documents.get(&(class, topic.to_owned()))
    }

    /// Takes every retained document but announcements back from the broker. Until
    /// [`forget_documents`](Self::forget_documents) or [`stay`](Self::stay), no other one appears.
    pub fn leave(&mut self) {
        self.leaving = true;
        self.documents.clear(|class| !class.is_announcement());
    }

    /// It does not leave after all.
    pub fn stay(&mut self) {
        self.leaving = false;
    }

    /// Forgets all documents: others, under other topics, take their places. Only what is being taken back
    /// still is.
    pub fn forget_documents(&mut self) {
        self.leaving = false;
        self.documents.forget();
    }

    /// Queues a message that is published once.
    pub fn note(&mut self, topic: String, payload: Vec<u8>) {
        if self.notes.len() >= NOTES {
            self.notes.pop_front();
            self.notes_dropped = self.notes_dropped.saturating_add(1);
        }
        self.notes.push_back(Note { topic, payload });
    }

    /// A new connection: everything retained is published again, and the readings that the broker does not
    /// have. After connections that were cut short, what arrived on them comes last.
    pub fn up(&mut self) {
        self.recall();
        self.connected = true;
        self.subscribed = false;
        self.blocks.reconnected();
        self.logged.clear();
        if self.endurance.begin() {
            self.documents.missing_again();
        } else {
            self.documents.all_again();
        }
        // what Home Assistant got last may be lost
        self.birth = self.birth.map(|(at, _)| (at, BirthPhase::Announce));
    }

    /// There are other topics to subscribe to.
    pub fn subscribe_again(&mut self) {
        self.subscribed = false;
    }

    /// Takes back what is on the way.
    fn recall(&mut self) {
        for sent in std::mem::take(&mut self.on_the_way).into_values().rev() {
            match sent.what {
                What::Document(key) => self.documents.back(key, true),
                What::Note(note) => self.notes.push_front(note),
                What::Reading { .. } => {}
            }
        }
        self.readings.restart();
        self.blocks.recall();
    }

    /// Home Assistant has started: announcements again, then availability and states.
    pub fn birth(&mut self, now: Instant) {
        self.birth = Some((now + BIRTH_DEBOUNCE, BirthPhase::Announce));
    }

    /// It has gone again.
    pub fn forget_birth(&mut self) {
        self.birth = None;
    }

    /// The reading that [`Next::ReadingAfter`] or [`Next::ReadingAgain`] asked for; `None` where it has to
    /// wait for another one of its topic.
    pub fn reading(&mut self, seq: u64, topic: String, payload: Vec<u8>) -> Option<Publish> {
        let may_go = self.blocks.may_go(Kind::Reading, &topic, self.on_the_way.is_empty());
        let Waiting { seq, topic, payload } = self.readings.offered(Waiting { seq, topic, payload }, may_go)?;
        Some(self.send(What::Reading { seq, topic: topic.clone() }, topic, payload, false))
    }

    /// A reading that was asked for again is no longer in the spool. The cursor, where it moved.
    pub fn reading_is_gone(&mut self, seq: u64) -> Option<u64> {
        self.readings.settle(seq)
    }

    /// The spool has lost readings with these numbers, all but those that are still `there`: how many of them
    /// were delivered or set aside already, and the cursor, where it moved.
    pub fn readings_are_lost(&mut self, from: u64, to: u64, there: impl Fn(u64) -> bool) -> (u64, Option<u64>) {
        self.readings.lost(|seq| (from..=to).contains(&seq) && !there(seq))
    }

    /// The broker has it.
    pub fn acked(&mut self, id: u64) -> Option<Delivered> {
        let Sent { what, .. } = self.on_the_way.remove(&id)?;
        let was_blamed = self.blocks.acked(what.kind(), what.topic());
        if self.suspects.cleared(what.topic()) || was_blamed {
            self.endurance.no_message_was_it();
        }
        match what {
            What::Document(key) => self.documents.acked(&key),
            What::Note(_) => {}
            What::Reading { seq, .. } => return self.readings.acked(seq).map(|cursor| Delivered { cursor }),
        }
        None
    }

    /// The readings have other numbers now: those above `cursor` are sent, again if need be.
    pub fn rewind(&mut self, cursor: u64) {
        self.on_the_way.retain(|_, Sent { what, .. }| {
            let is_reading = what.kind() == Kind::Reading;
            if is_reading {
                self.blocks.not_tried(what.topic());
            }
            !is_reading
        });
        self.readings = Readings::new(cursor);
    }

    /// Whether the broker has every document and note.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.documents.is_clean() && self.notes.is_empty() && self.on_the_way.is_empty()
    }

    /// Whether the broker has acknowledged the newest payload of this document.
    #[must_use]
    pub fn has_arrived(&self, class: Class, topic: &str) -> bool {
        self.documents.has_arrived(&(class, topic.to_owned()))
    }

    /// Notes lost so far: too many waited for a broker, or it did not take them.
    #[must_use]
    pub fn notes_dropped(&self) -> u64 {
        self.notes_dropped
    }

    /// Readings above the cursor that are delivered or set aside, though the spool still has them.
    #[must_use]
    pub fn done_above_the_cursor(&self) -> u64 {
        self.readings.done_above_the_cursor()
    }
}

#[cfg(test)]
mod tests;
