//! What each thing that happens on the buses becomes for the broker: readings, states, availability,
//! announcements, events. It does no I/O but the spool's.
//!
//! Not here: what of it is sent when (`outbox`), the channels (`task`), requests (`requests`).

mod again;
mod announce;
mod arrival;
mod aside;
pub(super) mod delivery;
mod judge;
mod last_readout;
mod lengths;
mod listener;
mod memory;
mod moving;
mod openers;
mod restore;
mod transition;
mod understand;
mod viewers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use jiff::tz::TimeZone;
use tokio::sync::broadcast;

use super::last_scan;
use super::outbox::{Class, Outbox};
use super::payload::{self, Event, OFFLINE, ONLINE};
use super::presence::Change;
use super::topic::Topics;
use crate::adopt::find::Find;
use crate::bus::{Happened, MeterReadout};
use crate::config::Config;
use crate::homeassistant::announcements::Announcements;
use crate::homeassistant::name;
use crate::mbus::address::MeterAddress;
use crate::mbus::master::search::Found;
use crate::measure::Reading;
use crate::measure::normalise::Occasion;
use crate::spool::memo::Telegrams;
use crate::spool::{Memo, Notice, Spool};
use crate::status::{MeterStatus, Newest, News, Readings};
use arrival::Arrival;
use lengths::Lengths;
use listener::Listener;
use memory::MeterMemory;
use moving::Moving;
use openers::Openers;
use viewers::Viewers;

/// Readings and events that wait for one who listens. Who is further behind misses some.
const NEWS: usize = 256;

/// The knowledge of the outbox task, and its two queues.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) config: Config,
    pub(super) topics: Topics,
    announcements: Announcements,
    /// Of the meters' clocks.
    zone: TimeZone,
    pub(super) outbox: Outbox,
    pub(super) spool: Spool,
    /// The configured meters, also those that are not enabled.
    meters: BTreeMap<String, MeterMemory>,
    /// Those that a reload took out, or looks for elsewhere, and when: a slow one may be on the wire for a while.
    former: Vec<(Instant, MeterMemory)>,
    /// No longer configured, but perhaps still known to the broker.
    leaving: BTreeSet<String>,
    readings: Readings,
    lengths: Lengths,
    openers: Openers,
    listener: Listener,
    viewers: Viewers,
    /// There is a connection, but not everything has arrived yet.
    arrival: Option<Arrival>,
    /// To another base topic.
    moving: Option<Moving>,
    /// Readings dropped that no event has reported yet: how many, the first and the last number.
    drops: Option<(u64, u64, u64)>,
    /// Tells readings and events to whoever listens besides the broker.
    pub(super) news: broadcast::Sender<News>,
    /// Set by the task at each of its turns.
    pub(super) now: Instant,
}

/// What became of a readout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in the spool; as it is published.
    Taken(String),
    /// The meter is to be read again at once.
    ReadAgain,
    /// There is no reading.
    Failed(String),
}

impl Publisher {
    pub(super) fn new(config: Config, spool: Spool, now: Instant) -> Self {
        let openers = Openers::restore(&spool);
        let mut publisher = Self {
            topics: Topics::new(&config.mqtt.base_topic),
            announcements: Announcements::default(),
            zone: config.time_zone(),
            outbox: Outbox::new(spool.cursor()),
            meters: config.all_meters().map(|(meter, on)| (meter.name.clone(), MeterMemory::new(meter, on))).collect(),
            former: Vec::new(),
            leaving: BTreeSet::new(),
            readings: Readings::default(),
            config,
            spool,
            lengths: Lengths::default(),
            openers,
            listener: Listener::unknown(now),
            viewers: Viewers::default(),
            arrival: None,
            moving: None,
            drops: None,
            news: broadcast::Sender::new(NEWS),
            now,
        };
        publisher.restore();
        // what the store had lost when it was opened, was taken too
        publisher.report_notices();
        publisher.take_over();
        publisher
    }

    /// A bus came or went; a readout is handled by [`readout`](Self::readout).
    pub(super) fn happened(&mut self, bus: usize, what: &Happened) {
        let Some(name) = self.config.buses.get(bus).map(|bus| bus.name.clone()) else { return };
        match what {
            Happened::Up => self.tell(&Event::BusUp { bus: name }),
            Happened::Down { error } => self.tell(&Event::BusDown { bus: name, error: error.clone() }),
            Happened::Read { .. } | Happened::ReadAt { .. } => {}
            Happened::Found { .. } | Happened::Scanning | Happened::Scanned { .. } => {}
        }
    }

