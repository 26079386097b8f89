//! What goes over a wire, one log line a frame: direction, bytes, and what they are.
//!
//! Target of the lines is [`TARGET`]. Where neither the log nor a tape takes them, nothing is collected.

use std::fmt;

use tokio::sync::watch;
use tracing::Level;

use super::tape::{self, Tape};
use crate::mbus::address::{BROADCAST, SELECTED, SecondaryAddress, TEST_BROADCAST};
use crate::mbus::application::telegram::Telegram;
use crate::mbus::link::frame::{Frame, FrameError};
use crate::mbus::link::framer::frame_length;
use crate::mbus::master::request::{CI_APPLICATION_SELECT, CI_SELECT};

/// Target of the log lines.
pub const TARGET: &str = "mbushat::wire";

/// Collects what comes until it is a frame, or the master speaks again.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Characters that the UART marked as damaged.
    damaged: usize,
    tape: watch::Sender<Tape>,
}

impl Frames {
    /// Also records on this tape.
    pub(super) fn taped(tape: watch::Sender<Tape>) -> Self {
        Self { tape, ..Self::default() }
    }

    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.flush();
        tape::record(&self.tape, true, bytes, 0);
        if tracing::enabled!(target: TARGET, Level::DEBUG) {
            tracing::debug!(target: TARGET, "-> {}  {}", Hex(bytes), describe(bytes));
        }
    }

    pub(super) fn heard(&mut self, bytes: &[u8]) {
        if self.tape.receiver_count() > 0 || tracing::enabled!(target: TARGET, Level::DEBUG) {
            self.bytes.extend_from_slice(bytes);
            // A lone E5 may be the beginning of noise: what follows or silence tells.
            while let Ok(Some(length)) = frame_length(&self.bytes) {
                if length == 1 && self.bytes.len() == 1 {
                    break;
                }
                let frame: Vec<u8> = self.bytes.drain(..length).collect();
                tape::record(&self.tape, false, &frame, 0);
                tracing::debug!(target: TARGET, "<- {}  {}", Hex(&frame), describe(&frame));
            }
        }
    }

    pub(super) fn damaged(&mut self) {
        self.damaged += 1;
    }

    /// Nothing more belongs to what came.
    pub(super) fn flush(&mut self) {
        let (bytes, damaged) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.damaged));
        if !bytes.is_empty() || damaged > 0 {
            tape::record(&self.tape, false, &bytes, damaged);
        }
        match (bytes.is_empty(), damaged) {
            (true, 0) => {}
            (true, count) => tracing::debug!(target: TARGET, "<- {count} damaged characters"),
            (false, 0) => tracing::debug!(target: TARGET, "<- {}  {}", Hex(&bytes), describe(&bytes)),
            (false, count) => {
                tracing::debug!(target: TARGET, "<- {}  and {count} damaged characters", Hex(&bytes));
            }
        }
    }
}

/// What bytes on the wire are, in a few words.
#[must_use]
pub fn describe(bytes: &[u8]) -> String {
    match Frame::parse(bytes) {
        Ok(Frame::Ack) => "acknowledgement".to_owned(),
        Ok(Frame::Short { c, a }) => {
            let what = match (c.from_master(), c.function()) {
                (true, 0x0) => "SND_NKE",
                (true, 0xA) => "REQ_UD1",
                (true, 0xB) => "REQ_UD2",
                _ => return format!("short frame, C {c}, A {a}"),
            };
            let fcb = if c.fcv() { format!(", FCB {}", u8::from(c.fcb())) } else { String::new() };
            format!("{what} to {}{fcb}", to(a))
        }
        Ok(Frame::Long { c, a, ci, data }) if c.from_master() => {
            format!("SND_UD to {}, {}", to(a), order(ci, data))
        }
        Ok(frame @ Frame::Long { a, .. }) => format!("RSP_UD from {a}{}", reply(&frame)),
        Err(error @ FrameError::Start { .. }) if bytes.len() > 1 => {
            format!("no frame ({} bytes): {error}", bytes.len())
        }
        Err(error) => format!("no frame: {error}"),
    }
}

fn to(address: u8) -> String {
    match address {
        SELECTED => "the selected meter (253)".to_owned(),
        TEST_BROADCAST => "every meter (254)".to_owned(),
        BROADCAST => "every meter, unanswered (255)".to_owned(),
        one => one.to_string(),
    }
}

fn order(ci: u8, data: &[u8]) -> String {
    match (ci, data) {
        (CI_SELECT, [a, b, c, d, e, f, g, h, ..]) => {
            format!("select {}", SecondaryAddress::from_wire([*a, *b, *c, *d, *e, *f, *g, *h]))
        }
        (CI_APPLICATION_SELECT, []) => "application reset".to_owned(),
        (CI_APPLICATION_SELECT, codes) => format!("application select {}", Hex(codes)),
        // EN 13757-3 clause 12: B8 to BF are the rates from 300 to 38400 baud
        (0xB8..=0xBF, []) => {
            let baud = crate::mbus::link::timing::Baud::ALL.get(usize::from(ci - 0xB8));
            format!("set baud rate {}", baud.map(ToString::to_string).unwrap_or_default())
        }
        _ => format!("CI {ci:02X}, {} byte{}", data.len(), if data.len() == 1 { "" } else { "s" }),
    }
}

fn reply(frame: &Frame<'_>) -> String {
    let telegram = match Telegram::parse(frame) {
        Ok(telegram) => telegram,
        Err(error) => return format!(": {error}"),
    };
    let who = telegram.identity().map_or_else(String::new, |identity| format!(", {}", identity.in_words()));
    match telegram.content {
        crate::mbus::application::telegram::Content::ApplicationError(error) => format!("{who}: {error}"),
        _ => format!("{who}, {} records", telegram.records().flatten().count()),
    }
}

/// Bytes as `68 03 03 68`, written only where the log takes them.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(i, byte)| write!(f, "{}{byte:02X}", if i == 0 { "" } else { " " }))
    }
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn a_frame_is_told_in_a_few_words() {
        for (bytes, words) in [
            (&[0xE5][..], "acknowledgement"),
            (&[0x10, 0x40, 0x30, 0x70, 0x16], "SND_NKE to 48"),
            (&[0x10, 0x7B, 0xFE, 0x79, 0x16], "REQ_UD2 to every meter (254), FCB 1"),
            (&[0x68, 3, 3, 0x68, 0x53, 0x05, 0xBD, 0x15, 0x16], "SND_UD to 5, set baud rate 9600"),
            (&[0x68, 3, 3, 0x68, 0x53, 0x05, 0x50, 0xA8, 0x16], "SND_UD to 5, application reset"),
            (
                &[0x68, 4, 4, 0x68, 0x08, 0x05, 0x70, 0x08, 0x85, 0x16],
                "RSP_UD from 5: application error 8: application too busy for readout",
            ),
        ] {
            assert_eq!(describe(bytes), words);
        }
        assert!(describe(&[0x00, 0x01]).starts_with("no frame (2 bytes): "));
        assert!(describe(&[0x10, 0x40]).starts_with("no frame: "));
        assert_eq!(describe(&[0x10]), "no frame: broken frame: 1 byte, expected 5");
        assert!(describe(&[0x68, 4, 4, 0x68, 0x53, 0x05, 0x5A, 0x00, 0xB2, 0x16]).ends_with("CI 5A, 1 byte"));
    }
}
