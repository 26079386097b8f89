//! One connection to the broker, in MQTT 5 or 3.1.1: rumqttc's two modules behind one face.
//!
//! Each connection has a client and an event loop of its own, so rumqttc, which would send again
//! in its own order or not at all, never sees a second connection.
//!
//! Not here: when to connect (`link`), what to publish (`outbox`).

use std::time::Duration;

use rumqttc::v5::mqttbytes::v5 as packet5;
use rumqttc::{Transport, mqttbytes as mqtt3, v5};

use super::{Fault, Refusal, Version, tls};
use crate::config::{Mqtt, PasswordSource};

/// Largest packet taken or sent; rumqttc's own 10 KiB is less than one announcement.
pub(super) const MAX_PACKET_BYTES: u32 = 4 << 20;
/// Requests that wait inside rumqttc: more than the outbox ever has on the way.
const REQUESTS: usize = 512;
/// Unacknowledged messages rumqttc lets out; the broker's Receive Maximum may lower it.
const IN_FLIGHT: u16 = 256;
/// TCP, TLS and CONNACK together must come within this.
const CONNECT_TIMEOUT_SECONDS: u64 = 10;
/// rumqttc's MQTT 5 module takes no shorter keep-alive.
const MIN_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// What the broker must know of us.
pub(super) struct Identity<'a> {
    pub(super) client_id: &'a str,
    /// Topic and payload of the last will, retained, QoS 1.
    pub(super) will: Option<(&'a str, &'a str)>,
}

/// The sending half.
pub(super) enum Client {
    V5(v5::AsyncClient),
    V3(rumqttc::AsyncClient),
}

/// The half that must be polled.
pub(super) enum Wire {
    V5(Box<v5::EventLoop>),
    V3(Box<rumqttc::EventLoop>),
}

/// What an MQTT 5 broker says of itself in its CONNACK (MQTT 5, 3.2.2.3); one of 3.1.1 can do all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abilities {
    /// Maximum Packet Size.
    pub(super) max_packet_bytes: u32,
    /// Retain Available.
    pub(super) retains: bool,
    /// Maximum QoS is 1 at least: it acknowledges what it takes.
    pub(super) acknowledges: bool,
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

/// A client and its event loop, not yet connected: the first poll connects.
pub(super) fn open(config: &Mqtt, identity: &Identity<'_>, version: Version) -> Result<(Client, Wire), Fault> {
    let password = password(config)?;
    let transport = match &config.tls {
        None => Transport::Tcp,
        Some(files) => Transport::Tls(tls::configuration(files)?),
    };
    Ok(match version {
        Version::V5 => open_5(config, identity, password, transport),
        Version::V3 => open_3(config, identity, password, transport),
    })
}

/// PINGREQ interval that is really used.
pub(super) fn keep_alive(config: &Mqtt) -> Duration {
    config.keep_alive.clamp(MIN_KEEP_ALIVE, Duration::from_secs(u64::from(u16::MAX)))
}

fn open_5(config: &Mqtt, identity: &Identity<'_>, password: Option<String>, transport: Transport) -> (Client, Wire) {
    let mut options = v5::MqttOptions::new(identity.client_id, &config.host, config.port);
    options.set_keep_alive(keep_alive(config));
    options.set_clean_start(true);
    options.set_max_packet_size(Some(MAX_PACKET_BYTES));
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT);
    options.set_connection_timeout(CONNECT_TIMEOUT_SECONDS);
    options.set_network_options(network());
    options.set_transport(transport);
    if let Some(username) = &config.username {
        options.set_credentials(username, password.unwrap_or_default());
    }
    if let Some((topic, payload)) = identity.will {
        options.set_last_will(packet5::LastWill::new(topic, payload, v5::mqttbytes::QoS::AtLeastOnce, true, None));
    }
    let (client, wire) = v5::AsyncClient::new(options, REQUESTS);
    (Client::V5(client), Wire::V5(Box::new(wire)))
}

