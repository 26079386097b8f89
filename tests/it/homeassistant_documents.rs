//! Discovery documents against the files in `tests/homeassistant/documents`, which a real Home
//! Assistant has taken (`tests/acceptance/homeassistant.py`). `MBUSHAT_WRITE_DOCUMENTS=1` writes them anew.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use mbushat::config::{Bus, Hat, HomeAssistant, Port};
use mbushat::homeassistant::discovery::{AgentTopics, Announcer, Document, MeterDevice};
use mbushat::mbus::address::SecondaryAddress;
use mbushat::mbus::application::opener::Opener;
use mbushat::mbus::application::quantity::Known;
use mbushat::mbus::link::timing::{Baud, Parity};
use mbushat::measure::normalise::{MeterRules, Occasion, reading};
use mbushat::measure::profile::Product;
use mbushat::measure::{Measurement, Reading};
use mbushat::mqtt::topic::Topics;

/// A heat meter with everything such a meter sends: max, storage, dates, flags, names.
const HEAT: (u8, &str) = (
    0x04,
    "04 06 40 E2 01 00 0C 14 32 54 76 98 02 3B E2 04 02 2D 69 03 02 5A 8D 02 02 5E A5 01 02 62 E8 00 0C 22 57 83 03 00 \
     12 2D 70 03 04 6D 2D 2D 1D 32 42 6C 8F 21 44 06 C0 D4 01 00 0C 78 78 56 34 12 01 FD 17 00 02 FD 74 E8 0D",
);
/// Four tariffs, import and export, phases.
const ELECTRICITY: (u8, &str) = (
    0x02,
    "04 83 3B 40 E2 01 00 04 83 3C 10 27 00 00 84 10 83 3B 47 F4 10 00 84 20 83 3B 8E E8 21 00 84 30 83 3B 01 00 00 00 \
     84 80 10 83 3B 02 00 00 00 04 2B DC 05 00 00 04 AB FC 01 DC 05 00 00 02 FD C8 FC 01 FD 08 02 FD D9 FC 01 8F 19 \
     02 FB 2E F4 01 04 FB 82 75 1E 14 00 00 04 FB 14 E1 10 00 00 04 FB B4 75 CD 81 01 00",
);
const GAS: (u8, &str) = (0x03, "0C 13 45 23 01 00 02 3B 10 00 02 66 64 00 02 69 F3 03");
const WATER: (u8, &str) = (0x16, "0C 13 45 23 01 00 02 3B 10 00 4C 13 00 20 01 00 42 6C 8F 21");
const COST_ALLOCATOR: (u8, &str) = (0x08, "03 6E 10 27 00 43 6E 10 20 00 42 6C 8F 21 02 65 2E 08");

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

fn read(id: u32, (medium, records): (u8, &str)) -> Reading {
    let [a, b, c, d] = id.to_le_bytes();
    let mut body = vec![0x08, 0x05, 0x72, a, b, c, d, 0x2D, 0x2C, 0x1D, medium, 1, 0, 0, 0];
    body.extend(bytes(records));
    let length = u8::try_from(body.len()).expect("one frame");
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let frame = [&[0x68, length, length, 0x68][..], &body, &[sum, 0x16]].concat();
    let meter = MeterRules::of_profiles("meter", &[]);
    let occasion = Occasion { due_at: None, read_at: SystemTime::UNIX_EPOCH, clock_synced: None };
    let reading = reading(&[frame], &meter, &mut Opener::default(), occasion).expect("a reading");
    assert_eq!(reading.errors, []);
    reading
}

fn announcer(base: &str) -> Announcer {
    let config = HomeAssistant {
        enabled: true,
        discovery_prefix: "homeassistant".to_owned(),
        status_topic: "homeassistant/status".to_owned(),
        status_payload: "online".to_owned(),
        version: (2025, 12),
    };
    let topics = Topics::new(base);
    let own = AgentTopics {
        state: topics.bridge_state(),
        info: topics.bridge_info(),
        event: topics.bridge_event(),
        scan: topics.request("scan"),
        scanned: topics.bridge_scan(),
        restart: topics.request("restart"),
        log_level: topics.request("log_level"),
        power: topics.request("power"),
    };
    Announcer::new(&config, base, own, None)
}

