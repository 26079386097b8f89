//! What an exchange makes of the bytes that come, and of silence.

use std::time::{Duration, Instant};

use super::{Exchange, State, Wait};
use crate::mbus::link::frame::{ACK, LONG_START, MAX_LEN};
use crate::mbus::link::framer::Framer;
use crate::mbus::master::reply::{ExchangeError, Reply, check};
use crate::mbus::master::request::Answer;

/// How much later than it may come a byte may be handed on and still count as fresh.
const STALL: Duration = Duration::from_secs(1);

impl Exchange {
    /// Looks at the frames that came; the first that answers ends the exchange.
    fn take_frames(&mut self, mut next: Option<Vec<u8>>, wait: &mut Wait) -> Option<Reply> {
        while let Some(frame) = next {
            if frame == self.request.frame {
                wait.heard = wait.heard.saturating_sub(frame.len());
            } else {
                match check(self.request.answer, &frame) {
                    Ok(()) => return Some(Reply::Data(frame)),
                    Err(error) => wait.refused = Some(error),
                }
            }
            next = self.framer.next_frame();
        }
        None
    }

    /// The time has come to decide, or not yet: the next state, or when to look again.
    pub(super) fn decide(&mut self, mut wait: Wait, now: Instant) -> Result<State, (Wait, Instant)> {
        let last = wait.last_byte.unwrap_or(wait.first_byte_by);
        if self.framer.is_lone_ack() {
            let accept = match self.request.answer {
                // What follows it later, through a gateway, is noise to the next exchange, which copes with that.
                Answer::Ack if !self.several => last + self.timing.baud.characters(2),
                // E5 for "no data" is rare, and noise before a slow reply is not: wait the reply out.
                _ => wait.first_byte_by.max(last + self.quiet_at_the_end()),
            };
            return if now >= accept { Ok(self.answered(Reply::Ack, &wait, now)) } else { Err((wait, accept)) };
        }
        if !self.framer.is_empty() {
            let expiry = last + self.inter_byte();
            if now < expiry {
                return Err((wait, expiry));
            }
            let found = self.framer.expire();
            if let Some(reply) = self.take_frames(found, &mut wait) {
                return Ok(self.answered(reply, &wait, now));
            }
        }
        let end = match wait.last_byte {
            Some(last) => wait.first_byte_by.max(last + self.quiet_at_the_end()),
            None => wait.first_byte_by,
        };
        if now < end {
            return Err((wait, end));
        }
        Ok(self.unanswered(&wait, now))
    }

    fn answered(&mut self, reply: Reply, wait: &Wait, now: Instant) -> State {
        self.count_noise();
        if let [end] = self.ends.as_slice() {
            self.response_time = Some(wait.began.saturating_duration_since(*end));
            return State::Finished(Ok(reply));
        }
        // This may have been the answer to an earlier repeat; then another one is on its way.
        let until = self.another_by(wait.first_byte_by, now);
        State::Settle { until, give_up: until + self.longest(), began: wait.began, reply }
    }

    fn unanswered(&mut self, wait: &Wait, now: Instant) -> State {
        self.count_noise();
        match wait.refused {
            Some(error) => self.error = error,
            None if wait.heard > 0 => {
                self.error = match self.whole_in_pieces() {
                    Some(bytes) => ExchangeError::InPieces { bytes },
                    None => ExchangeError::Garbled { bytes: wait.heard },
                };
            }
            None => {}
        }
        let enough = self.takes_damage && wait.heard > 0;
        if enough || self.traffic.sends > u32::from(self.timing.retries) {
            return State::Finished(Err(self.error));
        }
        State::Pause { until: now, give_up: now + self.longest() }
    }

    /// The length of an answer that came whole, were it not for its pauses.
    fn whole_in_pieces(&self) -> Option<usize> {
        let mut framer = Framer::default();
        framer.receive(&self.heard);
        let frames = core::iter::from_fn(|| framer.next_frame());
        let mut frames = frames.filter(|frame| *frame != self.request.frame);
        frames.find(|frame| check(self.request.answer, frame).is_ok()).map(|frame| frame.len())
    }

    fn count_noise(&mut self) {
        self.traffic.noise += u64::try_from(self.framer.noise()).unwrap_or(u64::MAX);
    }

    /// Bytes, or a damaged character (`None`), at `now`.
    pub(super) fn hear(&mut self, bytes: Option<&[u8]>, now: Instant) {
        let count = bytes.map_or(1, <[u8]>::len);
        if self.heard.len() < 2 * MAX_LEN {
            self.heard.extend_from_slice(bytes.unwrap_or_default());
        }
        self.traffic.bytes_received += u64::try_from(count).unwrap_or(u64::MAX);
        let quiet_from = now + self.quiet();
        self.last_byte = self.ends.last().map(|end| now.saturating_duration_since(*end));
        match core::mem::replace(&mut self.state, State::Start) {
            // Not polled in time: what lay in a buffer meanwhile is an old answer.
            State::Wait(wait) if now > self.ended(&wait) + STALL => {
                self.state = State::Finished(Err(ExchangeError::ReadTooLate))
            }
            State::Wait(mut wait) => {
                if !self.framer.promises_more() {
                    wait.began = now.checked_sub(self.timing.baud.characters(count)).unwrap_or(now);
                } else if let Some(last) = wait.last_byte {
                    // pieces of one telegram: their pauses are not its own time
                    wait.give_up += now.saturating_duration_since(last + self.quiet());
                }
                wait.last_byte = Some(now);
                wait.heard += count;
                match bytes {
                    Some(bytes) => self.framer.receive(bytes),
                    None => self.framer.spoil(),
                }
                let next = self.framer.next_frame();
                self.state = match self.take_frames(next, &mut wait) {
                    Some(reply) => self.answered(reply, &wait, now),
                    None => State::Wait(wait),
                };
            }
            State::Pause { until, give_up } => {
                self.state = State::Pause { until: until.max(quiet_from), give_up };
            }
            State::Settle { until, give_up, began, reply } => {
                let until = until.max(quiet_from);
                self.state = match self.ends.as_slice() {
                    // One more answer: the first was to the first send, and late.
                    [first, _, ..] if is_another(&reply, bytes) => {
                        self.response_time = Some(began.saturating_duration_since(*first));
                        State::Settle { until: self.another_by(until, now), give_up, began, reply }
                    }
                    _ => State::Settle { until, give_up, began, reply },
                };
            }
            other => self.state = other,
        }
    }
}

/// Whether these bytes begin an answer like this one.
fn is_another(reply: &Reply, bytes: Option<&[u8]>) -> bool {
    let start = match reply {
        Reply::None => return false,
        Reply::Ack => ACK,
        Reply::Data(_) => LONG_START,
    };
    bytes.is_some_and(|bytes| bytes.contains(&start))
}
