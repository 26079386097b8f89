//! Two agents under one base topic, with a real mosquitto.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::agent::{Agent, SOON, payload_of};
use crate::broker::{Broker, Folder, Subscriber, retained};
use crate::scripted::scripted;

/// An agent that reads one simulated meter of this id every second; `mqtt` are more lines of `[mqtt]`.
fn agent(port: u16, folder: &Folder, mqtt: &str, meter: &str, id: &str) -> Agent {
    Agent::start(port, &configuration(folder, mqtt, meter, id))
}

fn configuration(folder: &Folder, mqtt: &str, meter: &str, id: &str) -> String {
    let bus = format!("baud = 9600\n[[meter]]\nmodel = \"cold_water\"\naddress = 1\nid = \"{id}\"\n");
    let wire = folder.write(&format!("{id}.toml"), &bus);
    format!(
        "{mqtt}[[bus]]\nname = \"b\"\nbaud = 9600\nport = \"sim:{}\"\n[[meter]]\nname = \"{meter}\"\naddress = 1\n\
         interval = \"1s\"\n",
        wire.display()
    )
}

/// How often its log says this; what is logged may be a moment behind.
fn said(agent: &Agent, words: &str) -> usize {
    agent.log().matches(words).count()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn two_agents_under_one_base_topic_say_so_and_leave_each_others_devices_alone() {
    let Some(broker) = Broker::start() else { return };
    let folder = Folder::new();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    // both name their meter alike, as with a copied configuration
    let first = agent(broker.port, &folder, "client_id = \"one\"\n", "water", "11111111");
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/water/reading").expect("a reading");
    let mut second = agent(broker.port, &folder, "client_id = \"two\"\n", "water", "22222222");
    let event = subscriber.wait_for(SOON, |m| m.payload.contains(r#""event":"other_agent""#)).expect("an event");
    let instance = |payload: &str, field: &str| {
        let info: Value = serde_json::from_str(payload).expect("JSON");
        info[field].as_str().map(str::to_owned)
    };
    assert!(instance(&event.payload, "instance").is_some(), "{}", event.payload);
    for agent in [&first, &second] {
        until("both say so", || said(agent, "another agent publishes below the base_topic mbushat, too") == 1);
    }
    let info = payload_of(&retained(broker.port, "mbushat/#"), "mbushat/bridge/info").expect("it is kept");
    let (own, other) = (instance(&info, "instance"), instance(&info, "other_agent"));
    assert!(own.is_some() && other.is_some() && own != other, "{info}");
    let device = |id: &str| format!("homeassistant/device/mbushat/mbushat_{id}_SIM_01_16/config");
    until("both devices are there", || {
        let kept = retained(broker.port, "homeassistant/#");
        ["11111111", "22222222"].iter().all(|id| payload_of(&kept, &device(id)).is_some())
    });
    // several readings later still: until now the second one took the first one's device back within seconds
    std::thread::sleep(Duration::from_secs(5));
    let kept = retained(broker.port, "homeassistant/#");
    assert!(["11111111", "22222222"].iter().all(|id| payload_of(&kept, &device(id)).is_some()), "{kept:?}");
    for agent in [&first, &second] {
        assert_eq!(said(agent, "removes an announcement"), 0, "{}", agent.log());
        assert_eq!(said(agent, "another agent publishes"), 1, "once");
    }

    while subscriber.next(Duration::ZERO).is_some() {}
    assert!(second.end(Signal::TERM).0.success());
    let state = |payload: &str| subscriber.wait_for(SOON, |m| m.topic.ends_with("/state") && m.payload == payload);
    state("offline").expect("the second one says goodbye");
    state("online").expect("the first one is still there");
}

#[test]
fn an_agent_takes_its_own_offline_at_a_connect_for_no_other_agents() {
    let Some(broker) = Broker::start() else { return };
    let folder = Folder::new();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/bridge/state") else { return };
    let _agent = agent(broker.port, &folder, "", "water", "11111111");
    let at = |state: &str| {
        subscriber.wait_for(SOON, |m| m.payload == state).expect("it says so");
        Instant::now()
    };
    let (offline, online) = (at("offline"), at("online"));
    // Home Assistant gets two seconds for what has arrived until then
    assert!(online - offline > Duration::from_millis(1500), "{:?}", online - offline);
}

#[test]
fn two_agents_with_one_client_id_come_to_terms_in_either_version() {
    for protocol in ["\"auto\"", "3"] {
        let Some(broker) = Broker::start() else { return };
        let folder = Folder::new();
        let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
        let mqtt = format!("client_id = \"same\"\nprotocol = {protocol}\n");
        let first = agent(broker.port, &folder, &mqtt, "water", "11111111");
        subscriber.wait_for(SOON, |m| m.topic == "mbushat/water/reading").expect("a reading");
        let second = agent(broker.port, &folder, &mqtt, "gas", "22222222");
        let renamed = |agent: &Agent| said(agent, "it connects as same-");
        until("one of them takes another id", || renamed(&first) + renamed(&second) > 0);
        let heard = |agent: &Agent| said(agent, "another agent publishes below the base_topic") > 0;
        until("one hears the other", || heard(&first) || heard(&second));
        // soon nobody is thrown out any more; one of them may still be on its way back
        let connections = || said(&first, "connected to the broker") + said(&second, "connected to the broker");
        let is_quiet = |_| {
            let before = connections();
            std::thread::sleep(Duration::from_secs(6));
            connections() == before
        };
        assert!((0..4).any(is_quiet), "{}\n{}", first.log(), second.log());
        assert!(renamed(&first) <= 1 && renamed(&second) <= 1);
        assert_eq!(said(&first, "TLS") + said(&second, "TLS"), 0, "who was connected has the right port");
        while subscriber.next(Duration::ZERO).is_some() {}
        for meter in ["water", "gas"] {
            let topic = format!("mbushat/{meter}/reading");
            assert!(subscriber.wait_for(SOON, |m| m.topic == topic).is_some(), "{meter} is read and delivered");
        }
    }
}

#[test]
fn a_broker_that_says_twice_that_the_client_id_is_taken_is_given_another_one() {
    let (sender, ids) = mpsc::channel();
    let port = scripted(move |packet| match packet {
        [0x10, ..] => {
            let at = packet.windows(4).position(|bytes| bytes == b"same").expect("its client id");
            let length = usize::from(packet[at - 1]);
            sender.send(String::from_utf8_lossy(&packet[at..at + length]).into_owned()).expect("the test waits");
            Ok(vec![0x20, 3, 0, 0, 0])
        }
        // DISCONNECT: session taken over
        [0x82, ..] => Ok(vec![0xE0, 2, 0x8E, 0]),
        _ => Ok(Vec::new()),
    });
    let folder = Folder::new();
    let agent = agent(port, &folder, "client_id = \"same\"\n", "water", "11111111");
    let id = || ids.recv_timeout(SOON).expect("it connects");
    assert_eq!((id(), id()), ("same".to_owned(), "same".to_owned()));
    let another = id();
    assert!(another.strip_prefix("same-").is_some_and(|digits| digits.len() == 6), "{another}");
    assert_eq!(id(), another, "and it keeps that");
    agent.configure(port, &configuration(&folder, "client_id = \"same\"\nprotocol = 5\n", "water", "11111111"));
    agent.hangup();
    until("it is reloaded", || said(&agent, "reloaded") == 1);
    _ = ids.try_iter().count();
    assert_eq!(id(), another, "until its next start");
    assert_eq!(said(&agent, "it connects as same-"), 1, "{}", agent.log());
}
