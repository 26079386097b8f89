//! Meters in, messages out: what `mbushat run` publishes when all is well, and the commands that it obeys.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::agent::{Agent, SOON, litres, payload_of};
use crate::broker::{Broker, Subscriber, publish, retained};
use crate::gateway::Gateway;

#[test]
fn a_meter_is_published_with_state_reading_availability_and_announcement() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    gateway.meters().silent.insert(9);
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let mut agent = Agent::start(broker.port, &gateway.config("w", [7, 9], "2s"));
    let reading = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/reading").expect("a reading");
    assert!(!reading.retained);
    let (_, seq, litres) = litres(&reading).expect("our meter");
    assert_eq!((seq, litres), (1, 1));
    assert!(reading.payload.contains(r#""value":0.001,"unit":"m³""#), "{}", reading.payload);
    subscriber.wait_for(SOON, |m| m.payload.contains(r#""event":"meter_silent""#)).expect("the silent one is told");

    let kept = retained(broker.port, "#");
    assert_eq!(payload_of(&kept, "mbushat/bridge/state").as_deref(), Some("online"));
    assert_eq!(payload_of(&kept, "mbushat/w_m7/availability").as_deref(), Some("online"));
    assert_eq!(payload_of(&kept, "mbushat/w_m9/availability").as_deref(), Some("offline"));
    assert!(payload_of(&kept, "mbushat/w_m7/state").is_some_and(|p| p.contains(r#"{"volume":0."#)));
    assert!(payload_of(&kept, "homeassistant/device/mbushat/mbushat_00001007_SAM_01_07/config").is_some(), "{kept:?}");
    assert!(payload_of(&kept, "homeassistant/device/mbushat/mbushat_bridge/config").is_some());
    assert!(!kept.iter().any(|m| m.topic.ends_with("/reading") || m.topic.ends_with("/event")));

    gateway.meters().silent.clear();
    subscriber.wait_for(SOON, |m| m.payload.contains(r#""event":"meter_back""#)).expect("it is back");
    let (status, took) = agent.end(Signal::TERM);
    assert!(status.success() && took < Duration::from_secs(3), "{status} {took:?}\n{}", agent.log());
}

#[test]
fn bridge_info_says_who_it_is_when_it_was_published_and_when_each_meter_was_read() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    gateway.meters().silent.insert(9);
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let mut agent = Agent::start(broker.port, &gateway.config("w", [7, 9], "15m"));
    let info = |payload: &str| serde_json::from_str::<serde_json::Value>(payload).expect("JSON");
    let hex = |info: &serde_json::Value, field: &str| {
        let text = info[field].as_str().unwrap_or_default().to_owned();
        assert!(text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit()), "{field}: {info}");
        text
    };
    let first = subscriber.wait_for(SOON, |m| m.topic.ends_with("/info")).expect("at once");
    let first = info(&first.payload);
    let reading = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/reading").expect("a reading");
    assert!(agent.end(Signal::TERM).0.success());
    agent.restart();
    let again = subscriber.wait_for(SOON, |m| m.topic.ends_with("/info")).expect("at once");
    let again = info(&again.payload);
    assert_eq!(again["meters"]["w_m7"]["last_read"], info(&reading.payload)["read_at"], "{again}");
    assert_eq!(again["meters"]["w_m7"]["online"], true);
    assert_eq!(again["meters"]["w_m9"], serde_json::json!({ "last_read": null, "online": false }));
    for field in ["instance", "config"] {
        assert_eq!(hex(&again, field), hex(&first, field), "it stays over a restart");
    }
    assert_eq!(agent.checked()["config"], again["config"], "`check` says the same of the file");
    let at = |info: &serde_json::Value| info["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    assert!(at(&first) < at(&again) && at(&first).is_some(), "{first}");
    assert_eq!(again["other_agent"], serde_json::Value::Null);
}

#[test]
fn commands_are_obeyed_and_retained_ones_are_not() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    publish(broker.port, "mbushat/w_m1/read", "x", true);
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("the first reading");
    let more = subscriber.until_quiet(Duration::from_secs(2));
    assert!(!more.iter().any(|m| m.topic.ends_with("/reading")), "a retained command was obeyed");

    publish(broker.port, "mbushat/w_m1/read", "", false);
    let reading = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("read on demand");
    assert!(reading.payload.contains(r#""due_at":null"#), "{}", reading.payload);

    publish(broker.port, "mbushat/bridge/request/read", r#"{"meter":"w_m1","transaction":7}"#, false);
    let answer = subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/response/read").expect("a response");
    assert!(answer.payload.contains(r#""status":"ok""#) && answer.payload.contains(r#""transaction":7"#));
    publish(broker.port, "mbushat/bridge/request/read", r#"{"meter":"nobody"}"#, false);
    let answer = subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/response/read").expect("a response");
    assert!(answer.payload.contains("no such meter"), "{}", answer.payload);
}

#[test]
fn a_birth_of_home_assistant_is_answered_with_announcements_and_then_states() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/state").expect("the first state");
    subscriber.until_quiet(Duration::from_secs(1));
    publish(broker.port, "homeassistant/status", "online", false);
    publish(broker.port, "homeassistant/status", "online", false);
    let messages: Vec<_> = subscriber.until_quiet(Duration::from_secs(6)).into_iter().map(|m| m.topic).collect();
    let place = |topic: &str| messages.iter().position(|t| t == topic);
    let announced = place("homeassistant/device/mbushat/mbushat_00001001_SAM_01_07/config");
    let state = place("mbushat/w_m1/state");
    assert!(announced.is_some() && announced < state, "{messages:?}\n{}", agent.log());
    let announcements = messages.iter().filter(|t| t.starts_with("homeassistant/device/mbushat/mbushat_0000")).count();
    assert_eq!(announcements, 1, "debounced: {messages:?}");
}

#[test]
fn a_total_that_seems_to_fall_is_read_again_before_anybody_hears_of_it() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    gateway.meters().served.insert(1, 100);
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "2s"));
    subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("the first reading");
    // one bad reading is a fault …
    gateway.meters().instead.insert(1, vec![3]);
    let event = subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/event").expect("an event");
    assert!(event.payload.contains("counter_fault") && event.payload.contains(r#""read":0.003"#), "{}", event.payload);
    // … two are a meter that was set back
    gateway.meters().instead.insert(1, vec![40, 50]);
    let event = subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/event").expect("an event");
    assert!(event.payload.contains("counter_fell"), "{}", event.payload);
    let reading = subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("published then");
    assert_eq!(litres(&reading).map(|(_, _, litres)| litres), Some(50));
}

#[test]
fn a_total_that_fell_to_nothing_is_read_again_a_minute_later() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    gateway.meters().served.insert(1, 100);
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("the first reading");
    gateway.meters().instead.insert(1, vec![0, 0, 1]);
    publish(broker.port, "mbushat/w_m1/read", "", false);
    let reading = subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("a reading");
    assert!(reading.payload.contains(r#""value":null,"held":0,"#), "{}", reading.payload);
    let held = Instant::now();
    let event = subscriber.wait_for(3 * SOON + SOON, |m| m.topic == "mbushat/bridge/event").expect("an event");
    assert!(
        event.payload.contains(r#""counter_fell""#) && event.payload.contains(r#""to":0.001"#),
        "{}",
        event.payload
    );
    assert!(held.elapsed() >= Duration::from_secs(59), "{:?}", held.elapsed());
}

#[test]
fn after_a_connect_it_is_offline_until_everything_is_there_and_its_own_word_does_not_change_that() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    let mut seen = Vec::new();
    let online = subscriber.wait_for(SOON, |m| {
        seen.push((m.topic.clone(), m.payload.clone()));
        m.topic == "mbushat/bridge/state" && m.payload == "online"
    });
    online.expect("it comes online");
    let states = seen.iter().filter(|(topic, _)| topic == "mbushat/bridge/state").map(|(_, payload)| payload.as_str());
    assert_eq!(states.collect::<Vec<_>>(), ["offline", "online"]);
    assert!(seen.iter().any(|(topic, _)| topic == "mbushat/w_m1/availability"), "{seen:?}");
    let later = subscriber.until_quiet(Duration::from_secs(6));
    assert!(!later.iter().any(|m| m.topic == "mbushat/bridge/state"), "and stays so: {later:?}");
}
