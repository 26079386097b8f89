//! The announcements against an imagined broker, store and Home Assistant.

mod random;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Announcements, Change, Configured, MISSES};
use crate::config::HomeAssistant;
use crate::homeassistant::discovery::{AgentTopics, Announcer};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::{Known, Quantity};
use crate::measure::{Measured, Measurement, sample};
use crate::spool::Memo;

/// Rules of a meter that has none.
const NONE: &str = "{}";

/// The agent's machine, what its store, its outbox and the broker hold, and a Home Assistant.
struct Bench {
    announcements: Announcements,
    memos: BTreeMap<(Memo, String), String>,
    /// What the outbox holds: payload, whether retained, whether the broker lacks it.
    outbox: BTreeMap<String, (String, bool, bool)>,
    connected: bool,
    retained: BTreeMap<String, String>,
    /// What Home Assistant heard of since it started; `None`: it is off.
    heard: Option<BTreeSet<String>>,
    /// Its devices, by topic.
    devices: BTreeSet<String>,
    other: Vec<Change>,
}

impl Bench {
    fn new(names: &[&str]) -> Self {
        let mut bench = Self {
            announcements: Announcements::default(),
            memos: BTreeMap::new(),
            outbox: BTreeMap::new(),
            connected: true,
            retained: BTreeMap::new(),
            heard: Some(BTreeSet::new()),
            devices: BTreeSet::new(),
            other: Vec::new(),
        };
        bench.restart(names);
        bench
    }

    fn restart(&mut self, names: &[&str]) {
        let memos = self.memos.iter().map(|((memo, name), text)| (*memo, name.as_str(), text.as_str()));
        self.announcements = Announcements::restore(Some(announcer()), &configured(names), memos);
        self.outbox.clear();
        self.configure(names);
        if self.connected {
            self.connect();
        }
    }

    fn configure(&mut self, names: &[&str]) {
        self.announcements.configure(Some(announcer()), &[], configured(names));
        self.carry_out();
    }

    fn read(&mut self, name: &str, id: u32, rules: &str, keys: &[&str]) {
        let measurements: Vec<Measurement> = keys.iter().map(|key| sample::number(key, Known::Volume, "1")).collect();
        self.read_values(name, id, rules, &measurements);
    }

    fn read_values(&mut self, name: &str, id: u32, rules: &str, measurements: &[Measurement]) {
        self.announcements.answered(name, Some(identity(id)), rules);
        self.announcements.read(name, measurements);
        self.announcements.tried(name);
        self.carry_out();
    }

