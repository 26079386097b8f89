//! The bus tasks that run: started, stopped, and exchanged on a reload.
//!
//! Not here: what a bus task does (`bus::task`), when to reload (`agent`).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::timeout;

use crate::adopt::hunt::Saved;
use crate::adopt::{Sighting, kept};
use crate::bus::exchange::Meters;
use crate::bus::health::Health;
use crate::bus::hunting::Hunting;
use crate::bus::tape::Tape;
use crate::bus::task::{BusTask, FINISH_WITHIN};
use crate::bus::{BusEvent, Machine, Metered};
use crate::config::{Change, Changes, Config};
use crate::request::{Asked, AskedOfAgent, AskedToAdopt, Desk};

/// Requests that wait for one bus.
const REQUESTS: usize = 32;
/// How long bus tasks may take to end: they finish what is on the wire, and take the power away.
const END_WITHIN: Duration = FINISH_WITHIN.saturating_add(Duration::from_millis(200));

/// How long one that is given up may still have its port.
const GONE_WITHIN: Duration = Duration::from_millis(100);

/// Every bus task, in the order of the configuration.
pub(super) struct Buses {
    tasks: JoinSet<()>,
    /// Tasks that ended while others were waited for.
    ended: Vec<Id>,
    running: Vec<Running>,
    events: mpsc::Sender<BusEvent>,
    /// Takes what the searches for meters find.
    sightings: mpsc::Sender<Sighting>,
}

struct Running {
    name: String,
    task: Option<AbortHandle>,
    stop: watch::Sender<bool>,
    requests: mpsc::Sender<Asked>,
    health: watch::Receiver<Health>,
    /// What it reads instead, after a reload.
    others: watch::Sender<Meters>,
    tape: watch::Sender<Tape>,
    /// Whether its user wants it to have power.
    powered: bool,
    /// What the task will own, until it is started.
    inner: Option<Inner>,
}

struct Inner {
    requests: mpsc::Receiver<Asked>,
    health: watch::Sender<Health>,
    stop: watch::Receiver<bool>,
    others: watch::Receiver<Meters>,
}

impl Running {
    fn new(name: &str) -> Self {
        let (requests, received) = mpsc::channel(REQUESTS);
        let (writer, health) = watch::channel(Health::default());
        let (stop, stopped) = watch::channel(false);
        let (others, shown) = watch::channel(Meters::new());
        let inner = Some(Inner { requests: received, health: writer, stop: stopped, others: shown });
        let tape = watch::Sender::default();
        Self { name: name.to_owned(), task: None, stop, requests, health, others, tape, powered: true, inner }
    }
}

impl Buses {
    /// The channels of every bus; [`start`](Self::start) starts the tasks.
    pub(super) fn new(config: &Config, events: mpsc::Sender<BusEvent>, sightings: mpsc::Sender<Sighting>) -> Self {
        let running = config.buses.iter().map(|bus| Running::new(&bus.name)).collect();
        Self { tasks: JoinSet::new(), ended: Vec::new(), running, events, sightings }
    }

    /// What shows how each bus is doing.
    pub(super) fn health(&self) -> Vec<watch::Receiver<Health>> {
        self.running.iter().map(|bus| bus.health.clone()).collect()
    }

    /// What goes over the wire of each.
    #[cfg(feature = "http")]
    pub(super) fn tapes(&self) -> Vec<watch::Receiver<Tape>> {
        self.running.iter().map(|bus| bus.tape.subscribe()).collect()
    }

    /// Where their requests go, and those to the agent.
    pub(super) fn desk(
        &self,
        config: &Config,
        agent: mpsc::Sender<AskedOfAgent>,
        adopt: mpsc::Sender<AskedToAdopt>,
    ) -> Desk {
        Desk::new(config, self.running.iter().map(|bus| bus.requests.clone()), agent, adopt)
    }

    /// Starts every bus that is not running, and lets the others read their meters as they are now.
    pub(super) fn start(&mut self, config: &Config, last_good: &BTreeMap<String, Timestamp>) {
        let kept = kept::read(&config.adopted.file);
        for (index, (running, bus)) in self.running.iter_mut().zip(&config.buses).enumerate() {
            let Some(Inner { requests, health, stop, others }) = running.inner.take() else {
                let own = config.meters.iter().filter(|meter| meter.bus == index);
                let meters = own.map(|meter| (meter.clone(), last_good.get(&meter.name).copied()));
                running.others.send_replace(meters.collect());
                continue;
            };
            let saved = if bus.discover { kept.hunt(bus) } else { Saved::over() };
            let task = BusTask {
                index,
                bus: bus.clone(),
                meters: meters(config, index, last_good),
                powered: running.powered,
                timezone: config.time_zone(),
                machine: Machine::here(),
                events: self.events.clone(),
                requests,
                health,
                tape: running.tape.clone(),
                stop,
                others,
                hunting: Some(Hunting::new(bus, &saved, self.sightings.clone())),
            };
            running.task = Some(self.tasks.spawn(task.run()));
        }
    }

    /// Waits until a bus task ends by itself, which none should; its name.
    pub(super) async fn ended(&mut self) -> String {
        loop {
            let id = match self.ended.pop() {
                Some(id) => id,
                None => match next_end(&mut self.tasks).await {
                    Some(id) => id,
                    None => std::future::pending().await,
                },
            };
            // one that was given up before is expected to end
            let is_it = |bus: &&Running| bus.task.as_ref().is_some_and(|task| task.id() == id);
            if let Some(bus) = self.running.iter().find(is_it) {
                return format!("bus {}", bus.name);
            }
        }
    }

