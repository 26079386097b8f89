//! How Home Assistant shows a measurement: device class, state class, unit, precision, category.
//!
//! Every combination this file makes is checked against Home Assistant's own `table` for the
//! user's release: a class or unit it would refuse is left out, for an entity without a class is
//! better than no entity. Kelvin differences are never `temperature` (Home Assistant would convert
//! 5 K to −268 °C), heat energy is `energy`, and only a water meter's volume is `water`.
//!
//! Not here: names and documents (`discovery`).

use crate::mbus::application::quantity::{Function, Known, Quantity, Unit};
use crate::mbus::application::vife::Modifier;
use crate::measure::device_class::{self, Class, NEWEST, Release};
use crate::measure::medium::{self, Kind};
use crate::measure::quantities::{Role, Sort, is_text, row};
use crate::measure::total::is_total;
use crate::measure::{Measured, Measurement};

/// What the document says of one sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `device_class`.
    pub device_class: Option<&'static str>,
    /// `state_class`.
    pub state_class: Option<&'static str>,
    /// `unit_of_measurement`.
    pub unit: Option<&'static str>,
    /// `suggested_display_precision`; `None` where the state is not a number.
    pub precision: Option<u8>,
    /// `entity_category` `diagnostic`.
    pub diagnostic: bool,
    /// Whether the entity starts enabled.
    pub enabled: bool,
}

/// How a measurement of a meter with this device type is shown by this release. `all` that the meter
/// measures decides whether a tariff is of interest.
#[must_use]
pub fn shown(measurement: &Measurement, all: &[Measurement], medium: Option<u8>, release: Release) -> Shown {
    let numeric = is_numeric(measurement);
    let unit = if numeric { measurement.unit.name() } else { "" };
    let sort = medium.map_or(Kind::Other, medium::kind);
    let wanted = measurement.presentation.device_class.as_deref().or_else(|| device_class(measurement, sort));
    let fits = |class: &&Class| class.is_numeric() == numeric && class.takes_unit(unit, release);
    let taken = |class: &&Class| fits(class) && is_of_such_a_time(measurement, class.name);
    let class = wanted.and_then(|name| Class::find(name, release)).filter(taken);
    let wanted = match &measurement.presentation.state_class {
        Some(state) => device_class::states().find(|known| known == state),
        None => state_class(measurement),
    };
    let fits = |state: &&str| numeric && device_class::state_takes_unit(state, unit, release);
    let state_class = wanted.filter(fits).filter(|&s| class.is_none_or(|class| class.takes_state(Some(s))));
    let (diagnostic, enabled) = category(measurement, all);
    Shown {
        device_class: class.map(|class| class.name),
        state_class,
        unit: Some(unit).filter(|unit| !unit.is_empty()),
        precision: numeric.then(|| precision(measurement)),
        diagnostic,
        enabled,
    }
}

/// What a rule says of a measurement and Home Assistant would not take, whatever its release; a value that is invalid
/// shows nothing yet.
#[must_use]
pub fn unfit(measurement: &Measurement, medium: Option<u8>) -> Vec<String> {
    if measurement.value == Measured::Invalid {
        return Vec::new();
    }
    let shown = shown(measurement, &[], medium, NEWEST);
    let said = &measurement.presentation;
    let what = match &measurement.value {
        Measured::Text(text) => class_of_time(text).map_or("a text".to_owned(), |class| format!("a {}", time(class))),
        _ if measurement.unit == Unit::None => "a number without a unit".to_owned(),
        _ => measurement.unit.name().to_owned(),
    };
    let lost = |said: &Option<String>, shown: Option<&str>| {
        said.clone().filter(|said| !said.is_empty() && Some(said.as_str()) != shown)
    };
    let class = lost(&said.device_class, shown.device_class);
    let class = class.map(|class| format!("device_class \"{class}\" is not used: it does not fit {what}"));
    let what = shown.device_class.map_or(what.clone(), |class| format!("{what} of the class {class}"));
    let state = lost(&said.state_class, shown.state_class);
    let state = state.map(|state| format!("state_class \"{state}\" is not used: it does not fit {what}"));
    class.into_iter().chain(state).collect()
}

fn time(class: &str) -> &'static str {
    if class == "date" { "date" } else { "time" }
}

/// Whether a class of dates or times is that of what is measured; every other class is.
fn is_of_such_a_time(measurement: &Measurement, class: &str) -> bool {
    let wanted = match class {
        "uptime" => "timestamp",
        "date" | "timestamp" => class,
        _ => return true,
    };
    let is = match (&measurement.value, measurement.quantity) {
        (Measured::Text(text), _) => class_of_time(text),
        (_, Quantity::Known(known)) => Some(row(known).device_class),
        _ => None,
    };
    is == Some(wanted)
}

