//! Why there is no connection to the broker, in words a user can act on, made of what rumqttc,
//! the system and rustls report.
//!
//! Not here: how long to wait after which of them (`pace`).

mod certificate;

use std::io;

use rumqttc3::ConnectReturnCode as Code3;
use rumqttc5::{ConnectReturnCode as Code5, DisconnectReasonCode};

use super::reason;

/// What the end of a connection may have to do with what the broker was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It may be one of the messages.
    Message,
    /// They came too fast.
    Rate,
    /// Nothing.
    Elsewhere,
}

/// Why the broker cannot be reached, or is no longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The resolver does not know the name.
    #[error("cannot be found: its host name is unknown; check [mqtt] url and the name service of this machine")]
    NameNotFound,
    /// No TCP connection.
    #[error("cannot be reached ({0}); check that the broker runs and that host and port are right")]
    Unreachable(String),
    /// TCP connects, or the packet leaves, but nothing comes back in time.
    #[error("does not answer")]
    Silent,
    /// It answers pings, but not messages.
    #[error("does not acknowledge what it is sent, though it answers pings")]
    Unacknowledged,
    /// The broker, or something in between, closed the connection without a word.
    #[error(
        "closed the connection without a word; if it happens at once: a port with TLS needs mqtts:// in [mqtt] url, \
         one without needs mqtt://"
    )]
    Closed,
    /// It has let us in, but answered neither a subscription nor a message before the connection ended.
    #[error(
        "ends the connection before it has answered anything: it may still be starting, or does not allow the \
             agent's subscriptions"
    )]
    Unready,
    /// It ended the connection at a subscription that was alone on the way.
    #[error("ends the connection at a subscription; check the user's rights on the broker")]
    Subscription,
    /// CONNACK 0x9A: our last will is to be retained.
    #[error("keeps no messages, and so takes no last will that is to be kept")]
    RetainedWill,
    /// CONNACK 0x84, or 0x01 of 3.1.1.
    #[error("does not speak this MQTT version; leave [mqtt] protocol at \"auto\"")]
    Version,
    /// Bytes that are not MQTT of the version asked for.
    #[error("answers with something that is not MQTT ({0})")]
    Garbled(String),
    /// It sent a message with an empty topic and an alias (MQTT 5, 3.3.2.3.4) that stands for none.
    #[error("sends a message with a topic alias that was never set, which MQTT 5 forbids")]
    Alias,
    /// Wrong user name or password.
    #[error("refuses the user name or password; check [mqtt] username and password")]
    Credentials,
    /// The user may not connect.
    #[error("does not let this user in; check the user's rights on the broker, and [mqtt] username and password")]
    NotAuthorized,
    /// It has let us in, and ended the connection at something that the user may not do.
    #[error("ends the connection at something that is not allowed; check the user's rights on the broker")]
    Forbidden,
    /// The client id is refused.
    #[error("refuses the client id; set another [mqtt] client_id")]
    ClientId,
    /// Another client with the same id has connected.
    #[error("gave the connection to another client with the same id; give each agent its own base_topic or client_id")]
    TakenOver,
    /// Maximum QoS 0: nothing that it takes is acknowledged.
    #[error("acknowledges no message (Maximum QoS 0), and a reading must be acknowledged; allow QoS 1 there")]
    NoAcknowledgements,
    /// Its Maximum Packet Size, in bytes, is less than a reading.
    #[error(
        "takes no packet of more than {0} bytes (Maximum Packet Size), and a reading has more; allow larger ones there"
    )]
    SmallPackets(u32),
    /// The broker says why it does not serve us now.
    #[error("ends the connection: {why}")]
    Ended {
        /// In words.
        why: &'static str,
        /// What it may have to do with what was sent.
        cause: Cause,
    },
    /// The password file cannot be read.
    #[error("cannot be asked: the password file {0}")]
    PasswordFile(String),
    /// Its certificate is not believed.
    #[error("{0}")]
    Certificate(String),
    /// Anything else of TLS, by rustls or by its files.
    #[error("{0}")]
    Tls(String),
}

impl Cause {
    fn of(code: DisconnectReasonCode) -> Self {
        use DisconnectReasonCode as Code;
        match code {
            Code::MessageRateTooHigh => Self::Rate,
            Code::ServerBusy | Code::ServerShuttingDown | Code::KeepAliveTimeout | Code::AdministrativeAction => {
                Self::Elsewhere
            }
            Code::UseAnotherServer | Code::ServerMoved => Self::Elsewhere,
            Code::ConnectionRateExceeded | Code::MaximumConnectTime => Self::Elsewhere,
            _ => Self::Message,
        }
    }
}

impl Fault {
    /// An answer to what was never sent: it says nothing of what was.
    const UNSOLICITED: Self = Self::Ended { why: "it answers what it was not sent", cause: Cause::Elsewhere };

