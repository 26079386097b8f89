//! What goes next.
//!
//! Not here: what may not go (`blocks`), how fast (`endurance`).

use std::time::Instant;

use super::super::link::Publish;
use super::readings::{Step, Waiting};
use super::{BIRTH_SETTLE, BirthPhase, Class, Kind, Next, Outbox, Sent, WINDOW, What};

impl Outbox {
    /// When [`next`](Self::next) will have something to do without anything else happening.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        if !self.connected {
            return None;
        }
        let birth = self.birth.map(|(at, _)| at);
        let endurance =
            [self.endurance.next_at(), self.endurance.lasts_at().filter(|_| self.documents.has_postponed())];
        let others = endurance.into_iter().chain([self.passed_over]).flatten();
        birth.into_iter().chain(self.blocks.wake_at()).chain(others).min()
    }

    /// The broker has ended the connection because messages came too fast.
    pub fn too_fast(&mut self, now: Instant) {
        self.endurance.too_fast(now);
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
        self.blocks.expire(now);
        if self.endurance.has_lasted(now) {
            self.documents.publish_postponed();
        }
        let may_send = self.endurance.may_send(now);
        self.passed_over = None;
        if self.is_full() {
            return Next::Wait;
        }
        if !may_send {
            // nothing keeps the agent from saying that it goes
            let document = self.next_document(|class| class == Class::BridgeState);
            return document.map_or(Next::Wait, Next::Publish);
        }
        // states that change faster than they arrive one at a time would keep the readings waiting for ever
        if self.suspects.go_one_by_one() && std::mem::take(&mut self.after_document) {
            let next = self.next_reading();
            if next != Next::Wait {
                self.passed_over = Some(now);
                return next;
            }
        }
        let message = self.next_document(|_| true).or_else(|| self.next_note());
        message.map_or_else(|| self.next_reading(), Next::Publish)
    }

    fn next_reading(&mut self) -> Next {
        let Self { readings, blocks, on_the_way, .. } = self;
        match readings.next(|topic| blocks.may_go(Kind::Reading, topic, on_the_way.is_empty())) {
            Step::Wait => Next::Wait,
            Step::After(seq) => Next::ReadingAfter(seq),
            Step::Again(seq) => Next::ReadingAgain(seq),
            Step::Send(Waiting { seq, topic, payload }) => {
                self.reading(seq, topic, payload).map_or(Next::Wait, Next::Publish)
            }
        }
    }

    fn is_full(&self) -> bool {
        let goes_alone = |Sent { what, .. }: &Sent| self.blocks.goes_alone(what.kind(), what.topic());
        match self.on_the_way.len() {
            0 => false,
            1 => self.suspects.go_one_by_one() || self.on_the_way.values().any(goes_alone),
            some => self.suspects.go_one_by_one() || some >= WINDOW,
        }
    }

    fn next_document(&mut self, wanted: impl Fn(Class) -> bool) -> Option<Publish> {
        let Self { documents, blocks, on_the_way, .. } = self;
        let is_idle = on_the_way.is_empty();
        let may_go = |class, topic: &str| wanted(class) && blocks.may_go(Kind::Document(class), topic, is_idle);
        let (key, payload, retain) = documents.send_first(|(class, topic)| may_go(*class, topic))?;
        let topic = key.1.clone();
        Some(self.send(What::Document(key), topic, payload, retain))
    }

    fn next_note(&mut self) -> Option<Publish> {
        if !self.blocks.may_go(Kind::Note, &self.notes.front()?.topic, self.on_the_way.is_empty()) {
            return None;
        }
        let note = self.notes.pop_front()?;
        let (topic, payload) = (note.topic.clone(), note.payload.clone());
        Some(self.send(What::Note(note), topic, payload, false))
    }

    pub(super) fn send(&mut self, what: What, topic: String, payload: Vec<u8>, retain: bool) -> Publish {
        self.next_id += 1;
        self.endurance.sends();
        self.after_document = matches!(what, What::Document(_));
        self.blocks.trying(what.kind(), &topic);
        self.on_the_way.insert(self.next_id, Sent { what, bytes: payload.len() });
        Publish { id: self.next_id, topic, payload, retain }
    }

    fn birth_step(&mut self, now: Instant) -> Option<BirthPhase> {
        let (_, step) = self.birth.filter(|(at, _)| *at <= now)?;
        let announcement = |class| matches!(class, Class::AgentAnnouncement | Class::Announcement);
        self.documents.again(|class| announcement(class) == (step == BirthPhase::Announce));
        self.birth = (step == BirthPhase::Announce).then_some((now + BIRTH_SETTLE, BirthPhase::States));
        Some(step)
    }
}
