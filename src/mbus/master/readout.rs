//! One meter's turn: reset or selection, REQ_UD2 with the right frame count bit, all its telegrams,
//! and the extra requests that its owner configured.
//!
//! The frame count bit (EN 13757-2 clause 5.7.5) says whether a request is new or a repeat
//! of one whose answer was lost. A strict meter answers a repeat with the *old* telegram, so a bit
//! that is out of step gives a stale reading. Therefore: it toggles after each good answer, a repeat
//! keeps it, and after anything doubtful the meter is reset (SND_NKE) before it is asked again. What
//! must be remembered between two turns is [`LinkState`]; the caller keeps it, one for each meter.
//!
//! An acknowledgement only says that a request arrived, and is one byte without a checksum: where it comes
//! damaged the data is requested all the same, and proves itself. Nor is one that comes late a reason to
//! give up: the meter's first turn waits [`LATEST_ANSWER`], later ones as long as it has taken before.
//!
//! A meter that may be dead is tried with less ([`Effort`]): by a request alone, since some meters never
//! acknowledge a reset, and the next time by a reset alone, since others give no data before one.
//!
//! Not here: when a meter is read (`bus::schedule`), what its telegrams say (`telegram`).

mod error;
mod link_state;
mod turn;

use std::time::Duration;

pub use error::ReadoutError;
pub use link_state::LinkState;
pub use turn::{Effort, Turn, TurnOver};

use crate::mbus::address::{MeterAddress, SELECTED};
use crate::mbus::application::opener::Opener;
use crate::mbus::master::conversation::{LineTiming, Series, Traffic};
use crate::mbus::master::exchange::{Exchange, Exchanged, LATEST_ANSWER};
use crate::mbus::master::reply::{ExchangeError, Reply};
use crate::mbus::master::request::{CI_APPLICATION_SELECT, Request};
use crate::mbus::master::sequence::{Sequel, Sequence};

/// A meter's turn on its way.
#[derive(Clone, Debug)]
pub struct Readout {
    turn: Turn,
    link: LinkState,
    timing: LineTiming,
    stage: Stage,
    exchange: Exchange,
    frames: Vec<Vec<u8>>,
    sequence: Sequence,
    unanswered: Vec<u8>,
    /// Late answers that were taken for new ones and asked again.
    stale: u8,
    /// Selections that may still follow one whose meter gave no data, and whether the last was answered badly.
    selections: u8,
    selected_badly: bool,
    /// Resets of this turn are not acknowledged yet: an E5 may be theirs.
    owes_acks: bool,
    response_time: Option<Duration>,
    traffic: Traffic,
}

/// How often a telegram that was read before is asked again, in one turn.
const MAX_STALE: u8 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// REQ_UD2 to a meter that may well be dead: its answer is not used, silence costs one time-out.
    Probe,
    /// SND_NKE to a primary address.
    Reset,
    /// SND_NKE to FD, so that no meter is selected; it need not be answered.
    Deselect,
    /// The selection.
    Select,
    /// Application select.
    Application,
    /// REQ_UD2, once for each telegram.
    Data,
    /// The extra request with this index in `Turn::requests`.
    Extra(usize),
    /// REQ_UD2 after an extra request that was only acknowledged.
    ExtraData(usize),
    /// The closing SND_NKE to FD: the meter is not selected and its frame count bit forgotten.
    Release(Option<ReadoutError>),
    /// Nothing more to send.
    Over(Option<ReadoutError>),
}

impl Readout {
    /// The turn of a meter that was left in state `link`.
    #[must_use]
    pub fn new(turn: Turn, link: LinkState, mut timing: LineTiming) -> Self {
        if turn.effort != Effort::Full {
            timing.retries = 0;
        }
        timing.response_timeout = link.response_timeout(timing.response_timeout);
        let exchange = Exchange::new(Request::snd_nke(SELECTED), timing);
        let mut opener = Opener::new(turn.key);
        opener.select(turn.address.mask());
        let mut readout = Self {
            turn,
            link,
            timing,
            stage: Stage::Reset,
            exchange,
            frames: Vec::new(),
            sequence: Sequence::new(opener),
            unanswered: Vec::new(),
            stale: 0,
            selections: timing.retries,
            selected_badly: false,
            owes_acks: false,
            response_time: None,
            traffic: Traffic::default(),
        };
        readout.enter(readout.first_stage());
        readout
    }

    fn first_stage(&self) -> Stage {
        let reset = self.turn.reset || self.turn.chooses_application();
        let in_doubt = self.link.next_fcb.is_none();
        let asks_first = self.turn.effort == Effort::Shortest && !self.link.reset_is_next && !self.acknowledges_reset();
        match self.turn.address {
            // Whoever is still selected is deselected by a selection that does not match.
            MeterAddress::Secondary(_) if self.turn.reset => Stage::Deselect,
            MeterAddress::Secondary(_) => Stage::Select,
            MeterAddress::Primary(_) if in_doubt && asks_first => Stage::Probe,
            MeterAddress::Primary(_) if reset || in_doubt => Stage::Reset,
            MeterAddress::Primary(_) => Stage::Data,
        }
    }

