//! One request and its reply, with repeats: the step from which readout, search and commands are made.
//!
//! Sans-IO: feed bytes with [`Conversation::receive`], then call [`Conversation::poll`] until it says
//! when to come back.

use std::time::{Duration, Instant};

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
