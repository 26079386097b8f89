//! Whether a reading is believed: by the meter that answers, and by what its totals say.
//!
//! Not here: what a total may say (`measure::total`), what is published (`publisher`).

use std::time::Instant;

use super::super::payload::{Event, Number};
use super::memory::{MeterMemory, Surprise};
use super::{Outcome, Publisher};
use crate::mbus::address::SecondaryAddress;
use crate::measure::Reading;
use crate::measure::total::{CONFIRM_AFTER, Jump, Verdict, What};

impl Publisher {
    /// Another meter, or a total that cannot be, is not believed until the meter says it again.
    pub(super) fn judge(&mut self, mut reading: Reading) -> Outcome {
        let name = reading.meter.clone();
        let Some(known) = self.meters.get_mut(&name) else { return Outcome::Failed("no such meter".to_owned()) };
        let identity = reading.device.identity;
        match known.surprise(&mut reading, self.announcements.expected(&name)) {
            Some(Surprise::ReadAgain) => return Outcome::ReadAgain,
            Some(Surprise::Unbelievable) => {
                let why = "another meter answers each time it is asked";
                self.failed(&name, why);
                return Outcome::Failed(why.to_owned());
            }
            None => {}
        }
        let nothing = Outcome::Failed("no such meter".to_owned());
        let Some(answered) = self.meet(&mut reading) else { return nothing };
        let Some(known) = self.meters.get_mut(&name) else { return nothing };
        let first = known.doubtful.take();
        let verdict = known.totals.judge(first.as_ref(), &mut reading, self.now);
        reading.due_at = reading.due_at.or(first.as_ref().and_then(|first| first.due_at));
        match verdict {
            Verdict::ReadAgain => {
                known.doubtful = Some(reading);
                Outcome::ReadAgain
            }
            Verdict::Publish { jumps, confirm } => {
                known.confirm_at = known.confirm_at.or(confirm.then_some(self.now + CONFIRM_AFTER));
                let is_fault = first.is_some() && jumps.iter().any(|jump| jump.what == What::Fault);
                self.readings.faulty += u64::from(is_fault);
                jumps.into_iter().for_each(|jump| self.report_jump(&name, jump));
                if let (Some(former), Some(identity), false) = (answered.former, identity, answered.moved) {
                    self.replaced(&name, former, identity);
                }
                Outcome::Taken(self.take(&reading))
            }
        }
    }

    fn report_jump(&mut self, name: &str, jump: Jump) {
        let Jump { what, key, from, to, unit } = jump;
        match what {
            What::Fell => tracing::warn!(meter = name, key, "total fell from {from} to {to}"),
            What::Leapt => tracing::warn!(meter = name, key, "total leapt from {from} to {to}"),
            What::Fault => tracing::warn!(meter = name, key, "a reading was {to} after {from}: a fault"),
        }
        let (meter, from, to, unit) = (name.to_owned(), Number(from), Number(to), unit.name());
        self.tell(&match what {
            What::Fell => Event::CounterFell { meter, key, from, to, unit },
            What::Leapt => Event::CounterLeapt { meter, key, from, to, unit },
            What::Fault => Event::CounterFault { meter, key, last: from, read: to, unit },
        });
    }

    /// When a meter is to be read once more for the sake of a total that is held.
    pub(in crate::mqtt) fn confirm_at(&self) -> Option<Instant> {
        self.meters.values().filter_map(|known| known.confirm_at).min()
    }

    /// The meters of which that time has come.
    pub(in crate::mqtt) fn due_to_confirm(&mut self) -> Vec<String> {
        let now = self.now;
        let is_due = |(name, known): (&String, &mut MeterMemory)| {
            known.confirm_at.take_if(|at| *at <= now).map(|_| name.clone())
        };
        self.meters.iter_mut().filter_map(is_due).collect()
    }

    fn replaced(&mut self, meter: &str, former: SecondaryAddress, now: SecondaryAddress) {
        let (meter, from, to) = (meter.to_owned(), former.to_string(), now.to_string());
        tracing::warn!(meter, "another meter answers: {to} instead of {from}");
        self.tell(&Event::MeterReplaced { meter, from, to });
    }
}
