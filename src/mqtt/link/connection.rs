//! One connection to the broker, in MQTT 5 or 3.1.1: rumqttc's two modules behind one face.
//!
//! Each connection has a client and an event loop of its own, so rumqttc, which would send again
//! in its own order or not at all, never sees a second connection.
//!
//! Not here: when to connect (`link`), what to publish (`outbox`).

use std::future::{Ready, ready};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc5::NetworkOptions;
use tokio_util::io::InspectReader;

use super::stray::{Expected, Sifted};
use super::stream::{self, Stream};
use super::{Fault, Refusal, Version, Will};
use crate::config::{Broker, Mqtt, PasswordSource, password_of};

/// Largest packet taken or sent; rumqttc's own 10 KiB is less than one announcement.
pub(super) const MAX_PACKET_BYTES: u32 = 4 << 20;
/// A broker that takes less takes neither our subscriptions nor a reading.
const LEAST_PACKET_BYTES: u32 = 400;
/// Requests that wait inside rumqttc: more than the outbox ever has on the way.
const REQUESTS: usize = 512;
/// Unacknowledged messages rumqttc lets out; the broker's Receive Maximum may lower it.
const IN_FLIGHT: u16 = 256;
/// Read at a time: of more, those before a fault would be lost with it, and an acknowledgement is worth having.
const ONE_PACKET: usize = 1;
/// rumqttc needs a host, which it does not look up: it is given a stream.
const PLACE: &str = "the broker";
/// CONNACK must come within this …
const CONNACK_WITHIN: Duration = Duration::from_secs(10);
/// … or, where there are other brokers, within this.
const CONNACK_OF_SEVERAL_WITHIN: Duration = Duration::from_secs(4);

/// What the broker must know of us.
pub(super) struct Identity<'a> {
    pub(super) client_id: &'a str,
    pub(super) will: Will,
    /// Topic and payload of the last will, QoS 1.
    pub(super) will_message: (&'a str, &'a str),
}

impl Identity<'_> {
    /// Topic, payload and whether it is retained.
    fn last_will(&self) -> Option<(&str, &str, bool)> {
        let (topic, payload) = self.will_message;
        (self.will != Will::Absent).then_some((topic, payload, self.will == Will::Retained))
    }
}

/// The sending half.
pub(super) enum Client {
    V5(rumqttc5::AsyncClient),
    V3(rumqttc3::AsyncClient),
}

/// The half that must be polled.
pub(super) enum Wire {
    /// And the last four bytes read.
    V5(Box<rumqttc5::EventLoop>, Expected, Arc<AtomicU32>),
    V3(Box<rumqttc3::EventLoop>, Expected),
}

/// What an MQTT 5 broker says of itself in its CONNACK (MQTT 5, 3.2.2.3); one of 3.1.1 can do all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abilities {
    /// Maximum Packet Size.
    pub(super) max_packet_bytes: u32,
    /// Retain Available.
    pub(super) retains: bool,
    /// Maximum QoS is 1 at least: it acknowledges what it takes.
    acknowledges: bool,
    /// Receive Maximum is 1 at least, as it must be: else nothing could be on the way.
    receives: bool,
}

impl Abilities {
    /// Of one that does not say.
    const ALL: Self = Self { max_packet_bytes: MAX_PACKET_BYTES, retains: true, acknowledges: true, receives: true };

    /// What makes this broker useless.
    pub(super) fn fault(self) -> Option<Fault> {
        if !self.acknowledges {
            return Some(Fault::NoAcknowledgements);
        }
        if !self.receives {
            return Some(Fault::Garbled("a CONNACK with Receive Maximum 0".to_owned()));
        }
        (self.max_packet_bytes < LEAST_PACKET_BYTES).then_some(Fault::SmallPackets(self.max_packet_bytes))
    }
}

