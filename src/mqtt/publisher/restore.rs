//! What is published without a readout: from the store at a start, from another configuration at a
//! reload.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::outbox::Class;
use super::super::payload::{self, OFFLINE, ONLINE};
use super::super::topic::Topics;
use super::memory::MeterMemory;
use super::{Publisher, announce};
use crate::config::{Config, Meter};
use crate::homeassistant::announcements::Announcements;
use crate::mbus::application::quantity::Unit;
use crate::measure::total::Rises;
use crate::spool::Memo;
use crate::spool::memo::{MeterKey, Names};
use crate::status::Newest;

/// More than the longest readout takes, with its retries.
const FORMER_FOR: Duration = Duration::from_secs(600);

impl Publisher {
    /// Sets every document that is known without a readout, at a start.
    pub(super) fn restore(&mut self) {
        self.restore_units();
        self.restore_names();
        self.restore_rises();
        self.restore_states();
        let configured = announce::configured(&self.config, &self.topics);
        let announcer = announce::announcer(&self.config, &self.topics);
        let kinds = [Memo::Announcement, Memo::Identity, Memo::Kept, Memo::Farewell, Memo::Rules];
        let memos =
            kinds.into_iter().flat_map(|kind| self.spool.remembered(kind).map(move |(n, text)| (kind, n, text)));
        self.announcements = Announcements::restore(announcer, &configured, memos);
        self.begin_to_move();
        self.configure_announcements();
        self.set_presence();
        let states = self.spool.remembered(Memo::State).map(|(name, _)| name.to_owned());
        let gone: Vec<String> = states.filter(|name| !self.meters.contains_key(name)).collect();
        if self.config.adopted.trouble.is_none() {
            gone.iter().for_each(|name| self.take_back(name));
        }
        self.clear_former_bases();
        self.show_all_again();
    }

    /// For each meter what is known of it; the agent itself is `online` once everything has arrived.
    fn set_presence(&mut self) {
        self.go_offline();
        for (name, known) in &self.meters {
            let payload = if known.presence.is_online() { ONLINE } else { OFFLINE };
            self.outbox.set(Class::Availability, &self.topics.availability(name), payload.into(), true);
        }
    }

    fn restore_units(&mut self) {
        for (name, unit) in self.spool.remembered(Memo::Unit) {
            let Some(MeterKey { meter, key }) = MeterKey::parse(name) else { continue };
            if let (Some(known), Some(unit)) = (self.meters.get_mut(meter), Unit::from_name(unit)) {
                known.units.insert(key.to_owned(), unit);
            }
        }
    }

    fn restore_names(&mut self) {
        for (name, names) in self.spool.remembered(Memo::Names) {
            if let Some(known) = self.meters.get_mut(name) {
                known.names = Names::parse(names);
            }
        }
    }

    fn restore_rises(&mut self) {
        for (name, rises) in self.spool.remembered(Memo::Rises) {
            let Some(MeterKey { meter, key }) = MeterKey::parse(name) else { continue };
            if let (Some(known), Some(rises)) = (self.meters.get_mut(meter), Rises::from_text(rises)) {
                known.totals.restore_rises(key.to_owned(), rises);
            }
        }
    }

    /// A state from the store counts as present for one interval, so that a restart is not an outage.
    fn restore_states(&mut self) {
        for (name, state) in self.spool.remembered(Memo::State) {
            let Some(known) = self.meters.get_mut(name) else { continue };
            self.outbox.set(Class::State, &self.topics.state(name), state.into(), self.config.mqtt.retain_state);
            let Some(newest) = payload::newest_of_state(state) else { continue };
            let (at, wall) = (read_at(&newest), jiff::Timestamp::now());
            let age = at.and_then(|at| Duration::try_from(wall.duration_since(at)).ok()).unwrap_or_default();
            let at_then = self.now.checked_sub(age).unwrap_or(self.now);
            payload::numbers(&newest).for_each(|(key, number)| known.totals.restore(key, number, at_then));
            if known.enabled && at.is_some_and(|at| is_recent(at, wall, known.meter.interval)) {
                known.presence.restore();
            }
            known.newest.get_or_insert_with(|| Arc::new(newest));
        }
    }

