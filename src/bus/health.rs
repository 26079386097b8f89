//! How a bus is doing: a snapshot that its task writes and others read.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::adopt::hunt::Progress;
use crate::mbus::master::conversation::Traffic;
use crate::mbus::master::readout::ReadoutError;
use crate::mbus::master::search::Found;

/// One bus, as it was when its last readout ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether the line is open, and powered where the Hat powers it.
    pub up: bool,
    /// Whether its user has switched its power off.
    pub switched_off: bool,
    /// Readouts that gave telegrams.
    pub readouts_ok: u64,
    /// Readouts that gave none.
    pub readouts_failed: u64,
    /// Why.
    pub failures: Failures,
    /// How long readouts have used the wire.
    pub busy: Duration,
    /// When each of its meters is read next, in the order of the configuration.
    pub next_reads: Vec<Timestamp>,
    /// Requests and bytes, repeats and noise.
    pub traffic: Traffic,
    /// How often the line went away after it had been open.
    pub line_losses: u64,
    /// What went wrong last, of a meter or of the line.
    pub last_error: Option<String>,
    /// How far the scan is that goes on, if one does.
    pub scan: Option<ScanProgress>,
    /// How far the search for meters that nobody wrote down is, if one goes on.
    pub hunt: Option<Progress>,
    /// What that scan has found so far, or the last one.
    pub found: Vec<Found>,
    /// Share of the last hour, or of the time since the start, in which the bus was in use: 0..=1000.
    pub load_permille: u16,
}

/// Readouts without a telegram, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// No byte came.
    pub silent: u64,
    /// What came was damaged, or no answer.
    pub damaged: u64,
    /// The meter answered that it has nothing, or an error of its application.
    pub refused: u64,
}

impl Failures {
    /// Counts one.
    pub(super) fn count(&mut self, error: &ReadoutError) {
        let counter = match error {
            ReadoutError::Silence => &mut self.silent,
            ReadoutError::NoAnswer(_) => &mut self.damaged,
            ReadoutError::NoData | ReadoutError::Application(_) => &mut self.refused,
            // It was not asked.
            ReadoutError::Unsupported { .. } => return,
        };
        *counter += 1;
    }
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanProgress {
    /// Percent of the probes known so far; a collision adds more.
    pub percent: u32,
    /// How long the rest takes if no meter answers and nothing is read meanwhile.
    pub left: Duration,
    /// Meters and collisions found so far.
    pub found: usize,
}

/// Measures how busy a bus is, an hour at a time.
#[derive(Clone, Debug)]
pub(super) struct Load {
    since: Instant,
    busy: Duration,
    last_hour_permille: Option<u16>,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Load {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, busy: Duration::ZERO, last_hour_permille: None }
    }

    /// Adds the time of one readout; the load of the last whole hour, or until there is one of the time so far.
    pub(super) fn add(&mut self, busy: Duration, now: Instant) -> u16 {
        self.busy += busy;
        let passed = now.duration_since(self.since).max(self.busy);
        let permille = self.busy.as_millis() * 1000 / passed.as_millis().max(1);
        let permille = u16::try_from(permille).unwrap_or(1000).min(1000);
        if passed >= HOUR {
            *self = Self { since: now, busy: Duration::ZERO, last_hour_permille: Some(permille) };
        }
        self.last_hour_permille.unwrap_or(permille)
    }
}

#[cfg(test)]
mod tests {
    use super::Load;
    use std::time::{Duration, Instant};

    #[test]
    fn load_is_of_the_time_so_far_then_of_the_last_whole_hour() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut load = Load::new(start);
        assert_eq!(load.add(Duration::from_secs(10), at(10)), 1000);
        assert_eq!(load.add(Duration::from_secs(10), at(100)), 200);
        assert_eq!(load.add(Duration::from_secs(340), at(3600)), 100);
        assert_eq!(load.add(Duration::from_secs(5), at(3610)), 100);
        assert_eq!(load.add(Duration::from_secs(3590), at(7200)), 998);
    }
}