    /// Stops the buses that the new configuration does not leave as they are, and takes its buses over.
    pub(super) async fn exchange(&mut self, old: &Config, new: &Config, changes: &Changes) {
        let kept = kept(old, new, changes);
        let mut former: Vec<Option<Running>> = std::mem::take(&mut self.running).into_iter().map(Some).collect();
        let mut next = Vec::new();
        for (index, bus) in new.buses.iter().enumerate() {
            let same = kept.get(index).is_some_and(|kept| *kept);
            let running = former.get_mut(index).filter(|_| same).and_then(Option::take);
            next.push(running.unwrap_or_else(|| Running::new(&bus.name)));
        }
        // who works on its wires wants no power from a reload
        let off = former.iter().flatten().filter(|bus| bus.health.borrow().switched_off).map(|bus| bus.name.clone());
        let off: Vec<String> = off.collect();
        next.iter_mut().filter(|bus| off.contains(&bus.name)).for_each(|bus| bus.powered = false);
        let stopping: Vec<Running> = former.into_iter().flatten().collect();
        self.await_end(stopping).await;
        self.running = next;
    }

    /// Those that do not end in time are given up.
    async fn await_end(&mut self, stopping: Vec<Running>) {
        stopping.iter().for_each(|bus| _ = bus.stop.send(true));
        let mut waiting: Vec<AbortHandle> = stopping.iter().filter_map(|bus| bus.task.clone()).collect();
        if timeout(END_WITHIN, self.join(&mut waiting)).await.is_err() {
            tracing::warn!("a bus does not end in time, its readout is given up");
            waiting.iter().for_each(AbortHandle::abort);
            // the next one may open the same port
            _ = timeout(GONE_WITHIN, self.join(&mut waiting)).await;
        }
    }

    async fn join(&mut self, waiting: &mut Vec<AbortHandle>) {
        while !waiting.is_empty() {
            let Some(id) = next_end(&mut self.tasks).await else { return };
            match waiting.iter().position(|task| task.id() == id) {
                Some(place) => _ = waiting.swap_remove(place),
                None => self.ended.push(id),
            }
        }
    }

    /// Stops all of them; their channel closes with the last one.
    pub(super) async fn stop(mut self) {
        let running = std::mem::take(&mut self.running);
        self.await_end(running).await;
        self.tasks.shutdown().await;
    }
}

/// The task that ends next.
async fn next_end(tasks: &mut JoinSet<()>) -> Option<Id> {
    Some(match tasks.join_next_with_id().await? {
        Ok((id, ())) => id,
        Err(error) => error.id(),
    })
}

/// For each bus of the new configuration whether its task can go on, with other meters if need be.
fn kept(old: &Config, new: &Config, changes: &Changes) -> Vec<bool> {
    let before = |index: usize| old.buses.get(index).map(|bus| &bus.name);
    let mut kept: Vec<bool> =
        new.buses.iter().enumerate().map(|(index, bus)| before(index) == Some(&bus.name)).collect();
    let mut touch = |index: Option<usize>| {
        if let Some(kept) = index.and_then(|index| kept.get_mut(index)) {
            *kept = false;
        }
    };
    for change in &changes.buses {
        match change {
            Change::Added { new } | Change::Changed { new, .. } => touch(Some(*new)),
            Change::Removed { .. } => {}
        }
    }
    kept
}

fn meters(config: &Config, bus: usize, last_good: &BTreeMap<String, Timestamp>) -> Vec<Metered> {
    let own = config.meters.iter().filter(|meter| meter.bus == bus);
    own.map(|meter| Metered::new(meter.clone(), last_good.get(&meter.name).copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_does_not_end_is_given_up_and_does_not_end_the_agent_later() {
        let (events, _) = mpsc::channel(1);
        let (sightings, _) = mpsc::channel(1);
        let mut buses = Buses { tasks: JoinSet::new(), ended: Vec::new(), running: Vec::new(), events, sightings };
        let late = tokio::time::sleep(END_WITHIN * 2);
        let stopping = Running { task: Some(buses.tasks.spawn(late)), ..Running::new("late") };
        let (other, goes_on) = (Running::new("other"), buses.tasks.spawn(std::future::pending()));
        buses.running.push(Running { task: Some(goes_on), ..other });
        buses.await_end(vec![stopping]).await;
        assert_eq!(buses.tasks.len(), 1, "it has let its port go");
        // one that could not be
        buses.tasks.spawn(async {});
        let ended = timeout(END_WITHIN * 4, buses.ended()).await;
        assert!(ended.is_err(), "{ended:?}");
        // a defect of a third one, noticed while another is waited for
        let defect = Running { task: Some(buses.tasks.spawn(async {})), ..Running::new("defect") };
        buses.running.push(defect);
        let stopping =
            Running { task: Some(buses.tasks.spawn(tokio::time::sleep(END_WITHIN / 2))), ..Running::new("x") };
        buses.await_end(vec![stopping]).await;
        assert_eq!(timeout(END_WITHIN, buses.ended()).await.as_deref(), Ok("bus defect"));
    }
}
