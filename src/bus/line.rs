//! The bytes of one segment: a serial port, a TCP gateway, or a simulated segment in this process.
//!
//! A [`LineError`] means one thing: the line is gone (or never came) and must be opened again; but for
//! [`LineError::Unsupported`], after which it is as it was. Noise, silence and broken telegrams are not line errors;
//! they are what bytes are read for, and judged in `mbus`. [`is_gone`] is where the two fates part.
//!
//! Not here: when to open and when to give up (`task`), what to send (`mbus`).

mod gateway_holder;
mod holder;
mod marks;
mod rfc2217;
mod serial;
mod sim;
mod tcp;
mod telnet;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use gateway_holder::holder_of_gateway;
pub use holder::Holder;
pub(crate) use holder::{PROCESSES, holder_of};

use crate::config::{LoadError, Port};
use crate::mbus::link::timing::{Baud, Parity};
use rfc2217::Rfc2217Line;
use serial::SerialLine;
use sim::SimLine;
use tcp::TcpLine;

/// Where the bytes of a segment are.
#[derive(Debug)]
pub enum Line {
    /// A serial device or a pseudo-terminal.
    Serial(SerialLine),
    /// A transparent gateway; it has its own idea of rate and parity.
    Tcp(TcpLine),
    /// A gateway that can be told both.
    Rfc2217(Rfc2217Line),
    /// A simulated segment.
    Sim(Box<SimLine>),
}

/// What a line has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// So many bytes, at least one, now in the buffer.
    Bytes(usize),
    /// A character whose parity or stop bit was wrong. Gateways cannot tell.
    Damaged,
}

/// How characters look on the wire; always eight data bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Character {
    /// Bit rate.
    pub baud: Baud,
    /// Parity.
    pub parity: Parity,
    /// One or two.
    pub stop_bits: u8,
}

impl fmt::Display for Character {
    /// `2400 8E1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} 8{}{}", self.baud, self.parity.letter(), self.stop_bits)
    }
}

