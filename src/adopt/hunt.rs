//! Looks for the meters of one bus that nobody wrote down, one probe at a time, so that readings go on in between.
//!
//! The order: at the bus's own rate all secondary addresses, then all primary ones; then at each other rate that
//! the line can do the wildcard and address 254 alone, and the primary addresses only where these answer. A
//! meter counts once it has answered twice: noise that looks like a meter does so once.
//!
//! Not here: what a probe is (`mbus::master`), when one is due (`bus::task`), what a finding means (`findings`),
//! adopting (`task`).

mod check;
mod findings;
mod saved;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::find::Find;
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::link::timing::Baud;
use crate::mbus::master::conversation::{Conversation, LineTiming, Step};
use crate::mbus::master::search::{Found, Search};
use check::Check;
pub use saved::Saved;

/// Primary addresses of a bus.
const ADDRESSES: u32 = 251;

/// What is looked for at one rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Meters below these masks, the last first.
    Secondary(Vec<SecondaryAddress>),
    /// A meter alone, whatever its address.
    Only,
    /// Meters at the addresses from here on.
    Primary(u8),
}

impl Stage {
    /// What the search in it has left to do.
    fn left(&self, search: &Search) -> Self {
        match self {
            Self::Secondary(_) => Self::Secondary(search.masks_left()),
            Self::Only => Self::Only,
            Self::Primary(_) => {
                let next = ADDRESSES.saturating_sub(search.progress().left);
                Self::Primary(u8::try_from(next).unwrap_or(u8::MAX))
            }
        }
    }
}

/// What cannot be adopted, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Several meters answer there, or a line too noisy to tell.
    Collision(MeterAddress),
    /// Several meters have this very identity.
    SharedIdentity(SecondaryAddress),
    /// It acknowledges, and gives no data.
    NoData(MeterAddress),
    /// The line never falls silent, so nobody can be looked for.
    Noise,
}

/// How far a hunt is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it does; `None`: it is over.
    pub stage: Option<(Baud, Stage)>,
    /// Percent of the probes known so far.
    pub percent: u32,
    /// How long the rest takes if no more meters answer and nothing is read meanwhile.
    pub left: Duration,
    /// Meters found so far.
    pub found: usize,
}

/// A hunt on its way.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The rates, the bus's own first, with what must be known of the line at each.
    rates: Vec<LineTiming>,
    /// Rate and what is left of the stage, up to the last probe that the line was silent for; `None`: there is no
    /// more to look for.
    at: Option<(usize, Stage)>,
    /// Whether the line never fell silent for the last probes.
    noise: bool,
    /// Whether one that was not known answered at this rate.
    answered: bool,
    /// Whether one answered at this rate that was not a meter, and whether it was all looked for once more then.
    doubtful: bool,
    repeated: bool,
    search: Option<Search>,
    /// Whether its probe is on the wire.
    probing: bool,
    /// Probes done.
    done: u32,
    /// Who answered once.
    candidates: VecDeque<Find>,
    check: Option<Check>,
    /// Who answered twice.
    finds: Vec<Find>,
    troubles: Vec<Trouble>,
}

impl Hunt {
    /// One that goes on where `saved` ended. The first of `rates` is the bus's own.
    #[must_use]
    pub fn new(rates: Vec<LineTiming>, saved: &Saved) -> Self {
        let mut hunt = Self {
            at: saved.stage(&rates),
            rates,
            noise: false,
            answered: saved.answered,
            doubtful: saved.doubtful,
            repeated: saved.repeated,
            search: None,
            probing: false,
            done: saved.done,
            candidates: saved.candidates().collect(),
            check: None,
            finds: saved.finds(),
            troubles: saved.troubles(),
        };
        hunt.begin();
        hunt
    }

