//! What each thing that happens on the buses becomes for the broker: readings, states, availability,
//! announcements, events. It does no I/O but the spool's.
//!
//! Not here: what of it is sent when (`outbox`), the channels (`task`), requests (`requests`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use super::link::Publish;
use super::outbox::{Class, Outbox};
use super::payload::{self, Event, Number, OFFLINE, ONLINE};
use super::presence::{Change, Presence};
use super::topic::Topics;
use crate::bus::{Happened, MeterReadout};
use crate::config::{Config, Expose, Meter};
use crate::homeassistant::discovery::{Announcer, MeterDevice};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::decimal::Decimal;
use crate::mbus::quantity::Unit;
use crate::measure::normalise::{self, Occasion};
use crate::measure::total::{self, Fall, Verdict};
use crate::measure::{Measurement, Reading};
use crate::spool::{Entry, Memo, Notice, Spool};

/// The knowledge of the outbox task, and its two queues.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) config: Config,
    pub(super) topics: Topics,
    announcer: Option<Announcer>,
    pub(super) outbox: Outbox,
    pub(super) spool: Spool,
    meters: BTreeMap<String, Known>,
    pub(super) counts: Counts,
    /// Set by the task at each of its turns.
    pub(super) now: Instant,
}

/// Since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) taken: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) set_aside: u64,
    pub(super) faulty: u64,
}

/// One configured meter.
#[derive(Debug)]
struct Known {
    /// As configured.
    meter: Meter,
    presence: Presence,
    /// Believed values, by key.
    last: BTreeMap<String, Decimal>,
    /// The unit in which each key was first published.
    units: BTreeMap<String, Unit>,
    /// Everything it was seen to measure.
    seen: Vec<Measurement>,
    /// A reading with a total too low, after which the meter is read again.
    doubtful: Option<Reading>,
    /// Another meter answered under this name before.
    replaces_another: bool,
    /// Topic of its announcement.
    announced: Option<String>,
    /// Components of earlier announcements there: those that are gone must be named to be removed.
    had: BTreeMap<String, String>,
    /// Its announcements on the broker of which the store knows nothing: components by topic.
    found: BTreeMap<String, BTreeMap<String, String>>,
}

/// What became of a readout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in the spool, under this number.
    Taken(u64),
    /// The meter is to be read again at once.
    ReadAgain,
    /// There is no reading.
    Failed(String),
}

impl Publisher {
    pub(super) fn new(config: Config, spool: Spool, now: Instant) -> Self {
        let topics = Topics::new(&config.mqtt.base_topic);
        let meters = config.meters.iter().map(|meter| (meter.name.clone(), Known::new(meter))).collect();
        let outbox = Outbox::new(spool.cursor());
        let mut publisher =
            Self { config, topics, announcer: None, outbox, spool, meters, counts: Counts::default(), now };
        publisher.restore();
        publisher
    }

    /// Sets every document that is known without a readout.
    fn restore(&mut self) {
        self.outbox.set(Class::BridgeState, &self.topics.bridge_state(), ONLINE.into(), true);
        self.announce_agent();
        self.restore_states();
        self.restore_announcements();
        for known in self.meters.values() {
            let payload = if known.presence.is_online() { ONLINE } else { OFFLINE };
            let topic = self.topics.availability(&known.meter.name);
            self.outbox.set(Class::Availability, &topic, payload.into(), true);
        }
    }

    fn announce_agent(&mut self) {
        let homeassistant = &self.config.homeassistant;
        if !homeassistant.enabled {
            return;
        }
        let topics = &self.topics;
        let announcer = Announcer::new(homeassistant, topics.base(), topics.bridge_state(), topics.bridge_info());
        let buses: Vec<&str> = self.config.buses.iter().map(|bus| bus.name.as_str()).collect();
        let document = announcer.agent(&buses);
        if self.outbox.get(Class::AgentAnnouncement, &document.topic) != Some(document.payload.as_bytes()) {
            self.outbox.set(Class::AgentAnnouncement, &document.topic, document.payload.into(), true);
        }
        self.announcer = Some(announcer);
    }

