//! What the last telegrams of a meter say by the rules of now: shown at a start and after a reload, so that a
//! rule takes effect at once although the meter is read seldom. No reading is made of it.
//!
//! Not here: when a reading is believed (`judge`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::payload;
use super::Publisher;
use crate::homeassistant::announcements::Answered;
use crate::homeassistant::rules;
use crate::measure::Reading;
use crate::measure::normalise::{self, Occasion};
use crate::measure::profile::Rules;
use crate::spool::memo::Telegrams;

impl Publisher {
    /// Every meter.
    pub(super) fn show_all_again(&mut self) {
        let names: Vec<String> = self.meters.keys().cloned().collect();
        names.iter().for_each(|name| _ = self.show_again(name));
    }

    /// `None` where there is nothing to show: another meter may be there by now, or this one was never read.
    fn show_again(&mut self, name: &str) -> Option<()> {
        let known = self.meters.get(name).filter(|known| known.enabled)?;
        let seq = known.newest.as_ref()?.seq;
        let Telegrams { read_at, due_at, frames } = self.spool.telegrams_of(name)?;
        let expected = self.announcements.expected(name)?;
        let when = Occasion { due_at, read_at, clock_synced: None };
        let reading = normalise::reading(&frames, &known.described(&self.config), self.openers.of(&known.meter), when);
        let mut reading = reading.ok().filter(|reading| reading.device.identity.is_none_or(|it| it == expected))?;
        self.meet(&mut reading);
        self.meters.get_mut(name)?.telegrams = Arc::new(frames);
        self.show(&reading, seq);
        Some(())
    }

    /// Lets the announcements know who answered and by which rules it is read; forgets what does not hold for
    /// it.
    pub(super) fn meet(&mut self, reading: &mut Reading) -> Option<Answered> {
        let name = reading.meter.clone();
        let known = self.meters.get_mut(&name)?;
        let identity = reading.device.identity;
        let described = known.described(&self.config);
        let meter = identity.or(self.announcements.identity(&name));
        let rules = rules::text(&described, meter);
        let product = Rules::new(described.rules, described.profile, described.profiles, meter).product();
        let answered = self.announcements.answered(&name, identity, &rules);
        self.announcements.product(&name, product);
        if answered.former.is_some() {
            let last: BTreeMap<_, _> = known.newest.iter().flat_map(|newest| payload::numbers(newest)).collect();
            self.announcements.go_on(&name, &last, &reading.measurements);
        }
        if answered.former.is_some() || answered.other_rules {
            known.forget_values(&mut self.spool, self.now);
        }
        if answered.former.is_some() {
            known.forget_names(&mut self.spool, self.now);
        }
        known.limit_names(reading);
        known.limit_keys(reading);
        Some(answered)
    }
}
