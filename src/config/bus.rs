//! One `[[bus]]`, as meant.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::wake_up::WakeUp;

/// One `[[bus]]`: a segment of wire with its meters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bus {
    /// For logs and status.
    pub name: String,
    /// Where its bytes are.
    pub port: Port,
    /// Rate of meters that have none of their own.
    pub baud: Baud,
    /// Parity of meters that have none of their own.
    pub parity: Parity,
    /// One or two.
    pub stop_bits: u8,
    /// The Master Hat that powers it, if one does.
    pub hat: Option<Hat>,
    /// First-byte timeout; `None`: by baud rate.
    pub response_timeout: Option<Duration>,
    /// Longest silence inside a telegram; `None`: by line.
    pub gap_timeout: Option<Duration>,
    /// Repeats of a request after the first.
    pub retries: u8,
    /// Pause between two meters.
    pub idle: Duration,
    /// Whether the agent looks for its meters itself, and adopts them.
    pub discover: bool,
    /// Sent before each readout.
    pub wake_up: Option<WakeUp>,
}

/// Bus power through the Hat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hat {
    /// BCM number of the pin that switches the bus on (high).
    pub power_gpio: u8,
    /// Time for bus-powered meters to start.
    pub power_settle: Duration,
}

/// `port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A serial device.
    Serial(PathBuf),
    /// `tcp://host:port`: a transparent gateway.
    Tcp {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// `rfc2217://host:port`: a gateway that can be told rate and parity.
    Rfc2217 {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// `sim:FILE`: a simulated segment described by a TOML file.
    Sim(PathBuf),
}

impl Port {
    /// Whether it is reached over the network.
    #[must_use]
    pub fn is_gateway(&self) -> bool {
        matches!(self, Self::Tcp { .. } | Self::Rfc2217 { .. })
    }

    /// Whether it keeps the rate and parity it has, whatever it is told.
    #[must_use]
    pub fn keeps_its_rate(&self) -> bool {
        matches!(self, Self::Tcp { .. })
    }
}

impl fmt::Display for Port {
    /// As a configuration writes it; an IPv6 address stands in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(path) => path.display().fmt(f),
            Self::Tcp { host, port } => gateway(f, "tcp", host, *port),
            Self::Rfc2217 { host, port } => gateway(f, "rfc2217", host, *port),
            Self::Sim(file) => write!(f, "sim:{}", file.display()),
        }
    }
}

fn gateway(f: &mut fmt::Formatter<'_>, scheme: &str, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
}
