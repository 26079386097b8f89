//! The machine with what surrounds it: an imagined store, outbox, broker and Home Assistant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::{Announcements, Change, Configured};
use crate::config::HomeAssistant;
use crate::homeassistant::discovery::{AgentTopics, Announcer};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::Known;
use crate::measure::{Measurement, sample};
use crate::spool::Memo;

/// Rules of a meter that has none.
pub(super) const NONE: &str = "{}";

/// The agent's machine, what its store, its outbox and the broker hold, and a Home Assistant.
pub(super) struct Bench {
    pub(super) announcements: Announcements,
    pub(super) memos: BTreeMap<(Memo, String), String>,
    /// What the outbox holds: payload, whether retained, whether the broker lacks it.
    pub(super) outbox: BTreeMap<String, (String, bool, bool)>,
    pub(super) connected: bool,
    pub(super) retained: BTreeMap<String, String>,
    /// What Home Assistant heard of since it started; `None`: it is off.
    pub(super) heard: Option<BTreeSet<String>>,
    /// Its devices, by topic.
    pub(super) devices: BTreeSet<String>,
    pub(super) other: Vec<Change>,
    /// Topics of retained documents that were taken back.
    pub(super) cleared: BTreeSet<String>,
    /// Where the meter of a name is, if not at its own place.
    pub(super) places: BTreeMap<String, String>,
    pub(super) disabled: BTreeSet<String>,
    /// Names of meters that are read in another way too, each with the first name of the same meter.
    pub(super) readouts: BTreeMap<String, String>,
}

impl Bench {
    pub(super) fn new(names: &[&str]) -> Self {
        let mut bench = Self {
            announcements: Announcements::default(),
            memos: BTreeMap::new(),
            outbox: BTreeMap::new(),
            connected: true,
            retained: BTreeMap::new(),
            heard: Some(BTreeSet::new()),
            devices: BTreeSet::new(),
            other: Vec::new(),
            cleared: BTreeSet::new(),
            places: BTreeMap::new(),
            disabled: BTreeSet::new(),
            readouts: BTreeMap::new(),
        };
        bench.restart(names);
        bench
    }

    pub(super) fn restart(&mut self, names: &[&str]) {
        let memos = self.memos.iter().map(|((memo, name), text)| (*memo, name.as_str(), text.as_str()));
        self.announcements = Announcements::restore(Some(announcer()), &self.configured(names), memos);
        self.outbox.clear();
        self.configure(names);
        if self.connected {
            self.connect();
        }
    }

    pub(super) fn configure(&mut self, names: &[&str]) {
        self.announcements.configure(Some(announcer()), &[], self.configured(names));
        self.carry_out();
    }

    fn configured(&self, names: &[&str]) -> BTreeMap<String, Configured> {
        let mut all = configured(names);
        for (name, meter) in &mut all {
            meter.place = self.places.get(name).unwrap_or(&meter.place).clone();
            meter.enabled = !self.disabled.contains(name);
            meter.readout_of = self.readouts.get(name).filter(|first| names.contains(&first.as_str())).cloned();
        }
        all
    }

    pub(super) fn read(&mut self, name: &str, id: u32, rules: &str, keys: &[&str]) {
        let measurements: Vec<Measurement> = keys.iter().map(|key| sample::number(key, Known::Volume, "1")).collect();
        self.read_values(name, id, rules, &measurements);
    }

    pub(super) fn read_values(&mut self, name: &str, id: u32, rules: &str, measurements: &[Measurement]) {
        self.announcements.answered(name, Some(identity(id)), rules);
        self.announcements.read(name, measurements, 0);
        self.announcements.tried(name);
        self.carry_out();
    }

    pub(super) fn carry_out(&mut self) {
        for change in self.announcements.changes() {
            match change {
                Change::Document { topic, payload, retain, .. } => {
                    if self.outbox.get(&topic).is_none_or(|(known, ..)| *known != payload) {
                        self.outbox.insert(topic, (payload, retain, true));
                    }
                }
                Change::Memo { memo, name, text } if text.is_empty() => _ = self.memos.remove(&(memo, name)),
                Change::Memo { memo, name, text } => _ = self.memos.insert((memo, name), text),
                change => self.other.push(change),
            }
        }
        self.deliver();
    }

