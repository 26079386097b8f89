//! Finds the meters of a segment: address by address, or down the tree of identification numbers.
//!
//! A search is a conversation that is over after each [`Probe`] with what that one found, so that
//! scheduled readouts go on in between; it is taken up again until nothing is left to try:
//!
//! ```
//! use mbushat::mbus::master::conversation::LineTiming;
//! use mbushat::mbus::master::search::Search;
//! use mbushat::mbus::link::timing::Baud;
//! use mbushat::sim::{known::ats, plan::SegmentPlan, segment::Segment};
//! use std::time::Instant;
//!
//! let mut now = Instant::now();
//! let address = mbushat::mbus::address::PrimaryAddress::new(48).ok_or("0 to 250")?;
//! let mut segment = Segment::new(SegmentPlan::new(vec![ats(address)]), now);
//! let mut search = Search::secondary(Vec::new(), LineTiming::new(Baud::DEFAULT));
//! let mut found = Vec::new();
//! while !search.is_over() {
//!     found.extend(segment.converse(&mut search, &mut now)); // a driver of a real line goes here
//! }
//! assert_eq!(found.len(), 1);
//! # Ok::<(), &str>(())
//! ```
//!
//! Not here: the probe itself (`probe`), in which order addresses (`addresses`) and masks (`tree`) are tried.

mod addresses;
mod branch;
mod tree;

use std::time::{Duration, Instant};

use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::master::conversation::{Conversation, LineTiming, Step};
use crate::mbus::master::exchange::LATEST_ANSWER;
use crate::mbus::master::probe::{Probe, Probed, Sight};
use addresses::Addresses;
use tree::Tree;

/// Bytes of a selection frame.
const SELECTION_LEN: usize = 17;
/// So many probes in a row that the line never falls silent for: then it never will.
const NEVER_QUIET: u8 = 3;

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A meter.
    Meter {
        /// Where it answers; a secondary address without wildcards, where it gave one.
        address: MeterAddress,
        /// The identity in its telegram.
        identity: Option<SecondaryAddress>,
        /// The digits of its fabrication number, from the first on, that distinguish it from another meter with
        /// the very same identity; nibbles F for those that do not matter. `None`: there is no other.
        fabrication_number: Option<u32>,
        /// Its telegram; `None` where it acknowledges but gives no data.
        frame: Option<Vec<u8>>,
    },
    /// Several meters that cannot be told apart, or a line too noisy to tell. A secondary address
    /// without wildcards: several meters have it, a duplicate id.
    Collision(MeterAddress),
}

impl Found {
    /// Whether this is one of several meters that `earlier` takes for one: their telegrams added up to one of theirs
    /// until their fabrication numbers told them apart.
    #[must_use]
    pub fn was_hidden_by(&self, earlier: &Self) -> bool {
        match (earlier, self) {
            (
                Self::Meter { address: a, identity: x, fabrication_number: None, .. },
                Self::Meter { address: b, identity: y, fabrication_number: Some(_), .. },
            ) => a == b && x == y,
            _ => false,
        }
    }
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Probes done.
    pub done: u32,
    /// Probes that are left for certain; each collision adds more.
    pub left: u32,
    /// Whether each of them waits for the slowest meters.
    pub is_late: bool,
}

impl Progress {
    /// How long the probes that are left take if no meter answers.
    #[must_use]
    pub fn time_left(self, timing: LineTiming) -> Duration {
        let slowest = if self.is_late { LATEST_ANSWER } else { Duration::ZERO };
        let timeout = timing.response_timeout.max(slowest);
        let probe = timing.baud.characters(SELECTION_LEN + 2) + timeout + timing.latency;
        probe.saturating_mul(self.left)
    }
}

/// A search on its way.
#[derive(Clone, Debug)]
pub struct Search {
    kind: Kind,
    timing: LineTiming,
    /// The probe at work; between two of them there is none.
    probe: Option<Probe>,
    done: u32,
    /// Probes in a row for which the line never fell silent.
    noisy: u8,
}

#[derive(Clone, Debug)]
enum Kind {
    Primary(Addresses),
    Secondary(Box<Tree>),
}

