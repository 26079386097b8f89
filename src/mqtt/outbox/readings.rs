//! Where the readings stand: the cursor, what is on the way above it, what the broker does not take now.
//!
//! Of each topic one reading is on the way at a time, so that a meter's readings arrive in order, whatever
//! is refused. A reading of a blocked topic keeps its place: it and all later ones of its topic are held,
//! those of others go on. The cursor stays below the oldest one held.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Readings on the way, at most.
pub(super) const READINGS: usize = 48;
/// So many numbers may lie between the cursor and the newest reading that was looked at. Then what is held
/// below is set aside: after a crash so many are sent twice.
pub(super) const REACH: u64 = 50_000;

#[derive(Debug)]
pub(super) struct Readings {
    /// Everything up to here is acknowledged or set aside.
    cursor: u64,
    /// Everything up to here was looked at.
    seen: u64,
    /// On the way, with their topics.
    flight: BTreeMap<u64, String>,
    /// By topic: numbers of those that must wait, in order.
    held: BTreeMap<String, VecDeque<u64>>,
    /// The newest one looked at, where another one of its topic is still on the way.
    next: Option<Waiting>,
    /// Done with, above the cursor.
    done: BTreeSet<u64>,
    /// How many may be on the way: the broker may have a limit.
    window: usize,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) seq: u64,
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

/// What is next.
#[derive(Debug)]
pub(super) enum Step {
    Wait,
    /// Look at the first one after this.
    After(u64),
    /// This one, which was looked at before.
    Again(u64),
    Send(Waiting),
}

impl Readings {
    pub(super) fn new(cursor: u64) -> Self {
        Self {
            cursor,
            seen: cursor,
            flight: BTreeMap::new(),
            held: BTreeMap::new(),
            next: None,
            done: BTreeSet::new(),
            window: READINGS,
        }
    }

    /// Nothing is on the way any more.
    pub(super) fn restart(&mut self) {
        for (seq, topic) in std::mem::take(&mut self.flight).into_iter().rev() {
            self.held.entry(topic).or_default().push_front(seq);
        }
        if let Some(Waiting { seq, topic, .. }) = self.next.take() {
            self.held.entry(topic).or_default().push_back(seq);
        }
        self.window = READINGS;
    }

    pub(super) fn next(&mut self, may_go: impl Fn(&str) -> bool) -> Step {
        if self.flight.len() >= self.window {
            return Step::Wait;
        }
        let free = |topic: &str| may_go(topic) && !self.flight.values().any(|other| other == topic);
        let held = self.held.iter().filter(|(topic, _)| free(topic)).filter_map(|(_, seqs)| seqs.front());
        if let Some(seq) = held.min() {
            return Step::Again(*seq);
        }
        match self.next.take_if(|waiting| free(&waiting.topic)) {
            Some(waiting) => Step::Send(waiting),
            None if self.next.is_some() => Step::Wait,
            None => Step::After(self.seen),
        }
    }

    /// A reading that [`next`](Self::next) asked for; returned where it is on the way now.
    pub(super) fn offered(&mut self, waiting: Waiting, may_go: bool) -> Option<Waiting> {
        let Waiting { seq, topic, .. } = &waiting;
        let is_fresh = *seq > self.seen;
        self.seen = self.seen.max(*seq);
        if is_fresh && (!may_go || self.held.contains_key(topic)) {
            self.held.entry(topic.clone()).or_default().push_back(*seq);
            return None;
        }
        if self.flight.values().any(|other| other == topic) {
            self.next = Some(waiting);
            return None;
        }
        self.unhold(*seq);
        self.flight.insert(*seq, topic.clone());
        Some(waiting)
    }

    fn unhold(&mut self, seq: u64) {
        self.held.retain(|_, seqs| {
            if seqs.front() == Some(&seq) {
                seqs.pop_front();
            }
            !seqs.is_empty()
        });
    }

    /// It did not arrive, and keeps its place. The broker may have got too many at a time.
    pub(super) fn back(&mut self, seq: u64) {
        self.window = 1;
        let Some(topic) = self.flight.remove(&seq) else { return };
        if let Some(waiting) = self.next.take_if(|waiting| waiting.topic == topic) {
            self.held.entry(topic.clone()).or_default().push_back(waiting.seq);
        }
        self.held.entry(topic).or_default().push_front(seq);
    }

    /// Done with `seq`, which the store may have lost: the new cursor, where it moved.
    pub(super) fn settle(&mut self, seq: u64) -> Option<u64> {
        self.unhold(seq);
        self.flight.remove(&seq);
        if seq > self.cursor {
            self.done.insert(seq);
        }
        self.advance()
    }

    /// The broker has it; `None` where it is not waited for.
    pub(super) fn acked(&mut self, seq: u64) -> Option<Option<u64>> {
        self.window = (self.window + 1).min(READINGS);
        self.is_on_the_way(seq).then(|| self.settle(seq))
    }

    /// Whether its answer is still waited for: the store may have lost it meanwhile, and it was counted so.
    pub(super) fn is_on_the_way(&self, seq: u64) -> bool {
        self.flight.contains_key(&seq)
    }

    /// The store has lost these: how many of them were done with, and the cursor, where it moved.
    pub(super) fn lost(&mut self, is_lost: impl Fn(u64) -> bool) -> (u64, Option<u64>) {
        self.flight.retain(|seq, _| !is_lost(*seq));
        self.held.retain(|_, seqs| {
            seqs.retain(|seq| !is_lost(*seq));
            !seqs.is_empty()
        });
        self.next.take_if(|waiting| is_lost(waiting.seq));
        let before = self.done.len();
        self.done.retain(|seq| !is_lost(*seq));
        let done = u64::try_from(before - self.done.len()).unwrap_or(u64::MAX);
        (done, self.advance())
    }

    fn advance(&mut self) -> Option<u64> {
        let held = self.held.values().filter_map(|seqs| seqs.front());
        let waiting = self.next.iter().map(|waiting| &waiting.seq);
        let open = self.flight.keys().next().into_iter().chain(held).chain(waiting).min();
        let cursor = open.map_or(self.seen, |seq| seq - 1);
        if cursor <= self.cursor {
            return None;
        }
        self.cursor = cursor;
        self.done = self.done.split_off(&(cursor + 1));
        Some(cursor)
    }

    /// Whether what is held must be set aside.
    pub(super) fn is_at_its_reach(&self) -> bool {
        self.seen - self.cursor > REACH
    }

    /// How many above the cursor are done with.
    pub(super) fn done_above_the_cursor(&self) -> u64 {
        u64::try_from(self.done.len()).unwrap_or(u64::MAX)
    }
}
