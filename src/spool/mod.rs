//! Store and forward: readings between the meter and the broker, and what must be remembered.
//!
//! # Invariants
//!
//! They hold with a disk that fails at any time, for a moment or for good, at run time and at a start.
//!
//! 1. Within an epoch a number, once it came out with a reading, never comes out with another one, nor
//!    does a later reading get a lower one. Where it cannot be proved which numbers of an epoch were
//!    used, a new epoch begins. Neither the clock nor the broker decides a number.
//! 2. Readings come out in the order in which they were taken, each until it is acknowledged or set
//!    aside, also after a crash: then perhaps once more than needed, with the same epoch and number.
//! 3. With `always` a reading comes out only after it is on disk; with `outage` it is on disk at the
//!    latest two seconds after it was taken, unless it was acknowledged before, and at a clean stop.
//! 4. What is held is bounded, in memory and on disk; when it is full the oldest readings give way,
//!    and are counted. So are readings that are lost with a damaged or removed file.
//! 5. Nothing that was once written is deleted because it cannot be understood: a damaged file is
//!    renamed once its good lines are done with. What cannot be read costs the lines it hits.
//! 6. A disk that fails stops nothing: readings are then kept in memory, it is said once, and the disk
//!    is tried again every 30 seconds; so is a store that could not be opened.
//!
//! Two exceptions to 2 and 3, in favour of 6. While the disk fails, `always` lets readings out that are
//! in memory alone. They have numbers of an epoch that no file knows; if the agent is killed in this
//! state, an older copy of one of them may come out under its first number, too.
//!
//! # Why files of lines and no database
//!
//! SQLite (`rusqlite`, with its C library of a megabyte) would bring transactions and a tested pager,
//! and was weighed against the cases that hurt here. An unreadable block or a turned bit costs one
//! line of a file of lines, and of a database the file or the page tree above it, to be salvaged by hand.
//! On a full or read-only disk a damaged file of lines is read where it is; a database with a hot
//! journal needs to write before it can be read. A sync that failed must be followed by writing again
//! what is still in memory, which is for the caller to know in both. Which numbers were used, what was
//! lost, and how to go on in memory would all be ours still. What remains for SQLite is append, read in
//! order and delete in order by one task: a line with a checksum does that, is its own transaction, can
//! be read by a person, and is what an SD card bears best. The property test `store/tests/any_order`
//! stands in for SQLite's own tests.
//!
//! # Files
//!
//! `readings-<first number>.log` (`journal`), `numbers` (`numbers`), `states` and `memos` (`memos`),
//! `aside.log` (readings the broker will not take), `lock`, `*.damaged-<n>`. All go through `files`, so
//! that the test can let any step fail.
//!
//! Not here: what a reading says (it is bytes here), when it is published (`mqtt::outbox`).

mod disk;
mod files;
mod journal;
mod line;
pub mod memo;
mod memos;
mod numbers;
mod store;
#[cfg(test)]
pub(crate) mod test_log;

use std::path::PathBuf;

pub use disk::{DiskDone, DiskWork};
pub use memos::peek;
pub use store::{InUse, Spool};

/// One reading that waits for its acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// The meter's configured name.
    pub meter: String,
    /// The payload of its `reading` message.
    pub payload: String,
}

/// What is remembered over a restart, each under a name without spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Memo {
    /// A meter's last `state` document, by meter.
    State,
    /// The rules by which that document was made, by meter.
    Rules,
    /// A meter's [`memo::Announcement`], by meter. The agent's own stands under `bridge`.
    Announcement,
    /// Who answers, by meter: a [`memo::Identity`].
    Identity,
    /// The first unit of a key, by [`memo::MeterKey`].
    Unit,
    /// A device that Home Assistant may still know although it was taken back, by its id: a
    /// [`memo::Farewell`].
    Farewell,
    /// The most that a meter answered in one turn since the agent's start, by meter: telegrams and characters.
    Replies,
    /// What a meter's telegrams taught, by meter: the memo of its
    /// [`Opener`](crate::mbus::application::opener::Opener).
    Formats,
    /// The names that a meter's plain texts gave, by meter: [`memo::Names`].
    Names,
    /// What the published rises of a total were, by [`memo::MeterKey`]: [`Rises`](crate::measure::total::Rises).
    Rises,
    /// The [`memo::Telegrams`] of a meter's last reading, by meter.
    Telegrams,
    /// Under whose entities a meter goes on, by meter: [`memo::Kept`].
    Kept,
    /// The base topics under which the agent's topics stand, by [`memo::AGENT`]: the newest, and those before it
    /// from which they are being taken back, a line feed between them.
    Base,
    /// Who this agent is for others of its base topic: 16 hex digits, by [`memo::AGENT`].
    Instance,
}

impl Memo {
    const ALL: [Self; 14] = [
        Self::State,
        Self::Rules,
        Self::Announcement,
        Self::Identity,
        Self::Unit,
        Self::Farewell,
        Self::Replies,
        Self::Formats,
        Self::Names,
        Self::Rises,
        Self::Base,
        Self::Kept,
        Self::Telegrams,
        Self::Instance,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Rules => "rules",
            Self::Announcement => "announcement",
            Self::Identity => "identity",
            Self::Unit => "unit",
            Self::Farewell => "farewell",
            Self::Replies => "replies",
            Self::Formats => "formats",
            Self::Names => "names",
            Self::Rises => "rises",
            Self::Base => "base",
            Self::Kept => "kept",
            Self::Telegrams => "telegrams",
            Self::Instance => "instance",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|memo| memo.name() == name)
    }

    /// Whether every reading changes it: such are written seldom, to a file of their own.
    fn is_of_a_reading(self) -> bool {
        matches!(self, Self::State | Self::Rules | Self::Telegrams)
    }
}

/// What the outbox task must report, in the order it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The store was full: `count` readings, numbered from..=to, were dropped unsent.
    Dropped {
        /// How many.
        count: u64,
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The last stop was not clean: the numbers from..=to may never have been used.
    UncleanStart {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Readings that were set aside are queued again under their old messages: the numbers from..=to, which give
    /// them their places, come out in no message.
    Requeued {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The epoch of the numbers is another one now: which of the old one were used is not certain.
    NewEpoch {
        /// The new one.
        epoch: String,
    },
    /// A file is damaged. Its good lines are used; then it stays as `<name>.damaged-<n>`.
    Damaged {
        /// Which one.
        file: PathBuf,
        /// Good lines.
        kept: u64,
        /// Pieces that are not good lines, or cannot be read.
        bad: u64,
    },
    /// Somebody else removed files of readings.
    Gone {
        /// How many.
        files: u64,
    },
    /// Readings that waited were lost with a file that is damaged or gone. Where nothing tells how far
    /// it went, as many are counted as would have had room.
    Lost {
        /// How many.
        count: u64,
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The disk fails.
    Trouble {
        /// What the system said, and what happens meanwhile.
        error: String,
    },
    /// The disk works again.
    Recovered,
    /// A store that could not be opened at the start is in use now: [`Spool::cursor`] is another one.
    Opened {
        /// Readings that wait.
        waiting: u64,
    },
}

impl Notice {
    /// Adds it: of files gone and readings lost at one time the sum is said.
    fn add_to(self, notices: &mut Vec<Self>) {
        for notice in &mut *notices {
            match (notice, &self) {
                (Self::Gone { files }, Self::Gone { files: more }) => return *files += more,
                (Self::Lost { count, to, .. }, Self::Lost { count: more, to: last, .. }) => {
                    *count += more;
                    *to = *last;
                    return;
                }
                _ => {}
            }
        }
        notices.push(self);
    }
}