    /// A state from the store counts as present for one interval, so that a restart is no outage.
    fn restore_states(&mut self) {
        for (name, state) in self.spool.remembered(Memo::State) {
            let Some(known) = self.meters.get_mut(name) else { continue };
            known.last = payload::numbers_of_state(state.as_bytes()).unwrap_or_default();
            if last_good(state).is_some_and(|at| is_recent(at, known.meter.interval)) {
                known.presence.restore();
            }
            self.outbox.set(Class::State, &self.topics.state(name), state.into(), self.config.mqtt.retain_state);
        }
        for (name, unit) in self.spool.remembered(Memo::Unit) {
            let Some((meter, key)) = name.split_once('/') else { continue };
            if let (Some(known), Some(unit)) = (self.meters.get_mut(meter), Unit::from_name(unit)) {
                known.units.insert(key.to_owned(), unit);
            }
        }
        for (name, identity) in self.spool.remembered(Memo::Identity) {
            let Some(known) = self.meters.get_mut(name) else { continue };
            let (identity, replaced) = identity.split_once(' ').map_or((identity, false), |(id, _)| (id, true));
            known.replaces_another = replaced;
            if let Ok(identity) = SecondaryAddress::parse(identity) {
                known.presence.recognise(identity);
            }
        }
    }

    /// Announces what the store knows; takes back what is no longer configured.
    fn restore_announcements(&mut self) {
        let mut gone = Vec::new();
        for (name, announcement) in self.spool.remembered(Memo::Announcement) {
            let Some((topic, payload)) = announcement.split_once('\n') else { continue };
            match self.meters.get_mut(name) {
                Some(known) if self.announcer.is_some() => {
                    known.announced = Some(topic.to_owned());
                    let announced = self.announcer.as_ref().and_then(|a| a.recognise(payload.as_bytes()));
                    known.had = announced.map(|announced| announced.components).unwrap_or_default();
                    self.outbox.set(Class::Announcement, topic, payload.into(), true);
                }
                _ => gone.push((name.to_owned(), topic.to_owned())),
            }
        }
        for (name, announcement) in gone {
            self.outbox.set(Class::Announcement, &announcement, Vec::new(), true);
            self.spool.remember(Memo::Announcement, &name, "", self.now);
            if !self.meters.contains_key(&name) {
                self.outbox.set(Class::State, &self.topics.state(&name), Vec::new(), true);
                self.outbox.set(Class::Availability, &self.topics.availability(&name), Vec::new(), true);
                self.spool.remember(Memo::State, &name, "", self.now);
            }
        }
    }

    /// Takes another configuration over. Its topics are followed by
    /// [`follow_base_topic`](Self::follow_base_topic), once the old connection is closed.
    pub(super) fn reconfigure(&mut self, config: Config) {
        let gone: Vec<String> =
            self.meters.keys().filter(|name| !config.meters.iter().any(|m| m.name == **name)).cloned().collect();
        gone.iter().for_each(|name| self.remove(name));
        for meter in &config.meters {
            match self.meters.get_mut(&meter.name) {
                Some(known) => known.reconfigure(meter),
                None => {
                    self.meters.insert(meter.name.clone(), Known::new(meter));
                    let topic = self.topics.availability(&meter.name);
                    self.outbox.set(Class::Availability, &topic, OFFLINE.into(), true);
                }
            }
        }
        let rebased = self.config.mqtt.base_topic != config.mqtt.base_topic;
        let announced_otherwise = rebased || self.config.homeassistant != config.homeassistant;
        if announced_otherwise {
            self.outbox.clear(|class| matches!(class, Class::Announcement | Class::AgentAnnouncement));
        }
        if rebased {
            self.outbox.clear(|_| true);
        }
        self.config = config;
        if announced_otherwise {
            self.announcer = None;
            self.meters.values_mut().for_each(|known| known.announced = None);
        }
        if !rebased {
            self.announce_all();
        }
    }