/// Why a line cannot be opened or used any more.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// A UART that cannot do parity.
    #[error(
        "{path} is the Pi's mini-UART, which has no parity bit: use /dev/ttyAMA0; where that is missing, add the line {fix} to /boot/firmware/config.txt and reboot"
    )]
    MiniUart {
        /// As configured.
        path: PathBuf,
        /// The line for `config.txt`.
        fix: &'static str,
    },
    /// Another program uses the port.
    #[error("{path} is held by {}", holder.as_ref().map_or_else(|| "another program (root can see which)".to_owned(), Holder::to_string))]
    Held {
        /// As configured.
        path: PathBuf,
        /// Who, where `/proc` tells.
        holder: Option<Holder>,
    },
    /// It cannot be opened.
    #[error("cannot open {path}{hint}")]
    Open {
        /// As configured.
        path: PathBuf,
        /// What to check, in brackets with a leading space; or nothing.
        hint: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file, a folder, anything but a serial device.
    #[error("{} is not a serial device", path.display())]
    NotSerial {
        /// As configured.
        path: PathBuf,
    },
    /// The gateway does not answer.
    #[error("cannot connect to the gateway {gateway}")]
    Connect {
        /// As configured.
        gateway: Port,
        /// What the system says.
        source: io::Error,
    },
    /// It was open and went away.
    #[error("the line is gone")]
    Lost(#[source] io::Error),
    /// It cannot have characters like these, and goes on with those it had.
    #[error("the gateway does not take {0}")]
    Unsupported(Character),
    /// The simulation's file cannot be used.
    #[error("cannot simulate a bus")]
    Simulation(#[source] LoadError),
}

/// Whether an I/O error means that the line is gone, rather than that nothing happened.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl LineError {
    /// The line takes no more bytes.
    pub(super) fn stuck() -> Self {
        Self::Lost(io::ErrorKind::TimedOut.into())
    }
}

impl Line {
    /// Opens a port for this process alone. `device_tree` is the root that tells which Pi this is.
    ///
    /// # Errors
    /// [`LineError`] with what to check.
    pub async fn open(port: &Port, character: Character, device_tree: &Path) -> Result<Self, LineError> {
        match port {
            Port::Serial(path) => SerialLine::open(path, character, device_tree).map(Self::Serial),
            Port::Tcp { host, port: number } => {
                let failed = |source| LineError::Connect { gateway: port.clone(), source };
                TcpLine::connect(host, *number).await.map(Self::Tcp).map_err(failed)
            }
            Port::Rfc2217 { host, port: number } => {
                let failed = |source| LineError::Connect { gateway: port.clone(), source };
                Rfc2217Line::connect(host, *number, character).await.map(Self::Rfc2217).map_err(failed)
            }
            Port::Sim(file) => SimLine::open(file, character).map(|line| Self::Sim(Box::new(line))),
        }
    }

    /// Changes rate and parity between two meters. A transparent gateway keeps its own.
    ///
    /// # Errors
    /// [`LineError::Lost`], or [`LineError::Unsupported`].
    pub async fn set_character(&mut self, character: Character) -> Result<(), LineError> {
        match self {
            Self::Serial(line) => line.set_character(character).map_err(LineError::Lost),
            Self::Tcp(_) => Ok(()),
            Self::Rfc2217(line) => match line.set_character(character).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(LineError::Unsupported(character)),
                Err(error) => Err(LineError::Lost(error)),
            },
            Self::Sim(line) => {
                line.set_character(character);
                Ok(())
            }
        }
    }

    /// What the way to the segment adds to a meter's reply time.
    #[must_use]
    pub fn latency(&self) -> Duration {
        match self {
            Self::Serial(_) | Self::Sim(_) => Duration::ZERO,
            Self::Tcp(line) => line.latency(),
            Self::Rfc2217(line) => line.latency(),
        }
    }

    /// The longest silence inside a telegram of which more is to come; zero where the standard's holds.
    #[must_use]
    pub fn gap_timeout(&self) -> Duration {
        match self {
            Self::Serial(_) | Self::Sim(_) => Duration::ZERO,
            Self::Tcp(_) | Self::Rfc2217(_) => tcp::GAP_TIMEOUT,
        }
    }

    /// Throws unread input away, then hands `bytes` over; they may still be on their way when it returns.
    ///
    /// # Errors
    /// [`LineError::Lost`].
    pub async fn transmit(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        match self {
            Self::Serial(line) => line.transmit(bytes).await,
            Self::Tcp(line) => line.transmit(bytes).await,
            Self::Rfc2217(line) => line.transmit(bytes).await,
            Self::Sim(line) => {
                line.transmit(bytes);
                Ok(())
            }
        }
        .map_err(LineError::Lost)
    }

    /// Waits until something arrives. Nothing is lost where it is cancelled.
    ///
    /// # Errors
    /// [`LineError::Lost`].
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<Arrived, LineError> {
        loop {
            let read = match self {
                Self::Serial(line) => line.read(buffer).await,
                Self::Tcp(line) => line.read(buffer).await.map(Arrived::Bytes),
                Self::Rfc2217(line) => line.read(buffer).await,
                Self::Sim(line) => Ok(line.read(buffer).await),
            };
            match read {
                Ok(Arrived::Bytes(0)) => return Err(LineError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(arrived) => return Ok(arrived),
                Err(error) if is_gone(&error) => return Err(LineError::Lost(error)),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_gone;
    use std::io::{Error, ErrorKind};

    #[test]
    fn only_a_failed_device_is_gone() {
        assert!(is_gone(&Error::from_raw_os_error(5)), "EIO, an unplugged adapter");
        assert!(is_gone(&ErrorKind::ConnectionReset.into()));
        assert!(!is_gone(&ErrorKind::Interrupted.into()));
        assert!(!is_gone(&ErrorKind::WouldBlock.into()));
    }
}
