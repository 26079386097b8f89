//! How a pure state machine talks to a line: the seam between this room and whoever moves the bytes.
//!
//! Sans-IO: feed bytes with [`Conversation::receive`], then call [`Conversation::poll`] until it says
//! when to come back. A driver is this loop:
//!
//! ```
//! use mbushat::mbus::master::conversation::{Conversation, LineTiming, Step};
//! use mbushat::mbus::master::{exchange::Exchange, request::Request};
//! use mbushat::mbus::link::timing::Baud;
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
//!         Step::SetBaud(_) => {} // both ways; only a change of a meter's rate asks for it
//!         Step::Done(outcome) => break outcome,
//!     }
//! };
//! assert!(outcome.reply.is_ok());
//! ```
//!
//! Not here: any state machine (`exchange`, `readout`, `probe`), any line (`bus::drive`).

use std::time::{Duration, Instant};

use crate::mbus::link::timing::Baud;

/// What the driver of a line does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Discard unread input, write these bytes, poll again.
    Transmit(Vec<u8>),
    /// Read until this moment; poll again when bytes came or it passed.
    WaitUntil(Instant),
    /// Change the rate of the line, poll again.
    SetBaud(Baud),
    /// Finished.
    Done(T),
}

impl<T> Step<T> {
    /// The same with another end.
    #[must_use]
    pub fn map<U>(self, end: impl FnOnce(T) -> U) -> Step<U> {
        match self {
            Self::Transmit(bytes) => Step::Transmit(bytes),
            Self::WaitUntil(until) => Step::WaitUntil(until),
            Self::SetBaud(baud) => Step::SetBaud(baud),
            Self::Done(outcome) => Step::Done(end(outcome)),
        }
    }
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
    /// Lines that do not know never call this, and the checksum is all there is.
    fn receive_damaged(&mut self, now: Instant);
    /// Before the first poll: the line has been silent since then. What is not told that waits for silence itself.
    fn quiet_since(&mut self, _since: Instant) {}
}

/// A conversation made of others, one after the other.
pub trait Series {
    /// Each of its parts.
    type Part: Conversation;
    /// What the whole ends with.
    type Outcome;
    /// What the whole has ended with; `None`: it goes on.
    fn outcome(&mut self) -> Option<Self::Outcome>;
    /// The part that talks now, or talked last.
    fn part(&mut self) -> &mut Self::Part;
    /// The part has ended with this; moves on to the next one.
    fn part_ended(&mut self, outcome: <Self::Part as Conversation>::Outcome);
}

impl<S: Series> Conversation for S {
    type Outcome = S::Outcome;

    fn poll(&mut self, now: Instant) -> Step<S::Outcome> {
        loop {
            if let Some(outcome) = self.outcome() {
                return Step::Done(outcome);
            }
            match self.part().poll(now) {
                Step::Transmit(bytes) => return Step::Transmit(bytes),
                Step::WaitUntil(until) => return Step::WaitUntil(until),
                Step::SetBaud(baud) => return Step::SetBaud(baud),
                Step::Done(outcome) => self.part_ended(outcome),
            }
        }
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.part().receive(bytes, now);
    }

    fn receive_damaged(&mut self, now: Instant) {
        self.part().receive_damaged(now);
    }

    fn quiet_since(&mut self, since: Instant) {
        self.part().quiet_since(since);
    }
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
    /// The longest silence inside a telegram whose length field says that more is coming, where that is
    /// more than any line may show: a gateway hands a telegram on in pieces.
    pub gap_timeout: Duration,
    /// Repeats of a request after the first.
    pub retries: u8,
}

impl LineTiming {
    /// A serial port at `baud` with the defaults: three sends in all (EN 13757-2 clause 5.4).
    #[must_use]
    pub const fn new(baud: Baud) -> Self {
        let (response_timeout, latency, gap_timeout) = (baud.response_timeout(), Duration::ZERO, Duration::ZERO);
        Self { baud, response_timeout, latency, gap_timeout, retries: 2 }
    }
}

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