    /// Publishes everything under the base topic of the configuration, if it is another one.
    pub(super) fn follow_base_topic(&mut self) {
        if self.topics.base() == self.config.mqtt.base_topic {
            return;
        }
        self.topics = Topics::new(&self.config.mqtt.base_topic);
        self.outbox.forget_documents();
        self.announcer = None;
        self.restore();
        self.announce_all();
    }

    /// The agent's own announcement, and those of all meters seen so far.
    fn announce_all(&mut self) {
        self.announce_agent();
        let names: Vec<String> = self.meters.keys().cloned().collect();
        names.iter().for_each(|name| self.announce(name));
    }

    /// Takes a meter that is no longer configured back from the broker.
    fn remove(&mut self, name: &str) {
        let Some(known) = self.meters.remove(name) else { return };
        self.outbox.set(Class::State, &self.topics.state(name), Vec::new(), true);
        self.outbox.set(Class::Availability, &self.topics.availability(name), Vec::new(), true);
        for topic in known.announced.into_iter().chain(known.found.into_keys()) {
            self.outbox.set(Class::Announcement, &topic, Vec::new(), true);
        }
        for memo in [Memo::State, Memo::Announcement, Memo::Identity] {
            self.spool.remember(memo, name, "", self.now);
        }
    }

    /// A retained announcement on the broker. One of ours that is no longer right is taken back,
    /// although the store may know nothing of it.
    pub(super) fn found(&mut self, topic: &str, payload: &[u8]) {
        let Some(announced) = self.announcer.as_ref().and_then(|announcer| announcer.recognise(payload)) else {
            return;
        };
        let Some(state_topic) = announced.state_topic else { return };
        let Some(known) = self.meters.values_mut().find(|k| self.topics.state(&k.meter.name) == state_topic) else {
            tracing::info!(topic, "takes back the announcement of a meter that is not configured");
            self.outbox.set(Class::Announcement, topic, Vec::new(), true);
            if let Some(name) = self.topics.meter_of_state(&state_topic) {
                self.outbox.set(Class::Availability, &self.topics.availability(name), Vec::new(), true);
            }
            return self.outbox.set(Class::State, &state_topic, Vec::new(), true);
        };
        if known.announced.as_deref().is_some_and(|current| current != topic) {
            return self.outbox.set(Class::Announcement, topic, Vec::new(), true);
        }
        known.found.insert(topic.to_owned(), announced.components);
        let name = known.meter.name.clone();
        self.announce(&name);
    }

    /// When each meter's last good reading was taken, where the store knows.
    pub(super) fn last_good(&self) -> BTreeMap<String, jiff::Timestamp> {
        let states = self.spool.remembered(Memo::State);
        states.filter_map(|(name, state)| Some((name.to_owned(), last_good(state)?))).collect()
    }

    /// A bus came or went; a readout is handled by [`readout`](Self::readout).
    pub(super) fn happened(&mut self, bus: usize, what: &Happened) {
        let Some(name) = self.config.buses.get(bus).map(|bus| bus.name.clone()) else { return };
        match what {
            Happened::Up => self.tell(&Event::BusUp { bus: name }),
            Happened::Down { error } => self.tell(&Event::BusDown { bus: name, error: error.clone() }),
            Happened::Read(_) => {}
        }
    }

    /// A meter's turn is over.
    pub(super) fn readout(&mut self, readout: MeterReadout, clock_synced: Option<bool>) -> Outcome {
        let Some(known) = self.meters.get(&readout.meter) else {
            return Outcome::Failed("no such meter".to_owned());
        };
        let MeterReadout { meter, due_at, read_at, frames } = readout;
        let result = match frames {
            Err(error) => Err(error.to_string()),
            Ok(frames) => {
                let described = known.described(&self.config);
                let occasion = Occasion { due_at, read_at, clock_synced };
                normalise::reading(&frames, &described, occasion).map_err(|fault| {
                    self.counts.faulty += 1;
                    fault.error
                })
            }
        };
        match result {
            Ok(reading) => self.judge(reading),
            Err(error) => {
                self.failed(&meter, &error);
                Outcome::Failed(error)
            }
        }
    }

