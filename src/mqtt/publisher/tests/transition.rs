//! What Home Assistant sees, message by message, when the values of a meter get another meaning.

use super::*;
use crate::mqtt::link::Refusal;
use crate::mqtt::payload::{OFFLINE, ONLINE};
use crate::mqtt::publisher::listener::Listener;

const LITRES: &str = "[[meter.record]]\nquantity = \"volume\"\nunit = \"L\"\n";
const STATE: &str = "mbushat/gas/state";

/// What is published of the gas meter: its document, or the volume in its state.
#[derive(Debug, PartialEq)]
enum Seen {
    Unit(String),
    Volume(Value),
    Agent(String),
}

fn seen(messages: &[Publish]) -> Vec<Seen> {
    let json = |message: &Publish| serde_json::from_slice::<Value>(&message.payload).unwrap_or_default();
    let one = |message: &Publish| match message.topic.as_str() {
        STATE => Some(Seen::Volume(json(message)["volume"].clone())),
        "mbushat/bridge/state" => Some(Seen::Agent(text(message.payload.clone()))),
        own if own == topic(0x1001) => {
            Some(Seen::Unit(json(message)["cmps"]["volume"]["unit_of_meas"].as_str().unwrap_or_default().to_owned()))
        }
        _ => None,
    };
    messages.iter().filter_map(one).collect()
}

fn unit(unit: &str) -> Seen {
    Seen::Unit(unit.to_owned())
}

fn agent(state: &str) -> Seen {
    Seen::Agent(state.to_owned())
}

#[test]
fn a_number_in_another_unit_comes_after_null_and_after_the_announcement() {
    for restart in [false, true] {
        let place = Place::new(if restart { "unit-restart" } else { "unit" });
        let mut publisher = place.start(&format!("{HAT}{GAS}"));
        publisher.up();
        read(&mut publisher, "gas", 0x1001, VOLUME);
        let first = seen(&go_on(&mut publisher));
        assert_eq!(first[1..], [unit("m³"), Seen::Volume(json!(12.345)), agent(ONLINE)], "nothing was there before");
        let changed = format!("{HAT}{GAS}{LITRES}");
        if restart {
            stop(publisher);
            publisher = place.start(&changed);
            publisher.up();
            let again = seen(&go_on(&mut publisher));
            let shown = [unit("m³"), Seen::Volume(Value::Null), agent(ONLINE), unit("L"), Seen::Volume(json!(12345))];
            assert_eq!((&again[0], &again[1..]), (&agent(OFFLINE), &shown[..]));
        } else {
            let start = publisher.now;
            publisher.listener = Listener::There;
            publisher.reconfigure(place.config(&changed));
            assert_eq!(
                seen(&go_on(&mut publisher)),
                [Seen::Volume(Value::Null), unit("L"), Seen::Volume(json!(12345))]
            );
            assert_eq!(
                publisher.now - start,
                Duration::from_secs(2),
                "Home Assistant had a moment for the announcement"
            );
        }
        read(&mut publisher, "gas", 0x1001, VOLUME);
        assert_eq!(seen(&go_on(&mut publisher)), [Seen::Volume(json!(12345))]);
        stop(publisher);
    }
}

#[test]
fn each_step_waits_for_the_one_before_and_readings_meanwhile_are_not_lost() {
    let place = Place::new("steps");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    publisher.up();
    read(&mut publisher, "gas", 0x1001, VOLUME);
    go_on(&mut publisher);
    publisher.reconfigure(place.config(&format!("{HAT}{GAS}{LITRES}")));
    // the broker is away: readings come, and nothing of the old meaning is replaced
    publisher.outbox.down(false, publisher.now);
    for volume in ["0C 13 46 23 01 00", "0C 13 47 23 01 00"] {
        read(&mut publisher, "gas", 0x1001, volume);
        publisher.advance();
        assert_eq!(document(&publisher, Class::State, STATE)["volume"], Value::Null);
    }
    publisher.now += Duration::from_secs(3600);
    let announced = publisher.outbox.get(Class::Announcement, &topic(0x1001)).expect("the old one").to_vec();
    assert!(text(announced).contains("m³"));
    // it is back, and lost again after each message
    publisher.up();
    for (announced, volume) in [("m³", Value::Null), ("L", Value::Null)] {
        let now = publisher.now;
        let sent = messages(&mut publisher, now);
        assert_eq!(seen(&sent), [agent(OFFLINE), unit(announced), Seen::Volume(volume)]);
        publisher.listener = Listener::There;
        publisher.advance();
        publisher.outbox.down(false, publisher.now);
        publisher.up();
    }
    let rest = seen(&go_on(&mut publisher));
    assert_eq!(rest[..3], [agent(OFFLINE), unit("L"), Seen::Volume(Value::Null)], "after a connect all is sent again");
    assert!(rest[3..].contains(&Seen::Volume(json!(12347))), "the newest: {rest:?}");
    assert!(!rest.contains(&Seen::Volume(json!(12346))), "{rest:?}");
    stop(publisher);
}

