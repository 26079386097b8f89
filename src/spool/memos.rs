//! What is remembered over a restart: small texts under names, in two files of lines.
//!
//! Not here: the forms of the texts (`memo`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Memo, Notice, disk, line};

/// States change with every reading, and an SD card shall not be written as often.
const STATES_AFTER: Duration = Duration::from_secs(15 * 60);
/// The others change when something is configured or installed.
const OTHERS_AFTER: Duration = Duration::from_secs(10);

/// What a store remembers of one kind, by name, looked at from outside while its owner may be at work.
///
/// # Errors
/// Where its file cannot be read; one that is not there remembers nothing.
pub fn peek(folder: &Path, memo: Memo) -> io::Result<BTreeMap<String, String>> {
    let (lines, _) = disk::read_lines(&path(folder, memo == Memo::State))?;
    let texts = lines.iter().filter_map(|line| parse(line)).filter(|(kind, ..)| *kind == memo);
    Ok(texts.map(|(_, name, text)| (name, text)).collect())
}

/// Everything remembered, and since when it is not on disk.
#[derive(Debug, Default)]
pub(super) struct Memos {
    texts: BTreeMap<(Memo, String), String>,
    states_changed: Option<Instant>,
    others_changed: Option<Instant>,
}

impl Memos {
    /// What the folder holds; damaged files are set aside, their good lines kept.
    pub(super) fn open(folder: &Path, notices: &mut Vec<Notice>) -> io::Result<Self> {
        let mut memos = Self::default();
        for states in [true, false] {
            let path = path(folder, states);
            let (texts, mut bad) = disk::read_lines(&path)?;
            for text in texts {
                match parse(&text) {
                    Some((memo, name, text)) => _ = memos.texts.insert((memo, name), text),
                    None => bad += 1,
                }
            }
            if bad > 0 {
                let kept = u64::try_from(memos.texts.len()).unwrap_or(u64::MAX);
                notices.push(Notice::Damaged { file: disk::set_aside(&path)?, kept, bad });
            }
        }
        Ok(memos)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    pub(super) fn remember(&mut self, memo: Memo, name: &str, text: &str, now: Instant) {
        let key = (memo, name.to_owned());
        if self.texts.get(&key).map_or(text.is_empty(), |known| known == text) {
            return;
        }
        if text.is_empty() {
            self.texts.remove(&key);
        } else {
            self.texts.insert(key, text.to_owned());
        }
        let changed = if memo == Memo::State { &mut self.states_changed } else { &mut self.others_changed };
        changed.get_or_insert(now);
    }

    pub(super) fn of(&self, memo: Memo) -> impl Iterator<Item = (&str, &str)> {
        let own = self.texts.iter().filter(move |((kind, _), _)| *kind == memo);
        own.map(|((_, name), text)| (name.as_str(), text.as_str()))
    }

    /// When something is due for the disk.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let states = self.states_changed.map(|at| at + STATES_AFTER);
        states.into_iter().chain(self.others_changed.map(|at| at + OTHERS_AFTER)).min()
    }

    /// The files that are due, with their bytes; all that changed where `now` is `None`.
    pub(super) fn take_due(&mut self, folder: &Path, now: Option<Instant>) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        for (states, after) in [(true, STATES_AFTER), (false, OTHERS_AFTER)] {
            let changed = if states { &mut self.states_changed } else { &mut self.others_changed };
            if changed.is_some_and(|at| now.is_none_or(|now| at + after <= now)) {
                *changed = None;
                files.push((path(folder, states), self.bytes(states)));
            }
        }
        files
    }

    fn bytes(&self, states: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for ((memo, name), text) in self.texts.iter().filter(|((memo, _), _)| (*memo == Memo::State) == states) {
            line::write(&format!("{} {name} {text}", memo.name()), &mut bytes);
        }
        bytes
    }
}

fn path(folder: &Path, states: bool) -> PathBuf {
    folder.join(if states { "states" } else { "memos" })
}

fn parse(line: &str) -> Option<(Memo, String, String)> {
    let (kind, rest) = line.split_once(' ')?;
    let (name, text) = rest.split_once(' ')?;
    Some((Memo::from_name(kind)?, name.to_owned(), text.to_owned()))
}
