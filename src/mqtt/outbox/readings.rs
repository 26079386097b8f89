//! Where the readings stand: the cursor, what is on the way above it, what was refused.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Next;
use super::doubt::Doubt;

/// Readings among them, at most.
pub(super) const READINGS: usize = 48;
/// Pause before a refused reading is tried again.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(2);
/// Tries of a reading before it is set aside.
pub(super) const TRIES: u32 = 3;

#[derive(Debug)]
pub(super) struct Readings {
    /// Everything up to here is acknowledged or set aside.
    pub(super) cursor: u64,
    /// The last one handed out on this connection.
    pub(super) sent: u64,
    /// Handed out and above the cursor: whether it is done with.
    pub(super) flight: BTreeMap<u64, bool>,
    pub(super) tries: HashMap<u64, u32>,
    pub(super) again: VecDeque<u64>,
    pub(super) hold_until: Option<Instant>,
    pub(super) doubt: Doubt,
}

impl Readings {
    pub(super) fn new(cursor: u64) -> Self {
        Self {
            cursor,
            sent: cursor,
            flight: BTreeMap::new(),
            tries: HashMap::new(),
            again: VecDeque::new(),
            hold_until: None,
            doubt: Doubt::default(),
        }
    }

    pub(super) fn restart(&mut self) {
        self.flight.clear();
        self.again.clear();
        self.hold_until = None;
        self.sent = self.cursor;
    }

    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.hold_until.is_some_and(|until| now < until) {
            return Next::Wait;
        }
        self.hold_until = None;
        if let Some(seq) = self.again.pop_front() {
            return Next::ReadingAgain(seq);
        }
        let most = if self.doubt.is_strong() { 1 } else { READINGS };
        if self.flight.values().filter(|done| !**done).count() >= most {
            return Next::Wait;
        }
        Next::ReadingAfter(self.sent)
    }

    pub(super) fn handed_out(&mut self, seq: u64) {
        self.sent = self.sent.max(seq);
        self.flight.insert(seq, false);
    }

    /// Done with `seq`: the cursor moves over everything done without a gap.
    pub(super) fn settle(&mut self, seq: u64) -> Option<u64> {
        self.tries.remove(&seq);
        *self.flight.get_mut(&seq)? = true;
        let before = self.cursor;
        while let Some(first) = self.flight.first_entry().filter(|entry| *entry.get()) {
            self.cursor = first.remove_entry().0;
        }
        (self.cursor > before).then_some(self.cursor)
    }

    /// Done with the first reading above the cursor, while nothing is on the way.
    pub(super) fn settle_unsent(&mut self, seq: u64) -> Option<u64> {
        self.handed_out(seq);
        self.settle(seq)
    }

    pub(super) fn is_last_try(&mut self, seq: u64) -> bool {
        let tries = self.tries.entry(seq).or_insert(0);
        *tries += 1;
        *tries >= TRIES
    }

    pub(super) fn try_again(&mut self, seq: u64, now: Instant) {
        self.again.push_back(seq);
        self.hold_until = Some(now + TRY_AGAIN);
    }
}
