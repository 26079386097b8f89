//! Opening the store, and the numbers it may give.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

use super::super::files::{Files, System};
use super::super::journal::{Held, Journal};
use super::super::memo::AGENT;
use super::super::memos::Memos;
use super::super::numbers::{BLOCK, Numbers, random_hex};
use super::super::{Memo, Notice};
use super::aside::Unkept;
use super::{Disk, InUse, Spool, Step, Trouble};
use crate::config::Store;

impl Spool {
    /// Opens the store, or does without one where that fails: it is tried again then.
    ///
    /// # Errors
    /// [`InUse`] where another process has it.
    pub fn open(store: &Store, now: Instant) -> Result<Self, InUse> {
        Self::open_on(Arc::new(System), store, now)
    }

    pub(super) fn open_on(files: Arc<dyn Files>, store: &Store, now: Instant) -> Result<Self, InUse> {
        let mut spool = Self {
            store: store.clone(),
            files,
            epoch: random_hex(),
            next: 1,
            reserved: u64::MAX,
            numbers_due: false,
            cursor: 0,
            saved_cursor: (0, None),
            fresh: VecDeque::new(),
            fresh_bytes: 0,
            written: 0,
            disk: None,
            memos: Memos::default(),
            unkept: Unkept::default(),
            notices: Vec::new(),
            trouble: Trouble::default(),
            unread_after: 0,
            synced: 0,
            handed_out: 0,
            working: None,
        };
        match spool.lock().and_then(|lock| spool.load(lock, now)) {
            Ok(()) => {
                spool.reserve(now);
                // what a process that was killed wrote is perhaps not on disk yet
                let work = spool.work(now);
                work.into_iter().for_each(|work| spool.done(work.run(), now));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(InUse(store.directory.clone())),
            Err(error) => spool.fail(Step::Write, &error, now),
        }
        if spool.instance().is_empty() {
            spool.remember(Memo::Instance, AGENT, &random_hex(), now);
        }
        Ok(spool)
    }

    fn lock(&self) -> io::Result<Option<File>> {
        // where there is a folder, it need not be writable
        let made = self.files.make_folder(&self.store.directory);
        self.files.lock(&self.store.directory).and_then(|lock| made.map(|()| lock))
    }

    /// Takes a store into use that could not be opened before. What is in memory comes behind what it holds.
    pub(super) fn open_late(&mut self, now: Instant) {
        match self.lock_late().and_then(|lock| self.load(lock, now)) {
            Ok(()) => {
                self.reserve(now);
                self.notices.push(Notice::Opened { waiting: self.depth() });
            }
            Err(error) => self.fail(Step::Write, &error, now),
        }
    }

    /// The same while the agent runs: that another one has the store is an error like others.
    pub(super) fn lock_late(&self) -> io::Result<Option<File>> {
        self.lock().map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => io::Error::other(InUse(self.store.directory.clone()).to_string()),
            _ => error,
        })
    }

    fn load(&mut self, lock: Option<File>, now: Instant) -> io::Result<()> {
        let (files, folder) = (&*self.files, &self.store.directory);
        let mut notices = Vec::new();
        let journal = Journal::open(&self.files, folder, self.store.max_size_bytes)?;
        let (numbers, damaged) = Numbers::read(files, folder)?;
        let remembers = self.memos.load(files, folder, now, &mut notices)?;
        if damaged {
            notices.push(Notice::Damaged { file: folder.join("numbers"), kept: 0, bad: 1 });
        }
        let is_new = numbers.is_none() && !damaged && journal.last().is_none() && !remembers;
        let cursor = journal.cursor().max(numbers.as_ref().map_or(0, |numbers| numbers.cursor));
        self.number(&journal, numbers, is_new, &mut notices);
        let first = journal.first().unwrap_or(self.next);
        self.cursor = cursor.max(first - 1).min(self.next - 1);
        self.synced = 0;
        self.number_again_what_is_in_memory(&mut notices);
        journal.report(Held { cursor: self.cursor, in_memory: u64::MAX }, &mut notices);
        self.notices.append(&mut notices);
        self.disk = Some(Disk { journal, _lock: lock });
        Ok(())
    }

    /// Epoch and number to go on with, after what the disk tells.
    fn number(&mut self, journal: &Journal, numbers: Option<Numbers>, is_new: bool, notices: &mut Vec<Notice>) {
        let above_disk = journal.last().map_or(1, |last| last + 1);
        let above_states = self.memos.highest_seq() + 1;
        let unused = numbers.as_ref().map_or(1, |numbers| numbers.bound).max(above_disk);
        if let Some(numbers) = numbers.filter(|_| above_states <= unused) {
            let from = above_disk.max(numbers.next);
            let is_counted =
                numbers.counted && above_disk >= numbers.next && above_states <= from && !journal.is_torn();
            self.next = self.next.max(if is_counted { from } else { unused });
            self.epoch = numbers.epoch;
            if from < self.next {
                notices.push(Notice::UncleanStart { from, to: self.next - 1 });
            }
        } else {
            self.next = self.next.max(unused).max(above_states);
            if !is_new {
                // for those who look at numbers alone, most of them are not used twice either
                self.next += BLOCK;
                notices.push(Notice::NewEpoch { epoch: self.epoch.clone() });
            }
        }
    }

    /// Their order is by number, so they get one above those on disk. What stands in their messages stays.
    fn number_again_what_is_in_memory(&mut self, notices: &mut Vec<Notice>) {
        if self.fresh.is_empty() {
            return;
        }
        let from = self.next;
        for fresh in &mut self.fresh {
            fresh.entry.seq = self.next;
            self.next += 1;
        }
        self.written = 0;
        self.handed_out = self.next - 1;
        notices.push(Notice::UncleanStart { from, to: self.next - 1 });
    }

    /// Makes sure that a crash gives none of the next numbers again.
    pub(super) fn reserve(&mut self, now: Instant) {
        if self.working.is_some() {
            // what it writes may come last, and the disk does not answer
            self.begin_epoch();
            return;
        }
        let numbers = self.numbers(self.next + BLOCK);
        match numbers.replacement(&self.store.directory).run(&*self.files) {
            Ok(()) => {
                self.saved_cursor = (numbers.cursor, None);
                self.reserved = numbers.bound;
                self.numbers_due = false;
            }
            Err(error) => {
                let epoch = self.epoch.clone();
                self.fail(Step::Write, &error, now);
                if self.epoch == epoch {
                    self.begin_epoch();
                }
            }
        }
    }

    /// What the file is to say. While readings come out that are on no disk, the disk does not count them.
    pub(super) fn numbers(&self, bound: u64) -> Numbers {
        let counted = self.always() && !self.trouble.is(Step::Write);
        let unwritten = self.fresh.get(self.written).filter(|_| counted);
        let next = unwritten.map_or(self.next, |fresh| fresh.entry.seq);
        Numbers { epoch: self.epoch.clone(), next, bound, counted, cursor: self.cursor }
    }

    /// The disk has this reserved.
    pub(super) fn reserved_now(&mut self, reserves: Option<(String, u64)>, now: Instant) {
        let Some((_, bound)) = reserves.filter(|(epoch, _)| *epoch == self.epoch) else { return };
        self.reserved = bound;
        if self.next > bound {
            self.reserve(now);
        }
    }

    /// Numbers of another epoch, which no file knows. With `always`, readings that have not come out are
    /// numbered in it too: no disk may ever have heard of their numbers.
    pub(super) fn begin_epoch(&mut self) {
        let old = std::mem::replace(&mut self.epoch, random_hex());
        self.reserved = u64::MAX;
        self.numbers_due = true;
        if self.always() {
            let handed_out = self.handed_out;
            for fresh in self.fresh.iter_mut().filter(|fresh| fresh.entry.seq > handed_out) {
                fresh.entry.payload = fresh.entry.payload.replace(&old, &self.epoch);
            }
            self.write_again();
        }
        self.notices.push(Notice::NewEpoch { epoch: self.epoch.clone() });
    }
}
