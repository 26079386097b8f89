//! A readout that was under way when a reload took its meter out of the configuration, gave its name to another place,
//! or disabled it: the reading is delivered, and nothing else follows from it.

use super::memory::MeterMemory;
use super::{Outcome, Publisher};
use crate::bus::MeterReadout;
use crate::measure::normalise::{self, Occasion};

impl Publisher {
    pub(super) fn last_readout(&mut self, readout: MeterReadout, clock_synced: Option<bool>) -> Outcome {
        let MeterReadout { meter, place, due_at, read_at, frames } = readout;
        let is_it = |known: &&MeterMemory| known.meter.name == meter && known.is_at(place);
        let mut all = self.meters.values().chain(self.former.iter().rev().map(|(_, known)| known));
        let Some(known) = all.find(is_it) else { return Outcome::Failed("no such meter".to_owned()) };
        let when = Occasion { due_at, read_at, clock_synced };
        let read = frames.map_err(|error| error.to_string()).and_then(|frames| {
            let opener = self.openers.of(&known.meter);
            let reading = normalise::reading(&frames, &known.described(&self.config), opener, when);
            reading.map(|reading| known.meter.dress(reading, &frames)).map_err(|fault| fault.error)
        });
        match read {
            Ok(reading) => Outcome::Taken(self.append(&reading).1),
            Err(error) => Outcome::Failed(error),
        }
    }
}
