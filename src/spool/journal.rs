//! The readings on disk: files of lines, each named by the number of its first reading, their numbers
//! without a gap. Written at the end of the last one only; a whole file is deleted once the broker has
//! all of it.
//!
//! Every file is known by its numbers and its length, so that what is missing at a later look is
//! counted. A damaged file stays where it is, and nothing is added to it, until its good lines are done
//! with; then it is renamed instead of deleted. So damage asks nothing of a disk that is full or
//! cannot be written to.
//!
//! Not here: which readings go to disk and when (`store`), one line (`line`).

mod segment;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{self, set_aside};
use super::files::Files;
use super::{Entry, Notice, line};
use segment::Segment;

/// A file is closed beyond this, and the next one begun, so that a full store loses little at once.
const FILE_BYTES: u64 = 256 << 10;

/// All files of readings, oldest first.
#[derive(Debug)]
pub(super) struct Journal {
    files: Arc<dyn Files>,
    folder: PathBuf,
    file_bytes: u64,
    segments: VecDeque<Segment>,
    /// The last of them may be added to.
    open: bool,
    /// What must be synced: files written to, and the folder where it has new names.
    unsynced: Vec<PathBuf>,
    /// The readings of one file, as last read.
    cache: Option<(PathBuf, Vec<Entry>)>,
    /// The highest cursor that stood in a line.
    cursor: u64,
}

/// Which numbers must be on disk: those above the cursor and below what is in memory too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) cursor: u64,
    pub(super) in_memory: u64,
}

impl Journal {
    /// What the folder holds. What is damaged is reported by [`report`](Self::report).
    ///
    /// # Errors
    /// Where the folder cannot be read, or this process lacks something at the moment.
    pub(super) fn open(files: &Arc<dyn Files>, folder: &Path, max_bytes: u64) -> io::Result<Self> {
        let mut names: Vec<Segment> = files.names(folder)?.iter().filter_map(|name| Segment::from_name(name)).collect();
        names.sort_unstable_by_key(|segment| (segment.first, segment.copy));
        let mut journal = Self {
            files: Arc::clone(files),
            folder: folder.to_owned(),
            file_bytes: FILE_BYTES.min(max_bytes / 8),
            segments: VecDeque::new(),
            open: false,
            unsynced: Vec::new(),
            cache: None,
            cursor: 0,
        };
        for segment in names {
            let segment = journal.look_at(segment)?;
            // first, because until then the end of a torn file is a guess, which may lie behind all of this one
            if let Some(before) = journal.segments.back_mut() {
                before.guess_end(segment.first);
            }
            if journal.last().is_some_and(|last| segment.first <= last && segment.last < last) {
                journal.discard_inner(&segment);
                continue;
            }
            journal.supersede(segment.first);
            journal.segments.push_back(segment);
        }
        journal.sync_all();
        Ok(journal)
    }

    /// A file at a start, when nothing is known of it but its name.
    fn look_at(&mut self, mut segment: Segment) -> io::Result<Segment> {
        let path = self.path(&segment);
        segment.bytes = self.files.length(&path)?;
        let lines = disk::read_lines_at_start(&*self.files, &path)?;
        let (entries, cursor, bad) = segment.entries(&lines, u64::MAX);
        self.cursor = self.cursor.max(cursor);
        segment.found(&entries, bad, lines.torn);
        Ok(segment)
    }

    /// Tells of the damage found at a start.
    pub(super) fn report(&self, held: Held, notices: &mut Vec<Notice>) {
        for segment in &self.segments {
            notices.extend(segment.damaged_notice(self.path(segment)));
            segment.lost(segment.first..=segment.last, held).into_iter().for_each(|lost| lost.add_to(notices));
        }
    }

    fn path(&self, segment: &Segment) -> PathBuf {
        self.folder.join(segment.name())
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The highest number on disk.
    pub(super) fn last(&self) -> Option<u64> {
        self.segments.back().map(|segment| segment.last)
    }

    /// The lowest number on disk.
    pub(super) fn first(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.first)
    }

    /// Whether it cannot be told how far the last file went.
    pub(super) fn is_torn(&self) -> bool {
        self.segments.back().is_some_and(|segment| segment.torn)
    }

    /// Whether this reading is in a file.
    pub(super) fn has(&self, seq: u64) -> bool {
        let only = Held { cursor: seq - 1, in_memory: seq + 1 };
        self.segments.iter().rev().any(|segment| segment.count(only) > 0)
    }

