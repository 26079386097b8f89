//! A broker that is not there: at the start, over a restart of the agent, or for a while.
//!
//! Not here: the losses of long outages (`chaos`).

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::agent::{Agent, SOON, litres, payload_of};
use crate::broker::{Broker, Subscriber, retained};
use crate::gateway::Gateway;

#[test]
fn a_restarted_broker_has_everything_again_within_ten_seconds() {
    let Some(mut broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let agent = Agent::start(broker.port, &gateway.config("w", [1, 2, 3], "1h"));
    let wanted = |port: u16| {
        let kept = retained(port, "#");
        let online = payload_of(&kept, "mbushat/bridge/state").as_deref() == Some("online");
        let all = (1..=3).all(|n| {
            payload_of(&kept, &format!("mbushat/w_m{n}/availability")).as_deref() == Some("online")
                && payload_of(&kept, &format!("mbushat/w_m{n}/state")).is_some()
                && payload_of(&kept, &format!("homeassistant/device/mbushat/mbushat_0000100{n}_SAM_01_07/config"))
                    .is_some()
        });
        online && all && payload_of(&kept, "homeassistant/device/mbushat/mbushat_bridge/config").is_some()
    };
    assert!(until_right(&broker, &wanted), "{}", agent.log());
    for _ in 0..2 {
        broker.kill();
        broker.run();
        let start = Instant::now();
        assert!(until_right(&broker, &wanted), "{}", agent.log());
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
    assert_eq!(agent.log().matches("closed the connection without a word").count(), 2, "each outage is said once");
}

fn until_right(broker: &Broker, wanted: &impl Fn(u16) -> bool) -> bool {
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if wanted(broker.port) {
            return true;
        }
    }
    false
}

#[test]
fn no_reading_is_lost_while_the_broker_is_away_and_their_numbers_have_no_gap() {
    let Some(mut broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let agent = Agent::start(broker.port, &gateway.config("w", [1, 2], "1s"));
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let mut numbers = std::collections::BTreeSet::new();
    let mut collect = |subscriber: &Subscriber, count: usize| {
        for _ in 0..count {
            let message = subscriber.wait_for(SOON, |_| true).expect("a reading");
            numbers.insert(litres(&message).expect("our meters").1);
        }
        numbers.extend(
            subscriber.until_quiet(Duration::from_millis(300)).iter().filter_map(litres).map(|(_, seq, _)| seq),
        );
    };
    // The agent stands still while the broker comes or goes, so that this subscriber misses nothing.
    subscriber.wait_for(SOON, |_| true).expect("it runs");
    agent.signal(Signal::STOP);
    collect(&subscriber, 0);
    broker.kill();
    agent.signal(Signal::CONT);
    std::thread::sleep(Duration::from_secs(4));
    agent.signal(Signal::STOP);
    broker.run();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    agent.signal(Signal::CONT);
    collect(&subscriber, 10);
    let (first, last) = (*numbers.first().expect("readings"), *numbers.last().expect("readings"));
    let missing: Vec<u64> = (first..=last).filter(|seq| !numbers.contains(seq)).collect();
    assert!(missing.is_empty(), "{missing:?} of {first}..={last}\n{}", agent.log());
    assert!(last - first >= 9);
}

#[test]
fn the_agent_starts_without_a_broker_and_waits() {
    let Some(mut broker) = Broker::prepare("allow_anonymous true\n") else { return };
    let gateway = Gateway::start();
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1s"));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(agent.log().matches("cannot be reached").count(), 1, "said once: {}", agent.log());
    broker.run();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let reading = subscriber.wait_for(SOON, |_| true).expect("readings");
    assert!(litres(&reading).is_some());
}

#[test]
fn a_restart_without_a_broker_keeps_every_reading_and_a_second_agent_is_refused() {
    let Some(mut broker) = Broker::prepare("allow_anonymous true\n") else { return };
    let gateway = Gateway::start();
    let rest = gateway.config("w", [1, 2], "1s");
    let mut agent = Agent::start(broker.port, &rest);
    std::thread::sleep(Duration::from_secs(4));
    let second = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .args(["run", "--config"])
        .arg(agent.folder().join("mbushat.toml"))
        .output()
        .expect("mbushat runs");
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another mbushat"));
    agent.end(Signal::TERM);
    broker.run();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    agent.restart();
    let mut got = std::collections::BTreeMap::new();
    let end = Instant::now() + Duration::from_secs(8);
    while let Some(message) = subscriber.next(end.saturating_duration_since(Instant::now())) {
        let (meter, seq, litres) = litres(&message).expect("our meters");
        assert_eq!(got.insert(seq, (meter, litres)), None, "sent twice");
    }
    let numbers: Vec<u64> = got.keys().copied().collect();
    assert_eq!(numbers, (1..=u64::try_from(numbers.len()).expect("few")).collect::<Vec<_>>(), "{}", agent.log());
    for meter in ["w_m1", "w_m2"] {
        let litres: Vec<u64> = got.values().filter(|(m, _)| m == meter).map(|(_, litres)| *litres).collect();
        assert_eq!(litres, (1..=u64::try_from(litres.len()).expect("few")).collect::<Vec<_>>(), "every reading served");
    }
    assert!(!agent.log().contains("no clean one"), "{}", agent.log());
}