    fn carry_out(&mut self) {
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
    fn connect(&mut self) {
        self.connected = true;
        self.outbox.values_mut().for_each(|(_, _, dirty)| *dirty = true);
        for (topic, payload) in self.retained.clone() {
            self.announcements.found(&topic, payload.as_bytes());
        }
        self.carry_out();
    }

    fn deliver(&mut self) {
        if !self.connected {
            return;
        }
        for (topic, (payload, retain, dirty)) in &mut self.outbox {
            if std::mem::take(dirty) {
                match (payload.is_empty(), *retain) {
                    (true, _) => _ = self.retained.remove(topic),
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
    fn birth(&mut self) {
        self.heard = Some(BTreeSet::new());
        for (topic, payload) in &self.retained {
            hear(&mut self.heard, &mut self.devices, topic, payload);
        }
        if self.connected {
            self.announcements.born();
            self.carry_out();
            self.announcements.born_and_ready();
            self.carry_out();
        }
    }

    fn component(&self, id: u32, key: &str) -> Value {
        let document = self.retained.get(&topic(id)).map(String::as_str).unwrap_or_default();
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        document["cmps"][key].clone()
    }
}

/// Seen on a real one: it ignores the end of a device that it did not hear of since its start.
fn hear(heard: &mut Option<BTreeSet<String>>, devices: &mut BTreeSet<String>, topic: &str, payload: &str) {
    let Some(heard) = heard else { return };
    if !payload.is_empty() {
        heard.insert(topic.to_owned());
        devices.insert(topic.to_owned());
    } else if heard.remove(topic) {
        devices.remove(topic);
    }
}

fn announcer() -> Announcer {
    let config = HomeAssistant {
        enabled: true,
        discovery_prefix: "ha".to_owned(),
        status_topic: "ha/status".to_owned(),
        status_payload: "online".to_owned(),
        version: (2025, 12),
    };
    let of = |what: &str| format!("mbushat/bridge/{what}");
    let topics = AgentTopics {
        state: of("state"),
        info: of("info"),
        scan: of("request/scan"),
        scanned: of("response/scan"),
        power: of("request/power"),
    };
    Announcer::new(&config, "mbushat", topics)
}

fn configured(names: &[&str]) -> BTreeMap<String, Configured> {
    let of = |name: &&str| {
        let topic = |what: &str| format!("mbushat/{name}/{what}");
        let (state_topic, availability_topic, read_topic) = (topic("state"), topic("availability"), topic("read"));
        ((*name).to_owned(), Configured { title: None, state_topic, availability_topic, read_topic })
    };
    names.iter().map(of).collect()
}

fn identity(id: u32) -> SecondaryAddress {
    SecondaryAddress::parse(&format!("{id:08X}KAM1D03")).expect("an address")
}

fn topic(id: u32) -> String {
    format!("ha/device/mbushat_{id:08X}_KAM_1d_03/config")
}

fn removed() -> Value {
    serde_json::json!({ "p": "sensor" })
}

#[test]
fn another_identity_is_another_meter_and_other_rules_are_named() {
    let mut bench = Bench::new(&["gas"]);
    let mut answered = |id: Option<u32>, rules: &str| {
        let answered = bench.announcements.answered("gas", id.map(identity), rules);
        (answered.former, answered.other_rules)
    };
    assert_eq!(answered(Some(0x11), NONE), (None, false));
    assert_eq!(answered(None, NONE), (None, false), "a short header says nothing");
    assert_eq!(answered(Some(0x11), NONE), (None, false));
    assert_eq!(answered(Some(0x22), NONE), (Some(identity(0x11)), false));
    assert_eq!(answered(Some(0x22), "{\"rules\":[]}"), (None, true));
    assert_eq!(answered(Some(0x22), "{\"rules\":[]}"), (None, false));
}

#[test]
fn what_other_rules_no_longer_give_goes_at_the_first_readout_and_nothing_else_does() {
    for restart in [false, true] {
        for (rules, is_gone) in [(NONE, false), ("{\"rules\":[]}", true)] {
            let mut bench = Bench::new(&["gas"]);
            bench.read("gas", 0x11, NONE, &["volume", "volume_2"]);
            if restart {
                bench.restart(&["gas"]);
            } else {
                bench.configure(&["gas"]);
            }
            bench.read("gas", 0x11, rules, &["volume"]);
            assert_eq!(bench.component(0x11, "volume_2") == removed(), is_gone, "restart: {restart}, {rules}");
            bench.read("gas", 0x11, rules, &["volume"]);
            assert_eq!(bench.component(0x11, "volume_2") == removed(), is_gone, "restart: {restart}, {rules}");
        }
    }
}

#[test]
fn a_document_is_made_once_and_again_only_when_it_may_say_something_new() {
    let mut bench = Bench::new(&["gas"]);
    let documents = |bench: &mut Bench, value: &str, digits: u8| {
        let mut volume = sample::number("volume", Known::Volume, value);
        volume.digits = Some(digits);
        bench.announcements.answered("gas", Some(identity(0x11)), NONE);
        bench.announcements.read("gas", &[volume]);
        let changes = bench.announcements.changes();
        changes.iter().filter(|change| matches!(change, Change::Document { .. })).count()
    };
    assert_eq!(documents(&mut bench, "1.5", 1), 1);
    for value in ["1.6", "99.1", "0"] {
        assert_eq!(documents(&mut bench, value, 1), 0, "{value}");
    }
    assert_eq!(documents(&mut bench, "1.55", 2), 1, "finer steps");
    assert_eq!(documents(&mut bench, "1.5", 1), 0, "coarse ones tell nothing new");
    assert_eq!(documents(&mut bench, "-1", 1), 1);
    assert_eq!(documents(&mut bench, "-2", 1) + documents(&mut bench, "3", 1), 0);
}

#[test]
fn what_is_shown_does_not_go_to_and_fro_with_the_values() {
    let mut bench = Bench::new(&["gas"]);
    let mut shown = |measurement: Measurement| {
        bench.read_values("gas", 0x11, NONE, std::slice::from_ref(&measurement));
        bench.component(0x11, &measurement.key)
    };
    let time = |value: Measured| Measurement {
        value,
        quantity: Quantity::Known(Known::DateTime),
        ..sample::number("date_time", Known::DateTime, "1")
    };
    let text = |text: &str| time(Measured::Text(text.to_owned()));
    let valid = shown(text("2026-07-15T10:00"));
    assert_eq!(valid["dev_cla"], "timestamp");
    assert_eq!(shown(time(Measured::Invalid)), valid);
    assert_eq!(shown(text("2026-07-15T10:01")), valid);
    assert_eq!(shown(text("2026-07-15"))["dev_cla"], "date", "a text of another form");
    let energy = |value| sample::number("energy", Known::Energy, value);
    let states = ["5", "-5", "6"].map(|value| shown(energy(value))["stat_cla"].clone());
    assert_eq!(states, ["total_increasing", "total", "total"]);
    let flow = |digits| Measurement { digits: Some(digits), ..sample::number("volume", Known::Volume, "1") };
    let precisions = [1, 3, 1].map(|digits| shown(flow(digits))["sug_dsp_prc"].clone());
    assert_eq!(precisions, [1, 3, 3]);
}

#[test]
fn a_value_that_misses_too_often_goes_and_comes_back() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume", "volume_2"]);
    for n in 1..=MISSES {
        assert!(bench.component(0x11, "volume_2")["uniq_id"].is_string(), "before it was missing {n} times");
        bench.read("gas", 0x11, NONE, &["volume"]);
    }
    assert_eq!(bench.component(0x11, "volume_2"), removed());
    bench.read("gas", 0x11, NONE, &["volume", "volume_2"]);
    assert!(bench.component(0x11, "volume_2")["uniq_id"].is_string());
}

#[test]
fn a_device_that_may_belong_to_a_renamed_meter_gets_no_farewell_before_that_is_clear() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    let document = bench.retained[&topic(0x11)].clone();
    bench.configure(&[]);
    assert!(!bench.devices.contains(&topic(0x11)) && !bench.retained.contains_key(&topic(0x11)));
    // an old broker comes back with it, and a meter that was not read yet may be it
    bench.configure(&["cellar"]);
    bench.announcements.found(&topic(0x11), document.as_bytes());
    bench.announcements.born();
    let shown = |change: &Change| matches!(change, Change::Document { topic: t, .. } if *t == topic(0x11));
    assert!(!bench.announcements.changes().iter().any(shown));
    bench.read("cellar", 0x22, NONE, &["volume"]);
    bench.announcements.born();
    assert!(bench.announcements.changes().iter().any(shown), "it is another one");
}

#[test]
fn nothing_is_announced_and_everything_taken_back_without_an_announcer() {
    for restart in [false, true] {
        let mut bench = Bench::new(&["gas"]);
        bench.read("gas", 0x11, NONE, &["volume"]);
        assert_eq!(bench.retained.len(), 2, "the meter and the agent");
        let meters = configured(&["gas"]);
        if restart {
            let memos = bench.memos.clone();
            let memos = memos.iter().map(|((memo, name), text)| (*memo, name.as_str(), text.as_str()));
            bench.announcements = Announcements::restore(None, &meters, memos);
            bench.outbox.clear();
        }
        bench.announcements.configure(None, &[], meters);
        bench.carry_out();
        bench.read("gas", 0x11, NONE, &["volume"]);
        assert!(bench.retained.is_empty(), "restart: {restart}");
        assert!(!bench.memos.keys().any(|(memo, _)| *memo == Memo::Announcement));
        // and switched on again
        bench.configure(&["gas"]);
        bench.read("gas", 0x11, NONE, &["volume"]);
        assert_eq!(bench.retained.len(), 2, "restart: {restart}");
        assert!(bench.memos.contains_key(&(Memo::Announcement, "gas".to_owned())));
    }
}
