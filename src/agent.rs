//! The agent: builds the channels, starts every task, waits, and stops them in order. The only
//! place that spawns.
//!
//! A stop follows the flow of the readings: the bus tasks finish what is on the wire and switch
//! their power off, their channel closes, the outbox publishes `offline` and says goodbye, the link
//! ends.
//!
//! Not here: what the tasks do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{interval, sleep, timeout};

use crate::bus::task::{BusTask, Metered};
use crate::bus::{BusEvent, Machine};
use crate::config::{Bus, Config};
use crate::mqtt::link::{self, Credentials};
use crate::mqtt::task::{BusEnd, Channels, OutboxTask};
use crate::mqtt::topic::Topics;
use crate::spool::{InUse, Spool};
use crate::status::Status;
use crate::system;

/// Events of all buses that wait for the outbox task.
const EVENTS: usize = 256;
/// Wishes that wait for one bus.
const COMMANDS: usize = 32;
/// Orders to the link and its answers: more than the outbox has on the way.
const MESSAGES: usize = 256;
/// How long the bus tasks may take to end.
const BUSES_END_WITHIN: Duration = Duration::from_millis(2300);
/// How long the outbox task may take to say goodbye after them.
const OUTBOX_ENDS_WITHIN: Duration = Duration::from_secs(2);
/// How long the link may take after that.
const LINK_ENDS_WITHIN: Duration = Duration::from_millis(500);
/// How often the service manager is asked whether the clock is right.
const CLOCK_EVERY: Duration = Duration::from_secs(60);

/// Why the agent ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The system gives no signals.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// Another agent has the store.
    #[error(transparent)]
    Store(#[from] InUse),
    /// A task ended that should never end: a defect of this program.
    #[error("the task of {task} ended by itself; please report this")]
    Ended {
        /// Which one.
        task: String,
    },
}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// Where it cannot start, or a task ended by itself.
pub async fn run(config: Config, file: Option<PathBuf>) -> Result<(), AgentError> {
    let mut signals = Signals::new().map_err(AgentError::Signals)?;
    let spool = Spool::open(&config.store, Instant::now())?;
    let mut agent = Agent::start(config, spool, file);
    system::notify_ready();
    let outcome = agent.watch(&mut signals).await;
    system::notify_stopping();
    agent.stop().await;
    outcome
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Everything that runs.
struct Agent {
    file: Option<PathBuf>,
    stop: watch::Sender<bool>,
    buses: JoinSet<String>,
    outbox: JoinHandle<()>,
    link: JoinHandle<()>,
    clock: JoinHandle<()>,
    reload: mpsc::Receiver<()>,
    status: watch::Receiver<Status>,
}

impl Agent {
    fn start(config: Config, spool: Spool, file: Option<PathBuf>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (events, happened) = mpsc::channel(EVENTS);
        let (orders, for_link) = mpsc::channel(MESSAGES);
        let (from_link, link_events) = mpsc::channel(MESSAGES);
        let (clock, clock_synced) = watch::channel(None);
        let (status_writer, status) = watch::channel(Status::default());
        let (ask_reload, reload) = mpsc::channel(1);

        let mqtt = config.mqtt.clone();
        let who = credentials(&config);
        let (ends, inner): (Vec<_>, Vec<_>) = config.buses.iter().map(|_| bus_channels()).unzip();
        let channels = Channels {
            happened,
            buses: ends,
            orders,
            link: link_events,
            clock_synced,
            status: status_writer,
            reload: ask_reload,
        };

        let task = OutboxTask::new(config.clone(), spool, channels);
        let last_good = task.last_good();

        let mut buses = JoinSet::new();
        for ((place, bus), (commands, health)) in config.buses.iter().enumerate().zip(inner) {
            let task = BusTask {
                place,
                bus: bus.clone(),
                meters: meters(&config, place, &last_good),
                timezone: timezone(&config),
                machine: Machine::here(),
                events: mpsc::Sender::<BusEvent>::clone(&events),
                commands,
                health,
                stop: stopped.clone(),
            };
            buses.spawn(run_bus(task, bus.clone()));
        }
        Self {
            file,
            stop,
            buses,
            outbox: tokio::spawn(task.run()),
            link: tokio::spawn(link::run(mqtt, who, for_link, from_link)),
            clock: tokio::spawn(watch_clock(clock)),
            reload,
            status,
        }
    }

    /// Until a signal asks for the end, or a task ends that should not.
    async fn watch(&mut self, signals: &mut Signals) -> Result<(), AgentError> {
        let ended = |task: String| Err(AgentError::Ended { task });
        let mut watchdog = system::watchdog_interval().map(interval);
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return Ok(()),
                _ = signals.interrupt.recv() => return Ok(()),
                _ = signals.hangup.recv() => self.reload(),
                Some(()) = self.reload.recv() => self.reload(),
                Some(bus) = self.buses.join_next() => return ended(named(bus)),
                _ = &mut self.outbox => return ended("the outbox".to_owned()),
                _ = &mut self.link => return ended("the link to the broker".to_owned()),
                () = tick(&mut watchdog) => self.feed_watchdog().await,
            }
        }
    }

    /// Says that the agent lives, if the outbox task takes its turns: it writes its status at each.
    async fn feed_watchdog(&mut self) {
        if self.status.has_changed().is_ok() {
            system::notify_watchdog();
        }
    }

    fn reload(&self) {
        match &self.file {
            Some(file) => tracing::warn!("reload of {} is not possible yet: restart the agent", file.display()),
            None => tracing::warn!("there is no configuration file to read again"),
        }
    }

    async fn stop(mut self) {
        _ = self.stop.send(true);
        let all = async { while self.buses.join_next().await.is_some() {} };
        if timeout(BUSES_END_WITHIN, all).await.is_err() {
            tracing::warn!("a bus does not end, its readout is given up");
            self.buses.shutdown().await;
        }
        for (name, task, within) in
            [("the outbox", self.outbox, OUTBOX_ENDS_WITHIN), ("the link", self.link, LINK_ENDS_WITHIN)]
        {
            let abort = task.abort_handle();
            if !task.is_finished() && timeout(within, task).await.is_err() {
                tracing::warn!("{name} does not end and is given up");
                abort.abort();
            }
        }
        self.clock.abort();
    }
}

