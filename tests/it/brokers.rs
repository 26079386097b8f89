//! A list of brokers, as a cluster's nodes: one after another, and nothing is lost on the way.
//!
//! Not here: what is wrong with a list in a configuration (`src/config/check/tests/mistakes.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use mbushat::config::{self, Mqtt};
use mbushat::mqtt::link::{Credentials, LinkCommand, LinkEvent};

use crate::agent::{Agent, SOON, litres};
use crate::broker::{Broker, Subscriber, free_port, retained};
use crate::gateway::Gateway;
use crate::mqtt::{Running, config};

/// In this order.
fn list(ports: &[u16]) -> Mqtt {
    let brokers = ports.iter().map(|port| config::Broker { host: "127.0.0.1".to_owned(), port: *port });
    Mqtt { brokers: brokers.collect(), ..config(0) }
}

/// The ports that could not be connected to, or were lost, until one could be.
async fn path(link: &mut Running) -> Vec<u16> {
    let mut ports = Vec::new();
    while ports.len() < 10 {
        match link.next().await {
            LinkEvent::Up { broker, .. } => {
                ports.push(broker.port);
                return ports;
            }
            LinkEvent::Down { broker, .. } => ports.push(broker.port),
            _ => {}
        }
    }
    panic!("no connection: {ports:?}")
}

#[tokio::test]
async fn the_next_broker_takes_over_and_the_first_one_is_tried_again_after_the_last() {
    let (Some(mut first), Some(mut second)) = (Broker::start(), Broker::start()) else { return };
    let (a, b, closed) = (first.port, second.port, free_port());
    let mut link = Running::start(list(&[closed, a, b]));
    assert_eq!(path(&mut link).await, [closed, a]);
    first.kill();
    assert_eq!(path(&mut link).await, [a, b]);
    first.run();
    second.kill();
    assert_eq!(path(&mut link).await, [b, closed, a]);
}

#[tokio::test]
async fn another_list_begins_with_the_broker_that_works_where_that_is_in_it() {
    let (Some(first), Some(second)) = (Broker::start(), Broker::start()) else { return };
    let (a, b, closed) = (first.port, second.port, free_port());
    let mut link = Running::start(list(&[closed, a]));
    assert_eq!(path(&mut link).await, [closed, a]);
    for (ports, expected) in [([b, a], a), ([b, closed], b)] {
        let who = Credentials { client_id: "link-test".to_owned(), will_topic: "mbushat/bridge/state".to_owned() };
        link.order(LinkCommand::Reconnect { config: Box::new(list(&ports)), who }).await;
        assert_eq!(path(&mut link).await, [expected]);
    }
}

/// The numbers and litres of one meter's readings that came to a broker.
fn readings(subscriber: &Subscriber, quiet: Duration) -> BTreeMap<u64, u64> {
    let messages = subscriber.until_quiet(quiet);
    messages.iter().filter_map(litres).map(|(_, seq, litres)| (seq, litres)).collect()
}

#[test]
fn readings_go_on_at_the_other_broker_and_none_is_lost() {
    let (Some(mut first), Some(mut second)) = (Broker::start(), Broker::start()) else { return };
    let gateway = Gateway::start();
    let subscribe =
        |broker: &Broker| Subscriber::new(broker.port, "mbushat/+/reading").expect("mosquitto_sub is there");
    let arrives = |at: &Subscriber| at.wait_for(SOON, |m| litres(m).is_some()).map(|m| litres(&m)).expect("a reading");
    let (at_first, at_second) = (subscribe(&first), subscribe(&second));
    let mut agent = Agent::start(first.port, &gateway.config("w", [1], "1s"));
    let mut seen: Vec<_> = vec![arrives(&at_first).expect("of our meter")];

    // reloaded, it knows of the other one, and stays where it is
    let file = agent.folder().join("mbushat.toml");
    let text = std::fs::read_to_string(&file).expect("its configuration");
    let url = |port| format!("\"mqtt://127.0.0.1:{port}\"");
    let both = format!("[{}, {}]", url(first.port), url(second.port));
    std::fs::write(&file, text.replace(&url(first.port), &both)).expect("its configuration");
    agent.hangup();
    while !agent.log().contains("reloaded") {
        std::thread::sleep(Duration::from_millis(50));
    }
    seen.push(arrives(&at_first).expect("of our meter"));

    first.kill();
    seen.push(arrives(&at_second).expect("of our meter"));
    let resend = || {
        let resend = Command::new(env!("CARGO_BIN_EXE_mbushat")).args(["--config"]).arg(&file).arg("resend").output();
        assert_eq!(String::from_utf8_lossy(&resend.expect("it runs").stdout), "no reading was set aside\n");
    };
    resend();
    first.run();
    // the first one of the list is there again, the agent is still at the other
    resend();
    let again = subscribe(&first);
    second.kill();
    seen.push(arrives(&again).expect("of our meter"));
    assert!(agent.end(rustix::process::Signal::TERM).0.success());

    let mut all: BTreeMap<u64, u64> = seen.into_iter().map(|(_, seq, litres)| (seq, litres)).collect();
    for subscriber in [&at_first, &at_second, &again] {
        all.extend(readings(subscriber, Duration::from_millis(300)));
    }
    // the meter counts in litres how often it was read
    let served = *gateway.meters().served.get(&1).expect("it was read");
    let arrived: BTreeSet<u64> = all.values().copied().collect();
    assert!((1..served).all(|litres| arrived.contains(&litres)), "{all:?} of {served}\n{}", agent.log());
    let log = agent.log();
    for port in [first.port, second.port] {
        assert!(log.contains(&format!("connected to the broker 127.0.0.1:{port} with")), "{log}");
        assert!(log.contains(&format!("the broker 127.0.0.1:{port} closed the connection")), "{log}");
    }
}

#[test]
fn a_move_to_another_broker_and_base_topic_leaves_nothing_at_the_old_one() {
    let (Some(first), Some(second)) = (Broker::start(), Broker::start()) else { return };
    let gateway = Gateway::start();
    let at_second = Subscriber::new(second.port, "house/+/reading").expect("mosquitto_sub is there");
    let agent = Agent::start(first.port, &gateway.config("w", [1], "1s"));
    let is_announced = || retained(first.port, "homeassistant/#").len() == 2;
    let until = Instant::now() + SOON;
    while !is_announced() {
        assert!(Instant::now() < until, "{}", agent.log());
    }
    agent.configure(second.port, &format!("base_topic = \"house\"\n{}", gateway.config("w", [1], "1s")));
    agent.hangup();
    at_second.wait_for(SOON, |_| true).expect("it is read there");
    let left = retained(first.port, "#");
    assert!(left.is_empty(), "{left:?}\n{}", agent.log());
}
