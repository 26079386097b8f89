//! What the routes see of the agent.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{broadcast, watch};

use super::failures::Failures;
use super::history::History;
use super::listeners::Listeners;
use super::settings::Settings;
use crate::bus::health::Health;
use crate::bus::tape::Tape;
use crate::config::Config;
use crate::doctor::Finding;
use crate::request::Desk;
use crate::status::{AdoptionStatus, News, Status};

/// What goes with one configuration, exchanged as a whole at a reload.
#[derive(Debug)]
pub struct House {
    /// The configuration.
    pub config: Config,
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// Names of meters that were adopted or changed, which was not in the file when this was made.
    pub not_kept: BTreeSet<String>,
    /// Where requests go.
    pub desk: Desk,
    /// How each bus is doing, in the order of the configuration.
    pub health: Vec<watch::Receiver<Health>>,
    /// What goes over the wire of each.
    pub tapes: Vec<watch::Receiver<Tape>>,
    /// What `[http]` says, made ready.
    pub settings: Settings,
}

impl House {
    /// Whether what is known of this meter is in a file; else it was adopted and cannot be written down.
    pub(super) fn keeps(&self, meter: &str, adoption: &AdoptionStatus) -> bool {
        adoption.not_kept.is_none() || !self.not_kept.contains(meter)
    }
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
    listeners: Arc<Listeners>,
    history: Arc<Mutex<History>>,
    examined: Arc<Mutex<Examined>>,
    /// The doctor looks at one thing at a time.
    doctor: Arc<tokio::sync::Mutex<()>>,
}

/// What the doctor found last.
#[derive(Clone, Debug, Default)]
pub(super) struct Examined {
    /// `None`: it has not looked yet.
    pub(super) at: Option<Timestamp>,
    pub(super) findings: Arc<Vec<Finding>>,
}

impl App {
    pub(super) fn new(sources: Sources) -> Self {
        Self {
            sources,
            failures: Arc::default(),
            listeners: Arc::default(),
            history: Arc::default(),
            examined: Arc::default(),
            doctor: Arc::default(),
        }
    }

    pub(super) fn house(&self) -> Arc<House> {
        Arc::clone(&self.sources.house.borrow())
    }

    /// The house, and each that takes its place.
    pub(super) fn houses(&self) -> watch::Receiver<Arc<House>> {
        self.sources.house.clone()
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.sources.status.clone()
    }

    pub(super) fn news(&self) -> broadcast::Receiver<News> {
        self.sources.news.subscribe()
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the numbers of the last day, for as long as there are any.
    pub(super) async fn keep_history(self) {
        let mut status = self.status();
        while status.changed().await.is_ok() {
            self.history().note(&status.borrow_and_update());
        }
    }

    pub(super) fn doctor(&self) -> &tokio::sync::Mutex<()> {
        &self.doctor
    }

    pub(super) fn examined(&self) -> Examined {
        self.examined.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn keep_examined(&self, examined: Examined) {
        *self.examined.lock().unwrap_or_else(PoisonError::into_inner) = examined;
    }

    pub(super) const fn listeners(&self) -> &Arc<Listeners> {
        &self.listeners
    }

    pub(super) fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
