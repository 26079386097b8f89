//! The agent: builds the channels, starts every task, waits, reloads, and stops them in order. Only
//! this room spawns.
//!
//! A stop follows the flow of the readings: the bus tasks finish what is on the wire and switch
//! their power off, their channel closes, the outbox publishes `offline` and says goodbye, the link
//! ends.
//!
//! Not here: what the tasks do.

mod buses;
mod clock;
pub(crate) mod hatless;
mod log_level;
#[cfg_attr(not(feature = "http"), path = "agent/no_page.rs")]
mod page;
mod watchdog;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use crate::adopt::edit::Edit;
use crate::adopt::keeping;
use crate::adopt::task::AdoptTask;
use crate::config::{Config, changes};
use crate::mqtt::link::{self, Credentials, LinkCommand};
use crate::mqtt::task::{Channels, OutboxTask, Reload};
use crate::mqtt::topic::Topics;
use crate::request::{AgentRequest, Answer, AskedOfAgent, AskedToAdopt};
use crate::spool::{InUse, Spool};
use crate::status::AdoptionStatus;
use crate::system;
use buses::Buses;
pub use log_level::LogLevel;
use page::Page;

/// Events of all buses that wait for the outbox task.
const EVENTS: usize = 256;
/// Orders to the link and its answers: more than the outbox has on the way.
const MESSAGES: usize = 256;
/// What the searches for meters tell, which may be missed.
const SIGHTINGS: usize = 64;
/// Requests to adopt that wait.
const ADOPT_REQUESTS: usize = 8;
/// Requests to the agent that wait while it reloads.
const ASKED: usize = 16;
/// How long the outbox task may take to say goodbye and to close the store, after the buses have ended.
const OUTBOX_ENDS_WITHIN: Duration = Duration::from_millis(1200);
/// How long a page that could not be opened waits until it is tried again: another program may give its port back,
/// and DHCP its address, at any time.
const PAGE_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long the link may take after that: all of it together three seconds.
const LINK_ENDS_WITHIN: Duration = Duration::from_millis(200);

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

/// Why the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It got a signal to stop.
    Stopped,
    /// It was asked to, so as to be started again.
    Restart,
}

/// Runs the agent until SIGTERM or SIGINT, or until it is asked to restart. `file` is read again at SIGHUP.
///
/// # Errors
/// Where it cannot start, or a task ended by itself.
pub async fn run(config: Config, file: Option<PathBuf>, log: &LogLevel) -> Result<End, AgentError> {
    let mut signals = Signals::new().map_err(AgentError::Signals)?;
    let spool = Spool::open(&config.store, Instant::now())?;
    let clock_synced = clock::at_the_start().await;
    let mut agent = Agent::start(config, spool, file, clock_synced, log);
    agent.open_page().await;
    system::notify_ready();
    let outcome = agent.watch(&mut signals, log).await;
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
    config: Config,
    file: Option<PathBuf>,
    buses: Buses,
    outbox: JoinHandle<()>,
    link: JoinHandle<()>,
    clock: JoinHandle<()>,
    adopt: JoinHandle<()>,
    /// Changes that are not in the file of adopted meters yet.
    pending: watch::Receiver<Vec<Edit>>,
    /// For requests to who adopts meters.
    ask_to_adopt: mpsc::Sender<AskedToAdopt>,
    /// For requests to the agent itself, and its other end for those who make them.
    asked: mpsc::Receiver<AskedOfAgent>,
    ask: mpsc::Sender<AskedOfAgent>,
    reloads: mpsc::Sender<Reload>,
    /// To the link, which has the outbox's orders from the same channel.
    orders: mpsc::Sender<LinkCommand>,
    page: Page,
    /// Why there is none, as it was logged last.
    no_page: Option<String>,
}

