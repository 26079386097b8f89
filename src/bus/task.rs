//! The task that owns a segment: it opens the line, powers the bus, reads each meter when it is due
//! and hands every outcome on. When the line is gone it opens it again, as often as it takes.
//!
//! It ends when it is stopped or its events are no longer taken; the exchange on the wire may finish
//! first, the bus loses its power last. Requests that it holds then are dropped, which answers them.
//!
//! Nothing here can wait without an end: a line is opened and written within bounds of its own
//! (`line`, `drive`), an answer has its time (`mbus::master`), and the outbox answers for itself.
//!
//! Not here: opening the line (`opening`), one meter's turn (`turns`), what is asked (`requests`), when it is due
//! (`schedule`), what to say to it (`mbus::master::readout`), what its telegrams mean and whether it counts as offline (the outbox).

mod opening;
mod requests;
mod turns;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::exchange::{Meters, exchange};
use super::health::{Health, Load};
use super::hunting::Hunting;
use super::line::LineError;
use super::metered::Metered;
use super::power::PowerSwitch;
use super::scanning::Scanning;
use super::schedule::{Next, Now, Plan, Schedule};
use super::session::{Outage, Session};
use super::tape::Tape;
use super::{BusEvent, Happened, Machine};
use crate::config::Bus;
use crate::mbus::address::MeterAddress;
use crate::mbus::master::readout::LinkState;
use crate::request::{Asked, Reply};

/// Once a line was lost, one that holds for so long counts as open before anything is read.
const HOLDS_FOR: Duration = Duration::from_secs(1);

/// How long the readout on the wire may take to finish once the task is stopped: at 2400 baud the longest telegram
/// takes 1.2 s.
pub const FINISH_WITHIN: Duration = Duration::from_millis(1300);

/// All that a bus task is made of.
#[derive(Debug)]
pub struct BusTask {
    /// Index in `Config::buses`.
    pub index: usize,
    /// As configured.
    pub bus: Bus,
    /// Its meters.
    pub meters: Vec<Metered>,
    /// Of the slots.
    pub timezone: TimeZone,
    /// The machine it runs on.
    pub machine: Machine,
    /// Whether its user wants it to have power.
    pub powered: bool,
    /// Takes what happens.
    pub events: mpsc::Sender<BusEvent>,
    /// Brings requests; when it closes there are no more.
    pub requests: mpsc::Receiver<Asked>,
    /// Takes the snapshot after each change.
    pub health: watch::Sender<Health>,
    /// Takes what goes over the wire.
    pub tape: watch::Sender<Tape>,
    /// Becomes true, or closes, to stop the task.
    pub stop: watch::Receiver<bool>,
    /// Shows other meters than these, when they are to be read instead.
    pub others: watch::Receiver<Meters>,
    /// Looks for meters that nobody wrote down.
    pub hunting: Option<Hunting>,
}

impl BusTask {
    /// Runs until it is stopped or its events are no longer taken.
    pub async fn run(self) {
        let plans = self.meters.iter().map(|metered| Plan::new(&metered.meter, metered.last_good)).collect();
        let mut running = Running {
            schedule: Schedule::new(plans, self.timezone.clone(), now()),
            load: Load::new(Instant::now().into_std()),
            power: PowerSwitch::new(&self.bus, self.meters.len(), self.powered),
            task: self,
            scan: None,
            reads_at: VecDeque::new(),
            losses: 0,
            opened: Instant::now(),
            shown: Shown::Nothing,
        };
        running.show_schedule();
        running.show_power();
        while let Ok(()) = running.session().await {}
    }
}

/// The task at work.
struct Running {
    task: BusTask,
    /// Of the meters, under the same index.
    schedule: Schedule,
    load: Load,
    power: PowerSwitch,
    /// A search that goes on while nothing is due, and who asked for it.
    scan: Option<(Scanning, Reply)>,
    /// Addresses to read once, first come first served.
    reads_at: VecDeque<ReadAt>,
    /// How often in a row the line was lost before a turn came to its end.
    losses: u32,
    /// When it was opened last.
    opened: Instant,
    shown: Shown,
}

/// An address to read for who asked.
struct ReadAt {
    address: MeterAddress,
    /// Whether only the telegrams are wanted, not what they mean.
    plain: bool,
    reply: Reply,
}

/// What others know of the bus: a line that comes and goes is not news each time.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Up,
    /// Down, and why.
    Down(String),
}

/// The task is to end.
struct Stop;

/// What a wait or a readout ended with, besides its result.
enum Interrupt {
    Stop,
    Outage(Outage),
}

impl From<Stop> for Interrupt {
    fn from(Stop: Stop) -> Self {
        Self::Stop
    }
}

