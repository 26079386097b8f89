//! Writing: what is due, what of it the blocking pool does, what came of that, and the clean stop.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

use super::super::disk::{DiskDone, DiskWork};
use super::super::numbers::{BLOCK, Numbers};
use super::{Fresh, SAVE_CURSOR_AFTER, Spool, Step, TO_DISK_AFTER, Working};

impl Spool {
    /// When [`work`](Self::work) will have something to do without anything else happening.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let trouble =
            [Step::Write, Step::Read, Step::Delete].into_iter().filter_map(|step| self.trouble.again_at(step));
        let trouble = trouble.filter(|_| self.working.is_none());
        if self.disk.is_none() {
            return trouble.min();
        }
        let fresh = self.fresh.get(self.written).map(|fresh| fresh.taken + TO_DISK_AFTER);
        let cursor = self.saved_cursor.1.map(|at| at + SAVE_CURSOR_AFTER);
        let later = cursor.into_iter().chain(self.memos.wake_at()).filter(|_| self.working.is_none());
        let next = fresh.into_iter().chain(later).min();
        let next = next.map(|next| self.trouble.again_at(Step::Write).map_or(next, |again| next.max(again)));
        next.into_iter().chain(trouble).min()
    }

    /// Writes what is due, and gives what is left to the blocking pool; then call [`done`](Self::done).
    /// Until then it only writes.
    pub fn work(&mut self, now: Instant) -> Option<DiskWork> {
        self.try_again(now);
        if !self.trouble.is_due(Step::Write, now) {
            return None;
        }
        if self.disk.is_none() {
            self.open_late(now);
        }
        let is_due = |fresh: &Fresh| self.always() || fresh.taken + TO_DISK_AFTER <= now;
        if self.fresh.get(self.written).is_some_and(is_due) {
            self.write_fresh(now);
        }
        if self.working.is_some() || !self.trouble.is_due(Step::Write, now) {
            return None;
        }
        let cursor_is_due = self.saved_cursor.1.is_some_and(|at| at + SAVE_CURSOR_AFTER <= now);
        let is_short = self.reserved < self.next + BLOCK / 2;
        let folder = &self.store.directory;
        let journal = &mut self.disk.as_mut()?.journal;
        let sync = journal.take_unsynced();
        let synced = journal.last().unwrap_or(0);
        // with a new file there is one more that must not vanish unnoticed
        let is_new_file = self.always() && sync.contains(folder);
        let are_due = self.numbers_due || cursor_is_due || is_short || is_new_file || self.trouble.is(Step::Write);
        let numbers = are_due.then(|| self.numbers(self.next + BLOCK));
        let folder = &self.store.directory;
        let numbers_file = numbers.as_ref().map(|numbers| numbers.replacement(folder));
        let replace: Vec<_> = numbers_file.into_iter().chain(self.memos.take_due(folder, Some(now))).collect();
        if sync.is_empty() && replace.is_empty() {
            return None;
        }
        if let Some(numbers) = &numbers {
            self.saved_cursor = (numbers.cursor, None);
            self.numbers_due = false;
        }
        self.working = Some(Working { synced, reserves: numbers.map(|numbers| (numbers.epoch, numbers.bound)) });
        Some(DiskWork { files: Arc::clone(&self.files), sync, replace })
    }

    /// What failed and is due, whatever becomes of the rest: [`wake_at`](Self::wake_at) stands at it until then.
    /// Without a connection nobody else reads.
    fn try_again(&mut self, now: Instant) {
        if self.disk.is_none() {
            // there is nothing to read or to delete
            self.recover(Step::Read);
            self.recover(Step::Delete);
            return;
        }
        if self.trouble.again_at(Step::Read).is_some_and(|again| again <= now) {
            _ = self.stored_after(self.unread_after, now);
        }
        if self.trouble.is(Step::Delete) {
            self.delete_acked(now);
        }
    }

    /// Moves everything in memory to disk, if the disk takes it.
    pub(super) fn write_fresh(&mut self, now: Instant) {
        if !self.trouble.is_due(Step::Write, now) {
            return;
        }
        let mut outcome = self.append_fresh();
        if outcome.as_ref().is_err_and(is_by_another) {
            self.inspect(now);
            outcome = self.append_fresh();
        }
        match outcome {
            Ok(()) => {}
            Err(error) => self.fail(Step::Write, &error, now),
        }
    }

    fn append_fresh(&mut self) -> io::Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        while let Some(Fresh { entry, .. }) = self.fresh.get(self.written) {
            // a number that was given back leaves a gap, and a file has none
            let rest = self.fresh.iter().skip(self.written).zip(entry.seq..);
            let run = rest.take_while(|(fresh, seq)| fresh.entry.seq == *seq).map(|(fresh, _)| &fresh.entry);
            let count = run.clone().count();
            disk.journal.append(run, self.cursor)?;
            self.written += count;
        }
        Ok(())
    }

    /// Somebody changed the files: what is gone is counted, what can be written again is.
    fn inspect(&mut self, now: Instant) {
        self.write_again();
        self.memos.save_all(now);
        self.numbers_due = true;
        let held = self.held();
        let Some(disk) = &mut self.disk else { return };
        let mut outcome = disk.journal.inspect(held, &mut self.notices);
        let names = self.files.names(&self.store.directory);
        if names.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            match self.lock_late() {
                Ok(lock) => {
                    if let Some(disk) = &mut self.disk {
                        disk._lock = lock;
                    }
                }
                Err(error) => {
                    // perhaps another agent has it now
                    self.disk = None;
                    outcome = Err(error);
                }
            }
        }
        if let Err(error) = outcome {
            self.fail(Step::Write, &error, now);
        }
    }

    /// What is in memory is not known to be on disk, whatever was written of it.
    pub(super) fn write_again(&mut self) {
        self.written = 0;
        self.working.iter_mut().for_each(|working| working.synced = 0);
        self.disk.iter_mut().for_each(|disk| disk.journal.sync_all());
    }

    /// The outcome of [`DiskWork::run`].
    pub fn done(&mut self, outcome: DiskDone, now: Instant) {
        let Some(Working { synced, reserves }) = self.working.take() else { return };
        let is_well = outcome.synced.is_ok() && outcome.replaced.is_ok();
        match outcome.synced {
            Ok(()) => self.forget_synced(synced),
            Err(error) => {
                self.write_again();
                self.not_done(&error, now);
            }
        }
        match outcome.replaced {
            Ok(()) => self.reserved_now(reserves, now),
            Err(error) => {
                self.memos.save_all(now);
                self.numbers_due |= reserves.is_some();
                self.not_done(&error, now);
            }
        }
        // what was written meanwhile may have failed; and what came out in need must be on disk before
        if is_well && self.trouble.is_due(Step::Write, now) && self.handed_out <= self.synced.max(self.cursor) {
            self.recover(Step::Write);
        }
    }

    fn forget_synced(&mut self, synced: u64) {
        self.synced = self.synced.max(synced);
        while self.written > 0 && self.fresh.front().is_some_and(|fresh| fresh.entry.seq <= synced) {
            self.pop_fresh();
        }
    }

    fn not_done(&mut self, error: &io::Error, now: Instant) {
        if is_by_another(error) {
            self.inspect(now);
        } else {
            self.fail(Step::Write, error, now);
        }
    }

    /// Writes everything that is in memory. It is not synced: that is for a process that ends, not for
    /// a power cut.
    pub fn write_all(&mut self, now: Instant) {
        self.trouble = super::Trouble::default();
        self.write_fresh(now);
    }

    /// Everything to disk, with the exact next number: the clean stop. May take as long as an SD card
    /// takes.
    pub fn close(mut self, now: Instant) {
        self.write_all(now);
        let lost = self.fresh.len() - self.written;
        let folder = &self.store.directory;
        let Some(disk) = &mut self.disk else {
            if lost > 0 {
                tracing::error!("the store {} could not be opened: {lost} readings are lost", folder.display());
            }
            return;
        };
        let numbers = Numbers {
            epoch: self.epoch,
            next: self.next,
            bound: self.next,
            counted: false,
            cursor: self.cursor.min(self.next - 1),
        };
        let memos = self.memos.take_due(folder, None);
        let replace = [numbers.replacement(folder)].into_iter().chain(memos).collect();
        let DiskDone { synced, replaced } =
            DiskWork { files: self.files, sync: disk.journal.take_unsynced(), replace }.run();
        match synced.and(replaced) {
            Err(error) => tracing::error!("the store cannot be closed: {error}; {lost} readings are lost"),
            Ok(()) if lost > 0 => tracing::error!("the store takes nothing more: {lost} readings are lost"),
            Ok(()) => {}
        }
    }
}

/// Whether somebody else must have changed the files.
fn is_by_another(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData)
}
