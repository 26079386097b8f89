//! Which number the next reading gets, over restarts: the file `numbers`, one line.
//!
//! Numbers belong to an epoch. The file names an epoch and a bound that no number used in it has
//! reached, and it is written before the bound would be passed; so whatever happens, the bound is a safe
//! place to go on. After a clean stop the bound is the exact next number. Where every reading was on
//! disk before it came out, the readings on disk tell the next number as well, as long as they are whole.
//!
//! An epoch that is in no file dies with the process, so its numbers need no bound.

use std::io;
use std::path::Path;

use rustix::rand::{GetRandomFlags, getrandom};

use super::disk::{self, Replacement};
use super::files::Files;
use super::line;

/// Numbers reserved at once.
pub(super) const BLOCK: u64 = 1000;
/// The highest number that is exact in every program that reads JSON.
pub(super) const HIGHEST: u64 = 1 << 53;

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// 16 hex digits.
    pub(super) epoch: String,
    /// Every number below was given to a reading, or given up.
    pub(super) next: u64,
    /// No number from here on was used.
    pub(super) bound: u64,
    /// The numbers below `next`, and the later ones that came out, are those of readings on disk.
    pub(super) counted: bool,
    /// The broker has everything up to here.
    pub(super) cursor: u64,
}

impl Numbers {
    /// The file's new content.
    pub(super) fn replacement(&self, folder: &Path) -> Replacement {
        let Self { epoch, next, bound, counted, cursor } = self;
        let kind = if *counted { "counted" } else { "reserved" };
        let mut bytes = Vec::new();
        line::write(&format!("epoch {epoch} next {next} bound {bound} {kind} cursor {cursor}"), &mut bytes);
        Replacement { path: folder.join("numbers"), bytes, is_understood: |text| Self::of_line(text).is_some() }
    }

    /// What the folder holds, and whether there is something that is not understood.
    ///
    /// # Errors
    /// Where this process lacks something at the moment.
    pub(super) fn read(files: &dyn Files, folder: &Path) -> io::Result<(Option<Self>, bool)> {
        let path = folder.join("numbers");
        let there = !files.length(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let lines = disk::read_lines_at_start(files, &path)?;
        let numbers = Self::of_lines(&lines.texts).filter(|_| lines.bad == 0);
        let damaged = there && numbers.is_none();
        Ok((numbers, damaged))
    }

    fn of_lines(lines: &[String]) -> Option<Self> {
        let [line] = lines else { return None };
        Self::of_line(line)
    }

    /// From the line of the file; `None` where it says what cannot be.
    fn of_line(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["epoch", epoch, "next", next, "bound", bound, kind, "cursor", cursor] = words.as_slice() else {
            return None;
        };
        let (next, bound, cursor): (u64, u64, u64) = (next.parse().ok()?, bound.parse().ok()?, cursor.parse().ok()?);
        let possible = epoch.len() == 16 && (1..=bound).contains(&next) && bound <= HIGHEST && cursor < bound;
        let counted = *kind == "counted";
        possible.then(|| Self { epoch: (*epoch).to_owned(), next, bound, counted, cursor })
    }
}

/// A new epoch, or the name of an instance: 16 random hex digits.
pub(super) fn random_hex() -> String {
    let mut random = [0_u8; 8];
    // 8 bytes come at once or not at all, and a system without a source of them does not start this far
    _ = getrandom(&mut random, GetRandomFlags::empty());
    format!("{:016x}", u64::from_be_bytes(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Numbers {
        Numbers { epoch: "0123456789abcdef".to_owned(), next: 1842, bound: 2842, counted: true, cursor: 1800 }
    }

    #[test]
    fn numbers_come_back_from_their_bytes() {
        for counted in [true, false] {
            let numbers = Numbers { counted, ..numbers() };
            let (lines, bad) = line::read(&numbers.replacement(Path::new("/")).bytes);
            assert_eq!((Numbers::of_lines(&lines), bad), (Some(numbers), 0));
        }
    }

    #[test]
    fn what_cannot_be_is_not_believed_although_its_sum_is_right() {
        let impossible = [
            Numbers { cursor: 2842, ..numbers() },
            Numbers { bound: 1841, ..numbers() },
            Numbers { bound: u64::MAX, ..numbers() },
            Numbers { next: 0, ..numbers() },
            Numbers { epoch: "short".to_owned(), ..numbers() },
        ];
        for numbers in impossible {
            let (lines, _) = line::read(&numbers.replacement(Path::new("/")).bytes);
            assert_eq!(Numbers::of_lines(&lines), None, "{numbers:?}");
        }
        assert_eq!(Numbers::of_lines(&[]), None);
    }

    #[test]
    fn no_two_epochs_are_alike() {
        let (one, other) = (random_hex(), random_hex());
        assert!(one != other && one.len() == 16 && one.bytes().all(|b| b.is_ascii_hexdigit()), "{one} {other}");
    }
}