    /// The broker shows what it holds, and gets everything.
    pub(super) fn connect(&mut self) {
        self.connected = true;
        self.outbox.values_mut().for_each(|(_, _, dirty)| *dirty = true);
        for (topic, payload) in self.retained.clone() {
            self.announcements.found(&topic, payload.as_bytes());
        }
        self.carry_out();
    }

    pub(super) fn deliver(&mut self) {
        if !self.connected {
            return;
        }
        for (topic, (payload, retain, dirty)) in &mut self.outbox {
            if std::mem::take(dirty) {
                match (payload.is_empty(), *retain) {
                    (true, _) => {
                        self.retained.remove(topic);
                        self.cleared.insert(topic.clone());
                    }
                    (false, true) => _ = self.retained.insert(topic.clone(), payload.clone()),
                    (false, false) => {}
                }
                hear(&mut self.heard, &mut self.devices, topic, payload);
            }
        }
        self.outbox.retain(|_, (payload, ..)| !payload.is_empty());
        let outbox = &self.outbox;
        self.announcements.settle(|topic| outbox.get(topic).is_none_or(|(_, _, dirty)| !dirty));
        for change in self.announcements.changes() {
            let Change::Memo { memo, name, text } = change else { panic!("{change:?} when settled") };
            assert_eq!(text, "");
            self.memos.remove(&(memo, name));
        }
    }

    /// Home Assistant starts.
    pub(super) fn birth(&mut self) {
        self.heard = Some(BTreeSet::new());
        for (topic, payload) in &self.retained {
            hear(&mut self.heard, &mut self.devices, topic, payload);
        }
        if self.connected {
            self.announcements.born(|_| false);
            self.carry_out();
            self.announcements.born_and_ready();
            self.carry_out();
        }
    }

    pub(super) fn component(&self, id: u32, key: &str) -> Value {
        let document = self.retained.get(&topic(id)).map(String::as_str).unwrap_or_default();
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        document["cmps"][key].clone()
    }
}

/// Seen on a real one: it ignores the end of a device that it did not hear of since its start.
pub(super) fn hear(heard: &mut Option<BTreeSet<String>>, devices: &mut BTreeSet<String>, topic: &str, payload: &str) {
    let Some(heard) = heard else { return };
    if !payload.is_empty() {
        heard.insert(topic.to_owned());
        devices.insert(topic.to_owned());
    } else if heard.remove(topic) {
        devices.remove(topic);
    }
}

pub(super) fn announcer() -> Announcer {
    announcer_at("ha")
}

pub(super) fn announcer_at(prefix: &str) -> Announcer {
    let config = HomeAssistant {
        enabled: true,
        discovery_prefix: prefix.to_owned(),
        status_topic: "ha/status".to_owned(),
        status_payload: "online".to_owned(),
        version: (2025, 12),
    };
    let of = |what: &str| format!("mbushat/bridge/{what}");
    let topics = AgentTopics {
        state: of("state"),
        info: of("info"),
        event: of("event"),
        scan: of("request/scan"),
        scanned: of("scan"),
        restart: of("request/restart"),
        log_level: of("request/log_level"),
        power: of("request/power"),
    };
    Announcer::new(&config, "mbushat", topics, Some("http://pi.local:6287".to_owned()))
}

pub(super) fn configured(names: &[&str]) -> BTreeMap<String, Configured> {
    let of = |name: &&str| {
        let topic = |what: &str| format!("mbushat/{name}/{what}");
        let (state_topic, availability_topic, read_topic) = (topic("state"), topic("availability"), topic("read"));
        let configured = Configured {
            title: None,
            area: None,
            state_topic,
            availability_topic,
            read_topic,
            place: format!("hat/{name}"),
            enabled: true,
            readout_of: None,
            keep_entities: false,
        };
        ((*name).to_owned(), configured)
    };
    names.iter().map(of).collect()
}

pub(super) fn identity(id: u32) -> SecondaryAddress {
    SecondaryAddress::parse(&format!("{id:08X}KAM1D03")).expect("an address")
}

pub(super) fn topic(id: u32) -> String {
    format!("ha/device/mbushat/mbushat_{id:08X}_KAM_1d_03/config")
}

pub(super) fn removed() -> Value {
    serde_json::json!({ "p": "sensor" })
}
