//! `[mqtt]` as it is meant: the brokers, who we are to them, and TLS.
//!
//! Not here: reading and checking it ([`check`](super::check)).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// One at least; they are tried in turn.
    pub brokers: Vec<Broker>,
    /// `mqtts://`.
    pub tls: Option<Tls>,
    /// User name.
    pub username: Option<String>,
    /// Where the password comes from.
    pub password: Option<PasswordSource>,
    /// Client id; `None`: derived from base topic and machine id.
    pub client_id: Option<String>,
    /// Base of every topic, without a trailing slash.
    pub base_topic: String,
    /// Which MQTT version to speak.
    pub protocol: Protocol,
    /// Interval of PINGREQ.
    pub keep_alive: Duration,
    /// Whether `state` topics are retained.
    pub retain_state: bool,
    /// Whether each value is published on a topic of its own too.
    pub value_topics: bool,
}

impl Mqtt {
    /// Its brokers as messages name them: `node1:1883 or node2:1883`.
    #[must_use]
    pub fn places(&self) -> String {
        self.brokers.iter().map(Broker::to_string).collect::<Vec<_>>().join(" or ")
    }
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address, without brackets for IPv6.
    pub host: String,
    /// TCP port; 1883, or 8883 for `mqtts://`, unless the URL says otherwise.
    pub port: u16,
}

impl Default for Broker {
    /// On this machine.
    fn default() -> Self {
        Self { host: "localhost".to_owned(), port: 1883 }
    }
}

impl fmt::Display for Broker {
    /// As a configuration writes it; an IPv6 address stands in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// TLS files; all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Instead of the system's roots.
    pub ca_file: Option<PathBuf>,
    /// Client certificate chain and its key: both or none.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A password, or the file that holds it (read again at each connect).
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// `password = "…"`.
    Inline(String),
    /// `password_file = "…"`, or the systemd credential `mqtt-password`.
    File(PathBuf),
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Inline(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// `protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 5, falling back to 3.1.1 where the broker does not speak it.
    Auto,
    /// MQTT 5 only.
    V5,
    /// MQTT 3.1.1 only.
    V3,
}
