//! One meter of a bus, and what its task remembers of it.

use jiff::Timestamp;

use super::slow::{answers_slowly, enough};
use crate::config::Meter;
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::readout::{LinkState, TurnOver};
use crate::request::Reply;

/// Requests that wait for the reading of one meter at most.
const WAITING: usize = 100;

/// A meter of the bus.
#[derive(Debug)]
pub struct Metered {
    /// As configured.
    pub(super) meter: Meter,
    /// When its last good reading was taken, where the store knows.
    pub(super) last_good: Option<Timestamp>,
    /// What the master remembers of it.
    pub(super) link: LinkState,
    /// Which application of the meter is selected, as far as this `[[meter]]` knows.
    pub(super) application: Application,
    /// Whether its last readout failed: only the first failure in a row is logged.
    failing: bool,
    /// Whether it was said that it answers slowly.
    slow: bool,
    /// Who wait for its next reading.
    asked: Vec<Reply>,
}

/// The application that is selected in a meter; several `[[meter]]` may read it, each by another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Application {
    /// Not asked for yet.
    Unknown,
    /// That of this `[[meter]]`.
    Own,
    /// That of another one, which may not be configured any more.
    Another,
}

impl Metered {
    /// One that has not been read since the start.
    #[must_use]
    pub fn new(meter: Meter, last_good: Option<Timestamp>) -> Self {
        Self {
            meter,
            last_good,
            link: LinkState::default(),
            application: Application::Unknown,
            failing: false,
            slow: false,
            asked: Vec::new(),
        }
    }

    /// The same under another configuration that is read alike.
    pub(super) fn configured(self, meter: Meter) -> Self {
        Self { meter, ..self }
    }

    /// Answers this with its next reading.
    pub(super) fn ask(&mut self, reply: Reply) {
        if self.asked.len() < WAITING {
            self.asked.push(reply);
        } else {
            reply.refuse("too many requests wait for this meter");
        }
    }

    /// Who waited for the reading that has come, or never will.
    pub(super) fn take_asked(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.asked)
    }

    /// Keeps what a turn left behind, and logs the first failure in a row. `timing` is as configured.
    pub(super) fn record(&mut self, over: &TurnOver, timing: LineTiming) {
        self.link = over.link;
        let meter = &self.meter.name;
        match &over.frames {
            Err(error) if !self.failing => tracing::warn!(meter, "no reading: {error}"),
            Ok(_) if self.failing => tracing::info!(meter, "answers again"),
            _ => {}
        }
        if let Some(slowly) = answers_slowly(over.response_time, timing).filter(|_| !self.slow) {
            self.slow = true;
            tracing::warn!(meter, "{slowly}: set {} in its [[meter]]", enough(over.response_time));
        }
        for ci in &over.unanswered {
            tracing::debug!(meter, "the extra request {ci:02X} was not answered");
        }
        self.failing = over.frames.is_err();
    }
}
