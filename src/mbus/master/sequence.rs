//! Whether a meter has another telegram, and when to stop asking (EN 13757-3 annex "multi-telegram
//! readout": DIF 1F as the last record).
//!
//! Meters break the rule in two ways: those that ignore the frame count bit send their first telegram
//! forever, and some go round in a ring. Comparing telegrams finds out both.
//!
//! Not here: asking (`readout`).

use crate::mbus::application::opener::{Buffers, Opener};
use crate::mbus::application::quantity::{Known, Quantity};
use crate::mbus::application::record::DataRecord;
use crate::mbus::application::telegram::{ApplicationError, Content, Telegram};
use crate::mbus::link::frame::Frame;

/// Telegrams of one readout at most; longer than any meter's, short enough for a ring.
pub const MAX_TELEGRAMS: usize = 16;

/// The telegrams of one readout so far.
#[derive(Clone, Debug)]
pub struct Sequence {
    opener: Opener,
    /// Of each telegram; `None` where it stays closed.
    seen: Vec<Option<Seen>>,
}

/// What a telegram is compared by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// DIF to VIFE of each record.
    heads: Vec<u8>,
    /// The data of each record that is not a clock.
    values: Vec<u8>,
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

impl Sequence {
    /// No telegram yet. Without what opens an encrypted telegram its last record cannot be seen.
    #[must_use]
    pub fn new(opener: Opener) -> Self {
        Self { opener, seen: Vec::new() }
    }

    /// Forgets the telegrams.
    pub fn clear(&mut self) {
        self.seen.clear();
    }

    /// Decides after the next telegram.
    ///
    /// # Errors
    /// The error that it carries instead of data.
    pub fn add(&mut self, frame: &[u8]) -> Result<Sequel, ApplicationError> {
        let telegram = Frame::parse(frame).ok().and_then(|frame| Telegram::parse(&frame).ok());
        if let Some(Telegram { content: Content::ApplicationError(error), .. }) = telegram {
            return Err(error);
        }
        let mut buffers = Buffers::default();
        let open = telegram.and_then(|telegram| self.opener.open(&telegram, &mut buffers).ok());
        let (seen, more_follow) = open.map(|telegram| see(&telegram)).unzip();
        self.seen.push(seen);
        let more_follow = more_follow.unwrap_or(false);
        Ok(self.repeats().unwrap_or(if self.seen.len() < MAX_TELEGRAMS && more_follow {
            Sequel::More
        } else {
            Sequel::Last
        }))
    }

    fn repeats(&self) -> Option<Sequel> {
        let (last, earlier) = self.seen.split_last()?;
        let (first, between) = earlier.split_first()?;
        let (last, first) = (last.as_ref()?, first.as_ref()?);
        let like_first = |other: &Option<Seen>| other.as_ref().is_some_and(|other| other.heads == first.heads);
        let heads = last.heads == first.heads;
        // The heads of the first come again after others: a ring is closed.
        if heads && (last.values == first.values || !between.iter().all(like_first)) {
            return Some(Sequel::Repeats { drop: 1 });
        }
        // All alike to the end: values move, but it is the same telegram over and over.
        let endless = heads && self.seen.len() >= MAX_TELEGRAMS;
        endless.then_some(Sequel::Repeats { drop: earlier.len() })
    }
}

/// What a telegram is compared by, and whether it says that more follow.
fn see(telegram: &Telegram<'_>) -> (Seen, bool) {
    let mut seen = Seen { heads: Vec::new(), values: Vec::new() };
    let mut records = telegram.records();
    for record in records.by_ref().flatten() {
        seen.heads.extend_from_slice(record.dib.bytes);
        seen.heads.extend_from_slice(record.vib.bytes);
        if !is_clock(&record) {
            seen.values.extend_from_slice(record.data);
        }
    }
    (seen, records.more_records_follow())
}

/// A record that differs between two readings of the same telegram.
fn is_clock(record: &DataRecord<'_>) -> bool {
    use Known::{Date, DateTime, OnTime, OperatingTime, TimePointSecond};
    let quantity = record.vib.quantity;
    record.dib.storage_number == 0
        && [Date, DateTime, OnTime, OperatingTime, TimePointSecond].map(Quantity::Known).contains(&quantity)
}

#[cfg(test)]
mod tests {
    use super::{MAX_TELEGRAMS, Opener, Sequel, Sequence};
    use crate::mbus::link::frame::{Control, Frame};

    /// A telegram with this access number and these records.
    fn telegram(access_number: u8, records: &[u8]) -> Vec<u8> {
        let header = [0x78, 0x56, 0x34, 0x12, 0x24, 0x40, 1, 7, access_number, 0, 0, 0];
        let data = [&header[..], records].concat();
        Frame::Long { c: Control(8), a: 5, ci: 0x72, data: &data }.to_vec().expect("fits")
    }

    fn after(frames: &[Vec<u8>]) -> Sequel {
        let mut sequence = Sequence::new(Opener::default());
        frames.iter().map(|frame| sequence.add(frame)).last().expect("a telegram").expect("no error")
    }

    #[test]
    fn the_last_record_says_whether_more_follow() {
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
