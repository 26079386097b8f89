//! What an MQTT 5 reason code of a CONNACK or a DISCONNECT says, in words (MQTT 5, table 2-6).
//!
//! Not here: the codes that ask for something to be changed in the configuration (`fault`).

use rumqttc5::{ConnectReturnCode as Connack, DisconnectReasonCode as Disconnect};

/// Of a CONNACK.
pub(super) fn of_connack(code: Connack) -> &'static str {
    match code {
        Connack::Success => "it accepts us",
        Connack::UnspecifiedError => UNSPECIFIED,
        Connack::MalformedPacket => MALFORMED,
        Connack::ProtocolError => PROTOCOL,
        Connack::ImplementationSpecificError => IMPLEMENTATION,
        Connack::ServiceUnavailable | Connack::ServerUnavailable => "it is not available now",
        Connack::ServerBusy => BUSY,
        Connack::TopicNameInvalid => "the topic of the last will is not accepted; set another [mqtt] base_topic",
        Connack::PacketTooLarge => TOO_LARGE,
        Connack::QuotaExceeded => QUOTA,
        Connack::PayloadFormatInvalid => FORMAT,
        Connack::RetainNotSupported => NO_RETAIN,
        Connack::QoSNotSupported => NO_QOS_1,
        Connack::UseAnotherServer => ANOTHER,
        Connack::ServerMoved => MOVED,
        Connack::ConnectionRateExceeded => RATE,
        // said by `fault`, with what to do
        Connack::RefusedProtocolVersion | Connack::UnsupportedProtocolVersion => "another MQTT version is wanted",
        Connack::BadClientId | Connack::ClientIdentifierNotValid => "the client id is not accepted",
        Connack::BadUserNamePassword | Connack::BadAuthenticationMethod => "user name or password is wrong",
        Connack::NotAuthorized | Connack::Banned => "this is not allowed",
    }
}

/// Of a DISCONNECT.
pub(super) fn of_disconnect(code: Disconnect) -> &'static str {
    match code {
        Disconnect::NormalDisconnection | Disconnect::DisconnectWithWillMessage => "the connection is over",
        Disconnect::UnspecifiedError => UNSPECIFIED,
        Disconnect::MalformedPacket => MALFORMED,
        Disconnect::ProtocolError => PROTOCOL,
        Disconnect::ImplementationSpecificError => IMPLEMENTATION,
        Disconnect::NotAuthorized => "this is not allowed",
        Disconnect::ServerBusy => BUSY,
        Disconnect::ServerShuttingDown => "it is shutting down",
        Disconnect::KeepAliveTimeout => "it heard nothing of us for one and a half keep-alives",
        Disconnect::SessionTakenOver => "another client has the same id",
        Disconnect::TopicFilterInvalid => "a subscription is not accepted",
        Disconnect::TopicNameInvalid => "a topic is not accepted",
        Disconnect::ReceiveMaximumExceeded => "more messages are on the way than it takes",
        Disconnect::TopicAliasInvalid => "a topic alias is not accepted",
        Disconnect::PacketTooLarge => TOO_LARGE,
        Disconnect::MessageRateTooHigh => "messages come too fast",
        Disconnect::QuotaExceeded => QUOTA,
        Disconnect::AdministrativeAction => "an administrator ended the connection",
        Disconnect::PayloadFormatInvalid => FORMAT,
        Disconnect::RetainNotSupported => NO_RETAIN,
        Disconnect::QoSNotSupported => NO_QOS_1,
        Disconnect::UseAnotherServer => ANOTHER,
        Disconnect::ServerMoved => MOVED,
        Disconnect::ConnectionRateExceeded => RATE,
        Disconnect::MaximumConnectTime => "the longest time of a connection is over",
        Disconnect::SharedSubscriptionNotSupported
        | Disconnect::SubscriptionIdentifiersNotSupported
        | Disconnect::WildcardSubscriptionsNotSupported => "it does not know this kind of subscription",
    }
}

const UNSPECIFIED: &str = "something is wrong, and it does not say what";
const MALFORMED: &str = "a packet is malformed";
const PROTOCOL: &str = "a packet breaks the protocol";
const IMPLEMENTATION: &str = "it cannot process a packet";
const BUSY: &str = "it is busy";
const TOO_LARGE: &str = "a packet is larger than it takes";
const QUOTA: &str = "a quota is used up";
const FORMAT: &str = "a payload has another format than announced";
const NO_RETAIN: &str = "it keeps no retained messages";
const NO_QOS_1: &str = "it does not support QoS 1";
const ANOTHER: &str = "another server is to be used for now; set its address in [mqtt] url";
const MOVED: &str = "it has moved; set its new address in [mqtt] url";
const RATE: &str = "connections come too fast";
