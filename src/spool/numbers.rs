//! Which number the next reading gets, over restarts: the file `numbers`, one line.
//!
//! After a clean stop it holds the exact next number. While every reading is written before it is
//! published, the readings on disk tell the next one, and the file only says where they began. Else
//! it holds the end of a reserved block, so that a crash can never give a number twice.

use super::line;

/// Numbers reserved at once.
pub(super) const BLOCK: u64 = 1000;

/// What the number in the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The next one.
    Exact,
    /// The next one, or the one after the last reading on disk.
    Least,
    /// The end of a block of which some numbers were used.
    Reserved,
}

impl Kind {
    const ALL: [(&'static str, Self); 3] =
        [("exact", Self::Exact), ("least", Self::Least), ("reserved", Self::Reserved)];

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// The content of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) next: u64,
    pub(super) kind: Kind,
    /// The broker has everything up to here.
    pub(super) cursor: u64,
}

impl Numbers {
    /// The file's bytes.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        line::write(&format!("next {} {} cursor {}", self.next, self.kind.name(), self.cursor), &mut bytes);
        bytes
    }

    /// From the lines of the file; `None` where it is empty or no such file.
    pub(super) fn of_lines(lines: &[String]) -> Option<Self> {
        let [line] = lines else { return None };
        let words: Vec<&str> = line.split(' ').collect();
        let ["next", next, name, "cursor", cursor] = words.as_slice() else { return None };
        let kind = Kind::ALL.into_iter().find(|(known, _)| known == name).map(|(_, kind)| kind)?;
        Some(Self { next: next.parse().ok()?, kind, cursor: cursor.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_their_bytes() {
        for (_, kind) in Kind::ALL {
            let numbers = Numbers { next: 1842, kind, cursor: 1800 };
            let (lines, bad) = line::read(&numbers.to_bytes());
            assert_eq!((Numbers::of_lines(&lines), bad), (Some(numbers), 0));
        }
        assert_eq!(Numbers::of_lines(&[]), None);
        assert_eq!(Numbers::of_lines(&["next 5 maybe cursor 3".to_owned()]), None);
    }
}
