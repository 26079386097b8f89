//! What is wrong with a configuration: where, what, and what was expected; all of it at once.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A place in a text file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which of the files that were read together, from 0.
    pub file: usize,
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
    /// What is there and what was expected; `LINE` stands for the place `also`.
    pub what: String,
    /// Another place that has to do with it.
    pub also: Option<Place>,
    /// The file may be right: another one that it names could not be read just now.
    pub may_pass: bool,
}

impl Problem {
    pub(super) fn new(at: Place, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), also: None, may_pass: false }
    }

    /// One that has to do with another place, whose `LINE` the text says.
    pub(super) fn beside(also: Place, at: Place, what: impl Into<String>) -> Self {
        Self { also: Some(also), ..Self::new(at, what) }
    }
}

/// Stands in a [`Problem::what`] for the line of the other place.
pub(super) const LINE: &str = "{line}";

/// Everything that is wrong with the files that were read together, in the order of files and lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The files; a [`Place`] says which of them is meant.
    pub files: Vec<PathBuf>,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(files: &[PathBuf], mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        let mut all = Self { files: files.to_owned(), problems: Vec::new() };
        for Problem { at, what, also, may_pass } in problems {
            let line = |also: Place| match also.file == at.file {
                true => format!("line {}", also.line),
                false => format!("line {} of {}", also.line, all.file(also).display()),
            };
            let what = also.map_or(what.clone(), |also| what.replacen(LINE, &line(also), 1));
            all.problems.push(Problem { at, what, also, may_pass });
        }
        all
    }

    /// The file of a place.
    #[must_use]
    pub fn file(&self, at: Place) -> &Path {
        self.files.get(at.file).or(self.files.first()).map_or(Path::new(""), PathBuf::as_path)
    }
}

impl fmt::Display for Problems {
    /// A heading, then one `file:line:column: what` per problem, as compilers do and editors follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file(Place::default()).display();
        let plural = if self.problems.len() == 1 { "" } else { "s" };
        write!(f, "{file} has {} problem{plural}", self.problems.len())?;
        self.problems.iter().try_for_each(|Problem { at, what, .. }| {
            write!(f, "\n{}:{}:{}: {what}", self.file(*at).display(), at.line, at.column)
        })
    }
}

impl std::error::Error for Problems {}

/// Whether what the system said of a file may be otherwise at the next try, without anybody's doing.
pub(super) fn may_pass(error: &io::Error) -> bool {
    let is_lasting = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory);
    error.raw_os_error().is_some() && !is_lasting
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
