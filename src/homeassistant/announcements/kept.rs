//! Entities that another meter goes on under, where its table says `keep_entities`: a total is shown with a constant
//! added, so that it goes on where the former meter's ended.
//!
//! Not here: how the constant is added (`discovery`), how it is remembered (`spool::memo`).

use std::collections::BTreeMap;

use super::meter::{Meter, State};
use super::{Announcements, Change};
use crate::mbus::application::quantity::Unit;
use crate::mbus::decimal::Decimal;
use crate::measure::total::is_total;
use crate::measure::{Measured, Measurement};
use crate::spool::Memo;
use crate::spool::memo::{Amount, Kept};

impl Announcements {
    /// Another meter answers under this name: `last` is what the former one's numbers were, `first` what it measures.
    pub fn go_on(&mut self, name: &str, last: &BTreeMap<String, Decimal>, first: &[Measurement]) {
        let Some(meter) = self.meters.get_mut(name).filter(|meter| meter.kept.is_some()) else { return };
        meter.end_totals(last);
        meter.go_on_from(first);
        self.remember_kept(name);
    }

    /// A total that the meter has given for the first time since it replaced another one goes on from now on.
    pub(super) fn complete(&mut self, name: &str, measurements: &[Measurement]) {
        if self.meters.get_mut(name).is_some_and(|meter| meter.go_on_from(measurements)) {
            self.remember_kept(name);
        }
    }

    fn remember_kept(&mut self, name: &str) {
        let Some(kept) = self.meters.get(name).and_then(|meter| meter.kept.as_ref()) else { return };
        self.changes.push(Change::Memo { memo: Memo::Kept, name: name.to_owned(), text: kept.to_string() });
    }

    /// Whether another name goes on under the entities of the meter that answers under this one.
    pub(super) fn are_its_entities_kept_elsewhere(&self, name: &str) -> bool {
        let Some(identity) = self.identity(name) else { return false };
        let is_its = |kept: &Kept| kept.identity == identity;
        let firsts = self.meters.iter().filter(|(_, meter)| meter.configured.readout_of.is_none());
        firsts.filter(|(other, _)| *other != name).any(|(_, meter)| meter.kept.as_ref().is_some_and(is_its))
    }
}

impl Meter {
    /// Its numbers so far were these: where each entity's ended, what was added to it included. Which of them are
    /// totals, the meter that goes on will show.
    fn end_totals(&mut self, last: &BTreeMap<String, Decimal>) {
        let units: BTreeMap<&String, Unit> =
            last.keys().filter_map(|key| Some((key, self.announced_unit(key)?))).collect();
        let Some(kept) = &mut self.kept else { return };
        for (key, unit) in units {
            let added = kept.constants.remove(key).map_or(Some(Decimal::ZERO), |constant| constant.in_unit(unit));
            let end = last.get(key).zip(added).and_then(|(last, added)| last.checked_add(added));
            if let Some(number) = end {
                kept.ends.insert(key.clone(), Amount { number, unit });
            }
        }
    }

    /// Gives each total among these that has ended its constant. Whether there was one.
    fn go_on_from(&mut self, measurements: &[Measurement]) -> bool {
        let Some(kept) = &mut self.kept else { return false };
        let mut is_any = false;
        for measurement in measurements {
            let Measured::Number(first) = measurement.value else { continue };
            let Some(end) = kept.ends.remove(&measurement.key) else { continue };
            is_any = true;
            let end = end.in_unit(measurement.unit).filter(|_| is_total(measurement));
            let first = first.mantissa().checked_neg().map(|negative| Decimal::new(negative, first.exponent()));
            let constant = end.zip(first).and_then(|(end, first)| end.checked_add(first)).map(Decimal::reduced);
            if let Some(number) = constant.filter(|constant| constant.mantissa() != 0) {
                kept.constants.insert(measurement.key.clone(), Amount { number, unit: measurement.unit });
            }
        }
        self.goes_on |= is_any;
        self.stale |= is_any;
        is_any
    }

    /// The unit in which Home Assistant was told to take the numbers of this key.
    fn announced_unit(&self, key: &str) -> Option<Unit> {
        let State::Announced { components, .. } = &self.state else { return None };
        let component: serde_json::Value = serde_json::from_str(components.get(key)?).ok()?;
        let unit = component.get("unit_of_meas").map_or(Some(""), serde_json::Value::as_str)?;
        Unit::from_name(unit)
    }
}
