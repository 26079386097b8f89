//! The outbox task: sole owner of the spool. Takes what happens on the buses and on the link, lets
//! `publisher` make messages of it, and hands to the link what `outbox` sends next.
//!
//! It ends after the bus tasks: when their last sender is gone it publishes `offline`, waits a
//! moment for the acknowledgement, and says goodbye to the broker.
//!
//! Not here: what a readout becomes (`publisher`), the order of messages (`outbox`).

mod connection;
mod flapping;
mod goodbye;
mod messages;
mod others;
mod status;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep_until;

use super::link::{Credentials, Fault, LinkCommand, LinkEvent};
use super::namesake::Namesake;
use super::other_agent::OtherAgent;
use super::outbox::Next;
use super::publisher::Publisher;
use super::publisher::delivery::Offer;
use crate::bus::health::Health;
use crate::bus::{BusEvent, Happened};
use crate::config::{Broker, Config};
use crate::request::Desk;
use crate::spool::{DiskDone, Spool};
use crate::status::{AdoptionStatus, News, Status};
use flapping::Flapping;
use messages::{Waiting, next_outcome};
use status::Display;

/// Events taken, and readings looked at, at one turn, at most.
const CATCH_UP: usize = 256;
/// How long the last messages may take at the end.
const GOODBYE_WITHIN: Duration = Duration::from_millis(400);

/// The channels of the outbox task.
#[derive(Debug)]
pub struct Channels {
    /// What happens on the buses.
    pub happened: mpsc::Receiver<BusEvent>,
    /// How each bus is doing, in the order of the configuration.
    pub health: Vec<watch::Receiver<Health>>,
    /// Where requests go.
    pub desk: Desk,
    /// To the link.
    pub orders: mpsc::Sender<LinkCommand>,
    /// From the link.
    pub link: mpsc::Receiver<LinkEvent>,
    /// Whether the wall clock can be trusted.
    pub clock_synced: watch::Receiver<Option<bool>>,
    /// How adopting meters goes.
    pub adoption: watch::Receiver<AdoptionStatus>,
    /// What the log shows.
    pub log_level: watch::Receiver<String>,
    /// From the agent.
    pub reload: mpsc::Receiver<Reload>,
}

/// What the agent tells the outbox task.
#[derive(Debug)]
pub enum Reload {
    /// Answer, to show that there is progress.
    Ping(oneshot::Sender<()>),
    /// The configuration is another one now. The tasks of changed buses have ended.
    Config {
        /// The new one.
        config: Box<Config>,
        /// How its buses are doing.
        health: Vec<watch::Receiver<Health>>,
        /// Where requests go now.
        desk: Desk,
        /// Who to connect as, where `[mqtt]` differs.
        reconnect: Option<Credentials>,
        /// When each meter's last good reading was taken.
        reply: oneshot::Sender<BTreeMap<String, jiff::Timestamp>>,
    },
}

/// The outbox task.
#[derive(Debug)]
pub struct OutboxTask {
    publisher: Publisher,
    channels: Channels,
    /// Requests over MQTT without a response yet.
    waiting: Vec<Waiting>,
    connection: Option<u64>,
    /// Who it connects as.
    who: Credentials,
    other: OtherAgent,
    namesake: Namesake,
    /// Why there is no connection, each reason of each broker once: logged already.
    faults: Vec<(Broker, Fault)>,
    flapping: Flapping,
    /// What the blocking pool does for the spool.
    disk_work: Option<JoinHandle<DiskDone>>,
    display: Display,
    /// More readings must be looked at before it is known which can go.
    look_further: bool,
    /// Connect again as this, once pending messages are flushed, or at the latest at this time.
    reconnect: Option<(Credentials, Instant)>,
}

impl OutboxTask {
    /// With everything that the store knows already set to be published.
    #[must_use]
    pub fn new(config: Config, spool: Spool, who: Credentials, channels: Channels) -> Self {
        let now = Instant::now();
        Self {
            other: OtherAgent::new(spool.instance()),
            namesake: Namesake::default(),
            display: Display::new(&config, now),
            publisher: Publisher::new(config, spool, now),
            who,
            channels,
            waiting: Vec::new(),
            connection: None,
            faults: Vec::new(),
            flapping: Flapping::default(),
            disk_work: None,
            reconnect: None,
            look_further: false,
        }
    }

    /// When each meter's last good reading was taken, where the store knows.
    #[must_use]
    pub fn last_good(&self) -> BTreeMap<String, jiff::Timestamp> {
        self.publisher.last_good()
    }

    /// Where snapshots of the agent are shown, from the next thing on that happens.
    #[must_use]
    pub fn watched(&self) -> watch::Sender<Status> {
        self.display.watched()
    }

    /// Where every reading and event is told that is published.
    #[must_use]
    pub fn news(&self) -> broadcast::Sender<News> {
        self.publisher.news.clone()
    }

    /// Runs until every bus task has ended, then says goodbye.
    pub async fn run(mut self) {
        loop {
            self.store();
            self.confirm();
            self.look_around();
            self.pump();
            let wake = self.wake_at();
            tokio::select! {
                event = self.channels.happened.recv() => match event {
                    Some(event) => self.happened(event),
                    None => break,
                },
                Some(event) = self.channels.link.recv() => self.linked(event),
                Some(reload) = self.channels.reload.recv() => self.reload(reload),
                (respond, outcome) = next_outcome(&mut self.waiting) => self.respond(respond, &outcome),
                outcome = ended(&mut self.disk_work) => self.stored(outcome),
                () = sleep_until(wake.into()) => {}
            }
            self.catch_up();
        }
        self.goodbye().await;
    }