    fn failed(&mut self, name: &str, error: &str) {
        let Some(known) = self.meters.get_mut(name) else { return };
        if known.presence.failed() == Change::Silent {
            tracing::warn!(meter = name, "is offline: {error}");
            self.outbox.set(Class::Availability, &self.topics.availability(name), OFFLINE.into(), true);
            self.tell(&Event::MeterSilent { meter: name.to_owned(), error: error.to_owned() });
        }
    }

    /// A total below its last value is not believed until the meter says it twice.
    fn judge(&mut self, mut reading: Reading) -> Outcome {
        let name = reading.meter.clone();
        let Some(known) = self.meters.get_mut(&name) else { return Outcome::Failed("no such meter".to_owned()) };
        let former = known.presence.replaced_by(reading.device.identity);
        if former.is_some() {
            known.replaces_another = true;
            known.last.clear();
            known.seen.clear();
            known.had.clear();
            known.doubtful = None;
        }
        let first = known.doubtful.take();
        let verdict = total::judge(&known.last, first.as_ref(), &reading);
        reading.due_at = reading.due_at.or(first.and_then(|first| first.due_at));
        match verdict {
            Verdict::ReadAgain => {
                known.doubtful = Some(reading);
                Outcome::ReadAgain
            }
            Verdict::Discard { faults } => {
                self.tell_faults(&name, &faults);
                Outcome::Failed("its totals are lower than before, other ones each time".to_owned())
            }
            Verdict::Publish { fell, faults } => {
                self.tell_faults(&name, &faults);
                for fall in &fell {
                    tracing::warn!(meter = name, key = fall.key, "total fell from {} to {}", fall.from, fall.to);
                    self.tell(&fell_event(&name, fall));
                }
                self.identified(&reading, former);
                Outcome::Taken(self.take(&reading))
            }
        }
    }

    fn tell_faults(&mut self, name: &str, faults: &[Fall]) {
        self.counts.faulty += u64::from(!faults.is_empty());
        for fall in faults {
            tracing::warn!(meter = name, key = fall.key, "a reading said {} after {}: a fault", fall.to, fall.from);
            self.tell(&Event::CounterFault {
                meter: name.to_owned(),
                key: fall.key.clone(),
                last: Number(fall.from),
                read: Number(fall.to),
                unit: fall.unit.name(),
            });
        }
    }

    /// Remembers who answered, and tells where it is another meter than before.
    fn identified(&mut self, reading: &Reading, former: Option<SecondaryAddress>) {
        let Some(identity) = reading.device.identity else { return };
        let Some(known) = self.meters.get(&reading.meter) else { return };
        let mark = if known.replaces_another { " replaced" } else { "" };
        self.spool.remember(Memo::Identity, &reading.meter, &format!("{identity}{mark}"), self.now);
        if let Some(former) = former {
            let (from, to) = (former.to_string(), identity.to_string());
            tracing::warn!(meter = reading.meter, "another meter answers: {to} instead of {from}");
            self.tell(&Event::MeterReplaced { meter: reading.meter.clone(), from, to });
        }
    }

    /// Into the spool, and its meaning into the documents.
    fn take(&mut self, reading: &Reading) -> u64 {
        let name = &reading.meter;
        let seq = self.spool.append(name, self.now, |seq| payload::reading(reading, seq));
        self.counts.taken += 1;
        let state = payload::state(reading, seq);
        self.spool.remember(Memo::State, name, &state, self.now);
        let numbers = payload::numbers_of_state(state.as_bytes()).unwrap_or_default();
        self.outbox.set(Class::State, &self.topics.state(name), state.into(), self.config.mqtt.retain_state);
        let Some(known) = self.meters.get_mut(name) else { return seq };
        known.last.extend(numbers);
        for measurement in &reading.measurements {
            known.see(measurement, &mut self.spool, self.now);
        }
        let change = known.presence.answered();
        if change != Change::None {
            self.outbox.set(Class::Availability, &self.topics.availability(name), ONLINE.into(), true);
        }
        if change == Change::Back {
            tracing::info!(meter = name, "is online again");
            self.tell(&Event::MeterBack { meter: name.clone() });
        }
        self.announce(name);
        self.tell_notices();
        seq
    }

