//! Entities that another meter goes on under, where its table says `keep_entities`: a total is shown with a constant
//! added, so that it goes on where the former meter's ended.
//!
//! Not here: how the constant is added (`discovery`), how it is remembered (`spool::memo`).

use std::collections::BTreeMap;

use super::{Announcements, Change};
use crate::mbus::decimal::Decimal;
use crate::measure::total::is_total;
use crate::measure::{Measured, Measurement};
use crate::spool::Memo;
use crate::spool::memo::Kept;

impl Announcements {
    /// Another meter answers under this name: `last` is what the former one's numbers were, `first` what it measures.
    pub fn go_on(&mut self, name: &str, last: &BTreeMap<String, Decimal>, first: &[Measurement]) {
        let Some(kept) = self.meters.get_mut(name).and_then(|meter| meter.kept.as_mut()) else { return };
        let constant = |measurement: &Measurement| {
            let Measured::Number(first) = measurement.value else { return None };
            let last = last.get(&measurement.key).filter(|_| is_total(measurement))?;
            let shown = kept.constants.get(&measurement.key).map_or(Some(*last), |before| last.checked_add(*before))?;
            let constant =
                shown.checked_add(Decimal::new(first.mantissa().checked_neg()?, first.exponent()))?.reduced();
            (constant.mantissa() != 0).then(|| (measurement.key.clone(), constant))
        };
        kept.constants = first.iter().filter_map(constant).collect();
        let text = kept.to_string();
        self.changes.push(Change::Memo { memo: Memo::Kept, name: name.to_owned(), text });
    }

    /// Whether another name goes on under the entities of the meter that answers under this one.
    pub(super) fn are_its_entities_kept_elsewhere(&self, name: &str) -> bool {
        let Some(identity) = self.identity(name) else { return false };
        let is_its = |kept: &Kept| kept.identity == identity;
        let firsts = self.meters.iter().filter(|(_, meter)| meter.configured.readout_of.is_none());
        firsts.filter(|(other, _)| *other != name).any(|(_, meter)| meter.kept.as_ref().is_some_and(is_its))
    }
}
