//! A serial port: raw, for this process alone.
//!
//! A pseudo-terminal drops the parity bit. tokio-serial sets modes through the kernel's own call,
//! which does not mind; the C library's `tcsetattr` reports EINVAL there.

use std::fs;
use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_serial::{ClearBuffer, DataBits, FlowControl, SerialPort, SerialPortBuilderExt, SerialStream, StopBits};

use super::holder::holder_of;
use super::{Character, LineError};
use crate::bus::device_tree;
use crate::mbus::timing::Parity;

/// An open serial port. TIOCEXCL and a file lock keep other programs out while it is open.
#[derive(Debug)]
pub struct SerialLine {
    port: SerialStream,
    character: Character,
}

impl SerialLine {
    pub(super) fn open(path: &Path, character: Character, device_tree: &Path) -> Result<Self, LineError> {
        let model = device_tree::model(device_tree).filter(|model| model.starts_with("Raspberry Pi"));
        if let Some(model) = model.as_deref().filter(|_| is_mini_uart(path)) {
            return Err(LineError::MiniUart { path: path.to_owned(), fix: boot_config_line(model) });
        }
        if let Some(holder) = holder_of(path) {
            return Err(LineError::Held { path: path.to_owned(), holder: Some(holder) });
        }
        let port = tokio_serial::new(path.to_string_lossy(), character.baud.bits_per_second())
            .data_bits(DataBits::Eight)
            .parity(parity(character.parity))
            .stop_bits(stop_bits(character.stop_bits))
            .flow_control(FlowControl::None)
            .open_native_async()
            .map_err(|error| open_error(path, error, model.as_deref()))?;
        Ok(Self { port, character })
    }

    pub(super) fn set_character(&mut self, character: Character) -> io::Result<()> {
        if character == self.character {
            return Ok(());
        }
        self.port.set_baud_rate(character.baud.bits_per_second())?;
        self.port.set_parity(parity(character.parity))?;
        self.port.set_stop_bits(stop_bits(character.stop_bits))?;
        self.character = character;
        Ok(())
    }

    pub(super) async fn transmit(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.port.clear(ClearBuffer::Input)?;
        self.port.write_all(bytes).await
    }

    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.port.read(buffer).await
    }
}

fn parity(parity: Parity) -> tokio_serial::Parity {
    match parity {
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
        Parity::None => tokio_serial::Parity::None,
    }
}

fn stop_bits(stop_bits: u8) -> StopBits {
    if stop_bits == 2 { StopBits::Two } else { StopBits::One }
}

/// Whether a Pi's `path` is, or points at, `ttyS0`: the mini-UART on the models that have one.
fn is_mini_uart(path: &Path) -> bool {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    target.file_name().is_some_and(|name| name == "ttyS0")
}

/// What brings the PL011 to the header's pins.
fn boot_config_line(model: &str) -> &'static str {
    if ["Raspberry Pi 5", "Compute Module 5"].iter().any(|new| model.contains(new)) {
        "dtparam=uart0=on"
    } else {
        "dtoverlay=disable-bt"
    }
}

fn open_error(path: &Path, error: tokio_serial::Error, model: Option<&str>) -> LineError {
    // EBUSY, or a file lock of a program that /proc does not show to this user.
    if error.kind() == tokio_serial::ErrorKind::NoDevice {
        return LineError::Held { path: path.to_owned(), holder: None };
    }
    let source = io::Error::from(error);
    let hint = match (source.kind(), model) {
        (io::ErrorKind::PermissionDenied, _) => ": is this user in group dialout?".to_owned(),
        (io::ErrorKind::NotFound, Some(model)) if path.ends_with("ttyAMA0") => {
            format!(": is the line {} in /boot/firmware/config.txt?", boot_config_line(model))
        }
        (io::ErrorKind::NotFound, _) => ": is the adapter plugged in?".to_owned(),
        _ => String::new(),
    };
    LineError::Open { path: path.to_owned(), hint, source }
}
