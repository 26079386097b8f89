//! The wire side: one task owns one segment, opens its line, powers it, reads its meters when
//! they are due and hands every readout on. Knows no broker.

pub mod device_tree;
pub mod drive;
pub mod hat;
pub mod health;
pub mod heartbeat;
mod last_resort;
pub mod line;
mod scanning;
pub mod schedule;
pub mod serve;
pub mod session;
mod slot;
pub mod task;
#[cfg(test)]
mod bench;

use std::path::PathBuf;
use std::time::SystemTime;

pub use scanning::Scan;

use crate::mbus::master::readout::ReadoutError;
use crate::mbus::master::search::Found;

/// What happened on a segment, for the outbox: the only thing a bus task sends.
#[derive(Clone, Debug)]
pub struct BusEvent {
    /// Place in `Config::buses`.
    pub bus: usize,
    /// What happened.
    pub what: Happened,
}

/// What happened on a segment.
#[derive(Clone, Debug)]
pub enum Happened {
    /// A meter's turn is over.
    Read(MeterReadout),
    /// The line is gone (I/O error); the task reopens it for ever.
    Down {
        /// What the system said.
        error: String,
    },
    /// The line is open and powered.
    Up,
    /// A scan is over.
    Scanned {
        /// Who answered.
        found: Vec<Found>,
        /// Whether it came to its end; it does not where the bus loses its power.
        complete: bool,
    },
}

/// The outcome of one meter's turn.
#[derive(Clone, Debug)]
pub struct MeterReadout {
    /// The meter's name.
    pub meter: String,
    /// Slot it was read for; `None` on demand.
    pub due_at: Option<SystemTime>,
    /// Wall clock when the last telegram was complete.
    pub read_at: SystemTime,
    /// The whole frames of its telegrams, checked by the framer; or why there are none.
    pub frames: Result<Vec<Vec<u8>>, ReadoutError>,
}

/// A wish from outside, on a bounded channel into the bus task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Read this meter before anything scheduled.
    ReadNow {
        /// Its name.
        meter: String,
    },
    /// Switch bus power.
    Power(bool),
    /// Look for meters, between the readouts; while another scan is at work this one is ignored.
    Scan(Scan),
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
