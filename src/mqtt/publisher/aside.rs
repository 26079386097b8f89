//! A meter that is read for who asked alone: nothing of the reading is kept.

use std::time::SystemTime;

use super::super::payload;
use super::Publisher;
use crate::measure::normalise::{self, MeterRules, Occasion};

impl Publisher {
    /// The reading of a meter that was read for who asked alone, as JSON; `meter` is the configured
    /// one at that address. Nothing of it is kept.
    pub(in crate::mqtt) fn reading_aside(
        &mut self,
        meter: Option<&str>,
        read_at: SystemTime,
        frames: &[Vec<u8>],
        clock_synced: Option<bool>,
    ) -> Result<String, String> {
        let known = meter.and_then(|meter| self.meters.get(meter));
        let mut opener = known.map(|known| self.openers.of(&known.meter).clone()).unwrap_or_default();
        let described = match known {
            Some(known) => known.described(&self.config),
            None => MeterRules::of_profiles("", &self.config.profiles),
        };
        let when = Occasion { due_at: None, read_at, clock_synced };
        let reading = normalise::reading(frames, &described, &mut opener, when);
        let dress = |reading| match known {
            Some(known) => known.meter.dress(reading, frames),
            None => reading,
        };
        reading.map(|reading| payload::reading_aside(meter, &dress(reading))).map_err(|fault| fault.error)
    }
}