impl Search {
    /// All primary addresses from `first` to `last`. `timing.retries` is how often silence is not believed.
    #[must_use]
    pub fn primary(first: PrimaryAddress, last: PrimaryAddress, timing: LineTiming) -> Self {
        Self::new(Kind::Primary(Addresses::new(first, last)), timing)
    }

    /// Every meter that one of `masks` matches; without masks, every meter.
    #[must_use]
    pub fn secondary(masks: Vec<SecondaryAddress>, timing: LineTiming) -> Self {
        let masks = if masks.is_empty() { vec![SecondaryAddress::ANY] } else { masks };
        Self::new(Kind::Secondary(Box::new(Tree::new(masks))), timing)
    }

    fn new(kind: Kind, timing: LineTiming) -> Self {
        Self { kind, timing, probe: None, done: 0, noisy: 0 }
    }

    /// Whether nothing is left to try, or nothing can be tried.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.noisy >= NEVER_QUIET || (self.probe.is_none() && self.next_probe().is_none())
    }

    /// Whether the line did not fall silent to the end, so that meters were passed over.
    #[must_use]
    pub fn was_never_quiet(&self) -> bool {
        self.noisy > 0
    }

    /// The next probe; `None` at the end. Some meters give no data before they were reset, which costs
    /// nothing to do for all at once.
    fn next_probe(&self) -> Option<Probe> {
        match &self.kind {
            Kind::Primary(addresses) => {
                let probe = addresses.next_probe(self.timing)?;
                Some(if self.done == 0 { probe.after_waking_all() } else { probe })
            }
            Kind::Secondary(tree) => tree.next_probe(self.timing),
        }
    }

    /// What the probe has found.
    fn take(&mut self, probed: Probed) -> Vec<Found> {
        self.done += 1;
        self.noisy = if probed.sight == Sight::Noise { self.noisy.saturating_add(1) } else { 0 };
        match &mut self.kind {
            Kind::Primary(addresses) => addresses.take(probed),
            Kind::Secondary(tree) => tree.take(probed),
        }
    }

    /// The masks that another search must be given to do what is left of this one, the next one last; none for
    /// primary addresses.
    #[must_use]
    pub fn masks_left(&self) -> Vec<SecondaryAddress> {
        match &self.kind {
            Kind::Primary(_) => Vec::new(),
            Kind::Secondary(tree) => tree.masks_left(),
        }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let (left, is_late) = match &self.kind {
            Kind::Primary(addresses) => (addresses.left(), false),
            Kind::Secondary(tree) => (tree.left(), tree.is_late()),
        };
        Progress { done: self.done, left, is_late }
    }
}

impl Conversation for Search {
    /// What the probe found; more than one where it was the last that could tell several meters apart.
    type Outcome = Vec<Found>;

    fn poll(&mut self, now: Instant) -> Step<Vec<Found>> {
        if self.probe.is_none() {
            self.probe = self.next_probe();
        }
        let Some(probe) = &mut self.probe else { return Step::Done(Vec::new()) };
        match probe.poll(now) {
            Step::Transmit(bytes) => Step::Transmit(bytes),
            Step::WaitUntil(until) => Step::WaitUntil(until),
            Step::SetBaud(baud) => Step::SetBaud(baud),
            Step::Done(probed) => {
                self.probe = None;
                Step::Done(self.take(probed))
            }
        }
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        if let Some(probe) = &mut self.probe {
            probe.receive(bytes, now);
        }
    }

    fn receive_damaged(&mut self, now: Instant) {
        if let Some(probe) = &mut self.probe {
            probe.receive_damaged(now);
        }
    }
}

/// What there is to say of a probe.
fn report(probed: Probed) -> Option<Found> {
    let identity = probed.sight.identity();
    let address = match (probed.target, identity) {
        (MeterAddress::Secondary(_), Some(identity)) => MeterAddress::Secondary(identity),
        (target, _) => target,
    };
    match probed.sight {
        Sight::None | Sight::Noise => None,
        Sight::One(frame) => {
            Some(Found::Meter { address, identity, fabrication_number: probed.fabrication_number, frame })
        }
        Sight::Several => Some(Found::Collision(address)),
    }
}
