//! The link to the broker, against a real mosquitto.
//!
//! Not here: TLS (`tls`), what mosquitto cannot be made to say (`scripted`).

use std::time::{Duration, Instant};

use mbushat::config::{self, Mqtt, PasswordSource, Protocol};
use mbushat::mqtt::link::{self, Credentials, Fault, LinkCommand, LinkEvent, Publish, Refusal, Version};
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::broker::{Broker, Folder, Proxy, Subscriber, free_port, publish, retained};
use crate::tools::skipped;

pub(crate) fn config(port: u16) -> Mqtt {
    Mqtt {
        brokers: vec![config::Broker { host: "127.0.0.1".to_owned(), port }],
        tls: None,
        username: None,
        password: None,
        client_id: None,
        base_topic: "mbushat".to_owned(),
        protocol: Protocol::Auto,
        keep_alive: Duration::from_secs(5),
        retain_state: true,
        value_topics: false,
    }
}

/// The same at another host.
pub(crate) fn at(host: &str, port: u16) -> Mqtt {
    Mqtt { brokers: vec![config::Broker { host: host.to_owned(), port }], ..config(port) }
}

/// A link that runs, with both ends in the test's hands.
pub(crate) struct Running {
    orders: mpsc::Sender<LinkCommand>,
    events: mpsc::Receiver<LinkEvent>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(config: Mqtt) -> Self {
        let who = Credentials { client_id: "link-test".to_owned(), will_topic: "mbushat/bridge/state".to_owned() };
        let (orders, for_link) = mpsc::channel(100);
        let (to_us, events) = mpsc::channel(100);
        let task = tokio::spawn(link::run(config, who, for_link, to_us));
        Self { orders, events, task }
    }

    pub(crate) async fn next(&mut self) -> LinkEvent {
        let event = timeout(Duration::from_secs(20), self.events.recv()).await;
        event.expect("an event within 20 s").expect("the link runs")
    }

    pub(crate) async fn up(&mut self) -> (u64, Version) {
        let mut faults = Vec::new();
        while faults.len() < 8 {
            match self.next().await {
                LinkEvent::Up { connection, version, .. } => return (connection, version),
                LinkEvent::Down { fault, .. } => faults.push(fault),
                _ => {}
            }
        }
        panic!("never up: {faults:?}")
    }

    pub(crate) async fn down(&mut self) -> Fault {
        loop {
            if let LinkEvent::Down { fault, .. } = self.next().await {
                return fault;
            }
        }
    }

    pub(crate) async fn order(&self, order: LinkCommand) {
        self.orders.send(order).await.expect("the link runs");
    }

    pub(crate) async fn publish(&self, connection: u64, id: u64, topic: &str, payload: Vec<u8>, retain: bool) {
        let message = Publish { id, topic: topic.to_owned(), payload, retain };
        self.order(LinkCommand::Publish { connection, message }).await;
    }
}

#[tokio::test]
async fn each_publish_is_acknowledged_by_its_own_id() {
    let Some(broker) = Broker::start() else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "t/#") else { return };
    let mut link = Running::start(config(broker.port));
    let (connection, version) = link.up().await;
    assert_eq!(version, Version::V5);
    for id in 1000..1050 {
        link.publish(connection, id, &format!("t/{id}"), b"x".to_vec(), false).await;
        if id % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for id in 1000..1050 {
        assert_eq!(link.next().await, LinkEvent::Acked(id));
    }
    for id in 1000..1050 {
        let message = subscriber.next(Duration::from_secs(5)).expect("delivered");
        assert_eq!(message.topic, format!("t/{id}"));
    }
}

