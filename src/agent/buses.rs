//! The bus tasks that run: started, stopped, and exchanged on a reload.
//!
//! Not here: what a bus task does (`bus::task`), when to reload (`agent`).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;

use crate::bus::health::Health;
use crate::bus::heartbeat::{Heartbeat, Promise, heartbeat};
use crate::bus::task::{BusTask, Metered};
use crate::bus::{BusEvent, Command, Machine};
use crate::config::{Change, Changes, Config};
use crate::mqtt::task::BusEnd;

/// Wishes that wait for one bus.
const COMMANDS: usize = 32;
/// How long bus tasks may take to end: they finish the readout on the wire.
const END_WITHIN: Duration = Duration::from_millis(2300);

/// Every bus task, in the order of the configuration.
pub(super) struct Buses {
    tasks: JoinSet<()>,
    running: Vec<Running>,
    events: mpsc::Sender<BusEvent>,
}

struct Running {
    name: String,
    task: Option<Id>,
    stop: watch::Sender<bool>,
    heartbeat: Heartbeat,
    end: BusEnd,
    /// What the task will own, until it is started.
    inner: Option<Inner>,
}

struct Inner {
    commands: mpsc::Receiver<Command>,
    health: watch::Sender<Health>,
    promise: Promise,
    stopped: watch::Receiver<bool>,
}

impl Running {
    fn new(name: &str) -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (writer, health) = watch::channel(Health::default());
        let (stop, stopped) = watch::channel(false);
        let (promise, heartbeat) = heartbeat();
        let inner = Some(Inner { commands, health: writer, promise, stopped });
        Self { name: name.to_owned(), task: None, stop, heartbeat, end: BusEnd { commands: sender, health }, inner }
    }
}

impl Buses {
    /// The channels of every bus; [`start`](Self::start) starts the tasks.
    pub(super) fn new(config: &Config, events: mpsc::Sender<BusEvent>) -> Self {
        let running = config.buses.iter().map(|bus| Running::new(&bus.name)).collect();
        Self { tasks: JoinSet::new(), running, events }
    }

    /// The other ends of the buses' channels.
    pub(super) fn ends(&self) -> Vec<BusEnd> {
        self.running.iter().map(|bus| bus.end.clone()).collect()
    }

    /// Starts every bus that is not running.
    pub(super) fn start(&mut self, config: &Config, last_good: &BTreeMap<String, Timestamp>) {
        for (place, (running, bus)) in self.running.iter_mut().zip(&config.buses).enumerate() {
            let Some(Inner { commands, health, promise, stopped }) = running.inner.take() else { continue };
            let task = BusTask {
                place,
                bus: bus.clone(),
                meters: meters(config, place, last_good),
                timezone: config.time_zone(),
                machine: Machine::here(),
                events: self.events.clone(),
                commands,
                health,
                promise,
                stop: stopped,
            };
            running.task = Some(self.tasks.spawn(task.run()).id());
        }
    }

    /// The first bus whose task hangs, `late` later than it promised to move on.
    pub(super) async fn hanging(&self, late: Duration) -> Option<&str> {
        for bus in &self.running {
            if !bus.heartbeat.beats(late).await {
                return Some(&bus.name);
            }
        }
        None
    }

    /// Waits until a bus task ends by itself, which none should; its name.
    pub(super) async fn ended(&mut self) -> String {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => std::future::pending().await,
        };
        let name = self.running.iter().find(|bus| bus.task == Some(id)).map(|bus| bus.name.clone());
        format!("bus {}", name.unwrap_or_default())
    }

    /// Stops the buses that the new configuration does not leave as they are, and takes its buses over.
    pub(super) async fn exchange(&mut self, old: &Config, new: &Config, changes: &Changes) {
        let kept = kept(old, new, changes);
        let mut former: Vec<Option<Running>> = std::mem::take(&mut self.running).into_iter().map(Some).collect();
        let mut next = Vec::new();
        for (place, bus) in new.buses.iter().enumerate() {
            let same = kept.get(place).is_some_and(|kept| *kept);
            let running = former.get_mut(place).filter(|_| same).and_then(Option::take);
            next.push(running.unwrap_or_else(|| Running::new(&bus.name)));
        }
        let stopping: Vec<Running> = former.into_iter().flatten().collect();
        self.await_end(stopping).await;
        self.running = next;
    }

    async fn await_end(&mut self, stopping: Vec<Running>) {
        let mut waiting: Vec<Id> = stopping.iter().filter_map(|bus| bus.task).collect();
        stopping.iter().for_each(|bus| _ = bus.stop.send(true));
        let all = async {
            while !waiting.is_empty() {
                match self.tasks.join_next_with_id().await {
                    Some(Ok((id, ()))) => waiting.retain(|other| *other != id),
                    Some(Err(error)) => waiting.retain(|other| *other != error.id()),
                    None => return,
                }
            }
        };
        if timeout(END_WITHIN, all).await.is_err() {
            tracing::warn!("a bus does not end in time, its readout is given up");
        }
    }

    /// Stops all of them; their channel closes with the last one.
    pub(super) async fn stop(mut self) {
        let running = std::mem::take(&mut self.running);
        self.await_end(running).await;
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
impl Buses {
    /// What a bus task does that was to be back in a second and hangs.
    pub(super) fn promise(&self, place: usize) {
        let inner = self.running.get(place).and_then(|bus| bus.inner.as_ref());
        inner.expect("not started").promise.within(Duration::from_secs(1));
    }
}

/// For each bus of the new configuration whether its task can go on as it is.
fn kept(old: &Config, new: &Config, changes: &Changes) -> Vec<bool> {
    let mut kept: Vec<bool> = new
        .buses
        .iter()
        .enumerate()
        .map(|(place, bus)| old.buses.get(place).is_some_and(|before| before.name == bus.name))
        .collect();
    let mut touch = |place: Option<usize>| {
        if let Some(kept) = place.and_then(|place| kept.get_mut(place)) {
            *kept = false;
        }
    };
    for change in &changes.buses {
        match change {
            Change::Added { new } | Change::Changed { new, .. } => touch(Some(*new)),
            Change::Removed { .. } => {}
        }
    }
    // A meter's former bus has its former place, or its task is exchanged anyway.
    let before = |place: usize| old.meters.get(place).map(|meter| meter.bus);
    let now = |place: usize| new.meters.get(place).map(|meter| meter.bus);
    for change in &changes.meters {
        match *change {
            Change::Added { new } => touch(now(new)),
            Change::Removed { old } => touch(before(old)),
            Change::Changed { old, new } => {
                touch(before(old));
                touch(now(new));
            }
        }
    }
    kept
}

fn meters(config: &Config, bus: usize, last_good: &BTreeMap<String, Timestamp>) -> Vec<Metered> {
    let own = config.meters.iter().filter(|meter| meter.bus == bus);
    own.map(|meter| Metered { meter: meter.clone(), last_good: last_good.get(&meter.name).copied() }).collect()
}