    pub(super) fn configure_announcements(&mut self) {
        let announcer = announce::announcer(&self.config, &self.topics);
        // under another base topic nothing is announced until the old connection is closed and the former devices
        // are gone
        let announcer =
            announcer.filter(|_| self.moving.is_none() && self.topics.base() == self.config.mqtt.base_topic);
        let meters = announce::configured(&self.config, &self.topics);
        self.announcements.configure(announcer, &self.config.buses, meters);
        self.carry_out();
    }

    /// Takes another configuration over. Its topics are followed by
    /// [`follow_base_topic`](Self::follow_base_topic), once the old connection is closed.
    pub(in crate::mqtt) fn reconfigure(&mut self, config: Config) {
        let filters = self.filters();
        let gone: Vec<String> =
            self.meters.keys().filter(|name| !config.all_meters().any(|(m, _)| m.name == **name)).cloned().collect();
        self.keep_former(&config);
        for name in gone {
            self.take_back(&name);
            self.meters.remove(&name);
        }
        if self.config.mqtt.value_topics && !config.mqtt.value_topics {
            self.take_values_back();
        }
        for (meter, enabled) in config.all_meters() {
            let is_as_it_was = self.meters.get(&meter.name).is_some_and(|known| known.enabled == enabled);
            let known = self.meters.entry(meter.name.clone()).or_insert_with(|| MeterMemory::new(meter, enabled));
            known.reconfigure(meter, enabled);
            if !is_as_it_was {
                self.outbox.set(Class::Availability, &self.topics.availability(&meter.name), OFFLINE.into(), true);
            }
        }
        if self.config.mqtt.base_topic != config.mqtt.base_topic {
            self.outbox.leave();
        }
        let is_back = self.topics.base() != self.config.mqtt.base_topic && self.topics.base() == config.mqtt.base_topic;
        self.config = config;
        self.zone = self.config.time_zone();
        self.configure_announcements();
        if is_back {
            // all was taken back for a move that does not come
            self.outbox.stay();
            self.restore_states();
            self.set_presence();
        }
        if self.topics.base() == self.config.mqtt.base_topic {
            self.show_all_again();
        }
        if self.filters() != filters {
            self.outbox.subscribe_again();
        }
    }

    /// Keeps those that the new configuration has no more, or elsewhere: they may be on the wire.
    fn keep_former(&mut self, config: &Config) {
        let Self { former, meters, now, .. } = self;
        former.retain(|(at, _)| now.saturating_duration_since(*at) < FORMER_FOR);
        let stays = |known: &MeterMemory| {
            let is_it = |(meter, _): &(&Meter, bool)| meter.name == known.meter.name;
            config.all_meters().find(is_it).is_some_and(|(meter, _)| known.is_at((meter.bus, meter.address)))
        };
        former.extend(meters.values().filter(|known| !stays(known)).map(|known| (*now, known.before())));
    }

    /// Without an agent that keeps them right, the topics of single values go.
    fn take_values_back(&mut self) {
        for (name, known) in &self.meters {
            for key in known.newest.iter().flat_map(|newest| newest.values.keys()) {
                self.outbox.set(Class::State, &self.topics.value(name, key), Vec::new(), true);
            }
        }
    }

    /// Publishes everything under the base topic of the configuration, if it is another one. Whether it is.
    pub(in crate::mqtt) fn follow_base_topic(&mut self) -> bool {
        if self.topics.base() == self.config.mqtt.base_topic {
            return false;
        }
        self.topics = Topics::new(&self.config.mqtt.base_topic);
        self.meters.values_mut().for_each(|known| known.transition = None);
        self.outbox.forget_documents();
        self.begin_to_move();
        self.clear_former_bases();
        // nothing is published there that could have another meaning
        self.configure_announcements();
        self.restore_states();
        self.show_all_again();
        self.set_presence();
        true
    }

