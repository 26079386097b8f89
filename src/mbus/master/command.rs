//! Orders that change a meter: its address, baud rate, clock, or application; each with a check that
//! it took effect, because E5 says only that the order arrived.
//!
//! A command hands out one exchange at a time, each with the rate the line must have for it, and
//! takes its outcome (EN 13757-3 clauses 7, 9 and 12):
//!
//! ```
//! use mbushat::mbus::address::{MeterAddress, PrimaryAddress};
//! use mbushat::mbus::master::command::{Command, Effect, Order};
//! use mbushat::mbus::master::exchange::LineTiming;
//! use mbushat::mbus::link::timing::Baud;
//! use mbushat::sim::{known::ats, plan::SegmentPlan, segment::Segment};
//! use std::time::Instant;
//!
//! let (old, new) = (PrimaryAddress::new(48).ok_or("0 to 250")?, PrimaryAddress::new(5).ok_or("0 to 250")?);
//! let mut now = Instant::now();
//! let mut segment = Segment::new(SegmentPlan::new(vec![ats(old)]), now);
//! let mut command = Command::new(MeterAddress::Primary(old), Order::SetAddress(new), Baud::DEFAULT);
//! let outcome = loop {
//!     match command.next_exchange(LineTiming::new(Baud::DEFAULT)) {
//!         Ok((baud, mut exchange)) => {
//!             segment.set_baud(baud); // of a real line: set its rate, drive the exchange
//!             command.take(segment.converse(&mut exchange, &mut now).reply);
//!         }
//!         Err(outcome) => break outcome,
//!     }
//! };
//! assert_eq!(outcome, Ok(Effect::Verified));
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
use crate::mbus::master::exchange::{Exchange, ExchangeError, LineTiming, Reply};
use crate::mbus::master::request::{CI_APPLICATION_SELECT, CI_COMMAND, Request};

/// DIF and VIF of a new primary address: 8 bit integer, bus address.
const SET_ADDRESS: [u8; 2] = [0x01, 0x7A];
/// DIF and VIF of a new time: type F.
const SET_CLOCK: [u8; 2] = [0x04, 0x6D];
/// CI field of the slowest baud rate; the others follow in order (EN 13757-3 clause 12).
const CI_SLOWEST_BAUD: u8 = 0xB8;
/// A clock read back may show this many minutes more than was set.
const CLOCK_MINUTES: u16 = 2;

/// What a meter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Take this primary address; refused where another meter has it.
    SetAddress(PrimaryAddress),
    /// Speak at this rate from now on.
    SetBaud(Baud),
    /// Set the clock: the meter's local time.
    SetClock(DateTime),
    /// Reset the application, or select one by its sub-code.
    ResetApplication(Option<u8>),
}

/// What a command achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It took effect: asked for, it shows.
    Verified,
    /// The meter acknowledged; whether it obeyed does not show.
    Acknowledged,
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// Another meter, or several, answer at the new address already.
    Occupied {
        /// The new address.
        address: PrimaryAddress,
    },
    /// The meter did not answer before anything was changed.
    Unreachable(ExchangeError),
    /// The meter is as it was before.
    Refused,
    /// The meter answers neither the new way nor the old.
    Lost,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied { address } => write!(f, "address {address} is taken: something answers there"),
            Self::Unreachable(error) => error.fmt(f),
            Self::Refused => f.write_str("the meter did not obey: it still answers as before"),
            Self::Lost => f.write_str(
                "the meter answers neither the new way nor the old; many return to their old rate after 2 to 10 minutes",
            ),
        }
    }
}

impl core::error::Error for CommandError {}

/// A command on its way.
#[derive(Clone, Debug)]
pub struct Command {
    target: MeterAddress,
    order: Order,
    baud: Baud,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// SND_NKE to the new address: silence is wanted.
    Vacant,
    /// SND_NKE to the meter, or its selection: it is there.
    Reach,
    /// The order.
    Order,
    /// SND_NKE to the new address, or at the new rate; REQ_UD2 for the clock.
    Verify,
    /// SND_NKE to the old address, or at the old rate.
    Old,
    Over(Result<Effect, CommandError>),
}

impl Command {
    /// An order for the meter at `target`, which is on a line at `baud`.
    #[must_use]
    pub fn new(target: MeterAddress, order: Order, baud: Baud) -> Self {
        let stage = if matches!(order, Order::SetAddress(_)) { Stage::Vacant } else { Stage::Reach };
        Self { target, order, baud, stage }
    }