    fn acknowledges_reset(&self) -> bool {
        self.link.acknowledges_reset == Some(true)
    }

    fn fcb(&self) -> bool {
        self.link.next_fcb.unwrap_or(true)
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        let mut timing = self.timing;
        let (address, fcb, identity) = (self.turn.address.a_field(), self.fcb(), self.turn.address.mask());
        let ci_of = |index: usize| self.turn.requests.get(index).copied().unwrap_or_default();
        let request = match stage {
            Stage::Over(_) => return,
            Stage::Deselect | Stage::Release(_) => {
                timing.retries = 0;
                Request::snd_nke(SELECTED)
            }
            Stage::Reset => {
                // A meter that never acknowledges a reset gets it all the same, but once.
                if self.link.acknowledges_reset == Some(false) {
                    timing.retries = 0;
                }
                Request::snd_nke(address)
            }
            Stage::Select => Request::select(identity),
            Stage::Application => {
                let code = self.turn.application_select;
                Request::snd_ud(address, false, CI_APPLICATION_SELECT, code.as_slice())
            }
            Stage::Probe | Stage::Data | Stage::ExtraData(_) => Request::req_ud2(address, fcb, identity),
            Stage::Extra(index) => Request::by_ci(address, fcb, ci_of(index), identity),
        };
        self.exchange = Exchange::new(request, timing);
        if stage == Stage::Data && self.owes_acks {
            self.exchange.doubt_ack();
        }
        if stage == Stage::Select {
            self.exchange.take_damage();
            if self.may_wait_long() {
                self.exchange.be_patient();
            }
        }
    }

    /// What follows an exchange.
    fn after(&mut self, reply: Result<Reply, ExchangeError>) -> Stage {
        match (self.stage, reply) {
            (_, Err(ExchangeError::ReadTooLate)) if self.stale < MAX_STALE => self.start_again(),
            (Stage::Probe, Err(error)) => self.end(Some(error.into())),
            (Stage::Probe, Ok(_)) => {
                // It is there, so silence is no end from now on.
                self.turn.effort = Effort::Short;
                Stage::Reset
            }
            (Stage::Reset, reply) => self.after_reset(reply),
            (Stage::Deselect, _) => Stage::Select,
            (Stage::Select, Err(ExchangeError::Silence)) => self.end(Some(ReadoutError::Silence)),
            (Stage::Select | Stage::Application, Err(error @ ExchangeError::NeverQuiet)) => {
                self.close(Some(error.into()))
            }
            (Stage::Select, reply) => {
                self.selected_badly = reply.is_err();
                self.ready()
            }
            (Stage::Application, Ok(_) | Err(ExchangeError::Garbled { .. })) => {
                self.link.next_fcb = Some(true);
                Stage::Data
            }
            (_, Ok(Reply::Data(frame))) if self.is_stale(&frame) => self.stage,
            (Stage::Data, Ok(Reply::Data(frame))) => {
                self.owes_acks = false;
                self.after_data(frame)
            }
            (Stage::Data, Ok(_)) => self.close(self.frames.is_empty().then_some(ReadoutError::NoData)),
            (Stage::Data, Err(error)) if self.may_select_again(error) => Stage::Deselect,
            (Stage::Application | Stage::Data, Err(error)) => self.close(Some(error.into())),
            (Stage::Extra(index) | Stage::ExtraData(index), Ok(Reply::Data(frame))) => {
                self.frames.push(frame);
                self.toggle();
                self.extra(index + 1)
            }
            (Stage::Extra(index), Ok(_)) => {
                self.toggle();
                Stage::ExtraData(index)
            }
            (Stage::Extra(index) | Stage::ExtraData(index), _) => {
                self.unanswered.extend(self.turn.requests.get(index));
                self.extra(index + 1)
            }
            (Stage::Release(error) | Stage::Over(error), _) => self.end(error),
        }
    }

    fn after_reset(&mut self, reply: Result<Reply, ExchangeError>) -> Stage {
        match reply {
            Ok(_) => {
                self.link.acknowledges_reset = Some(true);
                self.ready()
            }
            Err(ExchangeError::Silence) if self.acknowledges_reset() => {
                // Dead, or exchanged for one that never acknowledges: the next turn finds out.
                self.link.acknowledges_reset = None;
                self.end(Some(ReadoutError::Silence))
            }
            // That was this try, unless it is one of those that never acknowledge.
            Err(ExchangeError::Silence)
                if self.turn.effort == Effort::Shortest && self.link.acknowledges_reset.is_none() =>
            {
                self.end(Some(ReadoutError::Silence))
            }
            Err(ExchangeError::Silence) => {
                // Most likely dead; if it is one of those that never acknowledge, or slow, one request shows it.
                if self.link.acknowledges_reset.is_none() {
                    self.owes_acks = self.timing.retries > 0;
                    if self.may_wait_long() {
                        self.timing.response_timeout = self.timing.response_timeout.max(LATEST_ANSWER);
                    }
                    self.timing.retries = 0;
                }
                self.ready()
            }
            Err(error @ ExchangeError::NeverQuiet) => self.end(Some(error.into())),
            // Something answered, if not well: the data shows who.
            Err(_) => self.ready(),
        }
    }

