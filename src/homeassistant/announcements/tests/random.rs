//! Whatever is configured, read, exchanged, restarted and lost in whatever order: no two documents have one
//! entity, nothing foreign is touched, and in the end there is what is configured.

use super::*;

const NAMES: [&str; 3] = ["gas", "heat", "water"];
const IDS: [u32; 4] = [0x11, 0x22, 0x33, 0x44];
const KEYS: [&str; 3] = ["volume", "volume_2", "volume_3"];
const RULES: [&str; 2] = [NONE, "{\"rules\":[]}"];

/// Documents that are not this agent's: another agent's, and another program's.
const FOREIGN: [(&str, &str); 2] = [
    (
        "ha/device/house7_00000011_KAM_1d_03/config",
        r#"{"dev":{"ids":["house7_00000011_KAM_1d_03"],"via_device":"house7_bridge"},"o":{"name":"mbushat"},"stat_t":"house7/gas/state","cmps":{"volume":{"p":"sensor","uniq_id":"x"}}}"#,
    ),
    (
        "ha/device/0x00158d/config",
        r#"{"dev":{"ids":["mbushat_bridge"]},"o":{"name":"zigbee2mqtt"},"cmps":{"volume":{"p":"sensor","uniq_id":"y"}}}"#,
    ),
];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn some<'a>(&mut self, of: &[&'a str]) -> Vec<&'a str> {
        of.iter().copied().filter(|_| self.below(3) > 0).collect()
    }
}

/// A house: which names are configured, which meter answers at the place of each, by which rules it is read.
struct House {
    bench: Bench,
    names: Vec<&'static str>,
    at: BTreeMap<String, u32>,
    rules: BTreeMap<&'static str, &'static str>,
}

impl House {
    fn new() -> Self {
        let mut bench = Bench::new(&NAMES);
        let foreign = FOREIGN.map(|(topic, payload)| (topic.to_owned(), payload.to_owned()));
        bench.retained.extend(foreign);
        let at = NAMES.into_iter().map(str::to_owned).zip(IDS).collect();
        let rules = NAMES.into_iter().map(|name| (name, NONE)).collect();
        Self { bench, names: NAMES.to_vec(), at, rules }
    }

    /// Does one thing at random; its name.
    fn step(&mut self, random: &mut Random, store_may_be_lost: bool) -> String {
        let name = NAMES[random.below(NAMES.len())];
        match random.below(15) {
            0 => {
                self.names = random.some(&NAMES);
                self.bench.configure(&self.names);
                format!("configure {:?}", self.names)
            }
            1 => {
                self.at.insert(name.to_owned(), IDS[random.below(IDS.len())]);
                format!("{:x} at {name}", self.at[name])
            }
            2 => {
                self.rules.insert(name, RULES[random.below(RULES.len())]);
                format!("rules of {name}")
            }
            3 => {
                if store_may_be_lost && random.below(2) == 0 {
                    self.bench.memos.clear();
                }
                self.names = random.some(&NAMES);
                self.bench.restart(&self.names);
                format!("restart {:?}", self.names)
            }
            4 => {
                self.bench.connected = false;
                "disconnect".to_owned()
            }
            5 | 6 => {
                self.bench.connect();
                "connect".to_owned()
            }
            7 => {
                self.bench.heard = None;
                "home assistant stops".to_owned()
            }
            8 => {
                self.bench.birth();
                "birth".to_owned()
            }
            9 => {
                let other = NAMES[random.below(NAMES.len())];
                if !self.bench.readouts.is_empty() {
                    return "two readouts of one meter stay where it is".to_owned();
                }
                let [one, two] = [name, other].map(|name| format!("hat/{}", self.place(name)));
                self.bench.places.extend([(name.to_owned(), two), (other.to_owned(), one)]);
                self.bench.configure(&self.names);
                format!("{name} and {other} change places")
            }
            10 => {
                if !self.bench.disabled.remove(name) {
                    self.bench.disabled.insert(name.to_owned());
                }
                self.bench.configure(&self.names);
                format!("disabled are {:?}", self.bench.disabled)
            }
            11 => {
                let two = self.bench.readouts.remove("water").is_none();
                if two {
                    self.bench.readouts.insert("water".to_owned(), "gas".to_owned());
                }
                let place = self.bench.places.get("gas").cloned().unwrap_or_else(|| "hat/gas".to_owned());
                self.bench.places.insert("water".to_owned(), if two { place } else { "hat/water".to_owned() });
                self.bench.configure(&self.names);
                format!("water is another readout of gas: {two}")
            }
            _ => {
                let keys = random.some(&KEYS);
                self.read(name, &keys);
                format!("read {name}, {keys:?}")
            }
        }
    }

