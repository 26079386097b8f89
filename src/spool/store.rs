//! The spool: readings in memory first, on disk when the durability asks for it.
//!
//! `fresh` holds what is not known to be on disk. Its first `written` readings are in the journal too,
//! but not synced: a sync that fails may have thrown them away, so they are written once more then.
//! Everything in it is younger than everything else on disk.

mod aside;
mod open;
mod trouble;
mod work;

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::files::Files;
use super::journal::{Held, Journal};
use super::memo::{AGENT, Telegrams};
use super::memos::Memos;
use super::{Entry, Memo, Notice};
use crate::config::{Durability, Store};
use trouble::{Step, Trouble};

/// With `outage`: how long a reading may wait for its acknowledgement before it goes to disk. Within two
/// seconds it must be there, and a busy machine or a slow card takes its part of them.
const TO_DISK_AFTER: Duration = Duration::from_millis(1500);
/// How long the cursor on disk may lag behind: after a crash so much is sent twice.
const SAVE_CURSOR_AFTER: Duration = Duration::from_secs(10);
/// Readings in memory, at most, in bytes.
const MEMORY_BYTES: u64 = 8 << 20;
/// What a reading costs in memory beside its texts.
const OVERHEAD_BYTES: u64 = 100;

/// Another process has the store.
#[derive(Debug, thiserror::Error)]
#[error("the store {} is in use by another mbushat; give each agent its own [store] directory", .0.display())]
pub struct InUse(PathBuf);

/// The spool; the outbox task is its sole owner.
#[derive(Debug)]
pub struct Spool {
    store: Store,
    files: Arc<dyn Files>,
    /// Of the next number.
    epoch: String,
    next: u64,
    /// Numbers below this may be used without asking the disk; all, while the epoch is in no file.
    reserved: u64,
    /// `numbers` must be written again soon.
    numbers_due: bool,
    cursor: u64,
    /// The cursor on disk, and since when it is no longer the true one.
    saved_cursor: (u64, Option<Instant>),
    fresh: VecDeque<Fresh>,
    fresh_bytes: u64,
    /// So many of `fresh` are in the journal, not synced.
    written: usize,
    /// `None`: there is no folder, so all is in memory.
    disk: Option<Disk>,
    memos: Memos,
    unkept: aside::Unkept,
    notices: Vec<Notice>,
    trouble: Trouble,
    /// Behind which number reading failed last.
    unread_after: u64,
    /// Numbers up to here need no sync any more.
    synced: u64,
    /// The highest number that came out.
    handed_out: u64,
    /// What is being done for it.
    working: Option<Working>,
}

#[derive(Debug)]
struct Fresh {
    entry: Entry,
    taken: Instant,
}

#[derive(Debug)]
struct Disk {
    journal: Journal,
    /// Held as long as the agent lives.
    _lock: Option<File>,
}

/// The work that is going on.
#[derive(Debug)]
struct Working {
    /// What it will have synced.
    synced: u64,
    /// What it reserves: of which epoch, up to which number.
    reserves: Option<(String, u64)>,
}

