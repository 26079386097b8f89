//! Meters that change their names, their addresses or their places keep their devices.

use super::*;
use crate::homeassistant::announcements::Answered;

/// Gas (11) and heat (22), read once.
fn two() -> Bench {
    let mut bench = Bench::new(&["gas", "heat"]);
    bench.read("gas", 0x11, NONE, &["volume", "volume_2"]);
    bench.read("heat", 0x22, NONE, &["volume"]);
    bench
}

/// Both devices have been there all the time: the state topic of each, and whether an entity has another id.
fn devices(bench: &Bench) -> [(String, bool); 2] {
    assert!(!bench.cleared.contains(&topic(0x11)) && !bench.cleared.contains(&topic(0x22)), "{:?}", bench.cleared);
    [0x11, 0x22].map(|id| {
        let document: Value = serde_json::from_str(&bench.retained[&topic(id)]).expect("JSON");
        let state = document["stat_t"].as_str().expect("a topic").to_owned();
        let is_renamed = document["cmps"]["volume"]["uniq_id"] != format!("mbushat_{id:08X}_KAM_1d_03_volume");
        (state, is_renamed)
    })
}

fn at(names: [&str; 2]) -> [(String, bool); 2] {
    names.map(|name| match name {
        "" => ("mbushat/bridge/nowhere".to_owned(), false),
        name => (format!("mbushat/{name}/state"), false),
    })
}

/// The two tables with their addresses exchanged.
fn exchanged(bench: &mut Bench, restart: bool) {
    bench.places =
        BTreeMap::from([("gas".to_owned(), "hat/heat".to_owned()), ("heat".to_owned(), "hat/gas".to_owned())]);
    if restart {
        bench.restart(&["gas", "heat"]);
    } else {
        bench.configure(&["gas", "heat"]);
    }
}

#[test]
fn two_meters_whose_names_were_exchanged_keep_their_devices() {
    for restart in [false, true] {
        let mut bench = two();
        exchanged(&mut bench, restart);
        let Answered { former, moved, .. } = bench.announcements.answered("gas", Some(identity(0x22)), NONE);
        assert_eq!((former, moved), (Some(identity(0x11)), true), "it is no other meter to the user");
        bench.read("gas", 0x22, NONE, &["volume"]);
        assert_eq!(devices(&bench), at(["", "gas"]), "the first one waits, and sees no values meanwhile");
        bench.read("heat", 0x11, NONE, &["volume"]);
        assert_eq!(devices(&bench), at(["heat", "gas"]), "restart: {restart}");
        assert!(bench.component(0x11, "volume_2")["uniq_id"].is_string(), "the device is as whole as before");
        assert!(!bench.other.iter().any(|change| matches!(change, Change::First { by_name: true, .. })));
        // and back
        bench.places.clear();
        bench.restart(&["gas", "heat"]);
        bench.read("heat", 0x22, NONE, &["volume"]);
        bench.read("gas", 0x11, NONE, &["volume"]);
        assert_eq!(devices(&bench), at(["gas", "heat"]));
    }
}

#[test]
fn two_meters_whose_addresses_were_exchanged_keep_their_devices() {
    let mut bench = two();
    bench.read("gas", 0x22, NONE, &["volume"]);
    assert!(!bench.announcements.answered("heat", Some(identity(0x11)), NONE).moved, "the user should hear of it");
    bench.read("heat", 0x11, NONE, &["volume"]);
    assert_eq!(devices(&bench), at(["heat", "gas"]));
}

#[test]
fn a_device_that_waits_for_its_meter_is_taken_back_when_no_meter_is_it() {
    for is_silent in [false, true] {
        let mut bench = two();
        exchanged(&mut bench, false);
        bench.read("gas", 0x22, NONE, &["volume"]);
        assert_eq!(devices(&bench), at(["", "gas"]));
        if is_silent {
            for _ in 1..MISSES {
                bench.announcements.tried("heat");
            }
            bench.carry_out();
            assert_eq!(devices(&bench), at(["", "gas"]), "a fault of the bus is no answer");
            bench.announcements.tried("heat");
            bench.carry_out();
        } else {
            bench.read("heat", 0x33, NONE, &["volume"]);
        }
        assert!(!bench.retained.contains_key(&topic(0x11)), "silent: {is_silent}");
    }
}

#[test]
fn a_device_that_waits_is_known_again_after_a_restart_without_a_store() {
    let mut bench = two();
    exchanged(&mut bench, false);
    bench.read("gas", 0x22, NONE, &["volume"]);
    bench.memos.clear();
    bench.restart(&["gas", "heat"]);
    assert!(!bench.other.iter().any(|change| matches!(change, Change::Orphan { .. })), "{:?}", bench.other);
    bench.read("gas", 0x22, NONE, &["volume"]);
    bench.read("heat", 0x11, NONE, &["volume"]);
    assert_eq!(devices(&bench), at(["heat", "gas"]));
}

#[test]
fn a_meter_that_was_replaced_and_comes_back_has_its_first_entity_ids() {
    let mut bench = Bench::new(&["gas"]);
    let mut entity = |id: u32| {
        bench.restart(&["gas"]);
        bench.read("gas", id, NONE, &["volume"]);
        bench.component(id, "volume")["def_ent_id"].as_str().expect("an id").to_owned()
    };
    assert_eq!(entity(0x11), "sensor.gas_volume");
    assert_eq!(entity(0x22), "sensor.gas_volume_00000022");
    assert_eq!(entity(0x11), "sensor.gas_volume");
    assert_eq!(entity(0x22), "sensor.gas_volume_00000022");
    assert_eq!(entity(0x33), "sensor.gas_volume_00000033");
}

#[test]
fn two_meters_with_one_identity_are_told_apart_by_name_though_one_came_later() {
    let mut bench = two();
    bench.read("gas", 0x22, NONE, &["volume"]);
    // it is still there, so it is shared
    bench.read("heat", 0x22, NONE, &["volume"]);
    let names: Vec<&str> = bench.retained.keys().filter_map(|topic| topic.split("mbushat_").nth(1)).collect();
    assert_eq!(names, ["bridge/config", "gas_KAM_1d_03/config", "heat_KAM_1d_03/config"]);
}

#[test]
fn a_meter_that_is_not_enabled_keeps_its_device_and_hides_none_from_the_others() {
    for restart in [false, true] {
        let mut bench = two();
        bench.disabled = BTreeSet::from(["heat".to_owned()]);
        if restart {
            bench.restart(&["gas", "heat"]);
        } else {
            bench.configure(&["gas", "heat"]);
        }
        bench.birth();
        assert_eq!(devices(&bench), at(["gas", "heat"]), "restart: {restart}");
        // it is not waited for
        bench.read("gas", 0x33, NONE, &["volume"]);
        assert!(!bench.retained.contains_key(&topic(0x11)));
        bench.disabled.clear();
        bench.configure(&["gas", "heat"]);
        bench.read("heat", 0x22, NONE, &["volume"]);
        assert!(bench.retained[&topic(0x22)].contains("mbushat/heat/state"));
    }
}
