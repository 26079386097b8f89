//! What is remembered over a restart: small texts under names, in two files of lines.
//!
//! Not here: the forms of the texts (`memo`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::disk::{self, Replacement};
use super::files::{Files, System};
use super::numbers::HIGHEST;
use super::{Memo, Notice, line};

/// States change with every reading, and an SD card must not be written as often.
const STATES_AFTER: Duration = Duration::from_secs(15 * 60);
/// The others change when something is configured or installed.
const OTHERS_AFTER: Duration = Duration::from_secs(10);
/// What others were told of the agent's meters: after a power cut nobody else could take it back.
const TOLD_AFTER: Duration = Duration::from_millis(50);

fn written_after(memo: Memo) -> Duration {
    match memo {
        _ if memo.is_of_a_reading() => STATES_AFTER,
        Memo::Announcement | Memo::Base | Memo::Farewell | Memo::Identity | Memo::Kept => TOLD_AFTER,
        _ => OTHERS_AFTER,
    }
}

/// What a store remembers of one kind, by name, looked at from outside while its owner may be at work.
///
/// # Errors
/// Where its file cannot be read; one that is not there remembers nothing.
pub fn peek(folder: &Path, memo: Memo) -> io::Result<BTreeMap<String, String>> {
    let lines = match disk::read_lines(&System, &path(folder, memo.is_of_a_reading())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk::Lines::default(),
        lines => lines?,
    };
    let texts = lines.texts.iter().filter_map(|line| parse(line)).filter(|(kind, ..)| *kind == memo);
    Ok(texts.map(|(_, name, text)| (name, text)).collect())
}

/// Everything remembered, and when it is to be on disk.
#[derive(Debug, Default)]
pub(super) struct Memos {
    /// An empty text: forgotten, which a folder not looked into yet does not know.
    texts: BTreeMap<(Memo, String), String>,
    is_loaded: bool,
    states_due: Option<Instant>,
    others_due: Option<Instant>,
}

impl Memos {
    /// Adds what the folder holds to what was remembered before there was a folder, which is newer.
    /// Whether it holds anything.
    ///
    /// # Errors
    /// Where this process lacks something at the moment.
    pub(super) fn load(
        &mut self,
        files: &dyn Files,
        folder: &Path,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) -> io::Result<bool> {
        let mut is_empty = true;
        for states in [true, false] {
            let path = path(folder, states);
            let mut lines = disk::read_lines_at_start(files, &path)?;
            if lines.texts.is_empty() && lines.bad == 0 {
                // a crash between the two renames of a file of which the old content was kept
                lines = disk::read_lines_at_start(files, &path.with_extension("new"))?;
            }
            let (mut kept, mut bad) = (0, lines.bad);
            is_empty &= lines.texts.is_empty() && bad == 0;
            for text in lines.texts {
                match parse(&text) {
                    Some((memo, name, text)) => {
                        kept += 1;
                        self.texts.entry((memo, name)).or_insert(text);
                    }
                    None => bad += 1,
                }
            }
            if bad > 0 {
                self.is_due(states, now + if states { STATES_AFTER } else { OTHERS_AFTER });
                notices.push(Notice::Damaged { file: path, kept, bad });
            }
        }
        self.texts.retain(|_, text| !text.is_empty());
        self.is_loaded = true;
        Ok(!is_empty)
    }

    fn due(&mut self, states: bool) -> &mut Option<Instant> {
        if states { &mut self.states_due } else { &mut self.others_due }
    }

    /// It is to be on disk at this time, or before.
    fn is_due(&mut self, states: bool, at: Instant) {
        let due = self.due(states);
        *due = Some(due.map_or(at, |due| due.min(at)));
    }

    /// The files are not what they should be: all is written again.
    pub(super) fn save_all(&mut self, now: Instant) {
        for states in [true, false] {
            self.is_due(states, now + if states { STATES_AFTER } else { OTHERS_AFTER });
        }
    }

    /// The highest number of a reading in a state.
    pub(super) fn highest_seq(&self) -> u64 {
        #[derive(serde::Deserialize)]
        struct State {
            seq: u64,
        }
        let seq = |(_, text)| serde_json::from_str::<State>(text).ok().map(|state| state.seq);
        self.of(Memo::State).filter_map(seq).filter(|seq| *seq < HIGHEST).max().unwrap_or(0)
    }

    pub(super) fn remember(&mut self, memo: Memo, name: &str, text: &str, now: Instant) {
        let key = (memo, name.to_owned());
        let known = self.texts.get(&key);
        if known.map_or(text.is_empty() && self.is_loaded, |known| known == text) {
            return;
        }
        if text.is_empty() && self.is_loaded {
            self.texts.remove(&key);
        } else {
            self.texts.insert(key, text.to_owned());
        }
        self.is_due(memo.is_of_a_reading(), now + written_after(memo));
    }

    pub(super) fn of(&self, memo: Memo) -> impl Iterator<Item = (&str, &str)> {
        let own = self.texts.iter().filter(move |((kind, _), text)| *kind == memo && !text.is_empty());
        own.map(|((_, name), text)| (name.as_str(), text.as_str()))
    }

    /// What is remembered under this name.
    pub(super) fn get(&self, memo: Memo, name: &str) -> Option<&str> {
        self.texts.get(&(memo, name.to_owned())).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// When something is due for the disk.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.states_due.into_iter().chain(self.others_due).min()
    }

    /// The files that are due, with their bytes; all that changed where `now` is `None`.
    pub(super) fn take_due(&mut self, folder: &Path, now: Option<Instant>) -> Vec<Replacement> {
        let mut files = Vec::new();
        for states in [true, false] {
            let due = self.due(states);
            if due.is_some_and(|at| now.is_none_or(|now| at <= now)) {
                *due = None;
                let is_understood = |text: &str| parse(text).is_some();
                files.push(Replacement { path: path(folder, states), bytes: self.bytes(states), is_understood });
            }
        }
        files
    }

    fn bytes(&self, states: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let own = |((memo, _), text): &(&(Memo, String), &String)| memo.is_of_a_reading() == states && !text.is_empty();
        for ((memo, name), text) in self.texts.iter().filter(own) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_were_told_is_soon_on_disk_and_what_every_reading_changes_is_not() {
        let (now, folder) = (Instant::now(), Path::new("store"));
        let mut memos = Memos { is_loaded: true, ..Memos::default() };
        let mut due = |memo, after: u64| {
            memos.remember(memo, "heat", "text", now);
            let due = memos.wake_at();
            assert_eq!(due, Some(now + Duration::from_millis(after)), "{memo:?}");
            assert!(memos.take_due(folder, due.map(|at| at - Duration::from_millis(1))).is_empty(), "{memo:?}");
            assert_eq!(memos.take_due(folder, due).len(), 1, "{memo:?}");
        };
        for memo in [Memo::Announcement, Memo::Base, Memo::Farewell, Memo::Identity, Memo::Kept] {
            due(memo, 50);
        }
        due(Memo::Unit, 10_000);
        due(Memo::State, 900_000);
        // the earlier of two, which share a file
        memos.remember(Memo::Replies, "heat", "12", now);
        memos.remember(Memo::Identity, "heat", "it", now);
        memos.remember(Memo::Replies, "heat", "13", now);
        assert_eq!(memos.wake_at(), Some(now + TOLD_AFTER));
    }
}
