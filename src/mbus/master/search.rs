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
//! The tree (EN 13757-3 clause 11.5): a mask that several meters match is divided by its next digit.
//! Where all eight digits are equal, the device type, the version and the manufacturer divide it, and
//! where these are equal too, the digits of the fabrication number (clause 11.4), of meters that have one.
//! Digits A to E are tried only where 0 to 9 do not explain who answered.
//!
//! Not here: the probe itself (`probe`).

use std::time::{Duration, Instant};

use crate::mbus::address::{Manufacturer, MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::maker;
use crate::mbus::master::conversation::{Conversation, LineTiming, Step};
use crate::mbus::master::probe::{Probe, Probed, Sight};

/// Bytes of a selection frame.
const SELECTION_LEN: usize = 17;
/// Device types that EN 13757-7 table 13 gives a meaning.
const DEVICE_TYPES: u16 = 0x40;

/// No meter's fabrication number. One that is selected by it does not look at that part of a selection.
const NO_FABRICATION_NUMBER: u32 = 0xEEEE_EEEE;
/// Any fabrication number.
const ANY_FABRICATION_NUMBER: u32 = 0xFFFF_FFFF;

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

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Probes done.
    pub done: u32,
    /// Probes that are left for certain; each collision adds more.
    pub left: u32,
}

impl Progress {
    /// How long the probes that are left take if no meter answers.
    #[must_use]
    pub fn time_left(self, timing: LineTiming) -> Duration {
        let probe = timing.baud.characters(SELECTION_LEN + 2) + timing.response_timeout + timing.latency;
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
    /// Makers of the meters found.
    manufacturers: Vec<Manufacturer>,
}

#[derive(Clone, Debug)]
enum Kind {
    Primary {
        next: u8,
        last: u8,
    },
    /// Masks still to be tried whole, and the branches being divided, innermost last.
    Secondary {
        masks: Vec<SecondaryAddress>,
        branches: Vec<Branch>,
    },
}

/// A mask that several meters match, divided by one of its fields.
#[derive(Clone, Debug)]
struct Branch {
    mask: SecondaryAddress,
    fabrication_number: Option<u32>,
    field: Field,
    next: u16,
    /// Children that are one meter, and children that are several.
    single: u32,
    several: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// A digit of the identification number; 0 is the first.
    Digit(u32),
    Medium,
    Version,
    Manufacturer,
    /// A digit of the fabrication number; before the first one, a number that no meter has.
    Fabrication(u32),
}

impl Search {
    /// All primary addresses from `first` to `last`. `timing.retries` is how often silence is not believed.
    #[must_use]
    pub fn primary(first: PrimaryAddress, last: PrimaryAddress, timing: LineTiming) -> Self {
        Self::new(Kind::Primary { next: first.get(), last: last.get() }, timing)
    }

    /// Every meter that one of `masks` matches; without masks, every meter.
    #[must_use]
    pub fn secondary(masks: Vec<SecondaryAddress>, timing: LineTiming) -> Self {
        let masks = if masks.is_empty() { vec![SecondaryAddress::ANY] } else { masks };
        Self::new(Kind::Secondary { masks, branches: Vec::new() }, timing)
    }

    fn new(kind: Kind, timing: LineTiming) -> Self {
        Self { kind, timing, probe: None, done: 0, manufacturers: Vec::new() }
    }

    /// Whether nothing is left to try.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.probe.is_none() && self.next_probe().is_none()
    }

    /// The next probe; `None` at the end.
    fn next_probe(&self) -> Option<Probe> {
        let timing = self.timing;
        let (masks, branches) = match &self.kind {
            Kind::Primary { next, last } if *next > *last => return None,
            Kind::Primary { next, .. } => {
                let probe = Probe::new(MeterAddress::Primary(PrimaryAddress::new(*next)?), timing);
                return Some(if self.done == 0 { probe.after_waking_all() } else { probe });
            }
            Kind::Secondary { masks, branches } => (masks, branches),
        };
        let (mask, fabrication_number) = match branches.last() {
            Some(branch) => branch.child(&self.manufacturers)?,
            None => (*masks.last()?, None),
        };
        let probe = Probe::new(MeterAddress::Secondary(mask), timing);
        Some(match fabrication_number {
            Some(number) => probe.with_fabrication_number(number),
            None => probe,
        })
    }

