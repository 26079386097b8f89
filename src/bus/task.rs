//! The task that owns a segment: it opens the line, powers the bus, reads each meter when it is due
//! and hands every outcome on. When the line is gone it opens it again, for ever.
//!
//! It ends when it is told to stop or nobody takes its events any more; the exchange on the wire may
//! finish first, the bus loses its power last.
//!
//! Not here: when a meter is due (`schedule`), what to say to it (`mbus::master::readout`), what its
//! telegrams mean and whether a meter counts as offline (the outbox).

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::health::{Health, Load};
use super::heartbeat::{Promise, Watched};
use super::last_resort::{LastResort, OFF_FOR};
use super::line::LineError;
use super::scanning::Scanning;
use super::schedule::{Due, Next, Now, Plan, Schedule};
use super::session::{Outage, Query, Session};
use super::{BusEvent, Command, Happened, Machine, MeterReadout};
use crate::config::{Bus, Meter, Port};
use crate::mbus::master::readout::{LinkState, ReadoutError, TurnOver};

/// Pauses between two tries to open a line. The last one is repeated for ever: a line that came back
/// is read again within five seconds, the time to power the bus or to give a connection up included.
const REOPEN_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// How long a line may take to open, beside the time that its meters take to start.
const OPENED_WITHIN: Duration = Duration::from_secs(15);

/// How long the readout on the wire may take to finish once the task is told to stop.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// A meter of the bus.
#[derive(Clone, Debug)]
pub struct Metered {
    /// As configured.
    pub meter: Meter,
    /// When its last good reading was taken, where the store knows.
    pub last_good: Option<Timestamp>,
}

/// All that a bus task is made of.
#[derive(Debug)]
pub struct BusTask {
    /// Place in `Config::buses`.
    pub place: usize,
    /// As configured.
    pub bus: Bus,
    /// Its meters.
    pub meters: Vec<Metered>,
    /// Of the slots.
    pub timezone: TimeZone,
    /// The machine it runs on.
    pub machine: Machine,
    /// Takes what happens.
    pub events: mpsc::Sender<BusEvent>,
    /// Brings wishes; when it closes there are no more.
    pub commands: mpsc::Receiver<Command>,
    /// Takes the snapshot after each change.
    pub health: watch::Sender<Health>,
    /// Takes by when the task moves on.
    pub promise: Promise,
    /// Becomes true, or closes, when the task shall stop.
    pub stop: watch::Receiver<bool>,
}

impl BusTask {
    /// Runs until it is told to stop or nobody takes its events.
    pub async fn run(self) {
        let plans = self.meters.iter().map(|Metered { meter, last_good }| Plan::new(meter, *last_good)).collect();
        let schedule = Schedule::new(plans, self.timezone.clone(), now());
        let links = vec![LinkState::default(); self.meters.len()];
        let failing = vec![false; self.meters.len()];
        let load = Load::new(Instant::now().into_std());
        let last_resort = LastResort::new(self.meters.len(), matches!(self.bus.port, Port::Tcp { .. }));
        let mut running =
            Running { task: self, schedule, links, failing, load, last_resort, power_wanted: true, scan: None };
        while let Ok(()) = running.session().await {}
    }
}

/// The task at work.
struct Running {
    task: BusTask,
    schedule: Schedule,
    /// What the master remembers of each meter.
    links: Vec<LinkState>,
    /// Whether a meter's last readout failed: only the first failure in a row is logged.
    failing: Vec<bool>,
    load: Load,
    last_resort: LastResort,
    power_wanted: bool,
    /// A search that goes on while nothing is due.
    scan: Option<Scanning>,
}