    /// Takes a meter that is no longer configured back from the broker.
    fn take_back(&mut self, name: &str) {
        let newest = self.spool.state_of(name).and_then(payload::newest_of_state);
        for key in newest.iter().flat_map(|newest| newest.values.keys()).filter(|_| self.config.mqtt.value_topics) {
            self.outbox.set(Class::State, &self.topics.value(name, key), Vec::new(), true);
        }
        self.outbox.set(Class::State, &self.topics.state(name), Vec::new(), true);
        self.outbox.set(Class::Availability, &self.topics.availability(name), Vec::new(), true);
        self.leaving.insert(name.to_owned());
    }

    /// Forgets meters that are no longer configured, once the broker has forgotten them: else a
    /// restart without a broker would leave them there.
    pub(in crate::mqtt) fn forget_gone(&mut self) {
        let Self { leaving, outbox, spool, topics, meters, now, .. } = self;
        leaving.retain(|name| {
            if meters.contains_key(name) {
                return false;
            }
            let gone = outbox.has_arrived(Class::State, &topics.state(name))
                && outbox.has_arrived(Class::Availability, &topics.availability(name));
            if gone {
                for memo in [Memo::State, Memo::Rules, Memo::Telegrams, Memo::Formats, Memo::Names] {
                    spool.remember(memo, name, "", *now);
                }
                let rises: Vec<String> = spool.remembered(Memo::Rises).map(|(key, _)| key.to_owned()).collect();
                let is_its = |key: &&String| MeterKey::parse(key).is_some_and(|key| key.meter == name);
                rises.iter().filter(is_its).for_each(|key| spool.remember(Memo::Rises, key, "", *now));
            }
            !gone
        });
        self.forget_former_bases();
        let classes = [Class::AgentAnnouncement, Class::Announcement];
        let pending: BTreeSet<String> = self.pending().map(str::to_owned).collect();
        let has_arrived = |topic: &str| classes.iter().all(|&class| self.outbox.has_arrived(class, topic));
        self.announcements.settle(|topic| !pending.contains(topic) && has_arrived(topic));
        self.carry_out();
    }

    /// When each meter's last good reading was taken, where the store knows.
    pub(in crate::mqtt) fn last_good(&self) -> BTreeMap<String, jiff::Timestamp> {
        // one that is elsewhere now was not read there
        let here = self.meters.iter().filter(|(name, _)| !self.announcements.is_moved(name));
        let newest = here.filter_map(|(name, known)| Some((name, known.newest.as_deref()?)));
        newest.filter_map(|(name, newest)| Some((name.clone(), read_at(newest)?))).collect()
    }
}

fn read_at(newest: &Newest) -> Option<jiff::Timestamp> {
    newest.read_at.parse().ok()
}

/// Not older than `interval`, and not from a future that a clock without battery made up.
fn is_recent(at: jiff::Timestamp, now: jiff::Timestamp, interval: Duration) -> bool {
    let age = now.as_second() - at.as_second();
    (0..=i64::try_from(interval.as_secs()).unwrap_or(i64::MAX)).contains(&age)
}

#[cfg(test)]
mod tests {
    use super::is_recent;
    use std::time::Duration;

    #[test]
    fn a_state_is_recent_for_one_interval_and_never_before_it_was_read() {
        let at = |second| jiff::Timestamp::from_second(second).expect("a time");
        let interval = Duration::from_secs(900);
        for (age, recent) in [(0, true), (900, true), (901, false), (30 * 86_400, false), (-1, false)] {
            assert_eq!(is_recent(at(1_000_000), at(1_000_000 + age), interval), recent, "{age} s");
        }
    }
}
