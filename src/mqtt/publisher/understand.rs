//! What telegrams say, in the units of the meter that sent them.
//!
//! Not here: how telegrams are read (`measure::normalise`), whether the reading is believed (`judge`).

use super::Publisher;
use crate::measure::Reading;
use crate::measure::normalise::{self, Occasion};

impl Publisher {
    /// The reading. A key has the unit in which it was first published, but of this meter: another one that answers
    /// now may count in others.
    pub(super) fn understand(&mut self, name: &str, frames: &[Vec<u8>], when: Occasion) -> Result<Reading, String> {
        let reading = self.as_known(name, frames, when)?;
        if !self.is_of_another(&reading) {
            return Ok(reading);
        }
        let Some(known) = self.meters.get_mut(name) else { return Ok(reading) };
        known.forget_units(&mut self.spool, self.now);
        self.as_known(name, frames, when)
    }

    fn as_known(&mut self, name: &str, frames: &[Vec<u8>], when: Occasion) -> Result<Reading, String> {
        let known = self.meters.get(name).ok_or("no such meter")?;
        let opener = self.openers.of(&known.meter);
        let reading = normalise::reading(frames, &known.described(&self.config), opener, when);
        reading.map(|reading| known.meter.dress(reading, frames)).map_err(|fault| fault.error)
    }

    /// Whether it is certain that another meter than the known one sent it, which gets entities of its own.
    fn is_of_another(&self, reading: &Reading) -> bool {
        let name = &reading.meter;
        let Some((now, known)) = reading.device.identity.zip(self.meters.get(name)) else { return false };
        let is_other = self.announcements.identity(name).is_some_and(|before| before != now);
        let is_certain = self.announcements.expected(name).is_none() || known.is_stranger(now);
        is_other && is_certain && !known.meter.keep_entities
    }
}
