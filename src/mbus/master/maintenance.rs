//! Changes to a meter: its address, baud rate, clock, or application; each with a check that it took
//! effect, because E5 says only that the request arrived (EN 13757-3 clauses 7, 9 and 12).
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

use core::fmt;

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
}

/// Why a change failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceError {
    /// Another meter, or several, answer at the new address already.
    Occupied {
        /// The new address.
        address: PrimaryAddress,
    },
    /// The meter did not answer before anything was changed.
    Unreachable(ExchangeError),
    /// More than one meter answers at the address of the one that is meant; none was changed.
    Several {
        /// Their address.
        address: PrimaryAddress,
    },
    /// Whatever answers the new way is not, or not alone, the meter that was meant.
    Another(ExchangeError),
    /// The meter is as it was before.
    Refused,
    /// The meter answers neither the new way nor the old.
    Lost,
}

impl fmt::Display for MaintenanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied { address } => write!(f, "address {address} is taken: something answers there"),
            Self::Unreachable(error) => error.fmt(f),
            Self::Several { address } => write!(
                f,
                "several meters answer at {address}, or the line is too noisy to tell; name one by its number, \
                 which `mbushat scan --secondary` shows"
            ),
            Self::Another(error) => write!(f, "the new way answers not that meter alone: {error}"),
            Self::Refused => f.write_str("the meter did not obey: it still answers as before"),
            Self::Lost => f.write_str(
                "the meter answers neither the new way nor the old; many return to their old rate after 2 to 10 minutes",
            ),
        }
    }
}

impl core::error::Error for MaintenanceError {}

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
    stage: Stage,
    exchange: Exchange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// SND_NKE to the new address, which must stay silent.
    Vacant,
    /// SND_NKE to the meter, or its selection: it is there.
    Reach,
    /// REQ_UD2 to a primary address: E5 of two meters at once looks like that of one, two telegrams do not.
    Alone,
    /// The change.
    Change,
    /// SND_NKE to the new address, or at the new rate; REQ_UD2 for the clock.
    Verify,
    /// REQ_UD2 to what answered the new way: it is the same meter.
    Same,
    /// SND_NKE to the old address, or at the old rate.
    Old,
    Over(Result<Effect, MaintenanceError>),
}

impl Maintenance {
    /// A change of the meter at `target`, on a line that has the rate of `timing`. The line is left
    /// at the rate at which the meter answered last.
    #[must_use]
    pub fn new(target: MeterAddress, change: Change, timing: LineTiming) -> Self {
        let exchange = Exchange::new(Request::snd_nke(SELECTED), timing);
        let (stage, identity) = (Stage::Reach, target.mask());
        let mut new = Self { target, change, timing, baud: timing.baud, identity, stage, exchange };
        new.enter(if matches!(change, Change::Address(_)) { Stage::Vacant } else { Stage::Reach });
        new
    }

    fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        let (baud, request) = match (stage, self.change) {
            (Stage::Over(_), _) => return,
            (Stage::Vacant | Stage::Verify, Change::Address(new)) => (self.timing.baud, Request::snd_nke(new.get())),
            (Stage::Change, _) => (self.timing.baud, self.change.request(self.target)),
            (Stage::Same, Change::Address(new)) => (self.timing.baud, self.data_of(new.get())),
            (Stage::Verify, Change::Baud(new)) => (new, self.reach()),
            (Stage::Same, Change::Baud(new)) => (new, self.data_of(self.target.a_field())),
            (Stage::Alone, _) => (self.timing.baud, self.data_of(self.target.a_field())),
            (Stage::Verify | Stage::Same, _) => {
                (self.timing.baud, Request::req_ud2(self.target.a_field(), true, self.target.mask()))
            }
            (Stage::Vacant | Stage::Reach | Stage::Old, _) => (self.timing.baud, self.reach()),
        };
        self.exchange = Exchange::new(request, LineTiming { baud, ..self.timing });
        if baud != self.baud {
            self.exchange.set_baud_first();
            self.baud = baud;
        }
    }

    /// What follows an exchange.
    fn after(&mut self, reply: Result<Reply, ExchangeError>) -> Stage {
        match (self.stage, reply) {
            (Stage::Vacant, Err(ExchangeError::Silence)) => Stage::Reach,
            (Stage::Vacant, _) => match self.change {
                Change::Address(address) => Stage::Over(Err(MaintenanceError::Occupied { address })),
                _ => Stage::Reach,
            },
            (Stage::Reach, reply) => self.reached(reply),
            (Stage::Alone, reply) => self.alone(reply),
            (Stage::Change, Ok(_)) if matches!(self.change, Change::Application(_)) => {
                Stage::Over(Ok(Effect::Acknowledged))
            }
            // The acknowledgement may be lost though the meter obeyed: the check shows it.
            (Stage::Change, _) => Stage::Verify,
            (Stage::Verify, reply) => self.verified(reply),
            (Stage::Same, Err(error @ ExchangeError::WrongIdentity { .. })) => {
                Stage::Over(Err(MaintenanceError::Another(error)))
            }
            // It acknowledged the new way and was alone before: noise on its data, or none, says nothing more.
            (Stage::Same, _) => Stage::Over(Ok(Effect::Verified)),
            (Stage::Old, Ok(_)) => Stage::Over(Err(MaintenanceError::Refused)),
            (Stage::Old, Err(_)) => Stage::Over(Err(MaintenanceError::Lost)),
            (Stage::Over(outcome), _) => Stage::Over(outcome),
        }
    }

    fn reached(&self, reply: Result<Reply, ExchangeError>) -> Stage {
        match (self.target, reply) {
            (MeterAddress::Primary(_), Ok(_)) => Stage::Alone,
            (MeterAddress::Primary(address), Err(ExchangeError::Garbled { .. })) => {
                Stage::Over(Err(MaintenanceError::Several { address }))
            }
            (MeterAddress::Secondary(_), Ok(_)) => Stage::Change,
            (_, Err(error)) => Stage::Over(Err(MaintenanceError::Unreachable(error))),
        }
    }

    /// A meter that gives no data can be changed all the same: nothing suggests a second one.
    fn alone(&mut self, reply: Result<Reply, ExchangeError>) -> Stage {
        match (self.target, reply) {
            (_, Ok(Reply::Data(frame))) => {
                self.identity = identity_of(&frame).unwrap_or(self.identity);
                Stage::Change
            }
            (_, Ok(_) | Err(ExchangeError::Silence)) | (MeterAddress::Secondary(_), _) => Stage::Change,
            (MeterAddress::Primary(address), Err(ExchangeError::Garbled { .. })) => {
                Stage::Over(Err(MaintenanceError::Several { address }))
            }
            (MeterAddress::Primary(_), Err(error)) => Stage::Over(Err(MaintenanceError::Unreachable(error))),
        }
    }

    fn verified(&self, reply: Result<Reply, ExchangeError>) -> Stage {
        match (self.change, reply) {
            (Change::Address(_), Ok(_)) => Stage::Same,
            (Change::Baud(_), Ok(_)) => match self.target {
                MeterAddress::Primary(_) => Stage::Same,
                // The selection has asked who it is.
                MeterAddress::Secondary(_) => Stage::Over(Ok(Effect::Verified)),
            },
            (Change::Clock(set), Ok(Reply::Data(frame))) => Stage::Over(match clock_of(&frame) {
                None => Ok(Effect::Acknowledged),
                Some(shown) if is_soon_after(shown, set) => Ok(Effect::Verified),
                Some(_) => Err(MaintenanceError::Refused),
            }),
            (Change::Clock(_), Ok(_)) => Stage::Over(Ok(Effect::Acknowledged)),
            (_, Ok(_) | Err(_)) => Stage::Old,
        }
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
