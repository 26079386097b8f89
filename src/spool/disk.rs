//! How a file is read although parts of it cannot be, and replaced although the disk may fail at any
//! step; and what is left to the blocking pool.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::line;

/// What is skipped where a file cannot be read: a block of most filesystems.
const BLOCK_BYTES: u64 = 4096;
/// A disk writes so much as a whole.
const SECTOR_BYTES: usize = 512;
/// More is not read of one file: the store's own are far smaller.
const READ_BYTES: u64 = 64 << 20;

/// Work that waits for the disk: done where it delays no bus.
#[derive(Debug)]
pub struct DiskWork {
    pub(super) files: Arc<dyn Files>,
    pub(super) sync: Vec<PathBuf>,
    pub(super) replace: Vec<Replacement>,
}

/// The outcome of [`DiskWork::run`].
#[derive(Debug)]
pub struct DiskDone {
    pub(super) synced: io::Result<()>,
    pub(super) replaced: io::Result<()>,
}

/// A file and its new content.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Whether a text of the old content says something: one that does not keeps it, under another name.
    pub(super) is_understood: fn(&str) -> bool,
}

impl DiskWork {
    /// Does it. May take as long as an SD card takes. What fails does not keep the rest from being tried.
    #[must_use]
    pub fn run(self) -> DiskDone {
        let synced = self.sync.iter().map(|path| self.files.sync(path)).fold(Ok(()), io::Result::and);
        let all = self.replace.iter().map(|replacement| replacement.run(&*self.files));
        DiskDone { synced, replaced: all.fold(Ok(()), io::Result::and) }
    }
}

impl DiskDone {
    /// Nothing of it was done.
    #[must_use]
    pub fn failed(error: &io::Error) -> Self {
        let error = || io::Error::new(error.kind(), error.to_string());
        Self { synced: Err(error()), replaced: Err(error()) }
    }
}

impl Replacement {
    /// After a crash the file holds the old or the new content, never a mixture. First everything is
    /// written, then names change: where there is no room, everything stays as it was.
    pub(super) fn run(&self, files: &dyn Files) -> io::Result<()> {
        let outcome = self.replace(files);
        if outcome.is_err() && self.bytes.len() <= SECTOR_BYTES { self.overwrite(files) } else { outcome }
    }

    fn replace(&self, files: &dyn Files) -> io::Result<()> {
        let new = self.path.with_extension("new");
        files.write(&new, &self.bytes)?;
        files.sync(&new)?;
        if !self.is_old_understood(files)? {
            set_aside(files, &self.path)?;
        }
        files.rename(&new, &self.path)?;
        self.sync_folder(files)
    }

    /// The new content where the old one is: a full disk has room for that.
    fn overwrite(&self, files: &dyn Files) -> io::Result<()> {
        if !self.is_old_understood(files)? {
            return Err(ErrorKind::InvalidData.into());
        }
        files.write(&self.path, &self.bytes)?;
        files.sync(&self.path)?;
        self.sync_folder(files)
    }

    fn sync_folder(&self, files: &dyn Files) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), |folder| files.sync(folder))
    }

    fn is_old_understood(&self, files: &dyn Files) -> io::Result<bool> {
        let old = read_lines_at_start(files, &self.path)?;
        Ok(old.bad == 0 && old.texts.iter().all(|text| (self.is_understood)(text)))
    }
}

/// What is in a file of lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The texts of the good lines.
    pub(super) texts: Vec<String>,
    /// Pieces that are not good lines, and those that cannot be read.
    pub(super) bad: u64,
    /// The end is missing: nothing is there, or the last piece is bad.
    pub(super) torn: bool,
}

/// Reads a file of lines; what cannot be read costs the lines that it hits.
///
/// # Errors
/// Where there is no such file, or this process may not read it now.
pub(super) fn read_lines(files: &dyn Files, path: &Path) -> io::Result<Lines> {
    let length = files.length(path)?;
    let mut lines = Lines { torn: length == 0, ..Lines::default() };
    let (mut at, end) = (0, length.min(READ_BYTES));
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(usize::MAX);
        // a second time, for it may have been the cable
        match files.read(path, at, most).or_else(|_| files.read(path, at, most)) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => {
                let (texts, bad) = line::read(&bytes);
                lines.texts.extend(texts);
                lines.bad += bad;
                lines.torn = !line::ends_well(&bytes);
                at += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            }
            Err(error) if is_passing(&error) => return Err(error),
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                return Ok(Lines { bad: 1, torn: true, ..Lines::default() });
            }
            Err(_) => {
                lines.bad += 1;
                lines.torn = true;
                at = (at / BLOCK_BYTES + 1) * BLOCK_BYTES;
            }
        }
    }
    lines.bad += u64::from(at < length);
    lines.torn |= at < length;
    Ok(lines)
}

/// The same at a start: a file that must not be read costs itself alone, and none is like an empty one.
pub(super) fn read_lines_at_start(files: &dyn Files, path: &Path) -> io::Result<Lines> {
    match read_lines(files, path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Lines::default()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Ok(Lines { bad: 1, torn: true, ..Lines::default() })
        }
        outcome => outcome,
    }
}

/// Whether this process lacks something at the moment: the file itself may be as good as ever.
pub(super) fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::ACCESS, Errno::PERM];
    error.raw_os_error().is_some_and(|code| passing.iter().any(|errno| errno.raw_os_error() == code))
}

/// Renames a damaged file, so that nothing deletes what may still be read by hand.
pub(super) fn set_aside(files: &dyn Files, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let taken = path.parent().map_or_else(|| Ok(Vec::new()), |folder| files.names(folder))?;
    let mut names = (1_u32..).map(|number| format!("{name}.damaged-{number}"));
    let Some(aside) = names.find(|name| !taken.contains(name)) else { return Ok(()) };
    match files.rename(path, &path.with_file_name(aside)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
