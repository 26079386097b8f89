//! The spool: readings in memory first, on disk when the durability asks for it.
//!
//! `fresh` holds what is not on disk; everything in it is younger than everything on disk.

mod open;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::disk::DiskWork;
use super::journal::Journal;
use super::memos::Memos;
use super::numbers::{Kind, Numbers};
use super::{Entry, Memo, Notice, line};

/// With `outage`: how long a reading may wait for its acknowledgement before it goes to disk. Within two
/// seconds it must be there, and a busy machine or a slow card takes its part of them.
const TO_DISK_AFTER: Duration = Duration::from_millis(1500);
/// How often a failing disk is tried again.
const TRY_DISK_AGAIN: Duration = Duration::from_secs(30);
/// How long the cursor on disk may lag behind: after a crash so much is sent twice.
const SAVE_CURSOR_AFTER: Duration = Duration::from_secs(10);
/// Readings in memory, at most, in bytes.
const MEMORY_BYTES: u64 = 8 << 20;
/// What a reading costs in memory beside its texts.
const OVERHEAD_BYTES: u64 = 100;
/// Readings the broker will not take are kept up to this.
const ASIDE_BYTES: u64 = 1 << 20;

/// Another process has the store.
#[derive(Debug, thiserror::Error)]
#[error("the store {} is in use by another mbushat; give each agent its own [store] directory", .0.display())]
pub struct InUse(PathBuf);

/// The spool; the outbox task is its sole owner.
#[derive(Debug)]
pub struct Spool {
    always: bool,
    max_bytes: u64,
    next: u64,
    /// Numbers below this may be used without asking the disk.
    reserved: u64,
    cursor: u64,
    /// The cursor on disk, and since when it is no longer the true one.
    saved_cursor: (u64, Option<Instant>),
    fresh: VecDeque<Fresh>,
    fresh_bytes: u64,
    /// `None`: there is no folder, so all is in memory.
    disk: Option<Disk>,
    memos: Memos,
    notices: Vec<Notice>,
    /// The disk fails: not tried again before this.
    trouble: Option<Instant>,
    /// With `always`: what is known to be on disk.
    synced: u64,
    /// What the work that is going on will have synced.
    syncing: u64,
    /// It is going on.
    working: bool,
}

#[derive(Debug)]
struct Fresh {
    entry: Entry,
    taken: Instant,
}

#[derive(Debug)]
struct Disk {
    folder: PathBuf,
    journal: Journal,
    /// Held as long as the agent lives.
    _lock: Option<File>,
}

impl Spool {
    /// The number of the last reading that needs no publishing.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Takes a reading; `payload` makes its message once its number is known.
    pub fn append(&mut self, meter: &str, now: Instant, payload: impl FnOnce(u64) -> String) -> u64 {
        if self.next >= self.reserved {
            self.reserve(now);
        }
        let seq = self.next;
        self.next += 1;
        let entry = Entry { seq, meter: meter.to_owned(), payload: payload(seq) };
        self.fresh_bytes += cost(&entry);
        self.fresh.push_back(Fresh { entry, taken: now });
        if self.always {
            self.write_fresh(now);
        }
        self.keep_within_bounds(now);
        seq
    }

    /// Moves everything in memory to disk, if the disk takes it.
    fn write_fresh(&mut self, now: Instant) {
        if self.trouble.is_some_and(|again| now < again) {
            return;
        }
        let Some(disk) = &mut self.disk else { return };
        match disk.journal.append(self.fresh.iter().map(|fresh| &fresh.entry), self.cursor) {
            Ok(()) => {
                self.fresh.clear();
                self.fresh_bytes = 0;
                self.recover();
            }
            Err(error) => self.fail(&error, now),
        }
    }