#[tokio::test]
async fn an_announcement_of_sixty_kilobytes_passes_in_both_versions() {
    let Some(broker) = Broker::start() else { return };
    for (protocol, version) in [(Protocol::V5, Version::V5), (Protocol::V3, Version::V3)] {
        let mut link = Running::start(Mqtt { protocol, ..config(broker.port) });
        let (connection, spoken) = link.up().await;
        assert_eq!(spoken, version);
        link.orders.send(LinkCommand::Subscribe { connection, filters: vec!["big".to_owned()] }).await.expect("runs");
        link.publish(connection, 1, "big", vec![b'x'; 60_000], false).await;
        let mut acked = false;
        let mut came = 0;
        while !acked || came == 0 {
            match link.next().await {
                LinkEvent::Acked(1) => acked = true,
                LinkEvent::Message { topic, payload, .. } if topic == "big" => came = payload.len(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(came, 60_000);
        link.orders.send(LinkCommand::Disconnect).await.expect("runs");
        link.task.await.expect("ends");
    }
}

#[tokio::test]
async fn a_packet_larger_than_the_broker_takes_is_refused_alone() {
    let Some(broker) = Broker::start_with("allow_anonymous true\nmax_packet_size 2000\n") else { return };
    let mut link = Running::start(config(broker.port));
    let (connection, _) = link.up().await;
    link.publish(connection, 1, "t", vec![b'x'; 3000], false).await;
    assert_eq!(link.next().await, LinkEvent::Refused(1, Refusal::TooLarge));
    link.publish(connection, 2, "t", vec![b'x'; 1000], false).await;
    assert_eq!(link.next().await, LinkEvent::Acked(2));
}

#[tokio::test]
async fn a_topic_that_is_not_allowed_is_refused_with_its_reason() {
    let acl = Folder::new();
    let file = acl.write("acl", "topic readwrite allowed/#\n");
    let lines = format!("allow_anonymous true\nacl_file {}\n", file.display());
    let Some(broker) = Broker::start_with(&lines) else { return };
    let mut link = Running::start(config(broker.port));
    let (connection, _) = link.up().await;
    link.publish(connection, 1, "forbidden/x", b"x".to_vec(), false).await;
    link.publish(connection, 2, "allowed/x", b"x".to_vec(), false).await;
    let refused = link.next().await;
    assert_eq!(refused, LinkEvent::Refused(1, Refusal::NotAuthorized), "{}", broker.log());
    assert_eq!(link.next().await, LinkEvent::Acked(2));
}

#[tokio::test]
async fn a_killed_broker_is_found_again_and_old_orders_are_dropped() {
    let Some(mut broker) = Broker::start() else { return };
    let mut link = Running::start(config(broker.port));
    let (first, _) = link.up().await;
    broker.kill();
    assert_eq!(link.down().await, Fault::Closed);
    assert!(matches!(link.down().await, Fault::Unreachable(_)));
    link.publish(first, 1, "old", b"x".to_vec(), true).await;
    broker.run();
    let (second, version) = link.up().await;
    assert!(second > first);
    assert_eq!(version, Version::V5, "a broker that restarts is not an old broker");
    link.publish(first, 2, "old", b"x".to_vec(), true).await;
    link.publish(second, 3, "new", b"x".to_vec(), true).await;
    assert_eq!(link.next().await, LinkEvent::Acked(3));
    let topics: Vec<_> = retained(broker.port, "#").into_iter().map(|m| m.topic).collect();
    assert_eq!(topics, ["new"]);
}

#[tokio::test]
async fn a_goodbye_takes_the_will_back_and_a_broken_connection_leaves_it() {
    let Some(broker) = Broker::start() else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    for (goodbye, will) in [(true, false), (false, true)] {
        let mut link = Running::start(config(broker.port));
        let (connection, _) = link.up().await;
        link.publish(connection, 1, "mbushat/bridge/state", b"online".to_vec(), true).await;
        assert_eq!(link.next().await, LinkEvent::Acked(1));
        if goodbye {
            link.orders.send(LinkCommand::Disconnect).await.expect("runs");
            drop(link.orders);
        } else {
            link.task.abort();
        }
        _ = link.task.await;
        let got: Vec<_> = subscriber.until_quiet(Duration::from_secs(1)).into_iter().map(|m| m.payload).collect();
        assert_eq!(got.contains(&"offline".to_owned()), will, "{got:?}");
    }
}

#[tokio::test]
async fn a_frozen_broker_is_noticed_within_one_and_a_half_keep_alives() {
    let Some(broker) = Broker::start() else { return };
    let mut link = Running::start(config(broker.port));
    link.up().await;
    broker.signal(Signal::STOP);
    let start = Instant::now();
    let fault = link.down().await;
    let took = start.elapsed();
    broker.signal(Signal::CONT);
    assert_eq!(fault, Fault::Silent);
    assert!(took < Duration::from_millis(8500), "{took:?}");
    link.up().await;
}

#[tokio::test]
async fn a_wrong_password_is_named_and_the_file_is_read_again() {
    let Some(program) = crate::tools::tool("mosquitto_passwd") else { return };
    let folder = Folder::new();
    let users = folder.path().join("users");
    let made = std::process::Command::new(program).args(["-c", "-b"]).arg(&users).args(["u", "right"]).output();
    assert!(made.is_ok_and(|o| o.status.success()));
    let lines = format!("allow_anonymous false\npassword_file {}\n", users.display());
    let Some(broker) = Broker::start_with(&lines) else { return };
    for (protocol, version) in [(Protocol::Auto, Version::V5), (Protocol::V3, Version::V3)] {
        let secret = folder.write("secret", "wrong\n");
        let mut link = Running::start(Mqtt {
            protocol,
            username: Some("u".to_owned()),
            password: Some(PasswordSource::File(secret.clone())),
            ..config(broker.port)
        });
        let fault = link.down().await;
        assert!(matches!(fault, Fault::Credentials | Fault::NotAuthorized), "{fault:?}");
        assert!(fault.to_string().contains("password"));
        std::fs::remove_file(&secret).expect("still there");
        assert!(matches!(link.down().await, Fault::PasswordFile(_)));
        folder.write("secret", "right\n");
        assert_eq!(link.up().await.1, version);
    }
}

#[tokio::test]
async fn an_unknown_name_and_a_closed_port_are_told_apart() {
    let mut link = Running::start(at("no-such-host.invalid", 1883));
    assert_eq!(link.down().await, Fault::NameNotFound);
    let mut link = Running::start(config(free_port()));
    assert!(matches!(link.down().await, Fault::Unreachable(_)));
}

#[tokio::test]
async fn an_ipv6_address_is_connected_to() {
    let Some(mut broker) = Broker::prepare("allow_anonymous true\n") else { return };
    let path = broker.folder().path().join("mosquitto.conf");
    let text = std::fs::read_to_string(&path).expect("its config").replace("127.0.0.1", "::1");
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        skipped("this machine has no IPv6 loopback");
        return;
    }
    std::fs::write(&path, format!("{text}listener {} 127.0.0.1\n", free_port())).expect("its config");
    // wait for it on IPv6 ourselves
    let port = broker.port;
    let second = std::fs::read_to_string(&path).expect("its config");
    broker.port = second.lines().last().and_then(|l| l.split(' ').nth(1)).and_then(|p| p.parse().ok()).expect("a port");
    broker.run();
    let mut link = Running::start(at("::1", port));
    assert_eq!(link.up().await.1, Version::V5);
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_packets_comes_back_every_time() {
    let Some(broker) = Broker::start() else { return };
    // CONNECT takes about 70 bytes; after it some connections are cut inside a publish
    let proxy = Proxy::new(broker.port, |n| (n < 6).then_some(100 + 37 * n));
    let mut link = Running::start(config(proxy.port));
    let mut ups = 0;
    loop {
        match link.next().await {
            LinkEvent::Up { connection, .. } => {
                ups += 1;
                for id in 0..5 {
                    link.publish(connection, id, "t", vec![b'x'; 100], false).await;
                }
            }
            LinkEvent::Down { fault, .. } => assert_eq!(fault, Fault::Closed),
            LinkEvent::Acked(4) => break,
            _ => {}
        }
    }
    assert_eq!(proxy.cuts.load(std::sync::atomic::Ordering::SeqCst), 6);
    assert_eq!(ups, 7);
}

#[tokio::test]
async fn a_broker_that_closes_before_connack_is_not_taken_for_an_old_one_when_it_comes_back() {
    let Some(broker) = Broker::start() else { return };
    let proxy = Proxy::new(broker.port, |n| (n < 2).then_some(1));
    let mut link = Running::start(config(proxy.port));
    assert_eq!(link.down().await, Fault::Closed);
    assert_eq!(link.up().await.1, Version::V5);
}

#[tokio::test]
async fn a_retained_message_is_marked_as_one() {
    let Some(broker) = Broker::start() else { return };
    publish(broker.port, "cmd/old", "x", true);
    let mut link = Running::start(config(broker.port));
    let (connection, _) = link.up().await;
    link.orders.send(LinkCommand::Subscribe { connection, filters: vec!["cmd/+".to_owned()] }).await.expect("runs");
    let LinkEvent::Message { retain: true, .. } = link.next().await else { panic!("not marked") };
    publish(broker.port, "cmd/new", "x", true);
    let LinkEvent::Message { retain: false, topic, .. } = link.next().await else { panic!("marked") };
    assert_eq!(topic, "cmd/new");
}
