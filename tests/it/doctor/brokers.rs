//! The broker, and what is found on it: rights, Home Assistant, other agents.

use std::process::Command;
use std::time::Instant;

use mbushat::config::{Durability, Store};
use mbushat::spool::Spool;

use super::{Pi, Ward};
use crate::broker::{Broker, Subscriber, publish};
use crate::tools::tool;

#[test]
fn a_broker_that_is_not_there_is_told() {
    let Some(mut ward) = Ward::new(&Pi::three()) else { return };
    ward.broker.kill();
    assert_eq!(ward.examine("no_broker"), 1);
    ward.write(
        "etc/mbushat.toml",
        "[mqtt]\nurl = \"mqtt://no-such-host.invalid\"\n[[meter]]\nname = \"cold_water\"\naddress = 48\n",
    );
    assert_eq!(ward.examine("no_broker_name"), 1);
}

#[test]
fn one_broker_of_two_that_is_not_there_is_a_warning() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    // a port that nobody can have
    ward.append(
        &format!("\"mqtt://127.0.0.1:{}\"", ward.port()),
        &format!("[\"mqtt://127.0.0.1:1\", \"mqtt://127.0.0.1:{}\"]", ward.port()),
    );
    assert_eq!(ward.examine("one_of_two_brokers"), 0);
}

#[test]
fn a_bad_password_is_told() {
    let Some(broker) = guarded("user mbushat\ntopic readwrite #\n") else { return };
    let Some(ward) = Ward::with_broker(&Pi::three(), broker) else { return };
    ward.log_in("mbushat", "wrong");
    assert_eq!(ward.examine("bad_password"), 1);
}

#[test]
fn what_the_acl_does_not_allow_is_told() {
    let Some(broker) = guarded("user mbushat\ntopic readwrite other/#\n") else { return };
    let Some(ward) = Ward::with_broker(&Pi::three(), broker) else { return };
    ward.log_in("mbushat", "right");
    assert_eq!(ward.examine("acl"), 1);
    ward.append("[mqtt]\n", "[mqtt]\nprotocol = 3\n");
    assert_eq!(ward.examine("acl_mqtt_3"), 1);
}

#[test]
fn a_broker_without_home_assistant_and_an_agent_that_was_never_there_are_warnings() {
    let Some(mut ward) = Ward::new(&Pi::three()) else { return };
    // What an agent subscribes to does not make it Home Assistant.
    ward.listener = Subscriber::new(ward.port(), "homeassistant/device/+/config");
    publish(ward.port(), "mbushat/bridge/state", "", true);
    assert_eq!(ward.examine("no_home_assistant"), 0);
}

#[test]
fn two_agents_below_one_base_topic_and_a_strange_one_are_failures() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    let (one, two) = ("0123456789abcdef", "fedcba9876543210");
    let info = |other: &str| format!("{{\"version\":\"0.1.0\",\"instance\":\"{one}\",\"other_agent\":{other}}}");
    let find = |info: &str| {
        publish(ward.port(), "mbushat/bridge/info", info, true);
        let output = ward.mbushat(&[]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = words.split_once("failure base topic ").map(|(_, found)| found.to_owned());
        assert!(found.is_none() || text.contains("base_topic = \"mbushat/house2\""), "{text}");
        found.unwrap_or_default()
    };
    assert_eq!(find(&info("null")), "", "this machine has no store to compare it with");
    let found = find(&info(&format!("{two:?}")));
    assert!(found.contains(&format!("two agents publish below the base_topic mbushat: {one} and {two}")), "{found}");
    let directory = ward.path("var/lib/mbushat");
    let store = Store { directory, max_size_bytes: 1 << 20, durability: Durability::Outage };
    let spool = Spool::open(&store, Instant::now()).expect("not in use");
    let own = spool.instance().to_owned();
    spool.close(Instant::now());
    let found = find(&info("null"));
    assert!(found.contains(&format!("is {one}, and not this machine's, which is {own}")), "{found}");
    assert_eq!(find(&info("null").replace(one, &own)), "", "it is this machine's own");
    publish(ward.port(), "mbushat/bridge/state", "offline", true);
    assert_eq!(find(&info(&format!("{two:?}"))), "", "nobody is there");
}

/// A mosquitto with one user, `mbushat` with the password `right`, and these rules.
fn guarded(acl: &str) -> Option<Broker> {
    let passwd = tool("mosquitto_passwd")?;
    let lines = "allow_anonymous false\npassword_file FOLDER/passwd\nacl_file FOLDER/acl\n";
    let mut broker = Broker::prepare(lines)?;
    let file = broker.folder().path().join("passwd");
    let made = Command::new(passwd).args(["-b", "-c"]).arg(&file).args(["mbushat", "right"]).status();
    assert!(made.expect("mosquitto_passwd runs").success());
    broker.folder().write("acl", acl);
    broker.run();
    Some(broker)
}
