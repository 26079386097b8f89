//! The readings on disk: files of lines, each named by the number of its first reading. Written at
//! the end of the last one only; a whole file is deleted once the broker has all of it.
//!
//! Not here: which readings go to disk and when (`spool`), one line (`line`).

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::{self, set_aside};
use super::{Entry, Notice, line};

/// A file is closed beyond this, and the next one begun, so that a full store loses little at once.
const FILE_BYTES: u64 = 256 << 10;
const PREFIX: &str = "readings-";
const SUFFIX: &str = ".log";

/// All files of readings, oldest first.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    file_bytes: u64,
    files: VecDeque<Segment>,
    /// The last of `files`, open for appending.
    active: Option<File>,
    /// Written since the last sync.
    dirty: bool,
    /// The readings of one file, as last read.
    cache: Option<(u64, Vec<Entry>)>,
    /// The highest cursor that stood in a line.
    cursor: u64,
}

/// One file.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Its name.
    first: u64,
    last: u64,
    count: u64,
    bytes: u64,
}

impl Journal {
    /// What the folder holds. Damaged files are set aside, their good lines written anew.
    pub(super) fn open(folder: &Path, max_bytes: u64, notices: &mut Vec<Notice>) -> io::Result<Self> {
        let mut numbers = Vec::new();
        for file in fs::read_dir(folder)? {
            let name = file?.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        let mut journal = Self {
            folder: folder.to_owned(),
            file_bytes: FILE_BYTES.min(max_bytes / 8),
            files: VecDeque::new(),
            active: None,
            dirty: false,
            cache: None,
            cursor: 0,
        };
        for first in numbers {
            if let Some(segment) = journal.examine(first, notices)? {
                journal.files.push_back(segment);
            }
        }
        Ok(journal)
    }

    fn examine(&mut self, first: u64, notices: &mut Vec<Notice>) -> io::Result<Option<Segment>> {
        let path = self.path(first);
        let (entries, bad, cursor) = self.load(first)?;
        self.cursor = self.cursor.max(cursor);
        if bad > 0 {
            let aside = set_aside(&path)?;
            let mut bytes = Vec::new();
            entries.iter().for_each(|entry| line::write(&text_of(entry, cursor), &mut bytes));
            if !entries.is_empty() {
                disk::replace(&path, &bytes)?;
            }
            let kept = u64::try_from(entries.len()).unwrap_or(u64::MAX);
            notices.push(Notice::Damaged { file: aside, kept, bad });
        } else if entries.is_empty() {
            fs::remove_file(&path)?;
        }
        let Some(last) = entries.last() else { return Ok(None) };
        let bytes = fs::metadata(&path)?.len();
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        Ok(Some(Segment { first, last: last.seq, count, bytes }))
    }

    /// The readings of a file, in rising order, lines that are bad or break the order, the last cursor.
    fn load(&self, first: u64) -> io::Result<(Vec<Entry>, u64, u64)> {
        let (texts, mut bad) = disk::read_lines(&self.path(first))?;
        let mut entries: Vec<Entry> = Vec::with_capacity(texts.len());
        let mut last_cursor = 0;
        for text in texts {
            let parsed = entry_of(&text);
            match parsed.filter(|(entry, _)| entries.last().is_none_or(|last| last.seq < entry.seq)) {
                Some((entry, cursor)) => {
                    entries.push(entry);
                    last_cursor = cursor.max(last_cursor);
                }
                None => bad += 1,
            }
        }
        Ok((entries, bad, last_cursor))
    }

    fn path(&self, first: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{first:020}{SUFFIX}"))
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The highest number on disk.
    pub(super) fn last(&self) -> Option<u64> {
        self.files.back().map(|file| file.last)
    }

    /// The lowest number on disk.
    pub(super) fn first(&self) -> Option<u64> {
        self.files.front().map(|file| file.first)
    }

    /// Readings on disk with a number above `cursor`; exact but for the file the cursor is in.
    pub(super) fn count_above(&self, cursor: u64) -> u64 {
        let of = |file: &Segment| match file {
            file if file.last <= cursor => 0,
            file if file.first > cursor => file.count,
            file => file.count.min(file.last - cursor),
        };
        self.files.iter().map(of).sum()
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
        let count = entries.clone().map(|entry| line::write(&text_of(entry, cursor), &mut bytes)).count();
        if self.active.is_none() || self.files.back().is_none_or(|file| file.bytes >= self.file_bytes) {
            self.begin(first)?;
        }
        let (Some(file), Some(segment)) = (&mut self.active, self.files.back_mut()) else {
            return Err(io::Error::other("no file to write to"));
        };
        if let Err(error) = file.write_all(&bytes) {
            // Half a line must not stand before a whole one; if it cannot be taken back, the next
            // reading begins a new file, and this one's last line is found bad at the next start.
            if file.set_len(segment.bytes).is_err() || segment.count == 0 {
                self.active = None;
                self.forget_empty();
            }
            return Err(error);
        }
        segment.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        segment.count += u64::try_from(count).unwrap_or(0);
        segment.last = last;
        self.dirty = true;
        if let Some((cached, known)) = &mut self.cache {
            if *cached == segment.first {
                known.extend(entries.cloned());
            }
        }
        Ok(())
    }

    fn begin(&mut self, first: u64) -> io::Result<()> {
        if let Some(file) = self.active.take() {
            file.sync_data()?;
        }
        let file = OpenOptions::new().create_new(true).append(true).open(self.path(first))?;
        self.active = Some(file);
        self.files.push_back(Segment { first, last: first, count: 0, bytes: 0 });
        Ok(())
    }

    fn forget_empty(&mut self) {
        if self.files.back().is_some_and(|file| file.count == 0) {
            if let Some(file) = self.files.pop_back() {
                _ = fs::remove_file(self.path(file.first));
            }
        }
    }

    /// The first reading with a higher number.
    pub(super) fn after(&mut self, seq: u64) -> io::Result<Option<Entry>> {
        let Some(first) = self.files.iter().find(|file| file.last > seq).map(|file| file.first) else {
            return Ok(None);
        };
        if self.cache.as_ref().is_none_or(|(cached, _)| *cached != first) {
            let (entries, _, _) = self.load(first)?;
            self.cache = Some((first, entries));
        }
        let Some((_, entries)) = &self.cache else { return Ok(None) };
        Ok(entries.get(entries.partition_point(|entry| entry.seq <= seq)).cloned())
    }

    /// Deletes the files of which every reading has a number up to `cursor`. The last one stays if
    /// `keep_last`: then its numbers are written nowhere else.
    pub(super) fn delete_through(&mut self, cursor: u64, keep_last: bool) -> io::Result<()> {
        while let Some(file) = self.files.front().copied() {
            let is_last = self.files.len() == 1;
            if file.last > cursor || file.count == 0 || (is_last && keep_last) {
                break;
            }
            if is_last {
                self.active = None;
            }
            self.delete_first()?;
        }
        Ok(())
    }

    /// Deletes the oldest file, whatever is in it: count, first and last number above `cursor`.
    pub(super) fn drop_oldest(&mut self, cursor: u64) -> io::Result<Option<(u64, u64, u64)>> {
        let Some(file) = self.files.front().copied() else { return Ok(None) };
        let (entries, _, _) = self.load(file.first)?;
        let unsent: Vec<u64> = entries.iter().map(|entry| entry.seq).filter(|seq| *seq > cursor).collect();
        if self.files.len() == 1 {
            self.active = None;
        }
        self.delete_first()?;
        let count = u64::try_from(unsent.len()).unwrap_or(u64::MAX);
        Ok(unsent.first().zip(unsent.last()).map(|(from, to)| (count, *from, *to)))
    }

    fn delete_first(&mut self) -> io::Result<()> {
        if let Some(file) = self.files.pop_front() {
            if self.cache.as_ref().is_some_and(|(cached, _)| *cached == file.first) {
                self.cache = None;
            }
            fs::remove_file(self.path(file.first))?;
        }
        Ok(())
    }

    /// The file to sync, if anything was written since the last call.
    pub(super) fn take_unsynced(&mut self) -> io::Result<Option<File>> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(None);
        }
        self.active.as_ref().map(File::try_clone).transpose()
    }
}

fn text_of(entry: &Entry, cursor: u64) -> String {
    format!("{} {cursor} {} {}", entry.seq, entry.meter, entry.payload)
}

fn entry_of(text: &str) -> Option<(Entry, u64)> {
    let mut words = text.splitn(4, ' ');
    let (seq, cursor) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (meter, payload) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some((Entry { seq, meter, payload }, cursor))
}
