//! The snapshot of the agent: made of what its owners know, published as `bridge/info`, and sent to whoever
//! watches it.
//!
//! Not here: what it says (`crate::status`).

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::super::outbox::Class;
use super::super::payload;
use super::OutboxTask;
use crate::adopt::hunt::Progress;
use crate::adopt::story;
use crate::bus::health::Health;
use crate::config::{Bus, Config, fingerprint};
use crate::status::{AdoptionStatus, AgentStatus, BusStatus, ScanStatus, SearchStatus, Status};

/// `bridge/info` is published so often.
const INFO_EVERY: Duration = Duration::from_secs(60);
/// Or so soon after the last time, where something happened that is not to wait so long.
const INFO_SOON: Duration = Duration::from_secs(2);
/// Whoever watches sees what happened at the latest after this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);

/// Shows how the agent is doing.
#[derive(Debug)]
pub(super) struct Display {
    started: Instant,
    /// A hash of the configuration.
    config: String,
    /// When `bridge/info` was made last, and when it is due.
    informed: Instant,
    info_at: Instant,
    /// When those who watch are to see what happened.
    show_at: Option<Instant>,
    watched: watch::Sender<Status>,
}

impl Display {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        Self {
            started: now,
            config: fingerprint(config),
            informed: now,
            info_at: now,
            show_at: None,
            watched: watch::Sender::default(),
        }
    }

    pub(super) fn watched(&self) -> watch::Sender<Status> {
        self.watched.clone()
    }

    /// The configuration is another one.
    pub(super) fn configured(&mut self, config: &Config) {
        self.config = fingerprint(config);
    }

    /// `bridge/info` is due: others are to know soon.
    pub(super) fn info_now(&mut self, now: Instant) {
        self.info_at = now;
    }

    /// Something happened.
    pub(super) fn touch(&mut self, now: Instant) {
        if self.watched.receiver_count() > 0 {
            self.show_at.get_or_insert(now + SHOWN_WITHIN);
        }
    }

    /// Something happened that `bridge/info` says and people wait for.
    pub(super) fn hurry(&mut self) {
        self.info_at = self.info_at.min(self.informed + INFO_SOON);
    }

    /// When [`OutboxTask::show`] has something to do.
    pub(super) fn wake_at(&self) -> Instant {
        self.show_at.map_or(self.info_at, |at| at.min(self.info_at))
    }
}

impl OutboxTask {
    /// Shows what is due.
    pub(super) fn show(&mut self, now: Instant) {
        if now < self.display.wake_at() {
            return;
        }
        let agent = self.agent_status(now);
        if now >= self.display.info_at {
            (self.display.informed, self.display.info_at) = (now, now + INFO_EVERY);
            let (topic, info) = (self.publisher.topics.bridge_info(), self.info(&agent));
            self.publisher.outbox.set(Class::Info, &topic, info.into(), true);
        }
        self.display.show_at = None;
        if self.display.watched.receiver_count() > 0 {
            let (connected, meters) = (self.connection.is_some(), self.publisher.meters());
            self.display.watched.send_replace(Status { connected, agent, meters, taken: Some(now) });
        }
    }

    fn info(&self, agent: &AgentStatus) -> String {
        payload::info(agent, &self.publisher.meters())
    }

    fn agent_status(&self, now: Instant) -> AgentStatus {
        let buses = self.publisher.config.buses.iter().zip(&self.channels.health);
        let readings = self.publisher.readings();
        AgentStatus {
            version: env!("CARGO_PKG_VERSION"),
            agent: self.publisher.topics.base().to_owned(),
            instance: self.publisher.spool.instance().to_owned(),
            other_agent: self.other.instance().map(str::to_owned),
            config: self.display.config.clone(),
            epoch: self.publisher.spool.epoch().to_owned(),
            log_level: self.channels.log_level.borrow().clone(),
            uptime_s: now.duration_since(self.display.started).as_secs(),
            spool_depth: readings.waiting,
            events_dropped: self.publisher.outbox.notes_dropped(),
            readings,
            adoption: self.adoption(),
            buses: buses.map(|(bus, health)| (bus.name.clone(), bus_status(bus, &health.borrow()))).collect(),
        }
    }
}

impl OutboxTask {
    /// What who adopts meters tells, and what the configuration in use says.
    fn adoption(&self) -> AdoptionStatus {
        let told = self.channels.adoption.borrow().clone();
        let adopted = &self.publisher.config.adopted;
        let trouble = told.trouble.or_else(|| adopted.trouble.clone());
        AdoptionStatus { trouble, left_out: adopted.left_out.iter().cloned().collect(), ..told }
    }
}

fn bus_status(bus: &Bus, health: &Health) -> BusStatus {
    let readouts = health.readouts_ok + health.readouts_failed;
    let permille = health.readouts_failed.saturating_mul(1000) / readouts.max(1);
    BusStatus {
        port: bus.port.to_string(),
        baud: bus.baud.bits_per_second(),
        up: health.up,
        readouts,
        failed: health.readouts_failed,
        error_rate: percent(permille),
        load: percent(u64::from(health.load_permille)),
        line_losses: health.line_losses,
        last_error: health.last_error.clone(),
        scan: health.scan.map(|scan| ScanStatus {
            percent: scan.percent,
            seconds_left: scan.left.as_secs(),
            found: scan.found,
        }),
        search: health.hunt.as_ref().and_then(search_status),
    }
}

fn search_status(progress: &Progress) -> Option<SearchStatus> {
    let Progress { percent, left, found, .. } = *progress;
    Some(SearchStatus { doing: story::doing(progress)?, percent, seconds_left: left.as_secs(), found })
}

/// One digit after the point; no meter value, so a float does no harm.
fn percent(permille: u64) -> f64 {
    f64::from(u32::try_from(permille).unwrap_or(u32::MAX)) / 10.0
}
