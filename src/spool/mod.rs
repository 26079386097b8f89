//! Store and forward: readings between the meter and the broker, and what must be remembered.
//!
//! # Invariants
//!
//! 1. A number, once given to a reading, is never given to another one.
//! 2. Readings come out in the order of their numbers, each until it is acknowledged or set aside.
//! 3. What is held is bounded; when it is full the oldest readings give way, and are counted.
//!
//! Not here: what a reading says (it is bytes here), when it is published (`mqtt::outbox`).

mod memory;

pub use memory::Spool;

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

/// What is remembered over a restart, each under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Memo {
    /// A meter's last `state` document, by meter.
    State,
    /// A meter's announcement, by meter: topic, line feed, document.
    Announcement,
    /// Who answers, by meter: its identity, followed by ` replaced` where it was another before.
    Identity,
    /// The first unit of a key, by `meter/key`.
    Unit,
}

/// What the outbox task must tell, in the order it happened.
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
}
