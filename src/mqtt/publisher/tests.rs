//! What Home Assistant gets over restarts of the agent, by a publisher without a broker.

mod arrival;
mod disabled;
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
fn another_meter_after_a_restart_is_another_device_with_entity_ids_of_its_own() {
    for store_is_lost in [false, true] {
        let place = Place::new(if store_is_lost { "swap-lost" } else { "swap" });
        let config = format!("{HAT}{GAS}");
        let mut before = place.start(&config);
        read(&mut before, "gas", 0x1001, BOTH);
        let old = document(&before, Class::Announcement, &topic(0x1001)).to_string();
        stop(before);
        if store_is_lost {
            place.lose_the_store();
        }
        let mut after = place.start(&config);
        if store_is_lost {
            after.found(&topic(0x1001), old.as_bytes());
        }
        read(&mut after, "gas", 0x2002, BOTH);
        let sent = published(&mut after);
        let place_of = |wanted: &dyn Fn(&str, &str) -> bool| sent.iter().rposition(|(t, payload)| wanted(t, payload));
        let taken_back = place_of(&|t, payload| t == topic(0x1001) && payload.is_empty()).expect("it is taken back");
        let is_value = |t: &str, payload: &str| t == "mbushat/gas/state" && payload.contains("12.345");
        assert!(taken_back < place_of(&is_value).expect("published"), "before it could take the new meter's values");
        let from_then_on = sent.get(taken_back..).expect("the rest");
        assert!(!from_then_on.iter().any(|(t, payload)| t == "mbushat/gas/state" && payload.contains("null")));
        assert_eq!(component(&after, 0x2002, "volume")["def_ent_id"], "sensor.gas_volume_00002002");
        let replaced = sent.iter().any(|(_, text)| text.starts_with(r#"{"event":"meter_replaced","meter":"gas""#));
        assert_eq!(replaced, !store_is_lost, "whom it replaces only the store knows");
        let fell = sent.iter().any(|(_, text)| text.contains(r#""event":"counter_fell""#));
        assert!(!fell, "another meter's total is not a fall");
        stop(after);
        // and remains one
        let mut again = place.start(&config);
        read(&mut again, "gas", 0x2002, BOTH);
        assert_eq!(component(&again, 0x2002, "volume")["def_ent_id"], "sensor.gas_volume_00002002");
    }
}

#[test]
fn a_renamed_meter_keeps_its_device_though_the_broker_shows_the_old_name_late() {
    for store_is_lost in [false, true] {
        let place = Place::new(if store_is_lost { "name-lost" } else { "name" });
        let mut before = place.start(&format!("{HAT}{GAS}"));
        read(&mut before, "gas", 0x1001, BOTH);
        let old = document(&before, Class::Announcement, &topic(0x1001)).to_string();
        stop(before);
        if store_is_lost {
            place.lose_the_store();
        }
        let mut after = place.start(&format!("{HAT}{}", GAS.replace("\"gas\"", "\"cellar\"")));
        let cleared = (topic(0x1001), String::new());
        assert!(!published(&mut after).contains(&cleared), "it may be the one with a new name");
        read(&mut after, "cellar", 0x1001, VOLUME);
        assert!(store_is_lost || component(&after, 0x1001, "volume_flow")["uniq_id"].is_string());
        after.found(&topic(0x1001), old.as_bytes());
        let now = document(&after, Class::Announcement, &topic(0x1001));
        assert_eq!(now["stat_t"], "mbushat/cellar/state", "store lost: {store_is_lost}");
        assert!(now["cmps"]["volume_flow"].is_object(), "the device is as whole as before");
        let sent = published(&mut after);
        assert!(!sent.contains(&cleared), "store lost: {store_is_lost}");
        for gone in ["mbushat/gas/state", "mbushat/gas/availability"] {
            assert!(sent.contains(&(gone.to_owned(), String::new())), "{gone}, store lost: {store_is_lost}");
        }
    }
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

#[test]
fn a_reading_carries_its_telegrams_where_its_table_asks_for_them() {
    for (raw, at_end) in [("", false), ("raw = true\n", true)] {
        let place = Place::new("raw");
        let mut publisher = place.start(&format!("{HAT}{GAS}{raw}"));
        read(&mut publisher, "gas", 1, VOLUME);
        let reading = published(&mut publisher).into_iter().find(|(topic, _)| topic == "mbushat/gas/reading");
        let reading: Value = serde_json::from_str(&reading.expect("a reading").1).expect("JSON");
        let telegrams = reading.get("telegrams").and_then(Value::as_array);
        let whole = telegrams.and_then(|all| all.first()?.as_str()).unwrap_or_default();
        assert_eq!((whole.starts_with("6815156808057201000000"), whole.ends_with("16")), (at_end, at_end), "{reading}");
        stop(publisher);
    }
}

#[test]
fn a_meter_whose_values_have_no_names_is_announced_and_says_what_to_do() {
    let place = Place::new("unnamed");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 1, "04 FF 07 10 27 00 00 01 FF 08 01");
    let shown = component(&publisher, 1, "unnamed-values");
    assert_eq!(shown["val_tpl"], "2: mbushat profiles unknown gas");
    assert_eq!((&shown["p"], &shown["ent_cat"]), (&json!("sensor"), &json!("diagnostic")));
    assert_eq!(shown["uniq_id"], "mbushat_00000001_KAM_1d_03_unnamed-values");
    assert_eq!(component(&publisher, 1, "last-read")["p"], "sensor");
    stop(publisher);

    // a rule that names one of them makes it one less, and none takes the entity away
    let rule = |vif: &str| format!("[[meter.record]]\ndif = \"04\"\nvif = \"{vif}\"\nkey = \"named\"\n");
    let mut publisher = place.start(&format!("{HAT}{GAS}{}", rule("FF07")));
    read(&mut publisher, "gas", 1, "04 FF 07 10 27 00 00 01 FF 08 01");
    assert_eq!(component(&publisher, 1, "unnamed-values")["val_tpl"], "1: mbushat profiles unknown gas");
    let hide = "[[meter.record]]\nquantity = \"manufacturer_specific\"\nhide = true\n";
    publisher.reconfigure(place.config(&format!("{HAT}{GAS}{}{hide}", rule("FF07"))));
    read(&mut publisher, "gas", 1, "04 FF 07 10 27 00 00 01 FF 08 01");
    assert_eq!(component(&publisher, 1, "unnamed-values"), json!({ "p": "sensor" }));
    assert_eq!(component(&publisher, 1, "named")["p"], "sensor");
    stop(publisher);
}

#[test]
fn the_labels_of_a_meter_are_in_its_readings_and_its_area_in_its_device() {
    let place = Place::new("labels");
    let mut publisher = place.start(&format!("{HAT}{GAS}labels = {{ tenant = \"17\", flat = \"3 left\" }}\n"));
    read(&mut publisher, "gas", 1, VOLUME);
    let reading = published(&mut publisher).into_iter().find(|(topic, _)| topic == "mbushat/gas/reading");
    let reading = reading.expect("a reading").1;
    assert!(reading.contains(r#""status":[]},"labels":{"flat":"3 left","tenant":"17"},"measurements""#), "{reading}");
    assert_eq!(document(&publisher, Class::Announcement, &topic(1))["dev"].get("sa"), None);
    publisher.reconfigure(place.config(&format!("{HAT}{GAS}area = \"Cellar\"\n")));
    assert_eq!(document(&publisher, Class::Announcement, &topic(1))["dev"]["sa"], "Cellar");
    stop(publisher);
}

#[test]
fn another_identity_is_believed_the_second_time_in_a_row() {
    let place = Place::new("stranger");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    let mut answers = |ids: &[u32]| -> Vec<&'static str> {
        let outcome = |id: &u32| match publisher.readout(answer("gas", *id, BOTH), None) {
            Outcome::Taken(_) => "taken",
            Outcome::ReadAgain => "read again",
            Outcome::Failed(_) => "failed",
        };
        ids.iter().map(outcome).collect()
    };
    assert_eq!(answers(&[0x1003, 0x1001, 0x1003, 0x1001]), ["read again", "taken", "read again", "taken"]);
    assert_eq!(answers(&[0x1003, 0x1005, 0x1001]), ["read again", "failed", "taken"], "it does not go on forever");
    assert_eq!(answers(&[0x1003, 0x1003, 0x1003]), ["read again", "taken", "taken"]);
    assert!(document(&publisher, Class::Announcement, &topic(0x1003)).is_object());
}

#[test]
fn an_electricity_meter_gets_a_battery_when_it_says_that_its_power_is_low() {
    let place = Place::new("low-power");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    let topic = "homeassistant/device/mbushat/mbushat_00000001_KAM_1d_02/config";
    for (status, has) in [(0x00_u8, false), (0x08, false), (0x04, true), (0x00, true)] {
        let mut readout = answer("gas", 1, VOLUME);
        let frame = &mut readout.frames.as_mut().expect("telegrams")[0];
        (frame[14], frame[16]) = (0x02, status);
        let end = frame.len() - 2;
        frame[end] = frame[4..end].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        assert!(matches!(publisher.readout(readout, None), Outcome::Taken(_)), "{status:02x}");
        let battery = &document(&publisher, Class::Announcement, topic)["cmps"]["battery-status"];
        assert_eq!(battery["dev_cla"] == "battery", has, "{status:02x}: {battery}");
    }
}