fn is_numeric(measurement: &Measurement) -> bool {
    match measurement.value {
        Measured::Number(_) | Measured::Held { .. } => true,
        Measured::Text(_) => false,
        Measured::Invalid => !is_text(measurement.quantity, &measurement.modifiers),
    }
}

fn device_class(measurement: &Measurement, kind: Kind) -> Option<&'static str> {
    if let Measured::Text(text) = &measurement.value {
        return class_of_time(text);
    }
    let Quantity::Known(known) = measurement.quantity else { return None };
    let class = match (known, kind, measurement.unit) {
        (Known::Volume, Kind::Water, _) => "water",
        (Known::Volume, Kind::Gas, _) => "gas",
        // what a rule says to be reactive or apparent
        (Known::Energy, _, Unit::VarHour | Unit::KilovarHour) => "reactive_energy",
        (Known::Power, _, Unit::Millivar | Unit::Var | Unit::Kilovar) => "reactive_power",
        (Known::Power, _, Unit::MillivoltAmpere | Unit::VoltAmpere | Unit::KilovoltAmpere) => "apparent_power",
        _ => row(known).device_class,
    };
    Some(class).filter(|class| !class.is_empty())
}

/// Whether a text is a time of a meter's clock: Home Assistant must be given its offset.
#[must_use]
pub fn is_time(text: &str) -> bool {
    class_of_time(text) == Some("timestamp")
}

/// The class of a meter's date (`2020-01-15`) or time (`2024-03-31T02:15`); a text that is neither
/// has none.
pub(super) fn class_of_time(text: &str) -> Option<&'static str> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match shape.as_str() {
        "0000-00-00" => Some("date"),
        "0000-00-00T00:00" | "0000-00-00T00:00:00" => Some("timestamp"),
        _ => None,
    }
}

fn state_class(measurement: &Measurement) -> Option<&'static str> {
    if is_total(measurement) {
        let negative = matches!(measurement.value, Measured::Number(number) if number.mantissa() < 0);
        return Some(if negative { "total" } else { "total_increasing" });
    }
    if measurement.storage_number > 0 {
        return None;
    }
    let Quantity::Known(known) = measurement.quantity else { return None };
    let balance = measurement.modifiers.contains(&Modifier::IMPORT_MINUS_EXPORT);
    match (known, row(known).sort) {
        (Known::Energy | Known::ReactiveEnergy, _) if balance => Some("total"),
        (_, Sort::Balance) => Some("total"),
        (_, Sort::Level) => Some("measurement"),
        // what the maker's code makes of it may fall
        (_, Sort::Counter) if is_makers_part(measurement) => Some("total"),
        _ => None,
    }
}

/// Whether it counts what only its maker knows, and nothing else tells it from a total.
fn is_makers_part(measurement: &Measurement) -> bool {
    measurement.function == Function::Instantaneous
        && measurement.modifiers.iter().all(|modifier| modifier.is_part() || modifier.is_manufacturers())
}

/// Whether it is a diagnostic, and whether it starts enabled: what happened in the past or at an extreme
/// starts disabled, and so does what describes the meter, is about a quantity (a limit, a pulse value), or counts
/// at one tariff of what there is a total of.
fn category(measurement: &Measurement, all: &[Measurement]) -> (bool, bool) {
    if let Some(enabled) = measurement.presentation.enabled {
        return (!enabled || is_health(measurement), enabled);
    }
    let is_of_now = |m: &Measurement| m.function == Function::Instantaneous && m.storage_number == 0;
    let what = |m: &Measurement| (m.quantity, m.subunit, m.modifiers.clone());
    let is_total = |m: &Measurement| is_of_now(m) && m.tariff == 0 && what(m) == what(measurement);
    if !is_of_now(measurement) || measurement.tariff != 0 && all.iter().any(is_total) {
        return (true, false);
    }
    let Quantity::Known(known) = measurement.quantity else { return (true, false) };
    if measurement.modifiers.iter().any(|modifier| modifier.is_detail()) {
        return (true, false);
    }
    match row(known).role {
        Role::Main => (false, true),
        Role::Health => (true, true),
        Role::Detail => (true, false),
    }
}

/// Whether it says how well the meter is, under the standard's code or one of its own that a rule names so.
fn is_health(measurement: &Measurement) -> bool {
    let is = |known: Known| measurement.quantity == Quantity::Known(known) || measurement.key == known.name();
    Known::ALL.iter().any(|&known| row(known).role == Role::Health && is(known))
}

