//! What to publish next. Pure: `now` is passed, and the spool is read by the caller.
//!
//! Three kinds of message leave the agent, all QoS 1:
//! - *retained documents* (bridge state, availability, announcements, states): each topic has one
//!   newest payload. After every connect all of them are published again, in the order of
//!   [`Class`], because a will may have been sent, or the broker may have forgotten them.
//! - *notes* (events, responses): once, in order, kept in a bounded queue while there is no broker.
//! - *readings*: from the spool, oldest first. A cursor moves only when the broker has acknowledged
//!   everything up to it; after a reconnect they are sent again from the cursor.
//!
//! Documents go before notes, notes before readings, and readings never fill the whole window, so
//! that live data is not delayed by a backlog.
//!
//! Not here: topics and payloads, the connection (`link`), the store (`spool`).

mod doubt;
mod readings;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::link::{Publish, Refusal};
use readings::Readings;

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
    /// `bridge/info`.
    Info,
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

/// What a refused or doubtful message came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its topic.
    pub topic: String,
    /// Why; `None`: the broker closed the connection at it, again and again.
    pub refusal: Option<Refusal>,
    /// The first time for this topic on this connection: worth a line in the log.
    pub first: bool,
    /// A reading that the broker will never take: the caller sets it aside in the spool.
    pub set_aside: Option<u64>,
    /// The cursor, where it moved.
    pub cursor: Option<u64>,
}

/// The queue in front of the broker.
#[derive(Debug)]
pub struct Outbox {
    connected: bool,
    subscribed: bool,
    documents: BTreeMap<(Class, String), Retained>,
    /// Documents to publish.
    dirty: BTreeSet<(Class, String)>,
    notes: VecDeque<Note>,
    /// Notes dropped because too many waited.
    notes_dropped: u64,
    on_the_way: BTreeMap<u64, Sent>,
    next_id: u64,
    readings: Readings,
    /// Topics refused on this connection: they get one try.
    refused: HashSet<String>,
    /// Topics of which that, or a message too large, was logged on this connection.
    logged: HashSet<String>,
    birth: Option<(Instant, BirthPhase)>,
}

/// The newest payload of a topic that has one.
#[derive(Debug)]
struct Retained {
    payload: Vec<u8>,
    retain: bool,
    on_the_way: bool,
}

#[derive(Debug)]
struct Note {
    topic: String,
    payload: Vec<u8>,
}

