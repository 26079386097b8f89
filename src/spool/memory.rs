//! Readings in memory: bounded, lost with the process.

use std::collections::{BTreeMap, VecDeque};

use super::{Entry, Memo, Notice};
use crate::config::Store;

/// What an entry costs beside its texts.
const OVERHEAD_BYTES: u64 = 100;
/// More memory than this is never used for readings, whatever `max_size` says.
const MOST_BYTES: u64 = 16 << 20;

/// The spool; the outbox task is its sole owner.
#[derive(Debug)]
pub struct Spool {
    entries: VecDeque<Entry>,
    bytes: u64,
    max_bytes: u64,
    next_seq: u64,
    memos: BTreeMap<(Memo, String), String>,
    notices: Vec<Notice>,
}

impl Spool {
    /// An empty one.
    #[must_use]
    pub fn open(store: &Store) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            max_bytes: store.max_size_bytes.min(MOST_BYTES),
            next_seq: 1,
            memos: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    /// The number of the last reading that needs no publishing.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.entries.front().map_or(self.next_seq, |entry| entry.seq) - 1
    }

    /// Takes a reading; `payload` makes its message once its number is known.
    pub fn append(&mut self, meter: &str, payload: impl FnOnce(u64) -> String) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let entry = Entry { seq, meter: meter.to_owned(), payload: payload(seq) };
        self.bytes += cost(&entry);
        self.entries.push_back(entry);
        self.drop_oldest();
        seq
    }

    fn drop_oldest(&mut self) {
        let (mut count, mut from, mut to) = (0, 0, 0);
        while self.bytes > self.max_bytes && self.entries.len() > 1 {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= cost(&entry);
            from = if count == 0 { entry.seq } else { from };
            (count, to) = (count + 1, entry.seq);
        }
        if count > 0 {
            self.notices.push(Notice::Dropped { count, from, to });
        }
    }

    /// The first reading with a higher number.
    #[must_use]
    pub fn after(&mut self, seq: u64) -> Option<Entry> {
        self.entries.get(self.entries.partition_point(|entry| entry.seq <= seq)).cloned()
    }

    /// The broker will never take this reading.
    pub fn set_aside(&mut self, seq: u64) {
        tracing::warn!("reading {seq} is set aside");
    }

    /// The broker has everything up to `seq`.
    pub fn ack(&mut self, seq: u64) {
        while self.entries.front().is_some_and(|entry| entry.seq <= seq) {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= cost(&entry);
        }
    }

    /// Readings that wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.entries.len()
    }

    /// Remembers `text` under `name`; empty forgets it.
    pub fn remember(&mut self, memo: Memo, name: &str, text: &str) {
        let key = (memo, name.to_owned());
        if text.is_empty() {
            self.memos.remove(&key);
        } else {
            self.memos.insert(key, text.to_owned());
        }
    }

    /// Everything remembered of a kind, by name.
    pub fn remembered(&self, memo: Memo) -> impl Iterator<Item = (&str, &str)> {
        self.memos
            .iter()
            .filter(move |((kind, _), _)| *kind == memo)
            .map(|((_, name), text)| (name.as_str(), text.as_str()))
    }

    /// What happened since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }
}

fn cost(entry: &Entry) -> u64 {
    u64::try_from(entry.payload.len() + entry.meter.len()).unwrap_or(u64::MAX - OVERHEAD_BYTES) + OVERHEAD_BYTES
}
