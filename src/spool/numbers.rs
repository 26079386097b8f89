//! Which number the next reading gets, over restarts: the file `numbers`, one line.
//!
//! After a clean stop it holds the exact next number. While the agent runs without writing each
//! reading, it holds the end of a reserved block, so that a crash can never give a number twice.

use super::line;

/// Numbers reserved at once.
pub(super) const BLOCK: u64 = 1000;

/// The content of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// No reading has this number or a higher one, save those on disk.
    pub(super) next: u64,
    /// Whether `next` is exact; else it ends a reserved block, of which some numbers were used.
    pub(super) exact: bool,
    /// The broker has everything up to here.
    pub(super) cursor: u64,
}

impl Numbers {
    /// The file's bytes.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let kind = if self.exact { "exact" } else { "reserved" };
        let mut bytes = Vec::new();
        line::write(&format!("next {} {kind} cursor {}", self.next, self.cursor), &mut bytes);
        bytes
    }

    /// From the lines of the file; `None` where it is empty or no such file.
    pub(super) fn of_lines(lines: &[String]) -> Option<Self> {
        let [line] = lines else { return None };
        let mut words = line.split(' ');
        let (Some("next"), Some(next), Some(kind), Some("cursor"), Some(cursor), None) =
            (words.next(), words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let exact = match kind {
            "exact" => true,
            "reserved" => false,
            _ => return None,
        };
        Some(Self { next: next.parse().ok()?, exact, cursor: cursor.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_their_bytes() {
        for exact in [true, false] {
            let numbers = Numbers { next: 1842, exact, cursor: 1800 };
            let (lines, bad) = line::read(&numbers.to_bytes());
            assert_eq!((Numbers::of_lines(&lines), bad), (Some(numbers), 0));
        }
        assert_eq!(Numbers::of_lines(&[]), None);
        assert_eq!(Numbers::of_lines(&["next 5 maybe cursor 3".to_owned()]), None);
    }
}
