//! The meters: silent, elsewhere, at another rate, or read by a running agent.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{Pi, Ward};
use crate::agent::{Agent, SOON};
use crate::broker::{Received, Subscriber};
use crate::bus_commands::Simulated;

#[test]
fn a_silent_meter_is_tried_in_other_ways_and_another_one_on_the_wire_is_noticed() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    ward.append("address = 48", "address = 7");
    assert_eq!(ward.examine("silent_meter"), 1);
    ward.append("address = 7", "address = 252");
    assert_eq!(ward.examine("bad_config"), 78);
}

#[test]
fn a_meter_at_another_rate_is_found_and_the_rate_to_set_is_told() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let _bus = ward.simulate("baud = 300\n[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
    assert_eq!(ward.examine("meter_at_300_baud"), 1);
}

#[test]
fn a_meter_that_is_not_there_is_told_from_a_dead_wire() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let _bus = ward.simulate("[[meter]]\nmodel = \"ats_ec20\"\naddress = 5\n");
    assert_eq!(ward.examine("meter_elsewhere"), 1);
}

/// Three meters, of which one is at another address than configured and one needs a key.
const THREE: &str = r#"
    [[meter]]
    model = "ats_ec20"
    address = 48
    [[meter]]
    model = "heat"
    address = 5
    id = "67200512"
    key = "000102030405060708090A0B0C0D0E0F"
    [[meter]]
    model = "cold_water"
    address = 7
    id = "21880341"
"#;
const TWO_WRONG: &str = "[[meter]]\nname = \"heating\"\naddress = 5\n[[meter]]\nname = \"warm_water\"\naddress = 8\n";

#[test]
fn each_meter_is_asked_and_each_wrong_one_is_named_with_its_cause() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let _bus = ward.simulate(THREE);
    ward.append("address = 48\n", &format!("address = 48\n{TWO_WRONG}"));
    assert_eq!(ward.examine("two_of_three"), 1);
    // a meter by name, and no other
    let one = ward.mbushat(&["cold_water"]);
    let text = String::from_utf8(one.stdout).expect("UTF-8");
    assert!(one.status.success() && text.contains("cold_water (address 48) answers"), "{text}");
    assert!(!text.contains("heating"), "{text}");
    let unknown = ward.mbushat(&["bathroom"]);
    assert_eq!(unknown.status.code(), Some(2));
    let error = String::from_utf8(unknown.stderr).expect("UTF-8");
    assert!(error.contains("there is no meter bathroom") && error.contains("cold_water, heating"), "{error}");
}

#[test]
fn a_running_agent_is_asked_for_its_meters_and_hears_nothing_else() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let bus = ward.simulate(THREE);
    ward.append("address = 48\n", &format!("address = 48\n{TWO_WRONG}"));
    let text = fs::read_to_string(ward.path("etc/mbushat.toml")).expect("the configuration");
    // a machine that builds and tests at once may answer late
    let patient = "hat = false\nresponse_timeout = \"2s\"\n";
    let port = format!("[[bus]]\nname = \"hat\"\nport = \"{}\"\n{patient}", bus.port);
    let meters = &text[text.find("[[meter]]").expect("meters")..];
    let Some(all) = Subscriber::new(ward.port(), "#") else { return };
    let agent = Agent::start(ward.port(), &format!("{port}{meters}"));
    let online = until_online(&all);
    online.expect("the good one is read");
    ward.hold_port("mbushat");
    assert_eq!(ward.examine("agent_reads_two_of_three"), 1);
    let log = fs::read_to_string(agent.folder().join("log")).expect("its log");
    assert!(!log.contains("doctor"), "{log}");
}

/// The agent and the meter `cold_water` are online.
fn until_online(all: &Subscriber) -> Option<Received> {
    let mut missing = BTreeSet::from(["mbushat/cold_water/availability", "mbushat/bridge/state"]);
    all.wait_for(SOON, |m| {
        if m.payload == "online" {
            missing.remove(m.topic.as_str());
        }
        missing.is_empty()
    })
}

#[test]
fn values_without_a_name_are_told_also_where_the_agent_reads_them() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let telegram = "68 1A 1A 68 08 30 72 78 56 34 12 24 40 01 07 01 00 00 00 04 FF 07 10 27 00 00 01 FF 08 01 75 16";
    let bus = ward.simulate(&format!("[[meter]]\naddress = 48\ntelegrams = [\"{telegram}\"]\n"));
    let says_so = || {
        let output = ward.mbushat(&[]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success() && text.contains("2 of its values have no name."), "{text}");
        assert!(text.contains("profiles unknown cold_water"), "{text}");
        text
    };
    assert!(says_so().contains("cold_water (address 48) answers"));
    let port = format!("[[bus]]\nname = \"hat\"\nport = \"{}\"\nhat = false\nresponse_timeout = \"2s\"\n", bus.port);
    let Some(all) = Subscriber::new(ward.port(), "#") else { return };
    let _agent = Agent::start(ward.port(), &format!("{port}[[meter]]\nname = \"cold_water\"\naddress = 48\n"));
    let online = until_online(&all);
    online.expect("it is read");
    ward.hold_port("mbushat");
    assert!(says_so().contains("is read by the agent"));
}

#[test]
fn a_meter_on_another_bus_is_found_there() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let other = Simulated::start(&[&{
        ward.write("other.toml", "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
        ward.path("other.toml").to_string_lossy().into_owned()
    }]);
    symlink(&other.port, ward.path("dev/ttyUSB0")).expect("a link");
    fs::set_permissions(&other.port, fs::Permissions::from_mode(0o660)).expect("our pseudo-terminal");
    let _bus = ward.simulate("[[meter]]\nmodel = \"heat\"\naddress = 5\n");
    ward.configure("[[bus]]\nname = \"hat\"\n[[bus]]\nname = \"cellar\"\nport = \"/dev/ttyUSB0\"\nhat = false\n");
    ward.append("address = 48\n", "address = 48\nbus = \"hat\"\n");
    let output = ward.mbushat(&["--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = document["findings"].as_array().expect("findings");
    let meter = findings.iter().find(|f| f["check"] == "meter" && f["verdict"] == "failure").expect("the meter");
    assert!(meter["found"].as_str().expect("words").contains("it answers on cellar, at 2400 8E1"), "{meter}");
    assert_eq!((&meter["bus"], &meter["remedies"][0]["paste"][0]), (&"hat".into(), &"bus = \"cellar\"".into()));
    assert_eq!(output.status.code(), Some(1));
}
