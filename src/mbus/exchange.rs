//! One request and its reply, with repeats: the step from which readout, search and commands are made.
//!
//! Sans-IO: feed bytes with [`Conversation::receive`], then call [`Conversation::poll`] until it says
//! when to come back. A driver is this loop:
//!
//! ```
//! use mbushat::mbus::exchange::{Conversation, Exchange, LineTiming, Step};
//! use mbushat::mbus::request::Request;
//! use mbushat::mbus::timing::Baud;
//! use std::time::{Duration, Instant};
//!
//! let mut ping = Exchange::new(Request::snd_nke(5), LineTiming::new(Baud::DEFAULT));
//! let (mut now, mut line) = (Instant::now(), Vec::new());
//! let outcome = loop {
//!     match ping.poll(now) {
//!         Step::Transmit(bytes) => {
//!             now += Baud::DEFAULT.characters(bytes.len()); // discard unread input, write
//!             line = vec![0xE5]; // here a meter answers at once
//!         }
//!         Step::WaitUntil(until) => {
//!             now = until; // read until then, or less where bytes come
//!             ping.receive(&std::mem::take(&mut line), now);
//!         }
//!         Step::Done(outcome) => break outcome,
//!     }
//! };
//! assert!(outcome.reply.is_ok());
//! ```
//!
//! What it promises: a reply is complete the moment its stop byte is read; it is accepted only if it
//! answers the request; nothing is sent before the line was quiet, nor into the late answer to an
//! earlier repeat; it ends, whatever the line does.
//!
//! Not here: which requests to send, and what a reply means.

use core::fmt;
use std::time::{Duration, Instant};

use crate::mbus::address::SecondaryAddress;
use crate::mbus::frame::{Frame, MAX_LEN};
use crate::mbus::framer::Framer;
use crate::mbus::request::{Answer, Request};
use crate::mbus::timing::Baud;

/// What the driver of a line does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Discard unread input, write these bytes, poll again.
    Transmit(Vec<u8>),
    /// Read until this moment; poll again when bytes came or it passed.
    WaitUntil(Instant),
    /// Finished.
    Done(T),
}

/// A pure state machine that talks to a segment.
pub trait Conversation {
    /// What it ends with.
    type Outcome;
    /// What to do now. Call again after each `Transmit`, each `receive`, and when the time of `WaitUntil` has come.
    fn poll(&mut self, now: Instant) -> Step<Self::Outcome>;
    /// Bytes that arrived, in any portions.
    fn receive(&mut self, bytes: &[u8], now: Instant);
    /// A character arrived that the UART marked (parity, framing, break); its value is worth nothing.
    /// Lines that cannot tell never call this, and the checksum is all there is.
    fn receive_damaged(&mut self, now: Instant);
}

/// What a conversation must know of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTiming {
    /// Bit rate of both directions.
    pub baud: Baud,
    /// From the end of the request on the wire to the first byte of the reply.
    pub response_timeout: Duration,
    /// What the way to the line adds (a TCP gateway); zero on a serial port.
    pub latency: Duration,
    /// Repeats of a request after the first.
    pub retries: u8,
}

impl LineTiming {
    /// A serial port at `baud` with the defaults: three sends in all (EN 13757-2 clause 5.4).
    #[must_use]
    pub const fn new(baud: Baud) -> Self {
        Self { baud, response_timeout: baud.response_timeout(), latency: Duration::ZERO, retries: 2 }
    }
}

/// Silence between the bytes of one telegram after which it is given up, beyond the standard's 33 bit
/// times: what a loaded system may take to hand the next bytes on. It costs only broken replies.
const JITTER: Duration = Duration::from_millis(100);

/// What came of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The answer, or why there is none.
    pub reply: Result<Reply, ExchangeError>,
    /// What it took.
    pub traffic: Traffic,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The request wanted none.
    None,
    /// E5.
    Ack,
    /// The whole frame of an RSP_UD.
    Data(Vec<u8>),
}

/// Why a request was not answered, after every repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// No byte came back.
    Silence,
    /// Bytes came back, but no whole frame: noise, a broken reply, or several meters at once.
    Garbled {
        /// How many.
        bytes: usize,
    },
    /// Another meter answered.
    WrongAddress {
        /// A field of the reply.
        got: u8,
        /// A field of the request.
        want: u8,
    },
    /// A meter answered that was not selected.
    WrongIdentity {
        /// Identity in the reply.
        got: SecondaryAddress,
        /// Identity or mask that was selected.
        want: SecondaryAddress,
    },
    /// A whole frame came that answers no such request.
    NotAReply {
        /// Its C field.
        control: u8,
    },
    /// The line never falls silent; nothing can be sent.
    NeverQuiet,
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Silence => f.write_str("no answer"),
            Self::Garbled { bytes } => write!(f, "{bytes} bytes came back but no telegram (noise, or two meters)"),
            Self::WrongAddress { got, want } => write!(f, "the meter at {got} answered instead of the one at {want}"),
            Self::WrongIdentity { got, want } => write!(f, "meter {got} answered instead of {want}"),
            Self::NotAReply { control } => write!(f, "a telegram with C field {control:02X} came, which is no answer"),
            Self::NeverQuiet => f.write_str("the line never falls silent"),
        }
    }
}

impl core::error::Error for ExchangeError {}

/// What exchanges put on the line and got from it; adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests sent, repeats included.
    pub sends: u32,
    /// Repeats among them.
    pub retries: u32,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received, echo and noise included.
    pub bytes_received: u64,
    /// Bytes received that belong to no frame.
    pub noise: u64,
}

impl core::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.sends += other.sends;
        self.retries += other.retries;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.noise += other.noise;
    }
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
        Self { request, timing, framer, state, error, traffic, several: false }
    }

    /// Several meters may acknowledge, each in its time: waits until all that are allowed to have.
    pub fn expect_several(&mut self) {
        self.several = true;
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
                match judge(self.request.answer, &frame) {
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
                Answer::Ack if !self.several => last + self.timing.baud.characters(2) + self.timing.latency,
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
                State::Wait(wait) if now >= wait.give_up => State::Finished(Err(ExchangeError::NeverQuiet)),
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

/// Whether a whole frame answers the request.
fn judge(answer: Answer, frame: &[u8]) -> Result<(), ExchangeError> {
    let (control, address) = match Frame::parse(frame) {
        Ok(Frame::Long { c, a, .. } | Frame::Short { c, a }) => (c, a),
        Ok(Frame::Ack) | Err(_) => return Err(ExchangeError::Garbled { bytes: frame.len() }),
    };
    let Answer::Data { from, identity } = answer else {
        return Err(ExchangeError::NotAReply { control: control.0 });
    };
    if !control.is_rsp_ud() || frame.len() <= crate::mbus::frame::SHORT_LEN {
        return Err(ExchangeError::NotAReply { control: control.0 });
    }
    match (from, identity_of(frame)) {
        (Some(want), _) if want != address => Err(ExchangeError::WrongAddress { got: address, want }),
        (_, Some(got)) if !identity.matches(got) => Err(ExchangeError::WrongIdentity { got, want: identity }),
        _ => Ok(()),
    }
}

/// The identity in the long header of a reply (CI 72); `None` where the frame has no such header.
#[must_use]
pub fn identity_of(frame: &[u8]) -> Option<SecondaryAddress> {
    match Frame::parse(frame) {
        Ok(Frame::Long { ci: 0x72, data: &[a, b, c, d, e, f, g, h, ..], .. }) => {
            Some(SecondaryAddress::from_wire([a, b, c, d, e, f, g, h]))
        }
        _ => None,
    }
}
