//! A line in use: opened, powered, and one readout on it after the other. Shared by the agent's task
//! and by the commands that read at once.
//!
//! Not here: what to do when it fails (`task`, `cli`).

use std::error::Error;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Machine;
use super::device_tree::{self, Hat, NoHat};
use super::drive::drive;
use super::frames::Frames;
use super::hat::{BusPower, PowerError};
use super::line::{Character, Holder, Line, LineError};
use super::tape::Tape;
use crate::config::{Bus, Meter};
use crate::mbus::link::timing::Baud;
use crate::mbus::master::conversation::{Conversation, LineTiming, Traffic};
use crate::mbus::master::readout::{Effort, LinkState, Readout, ReadoutError, Turn, TurnOver};
use crate::mbus::master::wake_up::{WakeUp, WakingUp};

/// An open line; the fields fall in this order, so the bus loses its power last.
#[derive(Debug)]
pub struct Session {
    line: Line,
    /// The longest silence inside a telegram, where the line may have longer ones than the standard.
    gap_timeout: Duration,
    /// Since when the line has been silent; `None`: not known.
    quiet_since: Option<Instant>,
    power: Option<BusPower>,
    hat: Option<Hat>,
    frames: Frames,
}

/// Why there is no session, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Outage {
    /// The Hat of the bus is not there.
    #[error(transparent)]
    NoHat(#[from] NoHat),
    /// The Hat is there, its pin is not.
    #[error(transparent)]
    Power(#[from] PowerError),
    /// A gateway takes requests, and no meter ever answers.
    #[error("no meter answers through the gateway, so it is connected to again")]
    Unanswered,
    /// The line.
    #[error(transparent)]
    Line(#[from] LineError),
}

impl Outage {
    /// With all its causes.
    pub(super) fn in_one_line(&self) -> String {
        in_one_line(self)
    }

    /// Whether an agent has the line, as far as `/proc` tells this user.
    pub(crate) fn is_agents(&self) -> bool {
        let Self::Line(LineError::Held { holder, .. }) = self else { return false };
        holder.as_ref().is_none_or(Holder::is_agent)
    }
}

/// An error with all its causes: `cannot open it: permission denied`.
pub(crate) fn in_one_line(error: &dyn Error) -> String {
    causes(error).join(": ")
}

/// What an error says, then what caused it, and so on.
pub(crate) fn causes(error: &dyn Error) -> Vec<String> {
    let (mut texts, mut next) = (Vec::new(), Some(error));
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts
}

/// How one meter is read.
#[derive(Clone, Debug)]
pub struct Query {
    /// What is asked.
    pub turn: Turn,
    /// Rate and parity of the meter.
    pub character: Character,
    /// First-byte timeout.
    pub response_timeout: Duration,
    /// Repeats of a request after the first.
    pub retries: u8,
    /// Sent before.
    pub wake_up: Option<WakeUp>,
}

impl Query {
    /// As the configuration says, with the bus's values where the meter has none.
    #[must_use]
    pub fn new(bus: &Bus, meter: &Meter) -> Self {
        let character = character(bus, Some(meter));
        let response_timeout = response_timeout(bus, Some(meter), character.baud);
        let wake_up = meter.wake_up.or(bus.wake_up);
        Self { turn: turn(meter), character, response_timeout, retries: bus.retries, wake_up }
    }

    /// How long it takes at most: a reset and a request, each repeated, and the telegrams of a meter that answers.
    #[must_use]
    pub(crate) fn longest(&self) -> Duration {
        (self.response_timeout + Duration::from_millis(200)) * 2 * (u32::from(self.retries) + 1)
            + Duration::from_secs(3)
    }

    /// A plain readout with the values of the bus.
    #[must_use]
    pub fn plain(bus: &Bus, turn: Turn) -> Self {
        let response_timeout = response_timeout(bus, None, bus.baud);
        let (character, retries, wake_up) = (character(bus, None), bus.retries, bus.wake_up);
        Self { turn, character, response_timeout, retries, wake_up }
    }
}

impl Session {
    /// Opens the line and, where the Hat powers the bus, switches it on and lets the meters start;
    /// `powered` false leaves it off.
    ///
    /// # Errors
    /// [`Outage`] with what to check.
    pub async fn open(bus: &Bus, machine: &Machine, powered: bool) -> Result<Self, Outage> {
        let hat = match bus.hat {
            Some(_) => Some(device_tree::mbus_master_hat(&machine.device_tree)?),
            None => None,
        };
        let line = Line::open(&bus.port, character(bus, None), &machine.device_tree).await?;
        let gap_timeout = bus.gap_timeout.unwrap_or(line.gap_timeout());
        let Some(switch) = bus.hat else {
            return Ok(Self { line, gap_timeout, quiet_since: None, power: None, hat, frames: Frames::default() });
        };
        let power = BusPower::open(switch.power_gpio, powered, machine.open_pin)?;
        if powered {
            sleep(switch.power_settle).await;
        }
        Ok(Self { line, gap_timeout, quiet_since: None, power: Some(power), hat, frames: Frames::default() })
    }

    /// Records what goes over the line.
    pub(super) fn record(&mut self, tape: watch::Sender<Tape>) {
        self.frames = Frames::taped(tape);
    }

    /// The Hat that powers the bus.
    #[must_use]
    pub fn hat(&self) -> Option<&Hat> {
        self.hat.as_ref()
    }

    /// The switch of the bus.
    #[must_use]
    pub fn power(&self) -> Option<&BusPower> {
        self.power.as_ref()
    }

    /// One meter's turn; `link` is what its last turn left behind.
    ///
    /// # Errors
    /// Where the line is gone. That a meter gave nothing, or has a rate that the line cannot do, is in the outcome.
    pub async fn read(&mut self, query: Query, link: LinkState) -> Result<TurnOver, LineError> {
        match self.try_read(query, link).await {
            Err(LineError::Unsupported(Character { baud, parity, stop_bits })) => Ok(TurnOver {
                frames: Err(ReadoutError::Unsupported { baud, parity, stop_bits }),
                unanswered: Vec::new(),
                link,
                response_time: None,
                traffic: Traffic::default(),
            }),
            other => other,
        }
    }

    async fn try_read(&mut self, query: Query, link: LinkState) -> Result<TurnOver, LineError> {
        let timing = self.timing_of(&query);
        self.wake(query.character, query.wake_up).await?;
        self.converse(query.character, &mut Readout::new(query.turn, link, timing)).await
    }

    /// Wakes the meters that need it before a conversation with characters like these.
    ///
    /// # Errors
    /// Where the line is gone.
    pub async fn wake(&mut self, character: Character, wake_up: Option<WakeUp>) -> Result<(), LineError> {
        let Some(wake_up) = wake_up else { return Ok(()) };
        let timing = self.timing(character.baud, Duration::ZERO, 0);
        let parity = wake_up.parity.unwrap_or(character.parity);
        self.converse(Character { parity, ..character }, &mut WakingUp::new(wake_up, timing, character.parity)).await
    }

    /// Any conversation, with characters like these.
    ///
    /// # Errors
    /// Where the line is gone; what else happened is in the outcome.
    pub async fn converse<C: Conversation>(
        &mut self,
        character: Character,
        conversation: &mut C,
    ) -> Result<C::Outcome, LineError> {
        drive(&mut self.line, character, conversation, &mut self.frames, &mut self.quiet_since).await
    }

    /// The same for the turn of one meter.
    pub(crate) fn timing_of(&self, query: &Query) -> LineTiming {
        self.timing(query.character.baud, query.response_timeout, query.retries)
    }

    /// What a conversation must know of this line.
    #[must_use]
    pub fn timing(&self, baud: Baud, response_timeout: Duration, retries: u8) -> LineTiming {
        LineTiming { baud, response_timeout, latency: self.line.latency(), gap_timeout: self.gap_timeout, retries }
    }

    /// Waits for the line's end. Bytes that come unasked are not an answer and are thrown away.
    pub async fn lost(&mut self) -> LineError {
        let mut noise = [0; 64];
        loop {
            if let Err(error) = self.line.read(&mut noise).await {
                return error;
            }
        }
    }
}

/// The characters of a bus, or of one of its meters that has its own.
pub(crate) fn character(bus: &Bus, meter: Option<&Meter>) -> Character {
    Character {
        baud: meter.and_then(|m| m.baud).unwrap_or(bus.baud),
        parity: meter.and_then(|m| m.parity).unwrap_or(bus.parity),
        stop_bits: bus.stop_bits,
    }
}

/// How long to wait for the first byte of a reply: as configured for the meter or its bus. At another
/// rate than the configured one that figure means nothing, and the rate's own counts.
pub(crate) fn response_timeout(bus: &Bus, meter: Option<&Meter>, baud: Baud) -> Duration {
    let configured = meter.and_then(|meter| meter.timeout).or(bus.response_timeout);
    let configured = configured.filter(|_| baud == character(bus, meter).baud);
    configured.unwrap_or(baud.response_timeout())
}

/// What is read of a configured meter.
pub(crate) fn turn(meter: &Meter) -> Turn {
    Turn {
        address: meter.address,
        reset: meter.reset,
        application_select: meter.application_select,
        application_reset: false,
        requests: meter.requests.clone(),
        key: meter.key,
        effort: Effort::Full,
    }
}
