//! Changes to a meter: its address, baud rate, clock, or application; each with a check that it took
//! effect, because E5 says only that the request arrived (EN 13757-3 clauses 7, 9 and 12), and some meters never
//! send one, or it arrives damaged: who is there, and who answers the new way, is told by data alone.
//!
//! ```
//! use mbushat::mbus::address::{MeterAddress, PrimaryAddress};
//! use mbushat::mbus::master::conversation::LineTiming;
//! use mbushat::mbus::master::maintenance::{Change, Effect, Maintenance};
//! use mbushat::mbus::link::timing::Baud;
//! use mbushat::sim::{known::ats, plan::SegmentPlan, segment::Segment};
//! use std::time::Instant;
//!
//! let (old, new) = (PrimaryAddress::new(48).ok_or("0 to 250")?, PrimaryAddress::new(5).ok_or("0 to 250")?);
//! let mut now = Instant::now();
//! let mut segment = Segment::new(SegmentPlan::new(vec![ats(old)]), now);
//! let (target, timing) = (MeterAddress::Primary(old), LineTiming::new(Baud::DEFAULT));
//! let mut maintenance = Maintenance::new(target, Change::Address(new), timing);
//! assert_eq!(segment.converse(&mut maintenance, &mut now), Ok(Effect::Verified));
//! # Ok::<(), &str>(())
//! ```
//!
//! Not here: asking the user, and what a meter's manual says about passwords and write limits.

mod error;

pub use error::MaintenanceError;

use crate::mbus::address::{MeterAddress, PrimaryAddress, SELECTED, SecondaryAddress};
use crate::mbus::application::calendar::DateTime;
use crate::mbus::application::telegram::Telegram;
use crate::mbus::application::value::Value;
use crate::mbus::link::frame::Frame;
use crate::mbus::link::timing::Baud;
use crate::mbus::master::conversation::{LineTiming, Series};
use crate::mbus::master::exchange::{Exchange, Exchanged};
use crate::mbus::master::reply::{ExchangeError, Reply, identity_of};
use crate::mbus::master::request::{CI_APPLICATION_SELECT, CI_COMMAND, Request};

/// DIF and VIF of a new primary address: 8 bit integer, bus address.
const SET_ADDRESS: [u8; 2] = [0x01, 0x7A];
/// DIF and VIF of a new time: type F.
const SET_CLOCK: [u8; 2] = [0x04, 0x6D];
/// CI field of the slowest baud rate; the others follow in order (EN 13757-3 clause 12).
const CI_SLOWEST_BAUD: u8 = 0xB8;
/// A clock read back may show this many minutes more than was set.
const CLOCK_MINUTES: u64 = 2;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Take this primary address; refused where another meter has it.
    Address(PrimaryAddress),
    /// Use this rate from now on.
    Baud(Baud),
    /// Set the clock: the meter's local time.
    Clock(DateTime),
    /// Reset the application, or select one by its sub-code.
    Application(Option<u8>),
}

impl Change {
    /// The request that makes the meter at `target` change.
    #[must_use]
    pub fn request(self, target: MeterAddress) -> Request {
        let address = target.a_field();
        match self {
            Self::Address(new) => {
                let [dif, vif] = SET_ADDRESS;
                Request::snd_ud(address, false, CI_COMMAND, &[dif, vif, new.get()])
            }
            Self::Baud(baud) => {
                let index =
                    Baud::ALL.iter().position(|known| *known == baud).and_then(|index| u8::try_from(index).ok());
                Request::snd_ud(address, false, CI_SLOWEST_BAUD + index.unwrap_or(0), &[])
            }
            Self::Clock(time) => Request::snd_ud(address, false, CI_COMMAND, &[&SET_CLOCK[..], &time.to_f()].concat()),
            Self::Application(code) => Request::snd_ud(address, false, CI_APPLICATION_SELECT, code.as_slice()),
        }
    }
}

/// What was achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It took effect: asked for, it shows.
    Verified,
    /// The meter acknowledged; whether it obeyed does not show.
    Acknowledged,
    /// The meter did not even acknowledge, and goes on answering; whether it obeyed does not show.
    Unanswered,
}

/// A change on its way.
#[derive(Clone, Debug)]
pub struct Maintenance {
    target: MeterAddress,
    change: Change,
    timing: LineTiming,
    /// The rate of the line, which the check of a new rate changes.
    baud: Baud,
    /// Who the meter is, as far as that is known: of one without a long header nothing is.
    identity: SecondaryAddress,
    /// Why the last reset or selection was not acknowledged well, which proves nothing by itself.
    knocked: Option<ExchangeError>,
    /// Whether the change was acknowledged.
    acknowledged: bool,
    stage: Stage,
    exchange: Exchange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// SND_NKE to the new address, which must stay silent.
    Vacant,
    /// REQ_UD2 to the new address: there are meters that never acknowledge a reset.
    VacantData,
    /// SND_NKE to the meter, or its selection.
    Reach,
    /// REQ_UD2: the meter is there; and E5 of two at once looks like that of one, two telegrams do not.
    Alone,
    /// The change.
    Change,
    /// SND_NKE or selection once more: some count a change in the frame count bit, and some do not.
    Renew,
    /// SND_NKE to the new address, or at the new rate; REQ_UD2 where the meter stays as it is.
    Verify,
    /// REQ_UD2 to what may have answered the new way: it is the same meter.
    Same,
    /// SND_NKE to the old address, or at the old rate.
    Old,
    /// REQ_UD2 to the same.
    OldData,
    Over(Result<Effect, MaintenanceError>),
}