    /// A meter's turn is over.
    pub(super) fn readout(&mut self, readout: MeterReadout, clock_synced: Option<bool>) -> Outcome {
        let known = self.meters.get(&readout.meter).filter(|known| known.enabled && known.is_at(readout.place));
        if known.is_none() {
            return self.last_readout(readout, clock_synced);
        }
        let MeterReadout { meter, due_at, read_at, frames, .. } = readout;
        let result = match &frames {
            Err(error) => Err(error.to_string()),
            Ok(frames) => {
                if let Some((bus, load)) = self.lengths.learn(&self.config, &meter, frames) {
                    tracing::warn!(
                        bus,
                        "its meters' telegrams need {:.0} % of the time: reads will be late; set longer intervals",
                        load * 100.0
                    );
                }
                if let Some(longest) = self.lengths.of(&meter) {
                    self.spool.remember(Memo::Replies, &meter, &longest.to_string(), self.now);
                }
                let result = self.understand(&meter, frames, Occasion { due_at, read_at, clock_synced });
                self.openers.remember(&meter, &mut self.spool, self.now);
                self.readings.faulty += u64::from(result.is_err());
                result
            }
        };
        let outcome = match result {
            Ok(reading) => {
                let outcome = self.judge(reading);
                if let (Outcome::Taken(_), Ok(frames)) = (&outcome, frames) {
                    self.keep_telegrams(&meter, Telegrams { read_at, due_at, frames });
                }
                outcome
            }
            Err(error) => {
                self.failed(&meter, &error);
                Outcome::Failed(error)
            }
        };
        self.announcements.tried(&meter);
        self.carry_out();
        outcome
    }

    /// Keeps the telegrams of a reading, unless a value of it is held: that is not known to be right.
    fn keep_telegrams(&mut self, name: &str, telegrams: Telegrams) {
        let Some(known) = self.meters.get_mut(name) else { return };
        known.telegrams = Arc::new(telegrams.frames.clone());
        let is_held = known.confirm_at.is_some();
        let text = if is_held { String::new() } else { telegrams.to_string() };
        self.spool.remember(Memo::Telegrams, name, &text, self.now);
    }

    fn failed(&mut self, name: &str, error: &str) {
        let Some(known) = self.meters.get_mut(name) else { return };
        known.error = Some(error.to_owned());
        if known.presence.failed() == Change::Silent {
            tracing::warn!(meter = name, "is offline: {error}");
            self.outbox.set(Class::Availability, &self.topics.availability(name), OFFLINE.into(), true);
            self.tell(&Event::MeterSilent { meter: name.to_owned(), error: error.to_owned() });
        }
    }

    /// Into the spool, and its meaning into the documents.
    fn take(&mut self, reading: &Reading) -> String {
        let name = &reading.meter;
        let (seq, published) = self.append(reading);
        let Some(known) = self.meters.get_mut(name) else { return published };
        known.error = None;
        known.believe(reading, &mut self.spool, self.now);
        if !std::mem::replace(&mut known.was_read, true) {
            tracing::info!("{name} is read: {}", reading.summary());
        }
        let change = known.presence.answered();
        if change != Change::None {
            self.outbox.set(Class::Availability, &self.topics.availability(name), ONLINE.into(), true);
        }
        if change == Change::Back {
            tracing::info!(meter = name, "is online again");
            self.tell(&Event::MeterBack { meter: name.clone() });
        }
        self.show(reading, seq);
        self.report_notices();
        published
    }

    /// Into the spool: its number, and how it is published.
    fn append(&mut self, reading: &Reading) -> (u64, String) {
        let mut published = String::new();
        let agent = self.topics.base();
        let seq = self.spool.append(&reading.meter, self.now, |epoch, seq| {
            published = payload::reading(reading, payload::Serial { agent, epoch, seq });
            published.clone()
        });
        self.readings.taken += 1;
        self.report(|| News::Reading(published.as_str().into()));
        (seq, published)
    }

    /// The meaning of a reading: its state, and what Home Assistant should know.
    fn show(&mut self, reading: &Reading, seq: u64) {
        let name = &reading.meter;
        let zone = Some(&self.zone).filter(|_| self.config.homeassistant.enabled);
        let state = payload::state(reading, seq, zone);
        self.spool.remember(Memo::State, name, &state, self.now);
        self.spool.remember(Memo::Rules, name, self.announcements.rules(name).unwrap_or_default(), self.now);
        if self.config.mqtt.value_topics {
            self.set_values(reading);
        }
        let Some(known) = self.meters.get_mut(name) else { return };
        if reading.unnamed > known.unnamed {
            known.unnamed = reading.unnamed;
            tracing::info!("{name} sends {}", name::unnamed(reading.unnamed, name));
        }
        if self.config.homeassistant.enabled {
            known.say_unfit_classes(reading);
        }
        let whole = self.config.http.is_some().then(|| Arc::new(reading.clone()));
        known.newest = Some(Arc::new(Newest { reading: whole, ..payload::newest(reading, seq) }));
        if reading.device.status.contains(&"low_power") {
            self.announcements.says_low_power(name);
        }
        self.announcements.read(name, &reading.measurements, reading.unnamed);
        self.carry_out();
        self.show_state(name, state);
    }

