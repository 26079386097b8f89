//! A simulated segment in this process, run against the clock.

use std::collections::VecDeque;
use std::path::Path;

use tokio::time::{Instant, sleep_until};

use super::{Arrived, Character, LineError};
use crate::config::simulation;
use crate::sim::segment::{Heard, Segment};

/// A segment and what has been heard of it but not read yet.
#[derive(Debug)]
pub struct SimLine {
    segment: Segment,
    heard: VecDeque<Heard>,
}

impl SimLine {
    pub(super) fn open(file: &Path, character: Character) -> Result<Self, LineError> {
        let plan = simulation::load(file).map_err(LineError::Simulation)?;
        let mut segment = Segment::new(plan, Instant::now().into_std());
        segment.set_baud(character.baud);
        segment.set_parity(character.parity);
        Ok(Self { segment, heard: VecDeque::new() })
    }

    pub(super) fn set_character(&mut self, character: Character) {
        self.segment.set_baud(character.baud);
        self.segment.set_parity(character.parity);
    }

    pub(super) fn transmit(&mut self, bytes: &[u8]) {
        let now = Instant::now().into_std();
        self.segment.poll(now);
        self.heard.clear();
        self.segment.receive(bytes, now);
    }

    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> Arrived {
        loop {
            self.heard.extend(self.segment.poll(Instant::now().into_std()));
            if self.heard.front().is_some_and(|heard| heard.damaged) {
                self.heard.pop_front();
                return Arrived::Damaged;
            }
            let whole = self.heard.iter().take_while(|heard| !heard.damaged).count().min(buffer.len());
            if whole > 0 {
                for (place, heard) in buffer.iter_mut().zip(self.heard.drain(..whole)) {
                    *place = heard.byte;
                }
                return Arrived::Bytes(whole);
            }
            match self.segment.next_wake() {
                Some(wake) => sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        }
    }
}