    /// Whether the broker answered, and answered no: asking again soon will not help.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Credentials | Self::NotAuthorized | Self::ClientId | Self::TakenOver | Self::RetainedWill => true,
            Self::NoAcknowledgements | Self::SmallPackets(_) => true,
            Self::Version | Self::Certificate(_) | Self::Tls(_) | Self::PasswordFile(_) => true,
            Self::NameNotFound | Self::Unreachable(_) | Self::Silent | Self::Unacknowledged | Self::Closed => false,
            Self::Garbled(_) | Self::Alias | Self::Ended { .. } | Self::Unready | Self::Subscription => false,
            Self::Forbidden => false,
        }
    }

    /// Whether the broker may have ended a connection because of a message that it was sent.
    pub(in crate::mqtt) fn may_be_about_a_message(&self) -> bool {
        match self {
            Self::Closed | Self::Unacknowledged | Self::Garbled(_) | Self::Forbidden => true,
            Self::Ended { cause, .. } => *cause == Cause::Message,
            _ => false,
        }
    }

    /// Whether the broker has ended a connection because messages came too fast.
    pub(in crate::mqtt) fn is_about_the_rate(&self) -> bool {
        matches!(self, Self::Ended { cause: Cause::Rate, .. })
    }

    /// Whether a broker that only knows MQTT 3.1.1 may have met our MQTT 5 CONNECT like this:
    /// 0x84, closed before CONNACK, silence, or a CONNACK of 3.1.1, which is too short for MQTT 5.
    pub(super) fn may_be_an_old_broker(&self) -> bool {
        matches!(self, Self::Version | Self::Closed | Self::Silent | Self::Garbled(_))
    }

    pub(super) fn of_version_5(error: rumqttc5::ConnectionError) -> Self {
        use rumqttc5::{ConnectionError, Error as Packet, StateError};
        match error {
            ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => Self::of_io(&error),
            ConnectionError::MqttState(StateError::Deserialization(Packet::Io(error))) => Self::of_io(&error),
            ConnectionError::Timeout(_) => Self::Silent,
            ConnectionError::ConnectionRefused(code) => Self::of_code_5(code),
            ConnectionError::MqttState(error) => match error {
                StateError::ConnectionAborted => Self::Closed,
                StateError::AwaitPingResp | StateError::CollisionTimeout => Self::Silent,
                StateError::Unsolicited(_) => Self::UNSOLICITED,
                StateError::ConnFail { reason } => Self::of_code_5(reason),
                StateError::ServerDisconnect { reason_code, .. } => Self::of_disconnect(reason_code),
                other => Self::Garbled(other.to_string()),
            },
            other => Self::Garbled(other.to_string()),
        }
    }

    fn of_code_5(code: Code5) -> Self {
        match code {
            Code5::UnsupportedProtocolVersion | Code5::RefusedProtocolVersion => Self::Version,
            Code5::BadUserNamePassword | Code5::BadAuthenticationMethod => Self::Credentials,
            Code5::NotAuthorized | Code5::Banned => Self::NotAuthorized,
            Code5::ClientIdentifierNotValid | Code5::BadClientId => Self::ClientId,
            Code5::RetainNotSupported => Self::RetainedWill,
            other => Self::Ended { why: reason::of_connack(other), cause: Cause::Elsewhere },
        }
    }

    fn of_disconnect(code: DisconnectReasonCode) -> Self {
        match code {
            DisconnectReasonCode::NotAuthorized => Self::Forbidden,
            DisconnectReasonCode::SessionTakenOver => Self::TakenOver,
            other => Self::Ended { why: reason::of_disconnect(other), cause: Cause::of(other) },
        }
    }

    /// A DISCONNECT may end after its reason code (MQTT 5, 3.14.2.2.1). rumqttc waits for more of it until the
    /// broker closes, so then the last bytes tell.
    pub(super) fn or_of_last_bytes(self, last: [u8; 4]) -> Self {
        match (self, last) {
            (Self::Closed, [_, 0xE0, 1, code]) => {
                DisconnectReasonCode::try_from(code).map_or(Self::Closed, Self::of_disconnect)
            }
            (fault, _) => fault,
        }
    }

    pub(super) fn of_version_3(error: rumqttc3::ConnectionError) -> Self {
        use rumqttc3::{ConnectionError, Error as Packet, StateError};
        match error {
            ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => Self::of_io(&error),
            ConnectionError::MqttState(StateError::Deserialization(Packet::Io(error))) => Self::of_io(&error),
            ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => Self::Silent,
            ConnectionError::ConnectionRefused(code) => match code {
                Code3::RefusedProtocolVersion => Self::Version,
                Code3::BadUserNamePassword => Self::Credentials,
                Code3::NotAuthorized => Self::NotAuthorized,
                Code3::BadClientId => Self::ClientId,
                Code3::Success | Code3::ServiceUnavailable => {
                    Self::Ended { why: "it is not available now", cause: Cause::Elsewhere }
                }
            },
            ConnectionError::MqttState(StateError::ConnectionAborted) => Self::Closed,
            ConnectionError::MqttState(StateError::AwaitPingResp | StateError::CollisionTimeout) => Self::Silent,
            ConnectionError::MqttState(StateError::Unsolicited(_)) => Self::UNSOLICITED,
            ConnectionError::MqttState(other) => Self::Garbled(other.to_string()),
            other => Self::Garbled(other.to_string()),
        }
    }

    pub(super) fn of_io(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::of_rustls(tls);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => Self::Closed,
            io::ErrorKind::TimedOut => Self::Silent,
            // What the codec says of a packet cut in the middle by the end of the stream.
            io::ErrorKind::Other if error.raw_os_error().is_none() && error.to_string().contains("remaining") => {
                Self::Closed
            }
            _ => Self::Unreachable(error.to_string()),
        }
    }

    fn of_rustls(error: &rustls::Error) -> Self {
        use rustls::{AlertDescription as Alert, Error as Tls};
        let words = match error {
            Tls::InvalidCertificate(bad) => return Self::of_certificate(bad),
            Tls::AlertReceived(Alert::CertificateRequired | Alert::HandshakeFailure) => {
                "requires a client certificate; set [mqtt] client_cert and client_key"
            }
            Tls::AlertReceived(Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown) => {
                "refuses the client certificate; check [mqtt] client_cert, and the broker's cafile"
            }
            Tls::AlertReceived(Alert::CertificateExpired) => "says that the client certificate has expired; renew it",
            Tls::AlertReceived(Alert::ProtocolVersion) | Tls::PeerIncompatible(_) => {
                "speaks no TLS newer than 1.1; allow 1.2 or 1.3 there (mosquitto: tls_version)"
            }
            Tls::InvalidMessage(_) => "does not speak TLS on this port; check scheme and port in [mqtt] url",
            other => return Self::Tls(format!("fails at TLS: {other}")),
        };
        Self::Tls(words.to_owned())
    }

    fn of_certificate(error: &rustls::CertificateError) -> Self {
        Self::Certificate(certificate::words(error))
    }

    pub(super) fn of_file(what: &str, path: &std::path::Path, says: &str) -> Self {
        Self::Tls(format!("cannot be asked: {what} {} {says}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_counts_as_a_refusal() {
        assert!(Fault::of_code_5(Code5::BadUserNamePassword).is_refusal());
        assert!(!Fault::of_io(&io::Error::from(io::ErrorKind::ConnectionRefused)).is_refusal());
        assert!(!Fault::of_io(&io::Error::from(io::ErrorKind::UnexpectedEof)).is_refusal());
        let forbidden = Fault::of_disconnect(DisconnectReasonCode::NotAuthorized);
        assert!(!forbidden.is_refusal() && forbidden.may_be_about_a_message(), "it is tried again soon");
        assert!(Fault::of_code_5(Code5::NotAuthorized).is_refusal());
    }

    #[test]
    fn a_broker_that_is_busy_or_goes_says_nothing_of_a_message() {
        for code in [0x89, 0x8B, 0x8D, 0x96, 0x98, 0x9C, 0x9D, 0x9F, 0xA0] {
            let fault = Fault::of_disconnect(DisconnectReasonCode::try_from(code).expect("a code"));
            assert!(!fault.may_be_about_a_message(), "{fault}");
            assert_eq!(fault.is_about_the_rate(), code == 0x96, "{fault}");
        }
        for code in [0x80, 0x81, 0x82, 0x83, 0x87, 0x90, 0x93, 0x94, 0x95, 0x97, 0x99] {
            let fault = Fault::of_disconnect(DisconnectReasonCode::try_from(code).expect("a code"));
            assert!(fault.may_be_about_a_message(), "{fault}");
        }
    }

    #[test]
    fn a_password_or_tls_fault_never_means_an_old_broker() {
        assert!(!Fault::Credentials.may_be_an_old_broker());
        assert!(!Fault::of_rustls(&rustls::Error::DecryptError).may_be_an_old_broker());
        assert!(!Fault::of_io(&io::Error::from(io::ErrorKind::ConnectionRefused)).may_be_an_old_broker());
        assert!(Fault::of_code_5(Code5::UnsupportedProtocolVersion).may_be_an_old_broker());
        assert!(Fault::of_io(&io::Error::from(io::ErrorKind::ConnectionReset)).may_be_an_old_broker());
    }

    #[test]
    fn a_tls_alert_inside_an_io_error_is_still_told_as_tls() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let error = io::Error::new(io::ErrorKind::InvalidData, alert);
        assert!(Fault::of_io(&error).to_string().contains("client certificate"));
    }
}
