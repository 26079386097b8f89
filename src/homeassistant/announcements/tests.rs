//! The announcements against an imagined broker, store and Home Assistant.

mod bench;
mod exchange;
mod hold;
mod random;
mod readouts;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Announcements, Change, MISSES, Of};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::{Known, Quantity};
use crate::measure::{Measured, Measurement, sample};
use crate::spool::Memo;
use bench::{Bench, NONE, announcer, announcer_at, configured, identity, removed, topic};

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
            bench.read("gas", 0x11, rules, &["volume", "volume_3"]);
            assert_eq!(bench.component(0x11, "volume_2") == removed(), is_gone, "restart: {restart}, {rules}");
        }
    }
}

#[test]
fn a_meter_that_once_said_that_its_power_is_low_keeps_its_battery_over_a_restart() {
    let electricity = SecondaryAddress::parse("00000011KAM1D02").expect("an address");
    let mut bench = Bench::new(&["flat"]);
    let has_battery = |bench: &mut Bench, low: bool| {
        bench.announcements.answered("flat", Some(electricity), NONE);
        if low {
            bench.announcements.says_low_power("flat");
        }
        bench.announcements.read("flat", &[sample::number("energy", Known::Energy, "1")], 0);
        bench.carry_out();
        bench.retained.values().any(|document| document.contains(r#""battery-status":{"p":"binary_sensor","uniq_id""#))
    };
    assert!(!has_battery(&mut bench, false), "it feeds itself");
    assert!(has_battery(&mut bench, true));
    assert!(has_battery(&mut bench, false));
    bench.restart(&["flat"]);
    assert!(has_battery(&mut bench, false));
}

#[test]
fn a_document_is_made_once_and_again_only_when_it_may_say_something_new() {
    let mut bench = Bench::new(&["gas"]);
    let documents = |bench: &mut Bench, value: &str, digits: u8| {
        let mut volume = sample::number("volume", Known::Volume, value);
        volume.digits = Some(digits);
        bench.announcements.answered("gas", Some(identity(0x11)), NONE);
        bench.announcements.read("gas", &[volume], 0);
        let changes = bench.announcements.changes();
        changes.iter().filter(|change| matches!(change, Change::Document { .. })).count()
    };
    assert_eq!(documents(&mut bench, "1.5", 1), 1);
    for value in ["1.6", "99.1", "0"] {
        assert_eq!(documents(&mut bench, value, 1), 0, "{value}");
    }
    assert_eq!(documents(&mut bench, "1.55", 2), 1, "finer steps");
    assert_eq!(documents(&mut bench, "1.5", 1), 0, "coarse ones say nothing new");
    assert_eq!(documents(&mut bench, "-1", 1), 1);
    assert_eq!(documents(&mut bench, "-2", 1) + documents(&mut bench, "3", 1), 0);
}

#[test]
fn of_many_meters_that_share_an_id_each_is_announced_once() {
    let names: Vec<String> = (0..200).map(|number| format!("m{number}")).collect();
    let mut bench = Bench::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut documents = |name: &str| {
        bench.announcements.answered(name, Some(identity(0x11)), NONE);
        bench.announcements.read(name, &[sample::number("volume", Known::Volume, "1")], 0);
        let changes = bench.announcements.changes();
        changes.iter().filter(|change| matches!(change, Change::Document { of: Of::Meter { .. }, .. })).count()
    };
    assert_eq!(documents("m0"), 1);
    assert_eq!(documents("m1"), 2, "the first one is known by its name from now on");
    for name in &names[2..] {
        assert_eq!(documents(name), 1, "{name}");
    }
    assert_eq!(names.iter().map(|name| documents(name)).sum::<usize>(), 0);
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
    bench.announcements.born(|_| false);
    let shown = |change: &Change| matches!(change, Change::Document { topic: t, .. } if *t == topic(0x11));
    assert!(!bench.announcements.changes().iter().any(shown));
    bench.read("cellar", 0x22, NONE, &["volume"]);
    bench.announcements.born(|_| false);
    assert!(bench.announcements.changes().iter().any(shown), "it is another one");
}

#[test]
fn meters_exchanged_while_the_store_was_lost_keep_their_devices() {
    let mut bench = Bench::new(&["gas", "heat"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    bench.read("heat", 0x22, NONE, &["volume"]);
    bench.memos.clear();
    bench.restart(&["gas", "heat"]);
    bench.read("heat", 0x11, NONE, &["volume"]);
    bench.read("gas", 0x22, NONE, &["volume"]);
    assert!([0x11, 0x22].iter().all(|id| bench.retained.contains_key(&topic(*id))), "{:?}", bench.retained.keys());
}

#[test]
fn a_renamed_meter_is_remembered_until_it_was_read() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume", "volume_2"]);
    bench.configure(&["cellar"]);
    // and all that the broker kept is lost
    bench.connected = false;
    bench.retained.clear();
    bench.restart(&["cellar"]);
    bench.connect();
    bench.read("cellar", 0x11, NONE, &["volume"]);
    assert!(bench.component(0x11, "volume_2")["uniq_id"].is_string());
}

#[test]
fn another_title_is_shown_after_a_reload() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    let mut meters = configured(&["gas"]);
    meters.values_mut().for_each(|meter| meter.title = Some("Kitchen".to_owned()));
    bench.announcements.configure(Some(announcer()), &[], meters);
    bench.carry_out();
    assert!(bench.retained[&topic(0x11)].contains(r#""name":"Kitchen""#));
}

#[test]
fn a_component_that_only_an_earlier_version_had_goes_with_the_next_document() {
    let mut bench = Bench::new(&["gas"]);
    let old = announcer().farewell(
        "mbushat_x",
        "",
        &BTreeMap::from([("old-one".to_owned(), r#"{"p":"button","uniq_id":"o"}"#.to_owned())]),
    );
    let old = old
        .replace("mbushat/bridge/nowhere", "mbushat/gas/state")
        .replace(r#""ids""#, r#""via_device":"mbushat_bridge","ids""#);
    bench.announcements.found(&topic(0x11), old.as_bytes());
    bench.read("gas", 0x11, NONE, &["volume"]);
    assert_eq!(bench.component(0x11, "old-one"), serde_json::json!({ "p": "button" }));
}

#[test]
fn what_is_being_taken_back_is_not_taken_back_again_when_the_broker_shows_it() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    let document = bench.retained[&topic(0x11)].clone();
    bench.connected = false;
    bench.configure(&[]);
    bench.other.clear();
    bench.announcements.found(&topic(0x11), document.as_bytes());
    assert_eq!(bench.announcements.changes(), []);
    bench.announcements.settle(|_| false);
    assert_eq!(bench.announcements.changes(), [], "it is remembered until the broker has it");
}

#[test]
fn a_meter_removed_while_the_agent_was_off_is_named_and_one_renamed_before_is_not() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    let gas = (Memo::Announcement, "gas".to_owned());
    let memo = bench.memos[&gas].clone();
    bench.connected = false;
    bench.restart(&[]);
    let orphan = Change::Orphan { state_topic: "mbushat/gas/state".to_owned() };
    bench.other.retain(|change| !matches!(change, Change::First { .. }));
    assert_eq!(bench.other, [orphan.clone(), Change::NotUsed { topic: topic(0x11) }]);
    let mut bench = Bench::new(&["cellar"]);
    bench.read("cellar", 0x11, NONE, &["volume"]);
    bench.memos.insert(gas, memo);
    bench.other.clear();
    bench.restart(&["cellar"]);
    assert_eq!(bench.other, [orphan]);
}

#[test]
fn what_was_taken_back_and_is_announced_again_learns_from_the_broker() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume", "volume_2"]);
    let document = bench.retained[&topic(0x11)].clone();
    bench.connected = false;
    bench.configure(&[]);
    bench.configure(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    bench.announcements.found(&topic(0x11), document.as_bytes());
    bench.carry_out();
    let document: Value = serde_json::from_str(&bench.outbox[&topic(0x11)].0).expect("JSON");
    assert!(document["cmps"]["volume_2"].is_object());
}

#[test]
fn a_farewell_ends_when_the_broker_has_it_and_spares_a_device_that_came_back_meanwhile() {
    for is_back in [false, true] {
        let mut bench = Bench::new(&["gas"]);
        bench.read("gas", 0x11, NONE, &["volume"]);
        bench.configure(&[]);
        bench.announcements.born(|_| false);
        bench.carry_out();
        if is_back {
            bench.configure(&["gas"]);
            bench.read("gas", 0x11, NONE, &["volume"]);
        }
        bench.announcements.born_and_ready();
        let cleared = |change: &Change| matches!(change, Change::Document { payload, .. } if payload.is_empty());
        assert_eq!(bench.announcements.changes().iter().any(cleared), !is_back);
        bench.announcements.settle(|_| false);
        assert_eq!(bench.announcements.changes(), [], "not yet");
    }
}

#[test]
fn another_meter_is_announced_with_its_own_values_alone() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume", "volume_2"]);
    bench.read("gas", 0x22, NONE, &["volume"]);
    assert!(bench.component(0x22, "volume")["uniq_id"].is_string());
    assert_eq!(bench.component(0x22, "volume_2"), Value::Null);
}

#[test]
fn another_discovery_prefix_leaves_nothing_behind() {
    for restart in [false, true] {
        let mut bench = Bench::new(&["gas"]);
        bench.read("gas", 0x11, NONE, &["volume"]);
        let moved = || Some(announcer_at("elsewhere"));
        if restart {
            let memos = bench.memos.iter().map(|((memo, name), text)| (*memo, name.as_str(), text.as_str()));
            bench.announcements = Announcements::restore(moved(), &configured(&["gas"]), memos);
            bench.outbox.clear();
        }
        bench.announcements.configure(moved(), &[], configured(&["gas"]));
        bench.carry_out();
        bench.read("gas", 0x11, NONE, &["volume"]);
        let topics: Vec<&str> = bench.retained.keys().map(|topic| topic.split('/').next().expect("a prefix")).collect();
        assert_eq!(topics, ["elsewhere", "elsewhere"], "restart: {restart}");
    }
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

#[test]
fn each_device_links_to_its_own_page() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    let pages = bench.retained.values().map(|document| {
        let document: serde_json::Value = serde_json::from_str(document).expect("JSON");
        document["dev"]["cu"].as_str().unwrap_or_default().to_owned()
    });
    let pages: Vec<String> = pages.collect();
    assert_eq!(pages, ["http://pi.local:6287/meter/gas", "http://pi.local:6287/"]);
}