/// As many digits as the meter counts, but no more than are of use; a default where they vary.
fn precision(measurement: &Measurement) -> u8 {
    let most = match measurement.unit {
        Unit::CubicMetre | Unit::KilowattHour | Unit::CubicMetrePerHour | Unit::Megajoule | Unit::Megacalorie => 3,
        Unit::Celsius | Unit::Fahrenheit | Unit::Kelvin | Unit::Hour => 2,
        Unit::Second | Unit::Watt | Unit::Day => 1,
        // so large that the last digits a meter counts are small numbers of them
        Unit::GigawattHour | Unit::TerawattHour | Unit::Gigawatt | Unit::Terawatt | Unit::ThousandCubicFeet => 6,
        _ => 3,
    };
    let usual = match measurement.unit {
        Unit::Second | Unit::Hour | Unit::Day | Unit::Watt => 0,
        Unit::CubicMetre | Unit::CubicMetrePerHour => 3,
        Unit::Percent | Unit::Volt | Unit::Celsius | Unit::Fahrenheit => 1,
        _ => 2,
    };
    measurement.presentation.precision.unwrap_or_else(|| measurement.digits.unwrap_or(usual).min(most))
}

#[cfg(test)]
mod tests {
    use super::{Class, Measurement, Modifier, Shown, row, shown};
    use crate::mbus::application::quantity::{Known, Unit};
    use crate::mbus::application::vif;
    use crate::measure::device_class::Units;
    use crate::measure::{sample, unit};

    fn of(measurement: &Measurement) -> Shown {
        shown(measurement, &[], None, (2026, 11))
    }

    #[test]
    fn no_more_digits_are_shown_than_are_of_use() {
        let volume = sample::number("volume", Known::Volume, "1.2");
        let precision = |digits| of(&Measurement { digits, ..volume.clone() }).precision;
        assert_eq!([Some(1), Some(3), Some(6), None].map(precision), [1, 3, 3, 3].map(Some));
    }

    #[test]
    fn a_rule_can_choose_every_unit_that_home_assistant_takes_for_the_quantity() {
        // which of two therms is meant is not documented; a level in dB has no reference
        let unknown = ["thm", "dB"];
        let mut tried = 0;
        for (&known, also) in Known::ALL.iter().flat_map(|known| [(known, ""), (known, "water"), (known, "gas")]) {
            let name = if known == Known::Volume && !also.is_empty() { also } else { row(known).device_class };
            let Some(Class { units: Units::Of(units), .. }) = Class::find(name, (2026, 11)) else { continue };
            for (name, _) in units.iter().filter(|(name, _)| !unknown.contains(name)) {
                let wanted = Unit::from_name(name).unwrap_or_else(|| panic!("{name} of {}", known.name()));
                let fits = vif::units_of(known).any(|counted| unit::convertible(counted, wanted));
                assert!(fits, "{name} of {}", known.name());
                tried += 1;
            }
        }
        assert!(tried > 200, "{tried}");
    }

    #[test]
    fn a_tariff_starts_enabled_where_there_is_no_total() {
        let total = sample::number("energy", Known::Energy, "3");
        let tariff = Measurement { tariff: 1, ..sample::number("energy_tariff_1", Known::Energy, "1") };
        let seen = |all: &[Measurement]| {
            let Shown { enabled, diagnostic, .. } = shown(&tariff, all, None, (2026, 11));
            (enabled, diagnostic)
        };
        let last_year = Measurement { storage_number: 1, ..total.clone() };
        let power = sample::number("power", Known::Power, "1");
        assert_eq!(seen(&[tariff.clone(), last_year, power]), (true, false));
        assert_eq!(seen(&[tariff.clone(), total]), (false, true));
    }

    #[test]
    fn a_limit_or_a_pulse_value_is_no_measurement_to_start_with() {
        let volume = sample::number("volume", Known::Volume, "1");
        for (code, enabled) in [(0x28, false), (0x48, false), (0x54, false), (0x12, true), (0x3C, true), (0x7F, true)] {
            let modifiers = vec![Modifier::Combinable(code)];
            assert_eq!(of(&Measurement { modifiers, ..volume.clone() }).enabled, enabled, "{code:02X}");
        }
    }

    #[test]
    fn a_rule_decides_whether_it_starts_enabled() {
        let of_rule = |enabled| {
            let mut measurement = sample::number("unknown_6f", Known::ManufacturerSpecific, "1");
            measurement.presentation.enabled = enabled;
            let Shown { enabled, diagnostic, .. } = of(&measurement);
            (enabled, diagnostic)
        };
        assert_eq!([None, Some(true), Some(false)].map(of_rule), [(false, true), (true, false), (false, true)]);
    }

    #[test]
    fn only_what_is_now_gets_statistics() {
        let power = sample::number("power", Known::Power, "1");
        assert_eq!(of(&power).state_class, Some("measurement"));
        assert_eq!(of(&Measurement { storage_number: 1, ..power }).state_class, None);
    }
}
