//! How the agent is doing: a snapshot, written by the outbox task, read by whoever wants to know.
//!
//! Not here: its JSON (`mqtt::info`), what the bus tasks write (`bus::health`).

use std::time::Duration;

/// The agent at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Since the agent started.
    pub uptime: Duration,
    /// Whether there is a connection to the broker.
    pub connected: bool,
    /// Readings taken since the start.
    pub readings_taken: u64,
    /// Readings the broker has acknowledged since the start.
    pub readings_delivered: u64,
    /// Readings that were lost because the store was full.
    pub readings_dropped: u64,
    /// Readings the broker would not take, kept aside in the store.
    pub readings_set_aside: u64,
    /// Readings that wait for the broker.
    pub spool_depth: u64,
    /// Events and responses that were lost because too many waited for the broker.
    pub notes_dropped: u64,
    /// Telegrams that came but gave no reading, counter faults included.
    pub readings_faulty: u64,
}
