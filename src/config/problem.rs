//! What is wrong with a configuration: where, what, and what was expected; all of it at once.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A place in a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// One thing that is wrong. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub at: Place,
    /// What is there and what was expected.
    pub what: String,
    /// The file may be right: another one that it names could not be read just now.
    pub may_pass: bool,
}

impl Problem {
    pub(super) fn new(at: Place, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), may_pass: false }
    }
}

/// Everything that is wrong with one file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub file: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { file: file.to_owned(), problems }
    }
}

impl fmt::Display for Problems {
    /// A heading, then one `file:line:column: what` per problem, as compilers do and editors follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let plural = if self.problems.len() == 1 { "" } else { "s" };
        write!(f, "{file} has {} problem{plural}", self.problems.len())?;
        self.problems
            .iter()
            .try_for_each(|Problem { at, what, .. }| write!(f, "\n{file}:{}:{}: {what}", at.line, at.column))
    }
}

impl std::error::Error for Problems {}

/// Whether what the system said of a file may be otherwise at the next try, without anybody's doing.
pub(super) fn may_pass(error: &io::Error) -> bool {
    error.raw_os_error().is_some() && error.kind() != io::ErrorKind::PermissionDenied
}

/// The one of `words` that was most likely meant: up to a third of its letters differ, some do not.
pub(super) fn nearest<'w>(wrong: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let letters = wrong.chars().count();
    words
        .into_iter()
        .map(|word| (distance(wrong, word), word))
        .filter(|(edits, word)| *edits <= 1.max(word.chars().count() / 3) && *edits < letters)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`; long texts are far from everything.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let replaced = cell(&last, j) + usize::from(from != to);
            let mut least = replaced.min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let neighbours = i.checked_sub(1).and_then(|i| a.get(i)).zip(j.checked_sub(1).and_then(|j| b.get(j)));
            if neighbours == Some((to, from)) {
                least = least.min(cell(&before_last, j - 1) + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn edits_are_counted() {
        for (a, b, edits) in [("", "", 0), ("", "abc", 3), ("baud", "buad", 1), ("kitten", "sitting", 3), ("a", "", 1)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_word_is_near_or_none() {
        let words = ["interval", "address", "baud"];
        assert_eq!(nearest("intervall", words), Some("interval"));
        assert_eq!(nearest("adress", words), Some("address"));
        assert_eq!(nearest("zzz", words), None);
    }
}
