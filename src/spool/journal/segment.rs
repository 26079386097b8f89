//! One file of readings, as it is known without reading it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::disk::Lines;
use super::super::numbers::HIGHEST;
use super::super::{Entry, Notice};
use super::Held;

const PREFIX: &str = "readings-";
const SUFFIX: &str = ".log";
/// Of a line beside its texts, roughly: the sum, two numbers, spaces.
const LINE_BYTES: usize = 20;
/// The shortest line that can be: the sum, two numbers and a name of one character each, spaces, a line feed.
const SHORTEST_LINE: u64 = 16;

/// One file: the numbers `first..=last`, without a gap unless it is damaged.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// In its name.
    pub(super) first: u64,
    /// In its name, unless it is zero: another file had this name.
    pub(super) copy: u32,
    pub(super) last: u64,
    pub(super) bytes: u64,
    /// At the start its end was missing: perhaps it went further.
    pub(super) torn: bool,
    /// It is damaged: what is left of it.
    damage: Option<Damage>,
}

#[derive(Clone, Debug)]
struct Damage {
    numbers: BTreeSet<u64>,
    /// Pieces that are not good lines.
    bad: u64,
}

impl Segment {
    pub(super) fn new(first: u64, copy: u32) -> Self {
        Self { first, copy, last: first - 1, bytes: 0, torn: false, damage: None }
    }

    pub(super) fn name(&self) -> String {
        let Self { first, copy, .. } = self;
        let copy = if *copy == 0 { String::new() } else { format!("-{copy}") };
        format!("{PREFIX}{first:020}{copy}{SUFFIX}")
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let numbers = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (first, copy) = numbers.split_once('-').unwrap_or((numbers, "0"));
        let first = first.parse().ok().filter(|first| (1..=HIGHEST).contains(first))?;
        let segment = Self::new(first, copy.parse().ok()?);
        // only our own spelling leads back to this file
        (segment.name() == name).then_some(segment)
    }

    /// What the lines hold of its numbers, up to `most`, in rising order; the highest cursor; pieces that
    /// are not what was written.
    pub(super) fn entries(&self, lines: &Lines, most: u64) -> (Vec<Entry>, u64, u64) {
        let (mut entries, mut cursor, mut bad) = (Vec::<Entry>::new(), 0, lines.bad);
        for text in &lines.texts {
            let Some((entry, line_cursor)) = entry_of(text).filter(|(entry, _)| self.may_hold(entry.seq)) else {
                bad += 1;
                continue;
            };
            if entry.seq > most {
                continue;
            }
            bad += u64::from(entries.last().is_some_and(|last| last.seq >= entry.seq));
            cursor = cursor.max(line_cursor);
            entries.push(entry);
        }
        entries.sort_by_key(|entry| entry.seq);
        entries.dedup_by_key(|entry| entry.seq);
        (entries, cursor, bad)
    }

    /// Numbers have no gap, so one that stands so high in so few bytes was not written here. All numbers up
    /// to the highest are gone through.
    fn may_hold(&self, seq: u64) -> bool {
        seq.checked_sub(self.first).is_some_and(|above| above <= self.bytes / SHORTEST_LINE)
    }

    /// What a start found in it. Where its end is missing, as many readings as would have had room.
    pub(super) fn found(&mut self, entries: &[Entry], bad: u64, torn: bool) {
        self.last = entries.last().map_or(self.first - 1, |entry| entry.seq);
        self.torn = torn;
        if torn {
            let good: u64 = entries.iter().map(line_bytes).sum();
            let average = good.checked_div(u64::try_from(entries.len()).unwrap_or(u64::MAX)).unwrap_or(u64::MAX);
            self.last += (self.bytes.saturating_sub(good) / average).max(1);
        }
        if bad > 0 || self.numbers().len() != entries.len() {
            self.damage(entries, bad);
        }
    }

    /// The next file begins with this number: a missing end went no further. What is held is not a guess.
    pub(super) fn guess_end(&mut self, next: u64) {
        let held = self.damage.as_ref().and_then(|damage| damage.numbers.last());
        if self.torn {
            let most = self.first + self.bytes / SHORTEST_LINE;
            self.last = held.map_or(most.min(next - 1), |held| self.last.min(next - 1).max(*held));
        }
    }

    /// It holds these alone.
    pub(super) fn damage(&mut self, entries: &[Entry], bad: u64) {
        self.damage = Some(Damage { numbers: entries.iter().map(|entry| entry.seq).collect(), bad });
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// Something in it was not understood.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.is_damaged() && self.bytes > 0
    }

    /// Readings from `first` on stand elsewhere.
    pub(super) fn end_before(&mut self, first: u64) {
        self.last = self.last.min(first - 1);
        if let Some(damage) = &mut self.damage {
            damage.numbers.split_off(&first);
        }
    }

    /// Readings that are here alone, and wait.
    pub(super) fn count(&self, held: Held) -> u64 {
        let (from, to) = (self.first.max(held.cursor + 1), self.last.min(held.in_memory - 1));
        match &self.damage {
            _ if to < from => 0,
            Some(damage) => u64::try_from(damage.numbers.range(from..=to).count()).unwrap_or(u64::MAX),
            None => to - from + 1,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.damage.as_ref().map_or(self.last < self.first, |damage| damage.numbers.is_empty())
    }

    /// The numbers in it.
    pub(super) fn numbers(&self) -> Vec<u64> {
        match &self.damage {
            Some(damage) => damage.numbers.iter().copied().collect(),
            None => (self.first..=self.last).collect(),
        }
    }

    pub(super) fn damaged_notice(&self, file: PathBuf) -> Option<Notice> {
        let Damage { numbers, bad } = self.damage.as_ref().filter(|_| self.bytes > 0)?;
        Some(Notice::Damaged { file, kept: u64::try_from(numbers.len()).unwrap_or(u64::MAX), bad: *bad })
    }

    /// Those of `numbers` that were to be delivered and are not there.
    pub(super) fn lost(&self, numbers: impl IntoIterator<Item = u64>, held: Held) -> Option<Notice> {
        let damage = self.damage.as_ref()?;
        let is_lost = |seq: &u64| *seq > held.cursor && *seq < held.in_memory && !damage.numbers.contains(seq);
        let mut lost = numbers.into_iter().filter(is_lost);
        let from = lost.next()?;
        let (count, to) = lost.fold((1, from), |(count, _), seq| (count + 1, seq));
        Some(Notice::Lost { count, from, to })
    }
}

fn line_bytes(entry: &Entry) -> u64 {
    u64::try_from(entry.payload.len() + entry.meter.len() + LINE_BYTES).unwrap_or(u64::MAX)
}

/// The text of a reading's line.
pub(super) fn text_of(entry: &Entry, cursor: u64) -> String {
    format!("{} {cursor} {} {}", entry.seq, entry.meter, entry.payload)
}

fn entry_of(text: &str) -> Option<(Entry, u64)> {
    let mut words = text.splitn(4, ' ');
    let (seq, cursor): (u64, u64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (meter, payload) = (words.next()?.to_owned(), words.next()?.to_owned());
    // the cursor of a reading is below it, whatever a line says
    let cursor = if cursor < seq { cursor } else { 0 };
    (seq <= HIGHEST).then_some((Entry { seq, meter, payload }, cursor))
}