impl Maintenance {
    /// A change of the meter at `target`, on a line that has the rate of `timing`. The line is left
    /// at the rate at which the meter answered last.
    #[must_use]
    pub fn new(target: MeterAddress, change: Change, timing: LineTiming) -> Self {
        let exchange = Exchange::new(Request::snd_nke(SELECTED), timing);
        let (stage, identity, baud) = (Stage::Reach, target.mask(), timing.baud);
        let (knocked, acknowledged) = (None, false);
        let mut new = Self { target, change, timing, baud, identity, knocked, acknowledged, stage, exchange };
        new.enter(if matches!(change, Change::Address(_)) { Stage::Vacant } else { Stage::Reach });
        new
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        let own = self.target.a_field();
        let request = match (stage, self.change) {
            (Stage::Over(_), _) => return,
            (Stage::Vacant | Stage::Verify, Change::Address(new)) => Request::snd_nke(new.get()),
            (Stage::VacantData, Change::Address(new)) => Request::req_ud2(new.get(), true, SecondaryAddress::ANY),
            (Stage::Same, Change::Address(new)) => self.data_of(new.get()),
            (Stage::Verify, Change::Baud(_)) | (Stage::Reach | Stage::Renew | Stage::Old | Stage::Vacant, _) => {
                self.reach()
            }
            (Stage::Change, _) => self.change.request(self.target),
            (Stage::VacantData | Stage::Alone | Stage::Verify | Stage::Same | Stage::OldData, _) => self.data_of(own),
        };
        let baud = match (stage, self.change) {
            (Stage::Verify | Stage::Same, Change::Baud(new)) => new,
            _ => self.timing.baud,
        };
        self.exchange = Exchange::new(request, LineTiming { baud, ..self.timing });
        let in_doubt = matches!(stage, Stage::Alone | Stage::Same | Stage::OldData) && self.knocked.is_some();
        if stage == Stage::VacantData || in_doubt {
            self.exchange.be_patient();
        }
        if baud != self.baud {
            self.exchange.set_baud_first();
            self.baud = baud;
        }
    }

    /// What follows an exchange.
    fn after(&mut self, reply: Result<Reply, ExchangeError>) -> Stage {
        match (self.stage, reply) {
            (Stage::Vacant, Err(ExchangeError::Silence)) => Stage::VacantData,
            (Stage::VacantData, Err(ExchangeError::Silence)) => Stage::Reach,
            (Stage::Vacant | Stage::VacantData | Stage::Reach, Err(error @ ExchangeError::NeverQuiet)) => {
                Stage::Over(Err(MaintenanceError::Unreachable(error)))
            }
            (Stage::Vacant | Stage::VacantData, _) => match self.change {
                Change::Address(address) => Stage::Over(Err(MaintenanceError::Occupied { address })),
                _ => Stage::Reach,
            },
            (Stage::Reach, reply) => {
                self.knocked = reply.err();
                Stage::Alone
            }
            (Stage::Alone, reply) => self.alone(reply),
            (Stage::Change, reply) => self.changed(&reply),
            (Stage::Renew, _) => Stage::Verify,
            (Stage::Verify, reply) => self.verified(reply),
            (Stage::Same, reply) => self.same(reply),
            (Stage::Old, Ok(_)) | (Stage::OldData, Ok(_) | Err(ExchangeError::Garbled { .. })) => {
                Stage::Over(self.still_there())
            }
            (Stage::Old, Err(error)) => {
                self.knocked = Some(error);
                Stage::OldData
            }
            (Stage::OldData, Err(_)) => Stage::Over(Err(MaintenanceError::Lost)),
            (Stage::Over(outcome), _) => Stage::Over(outcome),
        }
    }

    /// A meter that acknowledges and gives no data can be changed all the same: nothing suggests a second one.
    fn alone(&mut self, reply: Result<Reply, ExchangeError>) -> Stage {
        let error = match (reply, self.knocked) {
            (Ok(Reply::Data(frame)), _) => {
                self.identity = identity_of(&frame).unwrap_or(self.identity);
                return Stage::Change;
            }
            (Ok(_), _) | (Err(ExchangeError::Silence), None) => return Stage::Change,
            (Err(ExchangeError::Silence), Some(knocked)) => knocked,
            (Err(error), _) => error,
        };
        Stage::Over(Err(match error {
            ExchangeError::Garbled { .. } => MaintenanceError::Several { address: self.target },
            error => MaintenanceError::Unreachable(error),
        }))
    }