/// The task shall end.
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
        let mut session = self.open().await?;
        self.scan = None;
        self.links.fill(LinkState::default());
        self.task.health.send_modify(|health| health.up = self.power_wanted);
        if let Some(hat) = session.hat() {
            tracing::info!("Found M-Bus Master Hat version {}", hat.product_ver);
        }
        tracing::info!(bus = self.task.bus.name, "bus is up");
        self.emit(Happened::Up).await?;
        let ended = self.serve(&mut session).await;
        drop(session);
        match ended {
            Ok(()) | Err(Interrupt::Stop) => Err(Stop),
            Err(Interrupt::Outage(outage)) => {
                self.task.health.send_modify(|health| health.line_losses += 1);
                self.report_down(&outage.in_one_line()).await
            }
        }
    }

    /// Opens line and power, however long it takes. Each different reason is reported once.
    async fn open(&mut self) -> Result<Session, Stop> {
        let mut reported = None;
        let mut pauses = REOPEN_AFTER.into_iter();
        let mut pause = REOPEN_AFTER[0];
        loop {
            self.task.promise.within(OPENED_WITHIN + self.task.bus.hat.map_or(Duration::ZERO, |hat| hat.power_settle));
            let opened = {
                let (task, stop) = (&self.task, &mut self.task.stop.clone());
                tokio::select! {
                    opened = Session::open(&task.bus, &task.machine, self.power_wanted) => opened,
                    () = told_to_stop(stop) => return Err(Stop),
                }
            };
            let error = match opened {
                Ok(opened) => return Ok(opened),
                Err(outage) => outage.in_one_line(),
            };
            if reported.as_ref() != Some(&error) {
                self.report_down(&error).await?;
                reported = Some(error);
            }
            pause = pauses.next().unwrap_or(pause);
            self.pause(pause).await?;
        }
    }

    /// Ends early, with an error, where the task shall stop.
    async fn pause(&mut self, pause: Duration) -> Result<(), Stop> {
        self.task.promise.within(pause);
        tokio::select! {
            biased;
            () = told_to_stop(&mut self.task.stop) => Err(Stop),
            () = sleep(pause) => Ok(()),
        }
    }

    async fn report_down(&mut self, error: &str) -> Result<(), Stop> {
        tracing::error!(bus = self.task.bus.name, "bus is down: {error}");
        self.task.health.send_modify(|health| {
            health.up = false;
            health.last_error = Some(error.to_owned());
        });
        self.emit(Happened::Down { error: error.to_owned() }).await
    }

    /// Reads what is due until the line is gone or the task shall stop.
    async fn serve(&mut self, session: &mut Session) -> Result<(), Interrupt> {
        loop {
            while let Ok(command) = self.task.commands.try_recv() {
                self.obey(command, session).await?;
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
            if self.scan.is_some() {
                self.pause(Duration::ZERO).await?; // told to stop, the scan is given up
                self.probe(session).await?;
            } else {
                self.wait(session, until).await?;
            }
        }
    }

    /// A bus that was switched off on demand is not read: its meters are not silent.
    fn next(&mut self) -> Next {
        if self.power_wanted { self.schedule.next(now()) } else { Next::Idle }
    }

    /// Waits for a slot, a wish, or the line's end.
    async fn wait(&mut self, session: &mut Session, until: Option<std::time::Instant>) -> Result<(), Interrupt> {
        self.task.promise.by(until.map(Instant::from));
        let slot = async {
            match until {
                Some(until) => sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = slot => Ok(()),
            () = told_to_stop(&mut self.task.stop) => Err(Interrupt::Stop),
            Some(command) = self.task.commands.recv() => self.obey(command, session).await,
            error = session.lost() => Err(error.into()),
        }
    }

    async fn obey(&mut self, command: Command, session: &Session) -> Result<(), Interrupt> {
        match command {
            Command::ReadNow { meter } => {
                if let Some(place) = self.task.meters.iter().position(|m| m.meter.name == meter) {
                    self.schedule.want(place);
                }
            }
            Command::Scan(scan) => {
                if self.scan.is_none() {
                    self.scan = Scanning::new(scan, &self.task.bus, session.latency());
                }
            }
            Command::Power(on) => {
                let (Some(power), Some(hat)) = (session.power(), self.task.bus.hat) else {
                    tracing::warn!(bus = self.task.bus.name, "no Hat powers this bus, so it cannot be switched");
                    return Ok(());
                };
                power.switch(on).map_err(Outage::from)?;
                self.task.health.send_modify(|health| {
                    health.up = on;
                    health.last_error = (!on).then(|| "bus power was switched off".to_owned());
                });
                tracing::info!(bus = self.task.bus.name, "bus power {}", if on { "on" } else { "off" });
                self.power_wanted = on;
                self.links.iter_mut().for_each(LinkState::doubt);
                if on {
                    self.pause(hat.power_settle).await?;
                }
            }
        }
        Ok(())
    }

    /// One step of the scan; at its end what it found is told.
    async fn probe(&mut self, session: &mut Session) -> Result<(), Interrupt> {
        let Some(mut scan) = self.scan.take() else { return Ok(()) };
        let goes_on = self.power_wanted
            && tokio::select! {
                biased;
                probed = scan.probe(session, &self.task.bus, &self.task.promise) => probed?,
                () = stopped_for(&mut self.task.stop, FINISH_WITHIN) => return Err(Interrupt::Stop),
            };
        // A probe resets the meter it finds.
        self.links.iter_mut().for_each(LinkState::doubt);
        if goes_on {
            self.scan = Some(scan);
            return Ok(());
        }
        let found = scan.found();
        tracing::info!(bus = self.task.bus.name, "a scan has found {} meters or collisions", found.len());
        Ok(self.emit(Happened::Scanned { found, complete: self.power_wanted }).await?)
    }

    /// One meter's turn. Told to stop, it is given up where it does not finish soon.
    async fn read(&mut self, session: &mut Session, due: Due) -> Result<(), Interrupt> {
        let (Some(Metered { meter, .. }), Some(link)) = (self.task.meters.get(due.meter), self.links.get(due.meter))
        else {
            return Ok(());
        };
        let mut query = Query::new(&self.task.bus, meter);
        if !due.retry {
            query.retries = 0;
        }
        let name = meter.name.clone();
        let started = Instant::now();
        let (character, mut conversation) = session.readout(query, *link);
        let mut readout = Watched { conversation: &mut conversation, promise: &self.task.promise };
        let over = tokio::select! {
            biased;
            over = session.converse(character, &mut readout) => over?,
            () = stopped_for(&mut self.task.stop, FINISH_WITHIN) => return Err(Interrupt::Stop),
        };
        let read_at = SystemTime::now();
        let answered = over.frames.is_ok();
        let alive = is_alive(&over.frames);
        self.schedule.finished(due, answered, now());
        self.record(due.meter, &name, &over, started.elapsed());
        let due_at = due.due_at.map(SystemTime::from);
        let readout = MeterReadout { meter: name, due_at, read_at, frames: over.frames };
        self.emit(Happened::Read(readout)).await?;
        if self.last_resort.after(alive, Instant::now().into_std()) {
            self.take_last_resort(session).await?;
        }
        Ok(())
    }

    /// Nobody answers: takes the power of the bus away and gives it back, or connects anew.
    async fn take_last_resort(&mut self, session: &Session) -> Result<(), Interrupt> {
        let (Some(power), Some(hat)) = (session.power(), self.task.bus.hat) else {
            let gateway = matches!(self.task.bus.port, Port::Tcp { .. });
            return if gateway { Err(Outage::Unanswered.into()) } else { Ok(()) };
        };
        tracing::warn!(bus = self.task.bus.name, "nobody answers: bus power goes off for {OFF_FOR:?}");
        power.switch(false).map_err(Outage::from)?;
        self.pause(OFF_FOR).await?;
        power.switch(true).map_err(Outage::from)?;
        self.links.iter_mut().for_each(LinkState::doubt);
        Ok(self.pause(hat.power_settle).await?)
    }

    /// Keeps what a turn left behind, and logs the first failure in a row.
    fn record(&mut self, place: usize, name: &str, over: &TurnOver, busy: Duration) {
        if let Some(link) = self.links.get_mut(place) {
            *link = over.link;
        }
        let was_failing = self.failing.get(place).copied().unwrap_or_default();
        let error = over.frames.as_ref().err();
        match error {
            Some(error) if !was_failing => tracing::warn!(meter = name, "no reading: {error}"),
            None if was_failing => tracing::info!(meter = name, "answers again"),
            _ => {}
        }
        for ci in &over.unanswered {
            tracing::debug!(meter = name, "the extra request {ci:02X} was not answered");
        }
        if let Some(failing) = self.failing.get_mut(place) {
            *failing = error.is_some();
        }
        let load_permille = self.load.add(busy, Instant::now().into_std());
        self.task.health.send_modify(|health| {
            health.readouts_ok += u64::from(error.is_none());
            health.readouts_failed += u64::from(error.is_some());
            health.traffic += over.traffic;
            health.load_permille = load_permille;
            if let Some(error) = error {
                health.last_error = Some(format!("{name}: {error}"));
            }
        });
    }

    /// Waits for the outbox, which answers for itself.
    async fn emit(&mut self, what: Happened) -> Result<(), Stop> {
        self.task.promise.by(None);
        self.task.events.send(BusEvent { bus: self.task.place, what }).await.map_err(|_| Stop)
    }
}

/// Whether the meter answered, and be it that it has nothing to give.
fn is_alive(frames: &Result<Vec<Vec<u8>>, ReadoutError>) -> bool {
    matches!(frames, Ok(_) | Err(ReadoutError::NoData | ReadoutError::Application(_)))
}

fn now() -> Now {
    Now { monotonic: Instant::now().into_std(), wall: Timestamp::now() }
}

/// Ends when the task shall stop.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever would tell is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Ends `grace` after the task was told to stop.
async fn stopped_for(stop: &mut watch::Receiver<bool>, grace: Duration) {
    told_to_stop(stop).await;
    sleep(grace).await;
}

#[cfg(test)]
mod tests;
