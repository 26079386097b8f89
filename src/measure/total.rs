//! Which measurements only ever grow, and what to do when one of them does not.
//!
//! A subscriber takes any drop of a total for a new meter and books the whole value again, so a
//! total below its last value is never published on one reading's word.
//!
//! Not here: asking the meter again (the bus), the event (`mqtt`).

use std::collections::BTreeMap;

use crate::mbus::application::quantity::{Function, Quantity, Unit};
use crate::mbus::decimal::Decimal;
use crate::measure::quantities::{Sort, row};
use crate::measure::{Measured, Measurement, Reading};

/// Whether this measurement only ever grows: a counted quantity as it is now, whole or of a part, or
/// what a rule says is one.
#[must_use]
pub fn is_total(measurement: &Measurement) -> bool {
    if let Some(said) = &measurement.presentation.state_class {
        return said == "total_increasing";
    }
    let is_counter = |known| row(known).sort == Sort::Counter;
    let counted = matches!(measurement.quantity, Quantity::Known(known) if is_counter(known));
    counted
        && measurement.function == Function::Instantaneous
        && measurement.storage_number == 0
        && measurement.modifiers.iter().all(|modifier| modifier.is_part())
}

/// A total that is lower than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fall {
    /// Key of the total.
    pub key: String,
    /// Its last believed value.
    pub from: Decimal,
    /// What the reading says.
    pub to: Decimal,
    /// Unit of both.
    pub unit: Unit,
}

/// The totals of `now` that are below their last believed value; `last` holds values by key.
#[must_use]
pub fn falls(last: &BTreeMap<String, Decimal>, now: &Reading) -> Vec<Fall> {
    let fall = |measurement: &Measurement| {
        let Measured::Number(to) = measurement.value else { return None };
        let from = *last.get(&measurement.key)?;
        let key = measurement.key.clone();
        (is_total(measurement) && to < from).then_some(Fall { key, from, to, unit: measurement.unit })
    };
    now.measurements.iter().filter_map(fall).collect()
}

/// What to do with a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Publish it.
    Publish {
        /// Totals that fell and were as low when read again.
        fell: Vec<Fall>,
        /// Totals that only the reading before this one showed too low: that one was faulty.
        faults: Vec<Fall>,
    },
    /// Keep it unpublished, read the meter again at once and judge that reading with this one as `first`.
    ReadAgain,
    /// Publish nothing: two readings in a row showed different totals too low.
    Discard {
        /// Everything that was too low in either.
        faults: Vec<Fall>,
    },
}

/// Judges the reading `now` by the last believed values; `first` is the unpublished reading after
/// which the meter was read again.
#[must_use]
pub fn judge(last: &BTreeMap<String, Decimal>, first: Option<&Reading>, now: &Reading) -> Verdict {
    let fell = falls(last, now);
    let Some(first) = first else {
        return if fell.is_empty() { Verdict::Publish { fell, faults: Vec::new() } } else { Verdict::ReadAgain };
    };
    let before = falls(last, first);
    let in_both = |fall: &Fall, other: &[Fall]| other.iter().any(|o| o.key == fall.key);
    let faults: Vec<Fall> = before.iter().filter(|fall| !in_both(fall, &fell)).cloned().collect();
    if fell.iter().all(|fall| in_both(fall, &before)) {
        return Verdict::Publish { fell, faults };
    }
    Verdict::Discard { faults: before.into_iter().chain(fell).collect() }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, falls, is_total, judge};
    use crate::mbus::application::quantity::{Function, Known};
    use crate::mbus::application::vife::Modifier;
    use crate::mbus::decimal::Decimal;
    use crate::measure::{Measured, Measurement, Reading, sample};
    use std::collections::BTreeMap;

    const L1: Modifier = Modifier::Extended(0x01);
    const PER_HOUR: Modifier = Modifier::Combinable(0x22);

    fn reading(energy: &str, volume: &str) -> Reading {
        sample::reading(vec![
            sample::number("energy", Known::Energy, energy),
            sample::number("volume", Known::Volume, volume),
        ])
    }

    fn last() -> BTreeMap<String, Decimal> {
        [("energy", "100.5"), ("volume", "20")].map(|(k, v)| (k.to_owned(), v.parse().expect("a decimal"))).into()
    }

    #[test]
    fn only_what_counts_up_now_is_a_total() {
        let energy = sample::number("energy", Known::Energy, "1");
        assert!(is_total(&energy));
        assert!(is_total(&Measurement { tariff: 2, modifiers: vec![Modifier::IMPORT, L1], ..energy.clone() }));
        for other in [
            Measurement { storage_number: 1, ..energy.clone() },
            Measurement { function: Function::Maximum, ..energy.clone() },
            Measurement { modifiers: vec![Modifier::IMPORT_MINUS_EXPORT], ..energy.clone() },
            Measurement { modifiers: vec![PER_HOUR], ..energy.clone() },
            sample::number("power", Known::Power, "1"),
            sample::number("flow_temperature", Known::FlowTemperature, "1"),
        ] {
            assert!(!is_total(&other), "{other:?}");
        }
    }

    #[test]
    fn an_invalid_or_missing_total_has_not_fallen() {
        let mut now = reading("0", "20");
        assert_eq!(falls(&last(), &now).len(), 1);
        now.measurements[0].value = Measured::Invalid;
        assert_eq!(falls(&last(), &now), []);
        now.measurements.remove(0);
        assert_eq!(falls(&last(), &now), []);
    }

    #[test]
    fn a_rise_is_published_at_once() {
        let verdict = judge(&last(), None, &reading("100.5", "21"));
        assert_eq!(verdict, Verdict::Publish { fell: vec![], faults: vec![] });
        let nothing_known = judge(&BTreeMap::new(), None, &reading("0", "0"));
        assert_eq!(nothing_known, Verdict::Publish { fell: vec![], faults: vec![] });
    }

    #[test]
    fn a_fall_is_believed_only_when_it_is_there_again() {
        let low = reading("0", "20");
        assert_eq!(judge(&last(), None, &low), Verdict::ReadAgain);
        let Verdict::Publish { fell, faults } = judge(&last(), Some(&low), &reading("0.1", "20")) else {
            panic!("believed")
        };
        assert_eq!((fell.len(), faults.len()), (1, 0));
        assert_eq!((fell[0].key.as_str(), fell[0].to), ("energy", "0.1".parse().expect("a decimal")));
    }

    #[test]
    fn a_fall_that_is_gone_when_read_again_was_a_fault() {
        let low = reading("0", "20");
        let Verdict::Publish { fell, faults } = judge(&last(), Some(&low), &reading("100.6", "20")) else {
            panic!("published")
        };
        assert_eq!((fell.len(), faults.len()), (0, 1));
    }

    #[test]
    fn two_different_falls_in_a_row_publish_nothing_and_ask_no_third_time() {
        let verdict = judge(&last(), Some(&reading("0", "20")), &reading("100.5", "1"));
        let Verdict::Discard { faults } = verdict else { panic!("discarded") };
        assert_eq!(faults.len(), 2);
    }
}