    /// Announces a meter where that says something new, and every other one whose id it shares.
    fn announce(&mut self, name: &str) {
        let identity = self.meters.get(name).and_then(|known| known.presence.identity());
        let same = |known: &&Known| identity.is_some() && known.presence.identity() == identity;
        let mut names: BTreeSet<String> = self.meters.values().filter(same).map(|k| k.meter.name.clone()).collect();
        let shared = names.len() > 1;
        names.insert(name.to_owned());
        for name in names {
            self.announce_one(&name, shared);
        }
    }

    fn announce_one(&mut self, name: &str, shares_identity: bool) {
        let (Some(announcer), Some(known)) = (&self.announcer, self.meters.get_mut(name)) else { return };
        if known.seen.is_empty() {
            return;
        }
        let document = announcer.meter(&MeterDevice {
            name,
            title: known.meter.title.as_deref(),
            identity: known.presence.identity(),
            shares_identity,
            replaces_another: known.replaces_another,
            state_topic: &self.topics.state(name),
            availability_topic: &self.topics.availability(name),
            read_topic: &self.topics.read(name),
            measurements: &known.seen,
        });
        for (topic, components) in std::mem::take(&mut known.found) {
            if topic == document.topic {
                known.had.extend(components);
            } else {
                self.outbox.set(Class::Announcement, &topic, Vec::new(), true);
            }
        }
        let payload = document.removing(&known.had).unwrap_or(document.payload);
        if self.outbox.get(Class::Announcement, &document.topic) == Some(payload.as_bytes()) {
            return;
        }
        if document.left_out > 0 {
            tracing::warn!(meter = name, "{} entities are left out: too many for a message", document.left_out);
        }
        if let Some(old) = known.announced.replace(document.topic.clone()).filter(|old| *old != document.topic) {
            self.outbox.set(Class::Announcement, &old, Vec::new(), true);
        }
        self.spool.remember(
            Memo::Announcement,
            name,
            &format!(
                "{}
{payload}",
                document.topic
            ),
            self.now,
        );
        self.outbox.set(Class::Announcement, &document.topic, payload.into(), true);
    }

    /// Publishes an event.
    pub(super) fn tell(&mut self, event: &Event) {
        let payload = payload::event(event, SystemTime::now());
        self.outbox.note(self.topics.bridge_event(), payload.into());
    }

    /// Tells what the spool had to do.
    pub(super) fn tell_notices(&mut self) {
        for notice in self.spool.notices() {
            match notice {
                Notice::Dropped { count, from, to } => {
                    self.counts.dropped += count;
                    tracing::warn!("the store is full: {count} readings dropped, numbers {from} to {to}");
                    self.tell(&Event::ReadingsDropped { count, from, to });
                }
                Notice::UncleanStart { from, to } => {
                    tracing::warn!("the last stop was no clean one: the numbers {from} to {to} are skipped");
                    self.tell(&Event::UncleanStart { from, to });
                }
                Notice::Damaged { file, kept, lost } => {
                    let file = file.display();
                    tracing::error!("the store was damaged: {lost} lines of {file} cannot be read, {kept} are kept");
                }
                Notice::Trouble { error } => {
                    tracing::error!("the store fails: {error}; readings are kept in memory until it works again");
                }
                Notice::Recovered => tracing::info!("the store works again"),
            }
        }
    }

    /// Every topic filter to subscribe to.
    pub(super) fn filters(&self) -> Vec<String> {
        let homeassistant = Some(&self.config.homeassistant).filter(|h| h.enabled);
        let status = homeassistant.map(|h| h.status_topic.clone());
        let announcements = self.announcer.as_ref().map(Announcer::filter);
        self.topics.command_filters().into_iter().chain(status).chain(announcements).collect()
    }

