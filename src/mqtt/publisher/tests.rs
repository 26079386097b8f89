//! What Home Assistant gets over restarts of the agent, by a publisher without a broker.

mod arrival;
mod besides;
mod disabled;
mod identities;
mod kept;
mod moving;
mod names;
mod plausible;
mod random;
mod reload;
mod removed;
mod rules;
mod said;
mod transition;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::super::link::Publish;
use super::super::outbox::{Class, Next};
use super::delivery::Offer;
use super::{Outcome, Publisher};
use crate::bus::MeterReadout;
use crate::config::{self, Config};
use crate::homeassistant::announcements::MISSES;
use crate::mbus::address::{MeterAddress, PrimaryAddress};
use crate::spool::Spool;

const HAT: &str = "[[bus]]\nname = \"hat\"\nport = \"sim:a\"\n";
const GAS: &str = "[[meter]]\nname = \"gas\"\nbus = \"hat\"\naddress = 5\n";
/// Volume, flow.
const BOTH: &str = "0C 13 45 23 01 00 02 3B 10 00";
const VOLUME: &str = "0C 13 45 23 01 00";

/// A folder with a configuration and a store.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mbushat-publisher-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn config(&self, buses_and_meters: &str) -> Config {
        let store = self.0.join("store");
        let file = self.0.join("mbushat.toml");
        fs::write(&file, format!("[store]\ndirectory = {store:?}\n{buses_and_meters}")).expect("written");
        config::load(&file).unwrap_or_else(|error| panic!("{error}"))
    }

    fn start(&self, buses_and_meters: &str) -> Publisher {
        let config = self.config(buses_and_meters);
        let spool = Spool::open(&config.store, Instant::now()).expect("it is not in use");
        Publisher::new(config, spool, Instant::now())
    }

    fn lose_the_store(&self) {
        fs::remove_dir_all(self.0.join("store")).expect("it was there");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn stop(publisher: Publisher) {
    publisher.spool.close(Instant::now());
}

/// A gas meter with this number answers under this name.
fn read(publisher: &mut Publisher, meter: &str, id: u32, records: &str) {
    let known = &publisher.meters[meter].meter;
    let readout = MeterReadout { place: (known.bus, known.address), ..answer(meter, id, records) };
    // a total that fell is believed when it is read again
    let taken = (0..2).any(|_| matches!(publisher.readout(readout.clone(), None), Outcome::Taken(_)));
    assert!(taken, "{readout:?}");
}

/// What it answers, at address 5.
fn answer(meter: &str, id: u32, records: &str) -> MeterReadout {
    let [a, b, c, d] = id.to_le_bytes();
    let mut body = vec![0x08, 0x05, 0x72, a, b, c, d, 0x2D, 0x2C, 0x1D, 0x03, 1, 0, 0, 0];
    body.extend(records.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")));
    let length = u8::try_from(body.len()).expect("one frame");
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let frame = [&[0x68, length, length, 0x68][..], &body, &[sum, 0x16]].concat();
    let (meter, frames) = (meter.to_owned(), Ok(vec![frame]));
    let place = at(5);
    MeterReadout { meter, place, due_at: None, read_at: SystemTime::now(), frames }
}

/// At this address of the one bus.
fn at(address: u8) -> (usize, MeterAddress) {
    (0, MeterAddress::Primary(PrimaryAddress::new(address).expect("an address")))
}

fn topic(id: u32) -> String {
    format!("homeassistant/device/mbushat/mbushat_{id:08X}_KAM_1d_03/config")
}

/// What is to stand on a topic, perhaps once something else has arrived; null for nothing.
fn document(publisher: &Publisher, class: Class, topic: &str) -> Value {
    let pending = publisher.meters.values().find_map(|known| known.transition.as_ref()?.pending(topic));
    let pending = pending.filter(|_| class == Class::Announcement);
    let payload = pending.map(str::as_bytes).or(publisher.outbox.get(class, topic)).unwrap_or_default();
    serde_json::from_slice(payload).unwrap_or_default()
}

fn component(publisher: &Publisher, id: u32, key: &str) -> Value {
    document(publisher, Class::Announcement, &topic(id))["cmps"][key].clone()
}

/// Everything that a broker would get on a new connection, acknowledged at once: topic and payload.
fn published(publisher: &mut Publisher) -> Vec<(String, String)> {
    publisher.up();
    let sent = go_on(publisher);
    sent.into_iter().map(|message| (message.topic, text(message.payload))).collect()
}

/// Everything that the broker gets until nothing is left to wait for.
fn go_on(publisher: &mut Publisher) -> Vec<Publish> {
    let mut sent = Vec::new();
    while let Some(wake) = next_wake(publisher, &mut sent) {
        publisher.now = wake;
    }
    sent
}

/// Lets the broker acknowledge what it gets, until only time can bring more: when.
fn next_wake(publisher: &mut Publisher, sent: &mut Vec<Publish>) -> Option<Instant> {
    loop {
        publisher.advance();
        let new = messages(publisher, publisher.now);
        if new.is_empty() {
            return publisher.wake_at();
        }
        sent.extend(new);
    }
}

fn text(payload: Vec<u8>) -> String {
    String::from_utf8(payload).expect("text")
}

/// Everything that a broker would get now, acknowledged at once.
fn messages(publisher: &mut Publisher, now: Instant) -> Vec<Publish> {
    let mut all = Vec::new();
    loop {
        let message = match publisher.outbox.next(now) {
            Next::Publish(message) => message,
            Next::Subscribe => continue,
            Next::Birth(step) => {
                publisher.born(step);
                continue;
            }
            Next::ReadingAfter(seq) => match publisher.reading_after(seq) {
                Offer::Send(message) => message,
                Offer::Held => continue,
                Offer::Nothing => return all,
            },
            Next::ReadingAgain(_) | Next::Wait => return all,
        };
        publisher.outbox.acked(message.id);
        all.push(message);
    }
}

/// What is published on the discovery topic of a meter after a birth message: payload, and whether retained.
fn published_at_birth(publisher: &mut Publisher, id: u32) -> Vec<(String, bool)> {
    let born = Instant::now();
    publisher.outbox.birth(born);
    let mut all = Vec::new();
    for seconds in [2, 7] {
        all.extend(messages(publisher, born + Duration::from_secs(seconds)));
        publisher.forget_gone();
    }
    let own = all.into_iter().filter(|message| message.topic == topic(id));
    own.map(|message| (text(message.payload), message.retain)).collect()
}

#[test]
fn a_component_missing_from_the_first_telegram_after_a_restart_stays() {
    let place = Place::new("missing");
    let config = format!("{HAT}{GAS}");
    let mut before = place.start(&config);
    read(&mut before, "gas", 0x1001, BOTH);
    let flow = component(&before, 0x1001, "volume_flow");
    assert_eq!(flow["uniq_id"], "mbushat_00001001_KAM_1d_03_volume_flow");
    stop(before);
    let mut after = place.start(&config);
    for n in 1..MISSES {
        read(&mut after, "gas", 0x1001, VOLUME);
        assert_eq!(component(&after, 0x1001, "volume_flow"), flow, "missing {n} times");
    }
    read(&mut after, "gas", 0x1001, VOLUME);
    assert_eq!(component(&after, 0x1001, "volume_flow"), json!({ "p": "sensor" }), "missing too often");
    assert_eq!(component(&after, 0x1001, "volume")["dev_cla"], "gas");
    // the broker may still have what stood there before
    let old = json!({ "dev": { "ids": ["x"], "via_device": "mbushat_bridge", "sn": "00001001" }, "o": { "name": "mbushat" },
        "stat_t": "mbushat/gas/state", "cmps": { "volume_flow": flow } });
    after.found(&topic(0x1001), old.to_string().as_bytes());
    read(&mut after, "gas", 0x1001, VOLUME);
    assert_eq!(component(&after, 0x1001, "volume_flow"), json!({ "p": "sensor" }));
    read(&mut after, "gas", 0x1001, BOTH);
    assert_eq!(component(&after, 0x1001, "volume_flow"), flow, "there again");
}

#[test]
fn a_component_that_misses_now_and_then_stays() {
    let place = Place::new("turns");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    for n in 0..5 * u32::from(MISSES) {
        read(&mut publisher, "gas", 0x1001, if n % 7 == 0 { BOTH } else { VOLUME });
        assert!(component(&publisher, 0x1001, "volume_flow")["uniq_id"].is_string(), "readout {n}");
    }
}

#[test]
fn what_a_new_rule_hides_is_gone_at_once() {
    let place = Place::new("rule");
    let mut before = place.start(&format!("{HAT}{GAS}"));
    read(&mut before, "gas", 0x1001, BOTH);
    stop(before);
    let hide = "[[meter.record]]\nquantity = \"volume_flow\"\nhide = true\n";
    let after = place.start(&format!("{HAT}{GAS}{hide}"));
    assert_eq!(component(&after, 0x1001, "volume_flow"), json!({ "p": "sensor" }));
}

#[test]
fn another_title_is_shown_from_the_start() {
    let place = Place::new("title");
    let mut before = place.start(&format!("{HAT}{GAS}"));
    read(&mut before, "gas", 0x1001, BOTH);
    assert_eq!(document(&before, Class::Announcement, &topic(0x1001))["dev"]["name"], "Gas");
    stop(before);
    let after = place.start(&format!("{HAT}{GAS}title = \"Kitchen\"\n"));
    assert_eq!(document(&after, Class::Announcement, &topic(0x1001))["dev"]["name"], "Kitchen");
}

#[test]
fn a_compact_frame_is_read_though_the_full_one_came_before_a_restart() {
    const FULL: &str = "68 18 18 68 08 05 7A 2B 00 00 00 02 FF 20 71 00 04 13 08 19 00 00 44 13 08 19 00 00 F4 16";
    const COMPACT: &str = "68 15 15 68 08 05 7B 2C 00 00 00 34 DD 0E 39 71 00 08 19 00 00 08 19 00 00 BF 16";
    let readout = |publisher: &mut Publisher, frame: &str| {
        let bytes = frame.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect();
        let (meter, read_at, frames) = ("gas".to_owned(), SystemTime::now(), Ok(vec![bytes]));
        publisher.readout(MeterReadout { meter, place: at(5), due_at: None, read_at, frames }, None)
    };
    let place = Place::new("compact");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    assert!(matches!(readout(&mut publisher, COMPACT), Outcome::Failed(error) if error.contains("DD34")));
    assert!(matches!(readout(&mut publisher, FULL), Outcome::Taken(_)));
    assert!(matches!(readout(&mut publisher, COMPACT), Outcome::Taken(_)));
    stop(publisher);
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    assert!(matches!(readout(&mut publisher, COMPACT), Outcome::Taken(_)));
    assert_eq!(document(&publisher, Class::State, "mbushat/gas/state")["volume"], json!(6.408));
}