/// Lets the broker refuse what is published on `refused`, for so many seconds: what it gets.
fn serve(publisher: &mut Publisher, refused: &str, seconds: u64) -> Vec<Seen> {
    let mut all = Vec::new();
    for _ in 0..seconds {
        publisher.advance();
        loop {
            match publisher.outbox.next(publisher.now) {
                Next::Publish(message) if message.topic == refused => {
                    publisher.outbox.refused(message.id, Refusal::NotAuthorized, publisher.now);
                }
                Next::Publish(message) => {
                    publisher.outbox.acked(message.id);
                    all.extend(seen(&[message]));
                }
                Next::Subscribe => {}
                _ => break,
            }
        }
        publisher.now += Duration::from_secs(1);
    }
    all
}

#[test]
fn an_announcement_that_the_broker_refuses_does_not_hold_the_state_back() {
    let place = Place::new("refused-announcement");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    publisher.up();
    read(&mut publisher, "gas", 0x1001, VOLUME);
    go_on(&mut publisher);
    publisher.listener = Listener::There;
    publisher.reconfigure(place.config(&format!("{HAT}{GAS}{LITRES}")));
    read(&mut publisher, "gas", 0x1001, VOLUME);
    let seen = serve(&mut publisher, &topic(0x1001), 10);
    assert_eq!(seen, [Seen::Volume(Value::Null), Seen::Volume(json!(12345))]);
    stop(publisher);
}

#[test]
fn the_agent_is_online_once_all_has_arrived_that_the_broker_takes() {
    let place = Place::new("arrival");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, VOLUME);
    publisher.up();
    // one message stays on its way
    let mut last = None;
    while let next @ (Next::Publish(_) | Next::Subscribe) = publisher.outbox.next(publisher.now) {
        if let Next::Publish(message) = next {
            last.replace(message.id).into_iter().for_each(|id| _ = publisher.outbox.acked(id));
        }
    }
    let is_online = |publisher: &Publisher| {
        publisher.outbox.get(Class::BridgeState, "mbushat/bridge/state") == Some(ONLINE.as_bytes())
    };
    publisher.now += Duration::from_secs(59);
    publisher.advance();
    assert!(!is_online(&publisher));
    publisher.outbox.acked(last.expect("several messages"));
    publisher.advance();
    assert!(!is_online(&publisher), "Home Assistant needs a moment");
    publisher.now += Duration::from_secs(1);
    publisher.advance();
    assert!(is_online(&publisher), "after a minute in any case");

    publisher.up();
    let seen = serve(&mut publisher, &topic(0x1001), 4);
    assert_eq!(seen, [agent(OFFLINE), Seen::Volume(json!(12.345)), agent(ONLINE)]);
    publisher.outbox.down(false, publisher.now);
    publisher.go_offline();
    publisher.now += Duration::from_secs(100);
    publisher.advance();
    assert!(!is_online(&publisher), "without a connection it is not");
    stop(publisher);
}

#[test]
fn a_home_assistant_that_is_away_is_waited_for_but_not_forever() {
    let wait = |said: &str| {
        let place = Place::new(&format!("listener-{said}"));
        let mut publisher = place.start(&format!("{HAT}{GAS}"));
        publisher.up();
        read(&mut publisher, "gas", 0x1001, VOLUME);
        go_on(&mut publisher);
        publisher.now += Duration::from_secs(1000);
        match said {
            "born" => publisher.listener = Listener::There,
            "gone" => publisher.heard_listener(false, publisher.now),
            "nothing since the connect" => publisher.up(),
            _ => {}
        }
        let start = publisher.now;
        publisher.reconfigure(place.config(&format!("{HAT}{GAS}{LITRES}")));
        go_on(&mut publisher);
        (publisher.now - start).as_secs()
    };
    let waits = ["born", "gone", "nothing since the connect", "nothing for long"].map(wait);
    assert_eq!(waits, [2, 302, 22, 2], "and two seconds for the announcement");
}

