//! Whether a meter has another telegram, and when to stop asking (EN 13757-3 annex "multi-telegram
//! readout": DIF 1F as the last record).
//!
//! Meters break the rule in two ways: those that ignore the frame count bit send their first telegram
//! for ever, and some go round in a ring. Both are told by comparing telegrams.
//!
//! Not here: asking (`readout`).

use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::{Known, Quantity};
use crate::mbus::application::record::DataRecord;
use crate::mbus::application::security::{Key, decrypt};
use crate::mbus::application::telegram::{ApplicationError, Content, Telegram};
use crate::mbus::link::frame::Frame;

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

#[cfg(test)]
mod tests {
    use super::{MAX_TELEGRAMS, Opener, SecondaryAddress, Sequel, sequel};
    use crate::mbus::link::frame::{Control, Frame};

    /// A telegram with this access number and these records.
    fn telegram(access_number: u8, records: &[u8]) -> Vec<u8> {
        let header = [0x78, 0x56, 0x34, 0x12, 0x24, 0x40, 1, 7, access_number, 0, 0, 0];
        let data = [&header[..], records].concat();
        Frame::Long { c: Control(8), a: 5, ci: 0x72, data: &data }.to_vec().expect("fits")
    }

    fn after(frames: &[Vec<u8>]) -> Sequel {
        sequel(frames, Opener { key: None, identity: SecondaryAddress::ANY })
    }

    #[test]
    fn the_last_record_tells_whether_more_follow() {
        assert_eq!(after(&[telegram(0, &[0x01, 0x13, 5, 0x1F])]), Sequel::More);
        assert_eq!(after(&[telegram(0, &[0x01, 0x13, 5, 0x0F, 0x1F])]), Sequel::Last, "the maker's own byte");
        assert_eq!(after(&[telegram(0, &[0x01, 0x13, 0x1F])]), Sequel::Last, "a value");
        assert_eq!(after(&[telegram(0, &[])]), Sequel::Last);
    }

    #[test]
    fn the_first_telegram_again_ends_the_readout_though_its_clock_goes_on() {
        let first = |acc, minute| telegram(acc, &[0x01, 0x13, 5, 0x04, 0x6D, minute, 0x20, 0x41, 0x31, 0x1F]);
        assert_eq!(after(&[first(0, 1), first(1, 2)]), Sequel::Repeats { drop: 1 });
        let other = telegram(1, &[0x41, 0x13, 4, 0x1F]);
        let moved = telegram(2, &[0x01, 0x13, 6, 0x04, 0x6D, 3, 0x20, 0x41, 0x31, 0x1F]);
        assert_eq!(after(&[first(0, 1), other, moved]), Sequel::Repeats { drop: 1 }, "a ring");
    }

    #[test]
    fn equal_records_with_other_values_are_a_history_unless_they_never_end() {
        let entry = |n: u8| telegram(n, &[0x01, 0x13, n, 0x1F]);
        let mut frames: Vec<Vec<u8>> = (0..3).map(entry).collect();
        assert_eq!(after(&frames), Sequel::More);
        frames.push(telegram(3, &[0x01, 0x13, 9]));
        assert_eq!(after(&frames), Sequel::Last);
        let endless: Vec<Vec<u8>> = (0..16).map(entry).collect();
        assert_eq!(after(&endless), Sequel::Repeats { drop: MAX_TELEGRAMS - 1 });
    }
}
