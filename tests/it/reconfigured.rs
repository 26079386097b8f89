//! Another configuration than before: what changes with it, and what is taken back from the broker.
//!
//! Not here: one that is refused because of the store (`life_cycle`).

use std::time::{Duration, Instant};

use mbushat::mbus::decimal::Decimal;

use crate::agent::{Agent, SOON, litres, payload_of};
use crate::broker::{Broker, Received, Subscriber, publish, retained};
use crate::gateway::Gateway;

/// An agent that has heard no other one for so long is alone under its base topic.
const ALONE_AFTER: Duration = Duration::from_secs(70);

fn connections(broker: &Broker) -> usize {
    broker.log().matches("New client connected from 127.0.0.1").count() - broker.log().matches(" as auto-").count()
}

/// Waits until what the broker keeps is `right`.
fn until(within: Duration, port: u16, right: impl Fn(&[Received]) -> bool) {
    let start = Instant::now();
    while !right(&retained(port, "#")) {
        assert!(start.elapsed() < within, "{:#?}", retained(port, "#"));
    }
}

#[test]
fn a_reload_exchanges_meters_without_losing_a_reading_or_the_connection() {
    let Some(broker) = Broker::start() else { return };
    let (one, two) = (Gateway::start(), Gateway::start());
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let stays = one.config("a", [1], "1s");
    let first = stays.clone() + &two.config("b", [2, 3], "1s");
    let agent = Agent::start(broker.port, &first);
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/b_m3/reading").expect("the first configuration");
    let before = connections(&broker);

    agent.configure(broker.port, &first.replace("address = 3", "adress = 3"));
    agent.hangup();
    agent.says(&["nothing is changed", "adress"]);
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/b_m3/reading").expect("the first configuration goes on");

    agent.configure(broker.port, &(stays + &two.config("b", [3, 4], "1s")));
    agent.hangup();
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/b_m4/reading").expect("the new meter");
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/b_m3/reading").expect("the one that stays");
    until(SOON, broker.port, |kept| {
        let is_announced = kept.iter().any(|m| m.topic.contains("00001002"));
        payload_of(kept, "mbushat/b_m2/state").is_none() && !is_announced
    });
    assert_eq!(connections(&broker), before, "no reconnect: {}", broker.log());
    // the bus that did not change gave every reading
    let numbers: Vec<u64> = subscriber
        .until_quiet(Duration::from_millis(100))
        .iter()
        .filter(|m| m.topic == "mbushat/a_m1/reading")
        .filter_map(|m| litres(m).map(|(_, _, litres)| litres))
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
fn another_base_topic_reconnects_and_takes_the_old_topics_back() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1s"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("the old topic");
    let file = agent.folder().join("mbushat.toml");
    let text = std::fs::read_to_string(&file).expect("its configuration");
    std::fs::write(&file, text.replace("keep_alive", "base_topic = \"house/7\"\nkeep_alive")).expect("writable");
    publish(broker.port, "mbushat/bridge/request/reload", "", false);
    subscriber.wait_for(SOON, |m| m.topic == "house/7/w_m1/reading").expect("the new topic");
    // else it waits for a Home Assistant that may have lost the broker too
    publish(broker.port, "homeassistant/status", "online", false);
    let new = "homeassistant/device/house_7/house_7_bridge/config";
    subscriber.wait_for(SOON, |m| m.topic == new).expect("the new announcement");
    until(SOON, broker.port, |kept| {
        let is_new = |m: &Received| m.topic.starts_with("house/7/") || m.topic.contains("/house_7_");
        let is_kept = |topic: &str| kept.iter().any(|m| m.topic == topic);
        kept.iter().all(is_new) && ["house/7/bridge/state", "house/7/w_m1/state", new].into_iter().all(is_kept)
    });
}