impl From<Outage> for Interrupt {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

impl From<LineError> for Interrupt {
    fn from(error: LineError) -> Self {
        Self::Outage(error.into())
    }
}

impl Running {
    /// From one opening of the line to its loss.
    async fn session(&mut self) -> Result<(), Stop> {
        self.pause_after_losses().await?;
        let mut session = self.open().await?;
        self.opened = Instant::now();
        if let Some(hunting) = &mut self.task.hunting {
            hunting.line_is_open(&self.task.bus, &session);
        }
        self.task.meters.iter_mut().for_each(|metered| metered.link = LinkState::default());
        if let Some(hat) = session.hat() {
            tracing::info!("Found M-Bus Master Hat version {}", hat.product_ver);
        }
        if self.losses == 0 {
            self.show_up().await?;
        }
        let ended = self.serve(&mut session).await;
        drop(session);
        match ended {
            Ok(()) | Err(Interrupt::Stop) => Err(Stop),
            Err(Interrupt::Outage(outage)) => {
                self.losses = self.losses.saturating_add(1);
                self.task.health.send_modify(|health| health.line_losses += 1);
                self.show_down(&outage.in_one_line()).await
            }
        }
    }

    fn show_schedule(&self) {
        let next_reads = self.schedule.next_reads();
        self.task.health.send_modify(|health| health.next_reads = next_reads);
    }

    /// Reads what is due until the line is gone or the task is stopped.
    async fn serve(&mut self, session: &mut Session) -> Result<(), Interrupt> {
        loop {
            self.pause(Duration::ZERO).await?; // a task that is stopped begins nothing more
            if self.opened.elapsed() >= HOLDS_FOR {
                self.show_up().await?;
            }
            self.exchange_meters();
            if let Some(hunting) = &mut self.task.hunting {
                hunting.tell();
            }
            while let Ok(asked) = self.task.requests.try_recv() {
                self.obey(asked, session).await?;
            }
            // One between two scheduled readouts, so that neither kind waits for all of the other.
            if let Some(address) = self.reads_at.front().map(|read| read.address) {
                self.read_at(session, address).await?;
                self.pause(self.task.bus.idle).await?;
            }
            let until = match self.next() {
                Next::Read(due) => {
                    self.read(session, due).await?;
                    self.pause(self.task.bus.idle).await?;
                    continue;
                }
                Next::WaitUntil(until) => Some(until),
                Next::Idle => None,
            };
            if !self.reads_at.is_empty() {
                continue;
            }
            if self.scan.is_some() {
                self.probe(session).await?;
            } else if self.is_hunting() {
                self.hunt(session).await?;
            } else {
                self.wait(session, until).await?;
            }
        }
    }

    /// A bus that was switched off on demand is not read: its meters are not silent.
    fn next(&mut self) -> Next {
        if self.power.is_on() { self.schedule.next(now()) } else { Next::Idle }
    }

    fn is_hunting(&self) -> bool {
        self.power.is_on() && self.task.hunting.as_ref().is_some_and(|hunting| !hunting.is_over())
    }

    /// Takes other meters over, where there are some.
    fn exchange_meters(&mut self) {
        if self.task.others.has_changed().unwrap_or(false) {
            let meters = self.task.others.borrow_and_update().clone();
            exchange(&mut self.task.meters, &mut self.schedule, &meters, now());
            self.power.meters(meters.len());
        }
    }

    /// Waits for a slot, a request, other meters, or the line's end.
    async fn wait(&mut self, session: &mut Session, until: Option<std::time::Instant>) -> Result<(), Interrupt> {
        let holds = (self.shown != Shown::Up).then(|| (self.opened + HOLDS_FOR).into_std());
        let rests = self.task.hunting.as_ref().filter(|_| self.power.is_on()).and_then(Hunting::rests_until);
        let rests = rests.map(Instant::into_std);
        let slot = async {
            match until.into_iter().chain(holds).chain(rests).min() {
                Some(until) => sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = slot => Ok(()),
            () = stopped(&mut self.task.stop) => Err(Interrupt::Stop),
            Some(asked) = self.task.requests.recv() => self.obey(asked, session).await,
            Ok(()) = self.task.others.changed() => {
                self.task.others.mark_changed();
                Ok(())
            }
            error = session.lost() => Err(error.into()),
        }
    }

    /// Every meter may have been reset: its next frame count bit is in doubt.
    fn doubt(&mut self) {
        self.task.meters.iter_mut().for_each(|metered| metered.link.doubt());
    }

    /// Ends early, with an error, where the task is stopped.
    async fn pause(&mut self, pause: Duration) -> Result<(), Stop> {
        if pause.is_zero() {
            // Not even a tick of a timer: it would be the pause between two meters.
            let stops = *self.task.stop.borrow() || self.task.stop.has_changed().is_err();
            return if stops { Err(Stop) } else { Ok(()) };
        }
        tokio::select! {
            biased;
            () = stopped(&mut self.task.stop) => Err(Stop),
            () = sleep(pause) => Ok(()),
        }
    }

    /// Waits for the outbox, which answers for itself.
    async fn emit(&mut self, what: Happened) -> Result<(), Stop> {
        self.task.events.send(BusEvent { bus: self.task.index, what }).await.map_err(|_| Stop)
    }
}

/// What a request of a bus that is down is answered with.
fn down(why: &str) -> String {
    format!("the bus is down: {why}")
}

fn now() -> Now {
    Now { monotonic: Instant::now().into_std(), wall: Timestamp::now() }
}

/// Ends when the task is stopped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever would stop it is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Ends `grace` after the task was stopped.
async fn stopped_for(stop: &mut watch::Receiver<bool>, grace: Duration) {
    stopped(stop).await;
    sleep(grace).await;
}

#[cfg(test)]
mod tests;
