//! Every combination of class, unit and state class against Home Assistant's own rules
//! (`tests/homeassistant/classes.csv`, from `sensor/const.py` of 16 releases), read here again so
//! that a slip in the table of the program shows.

use std::collections::HashMap;

use mbushat::homeassistant::class::{self, Shown};
use mbushat::mbus::application::quantity::{Function, Known, Quantity, Unit};
use mbushat::mbus::application::vife::Modifier;
use mbushat::mbus::decimal::Decimal;
use mbushat::measure::profile::Presentation;
use mbushat::measure::{Measured, Measurement, unit};

type Release = (u16, u8);

const PER_HOUR: Modifier = Modifier::Combinable(0x22);
const START: Modifier = Modifier::Combinable(0x39);

struct Rule {
    units: Option<Vec<String>>,
    any_unit: bool,
    states: Vec<String>,
    since: Release,
    unit_since: HashMap<String, Release>,
}

const OLDEST: Release = (2024, 11);

/// As the only measurement of its meter.
fn shown(measurement: &Measurement, medium: Option<u8>, release: Release) -> Shown {
    class::shown(measurement, &[], medium, release)
}

fn release(text: &str) -> Release {
    let mut parts = text.split('.').map(|part| part.parse::<u16>().expect("a number"));
    (parts.next().expect("a year"), u8::try_from(parts.next().expect("a month")).expect("a month"))
}

fn rules() -> HashMap<String, Rule> {
    let csv = include_str!("../homeassistant/classes.csv");
    csv.lines().skip(1).map(rule).collect()
}

fn rule(line: &str) -> (String, Rule) {
    let fields: Vec<&str> = line.split(',').collect();
    let [class, units, states, _, _, since, later] = fields[..] else { panic!("seven fields: {line}") };
    let list = |text: &str| text.split('|').map(|u| u.replace("<none>", "")).collect::<Vec<_>>();
    let later = later.split('|').filter_map(|entry| entry.split_once('@'));
    let rule = Rule {
        units: (!units.starts_with("<no table") && units != "<any>").then(|| list(units)),
        any_unit: units == "<any>",
        states: if states == "<none>" { Vec::new() } else { list(states) },
        since: if since.is_empty() { OLDEST } else { release(since) },
        unit_since: later.map(|(unit, since)| (unit.to_owned(), release(since))).collect(),
    };
    (class.to_owned(), rule)
}

/// What Home Assistant of this release would say against it.
fn objection(rules: &HashMap<String, Rule>, shown: &Shown, release: Release) -> Option<String> {
    let numeric_wanted = shown.unit.is_some() || shown.state_class.is_some() || shown.precision.is_some();
    let class = shown.device_class?;
    let Some(rule) = rules.get(class) else { return Some(format!("{class} is not a device class")) };
    if rule.since > release {
        return Some(format!("{class} is younger than {release:?}"));
    }
    match &rule.units {
        Some(units) => {
            let unit = shown.unit.unwrap_or("");
            let young = rule.unit_since.get(unit).is_some_and(|&since| since > release);
            if !units.iter().any(|u| u == unit) || young {
                return Some(format!("{class} does not take {unit:?}"));
            }
        }
        None if rule.any_unit => {}
        None if numeric_wanted => return Some(format!("{class} is not a number")),
        None => {}
    }
    let state = shown.state_class?;
    (!rule.states.iter().any(|s| s == state)).then(|| format!("{class} with {state} is warned about"))
}

fn measurement(quantity: Quantity, unit: Unit, value: Measured) -> Measurement {
    Measurement {
        key: quantity.to_string(),
        quantity,
        value,
        unit,
        function: Function::Instantaneous,
        storage_number: 0,
        tariff: 0,
        subunit: 0,
        modifiers: Vec::new(),
        digits: Some(2),
        plausible: true,
        presentation: Presentation::default(),
    }
}

fn values() -> Vec<Measured> {
    let mut values = vec![Measured::Invalid];
    values.extend([5, -5].map(|mantissa| Measured::Number(Decimal::new(mantissa, -2))));
    values.extend(["2020-01-15", "2024-03-31T02:15", "30137315"].map(|t| Measured::Text(t.to_owned())));
    values
}

/// Every quantity in every unit that is ever published, whatever a table of the protocol combines.
fn everything(mut see: impl FnMut(&Measurement)) {
    let quantities = Known::ALL.iter().map(|&known| Quantity::Known(known));
    for quantity in quantities.chain([Quantity::Unknown { table: 0xFD, code: 0x3F }]) {
        for &unit in Unit::ALL.iter().filter(|&&unit| unit::published(unit) == unit) {
            for value in values() {
                for (function, storage_number, tariff) in [
                    (Function::Instantaneous, 0, 0),
                    (Function::Maximum, 0, 0),
                    (Function::Instantaneous, 1, 0),
                    (Function::Instantaneous, 0, 2),
                ] {
                    for modifiers in [vec![], vec![Modifier::IMPORT_MINUS_EXPORT], vec![PER_HOUR], vec![START]] {
                        let plain = measurement(quantity, unit, value.clone());
                        see(&Measurement { function, storage_number, tariff, modifiers, ..plain });
                    }
                }
            }
        }
    }
}

