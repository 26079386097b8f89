//! The link to a broker that does not take the last will or a subscription, acknowledges what it was not
//! sent, or is silent.

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mbushat::config::{self, Mqtt, Protocol};
use mbushat::mqtt::link::probe::{Questions, visit};
use mbushat::mqtt::link::{Fault, LinkCommand, LinkEvent, Version};
use tokio::time::timeout;

use crate::broker::{Broker, Subscriber};
use crate::mqtt::{Running, config};
use crate::scripted::{CONNACK_3, CONNACK_5, scripted};

/// The flags of a CONNECT.
fn flags(packet: &[u8]) -> Option<u8> {
    let name = packet.windows(6).position(|bytes| bytes == b"\x00\x04MQTT")?;
    packet.get(name + 7).copied().filter(|_| packet.first() == Some(&0x10))
}

const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;

/// A broker of MQTT 5 that refuses a last will with these flags, with this reason code.
fn refuses_a_will(refused: u8, code: u8) -> (u16, mpsc::Receiver<u8>) {
    let (sender, seen) = mpsc::channel();
    let port = scripted(move |packet| match (packet, flags(packet)) {
        (_, Some(flags)) => {
            sender.send(flags & (WILL | WILL_RETAIN)).expect("the test waits");
            if flags & refused == refused { Err(vec![0x20, 3, 0, code, 0]) } else { Ok(CONNACK_5.to_vec()) }
        }
        ([0x32, _, 0, 1, b't', high, low, ..], _) => Ok(vec![0x40, 2, *high, *low]),
        // ends the connection
        ([0x32, ..], _) => Err(Vec::new()),
        _ => Ok(Vec::new()),
    });
    (port, seen)
}

#[tokio::test]
async fn a_broker_that_takes_no_retained_will_gets_one_that_is_not_retained_and_that_is_remembered() {
    let (port, wills) = refuses_a_will(WILL | WILL_RETAIN, 0x9A);
    let mut link = Running::start(config(port));
    for _ in 0..2 {
        let (connection, version) = link.up().await;
        assert_eq!(version, Version::V5);
        link.publish(connection, 7, "t", b"x".to_vec(), false).await;
        assert_eq!(link.next().await, LinkEvent::Acked(7));
        link.publish(connection, 8, "another", b"x".to_vec(), false).await;
    }
    assert_eq!(wills.try_iter().collect::<Vec<_>>(), [WILL | WILL_RETAIN, WILL, WILL]);
}

#[tokio::test]
async fn a_broker_that_lets_the_user_in_without_a_will_alone_gets_none() {
    let (port, wills) = refuses_a_will(WILL, 0x87);
    let mut link = Running::start(config(port));
    let (connection, _) = link.up().await;
    link.publish(connection, 7, "t", b"x".to_vec(), false).await;
    assert_eq!(link.next().await, LinkEvent::Acked(7));
    assert_eq!(wills.try_iter().collect::<Vec<_>>(), [WILL | WILL_RETAIN, 0]);
}

#[tokio::test]
async fn a_user_who_is_not_let_in_at_all_is_asked_without_a_will_once() {
    let (port, wills) = refuses_a_will(0, 0x87);
    let mut link = Running::start(config(port));
    for _ in 0..2 {
        assert_eq!(link.down().await, Fault::NotAuthorized);
    }
    assert_eq!(wills.try_iter().collect::<Vec<_>>(), [WILL | WILL_RETAIN, 0, WILL | WILL_RETAIN]);
}

#[tokio::test]
async fn a_mosquitto_that_retains_nothing_lets_the_agent_in_and_sends_its_will() {
    let Some(broker) = Broker::start_with("allow_anonymous true\nretain_available false\n") else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let mut link = Running::start(config(broker.port));
    let LinkEvent::Up { connection, retains, .. } = link.next().await else { panic!("it lets us in") };
    assert!(!retains);
    link.publish(connection, 7, "t", b"x".to_vec(), true).await;
    assert_eq!(link.next().await, LinkEvent::Acked(7));
    // without goodbye, as soon as it runs
    drop(link);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let will = subscriber.next(Duration::from_secs(10)).expect("the last will");
    assert_eq!(will.topic, "mbushat/bridge/state");
}

#[tokio::test]
async fn the_doctor_visits_with_a_last_will_as_the_agent_does() {
    let (port, wills) = refuses_a_will(WILL | WILL_RETAIN, 0x9A);
    let config = config(port);
    let questions = Questions {
        client_id: "doctor".to_owned(),
        echo_topic: "t".to_owned(),
        listener_topic: None,
        retained: Vec::new(),
    };
    visit(&config, &config.brokers[0], &questions).await.expect("it lets us in");
    assert_eq!(wills.try_iter().collect::<Vec<_>>(), [WILL | WILL_RETAIN, WILL]);
}

/// SUBACK of a SUBSCRIBE without properties: all is granted.
fn granted(packet: &[u8]) -> Vec<u8> {
    let &[_, _, high, low, _, ref filters @ ..] = packet else { panic!("a SUBSCRIBE: {packet:?}") };
    let (mut rest, mut codes) = (filters, Vec::new());
    while let [_, length, after @ ..] = rest {
        rest = after.get(usize::from(*length) + 1..).unwrap_or_default();
        codes.push(1);
    }
    let length = u8::try_from(3 + codes.len()).expect("a few filters");
    [vec![0x90, length, high, low, 0], codes].concat()
}

