//! What the routes see of the agent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use super::failures::Failures;
use super::settings::Settings;
use crate::bus::health::Health;
use crate::bus::tape::Tape;
use crate::config::Config;
use crate::request::Desk;
use crate::status::{News, Status};

/// What goes with one configuration, exchanged as a whole at a reload.
#[derive(Debug)]
pub struct House {
    /// The configuration.
    pub config: Config,
    /// Where requests go.
    pub desk: Desk,
    /// How each bus is doing, in the order of the configuration.
    pub health: Vec<watch::Receiver<Health>>,
    /// What goes over the wire of each.
    pub tapes: Vec<watch::Receiver<Tape>>,
    /// What `[http]` says, made ready.
    pub settings: Settings,
}

/// Where what happens is shown.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The configuration, and what goes with it.
    pub house: watch::Receiver<Arc<House>>,
    /// The snapshot.
    pub status: watch::Receiver<Status>,
    /// Readings and events.
    pub news: broadcast::Sender<News>,
}

/// What every route has.
#[derive(Clone, Debug)]
pub(super) struct App {
    sources: Sources,
    failures: Arc<Mutex<Failures>>,
}

impl App {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, failures: Arc::default() }
    }

    pub(super) fn house(&self) -> Arc<House> {
        Arc::clone(&self.sources.house.borrow())
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.sources.status.clone()
    }

    pub(super) fn news(&self) -> broadcast::Receiver<News> {
        self.sources.news.subscribe()
    }

    pub(super) fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