#[test]
fn home_assistant_refuses_and_warns_about_nothing_that_can_be_measured() {
    let rules = rules();
    assert!(rules.len() > 55, "{} classes", rules.len());
    let releases = [(2024, 11), (2025, 6), (2026, 11)];
    let media: Vec<Option<u8>> = [None].into_iter().chain([0x02, 0x03, 0x04, 0x16].map(Some)).collect();
    let mut checked = 0_u32;
    everything(|measurement| {
        for &medium in &media {
            for release in releases {
                let shown = shown(measurement, medium, release);
                let objection = objection(&rules, &shown, release);
                assert_eq!(objection, None, "{medium:?} {release:?} {measurement:?} {shown:?}");
                let text = matches!(measurement.value, Measured::Text(_));
                let bare = (shown.unit, shown.state_class, shown.precision) == (None, None, None);
                assert!(!text || bare, "{measurement:?}");
                checked += 1;
            }
        }
    });
    assert!(checked > 500_000, "{checked}");
}

#[test]
fn what_a_user_asks_for_is_given_only_where_home_assistant_takes_it() {
    let rules = rules();
    let classes = rules.keys().map(String::as_str).chain(["", "heat", "Energy"]);
    for class in classes {
        for state in [None, Some(""), Some("measurement"), Some("total"), Some("total_increasing"), Some("sum")] {
            for &unit in Unit::ALL {
                let mut energy = measurement(Quantity::Known(Known::Energy), unit, Measured::Number(Decimal::ZERO));
                energy.presentation.device_class = Some(class.to_owned());
                energy.presentation.state_class = state.map(str::to_owned);
                let shown = shown(&energy, Some(0x04), (2025, 12));
                assert_eq!(objection(&rules, &shown, (2025, 12)), None, "{class} {state:?} {shown:?}");
            }
        }
    }
    let mut volume = measurement(Quantity::Known(Known::Volume), Unit::CubicMetre, Measured::Number(Decimal::ZERO));
    volume.presentation.device_class = Some("water".to_owned());
    assert_eq!(shown(&volume, Some(0x04), (2025, 12)).device_class, Some("water"));
}

#[test]
fn each_quantity_has_the_class_its_users_expect() {
    let release = (2025, 12);
    let (heat, water, gas, electricity) = (0x04, 0x16, 0x03, 0x02);
    let total = Some("total_increasing");
    let now = Some("measurement");
    for (known, counted, medium, class, state) in [
        (Known::Energy, Unit::WattHour, heat, Some("energy"), total),
        (Known::Energy, Unit::Joule, heat, Some("energy"), total),
        (Known::Energy, Unit::Calorie, heat, Some("energy"), total),
        (Known::Energy, Unit::WattHour, electricity, Some("energy"), total),
        (Known::Energy, Unit::KilovarHour, electricity, Some("reactive_energy"), total),
        (Known::Energy, Unit::KilovoltAmpereHour, electricity, None, total),
        (Known::Power, Unit::Var, electricity, Some("reactive_power"), now),
        (Known::Power, Unit::VoltAmpere, electricity, Some("apparent_power"), now),
        (Known::Volume, Unit::CubicMetre, water, Some("water"), total),
        (Known::Volume, Unit::CubicFoot, gas, Some("gas"), total),
        (Known::Volume, Unit::CubicMetre, heat, Some("volume"), total),
        (Known::Mass, Unit::Kilogram, heat, Some("weight"), total),
        (Known::Power, Unit::JoulePerHour, heat, Some("power"), now),
        (Known::VolumeFlow, Unit::CubicMetrePerMinute, heat, Some("volume_flow_rate"), now),
        (Known::MassFlow, Unit::KilogramPerHour, heat, None, now),
        (Known::FlowTemperature, Unit::Celsius, heat, Some("temperature"), now),
        (Known::ExternalTemperature, Unit::Fahrenheit, heat, Some("temperature"), now),
        (Known::TemperatureDifference, Unit::Kelvin, heat, Some("temperature_delta"), now),
        (Known::Pressure, Unit::Bar, heat, Some("pressure"), now),
        (Known::Voltage, Unit::Volt, electricity, Some("voltage"), now),
        (Known::Current, Unit::Ampere, electricity, Some("current"), now),
        (Known::Frequency, Unit::Hertz, electricity, Some("frequency"), now),
        (Known::ReactivePower, Unit::Var, electricity, Some("reactive_power"), now),
        (Known::ApparentPower, Unit::VoltAmpere, electricity, Some("apparent_power"), now),
        (Known::ReactiveEnergy, Unit::VarHour, electricity, Some("reactive_energy"), total),
        (Known::ApparentEnergy, Unit::VoltAmpereHour, electricity, None, total),
        (Known::PhaseAngleCurrent, Unit::Degree, electricity, None, now),
        (Known::HcaUnits, Unit::HcaUnit, 0x08, None, total),
        (Known::OnTime, Unit::Day, heat, Some("duration"), total),
        (Known::OperatingTime, Unit::Minute, heat, Some("duration"), total),
        (Known::AveragingDuration, Unit::Second, heat, Some("duration"), None),
        (Known::RelativeHumidity, Unit::Percent, 0x1B, Some("humidity"), now),
    ] {
        let plain = measurement(Quantity::Known(known), unit::published(counted), Measured::Number(Decimal::ZERO));
        let shown = shown(&plain, Some(medium), release);
        assert_eq!((shown.device_class, shown.state_class), (class, state), "{known:?}");
    }
}

