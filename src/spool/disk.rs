//! The files of the store: how one is replaced as a whole, and what is left to the blocking pool.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::line;

/// Work that waits for the disk: done where it delays no bus.
#[derive(Debug)]
pub struct DiskWork {
    pub(super) sync: Vec<File>,
    pub(super) replace: Vec<(PathBuf, Vec<u8>)>,
}

impl DiskWork {
    /// Does it. May take as long as an SD card takes.
    ///
    /// # Errors
    /// The first that occurs; the rest is still tried.
    pub fn run(self) -> io::Result<()> {
        let mut outcome = Ok(());
        for file in self.sync {
            outcome = outcome.and(file.sync_data());
        }
        for (path, bytes) in self.replace {
            outcome = outcome.and(replace(&path, &bytes));
        }
        outcome
    }
}

/// Replaces a file as a whole: after a crash it holds the old or the new bytes, never a mixture.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// The good lines of a file, and how many were bad; a file that is not there has none.
pub(super) fn read_lines(path: &Path) -> io::Result<(Vec<String>, u64)> {
    match fs::read(path) {
        Ok(bytes) => Ok(line::read(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Vec::new(), 0)),
        Err(error) => Err(error),
    }
}

/// Renames a damaged file, so that nobody deletes what might still be read by hand; its new name.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for number in 1_u32.. {
        let aside = path.with_file_name(format!("{name}.damaged-{number}"));
        if !aside.exists() {
            fs::rename(path, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::other("too many damaged files"))
}