    /// What the probe has found.
    fn take(&mut self, probed: Probed) -> Vec<Found> {
        self.done += 1;
        let maker = probed.sight.identity().map(SecondaryAddress::manufacturer);
        self.manufacturers.extend(maker.filter(|maker| !self.manufacturers.contains(maker)));
        let (masks, branches) = match &mut self.kind {
            Kind::Primary { next, .. } => {
                *next = next.saturating_add(1);
                return report(probed).into_iter().collect();
            }
            Kind::Secondary { masks, branches } => (masks, branches),
        };
        match branches.last_mut() {
            Some(branch) => branch.count(&probed.sight),
            None => masks.truncate(masks.len().saturating_sub(1)),
        }
        let real = probed.fabrication_number != Some(NO_FABRICATION_NUMBER);
        let divided = match probed.target {
            MeterAddress::Secondary(mask) if real && probed.sight == Sight::Several => {
                Branch::of(mask, probed.fabrication_number)
            }
            _ => None,
        };
        let mut findings = Vec::new();
        match divided {
            Some(branch) => branches.push(branch),
            None if real => findings.extend(report(probed)),
            None => {}
        }
        while branches.last().is_some_and(|branch| branch.child(&self.manufacturers).is_none()) {
            let Some(branch) = branches.pop() else { break };
            // Several answered, and the values tried do not show them all.
            let unexplained = branch.several == 0 && branch.single < 2 && !matches!(branch.field, Field::Digit(_));
            findings.extend(unexplained.then_some(Found::Collision(MeterAddress::Secondary(branch.mask))));
        }
        findings
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let left = match &self.kind {
            Kind::Primary { next, last } => u32::from(last.saturating_add(1).saturating_sub(*next)),
            Kind::Secondary { masks, branches } => {
                let whole = u32::try_from(masks.len()).unwrap_or(u32::MAX);
                whole + branches.iter().map(|branch| branch.left(&self.manufacturers)).sum::<u32>()
            }
        };
        Progress { done: self.done, left }
    }
}