#[test]
fn no_heat_meters_volume_is_water_and_no_difference_a_temperature_whatever_the_device_type() {
    let number = |known, unit| measurement(Quantity::Known(known), unit, Measured::Number(Decimal::ZERO));
    for medium in (0..=u8::MAX).map(Some).chain([None]) {
        let name = medium.map_or("", mbushat::mbus::medium::name);
        let want = match name {
            "gas" | "gas_logger" | "gas_converter" => "gas",
            name if name.contains("water") => "water",
            _ => "volume",
        };
        let volume = shown(&number(Known::Volume, Unit::CubicMetre), medium, (2025, 12));
        assert_eq!(volume.device_class, Some(want), "{name}");
        for release in [(2024, 11), (2025, 12), (2026, 11)] {
            for unit in [Unit::Kelvin, Unit::Celsius, Unit::Fahrenheit] {
                let difference = shown(&number(Known::TemperatureDifference, unit), medium, release);
                assert_ne!(difference.device_class, Some("temperature"), "{name} {release:?}");
            }
        }
    }
}

#[test]
fn a_younger_class_is_left_out_for_an_older_home_assistant() {
    let plain = |known, unit| measurement(Quantity::Known(known), unit, Measured::Number(Decimal::ZERO));
    let difference = plain(Known::TemperatureDifference, Unit::Kelvin);
    assert_eq!(shown(&difference, None, (2025, 10)).device_class, None);
    assert_eq!(shown(&difference, None, (2025, 10)).unit, Some("K"));
    assert_eq!(shown(&difference, None, (2025, 12)).device_class, Some("temperature_delta"));
    let reactive = plain(Known::ReactiveEnergy, Unit::KilovarHour);
    assert_eq!(shown(&reactive, None, (2025, 3)).device_class, None);
    assert_eq!(shown(&reactive, None, (2025, 6)).device_class, Some("reactive_energy"));
}

#[test]
fn the_past_other_tariffs_and_extremes_start_disabled_and_the_past_is_no_total() {
    let energy = measurement(Quantity::Known(Known::Energy), Unit::KilowattHour, Measured::Number(Decimal::ZERO));
    let show = |m: &Measurement| shown(m, Some(0x02), (2025, 12));
    assert_eq!((show(&energy).diagnostic, show(&energy).enabled), (false, true));
    let total = std::slice::from_ref(&energy);
    let tariff = class::shown(&Measurement { tariff: 1, ..energy.clone() }, total, Some(0x02), (2025, 12));
    assert_eq!((tariff.state_class, tariff.diagnostic, tariff.enabled), (Some("total_increasing"), true, false));
    let past = show(&Measurement { storage_number: 1, ..energy.clone() });
    assert_eq!((past.state_class, past.diagnostic, past.enabled), (None, true, false));
    let peak =
        Measurement { function: Function::Maximum, quantity: Known::Power.into(), unit: Unit::Watt, ..energy.clone() };
    assert_eq!((show(&peak).state_class, show(&peak).enabled), (Some("measurement"), false));
    let negative = Measurement { value: Measured::Number(Decimal::new(-1, 0)), ..energy };
    assert_eq!(show(&negative).state_class, Some("total"), "total_increasing raises on a negative value");
}

#[test]
fn a_power_or_balance_of_the_past_has_no_statistics() {
    let power = measurement(Quantity::Known(Known::Power), Unit::Watt, Measured::Number(Decimal::ZERO));
    let modifiers = vec![Modifier::IMPORT_MINUS_EXPORT];
    let balance = Measurement { quantity: Known::Energy.into(), unit: Unit::KilowattHour, modifiers, ..power.clone() };
    for (now, state) in [(power, "measurement"), (balance, "total")] {
        let past = Measurement { storage_number: 1, ..now.clone() };
        let states = [now, past].map(|m| shown(&m, None, (2025, 12)).state_class);
        assert_eq!(states, [Some(state), None]);
    }
}

#[test]
fn no_more_digits_are_shown_than_are_of_use() {
    let shown_of = |unit, digits| {
        let value = Measured::Number(Decimal::ZERO);
        let counted = Measurement { digits, ..measurement(Quantity::Known(Known::Volume), unit, value) };
        shown(&counted, None, (2025, 12)).precision
    };
    for (unit, digits, expected) in [
        (Unit::CubicMetre, Some(6), 3),
        (Unit::CubicMetre, Some(1), 1),
        (Unit::Celsius, Some(3), 2),
        (Unit::Watt, Some(4), 1),
        (Unit::CubicMetre, None, 3),
        (Unit::Celsius, None, 1),
    ] {
        assert_eq!(shown_of(unit, digits), Some(expected), "{unit:?} {digits:?}");
    }
}
