//! A serial port: raw, for this process alone.
//!
//! A pseudo-terminal drops the parity bit. tokio-serial and rustix set modes through the kernel's own
//! call, which does not mind; the C library's `tcsetattr` reports EINVAL there.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::termios::{InputModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_serial::{ClearBuffer, DataBits, FlowControl, SerialPort, SerialPortBuilderExt, SerialStream, StopBits};

use super::holder::{PROCESSES, holder_of};
use super::marks::Marked;
use super::{Arrived, Character, LineError};
use crate::bus::device_tree;
use crate::mbus::link::timing::Parity;

/// An open serial port. TIOCEXCL and a file lock keep other programs out while it is open.
#[derive(Debug)]
pub struct SerialLine {
    port: SerialStream,
    /// A second handle of the same port, for what tokio-serial cannot set; opened before the port is
    /// closed to others.
    _modes: OwnedFd,
    character: Character,
    marked: Marked,
}

impl SerialLine {
    pub(super) fn open(path: &Path, character: Character, device_tree: &Path) -> Result<Self, LineError> {
        let model = device_tree::model(device_tree).filter(|model| model.starts_with("Raspberry Pi"));
        if let Some(model) = model.as_deref().filter(|_| is_mini_uart(path)) {
            return Err(LineError::MiniUart { path: path.to_owned(), fix: boot_config_line(model) });
        }
        if let Some(holder) = holder_of(path, Path::new(PROCESSES)) {
            // Every shell has /dev/null open: what is not a line is held by nobody.
            let path = path.to_owned();
            return Err(if is_line(&path) {
                LineError::Held { path, holder: Some(holder) }
            } else {
                LineError::NotSerial { path }
            });
        }
        let refused = |source| open_error(path, source, model.as_deref());
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let modes = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| refused(error.into()))?;
        if !isatty(&modes) {
            return Err(LineError::NotSerial { path: path.to_owned() });
        }
        let port = tokio_serial::new(path.to_string_lossy(), character.baud.bits_per_second())
            .data_bits(DataBits::Eight)
            .parity(parity(character.parity))
            .stop_bits(stop_bits(character.stop_bits))
            .flow_control(FlowControl::None)
            .open_native_async()
            .map_err(|error| match error.kind() {
                // EBUSY, or a file lock of a program that /proc does not show to this user.
                tokio_serial::ErrorKind::NoDevice => LineError::Held { path: path.to_owned(), holder: None },
                _ => refused(error.into()),
            })?;
        mark_damaged(&modes).map_err(|error| refused(error.into()))?;
        Ok(Self { port, _modes: modes, character, marked: Marked::default() })
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
        self.marked.clear();
        self.port.write_all(bytes).await
    }

    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<Arrived> {
        let mut raw = [0; 256];
        loop {
            if let Some(arrived) = self.marked.take(buffer) {
                return Ok(arrived);
            }
            let count = self.port.read(&mut raw).await?;
            if count == 0 {
                return Ok(Arrived::Bytes(0));
            }
            self.marked.push(raw.get(..count).unwrap_or_default());
        }
    }
}

/// Has the kernel mark characters with a wrong parity or stop bit, instead of passing them on as 0.
fn mark_damaged(port: &OwnedFd) -> rustix::io::Result<()> {
    let mut modes = tcgetattr(port)?;
    modes.input_modes |= InputModes::PARMRK;
    tcsetattr(port, OptionalActions::Now, &modes)
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

/// Whether it is a terminal; one that cannot be opened, as its holder may have it so, may be one.
fn is_line(path: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_or(true, isatty)
}

fn is_character_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_char_device())
}

fn open_error(path: &Path, source: io::Error, model: Option<&str>) -> LineError {
    let hint = match (source.kind(), model) {
        (io::ErrorKind::ResourceBusy, _) => return LineError::Held { path: path.to_owned(), holder: None },
        (io::ErrorKind::PermissionDenied, _) => " (is this user in group dialout?)".to_owned(),
        (io::ErrorKind::NotFound, Some(model)) if path.ends_with("ttyAMA0") => {
            format!(" (is the line {} in /boot/firmware/config.txt?)", boot_config_line(model))
        }
        (io::ErrorKind::NotFound, _) => " (is the adapter plugged in?)".to_owned(),
        // What the system says of such a file ("Not a typewriter") explains nothing.
        _ if !is_character_device(path) => return LineError::NotSerial { path: path.to_owned() },
        _ => String::new(),
    };
    LineError::Open { path: path.to_owned(), hint, source }
}

#[cfg(test)]
mod tests {
    use super::{Character, LineError, SerialLine};
    use crate::mbus::link::timing::{Baud, Parity};
    use std::path::Path;

    #[test]
    fn a_device_that_is_no_line_is_said_to_be_none_whoever_has_it_open() {
        let held = std::process::Command::new("sleep").arg("5").stdin(std::process::Stdio::null()).spawn();
        let character = Character { baud: Baud::DEFAULT, parity: Parity::Even, stop_bits: 1 };
        let opened = SerialLine::open(Path::new("/dev/null"), character, Path::new("/nonexistent"));
        held.and_then(|mut held| held.kill().and_then(|()| held.wait())).expect("ours");
        assert!(matches!(opened, Err(LineError::NotSerial { .. })), "{opened:?}");
    }
}