impl Agent {
    fn start(config: Config, spool: Spool, file: Option<PathBuf>, clock_synced: Option<bool>, log: &LogLevel) -> Self {
        let (events, happened) = mpsc::channel(EVENTS);
        let (orders, for_link) = mpsc::channel(MESSAGES);
        let (from_link, link_events) = mpsc::channel(MESSAGES);
        let (clock, clock_synced) = watch::channel(clock_synced);
        let (ask, asked) = mpsc::channel(ASKED);
        let (reloads, reload) = mpsc::channel(1);
        let (sightings, sighted) = mpsc::channel(SIGHTINGS);
        let (ask_to_adopt, asked_to_adopt) = mpsc::channel(ADOPT_REQUESTS);
        let (adopted, adoption) = watch::channel(AdoptionStatus::default());
        let (pending, unwritten) = watch::channel(Vec::new());

        let config = hatless::without_missing_hat(config);
        let mut buses = Buses::new(&config, events, sightings);
        let (health, desk) = (buses.health(), buses.desk(&config, ask.clone(), ask_to_adopt.clone()));
        let log_level = log.watch();
        let channels = Channels {
            happened,
            health,
            desk,
            orders: orders.clone(),
            link: link_events,
            clock_synced,
            adoption,
            log_level,
            reload,
        };
        let (mqtt, who) = (config.mqtt.clone(), credentials(&config));
        let task = OutboxTask::new(config.clone(), spool, who.clone(), channels);
        let page = Page::new(task.watched(), task.news());
        buses.start(&config, &task.last_good());
        say_what_is_left_out(&config);
        let adopt = file.clone().map(|file| AdoptTask {
            file,
            sightings: sighted,
            asked: asked_to_adopt,
            agent: ask.clone(),
            pending,
            shown: adopted,
        });
        Self {
            config,
            adopt: tokio::spawn(adopting(adopt)),
            pending: unwritten,
            ask_to_adopt,
            file,
            buses,
            outbox: tokio::spawn(task.run()),
            link: tokio::spawn(link::run(mqtt, who, for_link, from_link)),
            clock: tokio::spawn(clock::watch(clock)),
            asked,
            ask,
            reloads,
            orders,
            page,
            no_page: None,
        }
    }

    /// Opens the page; where that fails the readings go on, and it is tried again.
    async fn open_page(&mut self) {
        match self.page.prepare(&self.config).await {
            Ok(prepared) => {
                self.no_page = None;
                let desk = self.buses.desk(&self.config, self.ask.clone(), self.ask_to_adopt.clone());
                let pending = self.pending.borrow().clone();
                self.page.show(prepared, &self.config, self.file.as_deref(), &pending, desk, &self.buses);
            }
            Err(why) => self.say_no_page(why),
        }
    }

    /// Logs why there is no page, where that is news.
    fn say_no_page(&mut self, why: String) {
        if self.no_page.as_ref() != Some(&why) {
            tracing::error!("there is no page: {why}; it is tried again every {} s", PAGE_AGAIN_AFTER.as_secs());
            self.no_page = Some(why);
        }
    }

    /// Whether a page is wanted that is not open.
    fn lacks_page(&self) -> bool {
        self.config.http.is_some() && !self.page.is_open()
    }

