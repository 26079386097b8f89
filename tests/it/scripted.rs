//! The link to a broker that says what mosquitto cannot be made to say: packets by hand.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mbushat::config::{Mqtt, Protocol};
use mbushat::mqtt::link::{Fault, LinkCommand, LinkEvent, Refusal, Version};

use crate::mqtt::{Running, config};
use crate::recorder::packet_length;

/// Where a broker listens that gives `answer` to each packet, one connection after another; an `Err`
/// is its last word on that one.
pub(crate) fn scripted(answer: impl Fn(&[u8]) -> Result<Vec<u8>, Vec<u8>> + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
            'connection: while let Ok(count @ 1..) = stream.read(&mut chunk) {
                buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
                while let Some(length) = packet_length(&buffer) {
                    let rest = buffer.split_off(length);
                    let answer = answer(&buffer);
                    let (Ok(bytes) | Err(bytes)) = &answer;
                    if stream.write_all(bytes).is_err() || answer.is_err() {
                        break 'connection;
                    }
                    buffer = rest;
                }
            }
        }
    });
    port
}

/// The protocol level of a CONNECT: 4 is MQTT 3.1.1.
fn level(packet: &[u8]) -> Option<u8> {
    let name = packet.windows(6).position(|bytes| bytes == b"\x00\x04MQTT")?;
    packet.get(name + 6).copied().filter(|_| packet.first() == Some(&0x10))
}

pub(crate) const CONNACK_3: [u8; 4] = [0x20, 2, 0, 0];
pub(crate) const CONNACK_5: [u8; 5] = [0x20, 3, 0, 0, 0];

#[tokio::test]
async fn a_broker_of_3_1_1_alone_is_spoken_to_in_3_1_1_however_it_refuses_5() {
    for refusal in [vec![0x20, 2, 0, 1], vec![0x20, 3, 0, 0x84, 0], Vec::new()] {
        let said = refusal.clone();
        let port = scripted(move |packet| match level(packet) {
            Some(4) => Ok(CONNACK_3.to_vec()),
            Some(_) => Err(refusal.clone()),
            None => Ok(Vec::new()),
        });
        assert_eq!(Running::start(config(port)).up().await.1, Version::V3, "{said:?}");
        let fault = Running::start(Mqtt { protocol: Protocol::V5, ..config(port) }).down().await;
        assert!(!fault.to_string().is_empty(), "asked for 5 it stays with 5");
    }
}

#[tokio::test]
async fn a_broker_of_3_1_1_alone_is_not_asked_in_5_again_at_the_next_connect() {
    let (sender, levels) = mpsc::channel();
    let port = scripted(move |packet| {
        let level = level(packet);
        level.into_iter().for_each(|level| sender.send(level).expect("the test waits"));
        match level {
            Some(4) => Ok(CONNACK_3.to_vec()),
            _ => Err(Vec::new()),
        }
    });
    let mut link = Running::start(config(port));
    for _ in 0..2 {
        let (connection, _) = link.up().await;
        link.publish(connection, 7, "t", b"x".to_vec(), false).await;
    }
    assert_eq!(levels.try_iter().collect::<Vec<_>>(), [5, 4, 4]);
}

#[tokio::test]
async fn each_reason_code_of_a_puback_is_told_with_its_message() {
    let codes = [
        (0x00, None),
        (0x10, None),
        (0x87, Some(Refusal::NotAuthorized)),
        (0x90, Some(Refusal::Topic)),
        (0x97, Some(Refusal::Quota)),
        (0x80, Some(Refusal::Other)),
        (0x99, Some(Refusal::Other)),
    ];
    for (code, refusal) in codes {
        let port = scripted(move |packet| match packet {
            [0x10, ..] => Ok(CONNACK_5.to_vec()),
            // topic "t", then the packet id
            [0x32, _, 0, 1, b't', high, low, ..] => Ok(vec![0x40, 3, *high, *low, code]),
            _ => Ok(Vec::new()),
        });
        let mut link = Running::start(config(port));
        let (connection, _) = link.up().await;
        link.publish(connection, 7, "t", b"x".to_vec(), false).await;
        let event = link.next().await;
        assert_eq!(event, refusal.map_or(LinkEvent::Acked(7), |refusal| LinkEvent::Refused(7, refusal)), "{code:02X}");
    }
}

