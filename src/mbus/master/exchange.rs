//! One request and its reply, with repeats: the step from which readout, search and commands are made.
//!
//! What it promises: a reply is complete the moment its stop byte is read; it is accepted only if it
//! answers the request; nothing is sent before the line was quiet, nor into the late answer to an
//! earlier repeat; it ends, whatever the line does.
//!
//! Not here: which requests to send, whether a frame answers one (`reply`), what it means, how long is
//! waited for what (`patience`).

mod hearing;
mod patience;

use std::time::{Duration, Instant};

pub use patience::LATEST_ANSWER;

use crate::mbus::link::framer::Framer;
use crate::mbus::master::conversation::{Conversation, LineTiming, Step, Traffic};
use crate::mbus::master::reply::{ExchangeError, Reply};
use crate::mbus::master::request::{Answer, Request};

/// What came of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The answer, or why there is none.
    pub reply: Result<Reply, ExchangeError>,
    /// What it took.
    pub traffic: Traffic,
    /// From the end of the request to the first byte of the answer. `None`: no answer, or several sends of
    /// which it is not known which one was answered.
    pub response_time: Option<Duration>,
    /// From the end of the last send to the last byte that came.
    pub last_byte: Option<Duration>,
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
    /// The last send is waited for as long as the slowest meters take.
    patient: bool,
    /// E5 may be the late one of an earlier request: data is waited for beyond it.
    doubts_ack: bool,
    /// Whatever comes back ends it: no repeat after a damaged answer.
    takes_damage: bool,
    /// Since when the line has been silent, where that is known before the first send.
    quiet_since: Option<Instant>,
    /// All that came back so far, up to what two telegrams have.
    heard: Vec<u8>,
    /// When each send had left the line.
    ends: Vec<Instant>,
    response_time: Option<Duration>,
    last_byte: Option<Duration>,
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
        /// When the answer began.
        began: Instant,
        reply: Reply,
    },
    Finished(Result<Reply, ExchangeError>),
}

#[derive(Clone, Debug)]
struct Wait {
    first_byte_by: Instant,
    give_up: Instant,
    last_byte: Option<Instant>,
    /// When what may be the answer began.
    began: Instant,
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
        Self {
            request,
            timing,
            framer,
            state,
            error,
            traffic,
            several: false,
            sets_baud: false,
            patient: false,
            doubts_ack: false,
            takes_damage: false,
            quiet_since: None,
            heard: Vec::new(),
            ends: Vec::new(),
            response_time: None,
            last_byte: None,
        }
    }

    /// Several meters may acknowledge, each in its time: waits until all that are allowed to have.
    pub fn expect_several(&mut self) {
        self.several = true;
    }

    /// The last send waits for [`LATEST_ANSWER`]: for a meter that nothing is known of.
    pub fn be_patient(&mut self) {
        self.patient = true;
    }

    /// Earlier requests were not answered in time: their E5 may come instead of data, which then has
    /// [`LATEST_ANSWER`] more.
    pub fn doubt_ack(&mut self) {
        self.doubts_ack = true;
    }

    /// A damaged answer says as much as a whole one: the request is not repeated after it.
    pub fn take_damage(&mut self) {
        self.takes_damage = true;
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
        self.ends.push(end);
        if self.request.answer == Answer::None {
            let (until, give_up) = (end + baud.characters(1), end + self.longest());
            return State::Settle { until, give_up, began: end, reply: Reply::None };
        }
        // A byte is read one character after it begins.
        let first_byte_by = end + self.response_timeout() + self.timing.latency + baud.characters(1);
        let give_up = first_byte_by + self.longest();
        State::Wait(Wait { first_byte_by, give_up, last_byte: None, began: end, heard: 0, refused: None })
    }
}

impl Conversation for Exchange {
    type Outcome = Exchanged;

    fn poll(&mut self, now: Instant) -> Step<Exchanged> {
        loop {
            self.state = match core::mem::replace(&mut self.state, State::Start) {
                State::Start if core::mem::take(&mut self.sets_baud) => return Step::SetBaud(self.timing.baud),
                State::Start => {
                    let since = self.quiet_since.map_or(now, |since| since.min(now));
                    State::Pause { until: since + self.timing.baud.bits(11), give_up: now + self.longest() }
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
                State::Settle { until, give_up, began, reply } if now < until && now < give_up => {
                    self.state = State::Settle { until, give_up, began, reply };
                    return Step::WaitUntil(until.min(give_up));
                }
                State::Settle { reply, .. } => State::Finished(Ok(reply)),
                State::Finished(reply) => {
                    self.state = State::Finished(reply.clone());
                    let Self { traffic, response_time, last_byte, .. } = *self;
                    return Step::Done(Exchanged { reply, traffic, response_time, last_byte });
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

    fn quiet_since(&mut self, since: Instant) {
        self.quiet_since = Some(since);
    }
}

#[cfg(test)]
mod tests;