    /// Until a signal asks for the end, or a task ends that should not.
    async fn watch(&mut self, signals: &mut Signals, log: &LogLevel) -> Result<End, AgentError> {
        let ended = |task: String| Err(AgentError::Ended { task });
        let mut watchdog = system::watchdog_interval().map(interval);
        let mut page_again = interval(PAGE_AGAIN_AFTER);
        page_again.reset();
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return Ok(End::Stopped),
                _ = signals.interrupt.recv() => return Ok(End::Stopped),
                _ = signals.hangup.recv() => drop(self.reload().await),
                Some(asked) = self.asked.recv() => if let Some(end) = self.obey(asked, log).await { return Ok(end) },
                bus = self.buses.ended() => return ended(bus),
                _ = &mut self.outbox => return ended("the outbox".to_owned()),
                _ = &mut self.link => return ended("the link to the broker".to_owned()),
                _ = &mut self.adopt, if self.file.is_some() => return ended("adopting meters".to_owned()),
                () = watchdog::tick(&mut watchdog) => self.feed_watchdog().await,
                _ = page_again.tick(), if self.lacks_page() => self.open_page().await,
            }
        }
    }

    /// Does what is asked of the agent itself; `Some` where it is to end.
    async fn obey(&mut self, asked: AskedOfAgent, log: &LogLevel) -> Option<End> {
        let AskedOfAgent { what, reply } = asked;
        let outcome = match what {
            AgentRequest::Ping if self.outbox_answers().await => Ok(()),
            AgentRequest::Ping => Err("the outbox task makes no progress".to_owned()),
            AgentRequest::Reload => self.reload().await,
            AgentRequest::LogLevel(level) => log.change(level),
            AgentRequest::Restart => {
                tracing::info!("a restart is asked for");
                reply.answer(Ok(Answer::Done));
                return Some(End::Restart);
            }
        };
        reply.answer(outcome.map(|()| Answer::Done));
        None
    }

    /// Reads the configuration again. A bad one changes nothing: why, is logged and returned.
    async fn reload(&mut self) -> Result<(), String> {
        let trouble =
            self.try_reload().await.inspect_err(|why| tracing::error!("not reloaded, nothing is changed: {why}"))?;
        let Some(trouble) = trouble else { return Ok(()) };
        let why = format!("the file of adopted meters is broken, and they stay as they were: {trouble}");
        tracing::error!("{why}");
        Err(why)
    }

    /// What is wrong with the file of adopted meters is returned: it costs what stands in it, and nothing else.
    async fn try_reload(&mut self) -> Result<Option<String>, String> {
        let Some(file) = self.file.clone() else {
            return Err("there is no configuration file to read again".to_owned());
        };
        let pending = self.pending.borrow().clone();
        let mut new = keeping::load(&file, &pending).map_err(|error| {
            let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            format!("{error}{why}")
        })?;
        let trouble = new.adopted.trouble.clone();
        if trouble.is_some() {
            new = keeping::with_adopted_of(new, &self.config);
        }
        let new = hatless::without_missing_hat(new);
        let what = changes(&self.config, &new).map_err(|error| error.to_string())?;
        if what.log {
            tracing::warn!("[log] is only read at a start");
        }
        let prepared = match self.page.prepare(&new).await {
            // As at the start: what keeps the page from opening is not news, and in the way of nothing else.
            Err(why) if !self.page.is_open() && self.config.http == new.http => {
                self.say_no_page(why);
                None
            }
            prepared => prepared?,
        };
        self.buses.exchange(&self.config, &new, &what).await;
        let (reply, last_good) = oneshot::channel();
        let reconnect = what.mqtt.then(|| credentials(&new));
        let (health, desk) = (self.buses.health(), self.buses.desk(&new, self.ask.clone(), self.ask_to_adopt.clone()));
        let for_page = desk.clone();
        let reload = Reload::Config { config: Box::new(new.clone()), health, desk, reconnect, reply };
        if self.reloads.send(reload).await.is_ok() {
            self.buses.start(&new, &last_good.await.unwrap_or_default());
            let said = |config: &Config| (config.adopted.left_out.clone(), config.adopted.written.clone());
            if said(&self.config) != said(&new) {
                say_what_is_left_out(&new);
            }
            self.page.show(prepared, &new, Some(&file), &pending, for_page, &self.buses);
            if self.page.is_open() {
                self.no_page = None;
            }
            self.config = new;
            tracing::info!("reloaded {}", file.display());
        }
        Ok(trouble)
    }

    async fn stop(self) {
        // the link ends with the outbox, which has the other end of this
        drop(self.orders);
        self.adopt.abort();
        self.buses.stop().await;
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

/// Without a file there is nowhere to write them.
async fn adopting(task: Option<AdoptTask>) {
    if let Some(task) = task {
        task.run().await;
    }
}

/// Adopted meters that are not read.
fn say_what_is_left_out(config: &Config) {
    // After a reload they are read as before.
    if let Some(trouble) = config.adopted.trouble.as_ref().filter(|_| config.adopted.names.is_empty()) {
        tracing::error!("no adopted meter is read: {trouble}");
    }
    for (name, written) in &config.adopted.written {
        if config.all_meters().any(|(meter, _)| meter.name == *written) {
            tracing::warn!(
                "the adopted meter {written} is read as {name}: your own file gives its name to another meter"
            );
        }
    }
    for (name, why) in &config.adopted.left_out {
        tracing::warn!("the adopted meter {name} is not read: {why}");
    }
}

fn credentials(config: &Config) -> Credentials {
    let topics = Topics::new(&config.mqtt.base_topic);
    let client_id = config.mqtt.client_id.clone();
    Credentials {
        client_id: client_id.unwrap_or_else(|| format!("{}-{}", topics.base().replace('/', "-"), system::machine())),
        will_topic: topics.bridge_state(),
    }
}