/// Connects as often as the broker ends the connection, each time with these filters and a message.
async fn subscribing(link: &mut Running, seconds: u64) -> (Vec<Fault>, Vec<u64>) {
    let (mut faults, mut acked) = (Vec::new(), Vec::new());
    let end = Instant::now() + Duration::from_secs(seconds);
    while let Ok(event) = timeout(end.saturating_duration_since(Instant::now()), link.next()).await {
        match event {
            LinkEvent::Up { connection, .. } => {
                let filters = ["one", "bad", "two"].map(str::to_owned).to_vec();
                link.order(LinkCommand::Subscribe { connection, filters }).await;
                for number in 0..3 {
                    link.publish(connection, connection * 10 + number, "t", b"x".to_vec(), false).await;
                }
            }
            LinkEvent::Down { fault, .. } => faults.push(fault),
            LinkEvent::Acked(id) => acked.push(id),
            _ => {}
        }
    }
    (faults, acked)
}

#[tokio::test]
async fn a_broker_that_hangs_up_at_one_subscription_gets_the_messages_and_the_other_subscriptions() {
    let (sender, subscribed) = mpsc::channel();
    let port = scripted(move |packet| match packet {
        [0x10, ..] => Ok(CONNACK_5.to_vec()),
        [0xC0, ..] => Ok(vec![0xD0, 0]),
        [0x82, ..] if packet.windows(3).any(|bytes| bytes == b"bad") => Err(Vec::new()),
        [0x82, ..] => {
            let names = ["one", "two"].iter().filter(|name| packet.windows(3).any(|bytes| bytes == name.as_bytes()));
            names.for_each(|name| sender.send(*name).expect("the test waits"));
            Ok(granted(packet))
        }
        [0x32, _, 0, 1, b't', high, low, ..] => Ok(vec![0x40, 2, *high, *low]),
        _ => Ok(Vec::new()),
    });
    let mut link = Running::start(Mqtt { protocol: Protocol::V5, ..config(port) });
    // the waits between them are of 1, 2 and 4 s
    let (faults, acked) = subscribing(&mut link, 12).await;
    assert!(!faults.contains(&Fault::Closed), "messages are suspected: {faults:?}");
    assert_eq!(faults.len(), 3, "two to see that nothing is answered, one at the subscription: {faults:?}");
    assert_eq!(acked, [30, 31, 32, 40, 41, 42]);
    assert_eq!(subscribed.try_iter().collect::<Vec<_>>(), ["one", "one", "two"]);
}

#[tokio::test]
async fn a_broker_that_hangs_up_at_every_subscription_gets_the_messages() {
    let port = scripted(move |packet| match packet {
        [0x10, ..] => Ok(CONNACK_5.to_vec()),
        [0x82, ..] => Err(vec![0xE0, 2, 0x87, 0]),
        [0xC0, ..] => Ok(vec![0xD0, 0]),
        [0x32, _, 0, 1, b't', high, low, ..] => Ok(vec![0x40, 2, *high, *low]),
        _ => Ok(Vec::new()),
    });
    let mut link = Running::start(Mqtt { protocol: Protocol::V5, ..config(port) });
    let (faults, acked) = subscribing(&mut link, 24).await;
    assert!(!faults.contains(&Fault::Forbidden), "messages are suspected: {faults:?}");
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert_eq!(acked, [30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62]);
}

#[tokio::test]
async fn an_acknowledgement_of_what_was_not_sent_is_passed_over() {
    for (protocol, connack) in [(Protocol::V5, CONNACK_5.to_vec()), (Protocol::V3, CONNACK_3.to_vec())] {
        for other in [0, 0x40] {
            let connack = connack.clone();
            let port = scripted(move |packet| match packet {
                [0x10, ..] => Ok(connack.clone()),
                [0x32, _, 0, 1, b't', high, low, ..] => {
                    Ok(vec![0x40, 2, *high, *low, 0x40, 2, *high, *low ^ other, 0xD0, 0])
                }
                _ => Ok(Vec::new()),
            });
            let mut link = Running::start(Mqtt { protocol, ..config(port) });
            let (connection, _) = link.up().await;
            for id in 0..300 {
                link.publish(connection, id, "t", b"x".to_vec(), false).await;
                assert_eq!(link.next().await, LinkEvent::Acked(id), "{protocol:?}");
            }
        }
    }
}

fn list(ports: &[u16]) -> Mqtt {
    let brokers = ports.iter().map(|port| config::Broker { host: "127.0.0.1".to_owned(), port: *port });
    Mqtt { brokers: brokers.collect(), ..config(0) }
}

#[tokio::test]
async fn a_mute_broker_of_a_list_costs_a_few_seconds() {
    let mute = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let mute = (mute.local_addr().expect("its address").port(), mute);
    let good = scripted(|packet| match packet {
        [0x10, ..] => Ok(CONNACK_5.to_vec()),
        _ => Ok(Vec::new()),
    });
    let start = Instant::now();
    let mut link = Running::start(list(&[mute.0, good]));
    assert_eq!(link.down().await, Fault::Silent);
    link.up().await;
    assert!(start.elapsed() < Duration::from_millis(4900), "{:?}", start.elapsed());
}

#[tokio::test]
async fn brokers_of_3_1_1_that_say_nothing_to_5_are_found_in_a_list_too() {
    let old = || {
        scripted(|packet| match packet {
            [0x10, _, 0, 4, _, _, _, _, 4, ..] => Ok(CONNACK_3.to_vec()),
            _ => Ok(Vec::new()),
        })
    };
    let mut link = Running::start(list(&[old(), old()]));
    assert_eq!(link.up().await.1, Version::V3);
}
