//! `device_class` and `state_class` of a rule: whether Home Assistant takes them for what the rule selects, as far
//! as that is known here.
//!
//! Not here: what only a reading shows (`homeassistant::class`), younger classes than the user's release has: those
//! are left out there.

use crate::config::reader::Reader;
use crate::mbus::application::quantity::{Known, Quantity, Unit};
use crate::measure::device_class::{Class, NEWEST, state_takes_unit, states};
use crate::measure::profile::RecordRule;
use crate::measure::quantities::{Sort, row};
use crate::measure::unit;

/// What a rule selects.
struct Selected {
    /// What it is in messages.
    name: String,
    quantity: Option<Known>,
    /// The units that it may be published in; none where that is not known.
    units: Vec<&'static str>,
    /// Whether it is published as a number; `None`: not known.
    is_number: Option<bool>,
}

/// Notes classes that Home Assistant would not take. `counted`: the units of what the rule selects, and what it is.
pub(super) fn check(keys: &mut Reader<'_, '_>, rule: &RecordRule, quantity: Option<Quantity>, counted: &[Unit]) {
    let selected = Selected::of(rule, quantity, counted);
    let said = |class: &Option<String>| class.clone().filter(|class| !class.is_empty());
    if let Some(class) = said(&rule.presentation.device_class) {
        if let Some(why) = Class::find(&class, NEWEST).and_then(|class| selected.refuses(class)) {
            return keys.problem(keys.at("device_class"), format!("`device_class` is {class:?}, which {why}"));
        }
    }
    if let Some(why) = said(&rule.presentation.state_class).and_then(|state| selected.refuses_state(&state, rule)) {
        keys.problem(keys.at("state_class"), why);
    }
}

impl Selected {
    fn of(rule: &RecordRule, quantity: Option<Quantity>, counted: &[Unit]) -> Self {
        let quantity = quantity.and_then(|quantity| match quantity {
            Quantity::Known(known) => Some(known),
            Quantity::Unknown { .. } => None,
        });
        let is_made_a_number = rule.unit.is_some() || rule.scale.is_some() || rule.offset.is_some();
        let is_number = match quantity.map(|known| row(known).sort) {
            _ if is_made_a_number || rule.select.bytes.is_some() => Some(true),
            Some(Sort::Counter | Sort::Balance | Sort::Level) => Some(true),
            Some(Sort::Label | Sort::Secret | Sort::Moment) => Some(false),
            Some(Sort::Opaque | Sort::Other) | None => None,
        };
        // a unit in plain text stands in the telegram alone
        let is_in_words = quantity == Some(Known::PlainText);
        let published = match rule.unit {
            Some(unit) => vec![unit],
            None if rule.select.bytes.is_some() => vec![Unit::None],
            None if is_in_words => Vec::new(),
            None => counted.iter().map(|&counted| unit::published(counted)).collect(),
        };
        let mut units: Vec<&str> = Vec::new();
        for unit in published {
            if !units.contains(&unit.name()) {
                units.push(unit.name());
            }
        }
        let name = quantity.map_or_else(|| "it".to_owned(), |known| known.name().to_owned());
        Self { name, quantity, units, is_number }
    }

    /// Why Home Assistant does not take this class for it.
    fn refuses(&self, class: &Class) -> Option<String> {
        let name = &self.name;
        match (self.is_number, class.is_numeric()) {
            (Some(false), true) => return Some(format!("is of numbers, and {name} is none")),
            (Some(true), false) => return Some(format!("is of no number, and {name} is one")),
            _ => {}
        }
        match (class.name, self.quantity) {
            ("timestamp" | "uptime", Some(Known::Date)) => {
                return Some(format!("wants a time, and {name} has none: set \"date\""));
            }
            ("date", Some(known)) if row(known).device_class == "timestamp" => {
                return Some(format!("wants a date alone, and {name} has a time too: set \"timestamp\""));
            }
            _ => {}
        }
        if !class.is_numeric() || self.units.is_empty() || self.units.iter().any(|unit| class.takes_unit(unit, NEWEST))
        {
            return None;
        }
        let fitting: Vec<&str> = Class::for_units(&self.units).collect();
        let expected = match fitting.as_slice() {
            [] => String::new(),
            names => format!(", expected one of {}", names.join(", ")),
        };
        Some(format!("does not fit {}{expected}", self.unit()))
    }

    /// What is wrong with this state class.
    fn refuses_state(&self, state: &str, rule: &RecordRule) -> Option<String> {
        if self.is_number == Some(false) {
            return Some(format!("`state_class` is of numbers, and {} is none", self.name));
        }
        let takes_unit = |unit: &&str| state_takes_unit(state, unit, NEWEST);
        if !self.units.is_empty() && !self.units.iter().any(takes_unit) {
            return Some(format!("`state_class` is {state:?}, which is of angles in ° alone, not of {}", self.unit()));
        }
        let class = match rule.presentation.device_class.as_deref() {
            Some(said) => Class::find(said, NEWEST)?,
            None => self.usual_class()?,
        };
        if class.takes_state(Some(state)) {
            return None;
        }
        let taken = states().filter(|state| class.takes_state(Some(state))).map(|state| format!("{state:?}"));
        let taken = taken.collect::<Vec<_>>().join(" or ");
        let expected = if taken.is_empty() { "none".to_owned() } else { taken };
        let name = class.name;
        Some(format!("`state_class` is {state:?}, which does not fit the class {name}, expected {expected}"))
    }

    /// The class that it gets where no rule says otherwise, if it has a unit of that class for certain.
    fn usual_class(&self) -> Option<&'static Class> {
        let class = Class::find(row(self.quantity?).device_class, NEWEST)?;
        let all_fit = !self.units.is_empty() && self.units.iter().all(|unit| class.takes_unit(unit, NEWEST));
        Some(class).filter(|_| all_fit)
    }

    /// Its unit, for people.
    fn unit(&self) -> String {
        match self.units.as_slice() {
            [""] => "a number without a unit".to_owned(),
            [head @ .., last] if !head.is_empty() => format!("{} or {last}", head.join(", ")),
            units => units.concat(),
        }
    }
}
