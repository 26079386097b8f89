//! Whether a meter that answered once does so again: it acknowledges a selection by its identity, or else gives
//! the same identity again from its primary address.

use std::time::Instant;

use crate::adopt::find::Find;
use crate::mbus::address::MeterAddress;
use crate::mbus::master::conversation::{Conversation, LineTiming, Series, Step};
use crate::mbus::master::exchange::Exchange;
use crate::mbus::master::probe::{Probe, Sight};
use crate::mbus::master::reply::{ExchangeError, Reply};
use crate::mbus::master::request::Request;
use crate::mbus::master::search::Found;

/// How often silence is not believed.
const RETRIES: u8 = 2;
/// How often a meter may say that it is another than a moment ago.
const CHANGES: u8 = 3;

/// A check on its way.
#[derive(Clone, Debug)]
pub(super) struct Check {
    find: Find,
    timing: LineTiming,
    talk: Talk,
    changes: u8,
    over: Option<Option<Find>>,
}

#[derive(Clone, Debug)]
pub(super) enum Talk {
    /// A selection by the whole identity.
    Select(Exchange),
    /// A telegram from the primary address.
    Ask(Probe),
}

/// What a talk ended with.
pub(super) enum Said {
    /// How the selection was answered.
    Selected(Result<Reply, ExchangeError>),
    /// Who is at the address.
    Asked(Sight),
}

impl Check {
    pub(super) fn new(timing: LineTiming, find: Find) -> Self {
        let timing = LineTiming { retries: RETRIES, ..timing };
        let talk = match find.secondary() {
            Some(identity) => Talk::Select(Exchange::new(Request::select(identity), timing)),
            None => Talk::Ask(Probe::new(find.address, timing)),
        };
        Self { find, timing, talk, changes: 0, over: None }
    }

    pub(super) fn find(&self) -> &Find {
        &self.find
    }

    fn selected(&mut self, reply: Result<Reply, ExchangeError>) {
        match (self.find.secondary(), self.find.address, reply) {
            (Some(identity), _, Ok(_)) => {
                self.over = Some(Some(Find { address: MeterAddress::Secondary(identity), ..self.find.clone() }));
            }
            (_, MeterAddress::Secondary(_), Err(ExchangeError::Silence)) => self.over = Some(None),
            // Noise proves nothing; and a meter at a primary address may not know selections.
            (_, address, _) => self.talk = Talk::Ask(Probe::new(address, self.timing)),
        }
    }

    fn asked(&mut self, sight: Sight) {
        let identity = sight.identity();
        let Sight::One(frame @ Some(_)) = sight else { return self.over = Some(None) };
        if identity == self.find.identity {
            return self.over = Some(Some(self.find.clone()));
        }
        let found = Found::Meter { address: self.find.address, identity, fabrication_number: None, frame };
        match Find::new(&found, self.find.baud).filter(|_| self.changes < CHANGES) {
            Some(another) => *self = Self { changes: self.changes + 1, ..Self::new(self.timing, another) },
            None => self.over = Some(None),
        }
    }
}

impl Series for Check {
    type Part = Talk;
    /// The meter, with the address to read it by; `None`: what had answered was noise.
    type Outcome = Option<Find>;

    fn outcome(&mut self) -> Option<Option<Find>> {
        self.over.clone()
    }

    fn part(&mut self) -> &mut Talk {
        &mut self.talk
    }

    fn part_ended(&mut self, said: Said) {
        match said {
            Said::Selected(reply) => self.selected(reply),
            Said::Asked(sight) => self.asked(sight),
        }
    }
}

impl Conversation for Talk {
    type Outcome = Said;

    fn poll(&mut self, now: Instant) -> Step<Said> {
        match self {
            Self::Select(exchange) => exchange.poll(now).map(|done| Said::Selected(done.reply)),
            Self::Ask(probe) => probe.poll(now).map(|probed| Said::Asked(probed.sight)),
        }
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        match self {
            Self::Select(exchange) => exchange.receive(bytes, now),
            Self::Ask(probe) => probe.receive(bytes, now),
        }
    }

    fn receive_damaged(&mut self, now: Instant) {
        match self {
            Self::Select(exchange) => exchange.receive_damaged(now),
            Self::Ask(probe) => probe.receive_damaged(now),
        }
    }
}
