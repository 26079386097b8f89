//! What the store asks of the disk, by path: one seam, so that a test can let any single step fail.
//!
//! Paths and no open files: a file that somebody removed, cut or replaced is noticed at the next step.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

/// The steps.
pub(super) trait Files: Debug + Send + Sync {
    /// Makes a folder, if it is not there.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// Locks a folder for this process as long as the file lives; `WouldBlock`: another process has it.
    fn lock(&self, folder: &Path) -> io::Result<Option<File>>;
    /// The names in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Bytes of a file.
    fn length(&self, path: &Path) -> io::Result<u64>;
    /// What can be read from a place on, up to so many bytes; an error only where not one byte can.
    fn read(&self, path: &Path, from: u64, most: usize) -> io::Result<Vec<u8>>;
    /// Makes an empty file; `AlreadyExists` where there is one.
    fn create(&self, path: &Path) -> io::Result<()>;
    /// Writes a file as a whole; after an error it may hold anything.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Writes behind the `end` bytes that a file has; `InvalidData` where it has more or fewer. After
    /// an error a part may be written.
    fn append(&self, path: &Path, end: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file.
    fn truncate(&self, path: &Path, to: u64) -> io::Result<()>;
    /// Waits until the content of a file, or the names in a folder, are on disk.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Renames a file, over another one if need be.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The system's.
#[derive(Debug)]
pub(super) struct System;

impl Files for System {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    /// As far as the folder lets itself be locked: on a read-only one an old lock file serves, or none.
    fn lock(&self, folder: &Path) -> io::Result<Option<File>> {
        let path = folder.join("lock");
        let writable = open(&path, OFlags::WRONLY | OFlags::CREATE);
        let Ok(file) = writable.or_else(|_| open(&path, OFlags::RDONLY)) else { return Ok(None) };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(Some(file)),
        }
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|file| Ok(file?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn read(&self, path: &Path, from: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut file = open(path, OFlags::RDONLY)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        match file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes) {
            Err(error) if bytes.is_empty() => Err(error),
            _ => Ok(bytes),
        }
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL).map(drop)
    }

    /// Over what is there, so that it succeeds on a full disk where the file is no longer than before.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = open(path, OFlags::WRONLY | OFlags::CREATE)?;
        file.write_all(bytes)?;
        file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    fn append(&self, path: &Path, end: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = open(path, OFlags::WRONLY | OFlags::APPEND)?;
        if file.metadata()?.len() != end {
            return Err(io::Error::new(ErrorKind::InvalidData, "a file is not as long as it was"));
        }
        file.write_all(bytes)
    }

    fn truncate(&self, path: &Path, to: u64) -> io::Result<()> {
        open(path, OFlags::WRONLY)?.set_len(to)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let file =
            File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
        if file.metadata()?.is_dir() { file.sync_all() } else { file.sync_data() }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// Opens a regular file. Another kind, such as a pipe, might keep whoever opens or reads it waiting.
fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    let file = File::from(rustix::fs::open(path, flags | OFlags::NONBLOCK | OFlags::CLOEXEC, mode)?);
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(ErrorKind::InvalidInput, format!("{} is not a regular file", path.display())))
}