/// What the wire reports, both versions alike.
#[derive(Debug)]
pub(super) enum Event {
    /// CONNACK: success, and what the broker can do.
    Connected(Abilities),
    /// The oldest publish not yet reported has left, with this packet id.
    Sent(u16),
    /// PUBACK of this packet id.
    Acked(u16),
    /// The same, and the broker says that no one has subscribed to it (MQTT 5).
    Unheard(u16),
    /// PUBACK with a reason code of failure.
    Refused(u16, Refusal),
    /// SUBACK: for each filter whether it is granted.
    Subscribed(Vec<bool>),
    /// PUBLISH from the broker.
    Message { topic: String, payload: Vec<u8>, retain: bool },
    /// Anything else the broker sent: it lives.
    Heard,
    /// DISCONNECT has left.
    Disconnected,
    /// Something else left.
    Other,
}

impl Event {
    fn message(topic: &[u8], payload: &[u8], retain: bool) -> Self {
        Self::Message { topic: String::from_utf8_lossy(topic).into_owned(), payload: payload.to_vec(), retain }
    }
}

/// A client and its event loop on a new stream: the first poll sends CONNECT.
pub(super) async fn open(
    config: &Mqtt,
    broker: &Broker,
    identity: &Identity<'_>,
    version: Version,
) -> Result<(Client, Wire), Fault> {
    let password = password(config)?;
    // its length has two bytes, and rumqttc panics at more; one in the configuration has been checked
    if password.as_ref().is_some_and(|password| password.len() > usize::from(u16::MAX)) {
        return Err(Fault::PasswordFile("holds more than the 65535 bytes that MQTT can carry".to_owned()));
    }
    let within = connack_within(config);
    let expected = Expected::default();
    let stream = Sifted::new(stream::open(broker, config.tls.as_ref(), within).await?, expected.clone());
    Ok(match version {
        Version::V5 => open_5(config, identity, password, stream, expected),
        Version::V3 => open_3(config, identity, password, stream, expected),
    })
}

fn connack_within(config: &Mqtt) -> Duration {
    if config.brokers.len() > 1 { CONNACK_OF_SEVERAL_WITHIN } else { CONNACK_WITHIN }
}

fn open_5(
    config: &Mqtt,
    identity: &Identity<'_>,
    password: Option<String>,
    stream: Sifted<Stream>,
    expected: Expected,
) -> (Client, Wire) {
    let last = Arc::new(AtomicU32::new(0));
    let last_four = Arc::clone(&last);
    let stream = InspectReader::new(stream, move |bytes: &[u8]| {
        let before = last_four.load(Ordering::Relaxed);
        last_four.store(bytes.iter().fold(before, |four, byte| four << 8 | u32::from(*byte)), Ordering::Relaxed);
    });
    let mut options = rumqttc5::MqttOptions::new(identity.client_id, PLACE);
    options.set_socket_connector(handing_over(stream));
    options.set_keep_alive(seconds(config.keep_alive));
    options.set_clean_start(true);
    options.set_max_packet_size(Some(MAX_PACKET_BYTES));
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT);
    options.set_read_batch_size(ONE_PACKET);
    options.set_connect_timeout(connack_within(config));
    if let Some(username) = &config.username {
        options.set_credentials(username, password.unwrap_or_default());
    }
    if let Some((topic, payload, retain)) = identity.last_will() {
        options.set_last_will(rumqttc5::LastWill::new(topic, payload, rumqttc5::QoS::AtLeastOnce, retain, None));
    }
    let (client, wire) = rumqttc5::AsyncClient::new(options, REQUESTS);
    (Client::V5(client), Wire::V5(Box::new(wire), expected, last))
}

