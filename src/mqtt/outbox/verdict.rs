//! What becomes of a message that the broker refuses, or at which it closes the connection.
//!
//! Not here: for how long it is held (`blocks`), which message it was (`suspects`).

use std::time::{Duration, Instant};

use super::super::link::Refusal;
use super::{Outbox, Sent, What};

/// For so long the broker may close the connection at a reading again and again; then it is set aside.
pub(super) const CLOSED_AT_A_READING: Duration = Duration::from_secs(2 * 24 * 3600);

/// What a refused or doubtful message came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its topic.
    pub topic: String,
    /// The length of its payload.
    pub bytes: usize,
    /// Why; `None`: the broker closed the connection at it.
    pub refusal: Option<Refusal>,
    /// The first time since a message of this topic was taken: worth a line in the log.
    pub first: bool,
    /// A reading that the broker will never take: the caller sets it aside in the spool.
    pub set_aside: Option<u64>,
    /// The cursor, where it moved.
    pub cursor: Option<u64>,
}

impl Outbox {
    /// The connection is gone; `closed` by the other end, not by silence or the network. The
    /// verdict is on the message at which it closes, once that is known.
    pub fn down(&mut self, closed: bool, now: Instant) -> Option<Verdict> {
        if self.connected {
            self.endurance.end(!self.on_the_way.is_empty(), closed, now);
        }
        let guilty = if self.connected && closed { self.guilty() } else { None };
        let verdict = guilty.and_then(|id| self.blocked(id, now));
        self.recall();
        self.connected = false;
        verdict
    }

    /// The message at which the broker has closed the connection.
    fn guilty(&mut self) -> Option<u64> {
        let alone = self.on_the_way.first_key_value().filter(|_| self.on_the_way.len() == 1);
        let alone = alone.map(|(id, Sent { what, .. })| (*id, self.blocks.goes_alone(what.kind(), what.topic())));
        match alone {
            Some((id, true)) => Some(id),
            other => {
                let shown = self.suspects.hung_up(self.on_the_way.values().map(|sent| sent.what.topic()));
                other.filter(|_| shown).map(|(id, _)| id)
            }
        }
    }

    fn blocked(&mut self, id: u64, now: Instant) -> Option<Verdict> {
        let Sent { what, bytes } = self.on_the_way.remove(&id)?;
        let topic = what.topic().to_owned();
        self.suspects.convicted(&topic);
        let closings = self.blocks.closed(what.kind(), &topic, now);
        let first = closings.is_first;
        let mut verdict = Verdict { topic, bytes, refusal: None, first, set_aside: None, cursor: None };
        match what {
            What::Document(key) => self.documents.back(key, true),
            What::Note(_) => self.notes_dropped = self.notes_dropped.saturating_add(1),
            What::Reading { seq, .. } if !self.readings.is_on_the_way(seq) => {}
            What::Reading { seq, .. } if closings.lasting >= CLOSED_AT_A_READING || self.readings.is_at_its_reach() => {
                self.set_aside(seq, &mut verdict);
            }
            What::Reading { seq, .. } => self.readings.back(seq),
        }
        Some(verdict)
    }

    fn set_aside(&mut self, seq: u64, verdict: &mut Verdict) {
        verdict.set_aside = Some(seq);
        verdict.cursor = self.readings.settle(seq);
    }

    /// The broker refuses it. It is tried again after a pause, unless that can never help; a note is not.
    pub fn refused(&mut self, id: u64, refusal: Refusal, now: Instant) -> Option<Verdict> {
        let Sent { what, bytes } = self.on_the_way.remove(&id)?;
        let topic = what.topic().to_owned();
        self.suspects.cleared(&topic);
        let is_final = matches!(refusal, Refusal::TooLarge | Refusal::Topic);
        let first = match &what {
            What::Document(_) | What::Reading { .. } if !is_final => self.blocks.refused(&topic, now),
            _ => self.logged.insert(topic.clone()),
        };
        let mut verdict = Verdict { topic, bytes, refusal: Some(refusal), first, set_aside: None, cursor: None };
        match what {
            What::Document(key) => self.documents.back(key, !is_final),
            What::Note(_) => self.notes_dropped = self.notes_dropped.saturating_add(1),
            What::Reading { seq, .. } if !self.readings.is_on_the_way(seq) => {}
            What::Reading { seq, .. } if is_final || self.readings.is_at_its_reach() => {
                self.set_aside(seq, &mut verdict);
            }
            What::Reading { seq, .. } => self.readings.back(seq),
        }
        Some(verdict)
    }
}
