//! The readings between the store and the broker: which is sent, and what became of how many.
//!
//! Not here: when it is sent (`outbox`), how it is kept (the spool).

use super::super::link::Publish;
use super::super::outbox::Delivered;
use super::super::payload::Event;
use super::Publisher;
use crate::spool::Entry;
use crate::status::Readings;

/// What the store had for the outbox.
#[derive(Debug)]
pub(in crate::mqtt) enum Offer {
    /// Nothing, or it cannot be read now.
    Nothing,
    /// A reading that has to wait, or is gone: the outbox asks for another one.
    Held,
    Send(Publish),
}

impl Publisher {
    /// Offers the next reading to the outbox.
    pub(in crate::mqtt) fn reading_after(&mut self, seq: u64) -> Offer {
        self.spool.after(seq, self.now).map_or(Offer::Nothing, |entry| self.offer(entry))
    }

    /// The same with one that had to wait before.
    pub(in crate::mqtt) fn reading_again(&mut self, seq: u64) -> Offer {
        match self.spool.after(seq.saturating_sub(1), self.now) {
            None => Offer::Nothing,
            Some(entry) if entry.seq == seq => self.offer(entry),
            Some(_) => {
                let cursor = self.outbox.reading_is_gone(seq);
                self.settle(cursor);
                Offer::Held
            }
        }
    }

    fn offer(&mut self, Entry { seq, meter, payload }: Entry) -> Offer {
        self.outbox.reading(seq, self.topics.reading(&meter), payload.into()).map_or(Offer::Held, Offer::Send)
    }

    /// The broker has a reading.
    pub(in crate::mqtt) fn delivered(&mut self, delivered: Delivered) {
        self.readings.delivered += 1;
        self.settle(delivered.cursor);
    }

    /// Every reading up to here is delivered or set aside.
    pub(in crate::mqtt) fn settle(&mut self, cursor: Option<u64>) {
        cursor.into_iter().for_each(|cursor| self.spool.ack(cursor, self.now));
    }

    /// The broker will never take this reading.
    pub(in crate::mqtt) fn set_aside(&mut self, seq: u64) {
        if self.spool.set_aside(seq, self.now) {
            self.readings.set_aside += 1;
            return;
        }
        self.readings.dropped += 1;
        self.report_unkept();
    }

    /// Readings that could not even be set aside: there may be one after another.
    fn report_unkept(&mut self) {
        if let Some((count, from, to)) = self.spool.unkept(self.now) {
            tracing::error!(
                "readings lost that the broker does not take, for aside.log is full or cannot be written: {count}, \
                 numbers {from} to {to}"
            );
            self.tell(&Event::ReadingsDropped { count, from, to });
        }
    }

    /// Sends the readings again that were set aside; how many.
    pub(in crate::mqtt) fn resend(&mut self) -> Result<u64, String> {
        let count = match self.spool.resend(self.now) {
            Ok(count) => count,
            Err(error) => {
                self.take_over();
                return Err(format!("the store fails: {error}"));
            }
        };
        self.readings.set_aside = self.readings.set_aside.saturating_sub(count);
        if count > 0 {
            tracing::info!("{count} readings that the broker did not take are sent again");
        }
        Ok(count)
    }

    /// The store was opened, or has some readings twice: what waits in it is this run's to deliver.
    pub(super) fn take_over(&mut self) {
        self.readings.set_aside = self.spool.count_aside();
        let Readings { delivered, dropped, waiting, set_aside, .. } = self.readings();
        self.readings.taken = delivered + dropped + waiting + set_aside;
    }

    /// What became of the readings so far.
    pub(in crate::mqtt) fn readings(&self) -> Readings {
        let waiting = self.spool.depth().saturating_sub(self.outbox.done_above_the_cursor());
        Readings { waiting, ..self.readings }
    }

    /// The store no longer has these readings: how many of them were still to be delivered.
    pub(super) fn lost(&mut self, count: u64, from: u64, to: u64) -> u64 {
        let (done, cursor) = self.outbox.readings_are_lost(from, to, |seq| self.spool.has(seq));
        self.settle(cursor);
        let lost = count.saturating_sub(done);
        self.readings.dropped += lost;
        lost
    }

    /// In a long outage a full store drops again and again: logged at the first time.
    pub(super) fn dropped(&mut self, count: u64, from: u64, to: u64) {
        let count = self.lost(count, from, to);
        if count == 0 {
            return;
        }
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
        self.report_unkept();
        if let Some((count, from, to)) = self.drops.take() {
            tracing::warn!("{count} readings were dropped, numbers {from} to {to}");
            self.tell(&Event::ReadingsDropped { count, from, to });
        }
    }
}