    /// Readings that are here alone, and wait.
    pub(super) fn count(&self, held: Held) -> u64 {
        self.segments.iter().map(|segment| segment.count(held)).sum()
    }

    /// The highest cursor that was written with a reading: a crash need not send again what is below.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Writes readings behind all others, each with the cursor of the moment: all of them, or none.
    pub(super) fn append<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry> + Clone,
        cursor: u64,
    ) -> io::Result<()> {
        let (Some(first), Some(last)) = (entries.clone().next().map(|e| e.seq), entries.clone().last().map(|e| e.seq))
        else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        entries.clone().for_each(|entry| line::write(&segment::text_of(entry, cursor), &mut bytes));
        let goes_on = |segment: &Segment| segment.bytes < self.file_bytes && segment.last + 1 == first;
        if !self.open || !self.segments.back().is_some_and(goes_on) {
            self.begin(first)?;
        }
        let Some(path) = self.segments.back().map(|segment| self.path(segment)) else { return Ok(()) };
        let Some(segment) = self.segments.back_mut() else { return Ok(()) };
        if let Err(error) = self.files.append(&path, segment.bytes, &bytes) {
            // Half a line must not stand before a whole one; if it cannot be taken back, the next
            // reading begins a new file, and this one's end is found bad at the next start.
            if error.kind() == ErrorKind::InvalidData || self.files.truncate(&path, segment.bytes).is_err() {
                self.open = false;
            }
            return Err(error);
        }
        segment.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        segment.last = last;
        if !self.unsynced.contains(&path) {
            self.unsynced.push(path.clone());
        }
        if let Some((_, known)) = self.cache.as_mut().filter(|(cached, _)| *cached == path) {
            known.extend(entries.cloned());
        }
        Ok(())
    }

    /// Begins a file under a name that is free: an old one may be there that could not be deleted.
    fn begin(&mut self, first: u64) -> io::Result<()> {
        self.open = false;
        self.supersede(first);
        for copy in 0.. {
            let segment = Segment::new(first, copy);
            match self.files.create(&self.path(&segment)) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    self.segments.push_back(segment);
                    break;
                }
            }
        }
        if !self.unsynced.contains(&self.folder) {
            self.unsynced.push(self.folder.clone());
        }
        self.open = true;
        Ok(())
    }

    /// Readings from this number on stand in a later file, or will: those before do not count.
    fn supersede(&mut self, first: u64) {
        while let Some(mut segment) = self.segments.pop_back() {
            if segment.last < first && !segment.is_empty() {
                self.segments.push_back(segment);
                return;
            }
            if segment.first < first {
                segment.end_before(first);
                self.cache = None;
                self.segments.push_back(segment);
                return;
            }
            self.discard(&segment);
        }
    }

    /// Removes a file that is not needed; if it stays, the next start finds that again.
    fn discard(&mut self, segment: &Segment) {
        _ = self.remove(segment);
    }

    /// The same with one whose numbers lie inside those of the one before it. What that one has lost of them
    /// must not be deleted.
    fn discard_inner(&mut self, segment: &Segment) {
        if segment.numbers().into_iter().all(|seq| self.has(seq)) {
            self.discard(segment);
        } else {
            _ = set_aside(&*self.files, &self.path(segment));
        }
    }

    /// Adds nothing more to the last file, and trusts no sync of before.
    pub(super) fn sync_all(&mut self) {
        self.open = false;
        // one that somebody removed has nothing to sync, and would fail each time
        let there = self.segments.iter().filter(|segment| segment.bytes > 0);
        self.unsynced = there.map(|segment| self.path(segment)).collect();
        self.unsynced.push(self.folder.clone());
    }

    /// The first reading with a higher number. What turns out to be damaged or gone is reported.
    ///
    /// # Errors
    /// Where this process lacks something at the moment.
    pub(super) fn after(&mut self, seq: u64, held: Held, notices: &mut Vec<Notice>) -> io::Result<Option<Entry>> {
        let mut seq = seq;
        while let Some(index) = self.segments.iter().position(|segment| segment.last > seq) {
            let Some(last) = self.segments.get(index).map(|segment| segment.last) else { break };
            let entries = self.read(index, held, notices)?;
            if let Some(entry) = entries.get(entries.partition_point(|entry| entry.seq <= seq)) {
                return Ok(Some(entry.clone()));
            }
            seq = last;
        }
        Ok(None)
    }

    /// The readings of a file, from the disk if it is not the one that was read last.
    fn read(&mut self, index: usize, held: Held, notices: &mut Vec<Notice>) -> io::Result<&[Entry]> {
        let path = self.segments.get(index).map(|segment| self.path(segment)).unwrap_or_default();
        if self.cache.as_ref().is_none_or(|(cached, _)| *cached != path) {
            self.cache = None;
            let entries = self.examine(index, held, notices)?;
            self.cache = Some((path, entries));
        }
        Ok(self.cache.as_ref().map_or(&[], |(_, entries)| entries))
    }

    /// Reads a file and compares it with what is known of it.
    fn examine(&mut self, index: usize, held: Held, notices: &mut Vec<Notice>) -> io::Result<Vec<Entry>> {
        let Some(segment) = self.segments.get(index) else { return Ok(Vec::new()) };
        let path = self.path(segment);
        let (lines, is_gone) = match disk::read_lines(&*self.files, &path) {
            Ok(lines) => (lines, false),
            Err(error) if error.kind() == ErrorKind::NotFound => (disk::Lines::default(), true),
            Err(error) if disk::is_passing(&error) => return Err(error),
            Err(_) => (disk::Lines { bad: 1, ..disk::Lines::default() }, false),
        };
        let is_last = index + 1 == self.segments.len();
        let Some(segment) = self.segments.get_mut(index) else { return Ok(Vec::new()) };
        let (entries, _, bad) = segment.entries(&lines, segment.last);
        if is_gone {
            segment.bytes = 0;
        }
        if entries.len() < segment.numbers().len() || (bad > 0 && !segment.is_damaged()) {
            let before = segment.numbers();
            segment.damage(&entries, bad);
            if is_gone {
                Notice::Gone { files: 1 }.add_to(notices);
            }
            notices.extend(segment.damaged_notice(path));
            segment.lost(before, held).into_iter().for_each(|lost| lost.add_to(notices));
            self.open &= !is_last;
        }
        Ok(entries)
    }

    /// Looks whether every file is there and as long as it was, after one was not.
    pub(super) fn inspect(&mut self, held: Held, notices: &mut Vec<Notice>) -> io::Result<()> {
        self.cache = None;
        for index in 0..self.segments.len() {
            let Some(segment) = self.segments.get(index) else { break };
            let length = self.files.length(&self.path(segment));
            if length.is_ok_and(|length| length == segment.bytes) {
                continue;
            }
            self.examine(index, held, notices)?;
        }
        Ok(())
    }

    /// Deletes the files of which every reading has a number up to `cursor`. The last one stays if
    /// `keep_last`: then its numbers are written nowhere else.
    ///
    /// # Errors
    /// Of the first file that cannot be deleted: it stays, and is tried again at the next call.
    pub(super) fn delete_through(&mut self, cursor: u64, keep_last: bool) -> io::Result<()> {
        while let Some(segment) = self.segments.front() {
            if segment.last > cursor || (keep_last && self.segments.len() == 1) {
                break;
            }
            self.delete_first()?;
        }
        Ok(())
    }

    /// Deletes the oldest file, whatever is in it: count, first and last number of what is lost with it.
    pub(super) fn drop_oldest(&mut self, held: Held) -> io::Result<Option<(u64, u64, u64)>> {
        let Some(segment) = self.segments.front() else { return Ok(None) };
        let count = segment.count(held);
        let range = (count, segment.first.max(held.cursor + 1), segment.last.min(held.in_memory - 1));
        self.delete_first()?;
        Ok(Some(range).filter(|_| count > 0))
    }

    fn delete_first(&mut self) -> io::Result<()> {
        if let Some(segment) = self.segments.front().cloned() {
            self.remove(&segment)?;
            self.segments.pop_front();
            self.open &= !self.segments.is_empty();
        }
        Ok(())
    }

    /// Removes a file; what is not understood in it stays under another name.
    fn remove(&mut self, segment: &Segment) -> io::Result<()> {
        let path = self.path(segment);
        let outcome =
            if segment.is_worth_keeping() { set_aside(&*self.files, &path) } else { self.files.remove(&path) };
        match outcome {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.unsynced.retain(|other| *other != path);
        if self.cache.as_ref().is_some_and(|(cached, _)| *cached == path) {
            self.cache = None;
        }
        Ok(())
    }

    /// What was written since the last [`take_unsynced`](Self::take_unsynced).
    pub(super) fn unsynced(&self) -> Vec<PathBuf> {
        self.unsynced.clone()
    }

    /// What to sync: everything written since the last call.
    pub(super) fn take_unsynced(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.unsynced)
    }
}