    fn wake_at(&self) -> Instant {
        if self.look_further {
            return Instant::now();
        }
        let Publisher { outbox, spool, .. } = &self.publisher;
        let reconnect = self.reconnect.as_ref().map(|(_, at)| *at);
        let publisher = [self.publisher.confirm_at(), self.publisher.wake_at(), self.other.wake_at(Instant::now())];
        let publisher = publisher.into_iter().chain([self.flapping.wake_at()]).flatten();
        let wakes = outbox.wake_at().into_iter().chain(spool.wake_at()).chain(reconnect).chain(publisher);
        wakes.fold(self.display.wake_at(), Instant::min)
    }

    /// Reads once more what a total that is held waits for.
    fn confirm(&mut self) {
        for meter in self.publisher.due_to_confirm() {
            self.channels.desk.read_again(&meter, Vec::new());
        }
    }

    /// Everything else that has already come, so that one sync of the disk serves many readings.
    fn catch_up(&mut self) {
        for _ in 0..CATCH_UP {
            match (self.channels.happened.try_recv(), self.channels.link.try_recv()) {
                (Err(_), Err(_)) => return,
                (happened, linked) => {
                    happened.into_iter().for_each(|event| self.happened(event));
                    linked.into_iter().for_each(|event| self.linked(event));
                }
            }
        }
    }

    /// What is due for the disk. The slow part is done where it delays neither a bus nor the link.
    fn store(&mut self) {
        self.publisher.now = Instant::now();
        if let Some(work) = self.publisher.spool.work(self.publisher.now) {
            self.disk_work = Some(spawn_blocking(|| work.run()));
        }
        self.publisher.report_notices();
        self.publisher.forget_gone();
    }

    fn stored(&mut self, outcome: DiskDone) {
        self.disk_work = None;
        self.publisher.spool.done(outcome, Instant::now());
    }

    fn reload(&mut self, reload: Reload) {
        self.turn();
        match reload {
            Reload::Ping(reply) => _ = reply.send(()),
            Reload::Config { config, health, desk, reconnect, reply } => {
                // What an exchanged bus task sent last belongs to the old configuration.
                self.catch_up();
                self.display.configured(&config);
                self.publisher.reconfigure(*config);
                (self.channels.health, self.channels.desk) = (health, desk);
                if let Some(who) = reconnect {
                    self.reconnect = Some((self.connect_as(who), Instant::now() + GOODBYE_WITHIN));
                }
                _ = reply.send(self.publisher.last_good());
            }
        }
    }

    /// Connects again once pending messages are flushed.
    fn reconnect(&mut self, now: Instant) {
        let Some((_, at)) = &self.reconnect else { return };
        if now < *at && self.connection.is_some() && !self.publisher.outbox.is_quiet() {
            return;
        }
        let Ok(permit) = self.channels.orders.try_reserve() else { return };
        if let Some((who, _)) = self.reconnect.take() {
            permit.send(LinkCommand::Reconnect { config: Box::new(self.publisher.config.mqtt.clone()), who });
            if self.publisher.follow_base_topic() {
                self.other = OtherAgent::new(self.publisher.spool.instance());
            }
        }
    }

    /// Something happened: the turn began before the wait for it.
    fn turn(&mut self) {
        self.publisher.now = Instant::now();
        self.display.touch(self.publisher.now);
    }

    fn happened(&mut self, event: BusEvent) {
        self.turn();
        if !matches!(event.what, Happened::Read { .. } | Happened::ReadAt { .. }) {
            self.display.hurry();
        }
        match event.what {
            Happened::Read { readout, asked } => self.read(readout, asked),
            Happened::ReadAt { meter, read_at, frames, reply } => {
                self.read_at(meter.as_deref(), read_at, &frames, reply);
            }
            Happened::Found { finds } => self.found(event.bus, finds.into_iter()),
            Happened::Scanned { found } => self.scanned(event.bus, &found),
            other => self.publisher.happened(event.bus, &other),
        }
    }

    /// Hands everything to the link that may go now, and looks at so many readings at most.
    fn pump(&mut self) {
        let now = Instant::now();
        self.show(now);
        self.summarise(now);
        self.reconnect(now);
        self.publisher.advance();
        let Some(connection) = self.connection else { return };
        self.publisher.report_drops();
        let mut looked_at = 0;
        self.look_further = false;
        while let Ok(permit) = self.channels.orders.try_reserve() {
            let publisher = &mut self.publisher;
            let offer = match publisher.outbox.next(now) {
                Next::Wait => return,
                Next::Subscribe => {
                    permit.send(LinkCommand::Subscribe { connection, filters: publisher.filters() });
                    continue;
                }
                Next::Birth(phase) => {
                    publisher.born(phase);
                    continue;
                }
                Next::Publish(message) => Offer::Send(message),
                Next::ReadingAfter(seq) => publisher.reading_after(seq),
                Next::ReadingAgain(seq) => publisher.reading_again(seq),
            };
            match offer {
                Offer::Nothing => return,
                Offer::Send(message) => permit.send(LinkCommand::Publish { connection, message }),
                Offer::Held => {
                    looked_at += 1;
                    if looked_at == CATCH_UP {
                        self.look_further = true;
                        return;
                    }
                }
            }
        }
    }
}

/// Ends with the work, if there is any.
async fn ended(work: &mut Option<JoinHandle<DiskDone>>) -> DiskDone {
    match work {
        Some(work) => work.await.unwrap_or_else(|error| DiskDone::failed(&error.into())),
        None => std::future::pending().await,
    }
}