type BusInner = (mpsc::Receiver<crate::bus::Command>, watch::Sender<crate::bus::health::Health>);

fn bus_channels() -> (BusEnd, BusInner) {
    let (sender, commands) = mpsc::channel(COMMANDS);
    let (writer, health) = watch::channel(crate::bus::health::Health::default());
    (BusEnd { commands: sender, health }, (commands, writer))
}

async fn run_bus(task: BusTask, bus: Bus) -> String {
    task.run().await;
    format!("bus {}", bus.name)
}

fn named(ended: Result<String, JoinError>) -> String {
    ended.unwrap_or_else(|_| "a bus".to_owned())
}

async fn tick(watchdog: &mut Option<tokio::time::Interval>) {
    match watchdog {
        Some(interval) => _ = interval.tick().await,
        None => std::future::pending().await,
    }
}

async fn watch_clock(clock: watch::Sender<Option<bool>>) {
    loop {
        if let Ok(synced) = tokio::task::spawn_blocking(system::clock_synced).await {
            clock.send_replace(synced);
        }
        sleep(CLOCK_EVERY).await;
    }
}

fn meters(config: &Config, bus: usize, last_good: &BTreeMap<String, jiff::Timestamp>) -> Vec<Metered> {
    let own = config.meters.iter().filter(|meter| meter.bus == bus);
    own.map(|meter| Metered { meter: meter.clone(), last_good: last_good.get(&meter.name).copied() }).collect()
}

/// The checked configuration has only names that exist; a zone that vanished since is the system's.
fn timezone(config: &Config) -> TimeZone {
    let named = config.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
    named.unwrap_or_else(TimeZone::system)
}

fn credentials(config: &Config) -> Credentials {
    let topics = Topics::new(&config.mqtt.base_topic);
    let client_id = config.mqtt.client_id.clone();
    Credentials {
        client_id: client_id.unwrap_or_else(|| format!("{}-{}", topics.base().replace('/', "-"), system::machine())),
        will_topic: topics.bridge_state(),
    }
}