#[derive(Debug)]
enum Sent {
    Document((Class, String)),
    Note(Note),
    Reading { seq: u64, topic: String },
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
            documents: BTreeMap::new(),
            dirty: BTreeSet::new(),
            notes: VecDeque::new(),
            notes_dropped: 0,
            on_the_way: BTreeMap::new(),
            next_id: 0,
            readings: Readings::new(cursor),
            refused: HashSet::new(),
            logged: HashSet::new(),
            birth: None,
        }
    }

    /// Sets the newest payload of a topic; an empty one removes it from the broker.
    pub fn set(&mut self, class: Class, topic: &str, payload: Vec<u8>, retain: bool) {
        let key = (class, topic.to_owned());
        let on_the_way = self.documents.get(&key).is_some_and(|d| d.on_the_way);
        self.documents.insert(key.clone(), Retained { payload, retain, on_the_way });
        self.dirty.insert(key);
    }

    /// The newest payload of a topic.
    #[must_use]
    pub fn get(&self, class: Class, topic: &str) -> Option<&[u8]> {
        self.documents.get(&(class, topic.to_owned())).map(|d| d.payload.as_slice())
    }

    /// Takes every retained document of these classes back from the broker.
    pub fn clear(&mut self, wanted: impl Fn(Class) -> bool) {
        for (key, document) in self.documents.iter_mut().filter(|((class, _), _)| wanted(*class)) {
            document.payload.clear();
            self.dirty.insert(key.clone());
        }
    }

    /// Forgets all documents: others, under other topics, take their places. Only what is being taken back
    /// still is.
    pub fn forget_documents(&mut self) {
        self.documents.retain(|_, document| document.payload.is_empty());
        let Self { documents, dirty, .. } = self;
        dirty.retain(|key| documents.contains_key(key));
    }

    /// Queues a message that is published once.
    pub fn note(&mut self, topic: String, payload: Vec<u8>) {
        if self.notes.len() >= NOTES {
            self.notes.pop_front();
            self.notes_dropped = self.notes_dropped.saturating_add(1);
        }
        self.notes.push_back(Note { topic, payload });
    }

    /// A new connection: everything retained is published again, readings from the cursor on.
    pub fn up(&mut self) {
        self.recall();
        self.connected = true;
        self.subscribed = false;
        self.refused.clear();
        self.logged.clear();
        self.dirty.extend(self.documents.keys().cloned());
        // what Home Assistant got last may be lost
        self.birth = self.birth.map(|(at, _)| (at, BirthPhase::Announce));
    }

    /// The connection is gone; `closed` by the other end, not by silence or the network. The
    /// verdict is on the reading at which it always closes, if there is one.
    pub fn down(&mut self, closed: bool) -> Option<Verdict> {
        let suspect = if self.connected && closed { self.suspect() } else { None };
        self.recall();
        self.connected = false;
        let (seq, topic) = suspect?;
        if !self.readings.doubt.convicts(seq) {
            return None;
        }
        let cursor = self.readings.settle_unsent(seq);
        Some(Verdict { topic, refusal: None, first: true, set_aside: Some(seq), cursor })
    }

    /// The oldest reading on the way, if no other kind of message is.
    fn suspect(&self) -> Option<(u64, String)> {
        let mut oldest: Option<(u64, &String)> = None;
        for sent in self.on_the_way.values() {
            let Sent::Reading { seq, topic } = sent else { return None };
            if oldest.is_none_or(|(other, _)| *seq < other) {
                oldest = Some((*seq, topic));
            }
        }
        oldest.map(|(seq, topic)| (seq, topic.clone()))
    }

    /// Takes back what is on the way.
    fn recall(&mut self) {
        for sent in std::mem::take(&mut self.on_the_way).into_values().rev() {
            match sent {
                Sent::Document(key) => {
                    if let Some(document) = self.documents.get_mut(&key) {
                        document.on_the_way = false;
                        self.dirty.insert(key);
                    }
                }
                Sent::Note(note) => self.notes.push_front(note),
                Sent::Reading { .. } => {}
            }
        }
        self.readings.restart();
    }

    /// Home Assistant has started: announcements again, then availability and states.
    pub fn birth(&mut self, now: Instant) {
        self.birth = Some((now + BIRTH_DEBOUNCE, BirthPhase::Announce));
    }

    /// When [`next`](Self::next) will have something to do without anything else happening.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        if !self.connected {
            return None;
        }
        let birth = self.birth.map(|(at, _)| at);
        birth.into_iter().chain(self.readings.hold_until).min()
    }

    /// What to do now; call it until it says [`Next::Wait`].
    pub fn next(&mut self, now: Instant) -> Next {
        if !self.connected {
            return Next::Wait;
        }
        if !self.subscribed {
            self.subscribed = true;
            return Next::Subscribe;
        }
        if let Some(step) = self.birth_step(now) {
            return Next::Birth(step);
        }
        if self.on_the_way.len() >= WINDOW {
            return Next::Wait;
        }
        if let Some(message) = self.next_document() {
            return Next::Publish(message);
        }
        if let Some(note) = self.notes.pop_front() {
            let (topic, payload) = (note.topic.clone(), note.payload.clone());
            return Next::Publish(self.send(Sent::Note(note), topic, payload, false));
        }
        self.readings.next(now)
    }

    /// The first document that is newer than the broker's and not on the way already.
    fn next_document(&mut self) -> Option<Publish> {
        let idle = |key: &&(Class, String)| self.documents.get(*key).is_some_and(|d| !d.on_the_way);
        let key = self.dirty.iter().find(idle)?.clone();
        self.dirty.remove(&key);
        let document = self.documents.get_mut(&key)?;
        document.on_the_way = true;
        let (payload, retain, topic) = (document.payload.clone(), document.retain, key.1.clone());
        Some(self.send(Sent::Document(key), topic, payload, retain))
    }

    fn send(&mut self, sent: Sent, topic: String, payload: Vec<u8>, retain: bool) -> Publish {
        self.next_id += 1;
        self.on_the_way.insert(self.next_id, sent);
        Publish { id: self.next_id, topic, payload, retain }
    }

    fn birth_step(&mut self, now: Instant) -> Option<BirthPhase> {
        let (_, step) = self.birth.filter(|(at, _)| *at <= now)?;
        let announcement = |class| matches!(class, Class::AgentAnnouncement | Class::Announcement);
        let again = self.documents.keys().filter(|(class, _)| announcement(*class) == (step == BirthPhase::Announce));
        self.dirty.extend(again.cloned());
        self.birth = (step == BirthPhase::Announce).then_some((now + BIRTH_SETTLE, BirthPhase::States));
        Some(step)
    }

    /// The reading that [`Next::ReadingAfter`] or [`Next::ReadingAgain`] asked for.
    pub fn reading(&mut self, seq: u64, topic: String, payload: Vec<u8>) -> Publish {
        self.readings.handed_out(seq);
        self.send(Sent::Reading { seq, topic: topic.clone() }, topic, payload, false)
    }

    /// A reading that was asked for is no longer in the spool.
    pub fn reading_is_gone(&mut self, seq: u64) -> Option<u64> {
        self.readings.handed_out(seq);
        self.readings.settle(seq)
    }

    /// The broker has it. The cursor, where it moved.
    pub fn acked(&mut self, id: u64) -> Option<u64> {
        match self.on_the_way.remove(&id)? {
            Sent::Document(key) => {
                let document = self.documents.get_mut(&key)?;
                document.on_the_way = false;
                if document.payload.is_empty() && !self.dirty.contains(&key) {
                    self.documents.remove(&key);
                }
                None
            }
            Sent::Note(_) => None,
            Sent::Reading { seq, .. } => {
                self.readings.doubt.clear();
                self.readings.settle(seq)
            }
        }
    }

    /// The broker refuses it. Nothing is tried again at once, and a topic once refused gets
    /// no second try on this connection.
    pub fn refused(&mut self, id: u64, refusal: Refusal, now: Instant) -> Option<Verdict> {
        let sent = self.on_the_way.remove(&id)?;
        let (topic, seq) = match sent {
            Sent::Document(key) => {
                if let Some(document) = self.documents.get_mut(&key) {
                    document.on_the_way = false;
                }
                (key.1, None)
            }
            Sent::Note(note) => (note.topic, None),
            Sent::Reading { seq, topic } => (topic, Some(seq)),
        };
        let known = self.refused.contains(&topic);
        let hopeless = known || refusal == Refusal::TooLarge;
        let set_aside = seq.filter(|seq| hopeless || self.readings.is_last_try(*seq));
        let final_word = seq.is_none() || set_aside.is_some();
        if let (Some(seq), false) = (seq, final_word) {
            self.readings.try_again(seq, now);
        }
        let first = final_word && self.logged.insert(topic.clone());
        if final_word && refusal != Refusal::TooLarge {
            self.refused.insert(topic.clone());
        }
        let cursor = set_aside.and_then(|seq| self.readings.settle(seq));
        Some(Verdict { topic, refusal: Some(refusal), first, set_aside, cursor })
    }

    /// The readings have other numbers now: those above `cursor` are sent, again if need be.
    pub fn rewind(&mut self, cursor: u64) {
        self.on_the_way.retain(|_, sent| !matches!(sent, Sent::Reading { .. }));
        self.readings = Readings::new(cursor);
    }

    /// Documents and notes that the broker does not have yet.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.dirty.is_empty() && self.notes.is_empty() && self.on_the_way.is_empty()
    }

    /// Whether the broker has acknowledged the newest payload of this document.
    #[must_use]
    pub fn has_arrived(&self, class: Class, topic: &str) -> bool {
        let key = (class, topic.to_owned());
        !self.dirty.contains(&key) && self.documents.get(&key).is_none_or(|d| !d.on_the_way)
    }

    /// Notes lost so far because too many waited for a broker.
    #[must_use]
    pub fn notes_dropped(&self) -> u64 {
        self.notes_dropped
    }
}

#[cfg(test)]
mod tests;