    /// Each value on a topic of its own.
    fn set_values(&mut self, reading: &Reading) {
        for measurement in &reading.measurements {
            let topic = self.topics.value(&reading.meter, &measurement.key);
            let value = payload::plain_value(&measurement.value);
            self.outbox.set(Class::State, &topic, value.into(), self.config.mqtt.retain_state);
        }
    }

    /// Publishes an event.
    pub(super) fn tell(&mut self, event: &Event) {
        let payload = payload::event(event, SystemTime::now());
        self.report(|| News::Event(payload.as_str().into()));
        self.outbox.note(self.topics.bridge_event(), payload.into());
    }

    /// Tells whoever listens.
    fn report(&self, news: impl FnOnce() -> News) {
        if self.news.receiver_count() > 0 {
            _ = self.news.send(news()); // whoever listened may be gone by now
        }
    }

    /// The outcome of the last scan, also for who comes later.
    pub(super) fn set_last_scan(&mut self, bus: Option<usize>, outcome: Result<&[Found], &str>) {
        let bus = bus.and_then(|bus| self.config.buses.get(bus)).map(|bus| bus.name.as_str());
        let scan = last_scan::json(bus, SystemTime::now(), outcome);
        self.outbox.set(Class::Info, &self.topics.bridge_scan(), scan.into(), true);
    }

    /// Reports what the spool had to do.
    pub(super) fn report_notices(&mut self) {
        for notice in self.spool.notices() {
            match notice {
                Notice::Dropped { count, from, to } => self.dropped(count, from, to),
                Notice::UncleanStart { from, to } => {
                    tracing::warn!("the last stop was not clean: the numbers {from} to {to} are skipped");
                    self.tell(&Event::UncleanStart { from, to });
                }
                Notice::Requeued { from, to } => {
                    tracing::info!("readings are sent again under their old numbers: {from} to {to} are skipped");
                    self.tell(&Event::UncleanStart { from, to });
                }
                Notice::Damaged { file, kept, bad } => {
                    let file = file.display();
                    tracing::error!(
                        "the store was damaged: in {file} bad lines: {bad}, good ones, which are kept: {kept}"
                    );
                }
                Notice::Gone { files } => {
                    let store = self.config.store.directory.display();
                    tracing::error!("files of readings were removed from the store {store}: {files}");
                }
                Notice::Lost { count, from, to } => {
                    let count = self.lost(count, from, to);
                    tracing::error!("readings lost with damaged or removed files: {count}, numbers {from} to {to}");
                    self.tell(&Event::ReadingsDropped { count, from, to });
                }
                Notice::NewEpoch { epoch } => {
                    tracing::warn!(
                        "which numbers were used is not certain: readings are numbered in epoch {epoch} now"
                    );
                }
                Notice::Trouble { error } => {
                    tracing::error!("the store {} fails: {error}", self.config.store.directory.display());
                }
                Notice::Recovered => tracing::info!("the store works again"),
                Notice::Opened { waiting } => {
                    tracing::info!("the store could be opened: {waiting} readings wait in it");
                    self.outbox.rewind(self.spool.cursor());
                    self.take_over();
                }
            }
        }
    }

    /// Every topic filter to subscribe to.
    pub(super) fn filters(&self) -> Vec<String> {
        let homeassistant = Some(&self.config.homeassistant).filter(|h| h.enabled);
        let status = homeassistant.map(|h| h.status_topic.clone());
        let announcements = self.announcements.filter();
        let own = [self.topics.bridge_info(), self.topics.bridge_state()];
        self.topics.command_filters().into_iter().chain(own).chain(status).chain(announcements).collect()
    }

    /// Addresses of meters found on a bus that no table configures, neither by address nor by identity.
    pub(super) fn unconfigured(&self, bus: usize, finds: impl Iterator<Item = Find>) -> Vec<String> {
        let all = self.config.all_meters().filter(|(meter, _)| meter.bus == bus);
        let here: Vec<MeterAddress> = all.map(|(meter, _)| meter.address).collect();
        let unknown = |find: &Find| !here.iter().any(|known| *known == find.address || find.is_at(*known));
        finds.filter(unknown).map(|find| find.address.to_string()).collect()
    }

    /// How every meter is doing.
    pub(super) fn meters(&self) -> BTreeMap<String, MeterStatus> {
        let status = |known: &MeterMemory| MeterStatus {
            bus: self.config.buses.get(known.meter.bus).map(|bus| bus.name.clone()).unwrap_or_default(),
            online: known.presence.is_online(),
            error: known.error.clone(),
            newest: known.newest.clone(),
            telegrams: Arc::clone(&known.telegrams),
        };
        let enabled = self.meters.iter().filter(|(_, known)| known.enabled);
        enabled.map(|(name, known)| (name.clone(), status(known))).collect()
    }
}

#[cfg(test)]
mod tests;