#[tokio::test]
async fn a_packet_that_is_cut_short_is_a_closed_connection_and_no_garbage() {
    for (protocol, connack) in [(Protocol::V5, CONNACK_5.to_vec()), (Protocol::V3, CONNACK_3.to_vec())] {
        let port = scripted(move |packet| match packet {
            [0x10, ..] => Ok(connack.clone()),
            // the beginning of a PUBLISH of 100 bytes
            _ => Err(vec![0x30, 100, 0, 1, b't']),
        });
        let mut link = Running::start(Mqtt { protocol, ..config(port) });
        let (connection, _) = link.up().await;
        link.publish(connection, 7, "t", b"x".to_vec(), false).await;
        assert_eq!(link.down().await, Fault::Closed, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_broker_that_answers_pings_but_acknowledges_nothing_is_left() {
    let port = scripted(|packet| match packet {
        [0x10, ..] => Ok(CONNACK_5.to_vec()),
        [0xC0, ..] => Ok(vec![0xD0, 0]),
        _ => Ok(Vec::new()),
    });
    let mut link = Running::start(config(port));
    let (connection, _) = link.up().await;
    link.publish(connection, 7, "t", b"x".to_vec(), false).await;
    assert_eq!(link.down().await, Fault::Unacknowledged);
}

#[tokio::test]
async fn a_broker_that_ends_the_connection_before_its_first_answer_is_not_said_to_dislike_a_message() {
    for (grants, acknowledges, expected) in
        [(false, false, Fault::Unready), (true, false, Fault::Closed), (false, true, Fault::Closed)]
    {
        let port = scripted(move |packet| match packet {
            [0x10, ..] => Ok(CONNACK_5.to_vec()),
            // its packet id, no properties, granted
            [0x82, _, high, low, ..] if grants => Ok(vec![0x90, 4, *high, *low, 0, 1]),
            [0x82, ..] => Ok(Vec::new()),
            [0x32, _, 0, 1, b'a', high, low, ..] if acknowledges => Ok(vec![0x40, 2, *high, *low]),
            _ => Err(Vec::new()),
        });
        let mut link = Running::start(config(port));
        let (connection, _) = link.up().await;
        link.order(LinkCommand::Subscribe { connection, filters: vec!["t".to_owned()] }).await;
        for (id, topic) in [(7, "a"), (8, "b")] {
            link.publish(connection, id, topic, b"x".to_vec(), false).await;
        }
        assert_eq!(link.down().await, expected);
    }
}

#[tokio::test]
async fn a_broker_that_says_nothing_to_5_is_asked_in_3_1_1() {
    let port = scripted(|packet| match level(packet) {
        Some(4) => Ok(CONNACK_3.to_vec()),
        _ => Ok(Vec::new()),
    });
    assert_eq!(Running::start(config(port)).up().await.1, Version::V3);
}

#[tokio::test]
async fn a_broker_that_wants_a_ping_every_second_may_take_longer_than_that_for_a_message() {
    let asked = Mutex::new(None);
    let port = scripted(move |packet| match packet {
        // Server Keep Alive 1
        [0x10, ..] => Ok(vec![0x20, 6, 0, 0, 3, 0x13, 0, 1]),
        [0x32, _, 0, 1, b't', high, low, ..] => {
            *asked.lock().expect("no thread panicked") = Some((Instant::now(), [*high, *low]));
            Ok(Vec::new())
        }
        _ => {
            let mut asked = asked.lock().expect("no thread panicked");
            let late = asked.take_if(|(at, _)| at.elapsed() > Duration::from_secs(4));
            let acknowledged = late.map(|(_, [high, low])| vec![0x40, 2, high, low]).unwrap_or_default();
            Ok([vec![0xD0, 0], acknowledged].concat())
        }
    });
    let mut link = Running::start(config(port));
    let (connection, _) = link.up().await;
    link.publish(connection, 7, "t", b"x".to_vec(), false).await;
    assert_eq!(link.next().await, LinkEvent::Acked(7));
}

/// A broker of MQTT 5 whose CONNACK has these properties, and which writes its last word at a retained publish.
fn able(properties: &'static [u8], at_retained: &'static [u8]) -> u16 {
    scripted(move |packet| match packet {
        [0x10, ..] => {
            let length = u8::try_from(properties.len()).expect("a few bytes");
            Ok([&[0x20, length + 3, 0, 0, length], properties].concat())
        }
        // QoS 1 and retained; topic "t", then the packet id
        [0x33, ..] => Err(at_retained.to_vec()),
        [0x32, _, 0, 1, b't', high, low, ..] => Ok(vec![0x40, 2, *high, *low]),
        _ => Ok(Vec::new()),
    })
}

#[tokio::test]
async fn a_broker_that_retains_nothing_gets_the_message_without_the_mark() {
    // Retain Available 0
    let mut link = Running::start(config(able(&[0x25, 0], &[])));
    let LinkEvent::Up { connection, retains, .. } = link.next().await else { panic!("it lets us in") };
    assert!(!retains);
    link.publish(connection, 7, "t", b"x".to_vec(), true).await;
    assert_eq!(link.next().await, LinkEvent::Acked(7));
}

#[tokio::test]
async fn a_broker_that_can_be_of_no_use_is_refused_in_words() {
    let cases: [(&'static [u8], &str); 3] = [
        // Maximum QoS 0, Maximum Packet Size 256, Receive Maximum 0
        (&[0x24, 0], "acknowledges no message"),
        (&[0x27, 0, 0, 1, 0], "more than 256 bytes"),
        (&[0x21, 0, 0], "Receive Maximum 0"),
    ];
    for (properties, words) in cases {
        let only_5 = Mqtt { protocol: Protocol::V5, ..config(able(properties, &[])) };
        let fault = Running::start(only_5).down().await.to_string();
        assert!(fault.contains(words), "{fault}");
    }
}

#[tokio::test]
async fn an_acknowledgement_counts_though_the_broker_closes_right_after_it() {
    for number in 0..20 {
        let port = scripted(|packet| match packet {
            [0x10, ..] => Ok(CONNACK_5.to_vec()),
            [0x32, _, 0, 1, b't', high, low, ..] => Err(vec![0x40, 2, *high, *low]),
            _ => Ok(Vec::new()),
        });
        let mut link = Running::start(config(port));
        let (connection, _) = link.up().await;
        link.publish(connection, 7, "t", b"x".to_vec(), false).await;
        assert_eq!(link.next().await, LinkEvent::Acked(7), "{number}");
    }
}

#[tokio::test]
async fn a_broker_that_wants_no_pings_gets_none_and_may_be_silent() {
    let (sender, pings) = mpsc::channel();
    let port = scripted(move |packet| match packet {
        // Server Keep Alive 0
        [0x10, ..] => Ok(vec![0x20, 6, 0, 0, 3, 0x13, 0, 0]),
        [0x32, _, 0, 1, b't', high, low, ..] => Ok(vec![0x40, 2, *high, *low]),
        _ => {
            sender.send(packet.to_vec()).expect("the test waits");
            Ok(Vec::new())
        }
    });
    let mut link = Running::start(config(port));
    let (connection, _) = link.up().await;
    // one and a half keep-alives, and some more
    tokio::time::sleep(Duration::from_secs(9)).await;
    link.publish(connection, 7, "t", b"x".to_vec(), false).await;
    assert_eq!(link.next().await, LinkEvent::Acked(7));
    assert!(pings.try_recv().is_err());
}

#[tokio::test]
async fn a_broker_that_wants_pings_more_often_gets_them() {
    let (sender, packets) = mpsc::channel();
    let port = scripted(move |packet| match packet {
        // Server Keep Alive 1
        [0x10, ..] => Ok(vec![0x20, 6, 0, 0, 3, 0x13, 0, 1]),
        _ => {
            sender.send(packet.to_vec()).expect("the test waits");
            Ok(vec![0xD0, 0])
        }
    });
    let mut link = Running::start(Mqtt { keep_alive: Duration::from_secs(3600), ..config(port) });
    link.up().await;
    tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            assert_eq!(packets.recv_timeout(Duration::from_secs(20)), Ok(vec![0xC0, 0]));
        }
    })
    .await
    .expect("three pings");
}

#[tokio::test]
async fn the_reason_of_a_disconnect_is_said_in_words() {
    let codes = [(0x95, "larger than it takes"), (0x8B, "shutting down"), (0x9D, "set its new address")];
    // without properties, their length may be left out
    let packets =
        codes.into_iter().flat_map(|(code, words)| [(vec![0xE0, 2, code, 0], words), (vec![0xE0, 1, code], words)]);
    for (packet, words) in packets {
        let said: &'static [u8] = packet.leak();
        let mut link = Running::start(config(able(&[], said)));
        let (connection, _) = link.up().await;
        link.publish(connection, 7, "t", b"x".to_vec(), true).await;
        let fault = link.down().await.to_string();
        assert!(fault.contains(words), "{said:02X?}: {fault}");
    }
}