    fn keep_within_bounds(&mut self, now: Instant) {
        let mut dropped: Option<(u64, u64, u64)> = None;
        loop {
            let on_disk = self.disk.as_ref().map_or(0, |disk| disk.journal.bytes());
            let too_much = on_disk + self.fresh_bytes > self.max_bytes || self.fresh_bytes > MEMORY_BYTES;
            if !too_much || (on_disk == 0 && self.fresh.len() <= 1) {
                break;
            }
            if self.fresh_bytes > MEMORY_BYTES.min(self.max_bytes / 2) {
                self.write_fresh(now);
            }
            let gone = match self.drop_oldest_file(now) {
                Some(gone) => gone,
                None => match self.fresh.pop_front() {
                    Some(Fresh { entry, .. }) => {
                        self.fresh_bytes -= cost(&entry);
                        Some((1, entry.seq, entry.seq))
                    }
                    None => break,
                },
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
        let disk = self.disk.as_mut().filter(|disk| disk.journal.first().is_some())?;
        match disk.journal.drop_oldest(self.cursor) {
            Ok(gone) => Some(gone),
            Err(error) => {
                self.fail(&error, now);
                None
            }
        }
    }

    /// The first reading with a higher number that may come out.
    pub fn after(&mut self, seq: u64, now: Instant) -> Option<Entry> {
        if let Some(disk) = &mut self.disk {
            match disk.journal.after(seq) {
                Ok(Some(entry)) => {
                    let safe = !self.always || entry.seq <= self.synced || self.trouble.is_some();
                    return Some(entry).filter(|_| safe);
                }
                Ok(None) => {}
                Err(error) => {
                    self.fail(&error, now);
                    return None;
                }
            }
        }
        let place = self.fresh.partition_point(|fresh| fresh.entry.seq <= seq);
        self.fresh.get(place).map(|fresh| fresh.entry.clone())
    }

    /// The broker has everything up to `seq`.
    pub fn ack(&mut self, seq: u64, now: Instant) {
        self.cursor = self.cursor.max(seq);
        while self.fresh.front().is_some_and(|fresh| fresh.entry.seq <= seq) {
            let Some(Fresh { entry, .. }) = self.fresh.pop_front() else { break };
            self.fresh_bytes -= cost(&entry);
        }
        let Some(disk) = &mut self.disk else { return };
        if let Err(error) = disk.journal.delete_through(self.cursor, self.always) {
            self.fail(&error, now);
        }
        let Some(disk) = &self.disk else { return };
        if disk.journal.first().is_some() && self.saved_cursor.0 != self.cursor {
            self.saved_cursor.1.get_or_insert(now);
        }
    }

    /// The broker will never take this reading: it is kept apart.
    pub fn set_aside(&mut self, seq: u64, now: Instant) {
        let Some(entry) = self.after(seq.saturating_sub(1), now).filter(|entry| entry.seq == seq) else { return };
        let Some(disk) = &self.disk else { return };
        let path = disk.folder.join("aside.log");
        let mut bytes = Vec::new();
        line::write(&format!("{} {} {}", entry.seq, entry.meter, entry.payload), &mut bytes);
        let written =
            OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| {
                if file.metadata()?.len() < ASIDE_BYTES { file.write_all(&bytes) } else { Ok(()) }
            });
        if let Err(error) = written {
            self.fail(&error, now);
        }
    }

    /// Readings that wait.
    #[must_use]
    pub fn depth(&self) -> u64 {
        let fresh = u64::try_from(self.fresh.len()).unwrap_or(u64::MAX);
        self.disk.as_ref().map_or(0, |disk| disk.journal.count_above(self.cursor)) + fresh
    }

    /// Remembers `text` under `name`; empty forgets it.
    pub fn remember(&mut self, memo: Memo, name: &str, text: &str, now: Instant) {
        self.memos.remember(memo, name, text, now);
    }

    /// Everything remembered of a kind, by name.
    pub fn remembered(&self, memo: Memo) -> impl Iterator<Item = (&str, &str)> {
        self.memos.of(memo)
    }

    /// What happened since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// When [`work`](Self::work) will have something to do without anything else happening.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.disk.as_ref()?;
        let fresh = self.fresh.front().map(|fresh| fresh.taken + TO_DISK_AFTER);
        let cursor = self.saved_cursor.1.map(|at| at + SAVE_CURSOR_AFTER);
        let later = cursor.into_iter().chain(self.memos.wake_at()).filter(|_| !self.working);
        let next = fresh.into_iter().chain(later).min()?;
        Some(self.trouble.map_or(next, |again| next.max(again)))
    }