    /// Whether to wait as long as the slowest meters take: once, until it has answered again.
    fn may_wait_long(&mut self) -> bool {
        self.turn.effort == Effort::Full && !core::mem::replace(&mut self.link.waited_long, true)
    }

    /// The selected meter gave no data: the selection may not have arrived, or a meter that was selected
    /// before stays so and speaks too. One that acknowledged well and is silent then is left alone.
    fn may_select_again(&mut self, error: ExchangeError) -> bool {
        let secondary = matches!(self.turn.address, MeterAddress::Secondary(_));
        let hopeless = match error {
            ExchangeError::Silence => !self.selected_badly,
            other => other == ExchangeError::NeverQuiet,
        };
        let again = secondary && self.frames.is_empty() && self.selections > 0 && !hopeless;
        self.selections -= u8::from(again);
        again
    }

    /// Reset or selected: the next frame count bit is 1 (EN 13757-2 clause 5.7.5).
    fn ready(&mut self) -> Stage {
        self.link.next_fcb = Some(true);
        if self.turn.chooses_application() { Stage::Application } else { Stage::Data }
    }

    /// A telegram of this turn once more, access number and all: the answer to an earlier repeat that
    /// came even later than allowed. The same request again brings the right one.
    fn is_stale(&mut self, frame: &[u8]) -> bool {
        let stale = self.stale < MAX_STALE && self.frames.iter().any(|earlier| earlier == frame);
        self.stale += u8::from(stale);
        stale
    }

    /// An old answer came of a stop of this program: a strict meter would repeat it, so it is reset.
    fn start_again(&mut self) -> Stage {
        self.stale += 1;
        self.frames.clear();
        self.sequence.clear();
        self.unanswered.clear();
        self.link.doubt();
        self.first_stage()
    }

    fn after_data(&mut self, frame: Vec<u8>) -> Stage {
        let sequel = match self.sequence.add(&frame) {
            Ok(sequel) => sequel,
            Err(error) => return self.close(Some(ReadoutError::Application(error))),
        };
        self.toggle();
        self.frames.push(frame);
        match sequel {
            Sequel::More if !self.link.repeats_first => Stage::Data,
            Sequel::More | Sequel::Last => self.extra(0),
            Sequel::Repeats { drop } => {
                self.frames.truncate(self.frames.len() - drop);
                self.link.repeats_first = self.frames.len() == 1;
                self.extra(0)
            }
        }
    }

    fn toggle(&mut self) {
        self.link.next_fcb = self.link.next_fcb.map(|fcb| !fcb);
    }

    fn extra(&mut self, index: usize) -> Stage {
        if index < self.turn.requests.len() { Stage::Extra(index) } else { self.close(None) }
    }

    /// The meter's turn is over; a selected meter is released.
    fn close(&mut self, error: Option<ReadoutError>) -> Stage {
        match self.turn.address {
            MeterAddress::Secondary(_) => Stage::Release(error),
            MeterAddress::Primary(_) => self.end(error),
        }
    }

    fn end(&mut self, error: Option<ReadoutError>) -> Stage {
        if error.is_none() && self.link.acknowledges_reset.is_none() {
            self.link.acknowledges_reset = Some(false);
        }
        // Some meters count SND_UD in the frame count bit and some do not; some start again after
        // the last of several telegrams and some must be reset: a reset before the next turn
        // serves them all.
        let plain = self.frames.len() == 1 && self.turn.requests.is_empty();
        if error.is_some() || !plain {
            self.link.next_fcb = None;
        }
        self.link.reset_is_next = error.is_some() && self.turn.effort == Effort::Shortest && !self.link.reset_is_next;
        self.link.repeats_first &= error.is_none();
        self.link.waited_long &= error.is_some();
        self.link.response_time = self.response_time.or(self.link.response_time);
        Stage::Over(error)
    }
}

impl Series for Readout {
    type Part = Exchange;
    type Outcome = TurnOver;

    fn outcome(&mut self) -> Option<TurnOver> {
        let Stage::Over(error) = self.stage else { return None };
        let frames = error.map_or_else(|| Ok(core::mem::take(&mut self.frames)), Err);
        let unanswered = core::mem::take(&mut self.unanswered);
        let Self { link, response_time, traffic, .. } = *self;
        Some(TurnOver { frames, unanswered, link, response_time, traffic })
    }

    fn part(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    fn part_ended(&mut self, Exchanged { reply, traffic, response_time, .. }: Exchanged) {
        self.traffic += traffic;
        let is_late_ack = self.owes_acks && matches!(reply, Ok(Reply::Ack));
        let response_time = response_time.filter(|_| !is_late_ack);
        self.response_time = self.response_time.max(response_time);
        // Late for one request of the turn, late for the next ones.
        if response_time.is_some_and(|time| time > self.timing.response_timeout) {
            self.timing.response_timeout = LATEST_ANSWER.max(self.timing.response_timeout);
        }
        let next = self.after(reply);
        self.enter(next);
    }
}