#[test]
fn each_value_has_a_topic_of_its_own_where_that_is_asked_for() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [7], "1s"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/reading").expect("a reading");
    assert!(!retained(broker.port, "mbushat/#").iter().any(|m| m.topic.contains("/value/")), "not by itself");
    let file = agent.folder().join("mbushat.toml");
    let text = std::fs::read_to_string(&file).expect("its configuration");
    std::fs::write(&file, text.replace("keep_alive", "value_topics = true\nkeep_alive")).expect("writable");
    agent.hangup();
    let value = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/value/volume").expect("the value");
    let number: Decimal = value.payload.parse().expect("a plain number");
    assert!(number >= Decimal::new(1, -3), "{number}");
    assert!(payload_of(&retained(broker.port, "#"), "mbushat/w_m7/value/volume").is_some(), "retained");
    std::fs::write(&file, text).expect("writable");
    agent.hangup();
    let gone = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/value/volume" && m.payload.is_empty());
    assert!(gone.is_some(), "taken back where it is no longer asked for");
}

#[test]
fn announcements_that_are_not_right_are_taken_back_once_it_is_alone_though_the_store_knows_nothing() {
    let Some(broker) = Broker::start() else { return };
    let document = |id: &str, meter: &str, more: &str| {
        format!(
            r#"{{"dev":{{"ids":["{id}"],"via_device":"mbushat_bridge"}},"o":{{"name":"mbushat"}},"stat_t":"mbushat/{meter}/state","cmps":{{{more}"volume":{{"p":"sensor","uniq_id":"{id}_volume"}}}}}}"#
        )
    };
    let topic = |id: &str| format!("homeassistant/device/mbushat/{id}/config");
    let (gone, former, same, foreign) =
        ("mbushat_1_SAM_01_07", "mbushat_2_SAM_01_07", "mbushat_00001007_SAM_01_07", "other_3");
    let withdrawn = "mbushat_4_SAM_01_07";
    publish(broker.port, &topic(withdrawn), &document(withdrawn, "withdrawn", ""), true);
    publish(broker.port, &topic(gone), &document(gone, "removed", ""), true);
    publish(broker.port, "mbushat/removed/state", "{}", true);
    publish(broker.port, "mbushat/removed/availability", "online", true);
    publish(broker.port, &topic(former), &document(former, "w_m7", ""), true);
    let component = |key: &str| format!(r#""{key}":{{"p":"sensor","uniq_id":"{same}_{key}"}},"#);
    let vanished = component("power") + &component("old-one");
    publish(broker.port, &topic(same), &document(same, "w_m7", &vanished), true);
    let others = document(foreign, "w_m7", "").replace(r#""mbushat_bridge""#, r#""mbushat_house7_bridge""#);
    publish(broker.port, &topic(foreign), &others, true);

    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/w_m7/reading") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [7, 9], "2s"));
    subscriber.wait_for(SOON, |_| true).expect("a reading");
    // as if another agent did so, which had it
    publish(broker.port, &topic(withdrawn), "", true);
    let Some(discovery) = Subscriber::new(broker.port, &topic(withdrawn)) else { return };
    // else the agent waits for one that might be on its way back
    publish(broker.port, "homeassistant/status", "online", false);
    let start = Instant::now();
    until(SOON, broker.port, |kept| {
        let ours = payload_of(kept, &topic(same)).unwrap_or_default();
        // one telegram without it is not proof that it is gone
        ours.contains(r#""power":{"p":"sensor","uniq_id""#)
            && ours.contains("read-now")
            && ours.contains(r#""old-one":{"p":"sensor"}"#)
    });
    until(ALONE_AFTER + SOON, broker.port, |kept| {
        payload_of(kept, &topic(gone)).is_none()
            && payload_of(kept, &topic(former)).is_none()
            && !kept.iter().any(|m| m.topic.starts_with("mbushat/removed/"))
            && payload_of(kept, &topic(foreign)).is_some()
    });
    assert!(start.elapsed() > ALONE_AFTER - Duration::from_secs(5), "another agent might not have been heard");
    let again = discovery.wait_for(Duration::from_secs(1), |_| true);
    assert!(again.is_none(), "Home Assistant warns of a second time: {again:?}");
}