    /// Whether nothing is left to do, or can be done now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.search.is_none() && self.check.is_none() && self.candidates.is_empty()
    }

    /// Whether the line is too noisy to go on, so that it waits for [`go_on`](Self::go_on).
    #[must_use]
    pub const fn rests(&self) -> bool {
        self.search.is_none() && self.at.is_some()
    }

    /// Takes the stage up again that the noise has ended.
    pub fn go_on(&mut self) {
        self.begin();
    }

    /// The line cannot do the rate of the next step: nobody is looked for there.
    pub fn skip_rate(&mut self) {
        let Some(baud) = self.baud() else { return };
        self.check = self.check.take().filter(|check| check.find().baud != baud);
        self.candidates.retain(|find| find.baud != baud);
        if self.timing().is_some_and(|timing| timing.baud == baud) {
            self.next_rate();
            self.begin();
        }
    }

    /// The rate of the next step.
    #[must_use]
    pub fn baud(&self) -> Option<Baud> {
        let checked = self.check.as_ref().map(Check::find).or(self.candidates.front()).map(|find| find.baud);
        checked.or_else(|| self.timing().map(|timing| timing.baud))
    }

    /// The line was lost: what was on the wire is asked again, with what is to be known of the line now.
    pub fn again(&mut self, rates: Vec<LineTiming>) {
        *self = Self { noise: self.noise, ..Self::new(rates, &self.saved()) };
    }

    /// Takes what a scan found. It is looked at once more only where `twice`: who asked for the scan alone decides
    /// what becomes of it otherwise.
    pub fn consider(&mut self, found: &[Found], baud: Baud, twice: bool) {
        found.iter().for_each(|found| _ = self.take(found, baud));
        if !twice {
            self.finds.extend(self.candidates.drain(..));
        }
    }

    /// Who was found for certain.
    #[must_use]
    pub fn finds(&self) -> &[Find] {
        &self.finds
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let (mut probes, mut left) = (0, Duration::ZERO);
        let mut add = |timing: &LineTiming, count: u32| {
            probes += count;
            left += crate::mbus::master::search::Progress { done: 0, left: count, is_late: false }.time_left(*timing);
        };
        if let (Some((rate, stage)), Some(timing)) = (&self.at, self.timing()) {
            add(&timing, self.search.as_ref().map_or(0, |search| search.progress().left));
            let primary_follows = matches!(stage, Stage::Secondary(_) | Stage::Only) && (*rate == 0 || self.answered);
            add(&timing, if primary_follows { ADDRESSES } else { 0 });
            self.rates.iter().skip(rate + 1).for_each(|timing| add(timing, 2));
        }
        let percent = self.done.saturating_mul(100) / self.done.saturating_add(probes).max(1);
        let stage = self.at.clone().zip(self.timing()).map(|((_, stage), timing)| (timing.baud, stage));
        Progress { stage, percent, left, found: self.finds.len() }
    }

    /// What is to be kept of it.
    #[must_use]
    pub fn saved(&self) -> Saved {
        let at = self.at.clone().zip(self.timing()).map(|((_, stage), timing)| (timing.baud, stage));
        let candidates = self.check.as_ref().map(Check::find).into_iter().chain(&self.candidates);
        let mut saved = Saved::at(at, self.answered, self.done);
        (saved.doubtful, saved.repeated) = (self.doubtful, self.repeated);
        saved.with_meters(candidates, &self.finds, &self.troubles)
    }

    fn timing(&self) -> Option<LineTiming> {
        self.at.as_ref().and_then(|(rate, _)| self.rates.get(*rate)).copied()
    }

    /// Begins with the stage that it is at, or with the next that has something to do.
    fn begin(&mut self) {
        self.search = None;
        while let (Some((_, stage)), Some(timing)) = (&self.at, self.timing()) {
            let search = match stage {
                Stage::Secondary(masks) if masks.is_empty() => None,
                Stage::Secondary(masks) => Some(Search::secondary(masks.clone(), timing)),
                Stage::Only => Some(Search::primary(PrimaryAddress::ONLY, PrimaryAddress::ONLY, timing)),
                Stage::Primary(next) => PrimaryAddress::new(*next)
                    .zip(PrimaryAddress::new(250))
                    .map(|(first, last)| Search::primary(first, last, timing)),
            };
            if search.is_some() {
                self.search = search;
                return;
            }
            self.move_on();
        }
        self.at = None;
    }

    fn move_on(&mut self) {
        let Some((rate, stage)) = self.at.take() else { return };
        // Several meters that answer as one look like noise, and would be passed over.
        if self.doubtful && !self.repeated && stage != Stage::Only {
            (self.doubtful, self.repeated) = (false, true);
            self.at = Some((rate, Stage::Secondary(vec![SecondaryAddress::ANY])));
            return;
        }
        let other = rate > 0;
        self.at = Some(match stage {
            Stage::Secondary(_) if other => (rate, Stage::Only),
            Stage::Only if self.answered => (rate, Stage::Primary(0)),
            Stage::Secondary(_) => (rate, Stage::Primary(0)),
            Stage::Only | Stage::Primary(_) => {
                self.at = Some((rate, stage));
                return self.next_rate();
            }
        });
    }

    fn next_rate(&mut self) {
        let Some((rate, _)) = self.at.take() else { return };
        (self.answered, self.doubtful, self.repeated) = (false, false, false);
        self.at = Some((rate + 1, Stage::Secondary(vec![SecondaryAddress::ANY])));
    }

    /// One step of the search is over.
    fn searched(&mut self, found: &[Found]) {
        self.probing = false;
        self.done = self.done.saturating_add(1);
        let Some(baud) = self.timing().map(|timing| timing.baud) else { return };
        for found in found {
            self.answered |= self.take(found, baud);
        }
        let Some(search) = &self.search else { return };
        let (is_over, is_noisy) = (search.is_over(), search.was_never_quiet());
        if is_noisy {
            // Who was asked meanwhile may be there all the same.
            if is_over {
                (self.search, self.noise) = (None, true);
            }
            return;
        }
        self.noise = false;
        if is_over {
            self.move_on();
            self.begin();
        } else if let Some((_, stage)) = &mut self.at {
            *stage = stage.left(search);
        }
    }

    /// A candidate answered again, or did not.
    fn checked(&mut self, find: Option<Find>) {
        self.check = None;
        self.doubtful |= find.is_none();
        self.finds.extend(find.filter(|find| !self.finds.iter().any(|known| known.is_same(find))));
    }
}

impl Conversation for Hunt {
    /// One step is over; what came of it shows in [`Hunt::saved`].
    type Outcome = ();

    fn poll(&mut self, now: Instant) -> Step<()> {
        if self.check.is_none() && !self.probing {
            let rates = &self.rates;
            let timing = |find: &Find| rates.iter().find(|timing| timing.baud == find.baud).copied();
            self.check = self.candidates.pop_front().and_then(|find| Some(Check::new(timing(&find)?, find)));
        }
        if let Some(check) = &mut self.check {
            return check.poll(now).map(|found| self.checked(found));
        }
        let Some(search) = &mut self.search else { return Step::Done(()) };
        self.probing = true;
        search.poll(now).map(|found| self.searched(&found))
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        match (&mut self.check, &mut self.search) {
            (Some(check), _) => check.receive(bytes, now),
            (None, Some(search)) => search.receive(bytes, now),
            (None, None) => {}
        }
    }

    fn receive_damaged(&mut self, now: Instant) {
        match (&mut self.check, &mut self.search) {
            (Some(check), _) => check.receive_damaged(now),
            (None, Some(search)) => search.receive_damaged(now),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests;
