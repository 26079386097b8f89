//! What a meter's telegrams tell the doctor.

use crate::config::Meter;
use crate::mbus::address::MeterAddress;
use crate::mbus::application::opener::{Buffers, Opener};
use crate::mbus::application::telegram::{Content, Telegram};
use crate::mbus::link::frame::Frame;

/// What opens its telegrams.
pub(super) fn opener(meter: &Meter) -> Opener {
    let mut opener = Opener::new(meter.key);
    if let MeterAddress::Secondary(mask) = meter.address {
        opener.select(mask);
    }
    opener
}

/// Why an encrypted telegram stays closed; `None` where it is open.
pub(super) fn unopened(frame: &[u8], meter: &Meter) -> Option<String> {
    let telegram = Telegram::parse(&Frame::parse(frame).ok()?).ok()?;
    let Content::Encrypted(_) = telegram.content else { return None };
    let opened = opener(meter).open(&telegram, &mut Buffers::default()).err();
    opened.map(|error| format!("its telegram stays closed: {error}"))
}

/// Whether there is anything in it.
pub(super) fn has_records(frame: &[u8]) -> bool {
    let frame = Frame::parse(frame).ok();
    let telegram = frame.as_ref().and_then(|frame| Telegram::parse(frame).ok());
    telegram.is_some_and(|telegram| match telegram.content {
        // Opened by now, so there is something in it; a compact one stands for a full one.
        Content::Encrypted(_) | Content::Compact(_) => true,
        _ => telegram.records().next().is_some(),
    })
}

/// `: ATS 30137315, heat`, where the telegram tells.
pub(super) fn identity(frame: &[u8]) -> String {
    let identity = Frame::parse(frame).ok().and_then(|frame| Telegram::parse(&frame).ok()?.identity());
    identity.map_or_else(String::new, |identity| format!(": {}", identity.in_words()))
}
