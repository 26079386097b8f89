//! The wire side: one task owns one segment, opens its line, powers it, reads its meters when
//! they are due and hands every readout on. Knows no broker.

pub mod device_tree;
pub mod drive;
pub mod exchange;
pub mod frames;
pub mod hat;
pub mod health;
pub mod hunting;
mod last_resort;
pub mod line;
mod metered;
mod power;
mod scanning;
pub mod schedule;
pub mod serve;
pub mod session;
mod slot;
pub(crate) mod slow;
pub mod tape;
pub mod task;

use std::path::PathBuf;
use std::time::SystemTime;

pub use metered::Metered;

use crate::adopt::find::Find;
use crate::mbus::address::MeterAddress;
use crate::mbus::master::readout::ReadoutError;
use crate::mbus::master::search::Found;
use crate::request::Reply;

/// What happened on a segment, for the outbox: the only thing a bus task sends.
#[derive(Debug)]
pub struct BusEvent {
    /// Index in `Config::buses`.
    pub bus: usize,
    /// What happened.
    pub what: Happened,
}

/// What happened on a segment.
#[derive(Debug)]
pub enum Happened {
    /// A configured meter's turn is over.
    Read {
        /// What came of it.
        readout: MeterReadout,
        /// Who asked for the reading.
        asked: Vec<Reply>,
    },
    /// The meter at an address gave telegrams, for who asked alone.
    ReadAt {
        /// The name of the meter, where one is configured at that address.
        meter: Option<String>,
        /// Wall clock when the last telegram was complete.
        read_at: SystemTime,
        /// The whole frames of its telegrams.
        frames: Vec<Vec<u8>>,
        /// Who asked.
        reply: Reply,
    },
    /// The line is gone (I/O error); the task opens it again.
    Down {
        /// What the system said.
        error: String,
    },
    /// The line is open and powered.
    Up,
    /// A scan went on by a step: its progress is in the bus's health.
    Scanning,
    /// The search for meters that nobody wrote down has found some.
    Found {
        /// Those that are new.
        finds: Vec<Find>,
    },
    /// A scan came to its end.
    Scanned {
        /// Who answered.
        found: Vec<Found>,
    },
}

/// The outcome of one meter's turn.
#[derive(Clone, Debug)]
pub struct MeterReadout {
    /// The meter's name.
    pub meter: String,
    /// The index of its bus, and its address there: a reload may have given that name to another place meanwhile.
    pub place: (usize, MeterAddress),
    /// Slot it was read for; `None` on demand.
    pub due_at: Option<SystemTime>,
    /// Wall clock when the last telegram was complete.
    pub read_at: SystemTime,
    /// The whole frames of its telegrams, checked by the framer; or why there are none.
    pub frames: Result<Vec<Vec<u8>>, ReadoutError>,
}

/// What of this machine a bus touches besides its port; tests bring their own.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Root of the device tree that names the Hat.
    pub device_tree: PathBuf,
    /// How the pin that powers a bus is opened.
    pub open_pin: hat::OpenPin,
}

impl Machine {
    /// The machine that this program runs on. `MBUSHAT_DEVICE_TREE` names another device tree, for tests.
    #[must_use]
    pub fn here() -> Self {
        let device_tree = std::env::var_os("MBUSHAT_DEVICE_TREE").unwrap_or_else(|| device_tree::ROOT.into());
        Self { device_tree: device_tree.into(), open_pin: hat::open_pin }
    }
}

#[cfg(test)]
mod bench;
