//! The readings between the store and the broker: which is sent, and what became of how many.
//!
//! Not here: when it is sent (`outbox`), how it is kept (the spool).

use super::super::link::Publish;
use super::super::payload::Event;
use super::Publisher;
use crate::spool::Entry;
use crate::status::Readings;

impl Publisher {
    /// The next reading to send.
    pub(in crate::mqtt) fn reading_after(&mut self, seq: u64) -> Option<Publish> {
        let Entry { seq, meter, payload } = self.spool.after(seq, self.now)?;
        Some(self.outbox.reading(seq, self.topics.reading(&meter), payload.into()))
    }

    /// A refused reading once more; the cursor, where the store has dropped it meanwhile and it moved.
    pub(in crate::mqtt) fn reading_again(&mut self, seq: u64) -> Result<Publish, Option<u64>> {
        match self.spool.after(seq.saturating_sub(1), self.now).filter(|entry| entry.seq == seq) {
            Some(entry) => Ok(self.outbox.reading(seq, self.topics.reading(&entry.meter), entry.payload.into())),
            None => Err(self.outbox.reading_is_gone(seq)),
        }
    }

    /// The broker has every reading up to here, but for those that it refused. Each reading that leaves the
    /// store is counted as what became of it.
    pub(in crate::mqtt) fn settle(&mut self, cursor: u64) {
        let before = self.spool.depth();
        self.spool.ack(cursor, self.now);
        let gone = before.saturating_sub(self.spool.depth());
        let refused = gone.min(self.refused);
        self.refused -= refused;
        self.readings.set_aside += refused;
        self.readings.delivered += gone - refused;
    }

    /// The broker will never take this reading.
    pub(in crate::mqtt) fn set_aside(&mut self, seq: u64) {
        self.refused += 1;
        self.spool.set_aside(seq, self.now);
    }

    /// The store was opened late: what waited in it is this run's to deliver.
    pub(super) fn take_over(&mut self) {
        let Readings { delivered, dropped, set_aside, .. } = self.readings;
        self.readings.taken = delivered + dropped + set_aside + self.spool.depth();
    }

    /// What became of the readings so far.
    pub(in crate::mqtt) fn readings(&self) -> Readings {
        Readings { waiting: self.spool.depth(), ..self.readings }
    }

    /// In a long outage a full store drops again and again: logged at the first time.
    pub(super) fn dropped(&mut self, count: u64, from: u64, to: u64) {
        self.readings.dropped += count;
        if let Some((sum, _, last)) = &mut self.drops {
            *sum += count;
            *last = to;
        } else {
            tracing::warn!("the store is full: the oldest readings are dropped, beginning with number {from}");
            self.drops = Some((count, from, to));
        }
    }

    /// All that were dropped since the last call, in one event: there is a broker to hear it.
    pub(in crate::mqtt) fn report_drops(&mut self) {
        if let Some((count, from, to)) = self.drops.take() {
            tracing::warn!("{count} readings were dropped, numbers {from} to {to}");
            self.tell(&Event::ReadingsDropped { count, from, to });
        }
    }
}