    fn read(&mut self, name: &str, keys: &[&str]) {
        if !self.names.contains(&name) || self.bench.disabled.contains(name) {
            return;
        }
        let id = self.at[self.place(name)];
        self.bench.read(name, id, self.rules[name], keys);
        // no other device sees its values
        let state = format!("mbushat/{name}/state");
        for (topic, (document, retain, _)) in &self.bench.outbox {
            if *retain && document.contains(&format!(r#""stat_t":"{state}""#)) {
                let ours = topic.contains(&format!("{id:08X}")) || topic.contains(&format!("mbushat_{name}_"));
                assert!(ours, "{topic} sees the values of {id:08X}");
            }
        }
    }

    /// Where the meter of this name is.
    fn place<'a>(&'a self, name: &'a str) -> &'a str {
        self.bench.places.get(name).map_or(name, |place| place.trim_start_matches("hat/"))
    }

    /// Everything is connected and read, and Home Assistant was started.
    fn quiet(&mut self) {
        self.bench.disabled.clear();
        self.bench.configure(&self.names);
        self.bench.connect();
        for _ in 0..3 {
            self.names.clone().into_iter().for_each(|name| self.read(name, &KEYS));
        }
        self.bench.birth();
    }

    /// No two documents that the agent publishes, and no two that the broker has, share an entity.
    fn entities_are_unique(&self) {
        let wanted = self.bench.outbox.values().filter(|(payload, retain, _)| *retain && !payload.is_empty());
        unique(wanted.map(|(payload, ..)| payload.as_str()));
        unique(self.bench.retained.values().map(String::as_str));
    }

    fn ends_as_configured(&self) {
        let ours = |topic: &&String| topic.contains("/mbushat_") && !topic.contains("bridge");
        let documents = self.bench.retained.iter().filter(|(topic, _)| ours(topic));
        let mut names: Vec<String> = documents.map(|(_, payload)| state_of(payload)).collect();
        names.sort();
        let expected: Vec<String> = self.names.iter().map(|name| format!("mbushat/{name}/state")).collect();
        assert_eq!(names, expected);
        for (topic, payload) in FOREIGN {
            assert_eq!(self.bench.retained.get(topic).map(String::as_str), Some(payload), "foreign");
        }
        let mut memos: Vec<&str> =
            self.bench.memos.keys().filter(|(memo, _)| *memo == Memo::Announcement).map(|(_, n)| n.as_str()).collect();
        memos.retain(|name| *name != "bridge");
        assert_eq!(memos, self.names, "what is remembered");
    }

    fn home_assistant_has_these_devices_alone(&self) {
        let retained: BTreeSet<String> = self.bench.retained.keys().cloned().collect();
        assert_eq!(self.bench.devices, retained);
        assert!(!self.bench.memos.keys().any(|(memo, _)| *memo == Memo::Farewell), "nothing is left to say");
    }
}

/// Documents are large and looked at often: as text.
fn unique<'a>(documents: impl Iterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    for id in documents.flat_map(|document| document.split(r#""uniq_id":""#).skip(1)) {
        let id = id.split('"').next().expect("an id");
        assert!(seen.insert(id), "{id} twice");
    }
}

fn state_of(document: &str) -> String {
    let document: Value = serde_json::from_str(document).expect("JSON");
    document["stat_t"].as_str().expect("a state topic").to_owned()
}

fn houses(store_may_be_lost: bool) {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut house = House::new();
        let mut log = Vec::new();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..40 {
                log.push(house.step(&mut random, store_may_be_lost));
                house.entities_are_unique();
            }
            house.quiet();
            house.entities_are_unique();
            house.ends_as_configured();
            if !store_may_be_lost {
                house.home_assistant_has_these_devices_alone();
            }
        }));
        assert!(outcome.is_ok(), "seed {seed} after {}", log.join("; "));
    }
}

#[test]
fn in_the_end_there_is_what_is_configured() {
    houses(false);
}

#[test]
fn in_the_end_there_is_what_is_configured_though_the_store_was_lost() {
    houses(true);
}
