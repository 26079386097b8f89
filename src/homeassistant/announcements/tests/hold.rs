//! What may be another agent's is left alone.

use super::*;
use serde_json::json;

/// What another agent announced: a meter named `gas`, and one that is not configured here.
fn others() -> BTreeMap<String, String> {
    let mut other = Bench::new(&["gas", "water"]);
    other.read("gas", 0x11, NONE, &["volume"]);
    other.read("water", 0x33, NONE, &["volume"]);
    other.retained
}

/// It holds back before it finds what is on the broker.
fn hold_back_and_connect(bench: &mut Bench) {
    bench.announcements.hold_back(true);
    bench.connect();
}

#[test]
fn nothing_of_another_agent_is_taken_back_until_it_is_known_to_be_gone() {
    let others = others();
    let mut bench = Bench::new(&[]);
    bench.retained.clone_from(&others);
    bench.configure(&["gas"]);
    hold_back_and_connect(&mut bench);
    bench.read("gas", 0x22, NONE, &["volume"]);
    let is_there = |bench: &Bench, id: u32| bench.retained.get(&topic(id)) == others.get(&topic(id));
    assert!(is_there(&bench, 0x11) && is_there(&bench, 0x33), "{:?}", bench.retained.keys());
    assert!(bench.retained.contains_key(&topic(0x22)), "its own are announced");
    let said = |bench: &Bench| bench.other.iter().filter(|change| !matches!(change, Change::First { .. })).count();
    assert_eq!(said(&bench), 0, "{:?}", bench.other);
    bench.announcements.hold_back(false);
    bench.carry_out();
    assert_eq!(bench.retained.keys().filter(|t| t.contains("KAM")).collect::<Vec<_>>(), [&topic(0x22)]);
    let orphan = Change::Orphan { state_topic: "mbushat/water/state".to_owned() };
    assert!(bench.other.contains(&orphan) && bench.other.contains(&Change::NotUsed { topic: topic(0x33) }));
}

#[test]
fn what_another_agent_has_taken_back_itself_is_not_taken_back_again() {
    let mut bench = Bench::new(&[]);
    bench.retained.extend(others());
    hold_back_and_connect(&mut bench);
    bench.announcements.gone(&topic(0x33));
    bench.announcements.hold_back(false);
    let changes = bench.announcements.changes();
    let taken_back = |id| changes.contains(&Change::NotUsed { topic: topic(id) });
    assert!(taken_back(0x11) && !taken_back(0x33), "Home Assistant warns of a second time: {changes:?}");
}

#[test]
fn what_belongs_to_another_agents_buses_stays_on_the_device_of_both_until_it_is_known_to_be_gone() {
    let topic = "ha/device/mbushat/mbushat_bridge/config";
    let mut bench = Bench::new(&[]);
    let own = bench.retained[topic].clone();
    let mut other: Value = serde_json::from_str(&own).expect("JSON");
    other["cmps"]["attic_load"] = json!({ "p": "sensor", "uniq_id": "mbushat_bridge_attic_load" });
    for (held, expected) in [(true, Value::Null), (false, json!({ "p": "sensor" }))] {
        bench.announcements.hold_back(held);
        bench.announcements.found(topic, other.to_string().as_bytes());
        bench.carry_out();
        let now: Value = serde_json::from_str(&bench.retained[topic]).expect("JSON");
        assert_eq!(now["cmps"]["attic_load"], expected, "held back: {held}");
    }
}

#[test]
fn what_the_store_remembers_as_its_own_is_taken_back_at_once() {
    let mut bench = Bench::new(&["gas", "water"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    bench.connected = false;
    bench.restart(&["water"]);
    hold_back_and_connect(&mut bench);
    assert!(bench.retained.contains_key(&topic(0x11)), "water may be the same meter under another name");
    bench.read("water", 0x33, NONE, &["volume"]);
    assert!(!bench.retained.contains_key(&topic(0x11)), "{:?}", bench.retained.keys());
    bench.announcements.hold_back(false);
    let again = Change::NotUsed { topic: topic(0x11) };
    assert!(!bench.announcements.changes().contains(&again), "Home Assistant warns of a second time");
}

#[test]
fn what_a_renamed_meter_published_before_goes_though_the_store_was_lost() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    bench.memos.clear();
    bench.connected = false;
    bench.restart(&["cellar"]);
    bench.other.clear();
    hold_back_and_connect(&mut bench);
    bench.read("cellar", 0x11, NONE, &["volume"]);
    let orphan = Change::Orphan { state_topic: "mbushat/gas/state".to_owned() };
    assert!(bench.other.contains(&orphan), "{:?}", bench.other);
}

#[test]
fn what_was_found_under_an_old_base_topic_is_forgotten_and_not_taken_back() {
    let mut bench = Bench::new(&["gas"]);
    bench.retained = others();
    hold_back_and_connect(&mut bench);
    bench.announcements.configure(None, &[], configured(&[]));
    bench.announcements.configure(Some(announcer()), &[], configured(&[]));
    bench.announcements.hold_back(false);
    bench.carry_out();
    assert!(bench.retained.contains_key(&topic(0x33)), "{:?}", bench.retained.keys());
}

#[test]
fn what_another_base_topic_leaves_goes_from_a_home_assistant_that_was_off_too() {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume"]);
    let before = bench.devices.clone();
    assert_eq!(before.len(), 2, "the meter and the agent");
    bench.heard = None;
    bench.announcements.configure(None, &[], configured(&["gas"]));
    bench.carry_out();
    assert_eq!((&bench.devices, bench.retained.len()), (&before, 0), "it is off and keeps them");
    bench.birth();
    assert!(bench.devices.is_empty(), "{:?}", bench.devices);
    assert!(!bench.memos.keys().any(|(memo, _)| *memo == Memo::Farewell), "{:?}", bench.memos.keys());
}
