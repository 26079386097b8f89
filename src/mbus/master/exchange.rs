//! One request and its reply, with repeats: the step from which readout, search and commands are made.
//!
//! What it promises: a reply is complete the moment its stop byte is read; it is accepted only if it
//! answers the request; nothing is sent before the line was quiet, nor into the late answer to an
//! earlier repeat; it ends, whatever the line does.
//!
//! Not here: which requests to send, whether a frame answers one (`reply`), what it means.

use std::time::{Duration, Instant};

use crate::mbus::link::frame::MAX_LEN;
use crate::mbus::link::framer::Framer;
use crate::mbus::master::conversation::{Conversation, LineTiming, Step, Traffic};
use crate::mbus::master::reply::{ExchangeError, Reply, check};
use crate::mbus::master::request::{Answer, Request};

/// Silence between the bytes of one telegram after which it is given up, beyond the standard's 33 bit
/// times: what a loaded system may take to hand the next bytes on. It costs only broken replies.
const JITTER: Duration = Duration::from_millis(100);

/// How much later than that a byte may be handed on and still count as fresh.
const STALL: Duration = Duration::from_secs(1);

/// What came of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The answer, or why there is none.
    pub reply: Result<Reply, ExchangeError>,
    /// What it took.
    pub traffic: Traffic,
}

/// A request on its way to an answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    request: Request,
    timing: LineTiming,
    framer: Framer,
    state: State,
    /// The most telling error so far: silence is only reported where nothing else happened.
    error: ExchangeError,
    traffic: Traffic,
    /// Acknowledgements of several meters may come: the first does not end the exchange.
    several: bool,
    /// The line has another rate and must change it first.
    sets_baud: bool,
}

#[derive(Clone, Debug)]
enum State {
    Start,
    /// Sends at `until`, which moves while bytes still come.
    Pause {
        until: Instant,
        give_up: Instant,
    },
    /// The request was handed to the driver at `at`.
    Sent {
        at: Instant,
    },
    Wait(Wait),
    /// Answered, but an earlier repeat may still be answered until then.
    Settle {
        until: Instant,
        give_up: Instant,
        reply: Reply,
    },
    Finished(Result<Reply, ExchangeError>),
}

#[derive(Clone, Debug)]
struct Wait {
    first_byte_by: Instant,
    give_up: Instant,
    last_byte: Option<Instant>,
    /// Bytes since the request that are not its echo.
    heard: usize,
    /// Why a whole frame that came was not taken.
    refused: Option<ExchangeError>,
}

impl Exchange {
    /// An exchange of `request`; it sends once the line was quiet for 11 bit times.
    #[must_use]
    pub fn new(request: Request, timing: LineTiming) -> Self {
        let (framer, traffic) = (Framer::default(), Traffic::default());
        let (state, error) = (State::Start, ExchangeError::Silence);
        Self { request, timing, framer, state, error, traffic, several: false, sets_baud: false }
    }

    /// Several meters may acknowledge, each in its time: waits until all that are allowed to have.
    pub fn expect_several(&mut self) {
        self.several = true;
    }

    /// The line has another rate than `timing.baud`: changes it before anything else.
    pub fn set_baud_first(&mut self) {
        self.sets_baud = true;
    }

    fn transmit(&mut self, now: Instant) -> Vec<u8> {
        self.framer = Framer::default();
        self.traffic.retries += u32::from(self.traffic.sends > 0);
        self.traffic.sends += 1;
        self.traffic.bytes_sent += u64::try_from(self.request.frame.len()).unwrap_or(u64::MAX);
        self.state = State::Sent { at: now };
        self.request.frame.clone()
    }

    /// The request is on the wire; counts the reply timeout from its computed end, or from `now`
    /// where the driver took longer to write it.
    fn begin_wait(&mut self, sent_at: Instant, now: Instant) -> State {
        let baud = self.timing.baud;
        let end = now.max(sent_at + baud.characters(self.request.frame.len()));
        if self.request.answer == Answer::None {
            let give_up = end + self.longest();
            return State::Settle { until: end + baud.characters(1), give_up, reply: Reply::None };
        }
        // A byte is read one character after it begins.
        let first_byte_by = end + self.timing.response_timeout + self.timing.latency + baud.characters(1);
        let give_up = first_byte_by + self.longest();
        State::Wait(Wait { first_byte_by, give_up, last_byte: None, heard: 0, refused: None })
    }

    /// Longer than any reply or noise burst that a working line carries.
    fn longest(&self) -> Duration {
        self.timing.baud.characters(2 * MAX_LEN) + self.timing.response_timeout + self.inter_byte()
    }

    /// When the wait has ended, had it been polled in time.
    fn ended(&self, wait: &Wait) -> Instant {
        wait.last_byte.map_or(wait.first_byte_by, |last| wait.first_byte_by.max(last + self.inter_byte()))
    }