/// The bus that a config without `[[bus]]` has.
fn hat() -> Bus {
    Bus {
        name: "hat".to_owned(),
        port: Port::Serial("/dev/ttyAMA0".into()),
        baud: Baud::DEFAULT,
        parity: Parity::Even,
        stop_bits: 1,
        hat: Some(Hat { power_gpio: 26, power_settle: Duration::from_secs(1) }),
        gap_timeout: None,
        wake_up: None,
        response_timeout: None,
        retries: 2,
        idle: Duration::ZERO,
        discover: false,
    }
}

/// The document of a meter called `name` below `mbushat`, changed by `change`.
fn document(name: &str, reading: &Reading, change: impl FnOnce(&mut MeterDevice<'_>)) -> Document {
    let topics = Topics::new("mbushat");
    let (state, availability, read) = (topics.state(name), topics.availability(name), topics.read(name));
    let mut device = MeterDevice {
        name,
        title: None,
        area: None,
        identity: reading.device.identity,
        product: None,
        keeps: None,
        shares_identity: false,
        is_another_readout: false,
        first_device: None,
        replaces_another: false,
        state_topic: &state,
        availability_topic: &availability,
        read_topic: &read,
        measurements: &reading.measurements,
        unnamed: 0,
        said_low_power: false,
    };
    change(&mut device);
    announcer("mbushat").meter(&device)
}

fn as_written(document: &Document) -> Value {
    let mut value: Value = serde_json::from_str(&document.payload).expect("JSON");
    // the only thing that changes from release to release
    value["o"]["sw"] = "VERSION".into();
    if value["dev"]["mdl"] == "M-Bus agent" {
        value["dev"]["sw"] = "VERSION".into();
    }
    serde_json::json!({ "topic": document.topic, "payload": value })
}

#[test]
fn documents_are_those_that_a_real_home_assistant_has_taken() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/homeassistant/documents");
    let meters = [
        ("heat", 0x1234_5678, HEAT),
        ("electricity", 0x2000_0001, ELECTRICITY),
        ("gas", 0x3000_0001, GAS),
        ("cold_water", 0x4000_0001, WATER),
        ("cost_allocator", 0x5000_0001, COST_ALLOCATOR),
    ];
    let mut documents: Vec<(&str, Document)> =
        meters.iter().map(|&(name, id, sent)| (name, document(name, &read(id, sent), |_| ()))).collect();
    documents.push(("agent", announcer("mbushat").agent(&[hat()])));
    for (name, document) in documents {
        let file = folder.join(format!("{name}.json"));
        let got = as_written(&document);
        if std::env::var_os("MBUSHAT_WRITE_DOCUMENTS").is_some() {
            let text = serde_json::to_string_pretty(&got).expect("JSON") + "\n";
            std::fs::write(&file, text).expect("written");
        }
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let want: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn ids_come_from_base_topic_identity_and_key_and_hold_no_other_character() {
    let reading = read(0x1234_5678, HEAT);
    let device = |name: &'static str| MeterDevice {
        name,
        title: Some("Kessel im Keller"),
        area: None,
        identity: reading.device.identity,
        product: None,
        keeps: None,
        shares_identity: false,
        is_another_readout: false,
        first_device: None,
        replaces_another: false,
        state_topic: "s",
        availability_topic: "a",
        read_topic: "r",
        measurements: &reading.measurements,
        unnamed: 0,
        said_low_power: false,
    };
    let house = announcer("mbushat/house7");
    assert_eq!(house.meter_id(&device("heat")), "mbushat_house7_12345678_KAM_1d_04");
    assert_eq!(
        house.meter_id(&MeterDevice { shares_identity: true, ..device("heat") }),
        "mbushat_house7_heat_KAM_1d_04"
    );
    assert_eq!(house.meter_id(&MeterDevice { identity: None, ..device("heat") }), "mbushat_house7_heat");
    for useless in [0, 0x9999_9999, 0xFFFF_FFFF] {
        let reading = read(useless, GAS);
        let id = house.meter_id(&MeterDevice { identity: reading.device.identity, ..device("gas") });
        assert_eq!(id, "mbushat_house7_gas_KAM_1d_03");
    }
    let document = house.meter(&device("heat"));
    assert_eq!(document.topic, "homeassistant/device/mbushat_house7/mbushat_house7_12345678_KAM_1d_04/config");
    let value: Value = serde_json::from_str(&document.payload).expect("JSON");
    assert_eq!(value["dev"]["name"], "Kessel im Keller");
    assert_eq!(value["cmps"]["energy"]["uniq_id"], "mbushat_house7_12345678_KAM_1d_04_energy");
    assert_eq!(value["dev"]["via_device"], "mbushat_house7_bridge");
}

#[test]
fn a_meter_of_the_fixed_structure_is_known_by_its_number_and_nothing_is_made_up() {
    let reading = read(1, WATER);
    let document = document("cold", &reading, |device| {
        device.identity = Some(SecondaryAddress::of_fixed(0x1234_5678, Some(0x07)));
    });
    let value: Value = serde_json::from_str(&document.payload).expect("JSON");
    assert_eq!(value["cmps"]["volume"]["uniq_id"], "mbushat_12345678_unknown_ff_07_volume");
    assert_eq!(value["cmps"]["volume"]["dev_cla"], "water");
    assert_eq!((&value["dev"]["sn"], &value["dev"]["mdl"]), (&"12345678".into(), &"Water".into()));
    assert!(["mf", "sw", "mdl_id"].iter().all(|field| value["dev"].get(field).is_none()), "{}", value["dev"]);
}

#[test]
fn what_wakes_a_silent_meter_stays_usable_while_it_is_silent() {
    let value: Value = serde_json::from_str(&document("heat", &read(1, HEAT), |_| ()).payload).expect("JSON");
    let root: Vec<&str> = value["avty"].as_array().expect("a list").iter().filter_map(|a| a["t"].as_str()).collect();
    assert_eq!(root, ["mbushat/bridge/state", "mbushat/heat/availability"]);
    for own in ["read-now", "last-read", "problem-status", "meter-event"] {
        assert_eq!(value["cmps"][own]["avty"], serde_json::json!([{ "t": "mbushat/bridge/state" }]), "{own}");
    }
    assert_eq!(value["cmps"]["energy"]["avty"], Value::Null);
}

#[test]
fn a_meter_in_the_place_of_another_gets_entity_ids_of_its_own() {
    let reading = read(0x2000_0002, GAS);
    let value: Value =
        serde_json::from_str(&document("gas", &reading, |d| d.replaces_another = true).payload).expect("JSON");
    assert_eq!(value["cmps"]["volume"]["def_ent_id"], "sensor.gas_volume_20000002");
    let first: Value = serde_json::from_str(&document("gas", &reading, |_| ()).payload).expect("JSON");
    assert_eq!(first["cmps"]["volume"]["def_ent_id"], "sensor.gas_volume");
}

#[test]
fn components_that_vanish_are_removed_by_their_platform_alone_or_kept_as_they_were() {
    let reading = read(0x1234_5678, HEAT);
    let before = document("heat", &reading, |_| ());
    let gone = ["power", "volume_flow"];
    let fewer = reading.measurements.iter().filter(|m| !gone.contains(&m.key.as_str())).cloned().collect();
    let fewer = Reading { measurements: fewer, ..reading.clone() };
    assert_eq!(before.clone().after(&before.components, |_| false), before);
    let after = document("heat", &fewer, |_| ()).after(&before.components, |key| key == "volume_flow");
    let value: Value = serde_json::from_str(&after.payload).expect("JSON");
    assert_eq!(value["cmps"]["power"], serde_json::json!({ "p": "sensor" }));
    assert_eq!(value["cmps"]["volume_flow"].to_string(), before.components["volume_flow"]);
    let found = announcer("mbushat").recognise(after.payload.as_bytes()).expect("ours");
    assert_eq!(found.components, after.components, "what a document removes is not there any more");
    assert!(after.components.contains_key("volume_flow") && !after.components.contains_key("power"));
}

#[test]
fn a_document_keeps_nothing_for_which_it_has_no_room() {
    let mut reading = read(0x1234_5678, HEAT);
    let energy = reading.measurements[0].clone();
    let stored = |from: u64| (from..from + 180).map(|n| (n, format!("energy_storage_{n}")));
    let with = |reading: &mut Reading, from| {
        let more = stored(from).map(|(storage_number, key)| Measurement { key, storage_number, ..energy.clone() });
        reading.measurements.extend(more);
    };
    let mut other = reading.clone();
    with(&mut reading, 2);
    with(&mut other, 1000);
    let before = document("heat", &reading, |_| ());
    let after = document("heat", &other, |_| ()).after(&before.components, |_| true);
    // naming what it removes takes a little more
    assert!(after.payload.len() <= 70_000, "{}", after.payload.len());
    assert!(after.payload.contains(r#""energy_storage_2":{"p":"sensor"}"#));
}

#[test]
fn an_agent_recognises_its_own_documents_and_no_others() {
    let reading = read(0x1234_5678, HEAT);
    let ours = document("heat", &reading, |_| ());
    let agent = announcer("mbushat").agent(&[hat()]);
    let found = announcer("mbushat").recognise(ours.payload.as_bytes()).expect("ours");
    assert_eq!((found.state_topic.as_deref(), &found.components), (Some("mbushat/heat/state"), &ours.components));
    let found = announcer("mbushat").recognise(agent.payload.as_bytes()).expect("ours");
    assert_eq!((found.state_topic, found.components), (None, agent.components));
    for other in ["mbushat/house7", "mbushat2", "house7"] {
        assert_eq!(announcer(other).recognise(ours.payload.as_bytes()), None, "{other}");
    }
    let foreign = ours.payload.replace(r#""name":"mbushat""#, r#""name":"zigbee2mqtt""#);
    for strange in [foreign.as_str(), "", "[]", "{}", "\u{0}"] {
        assert_eq!(announcer("mbushat").recognise(strange.as_bytes()), None);
    }
}

#[test]
fn a_document_stays_within_its_size_and_gives_up_what_is_disabled_first() {
    let mut reading = read(0x1234_5678, HEAT);
    let energy = reading.measurements[0].clone();
    for storage_number in 1..400 {
        let key = format!("energy_storage_{storage_number}");
        reading.measurements.push(Measurement { key, storage_number, ..energy.clone() });
    }
    let document = document("heat", &reading, |_| ());
    // no more is given up than has to be
    assert!((59_500..=60_000).contains(&document.payload.len()), "{}", document.payload.len());
    assert!(document.left_out > 100, "{}", document.left_out);
    for kept in ["energy", "power", "read-now", "last-read"] {
        assert!(document.components.contains_key(kept), "{kept}");
    }
}

#[test]
fn a_device_is_what_the_meter_says_then_its_profile_then_its_makers_name() {
    let dev = |records: &str, product: Option<&'static Product>| {
        let reading = read(0x1234_5678, (0x02, records));
        let value = as_written(&document("m", &reading, |device| device.product = product));
        ["mf", "mdl", "mdl_id", "sw", "hw"]
            .map(|field| value["payload"]["dev"][field].as_str().unwrap_or("-").to_owned())
            .join(", ")
    };
    let product = Product { model: Some("B23".to_owned()), maker: Some("Janitza".to_owned()) };
    let product: &Product = Box::leak(Box::new(product));
    let energy = "04 03 01 00 00 00";
    assert_eq!(dev(energy, None), "Kamstrup, Electricity, KAM1D02, -, -");
    assert_eq!(dev(energy, Some(product)), "Janitza, B23, KAM1D02, -, -");
    // Acme, X1, firmware 2.1, hardware 3
    let says = "04 03 01 00 00 00 0D FD 0A 04 65 6D 63 41 0D FD 0C 02 31 58 0D FD 0E 03 31 2E 32 02 FD 0D 03 00";
    assert_eq!(dev(says, Some(product)), "Acme, X1, KAM1D02, 2.1, 3");
    assert_eq!(dev("04 03 01 00 00 00 02 FD 0C 05 00", Some(product)), "Janitza, B23, KAM1D02, -, -", "a mere number");
    let mut reading = read(0x1234_5678, (0x02, "0D FD 0C 02 31 58"));
    reading.measurements[0].quantity = Known::ManufacturerSpecific.into();
    let of_a_rule = as_written(&document("m", &reading, |_| ()));
    assert_eq!(of_a_rule["payload"]["dev"]["mdl"], "X1", "under a code of its own that a rule names so");
}

#[test]
fn a_name_that_the_class_says_is_left_to_home_assistant_unless_two_have_it_or_a_rule_chose_it() {
    let mut reading = read(0x1234_5678, HEAT);
    let names = |reading: &Reading| {
        let document = as_written(&document("heat", reading, |_| ()));
        let name = |key: &str| {
            document["payload"]["cmps"][key].get("name").map(|name| name.as_str().expect("text").to_owned())
        };
        ["energy", "volume_flow", "problem-status", "energy_storage_1"].map(name)
    };
    let storage = Some("Energy storage 1".to_owned());
    assert_eq!(names(&reading), [None, None, None, storage.clone()]);
    let energy = reading.measurements.iter().position(|measurement| measurement.key == "energy").expect("one");
    reading.measurements[energy].presentation.title = Some("Energy".to_owned());
    assert_eq!(names(&reading), [Some("Energy".to_owned()), None, None, storage.clone()], "as a rule says");
    reading.measurements[energy].presentation.title = Some("Volume flow".to_owned());
    let both = Some("Volume flow".to_owned());
    assert_eq!(names(&reading), [both.clone(), both, None, storage], "two would have it");
}

#[test]
fn what_has_no_class_has_an_icon_and_what_has_one_shows_that_of_its_class() {
    for sent in [HEAT, ELECTRICITY, GAS, WATER, COST_ALLOCATOR] {
        let document = as_written(&document("m", &read(1, sent), |_| ()));
        for (key, component) in document["payload"]["cmps"].as_object().expect("components") {
            assert_eq!(component.get("dev_cla").is_none(), component.get("ic").is_some(), "{key}: {component}");
        }
    }
}

#[test]
fn a_problem_says_why_and_what_runs_on_a_battery_says_when_it_is_low() {
    let components = |sent: (u8, &str), key: Option<&str>| {
        let mut reading = read(0x1234_5678, sent);
        key.into_iter().for_each(|key| reading.measurements[0].key = key.to_owned());
        as_written(&document("m", &reading, |_| ()))["payload"]["cmps"].clone()
    };
    let heat = components(HEAT, None);
    assert_eq!(heat["battery-status"]["dev_cla"], "battery");
    assert_eq!(heat["problem-status"]["json_attr_t"], "mbushat/m/state");
    let reasons = |components: &Value| components["problem-status"]["json_attr_tpl"].as_str().expect("one").to_owned();
    assert!(reasons(&heat).contains("'error_flags': value_json['error_flags'] | default(none)"), "{heat}");
    let electricity = components(ELECTRICITY, Some("alarm_flags"));
    assert!(electricity.get("battery-status").is_none(), "it feeds itself");
    assert!(reasons(&electricity).contains("'alarm_flags'"), "as its profile calls them");
    assert!(!reasons(&components(GAS, None)).contains("flags"));
}

#[test]
fn a_rule_gives_an_icon_and_decides_what_starts_enabled() {
    let mut reading = read(0x1234_5678, HEAT);
    for measurement in &mut reading.measurements {
        measurement.presentation.enabled = Some(measurement.key == "fabrication_number");
        measurement.presentation.icon = Some("mdi:barcode".to_owned());
    }
    let document = as_written(&document("heat", &reading, |_| ()));
    let components = &document["payload"]["cmps"];
    let (number, energy) = (&components["fabrication_number"], &components["energy"]);
    assert_eq!((number["ic"].as_str(), number.get("en"), number.get("ent_cat")), (Some("mdi:barcode"), None, None));
    assert_eq!((energy["en"].as_bool(), energy["ent_cat"].as_str()), (Some(false), Some("diagnostic")));
}

#[test]
fn a_meter_that_does_not_say_its_kind_is_an_m_bus_meter() {
    for medium in [0x00, 0x0F, 0x40] {
        let document = document("meter", &read(0x1234_5678, (medium, "0C 13 45 23 01 00")), |_| ());
        let device: Value = serde_json::from_str(&document.device).expect("JSON");
        assert_eq!(device["mdl"], "M-Bus meter", "{medium:02X}");
    }
}
