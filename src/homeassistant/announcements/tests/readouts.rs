//! One meter that is read in two ways: two devices, of which the first in the file has the plain ids.

use super::*;

/// Gas (11), read as `daily` too.
fn two() -> Bench {
    let mut bench = Bench::new(&["gas"]);
    bench.read("gas", 0x11, NONE, &["volume", "volume_2"]);
    bench.readouts = BTreeMap::from([("daily".to_owned(), "gas".to_owned())]);
    bench.places = BTreeMap::from([("daily".to_owned(), "hat/gas".to_owned())]);
    bench.configure(&["daily", "gas"]);
    bench
}

/// The device's id, the device that it is behind, and the `unique_id` of its volume, by name.
fn devices(bench: &Bench) -> BTreeMap<String, [String; 3]> {
    let documents = bench.retained.values().map(|document| serde_json::from_str::<Value>(document).expect("JSON"));
    let meters = documents.filter_map(|document| {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = text("/stat_t").strip_prefix("mbushat/")?.strip_suffix("/state")?.to_owned();
        Some((name, [text("/dev/ids/0"), text("/dev/via_device"), text("/cmps/volume/uniq_id")]))
    });
    meters.collect()
}

fn device(name: &str, id: &str, via: &str) -> (String, [String; 3]) {
    (name.to_owned(), [id.to_owned(), via.to_owned(), format!("{id}_volume")])
}

const GAS: &str = "mbushat_00000011_KAM_1d_03";
const DAILY: &str = "mbushat_00000011_KAM_1d_03_daily";

fn both() -> BTreeMap<String, [String; 3]> {
    BTreeMap::from([device("gas", GAS, "mbushat_bridge"), device("daily", DAILY, GAS)])
}

#[test]
fn the_first_keeps_its_plain_ids_and_the_other_is_a_device_behind_it() {
    for restart in [false, true] {
        let mut bench = two();
        bench.read("daily", 0x11, NONE, &["volume"]);
        assert_eq!(devices(&bench), both());
        if restart {
            bench.restart(&["daily", "gas"]);
        }
        bench.read("gas", 0x11, NONE, &["volume", "volume_2"]);
        bench.read("daily", 0x11, NONE, &["volume"]);
        bench.birth();
        assert_eq!(devices(&bench), both(), "restart: {restart}");
        assert_eq!(bench.cleared, BTreeSet::new(), "restart: {restart}");
        assert!(!bench.other.iter().any(|change| matches!(change, Change::First { by_name: true, .. })));
    }
}

#[test]
fn the_other_readout_waits_for_no_first_one_and_finds_its_device_later() {
    let mut bench = Bench::new(&[]);
    bench.readouts = BTreeMap::from([("daily".to_owned(), "gas".to_owned())]);
    bench.configure(&["daily", "gas"]);
    bench.read("daily", 0x11, NONE, &["volume"]);
    assert_eq!(devices(&bench), BTreeMap::from([device("daily", DAILY, "mbushat_bridge")]));
    bench.read("gas", 0x11, NONE, &["volume"]);
    assert_eq!(devices(&bench), both());
}

#[test]
fn a_second_meter_of_the_same_id_makes_the_first_known_by_its_name_and_not_its_other_readout() {
    let mut bench = two();
    bench.read("daily", 0x11, NONE, &["volume"]);
    bench.configure(&["daily", "gas", "heat"]);
    bench.read("heat", 0x11, NONE, &["volume"]);
    let by_name = |name: &str| format!("mbushat_{name}_KAM_1d_03");
    let expected = BTreeMap::from([
        device("gas", &by_name("gas"), "mbushat_bridge"),
        device("heat", &by_name("heat"), "mbushat_bridge"),
        device("daily", DAILY, &by_name("gas")),
    ]);
    assert_eq!(devices(&bench), expected);
}

#[test]
fn a_meter_that_is_replaced_is_replaced_in_both_readouts_and_neither_is_in_doubt() {
    let mut bench = two();
    bench.read("daily", 0x11, NONE, &["volume"]);
    bench.read("gas", 0x22, NONE, &["volume"]);
    bench.read("daily", 0x22, NONE, &["volume"]);
    assert_eq!(bench.announcements.expected("gas"), Some(identity(0x22)), "no other meter has taken its place");
    let [gas, daily] = [GAS, DAILY].map(|id| id.replace("11", "22"));
    assert_eq!(devices(&bench), BTreeMap::from([device("gas", &gas, "mbushat_bridge"), device("daily", &daily, &gas)]));
}

#[test]
fn readouts_that_change_places_in_the_file_change_their_ids_at_once() {
    for restart in [false, true] {
        let mut bench = two();
        bench.read("daily", 0x11, NONE, &["volume"]);
        bench.readouts = BTreeMap::from([("gas".to_owned(), "daily".to_owned())]);
        if restart {
            bench.restart(&["daily", "gas"]);
            bench.read("gas", 0x11, NONE, &["volume"]);
            bench.read("daily", 0x11, NONE, &["volume"]);
        } else {
            bench.configure(&["daily", "gas"]);
        }
        let gas = format!("{GAS}_gas");
        let expected = BTreeMap::from([device("daily", GAS, "mbushat_bridge"), device("gas", &gas, GAS)]);
        assert_eq!(devices(&bench), expected, "restart: {restart}");
        bench.birth();
        assert_eq!(bench.devices, bench.retained.keys().cloned().collect(), "restart: {restart}");
    }
}

#[test]
fn where_the_first_is_no_longer_configured_the_other_takes_its_ids() {
    let mut bench = two();
    bench.read("daily", 0x11, NONE, &["volume"]);
    bench.configure(&["daily"]);
    assert_eq!(devices(&bench), BTreeMap::from([device("daily", GAS, "mbushat_bridge")]));
}

#[test]
fn an_id_of_no_use_is_replaced_by_the_name_of_each() {
    let mut bench = two();
    bench.read("gas", 0, NONE, &["volume"]);
    bench.read("daily", 0, NONE, &["volume"]);
    let expected = BTreeMap::from([
        device("gas", "mbushat_gas_KAM_1d_03", "mbushat_bridge"),
        device("daily", "mbushat_daily_KAM_1d_03", "mbushat_gas_KAM_1d_03"),
    ]);
    assert_eq!(devices(&bench), expected);
}