    fn inter_byte(&self) -> Duration {
        self.timing.baud.quiet_after_error() + JITTER + self.timing.latency
    }

    fn quiet(&self) -> Duration {
        self.timing.baud.quiet_after_error() + self.timing.latency
    }

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
    fn decide(&mut self, mut wait: Wait, now: Instant) -> Result<State, (Wait, Instant)> {
        let last = wait.last_byte.unwrap_or(wait.first_byte_by);
        if self.framer.is_lone_ack() {
            let accept = match self.request.answer {
                // What follows it later, through a gateway, is noise to the next exchange, which copes with that.
                Answer::Ack if !self.several => last + self.timing.baud.characters(2),
                // E5 for "no data" is rare, and noise before a slow reply is not: wait the reply out.
                _ => wait.first_byte_by.max(last + self.quiet()),
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
            Some(last) => wait.first_byte_by.max(last + self.quiet()),
            None => wait.first_byte_by,
        };
        if now < end {
            return Err((wait, end));
        }
        Ok(self.unanswered(&wait, now))
    }

    fn answered(&mut self, reply: Reply, wait: &Wait, now: Instant) -> State {
        self.count_noise();
        if self.traffic.sends < 2 {
            return State::Finished(Ok(reply));
        }
        // This may have been the answer to an earlier repeat; then another one is on its way.
        let until = wait.first_byte_by.max(now);
        State::Settle { until, give_up: until + self.longest(), reply }
    }

    fn unanswered(&mut self, wait: &Wait, now: Instant) -> State {
        self.count_noise();
        match wait.refused {
            Some(error) => self.error = error,
            None if wait.heard > 0 => self.error = ExchangeError::Garbled { bytes: wait.heard },
            None => {}
        }
        if self.traffic.sends > u32::from(self.timing.retries) {
            return State::Finished(Err(self.error));
        }
        State::Pause { until: now, give_up: now + self.longest() }
    }

    fn count_noise(&mut self) {
        self.traffic.noise += u64::try_from(self.framer.noise()).unwrap_or(u64::MAX);
    }

    /// Bytes, or a damaged character (`None`), at `now`.
    fn hear(&mut self, bytes: Option<&[u8]>, now: Instant) {
        let count = bytes.map_or(1, <[u8]>::len);
        self.traffic.bytes_received += u64::try_from(count).unwrap_or(u64::MAX);
        let quiet_from = now + self.quiet();
        match core::mem::replace(&mut self.state, State::Start) {
            // Not polled in time: what lay in a buffer meanwhile is an old answer.
            State::Wait(wait) if now > self.ended(&wait) + STALL => {
                self.state = State::Finished(Err(ExchangeError::ReadTooLate))
            }
            State::Wait(mut wait) => {
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
            State::Settle { until, give_up, reply } => {
                self.state = State::Settle { until: until.max(quiet_from), give_up, reply };
            }
            other => self.state = other,
        }
    }
}

impl Conversation for Exchange {
    type Outcome = Exchanged;

    fn poll(&mut self, now: Instant) -> Step<Exchanged> {
        loop {
            self.state = match core::mem::replace(&mut self.state, State::Start) {
                State::Start if core::mem::take(&mut self.sets_baud) => return Step::SetBaud(self.timing.baud),
                State::Start => {
                    State::Pause { until: now + self.timing.baud.characters(1), give_up: now + self.longest() }
                }
                State::Pause { until, give_up } if now < until && now < give_up => {
                    self.state = State::Pause { until, give_up };
                    return Step::WaitUntil(until.min(give_up));
                }
                State::Pause { until, .. } if now < until => State::Finished(Err(ExchangeError::NeverQuiet)),
                State::Pause { .. } => return Step::Transmit(self.transmit(now)),
                State::Sent { at } => self.begin_wait(at, now),
                State::Wait(wait) if wait.last_byte.is_some() && now >= wait.give_up => {
                    State::Finished(Err(ExchangeError::NeverQuiet))
                }
                State::Wait(wait) => {
                    let give_up = wait.give_up;
                    match self.decide(wait, now) {
                        Ok(next) => next,
                        Err((wait, until)) => {
                            self.state = State::Wait(wait);
                            return Step::WaitUntil(until.min(give_up));
                        }
                    }
                }
                State::Settle { until, give_up, reply } if now < until && now < give_up => {
                    self.state = State::Settle { until, give_up, reply };
                    return Step::WaitUntil(until.min(give_up));
                }
                State::Settle { reply, .. } => State::Finished(Ok(reply)),
                State::Finished(reply) => {
                    self.state = State::Finished(reply.clone());
                    return Step::Done(Exchanged { reply, traffic: self.traffic });
                }
            };
        }
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        if !bytes.is_empty() {
            self.hear(Some(bytes), now);
        }
    }

    fn receive_damaged(&mut self, now: Instant) {
        self.hear(None, now);
    }
}

#[cfg(test)]
mod tests;