#[test]
fn a_class_that_a_rule_changes_and_the_values_of_another_meter_are_no_different() {
    let place = Place::new("classes");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    publisher.up();
    read(&mut publisher, "gas", 0x1001, BOTH);
    go_on(&mut publisher);
    let class = "[[meter.record]]\nquantity = \"volume\"\ndevice_class = \"water\"\n";
    publisher.reconfigure(place.config(&format!("{HAT}{GAS}{class}")));
    read(&mut publisher, "gas", 0x1001, BOTH);
    publisher.advance();
    let state = document(&publisher, Class::State, STATE);
    assert_eq!((&state["volume"], &state["volume_flow"]), (&Value::Null, &json!(0.016)), "the others go on");
    go_on(&mut publisher);
    read(&mut publisher, "gas", 0x2002, BOTH);
    let state = document(&publisher, Class::State, STATE);
    assert_eq!((&state["volume"], &state["volume_flow"]), (&Value::Null, &Value::Null));
    go_on(&mut publisher);
    assert_eq!(document(&publisher, Class::State, STATE)["volume"], json!(12.345));
    stop(publisher);
}

#[test]
fn nothing_is_taken_for_granted_where_the_store_was_lost() {
    for may_be_anothers in [false, true] {
        let place = Place::new(if may_be_anothers { "unit-lost-held" } else { "unit-lost" });
        let mut publisher = place.start(&format!("{HAT}{GAS}"));
        publisher.up();
        read(&mut publisher, "gas", 0x1001, VOLUME);
        go_on(&mut publisher);
        let old = document(&publisher, Class::Announcement, &topic(0x1001)).to_string();
        stop(publisher);
        place.lose_the_store();
        let mut publisher = place.start(&format!("{HAT}{GAS}{LITRES}"));
        publisher.announcements.hold_back(may_be_anothers);
        publisher.up();
        publisher.found(&topic(0x1001), old.as_bytes());
        go_on(&mut publisher);
        read(&mut publisher, "gas", 0x1001, VOLUME);
        assert_eq!(seen(&go_on(&mut publisher)), [Seen::Volume(Value::Null), unit("L"), Seen::Volume(json!(12345))]);
        stop(publisher);
    }
}

#[test]
fn a_device_that_moves_to_another_name_has_no_old_number_when_it_gets_there() {
    let place = Place::new("moves");
    let heat = GAS.replace("\"gas\"", "\"heat\"").replace("address = 5", "address = 6");
    let exchanged = GAS.replace("= 5", "= 6") + &heat.replace("= 6", "= 5");
    let mut publisher = place.start(&format!("{HAT}{GAS}{heat}"));
    publisher.up();
    read(&mut publisher, "gas", 0x1001, VOLUME);
    read(&mut publisher, "heat", 0x2002, VOLUME);
    go_on(&mut publisher);
    publisher.listener = Listener::There;
    publisher.reconfigure(place.config(&format!("{HAT}{exchanged}")));
    let mut moves = |meter: &str, id: u32| {
        read(&mut publisher, meter, id, VOLUME);
        let sent = go_on(&mut publisher);
        let json = |message: &Publish| serde_json::from_slice::<Value>(&message.payload).unwrap_or_default();
        let told = sent.iter().filter_map(|message| match message.topic.strip_suffix("/state") {
            Some(state) => Some(format!("{state} {}", json(message)["volume"])),
            None if message.topic.contains("_KAM_") => {
                Some(format!("{} {}", &message.topic[29..45], json(message)["stat_t"].as_str().unwrap_or("gone")))
            }
            None => None,
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        moves("gas", 0x2002),
        [
            "mbushat/gas null",
            "mbushat/heat null",
            "mbushat_00001001 mbushat/bridge/nowhere",
            "mbushat_00002002 mbushat/gas/state",
            "mbushat/gas 12.345"
        ]
    );
    assert_eq!(
        moves("heat", 0x1001),
        ["mbushat/heat null", "mbushat_00001001 mbushat/heat/state", "mbushat/heat 12.345"]
    );
    stop(publisher);
}

#[test]
fn a_rule_leaves_the_values_alone_that_it_is_not_about() {
    let place = Place::new("others-stay");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    publisher.up();
    read(&mut publisher, "gas", 0x1001, BOTH);
    go_on(&mut publisher);
    let flow = document(&publisher, Class::State, STATE)["volume_flow"].clone();
    assert!(flow.is_number());
    for (rule, volume) in [("unit = \"L\"\n", json!(12345)), ("unit = \"L\"\nscale = 2\n", json!(24690))] {
        publisher.reconfigure(place.config(&format!("{HAT}{GAS}[[meter.record]]\nquantity = \"volume\"\n{rule}")));
        let sent = go_on(&mut publisher);
        let states: Vec<Value> = sent.iter().filter(|m| m.topic == STATE).map(|m| json_of(&m.payload)).collect();
        let shown: Vec<_> = states.iter().map(|state| (&state["volume"], &state["volume_flow"])).collect();
        assert_eq!(shown, [(&Value::Null, &flow), (&volume, &flow)], "{rule}");
    }
    stop(publisher);
}

fn json_of(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or_default()
}
