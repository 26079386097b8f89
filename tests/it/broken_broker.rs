//! The link to a broker that breaks the protocol or its word.

use mbushat::config::{Mqtt, PasswordSource, Protocol};
use mbushat::mqtt::link::{Fault, LinkCommand, LinkEvent, Refusal};

use crate::broker::Folder;
use crate::mqtt::{Running, config};
use crate::scripted::{CONNACK_5, scripted};

#[tokio::test]
async fn a_topic_alias_that_was_never_set_costs_that_connection_alone() {
    let port = scripted(|packet| match packet {
        [0x10, ..] => Ok(CONNACK_5.to_vec()),
        // PUBLISH, QoS 0: an empty topic, Topic Alias 65535, "x"
        [0x32, _, 0, 1, b'a', ..] => Ok(vec![0x30, 7, 0, 0, 3, 0x23, 0xFF, 0xFF, b'x']),
        [0x32, _, 0, 1, b't', high, low, ..] => Ok(vec![0x40, 2, *high, *low]),
        _ => Ok(Vec::new()),
    });
    let mut link = Running::start(Mqtt { protocol: Protocol::V5, ..config(port) });
    let (connection, _) = link.up().await;
    link.publish(connection, 7, "a", b"x".to_vec(), false).await;
    assert_eq!(link.down().await, Fault::Alias);
    let (connection, _) = link.up().await;
    link.publish(connection, 8, "t", b"x".to_vec(), false).await;
    assert_eq!(link.next().await, LinkEvent::Acked(8));
}

#[tokio::test]
async fn a_broker_that_closes_faster_than_it_answers_a_subscription_is_found_out_in_the_end() {
    let port = scripted(|packet| match packet {
        [0x10, ..] => Ok(CONNACK_5.to_vec()),
        [0x82, ..] => Ok(Vec::new()),
        _ => Err(Vec::new()),
    });
    let mut link = Running::start(Mqtt { protocol: Protocol::V5, ..config(port) });
    let mut faults = Vec::new();
    for _ in 0..5 {
        let (connection, _) = link.up().await;
        link.order(LinkCommand::Subscribe { connection, filters: vec!["t".to_owned()] }).await;
        link.publish(connection, 7, "a", b"x".to_vec(), false).await;
        faults.push(link.down().await);
    }
    use Fault::{Closed, Unready};
    assert_eq!(faults, [Unready, Unready, Closed, Closed, Closed]);
}

#[tokio::test]
async fn what_is_longer_than_mqtt_can_carry_ends_nothing() {
    let port = scripted(|packet| match packet {
        [0x10, ..] => Ok(CONNACK_5.to_vec()),
        [0x32, _, 0, 1, b't', high, low, ..] => Ok(vec![0x40, 2, *high, *low]),
        _ => Ok(Vec::new()),
    });
    let mut link = Running::start(config(port));
    let (connection, _) = link.up().await;
    link.publish(connection, 7, &"t".repeat(65_536), b"x".to_vec(), false).await;
    assert_eq!(link.next().await, LinkEvent::Refused(7, Refusal::Topic));
    link.publish(connection, 8, "t", b"x".to_vec(), false).await;
    assert_eq!(link.next().await, LinkEvent::Acked(8));
    let folder = Folder::new();
    let password = Some(PasswordSource::File(folder.write("password", &"x".repeat(65_536))));
    let mut link = Running::start(Mqtt { username: Some("u".to_owned()), password, ..config(port) });
    assert!(matches!(link.down().await, Fault::PasswordFile(_)));
}
