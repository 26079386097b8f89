//! Requests over MQTT that cannot be fulfilled: each is answered, with why and with its transaction.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Subscriber, free_port, publish, retained};
use crate::gateway::Gateway;

/// The answer to this request.
fn answer(broker: &Broker, subscriber: &Subscriber, verb: &str, request: &str) -> String {
    publish(broker.port, &format!("mbushat/bridge/request/{verb}"), request, false);
    let topic = format!("mbushat/bridge/response/{verb}");
    subscriber.wait_for(SOON, |m| m.topic == topic).expect("a response").payload
}

#[test]
fn a_reload_is_answered_with_what_came_of_it() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let meters = gateway.config("w", [1], "1h");
    let agent = Agent::start(broker.port, &meters);
    let asked = r#"{"transaction":7}"#;
    let fine = r#"{"status":"ok","data":{},"error":null,"transaction":7}"#;
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    assert_eq!(answer(&broker, &subscriber, "reload", asked), fine);

    agent.configure(broker.port, &format!("{meters}\nintervall = \"1h\"\n"));
    let bad = answer(&broker, &subscriber, "reload", asked);
    assert!(bad.contains(r#""status":"error""#) && bad.contains(r#""transaction":7"#), "{bad}");
    assert!(bad.contains("did you mean `interval`?"), "{bad}");

    agent.configure(broker.port, &format!("[store]\nmax_size = \"64MiB\"\n{meters}"));
    let refused = answer(&broker, &subscriber, "reload", asked);
    assert!(refused.contains(r#""status":"error""#) && refused.contains("needs a restart"), "{refused}");

    agent.configure(broker.port, &meters);
    assert_eq!(answer(&broker, &subscriber, "reload", asked), fine);
}

#[test]
fn a_request_that_makes_no_sense_is_answered_with_why() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    for (verb, request, why) in [
        ("power", r#"{"on":true,"transaction":"t"}"#, "no Hat powers this bus"),
        ("power", r#"{"on":1,"transaction":"t"}"#, r#"\"on\" is 1, expected true or false"#),
        ("read", r#"{"meter":1,"transaction":"t"}"#, r#"\"meter\" is 1, expected a text"#),
        ("read", r#"{"address":300,"transaction":"t"}"#, r#"\"address\" is 300, expected 0 to 250"#),
        ("scan", r#"{"bus":"nowhere","transaction":"t"}"#, "no such bus"),
        ("format", r#"{"transaction":"t"}"#, "no such request"),
    ] {
        let answer = answer(&broker, &subscriber, verb, request);
        assert!(answer.contains(r#""status":"error""#) && answer.contains(why), "{verb} {request}: {answer}");
        assert!(answer.contains(r#""transaction":"t""#), "{verb} {request}: {answer}");
    }
}

#[test]
fn a_request_that_its_bus_cannot_fulfil_is_answered_at_once() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let gone = format!("[[bus]]\nname = \"gone\"\nport = \"tcp://127.0.0.1:{}\"\n", free_port());
    let meter = "[[meter]]\nname = \"nobody\"\naddress = 1\nbus = \"gone\"\n";
    let _agent = Agent::start(broker.port, &(gateway.config("w", [1], "1h") + &gone + meter));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    for (verb, request) in [("read", r#"{"meter":"nobody"}"#), ("scan", r#"{"bus":"gone"}"#)] {
        let answer = answer(&broker, &subscriber, verb, request);
        assert!(answer.contains("the bus is down: cannot connect to the gateway"), "{verb}: {answer}");
    }
}

/// The response, as JSON.
fn asked(broker: &Broker, subscriber: &Subscriber, verb: &str, request: &str) -> serde_json::Value {
    serde_json::from_str(&answer(broker, subscriber, verb, request)).expect("JSON")
}

#[test]
fn a_request_to_read_is_answered_with_the_whole_reading() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    publish(broker.port, "mbushat/bridge/request/read", r#"{"meter":"w_m1"}"#, false);
    let (mut reading, mut response) = (None, None);
    subscriber.wait_for(SOON, |message| {
        match message.topic.as_str() {
            "mbushat/w_m1/reading" => reading = Some(message.payload.clone()),
            "mbushat/bridge/response/read" => response = Some(message.payload.clone()),
            _ => {}
        }
        reading.is_some() && response.is_some()
    });
    let (reading, response) = (reading.expect("published"), response.expect("answered"));
    assert!(response.contains(&format!(r#""data":{reading}"#)), "byte for byte: {response} {reading}");
}

#[test]
fn a_meter_that_is_not_configured_is_read_for_who_asked_and_leaves_no_trace() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    gateway.meters().silent.insert(99);
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    subscriber.until_quiet(Duration::from_secs(1));
    let lines = agent.log().lines().count();
    for address in [r#"77"#, r#""77""#] {
        let request = format!(r#"{{"bus":"w","address":{address},"transaction":7}}"#);
        let answer = asked(&broker, &subscriber, "read", &request);
        assert_eq!((&answer["status"], &answer["transaction"]), (&"ok".into(), &7.into()), "{answer}");
        let reading = &answer["data"];
        assert!(reading["meter"].is_null() && reading["seq"].is_null() && reading["due_at"].is_null(), "{reading}");
        assert_eq!((&reading["device"]["id"], &reading["device"]["address"]), (&"00001077".into(), &77.into()));
        assert_eq!(reading["measurements"][0]["key"], "volume", "{reading}");
    }
    let named = asked(&broker, &subscriber, "read", r#"{"address":1}"#);
    assert!(named["data"]["meter"] == "w_m1" && named["data"]["seq"].is_null(), "{named}");
    for (request, why) in [
        (r#"{"address":99}"#, "no answer"),
        (r#"{"bus":"cellar","address":5}"#, "no such bus: cellar; there is w"),
        (r#"{"meter":"doctor"}"#, "no such meter: doctor"),
    ] {
        assert_eq!(asked(&broker, &subscriber, "read", request)["error"], why);
    }
    publish(broker.port, "mbushat/doctor/read", "", false);
    let heard = subscriber.until_quiet(Duration::from_secs(1));
    let ours = |topic: &str| topic.contains("/request/") || topic == "mbushat/bridge/info" || topic.ends_with("/read");
    assert!(heard.iter().all(|message| ours(&message.topic)), "{heard:?}");
    assert_eq!(agent.log().lines().count(), lines, "{}", agent.log());
}

#[test]
fn a_scan_outlives_a_reload_that_leaves_its_bus_as_it_is_and_one_that_changes_it_ends_it() {
    let Some(broker) = Broker::start() else { return };
    let (gateway, other) = (Gateway::start(), Gateway::start());
    gateway.meters().silent.extend(100..105);
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let scanned = gateway.config("w", [1], "1h");
    let agent = Agent::start(broker.port, &(scanned.clone() + &other.config("o", [1], "1h")));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    let scan = |transaction: u8| {
        let request = format!(r#"{{"bus":"w","transaction":{transaction}}}"#);
        publish(broker.port, "mbushat/bridge/request/scan", &request, false);
    };
    let answered = |text: &str| {
        // 251 probes through a socket: on a busy machine they take their time.
        let scanned_within = Duration::from_secs(120);
        let response = subscriber.wait_for(scanned_within, |m| m.topic.ends_with("response/scan")).expect("a response");
        let end: String = response.payload.chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
        assert!(response.payload.contains(text), "{text}: {end}\n{}", agent.log());
    };
    scan(1);
    scan(2);
    answered("is being scanned already");
    let titled = format!("{scanned}title = \"Cold water\"\n");
    agent.configure(broker.port, &(titled.clone() + &other.config("o", [1, 2], "1h")));
    agent.hangup();
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/o_m2/reading").expect("the new meter is read");
    answered(r#""error":null,"transaction":1}"#);

    scan(3);
    scan(4);
    answered("is being scanned already");
    // other meters are read without an end of the scan
    agent.configure(broker.port, &gateway.config("w", [1, 2], "1h"));
    agent.hangup();
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m2/reading").expect("the new meter is read");
    scan(5);
    answered("is being scanned already");
    let retried = gateway.config("w", [1, 2], "1h").replace("[[bus]]\n", "[[bus]]\nretries = 1\n");
    agent.configure(broker.port, &retried);
    agent.hangup();
    answered("given up: the configuration of this bus was changed");
    assert!(!agent.log().contains("does not end in time"), "{}", agent.log());
}

#[test]
fn the_level_of_the_log_is_changed_until_the_next_start_and_said() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let mut agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    let shows = |level: &str| {
        let said = format!(r#""log_level":"{level}""#);
        subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/info" && m.payload.contains(&said)).expect(level);
    };
    let answered = asked(&broker, &subscriber, "log_level", r#"{"level":"wire","transaction":7}"#);
    assert_eq!(answered.to_string(), r#"{"data":{},"error":null,"status":"ok","transaction":7}"#);
    shows("wire");
    assert!(!agent.log().contains("REQ_UD2"), "{}", agent.log());
    asked(&broker, &subscriber, "read", r#"{"meter":"w_m1"}"#);
    assert!(agent.log().contains("REQ_UD2"), "{}", agent.log());
    asked(&broker, &subscriber, "log_level", r#"{"level":"off"}"#);
    shows("off");
    let lines = agent.log().lines().count();
    asked(&broker, &subscriber, "read", r#"{"meter":"w_m1"}"#);
    assert_eq!(agent.log().lines().count(), lines, "{}", agent.log());
    let refused = asked(&broker, &subscriber, "log_level", r#"{"level":"loud","transaction":8}"#);
    assert!(refused["status"] == "error" && refused["transaction"] == 8, "{refused}");
    agent.restart();
    shows("info");
}

#[test]
fn a_restart_is_answered_then_the_agent_ends_so_that_it_is_started_again() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let mut agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    let answered = asked(&broker, &subscriber, "restart", r#"{"transaction":"r"}"#);
    assert_eq!(answered.to_string(), r#"{"data":{},"error":null,"status":"ok","transaction":"r"}"#);
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/state" && m.payload == "offline").expect("after that");
    assert_eq!(agent.wait().code(), Some(75), "not 0, which for some means that it was stopped: {}", agent.log());
    agent.restart();
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/state" && m.payload == "online").expect("it is back");
}

#[test]
fn a_scan_says_how_far_it_is_and_its_outcome_stays_for_who_comes_later() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/bridge/#") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/info").expect("it runs");
    let info = |payload: &str| serde_json::from_str::<serde_json::Value>(payload).expect("JSON");
    // who is not there costs the gateway's meters their time: a few seconds
    gateway.meters().silent.extend(100..105);
    publish(broker.port, "mbushat/bridge/request/scan", r#"{"bus":"w"}"#, false);
    let (mut percents, mut answered) = (Vec::new(), false);
    subscriber.wait_for(Duration::from_secs(120), |message| {
        if message.topic == "mbushat/bridge/info" {
            percents.extend(info(&message.payload)["buses"]["w"]["scan"]["percent"].as_u64());
        }
        answered |= message.topic == "mbushat/bridge/response/scan";
        answered && message.topic == "mbushat/bridge/info" && message.payload.contains(r#""scan":null"#)
    });
    assert!(percents.iter().any(|percent| (1..100).contains(percent)), "{percents:?}");
    assert!(percents.is_sorted(), "{percents:?}");
    let last = || info(&retained(broker.port, "mbushat/bridge/scan").first().expect("it is retained").payload);
    let last_scan = last();
    assert_eq!((&last_scan["bus"], &last_scan["error"]), (&"w".into(), &serde_json::Value::Null));
    assert!(last_scan["meters"].as_array().is_some_and(|meters| meters.len() > 50), "{last_scan}");
    answer(&broker, &subscriber, "scan", r#"{"bus":"nowhere"}"#);
    assert_eq!(last()["error"], "no such bus: nowhere; there is w");
}

#[test]
fn resend_asks_the_running_agent_to_send_again_what_was_refused() {
    let Some(broker) = Broker::start_with("allow_anonymous true\nmax_packet_size 500\n") else { return };
    let gateway = Gateway::start();
    // the labels make its readings larger than the broker takes
    let long = "x".repeat(60);
    let labels: String = (0..8).map(|n| format!("l{n} = \"{long}\", ")).collect();
    let agent =
        Agent::start(broker.port, &format!("{}labels = {{ {labels}a = \"\" }}\n", gateway.config("w", [1], "1h")));
    let config = agent.folder().join("mbushat.toml");
    let resend = || Command::new(env!("CARGO_BIN_EXE_mbushat")).args(["resend", "--config"]).arg(&config).output();
    // refused until then: asked before it is set aside, nothing is there
    let end = Instant::now() + SOON;
    let said = loop {
        let output = resend().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said != "no reading was set aside\n" && output.status.success() || Instant::now() > end {
            break said;
        }
    };
    assert_eq!(said, "1 reading is sent again\n", "{}", agent.log());
}