    /// The next reading to send.
    pub(super) fn reading_after(&mut self, seq: u64) -> Option<Publish> {
        let Entry { seq, meter, payload } = self.spool.after(seq, self.now)?;
        Some(self.outbox.reading(seq, self.topics.reading(&meter), payload.into()))
    }

    /// A refused reading once more; the cursor to settle where the store has dropped it meanwhile.
    pub(super) fn reading_again(&mut self, seq: u64) -> Result<Publish, u64> {
        match self.spool.after(seq.saturating_sub(1), self.now).filter(|entry| entry.seq == seq) {
            Some(entry) => Ok(self.outbox.reading(seq, self.topics.reading(&entry.meter), entry.payload.into())),
            None => Err(self.outbox.reading_is_gone(seq).unwrap_or(0)),
        }
    }

    /// The bus of a configured meter.
    pub(super) fn bus_of(&self, meter: &str) -> Option<usize> {
        self.meters.get(meter).map(|known| known.meter.bus)
    }
}

impl Known {
    fn new(meter: &Meter) -> Self {
        Self {
            meter: meter.clone(),
            presence: Presence::new(meter.offline_after),
            last: BTreeMap::new(),
            units: BTreeMap::new(),
            seen: Vec::new(),
            doubtful: None,
            replaces_another: false,
            announced: None,
            had: BTreeMap::new(),
            found: BTreeMap::new(),
        }
    }

    /// Another configuration of the same meter: what it was seen to measure may have other names now.
    fn reconfigure(&mut self, meter: &Meter) {
        let same = self.meter.records == meter.records
            && self.meter.expose == meter.expose
            && self.meter.profile == meter.profile;
        if !same {
            self.seen.clear();
            self.last.clear();
        }
        self.presence.tolerate(meter.offline_after);
        self.meter = meter.clone();
    }

    fn described<'a>(&'a self, config: &'a Config) -> normalise::Meter<'a> {
        normalise::Meter {
            name: &self.meter.name,
            key: self.meter.key.as_ref().map(|key| &key.0),
            rules: &self.meter.records,
            profile: self.meter.profile.as_deref(),
            profiles: &config.profiles,
            only: match &self.meter.expose {
                Expose::Sensible => None,
                Expose::Keys(keys) => Some(keys),
            },
            units: &self.units,
        }
    }

    /// Keeps what is measured, and the first unit of each key.
    fn see(&mut self, measurement: &Measurement, spool: &mut Spool, now: Instant) {
        match self.seen.iter_mut().find(|seen| seen.key == measurement.key) {
            Some(seen) => seen.clone_from(measurement),
            None => self.seen.push(measurement.clone()),
        }
        if !self.units.contains_key(&measurement.key) {
            self.units.insert(measurement.key.clone(), measurement.unit);
            let name = format!("{}/{}", self.meter.name, measurement.key);
            spool.remember(Memo::Unit, &name, measurement.unit.name(), now);
        }
    }
}

fn fell_event(meter: &str, fall: &Fall) -> Event {
    Event::CounterFell {
        meter: meter.to_owned(),
        key: fall.key.clone(),
        from: Number(fall.from),
        to: Number(fall.to),
        unit: fall.unit.name(),
    }
}

/// `read_at` of a `state` document.
fn last_good(state: &str) -> Option<jiff::Timestamp> {
    #[derive(serde::Deserialize)]
    struct ReadAt {
        read_at: String,
    }
    serde_json::from_str::<ReadAt>(state).ok()?.read_at.parse().ok()
}

/// Not older than `interval`, and not from a future that a clock without battery made up.
fn is_recent(at: jiff::Timestamp, interval: Duration) -> bool {
    let age = jiff::Timestamp::now().as_second() - at.as_second();
    (0..=i64::try_from(interval.as_secs()).unwrap_or(i64::MAX)).contains(&age)
}