    /// The order itself, as it goes on the wire: what a dry run shows.
    #[must_use]
    pub fn order(&self) -> Request {
        let address = self.address();
        match self.order {
            Order::SetAddress(new) => {
                let [dif, vif] = SET_ADDRESS;
                Request::snd_ud(address, false, CI_COMMAND, &[dif, vif, new.get()])
            }
            Order::SetBaud(baud) => {
                let place = Baud::ALL.iter().position(|known| *known == baud).and_then(|at| u8::try_from(at).ok());
                Request::snd_ud(address, false, CI_SLOWEST_BAUD + place.unwrap_or(0), &[])
            }
            Order::SetClock(time) => {
                Request::snd_ud(address, false, CI_COMMAND, &[&SET_CLOCK[..], &time.to_f()].concat())
            }
            Order::ResetApplication(code) => Request::snd_ud(address, false, CI_APPLICATION_SELECT, code.as_slice()),
        }
    }

    /// The next exchange and the rate the line must have for it.
    ///
    /// # Errors
    /// Not an error: the outcome, when there is nothing more to send. The line is then left at the
    /// rate that the meter last answered at.
    pub fn next_exchange(&self, timing: LineTiming) -> Result<(Baud, Exchange), Result<Effect, CommandError>> {
        let (baud, request) = match (self.stage, self.order) {
            (Stage::Over(outcome), _) => return Err(outcome),
            (Stage::Vacant, Order::SetAddress(new)) => (self.baud, Request::snd_nke(new.get())),
            (Stage::Order, _) => (self.baud, self.order()),
            (Stage::Verify, Order::SetAddress(new)) => (self.baud, Request::snd_nke(new.get())),
            (Stage::Verify, Order::SetBaud(new)) => (new, self.reach()),
            (Stage::Verify, _) => (self.baud, Request::req_ud2(self.address(), true, self.identity())),
            (Stage::Vacant | Stage::Reach | Stage::Old, _) => (self.baud, self.reach()),
        };
        Ok((baud, Exchange::new(request, LineTiming { baud, ..timing })))
    }

    /// What came of the exchange that was handed out last.
    pub fn take(&mut self, reply: Result<Reply, ExchangeError>) {
        self.stage = match (self.stage, reply) {
            (Stage::Vacant, Err(ExchangeError::Silence)) => Stage::Reach,
            (Stage::Vacant, _) => match self.order {
                Order::SetAddress(address) => Stage::Over(Err(CommandError::Occupied { address })),
                _ => Stage::Reach,
            },
            (Stage::Reach, Ok(_)) => Stage::Order,
            (Stage::Reach, Err(error)) => Stage::Over(Err(CommandError::Unreachable(error))),
            // The acknowledgement may be lost and the order obeyed: the check tells.
            (Stage::Order, Ok(_)) if matches!(self.order, Order::ResetApplication(_)) => {
                Stage::Over(Ok(Effect::Acknowledged))
            }
            (Stage::Order, _) => Stage::Verify,
            (Stage::Verify, reply) => self.verified(reply),
            (Stage::Old, Ok(_)) => Stage::Over(Err(CommandError::Refused)),
            (Stage::Old, Err(_)) => Stage::Over(Err(CommandError::Lost)),
            (Stage::Over(outcome), _) => Stage::Over(outcome),
        };
    }

    fn verified(&self, reply: Result<Reply, ExchangeError>) -> Stage {
        match (self.order, reply) {
            (Order::SetAddress(_) | Order::SetBaud(_), Ok(_)) => Stage::Over(Ok(Effect::Verified)),
            (Order::SetClock(set), Ok(Reply::Data(frame))) => Stage::Over(match clock_of(&frame) {
                None => Ok(Effect::Acknowledged),
                Some(shown) if is_soon_after(shown, set) => Ok(Effect::Verified),
                Some(_) => Err(CommandError::Refused),
            }),
            (Order::SetClock(_), Ok(_)) => Stage::Over(Ok(Effect::Acknowledged)),
            (_, Ok(_) | Err(_)) => Stage::Old,
        }
    }

    fn address(&self) -> u8 {
        match self.target {
            MeterAddress::Primary(address) => address.get(),
            MeterAddress::Secondary(_) => SELECTED,
        }
    }

    fn identity(&self) -> SecondaryAddress {
        match self.target {
            MeterAddress::Primary(_) => SecondaryAddress::ANY,
            MeterAddress::Secondary(mask) => mask,
        }
    }

    /// Is the meter there? Resets its frame count bit, too.
    fn reach(&self) -> Request {
        match self.target {
            MeterAddress::Primary(address) => Request::snd_nke(address.get()),
            MeterAddress::Secondary(mask) => Request::select(mask),
        }
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
    let minutes = |time: DateTime| u16::from(time.time.hour) * 60 + u16::from(time.time.minute);
    shown.date == set.date && minutes(shown).checked_sub(minutes(set)).is_some_and(|late| late <= CLOCK_MINUTES)
}
