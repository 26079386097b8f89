//! Opening the store, and the numbers it may give.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::super::Notice;
use super::super::disk;
use super::super::journal::Journal;
use super::super::memos::Memos;
use super::super::numbers::{BLOCK, Kind, Numbers};
use super::{Disk, InUse, Spool};
use crate::config::{Durability, Store};

impl Spool {
    /// Opens the store, or does without one where that fails.
    ///
    /// # Errors
    /// [`InUse`] where another process has it.
    pub fn open(store: &Store, now: Instant) -> Result<Self, InUse> {
        let mut spool = Self {
            always: store.durability == Durability::Always,
            max_bytes: store.max_size_bytes,
            next: 1,
            reserved: 0,
            cursor: 0,
            saved_cursor: (0, None),
            fresh: VecDeque::new(),
            fresh_bytes: 0,
            disk: None,
            memos: Memos::default(),
            notices: Vec::new(),
            trouble: None,
            synced: 0,
            syncing: 0,
            working: false,
        };
        let lock = lock(&store.directory)?;
        if let Err(error) = spool.load(&store.directory, lock) {
            spool.fail(&error, now);
        }
        spool.cursor = spool.cursor.max(spool.first_stored() - 1);
        spool.reserve(now);
        spool.synced = spool.next - 1;
        Ok(spool)
    }

    fn load(&mut self, folder: &Path, lock: Option<File>) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let journal = Journal::open(folder, self.max_bytes, &mut self.notices)?;
        let was_damaged = !self.notices.is_empty();
        self.memos = Memos::open(folder, &mut self.notices)?;
        let path = folder.join("numbers");
        let (lines, bad) = disk::read_lines(&path)?;
        let numbers = Numbers::of_lines(&lines).filter(|_| bad == 0);
        let above_disk = journal.last().map_or(1, |last| last + 1);
        match numbers {
            Some(numbers) => {
                self.next = numbers.next.max(above_disk);
                self.cursor = numbers.cursor;
                let skipped_from = match numbers.kind {
                    Kind::Exact => self.next,
                    Kind::Least if !was_damaged => self.next,
                    // The readings on disk should tell the next number, and some of them are gone.
                    Kind::Least => {
                        let counted = self.next;
                        self.next = clock_number().max(counted);
                        counted
                    }
                    Kind::Reserved => above_disk.max(numbers.next.saturating_sub(BLOCK)),
                };
                if skipped_from < self.next {
                    self.notices.push(Notice::UncleanStart { from: skipped_from, to: self.next - 1 });
                }
            }
            None if lines.is_empty() && bad == 0 && journal.last().is_none() && self.memos.is_empty() => {}
            None => {
                if path.exists() {
                    self.notices.push(Notice::Damaged { file: disk::set_aside(&path)?, kept: 0, bad: bad.max(1) });
                }
                self.next = above_disk.max(clock_number());
            }
        }
        self.cursor = self.cursor.max(journal.cursor());
        self.disk = Some(Disk { folder: folder.to_owned(), journal, _lock: lock });
        Ok(())
    }

    fn first_stored(&self) -> u64 {
        self.disk.as_ref().and_then(|disk| disk.journal.first()).unwrap_or(self.next)
    }

    /// Makes sure that a crash gives none of the next numbers again. While each reading is on disk
    /// before anybody hears of its number, that is enough.
    pub(super) fn reserve(&mut self, now: Instant) {
        let (next, kind, reserved) = if self.always && self.trouble.is_none() {
            (self.next, Kind::Least, u64::MAX)
        } else {
            (self.next + BLOCK, Kind::Reserved, self.next + BLOCK)
        };
        if let Err(error) = self.save_numbers(Numbers { next, kind, cursor: self.cursor }) {
            self.fail(&error, now);
            // Numbers of the clock are above all counted ones, whatever comes next.
            self.next = self.next.max(clock_number());
            self.reserved = self.next + BLOCK;
        } else {
            self.reserved = reserved;
        }
    }

    pub(super) fn save_numbers(&mut self, numbers: Numbers) -> io::Result<()> {
        let Some(disk) = &self.disk else { return Err(io::Error::other("there is no store")) };
        let path = disk.folder.join("numbers");
        // On a full disk the file can still be overwritten where it is.
        disk::replace(&path, &numbers.to_bytes()).or_else(|_| {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.write_all(&numbers.to_bytes())?;
            file.set_len(u64::try_from(numbers.to_bytes().len()).unwrap_or(0))?;
            file.sync_all()
        })?;
        self.saved_cursor = (numbers.cursor, None);
        Ok(())
    }
}

/// Locks the folder for this process, as far as it lets itself be locked.
fn lock(folder: &Path) -> Result<Option<File>, InUse> {
    let path = folder.join("lock");
    let opened = fs::create_dir_all(folder)
        .and_then(|()| OpenOptions::new().create(true).truncate(false).write(true).open(&path))
        .or_else(|_| File::open(&path));
    let Ok(file) = opened else { return Ok(None) };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(InUse(folder.to_owned())),
        _ => Ok(Some(file)),
    }
}

/// Above every number that was counted up from 1: milliseconds since 1970.
fn clock_number() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX / 2)
}