    /// A damaged acknowledgement is one, and a lost one says nothing: the check shows whether the meter obeyed.
    fn changed(&mut self, reply: &Result<Reply, ExchangeError>) -> Stage {
        self.acknowledged = matches!(reply, Ok(_) | Err(ExchangeError::Garbled { .. }));
        match self.change {
            Change::Application(_) if self.acknowledged => Stage::Over(Ok(Effect::Acknowledged)),
            Change::Application(_) | Change::Clock(_) => Stage::Renew,
            Change::Address(_) | Change::Baud(_) => Stage::Verify,
        }
    }

    fn verified(&mut self, reply: Result<Reply, ExchangeError>) -> Stage {
        match (self.change, self.target, reply) {
            // The selection has asked who it is.
            (Change::Baud(_), MeterAddress::Secondary(_), Ok(_)) => Stage::Over(Ok(Effect::Verified)),
            (Change::Address(_) | Change::Baud(_), _, reply) => {
                self.knocked = reply.err();
                Stage::Same
            }
            (Change::Clock(set), _, Ok(Reply::Data(frame))) => Stage::Over(match clock_of(&frame) {
                None => Ok(self.unseen()),
                Some(shown) if is_soon_after(shown, set) => Ok(Effect::Verified),
                Some(_) => Err(MaintenanceError::Refused),
            }),
            (_, _, Ok(_)) => Stage::Over(Ok(self.unseen())),
            (_, _, Err(_)) => Stage::Old,
        }
    }

    fn same(&self, reply: Result<Reply, ExchangeError>) -> Stage {
        match (self.change, reply, self.knocked) {
            (_, Ok(_), _) => Stage::Over(Ok(Effect::Verified)),
            (_, Err(error @ ExchangeError::WrongIdentity { .. }), _) => {
                Stage::Over(Err(MaintenanceError::Another(error)))
            }
            (Change::Address(address), Err(ExchangeError::Garbled { .. }), Some(_)) => {
                Stage::Over(Err(MaintenanceError::Shared { address }))
            }
            // It acknowledged the new way and was alone before: noise on its data, or none, says nothing more.
            (_, Err(_), None) => Stage::Over(Ok(Effect::Verified)),
            (_, Err(_), Some(_)) => Stage::Old,
        }
    }

    /// What it means that the meter answers the old way.
    fn still_there(&self) -> Result<Effect, MaintenanceError> {
        match (self.change, self.target) {
            // It would whether it obeyed or not.
            (Change::Application(_) | Change::Clock(_), _) => Ok(self.unseen()),
            (Change::Address(address), MeterAddress::Secondary(_)) => Err(MaintenanceError::NotThere { address }),
            (Change::Address(_) | Change::Baud(_), _) => Err(MaintenanceError::Refused),
        }
    }

    fn unseen(&self) -> Effect {
        if self.acknowledged { Effect::Acknowledged } else { Effect::Unanswered }
    }

    /// The frame count bit was reset just before.
    fn data_of(&self, address: u8) -> Request {
        Request::req_ud2(address, true, self.identity)
    }

    /// Is the meter there? Resets its frame count bit, too.
    fn reach(&self) -> Request {
        match self.target {
            MeterAddress::Primary(address) => Request::snd_nke(address.get()),
            MeterAddress::Secondary(mask) => Request::select(mask),
        }
    }
}

impl Series for Maintenance {
    type Part = Exchange;
    type Outcome = Result<Effect, MaintenanceError>;

    fn outcome(&mut self) -> Option<Result<Effect, MaintenanceError>> {
        if let Stage::Over(outcome) = self.stage { Some(outcome) } else { None }
    }

    fn part(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    fn part_ended(&mut self, exchanged: Exchanged) {
        let next = self.after(exchanged.reply);
        self.enter(next);
    }
}

/// The time that a telegram shows for now.
fn clock_of(frame: &[u8]) -> Option<DateTime> {
    let telegram = Telegram::parse(&Frame::parse(frame).ok()?).ok()?;
    telegram.records().flatten().filter(|record| record.dib.storage_number == 0).find_map(|record| match record.value {
        Ok(Value::DateTime(time)) => Some(time),
        _ => None,
    })
}

fn is_soon_after(shown: DateTime, set: DateTime) -> bool {
    let minutes = |time: DateTime| time.seconds() / 60;
    minutes(shown).checked_sub(minutes(set)).is_some_and(|late| late <= CLOCK_MINUTES)
}

#[cfg(test)]
mod tests {
    use super::{DateTime, is_soon_after};

    #[test]
    fn a_clock_may_go_on_over_midnight_but_not_back() {
        // 2026-12-31T23:59
        let set = DateTime::from_seconds(1_798_761_540);
        let shown = |seconds: i64| DateTime::from_seconds(1_798_761_540_u64.saturating_add_signed(seconds));
        assert_eq!(shown(60).to_string(), "2027-01-01T00:00:00");
        assert!([0, 60, 120].into_iter().all(|seconds| is_soon_after(shown(seconds), set)));
        assert!(![-60, 180, 86_400].into_iter().any(|seconds| is_soon_after(shown(seconds), set)));
    }
}