impl Search {
    /// The masks that another search must be given to do what is left of this one; none for primary addresses.
    #[must_use]
    pub fn masks_left(&self) -> Vec<SecondaryAddress> {
        let Kind::Secondary { masks, branches } = &self.kind else { return Vec::new() };
        let mut left = masks.clone();
        // what is tried first stands last
        for branch in branches {
            if matches!(branch.field, Field::Fabrication(_)) {
                left.push(branch.mask);
                continue;
            }
            let rest = (branch.next..branch.values(&self.manufacturers)).rev();
            let child = |next| Branch { next, ..branch.clone() }.child(&self.manufacturers);
            left.extend(rest.filter_map(child).map(|(mask, _)| mask));
        }
        left
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

fn report(probed: Probed) -> Option<Found> {
    let identity = probed.sight.identity();
    let address = match (probed.target, identity) {
        (MeterAddress::Secondary(_), Some(identity)) => MeterAddress::Secondary(identity),
        (target, _) => target,
    };
    match probed.sight {
        Sight::None => None,
        Sight::One(frame) => {
            Some(Found::Meter { address, identity, fabrication_number: probed.fabrication_number, frame })
        }
        Sight::Several => Some(Found::Collision(address)),
    }
}

/// Eight digits of which one is exchanged; 0 is the first.
fn with_digit(digits: u32, index: u32, value: u16) -> u32 {
    let shift = 28 - 4 * index;
    (digits & !(0xF << shift)) | (u32::from(value & 0xF) << shift)
}

/// The makers that a selection tries where meters share identification number, type and version: those
/// found on the segment, then the common ones. The field has no wildcard for a part of it.
fn makers(found: &[Manufacturer]) -> impl Iterator<Item = Manufacturer> {
    found.iter().copied().chain(maker::codes().filter(|maker| !found.contains(maker)))
}

impl Branch {
    /// Divides `mask` by its first field that is a wildcard; `None`: there is none left.
    fn of(mask: SecondaryAddress, fabrication_number: Option<u32>) -> Option<Self> {
        let any_digit = |of: u32| (0..8).find(|digit| (of >> (28 - 4 * digit)) & 0xF == 0xF);
        let digit = any_digit(mask.id()).map(Field::Digit);
        let medium = (mask.medium() == 0xFF).then_some(Field::Medium);
        let version = (mask.version() == 0xFF).then_some(Field::Version);
        let manufacturer = (mask.manufacturer().0 == 0xFFFF).then_some(Field::Manufacturer);
        let fabrication = any_digit(fabrication_number.unwrap_or(ANY_FABRICATION_NUMBER)).map(Field::Fabrication);
        let field = digit.or(medium).or(version).or(manufacturer).or(fabrication)?;
        Some(Self { mask, fabrication_number, field, next: 0, single: 0, several: 0 })
    }

    /// How many values its field is tried with.
    fn values(&self, manufacturers: &[Manufacturer]) -> u16 {
        match self.field {
            // Several answered: one child that is several explains it, or two children.
            Field::Digit(_) if self.several > 0 || self.single > 1 => 10,
            Field::Digit(_) if self.next < 10 => 10,
            Field::Digit(_) => 15,
            Field::Medium => DEVICE_TYPES,
            Field::Fabrication(0) => 11,
            Field::Fabrication(_) => 10,
            Field::Version => 0xFF,
            Field::Manufacturer => u16::try_from(makers(manufacturers).count()).unwrap_or(u16::MAX),
        }
    }

    fn left(&self, manufacturers: &[Manufacturer]) -> u32 {
        u32::from(self.values(manufacturers).saturating_sub(self.next))
    }

    /// The mask to try next; `None`: the branch is done.
    fn child(&self, manufacturers: &[Manufacturer]) -> Option<(SecondaryAddress, Option<u32>)> {
        if self.next >= self.values(manufacturers) {
            return None;
        }
        let [a, b, c, d, mut m, mut n, mut version, mut medium] = self.mask.to_wire();
        let mut id = u32::from_le_bytes([a, b, c, d]);
        let [value, _] = self.next.to_le_bytes();
        match self.field {
            Field::Digit(digit) => id = with_digit(id, digit, self.next),
            Field::Fabrication(0) if self.next == 0 => return Some((self.mask, Some(NO_FABRICATION_NUMBER))),
            Field::Fabrication(digit) => {
                let number = self.fabrication_number.unwrap_or(ANY_FABRICATION_NUMBER);
                let value = if digit == 0 { self.next - 1 } else { self.next };
                return Some((self.mask, Some(with_digit(number, digit, value))));
            }
            Field::Medium => medium = value,
            Field::Version => version = value,
            Field::Manufacturer => {
                [m, n] = makers(manufacturers).nth(usize::from(self.next))?.0.to_le_bytes();
            }
        }
        let [a, b, c, d] = id.to_le_bytes();
        Some((SecondaryAddress::from_wire([a, b, c, d, m, n, version, medium]), None))
    }

    fn count(&mut self, sight: &Sight) {
        if self.field == Field::Fabrication(0) && self.next == 0 && *sight != Sight::None {
            // They do not look at the number, so no number tells them apart.
            self.next = 11;
            return;
        }
        self.next += 1;
        match sight {
            Sight::None => {}
            Sight::One(_) => self.single += 1,
            Sight::Several => self.several += 1,
        }
    }
}