    /// Writes what is due, and gives what is left to the blocking pool; then call [`done`](Self::done).
    /// Until then it only writes.
    pub fn work(&mut self, now: Instant) -> Option<DiskWork> {
        if self.trouble.is_some_and(|again| now < again) {
            return None;
        }
        if self.fresh.front().is_some_and(|fresh| self.always || fresh.taken + TO_DISK_AFTER <= now) {
            self.write_fresh(now);
        }
        if self.working {
            return None;
        }
        let cursor_is_due = self.saved_cursor.1.is_some_and(|at| at + SAVE_CURSOR_AFTER <= now);
        let disk = self.disk.as_mut()?;
        let mut work = DiskWork { sync: Vec::new(), replace: self.memos.take_due(&disk.folder, Some(now)) };
        match disk.journal.take_unsynced() {
            Ok(file) => work.sync.extend(file),
            Err(error) => {
                self.fail(&error, now);
                return None;
            }
        }
        self.syncing = disk.journal.last().unwrap_or(0);
        if cursor_is_due {
            let counted = self.reserved == u64::MAX;
            let (next, kind) = if counted { (self.next, Kind::Least) } else { (self.reserved, Kind::Reserved) };
            let numbers = Numbers { next, kind, cursor: self.cursor };
            work.replace.push((disk.folder.join("numbers"), numbers.to_bytes()));
            self.saved_cursor = (self.cursor, None);
        }
        self.working = !work.sync.is_empty() || !work.replace.is_empty();
        self.working.then_some(work)
    }

    /// The outcome of [`DiskWork::run`].
    pub fn done(&mut self, outcome: io::Result<()>, now: Instant) {
        self.working = false;
        match outcome {
            Ok(()) => {
                self.synced = self.synced.max(self.syncing);
                // what was written meanwhile may have failed
                if self.trouble.is_some_and(|again| again <= now) {
                    self.recover();
                }
            }
            Err(error) => self.fail(&error, now),
        }
    }

    /// Everything to disk, with the exact next number: the clean stop.
    pub fn close(mut self, now: Instant) {
        self.trouble = None;
        self.write_fresh(now);
        let waiting = self.fresh.len();
        let numbers = Numbers { next: self.next, kind: Kind::Exact, cursor: self.cursor };
        let saved = self.save_numbers(numbers);
        let Some(disk) = &mut self.disk else { return };
        let replace = self.memos.take_due(&disk.folder, None);
        let sync = disk.journal.take_unsynced().ok().flatten().into_iter().collect();
        if let Err(error) = saved.and(DiskWork { sync, replace }.run()) {
            tracing::error!("the store cannot be closed: {error}; {waiting} readings are lost");
        }
    }

    fn fail(&mut self, error: &io::Error, now: Instant) {
        if self.trouble.replace(now + TRY_DISK_AGAIN).is_none() {
            self.renumber();
            self.notices.push(Notice::Trouble { error: error.to_string() });
        }
    }

    fn recover(&mut self) {
        if self.trouble.take().is_some() {
            self.renumber();
            self.notices.push(Notice::Recovered);
        }
    }

    /// With `always`: whether the readings on disk tell the next number has changed.
    fn renumber(&mut self) {
        if self.always {
            self.reserved = 0;
        }
    }
}

fn cost(entry: &Entry) -> u64 {
    u64::try_from(entry.payload.len() + entry.meter.len()).unwrap_or(u64::MAX / 4) + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
