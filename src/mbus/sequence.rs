//! Whether a meter has another telegram, and when to stop asking (EN 13757-3 annex "multi-telegram
//! readout": DIF 1F as the last record).
//!
//! Meters break the rule in two ways: those that ignore the frame count bit send their first telegram
//! for ever, and some go round in a ring. Both are told by comparing telegrams.
//!
//! Not here: asking (`readout`).

use crate::mbus::address::SecondaryAddress;
use crate::mbus::frame::Frame;
use crate::mbus::quantity::{Known, Quantity};
use crate::mbus::record::DataRecord;
use crate::mbus::security::{Key, decrypt};
use crate::mbus::telegram::{ApplicationError, Content, Telegram};

/// Telegrams of one readout at most; longer than any meter's, short enough for a ring.
pub const MAX_TELEGRAMS: usize = 16;

/// What opens encrypted telegrams: without it their last record cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opener {
    /// The meter's key.
    pub key: Option<Key>,
    /// Its identity where only a selection told it; wildcards make it useless.
    pub identity: SecondaryAddress,
}

/// What follows the telegrams read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequel {
    /// The last one says that more follow.
    More,
    /// It says that it is the last, or there were too many.
    Last,
    /// The last `drop` telegrams are the first one again.
    Repeats {
        /// How many of them add nothing.
        drop: usize,
    },
}

/// Decides after the last of `frames`.
#[must_use]
pub fn sequel(frames: &[Vec<u8>], opener: Opener) -> Sequel {
    let Some((last, earlier)) = frames.split_last() else { return Sequel::More };
    if let [first, between @ ..] = earlier {
        let alike = |a: &[u8], b: &[u8]| compare(a, b, opener);
        let (heads, values) = alike(first, last);
        // The heads of the first come again after others: a ring is closed.
        if values || (heads && between.iter().any(|other| !alike(first, other).0)) {
            return Sequel::Repeats { drop: 1 };
        }
        // All alike to the end: values move, but it is the same telegram over and over.
        let all_alike = || heads && between.iter().all(|other| alike(first, other).0);
        if frames.len() >= MAX_TELEGRAMS && all_alike() {
            return Sequel::Repeats { drop: earlier.len() };
        }
    }
    if frames.len() < MAX_TELEGRAMS && more_follow(last, opener) { Sequel::More } else { Sequel::Last }
}

/// The error that a reply carries instead of data.
#[must_use]
pub fn application_error(frame: &[u8]) -> Option<ApplicationError> {
    match Telegram::parse(&Frame::parse(frame).ok()?).ok()?.content {
        Content::ApplicationError(error) => Some(error),
        _ => None,
    }
}

fn more_follow(frame: &[u8], opener: Opener) -> bool {
    let mut buffer = Vec::new();
    open(frame, opener, &mut buffer).is_some_and(|telegram| {
        let mut records = telegram.records();
        records.by_ref().for_each(drop);
        records.more_records_follow()
    })
}

/// Whether two telegrams have the same records, and whether these say the same apart from clocks.
fn compare(a: &[u8], b: &[u8], opener: Opener) -> (bool, bool) {
    let (mut first_buffer, mut second_buffer) = (Vec::new(), Vec::new());
    let (Some(a), Some(b)) = (open(a, opener, &mut first_buffer), open(b, opener, &mut second_buffer)) else {
        return (false, false);
    };
    let (a, b) = (a.records().flatten(), b.records().flatten());
    let heads = |r: &DataRecord<'_>| (r.dib.bytes.to_vec(), r.vib.bytes.to_vec());
    if !a.clone().map(|r| heads(&r)).eq(b.clone().map(|r| heads(&r))) {
        return (false, false);
    }
    (true, a.zip(b).all(|(a, b)| a.data == b.data || is_clock(&a)))
}

/// A record that differs between two readings of the same telegram.
fn is_clock(record: &DataRecord<'_>) -> bool {
    use Known::{Date, DateTime, OnTime, OperatingTime, TimePointSecond};
    let quantity = record.vib.quantity;
    record.dib.storage_number == 0
        && [Date, DateTime, OnTime, OperatingTime, TimePointSecond].map(Quantity::Known).contains(&quantity)
}

fn open<'b>(frame: &'b [u8], opener: Opener, buffer: &'b mut Vec<u8>) -> Option<Telegram<'b>> {
    let telegram = Telegram::parse(&Frame::parse(frame).ok()?).ok()?;
    decrypt(&telegram, opener.key.as_ref(), Some(opener.identity), buffer).ok()
}
