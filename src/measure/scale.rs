//! The way of a number from a record to the unit under which it is published, and what a rule does to it.
//!
//! Not here: the factors of units (`unit`).

use crate::mbus::application::quantity::{Known, Quantity, Unit};
use crate::mbus::application::vife::Modifier;
use crate::mbus::decimal::Decimal;
use crate::measure::profile::RecordRule;
use crate::measure::unit;

/// The way of a number from the record to its key's unit.
pub(super) struct Scale<'a> {
    from: Unit,
    to: Unit,
    /// What is published with it: another unit where a rule relabels, none for a rate.
    pub(super) label: Unit,
    convert: fn(Decimal, Unit, Unit) -> Option<Decimal>,
    rule: Option<&'a RecordRule>,
}

impl<'a> Scale<'a> {
    pub(super) fn new(
        quantity: Quantity,
        from: Unit,
        modifiers: &[Modifier],
        rule: Option<&'a RecordRule>,
        first: Option<Unit>,
    ) -> Self {
        let is_rate = modifiers.iter().any(|modifier| modifier.is_rate());
        let home = first.filter(|&to| unit::convertible(from, to)).unwrap_or(unit::published(from));
        // a rate is in units of its base unit per something, for which there is no name here
        let plain = (home, if is_rate { Unit::None } else { home });
        let is_relabelled = is_rate || rule.is_some_and(|rule| rule.scale.is_some());
        let (to, label) = match rule.and_then(|rule| rule.unit) {
            None => plain,
            Some(wanted) => match unit::target(from, wanted) {
                Some(to) => (to, wanted),
                None if is_relabelled => (unit::published(from), wanted),
                None => plain,
            },
        };
        let is_difference = quantity == Quantity::Known(Known::TemperatureDifference);
        let convert = if is_difference || is_rate { unit::convert_difference } else { unit::convert };
        Self { from, to, label, convert, rule }
    }

    /// The unit that the rule gives to a number which the meter sends in another or none.
    pub(super) fn relabels(&self) -> Option<Unit> {
        let wanted = self.rule.and_then(|rule| rule.unit).filter(|&unit| unit == self.label);
        wanted.filter(|&unit| !unit::convertible(self.from, unit))
    }

    pub(super) fn apply(&self, number: Decimal) -> Option<Decimal> {
        let mut value = (self.convert)(number, self.from, self.to)?;
        if let Some(scale) = self.rule.and_then(|rule| rule.scale) {
            value = value.checked_mul(scale)?;
        }
        match self.rule.and_then(|rule| rule.offset) {
            Some(offset) => value.checked_add(offset),
            None => Some(value),
        }
    }

    /// Digits after the point of a value counted in steps of 10^`exponent`.
    pub(super) fn digits(&self, exponent: i8) -> Option<u8> {
        let step = (self.convert)(Decimal::new(1, exponent), self.from, self.to)?;
        let scale = self.rule.and_then(|rule| rule.scale).map_or(0, |scale| scale.reduced().exponent());
        let step = step.exponent().checked_add(scale)?;
        let offset = self.rule.and_then(|rule| rule.offset).map_or(step, |offset| offset.reduced().exponent());
        Some(step.min(offset).min(0).unsigned_abs())
    }
}