fn open_3(
    config: &Mqtt,
    identity: &Identity<'_>,
    password: Option<String>,
    stream: Sifted<Stream>,
    expected: Expected,
) -> (Client, Wire) {
    let mut options = rumqttc3::MqttOptions::new(identity.client_id, PLACE);
    options.set_socket_connector(handing_over(stream));
    options.set_keep_alive(seconds(config.keep_alive));
    options.set_clean_session(true);
    let bytes = usize::try_from(MAX_PACKET_BYTES).unwrap_or(usize::MAX);
    options.set_max_packet_size(bytes, bytes);
    options.set_inflight(IN_FLIGHT);
    options.set_read_batch_size(ONE_PACKET);
    if let Some(username) = &config.username {
        options.set_credentials(username, password.unwrap_or_default());
    }
    if let Some((topic, payload, retain)) = identity.last_will() {
        options.set_last_will(rumqttc3::LastWill::new(topic, payload, rumqttc3::QoS::AtLeastOnce, retain));
    }
    let (client, mut wire) = rumqttc3::AsyncClient::new(options, REQUESTS);
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(connack_within(config).as_secs());
    wire.set_network_options(network);
    (Client::V3(client), Wire::V3(Box::new(wire), expected))
}

/// The socket connector of rumqttc that has only this stream: a second connection is another event loop's.
fn handing_over<S>(stream: S) -> impl Fn(String, NetworkOptions) -> Ready<io::Result<S>> {
    let stream = Mutex::new(Some(stream));
    move |_, _| {
        let taken = stream.lock().ok().and_then(|mut stream| stream.take());
        ready(taken.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

fn seconds(keep_alive: Duration) -> u16 {
    u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX)
}

fn password(config: &Mqtt) -> Result<Option<String>, Fault> {
    match &config.password {
        None => Ok(None),
        Some(PasswordSource::Inline(text)) => Ok(Some(text.clone())),
        Some(PasswordSource::File(path)) => match password_of(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(Fault::PasswordFile(format!("{}: {error}", path.display()))),
        },
    }
}

impl Client {
    /// Queues a publish, QoS 1; `false` where it could not be queued.
    pub(super) fn publish(&self, topic: &str, payload: Vec<u8>, retain: bool) -> bool {
        match self {
            Self::V5(client) => client.try_publish(topic, rumqttc5::QoS::AtLeastOnce, retain, payload).is_ok(),
            Self::V3(client) => client.try_publish(topic, rumqttc3::QoS::AtLeastOnce, retain, payload).is_ok(),
        }
    }

    /// Queues a subscription, QoS 1.
    pub(super) fn subscribe(&self, filters: &[String]) -> bool {
        match self {
            Self::V5(client) => {
                let filters = filters.iter().map(|f| rumqttc5::Filter::new(f, rumqttc5::QoS::AtLeastOnce));
                client.try_subscribe_many(filters).is_ok()
            }
            Self::V3(client) => {
                let filters =
                    filters.iter().map(|f| rumqttc3::SubscribeFilter::new(f.clone(), rumqttc3::QoS::AtLeastOnce));
                client.try_subscribe_many(filters).is_ok()
            }
        }
    }

    /// Queues DISCONNECT, after which the broker forgets the last will.
    pub(super) fn disconnect(&self) -> bool {
        match self {
            Self::V5(client) => client.try_disconnect().is_ok(),
            Self::V3(client) => client.try_disconnect().is_ok(),
        }
    }
}

impl Wire {
    /// The next event. Must be polled to its end: a packet may be half written.
    pub(super) async fn poll(&mut self) -> Result<Event, Fault> {
        let (event, expected) = match self {
            Self::V5(wire, expected, last) => {
                let event = wire.poll().await.map(event_5).map_err(|error| {
                    Fault::of_version_5(error).or_of_last_bytes(last.load(Ordering::Relaxed).to_be_bytes())
                });
                (event, expected)
            }
            Self::V3(wire, expected) => (wire.poll().await.map(event_3).map_err(Fault::of_version_3), expected),
        };
        // it is reported before anything more is read
        if let Ok(Event::Sent(packet_id)) = event {
            expected.sent(packet_id);
        }
        event
    }

    /// The interval of PINGREQ, which an MQTT 5 broker may have chosen; zero: it wants none.
    pub(super) fn keep_alive(&self) -> Duration {
        match self {
            Self::V5(wire, ..) => wire.options.keep_alive(),
            Self::V3(wire, _) => wire.mqtt_options.keep_alive(),
        }
    }
}

/// The event of one of rumqttc's modules, as far as both have it in the same words.
macro_rules! event {
    ($rumqttc:ident, $event:expr) => {{
        use $rumqttc::{Event as Seen, Outgoing, Packet, SubscribeReasonCode};
        match $event {
            Seen::Incoming(Packet::SubAck(ack)) => {
                let is_granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                Event::Subscribed(ack.return_codes.iter().map(is_granted).collect())
            }
            Seen::Incoming(Packet::Publish(it)) => Event::message(&it.topic, &it.payload, it.retain),
            Seen::Incoming(_) => Event::Heard,
            Seen::Outgoing(Outgoing::Publish(packet_id)) => Event::Sent(packet_id),
            Seen::Outgoing(Outgoing::Disconnect) => Event::Disconnected,
            Seen::Outgoing(_) => Event::Other,
        }
    }};
}

fn event_5(event: rumqttc5::Event) -> Event {
    use rumqttc5::{Event as Seen, Packet, PubAckReason};
    match event {
        Seen::Incoming(Packet::ConnAck(ack)) => {
            let said = ack.properties.as_ref();
            let most = said.and_then(|said| said.max_packet_size).unwrap_or(MAX_PACKET_BYTES);
            Event::Connected(Abilities {
                max_packet_bytes: most.min(MAX_PACKET_BYTES),
                retains: said.and_then(|said| said.retain_available) != Some(0),
                acknowledges: said.and_then(|said| said.max_qos) != Some(0),
                receives: said.and_then(|said| said.receive_max) != Some(0),
            })
        }
        Seen::Incoming(Packet::PubAck(ack)) => match ack.reason {
            PubAckReason::Success => Event::Acked(ack.pkid),
            PubAckReason::NoMatchingSubscribers => Event::Unheard(ack.pkid),
            PubAckReason::NotAuthorized => Event::Refused(ack.pkid, Refusal::NotAuthorized),
            PubAckReason::QuotaExceeded => Event::Refused(ack.pkid, Refusal::Quota),
            PubAckReason::TopicNameInvalid => Event::Refused(ack.pkid, Refusal::Topic),
            _ => Event::Refused(ack.pkid, Refusal::Other),
        },
        other => event!(rumqttc5, other),
    }
}

fn event_3(event: rumqttc3::Event) -> Event {
    use rumqttc3::{Event as Seen, Packet};
    match event {
        Seen::Incoming(Packet::ConnAck(_)) => Event::Connected(Abilities::ALL),
        Seen::Incoming(Packet::PubAck(ack)) => Event::Acked(ack.pkid),
        other => event!(rumqttc3, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(password: Option<PasswordSource>) -> Mqtt {
        Mqtt {
            brokers: vec![Broker::default()],
            tls: None,
            username: None,
            password,
            client_id: None,
            base_topic: "mbushat".to_owned(),
            protocol: crate::config::Protocol::Auto,
            keep_alive: Duration::from_secs(1),
            retain_state: true,
            value_topics: false,
        }
    }

    #[test]
    fn the_password_file_loses_only_its_line_end() {
        let path = std::env::temp_dir().join(format!("mbushat-password-{}", std::process::id()));
        std::fs::write(&path, " p w \r\n").expect("a temporary file");
        let file = Some(PasswordSource::File(path.clone()));
        assert_eq!(password(&config(file.clone())).expect("readable").as_deref(), Some(" p w "));
        std::fs::remove_file(&path).expect("still there");
        let fault = password(&config(file)).expect_err("gone");
        assert!(fault.to_string().contains("mbushat-password"), "{fault}");
    }
}
