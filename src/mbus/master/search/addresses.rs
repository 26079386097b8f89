//! A search by primary address: one after the other, and once more where an answer came late.
//!
//! A late answer falls into the wait of a later address, says whose it is, and is lost. Its address is
//! asked again with more time; the others need not wait longer for it.

use crate::mbus::address::{MeterAddress, PrimaryAddress};
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::exchange::LATEST_ANSWER;
use crate::mbus::master::probe::{Probe, Probed, Sight};
use crate::mbus::master::reply::address_of;
use crate::mbus::master::search::{Found, report};

/// So many bytes of noise may hide a late answer that another one ran into.
const HIDES_AN_ANSWER: u64 = 20;

/// The addresses that are left to try.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    next: u8,
    last: u8,
    /// Silent in their time, and to be asked once more.
    late: Vec<PrimaryAddress>,
    /// Whether the address before the next one was silent.
    silent: bool,
}

impl Addresses {
    pub(super) fn new(first: PrimaryAddress, last: PrimaryAddress) -> Self {
        Self { next: first.get(), last: last.get(), late: Vec::new(), silent: false }
    }

    /// The next probe; `None` at the end.
    pub(super) fn next_probe(&self, timing: LineTiming) -> Option<Probe> {
        let patient = LineTiming { response_timeout: timing.response_timeout.max(LATEST_ANSWER), retries: 0, ..timing };
        if let Some(late) = self.late.last() {
            return Some(Probe::new(MeterAddress::Primary(*late), patient));
        }
        let address = PrimaryAddress::new(self.next).filter(|_| self.next <= self.last)?;
        // No probe follows the last one that would hear its late answer.
        let timing = if self.next == self.last { patient } else { timing };
        Some(Probe::new(MeterAddress::Primary(address), timing))
    }

    pub(super) fn take(&mut self, mut probed: Probed) -> Vec<Found> {
        if self.late.pop().is_none() {
            if self.is_late(&probed) {
                (probed.stray, probed.sight) = (self.before(), Sight::None);
            }
            self.note_late(&probed);
            self.silent = probed.sight == Sight::None;
            self.next = self.next.saturating_add(1);
        }
        report(probed).into_iter().collect()
    }

    fn before(&self) -> Option<PrimaryAddress> {
        self.next.checked_sub(1).and_then(PrimaryAddress::new)
    }

    /// Whether what answered is the meter before, which was asked so often that two of its answers came late.
    fn is_late(&self, probed: &Probed) -> bool {
        let Sight::One(Some(frame)) = &probed.sight else { return false };
        self.silent && self.before().is_some_and(|before| address_of(frame) == Some(before.get()))
    }

    /// Has an earlier address asked again that seems to have answered into this probe.
    fn note_late(&mut self, probed: &Probed) {
        let hidden = self.before().filter(|_| self.silent && probed.traffic.noise >= HIDES_AN_ANSWER);
        let stray = probed.stray.filter(|stray| stray.get() < self.next && self.silent);
        self.late.extend(stray.or(hidden));
    }

    pub(super) fn left(&self) -> u32 {
        let late = u32::try_from(self.late.len()).unwrap_or(u32::MAX);
        late + u32::from(self.last.saturating_add(1).saturating_sub(self.next))
    }
}