fn open_3(config: &Mqtt, identity: &Identity<'_>, password: Option<String>, transport: Transport) -> (Client, Wire) {
    let mut options = rumqttc::MqttOptions::new(identity.client_id, &config.host, config.port);
    options.set_keep_alive(keep_alive(config));
    options.set_clean_session(true);
    let bytes = usize::try_from(MAX_PACKET_BYTES).unwrap_or(usize::MAX);
    options.set_max_packet_size(bytes, bytes);
    options.set_inflight(IN_FLIGHT);
    options.set_transport(transport);
    if let Some(username) = &config.username {
        options.set_credentials(username, password.unwrap_or_default());
    }
    if let Some((topic, payload)) = identity.will {
        options.set_last_will(rumqttc::LastWill::new(topic, payload, mqtt3::QoS::AtLeastOnce, true));
    }
    let (client, mut wire) = rumqttc::AsyncClient::new(options, REQUESTS);
    wire.set_network_options(network());
    (Client::V3(client), Wire::V3(Box::new(wire)))
}

fn network() -> rumqttc::NetworkOptions {
    let mut network = rumqttc::NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_TIMEOUT_SECONDS);
    network
}

fn password(config: &Mqtt) -> Result<Option<String>, Fault> {
    match &config.password {
        None => Ok(None),
        Some(PasswordSource::Inline(text)) => Ok(Some(text.clone())),
        Some(PasswordSource::File(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => Err(Fault::PasswordFile(format!("{}: {error}", path.display()))),
        },
    }
}

impl Client {
    /// Queues a publish, QoS 1; `false` where it could not be queued.
    pub(super) fn publish(&self, topic: &str, payload: Vec<u8>, retain: bool) -> bool {
        match self {
            Self::V5(client) => client.try_publish(topic, v5::mqttbytes::QoS::AtLeastOnce, retain, payload).is_ok(),
            Self::V3(client) => client.try_publish(topic, mqtt3::QoS::AtLeastOnce, retain, payload).is_ok(),
        }
    }

    /// Queues a subscription, QoS 1.
    pub(super) fn subscribe(&self, filters: &[String]) -> bool {
        match self {
            Self::V5(client) => {
                let filters = filters.iter().map(|f| packet5::Filter::new(f, v5::mqttbytes::QoS::AtLeastOnce));
                client.try_subscribe_many(filters).is_ok()
            }
            Self::V3(client) => {
                let filters = filters.iter().map(|f| rumqttc::SubscribeFilter::new(f.clone(), mqtt3::QoS::AtLeastOnce));
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
        match self {
            Self::V5(wire) => {
                let event = wire.poll().await.map_err(Fault::of_version_5)?;
                if let v5::Event::Incoming(packet5::Packet::ConnAck(_)) = &event {
                    // Server Keep Alive 0 would make rumqttc ping without a pause.
                    let asked = wire.options.keep_alive();
                    wire.options.set_keep_alive(asked.max(MIN_KEEP_ALIVE));
                }
                Ok(event_5(event))
            }
            Self::V3(wire) => wire.poll().await.map(event_3).map_err(Fault::of_version_3),
        }
    }

    /// The interval of PINGREQ, which an MQTT 5 broker may have chosen.
    pub(super) fn keep_alive(&self) -> Duration {
        match self {
            Self::V5(wire) => wire.options.keep_alive(),
            Self::V3(wire) => wire.mqtt_options.keep_alive(),
        }
    }
}

fn event_5(event: v5::Event) -> Event {
    use packet5::{Packet, PubAckReason, SubscribeReasonCode};
    match event {
        v5::Event::Incoming(Packet::ConnAck(ack)) => {
            let said = ack.properties;
            let said = said.as_ref();
            Event::Connected(Abilities {
                max_packet_bytes: said
                    .and_then(|p| p.max_packet_size)
                    .unwrap_or(MAX_PACKET_BYTES)
                    .min(MAX_PACKET_BYTES),
                retains: said.and_then(|p| p.retain_available) != Some(0),
                acknowledges: said.and_then(|p| p.max_qos) != Some(0),
            })
        }
        v5::Event::Incoming(Packet::PubAck(ack)) => match ack.reason {
            PubAckReason::Success => Event::Acked(ack.pkid),
            PubAckReason::NoMatchingSubscribers => Event::Unheard(ack.pkid),
            PubAckReason::NotAuthorized => Event::Refused(ack.pkid, Refusal::NotAuthorized),
            PubAckReason::QuotaExceeded => Event::Refused(ack.pkid, Refusal::Quota),
            PubAckReason::TopicNameInvalid => Event::Refused(ack.pkid, Refusal::Topic),
            _ => Event::Refused(ack.pkid, Refusal::Other),
        },
        v5::Event::Incoming(Packet::SubAck(ack)) => {
            Event::Subscribed(ack.return_codes.iter().map(|c| matches!(c, SubscribeReasonCode::Success(_))).collect())
        }
        v5::Event::Incoming(Packet::Publish(message)) => Event::Message {
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            payload: message.payload.to_vec(),
            retain: message.retain,
        },
        v5::Event::Incoming(_) => Event::Heard,
        v5::Event::Outgoing(outgoing) => event_out(&outgoing),
    }
}

fn event_3(event: rumqttc::Event) -> Event {
    use rumqttc::{Packet, SubscribeReasonCode};
    match event {
        rumqttc::Event::Incoming(Packet::ConnAck(_)) => {
            Event::Connected(Abilities { max_packet_bytes: MAX_PACKET_BYTES, retains: true, acknowledges: true })
        }
        rumqttc::Event::Incoming(Packet::PubAck(ack)) => Event::Acked(ack.pkid),
        rumqttc::Event::Incoming(Packet::SubAck(ack)) => {
            Event::Subscribed(ack.return_codes.iter().map(|c| matches!(c, SubscribeReasonCode::Success(_))).collect())
        }
        rumqttc::Event::Incoming(Packet::Publish(message)) => {
            Event::Message { topic: message.topic, payload: message.payload.to_vec(), retain: message.retain }
        }
        rumqttc::Event::Incoming(_) => Event::Heard,
        rumqttc::Event::Outgoing(outgoing) => event_out(&outgoing),
    }
}

fn event_out(outgoing: &rumqttc::Outgoing) -> Event {
    match outgoing {
        rumqttc::Outgoing::Publish(packet_id) => Event::Sent(*packet_id),
        rumqttc::Outgoing::Disconnect => Event::Disconnected,
        _ => Event::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(host: &str, password: Option<PasswordSource>) -> Mqtt {
        Mqtt {
            host: host.to_owned(),
            port: 1883,
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
    fn a_keep_alive_rumqttc_would_panic_on_is_raised() {
        let identity = Identity { client_id: "x", will: Some(("mbushat/bridge/state", "offline")) };
        for version in [Version::V5, Version::V3] {
            let (_, wire) = open(&config("localhost", None), &identity, version).expect("no files to read");
            assert_eq!(wire.keep_alive(), MIN_KEEP_ALIVE);
        }
    }

    #[test]
    fn the_password_file_loses_only_its_line_end() {
        let path = std::env::temp_dir().join(format!("mbushat-password-{}", std::process::id()));
        std::fs::write(&path, " p w \r\n").expect("a temporary file");
        let file = Some(PasswordSource::File(path.clone()));
        assert_eq!(password(&config("h", file.clone())).expect("readable").as_deref(), Some(" p w "));
        std::fs::remove_file(&path).expect("still there");
        let fault = password(&config("h", file)).expect_err("gone");
        assert!(fault.to_string().contains("mbushat-password"), "{fault}");
    }
}