impl Spool {
    /// The number of the last reading that needs no publishing.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// To what the next reading's number belongs: 16 hex digits. Within an epoch no number is given twice.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Who this agent is: 16 hex digits. Those of a store that opens late are not taken any more: others know
    /// it by these already.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.remembered(Memo::Instance).next().map_or("", |(_, instance)| instance)
    }

    fn always(&self) -> bool {
        self.store.durability == Durability::Always
    }

    /// Takes a reading; `payload` makes its message once its epoch and number are known.
    pub fn append(&mut self, meter: &str, now: Instant, payload: impl FnOnce(&str, u64) -> String) -> u64 {
        let seq = self.keep(meter, now, payload);
        if self.always() {
            self.write_fresh(now);
        }
        self.keep_within_bounds(now);
        seq
    }

    /// Puts it into memory.
    fn keep(&mut self, meter: &str, now: Instant, payload: impl FnOnce(&str, u64) -> String) -> u64 {
        if self.next >= self.reserved {
            self.reserve(now);
        }
        let seq = self.next;
        self.next += 1;
        let entry = Entry { seq, meter: meter.to_owned(), payload: payload(&self.epoch, seq) };
        self.fresh_bytes += cost(&entry);
        self.fresh.push_back(Fresh { entry, taken: now });
        seq
    }

    fn held(&self) -> Held {
        let in_memory = self.fresh.front().map_or(u64::MAX, |fresh| fresh.entry.seq);
        Held { cursor: self.cursor, in_memory }
    }

    fn keep_within_bounds(&mut self, now: Instant) {
        let mut dropped: Option<(u64, u64, u64)> = None;
        let mut disk_was_asked = false;
        loop {
            let on_disk = self.disk.as_ref().map_or(0, |disk| disk.journal.bytes());
            let too_much = on_disk + self.fresh_bytes > self.store.max_size_bytes;
            if !too_much && self.fresh_bytes <= MEMORY_BYTES {
                break;
            }
            let is_in_file = |fresh: &Fresh| self.disk.as_ref().is_some_and(|disk| disk.journal.has(fresh.entry.seq));
            if self.fresh.front().is_some_and(is_in_file) {
                self.pop_fresh();
                continue;
            }
            let is_large = self.fresh_bytes > MEMORY_BYTES.min(self.store.max_size_bytes / 2);
            if is_large && !std::mem::replace(&mut disk_was_asked, true) {
                self.write_fresh(now);
                continue;
            }
            let gone = if too_much { self.drop_oldest_file(now) } else { None };
            let gone = match gone {
                Some(gone) => gone,
                None if self.fresh.len() <= 1 => break,
                None => self.pop_fresh().map(|entry| (1, entry.seq, entry.seq)),
            };
            if let Some((count, from, to)) = gone {
                dropped = Some(dropped.map_or((count, from, to), |(n, first, _)| (n + count, first, to)));
            }
        }
        if let Some((count, from, to)) = dropped {
            self.notices.push(Notice::Dropped { count, from, to });
        }
    }

    /// What was lost with the oldest file; `None` where there is none that can be deleted.
    fn drop_oldest_file(&mut self, now: Instant) -> Option<Option<(u64, u64, u64)>> {
        let held = self.held();
        let disk = self.disk.as_mut().filter(|disk| disk.journal.first().is_some())?;
        match disk.journal.drop_oldest(held) {
            Ok(gone) => Some(gone),
            Err(error) => {
                self.fail(Step::Delete, &error, now);
                None
            }
        }
    }

    fn pop_fresh(&mut self) -> Option<Entry> {
        let Fresh { entry, .. } = self.fresh.pop_front()?;
        self.fresh_bytes -= cost(&entry);
        self.written = self.written.saturating_sub(1);
        Some(entry)
    }

    /// The first reading with a higher number that may come out.
    pub fn after(&mut self, seq: u64, now: Instant) -> Option<Entry> {
        let in_memory = self.held().in_memory;
        let mut found = None;
        if in_memory > seq.saturating_add(1) {
            found = self.stored_after(seq, now)?.filter(|entry| entry.seq < in_memory);
        }
        if found.is_none() {
            let place = self.fresh.partition_point(|fresh| fresh.entry.seq <= seq);
            found = self.fresh.get(place).map(|fresh| fresh.entry.clone());
        }
        let may_come_out = |entry: &Entry| !self.always() || entry.seq <= self.synced || self.trouble.is(Step::Write);
        let entry = found.filter(may_come_out)?;
        self.handed_out = self.handed_out.max(entry.seq);
        Some(entry)
    }

    /// Whether the reading with this number waits here.
    #[must_use]
    pub fn has(&self, seq: u64) -> bool {
        let is_in_memory = self.fresh.binary_search_by_key(&seq, |fresh| fresh.entry.seq).is_ok();
        is_in_memory || self.disk.as_ref().is_some_and(|disk| disk.journal.has(seq))
    }

    /// What the journal has; `None` where that cannot be told now.
    fn stored_after(&mut self, seq: u64, now: Instant) -> Option<Option<Entry>> {
        let held = self.held();
        let Some(disk) = &mut self.disk else { return Some(None) };
        if !self.trouble.is_due(Step::Read, now) {
            return None;
        }
        let said = self.notices.len();
        let found = disk.journal.after(seq, held, &mut self.notices);
        if self.notices.len() > said {
            // what is in memory too may have been hit
            self.write_again();
        }
        match found {
            Ok(entry) => {
                self.recover(Step::Read);
                Some(entry)
            }
            Err(error) => {
                self.unread_after = seq;
                self.fail(Step::Read, &error, now);
                None
            }
        }
    }

    /// The broker has everything up to `seq`.
    pub fn ack(&mut self, seq: u64, now: Instant) {
        self.cursor = self.cursor.max(seq);
        while self.fresh.front().is_some_and(|fresh| fresh.entry.seq <= seq) {
            self.pop_fresh();
        }
        self.delete_acked(now);
        let Some(disk) = &self.disk else { return };
        if disk.journal.first().is_some() && self.saved_cursor.0 != self.cursor {
            self.saved_cursor.1.get_or_insert(now);
        }
    }

    fn delete_acked(&mut self, now: Instant) {
        let (always, cursor) = (self.always(), self.cursor);
        if !self.trouble.is_due(Step::Delete, now) {
            return;
        }
        let Some(disk) = &mut self.disk else { return };
        match disk.journal.delete_through(cursor, always) {
            Ok(()) => self.recover(Step::Delete),
            Err(error) => self.fail(Step::Delete, &error, now),
        }
    }

    /// Readings that wait.
    #[must_use]
    pub fn depth(&self) -> u64 {
        let in_memory = u64::try_from(self.fresh.len()).unwrap_or(u64::MAX);
        self.disk.as_ref().map_or(0, |disk| disk.journal.count(self.held())) + in_memory
    }

    /// Remembers `text` under `name`; empty forgets it.
    pub fn remember(&mut self, memo: Memo, name: &str, text: &str, now: Instant) {
        self.memos.remember(memo, name, text, now);
    }

    /// Everything remembered of a kind, by name.
    pub fn remembered(&self, memo: Memo) -> impl Iterator<Item = (&str, &str)> {
        self.memos.of(memo)
    }

    /// The base topics under which there may be something of this agent, the newest first.
    pub fn bases(&self) -> impl Iterator<Item = &str> {
        self.memos.get(Memo::Base, AGENT).into_iter().flat_map(str::lines)
    }

    /// The last `state` of a meter.
    #[must_use]
    pub fn state_of(&self, meter: &str) -> Option<&str> {
        self.memos.get(Memo::State, meter)
    }

    /// The telegrams of a meter's last reading.
    #[must_use]
    pub fn telegrams_of(&self, meter: &str) -> Option<Telegrams> {
        Telegrams::parse(self.memos.get(Memo::Telegrams, meter)?)
    }

    /// What happened since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

fn cost(entry: &Entry) -> u64 {
    u64::try_from(entry.payload.len() + entry.meter.len()).unwrap_or(u64::MAX / 4) + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
