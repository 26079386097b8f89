//! Readings that the broker did not take, in a file beside the journal: a person may have them sent again.
//!
//! Not here: which they are (the outbox).

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::{Notice, disk, line};
use super::{Fresh, Spool, Step, cost};

/// The file grows up to this; what comes then is lost.
const ASIDE_BYTES: u64 = 1 << 20;
/// So often is it told that readings are lost because it has grown so far.
const TELL: Duration = Duration::from_secs(60);

/// Readings that could not be set aside.
#[derive(Debug, Default)]
pub(super) struct Unkept {
    /// Not told yet: how many, the first and the last number.
    untold: Option<(u64, u64, u64)>,
    told: Option<Instant>,
}

impl Spool {
    /// The broker will never take this reading: it is kept apart. `false`: that was not possible.
    #[must_use]
    pub fn set_aside(&mut self, seq: u64, now: Instant) -> bool {
        let is_kept = self.keep_aside(seq, now);
        if !is_kept {
            let (count, from, _) = self.unkept.untold.unwrap_or((0, seq, seq));
            self.unkept.untold = Some((count + 1, from, seq));
        }
        is_kept
    }

    /// How many could not be set aside, the first and the last number: at once, then all of a minute together.
    pub fn unkept(&mut self, now: Instant) -> Option<(u64, u64, u64)> {
        let Unkept { untold, told } = &mut self.unkept;
        let unkept = untold.take_if(|_| told.is_none_or(|told| told + TELL <= now))?;
        *told = Some(now);
        Some(unkept)
    }

    fn keep_aside(&mut self, seq: u64, now: Instant) -> bool {
        let found = self.after(seq.saturating_sub(1), now).filter(|entry| entry.seq == seq);
        let Some(entry) = found.filter(|_| self.disk.is_some()) else { return false };
        let mut bytes = Vec::new();
        line::write(&format!("{} {} {}", entry.seq, entry.meter, entry.payload), &mut bytes);
        match self.write_aside(&bytes) {
            Ok(is_kept) => is_kept,
            Err(error) => {
                self.fail(Step::Write, &error, now);
                false
            }
        }
    }

    fn write_aside(&self, bytes: &[u8]) -> io::Result<bool> {
        let path = self.aside();
        let end = match self.files.length(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.files.create(&path).map(|()| 0),
            length => length,
        }?;
        let fits = end < ASIDE_BYTES;
        if fits {
            let written = self.files.append(&path, end, bytes).and_then(|()| self.sync_aside(end == 0));
            if written.is_err() {
                // it is counted as lost, so it must not come back either
                _ = self.files.truncate(&path, end);
            }
            written?;
        }
        Ok(fits)
    }

    /// What is set aside leaves the journal next: a power cut must not take it from both.
    fn sync_aside(&self, is_new: bool) -> io::Result<()> {
        self.files.sync(&self.aside())?;
        if is_new { self.files.sync(&self.store.directory) } else { Ok(()) }
    }

    /// How many were set aside, in earlier runs too.
    #[must_use]
    pub fn count_aside(&self) -> u64 {
        self.read_aside().map_or(0, |(lines, _)| u64::try_from(lines.len()).unwrap_or(u64::MAX))
    }

    /// Those that were set aside are queued behind all others. Their messages stay what they were, and so do
    /// the numbers in them; the numbers that they get for their places are announced. How many there are.
    ///
    /// # Errors
    /// The disk fails. Then they stay set aside; perhaps they are queued too.
    pub fn resend(&mut self, now: Instant) -> io::Result<u64> {
        let (lines, bad) = self.read_aside()?;
        if lines.is_empty() {
            return Ok(0);
        }
        let others = self.fresh.len();
        for line in &lines {
            let mut parts = line.splitn(3, ' ');
            let (Some(_), Some(meter), Some(payload)) = (parts.next(), parts.next(), parts.next()) else { continue };
            self.keep(meter, now, |_, _| payload.to_owned());
        }
        let count = self.fresh.len() - others;
        if let Some(first) = self.fresh.get(others) {
            self.notices.push(Notice::Requeued { from: first.entry.seq, to: self.next - 1 });
        }
        self.write_fresh(now);
        if self.written < self.fresh.len() {
            self.drop_newest(count);
            return Err(io::Error::other("they cannot be written to the journal"));
        }
        // whatever happens now, they are in one of the two files, or in both
        self.sync_journal()?;
        if bad == 0 {
            self.files.remove(&self.aside())?
        } else {
            disk::set_aside(&*self.files, &self.aside())?
        }
        self.keep_within_bounds(now);
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Takes back what was put into memory last.
    fn drop_newest(&mut self, count: usize) {
        for Fresh { entry, .. } in self.fresh.drain(self.fresh.len() - count..) {
            self.fresh_bytes -= cost(&entry);
        }
    }

    fn sync_journal(&mut self) -> io::Result<()> {
        let files = self.disk.as_ref().map(|disk| disk.journal.unsynced()).unwrap_or_default();
        let synced = files.iter().try_for_each(|path| self.files.sync(path));
        if synced.is_err() {
            self.write_again();
        }
        synced
    }

    /// The good lines, and how many others there are.
    fn read_aside(&self) -> io::Result<(Vec<String>, u64)> {
        let most = usize::try_from(2 * ASIDE_BYTES).unwrap_or(usize::MAX);
        match self.files.read(&self.aside(), 0, most) {
            Ok(bytes) => Ok(line::read(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok((Vec::new(), 0)),
            Err(error) => Err(error),
        }
    }

    fn aside(&self) -> PathBuf {
        self.store.directory.join("aside.log")
    }
}
