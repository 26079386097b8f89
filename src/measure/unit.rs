//! The one unit of each quantity and the exact conversions to it.
//!
//! A key keeps its unit forever although a meter re-ranges, so every unit a table can name is
//! mapped to one published unit by an exact factor. Energy counted in joules or calories stays in
//! its family: MJ to kWh has no exact decimal. The one rounding of the default units is power sent
//! in J/h, which becomes W to the mW.
//!
//! Not here: which record has which unit (`mbus::application::quantity`), rules (`profile`).

use crate::mbus::application::quantity::Unit;
use crate::mbus::decimal::Decimal;

/// Digits after the point where a conversion that a rule asked for has no exact decimal.
pub const ROUNDED_DIGITS: i8 = 6;
/// Digits after the point of a power in W that was sent in J/h: the mW.
const WATT_DIGITS: i8 = 3;

/// The unit in which a value counted in `unit` is published where nothing else was asked for.
#[must_use]
pub const fn published(unit: Unit) -> Unit {
    match unit {
        Unit::WattHour | Unit::KilowattHour | Unit::MegawattHour => Unit::KilowattHour,
        Unit::Joule | Unit::Megajoule | Unit::Gigajoule => Unit::Megajoule,
        Unit::Calorie | Unit::Megacalorie => Unit::Megacalorie,
        Unit::CubicMetre | Unit::Litre | Unit::CubicFoot | Unit::UsGallon => Unit::CubicMetre,
        Unit::Second | Unit::Minute => Unit::Second,
        Unit::Hour | Unit::Day => Unit::Hour,
        Unit::Watt | Unit::Kilowatt | Unit::JoulePerHour => Unit::Watt,
        Unit::CubicMetrePerHour
        | Unit::CubicMetrePerMinute
        | Unit::CubicMetrePerSecond
        | Unit::LitrePerHour
        | Unit::UsGallonPerMinute
        | Unit::UsGallonPerHour => Unit::CubicMetrePerHour,
        Unit::VarHour | Unit::KilovarHour => Unit::KilovarHour,
        Unit::VoltAmpereHour | Unit::KilovoltAmpereHour => Unit::KilovoltAmpereHour,
        same => same,
    }
}

/// The unit of active energy or power that is as large: meters send var and VA as W, and say in a
/// sub-unit of their own which it is.
#[must_use]
pub const fn active(unit: Unit) -> Unit {
    match unit {
        Unit::VarHour | Unit::VoltAmpereHour => Unit::WattHour,
        Unit::KilovarHour | Unit::KilovoltAmpereHour => Unit::KilowattHour,
        Unit::Var | Unit::VoltAmpere => Unit::Watt,
        same => same,
    }
}

/// Whether [`convert`] can turn one into the other.
#[must_use]
pub fn convertible(from: Unit, to: Unit) -> bool {
    from == to || is_temperature(from, to) || factors(from, to).is_some()
}

/// `value` in another unit of the same dimension: exact where the result has an exact decimal,
/// else rounded half away from zero to [`ROUNDED_DIGITS`] digits after the point (power in J/h to
/// the mW). `None` for another dimension, or where the number does not fit.
#[must_use]
pub fn convert(value: Decimal, from: Unit, to: Unit) -> Option<Decimal> {
    if from == to {
        return Some(value);
    }
    if is_temperature(from, to) {
        return convert_temperature(value, to);
    }
    let (multiply, divide) = factors(from, to)?;
    let places = if (from, to) == (Unit::JoulePerHour, Unit::Watt) { WATT_DIGITS } else { ROUNDED_DIGITS };
    multiply_divide(value, multiply, divide, places)
}

/// What a unit is, in the smallest whole unit of its dimension.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Energy,
    Volume,
    Duration,
    Calendar,
    Power,
    VolumeFlow,
    ReactiveEnergy,
    ApparentEnergy,
}

/// Size of a unit in the base unit of its dimension; `None` where nothing converts to it.
fn size(unit: Unit) -> Option<(Dimension, Decimal)> {
    let of = |dimension, mantissa, exponent| Some((dimension, Decimal::new(mantissa, exponent)));
    match unit {
        // base: J; the thermochemical calorie is 4.184 J by definition
        Unit::Joule => of(Dimension::Energy, 1, 0),
        Unit::Megajoule => of(Dimension::Energy, 1, 6),
        Unit::Gigajoule => of(Dimension::Energy, 1, 9),
        Unit::WattHour => of(Dimension::Energy, 3600, 0),
        Unit::KilowattHour => of(Dimension::Energy, 3600, 3),
        Unit::MegawattHour => of(Dimension::Energy, 3600, 6),
        Unit::Calorie => of(Dimension::Energy, 4184, -3),
        Unit::Megacalorie => of(Dimension::Energy, 4184, 3),
        // base: m³; the foot is 0.3048 m, the US gallon 231 cubic inches of 25.4 mm
        Unit::CubicMetre => of(Dimension::Volume, 1, 0),
        Unit::Litre => of(Dimension::Volume, 1, -3),
        Unit::CubicFoot => of(Dimension::Volume, 28_316_846_592, -12),
        Unit::UsGallon => of(Dimension::Volume, 3_785_411_784, -12),
        Unit::Second => of(Dimension::Duration, 1, 0),
        Unit::Minute => of(Dimension::Duration, 60, 0),
        Unit::Hour => of(Dimension::Duration, 3600, 0),
        Unit::Day => of(Dimension::Duration, 86_400, 0),
        Unit::Month => of(Dimension::Calendar, 1, 0),
        Unit::Year => of(Dimension::Calendar, 12, 0),
        // base: J/h
        Unit::JoulePerHour => of(Dimension::Power, 1, 0),
        Unit::Watt => of(Dimension::Power, 3600, 0),
        Unit::Kilowatt => of(Dimension::Power, 3600, 3),
        // base: m³/h
        Unit::CubicMetrePerHour => of(Dimension::VolumeFlow, 1, 0),
        Unit::CubicMetrePerMinute => of(Dimension::VolumeFlow, 60, 0),
        Unit::CubicMetrePerSecond => of(Dimension::VolumeFlow, 3600, 0),
        Unit::LitrePerHour => of(Dimension::VolumeFlow, 1, -3),
        Unit::UsGallonPerHour => of(Dimension::VolumeFlow, 3_785_411_784, -12),
        Unit::UsGallonPerMinute => of(Dimension::VolumeFlow, 3_785_411_784 * 60, -12),
        Unit::VarHour => of(Dimension::ReactiveEnergy, 1, 0),
        Unit::KilovarHour => of(Dimension::ReactiveEnergy, 1, 3),
        Unit::VoltAmpereHour => of(Dimension::ApparentEnergy, 1, 0),
        Unit::KilovoltAmpereHour => of(Dimension::ApparentEnergy, 1, 3),
        _ => None,
    }
}

fn factors(from: Unit, to: Unit) -> Option<(Decimal, Decimal)> {
    let ((a, multiply), (b, divide)) = (size(from)?, size(to)?);
    (a == b).then_some((multiply, divide))
}

fn is_temperature(from: Unit, to: Unit) -> bool {
    matches!((from, to), (Unit::Celsius, Unit::Fahrenheit) | (Unit::Fahrenheit, Unit::Celsius))
}

fn convert_temperature(value: Decimal, to: Unit) -> Option<Decimal> {
    if to == Unit::Fahrenheit {
        return value.checked_mul(Decimal::new(18, -1))?.checked_add(Decimal::new(32, 0));
    }
    multiply_divide(value.checked_add(Decimal::new(-32, 0))?, Decimal::new(5, 0), Decimal::new(9, 0), ROUNDED_DIGITS)
}

/// `value × multiply ÷ divide`, both positive.
fn multiply_divide(value: Decimal, multiply: Decimal, divide: Decimal, places: i8) -> Option<Decimal> {
    let common = greatest_common_divisor(multiply.mantissa(), divide.mantissa());
    let (over, under) = (multiply.mantissa().checked_div(common)?, divide.mantissa().checked_div(common)?);
    let product = scale(value, over)?.shift(multiply.exponent())?.shift(divide.exponent().checked_neg()?)?;
    match power_of_ten_over(under) {
        Some((factor, digits)) => scale(product, factor)?.shift(digits.checked_neg()?),
        None => product.div_rounded(under, places),
    }
}

/// The product with an integer that keeps the value's exponent: it says how finely the meter counts.
fn scale(value: Decimal, factor: i128) -> Option<Decimal> {
    Some(Decimal::new(value.mantissa().checked_mul(factor)?, value.exponent()))
}

fn greatest_common_divisor(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { greatest_common_divisor(b, a.checked_rem(b).unwrap_or(0)) }
}

/// The smallest power of ten that `divisor` divides, as (10^digits ÷ divisor, digits): dividing by
/// it then is multiplying. `None` where another prime than 2 and 5 is in it.
fn power_of_ten_over(divisor: i128) -> Option<(i128, i8)> {
    (0..=20_i8).find_map(|digits| {
        let power = 10_i128.checked_pow(u32::from(digits.unsigned_abs()))?;
        (power.checked_rem(divisor)? == 0).then_some((power.checked_div(divisor)?, digits))
    })
}

#[cfg(test)]
mod tests {
    use super::{convert, convertible, published, size};
    use crate::mbus::application::quantity::Unit;
    use crate::mbus::decimal::Decimal;

    fn published_value(value: &str, unit: Unit) -> String {
        let value: Decimal = value.parse().expect("a decimal");
        let to = published(unit);
        format!("{} {}", convert(value, unit, to).expect("converts"), to.name())
    }

    #[test]
    fn every_default_unit_is_reached_by_an_exact_factor_but_for_joule_per_hour() {
        for (value, unit, text) in [
            ("1", Unit::WattHour, "0.001 kWh"),
            ("12345678.9", Unit::MegawattHour, "12345678900 kWh"),
            ("1", Unit::Joule, "0.000001 MJ"),
            ("3", Unit::Gigajoule, "3000 MJ"),
            ("7", Unit::Calorie, "0.000007 Mcal"),
            ("1", Unit::Litre, "0.001 m³"),
            ("1", Unit::CubicFoot, "0.028316846592 m³"),
            ("0.1", Unit::CubicFoot, "0.0028316846592 m³"),
            ("1", Unit::UsGallon, "0.003785411784 m³"),
            ("2", Unit::Minute, "120 s"),
            ("2", Unit::Day, "48 h"),
            ("38357", Unit::Hour, "38357 h"),
            ("1.5", Unit::Kilowatt, "1500 W"),
            ("3600", Unit::JoulePerHour, "1 W"),
            ("1000000", Unit::JoulePerHour, "277.778 W"),
            ("-1000000", Unit::JoulePerHour, "-277.778 W"),
            ("0.0000001", Unit::CubicMetrePerMinute, "0.000006 m³/h"),
            ("0.000000001", Unit::CubicMetrePerSecond, "0.0000036 m³/h"),
            ("5", Unit::LitrePerHour, "0.005 m³/h"),
            ("1", Unit::UsGallonPerMinute, "0.22712470704 m³/h"),
            ("1", Unit::UsGallonPerHour, "0.003785411784 m³/h"),
            ("1", Unit::VarHour, "0.001 kvarh"),
            ("1", Unit::VoltAmpereHour, "0.001 kVAh"),
            ("71.5", Unit::Fahrenheit, "71.5 °F"),
            ("3", Unit::Month, "3 month"),
        ] {
            assert_eq!(published_value(value, unit), text);
        }
    }

    #[test]
    fn a_published_unit_stays_what_it_is() {
        for &unit in Unit::ALL {
            assert_eq!(published(published(unit)), published(unit), "{}", unit.name());
            assert!(convertible(unit, published(unit)), "{}", unit.name());
        }
    }

    #[test]
    fn a_unit_that_a_rule_chose_is_exact_where_it_can_be_and_rounded_to_six_digits_where_not() {
        let convert = |value: &str, from, to| {
            convert(value.parse().expect("a decimal"), from, to).map(|v| v.to_string()).unwrap_or_default()
        };
        assert_eq!(convert("1", Unit::Megajoule, Unit::KilowattHour), "0.277778");
        assert_eq!(convert("3.6", Unit::Megajoule, Unit::KilowattHour), "1");
        assert_eq!(convert("1", Unit::KilowattHour, Unit::Gigajoule), "0.0036");
        assert_eq!(convert("1", Unit::Megacalorie, Unit::KilowattHour), "1.162222");
        assert_eq!(convert("1", Unit::CubicMetre, Unit::Litre), "1000");
        assert_eq!(convert("1", Unit::Second, Unit::Hour), "0.000278");
        assert_eq!(convert("36", Unit::Hour, Unit::Day), "1.5");
        assert_eq!(convert("-40", Unit::Celsius, Unit::Fahrenheit), "-40");
        assert_eq!(convert("212", Unit::Fahrenheit, Unit::Celsius), "100");
        assert_eq!(convert("70", Unit::Fahrenheit, Unit::Celsius), "21.111111");
        assert_eq!(convert("1", Unit::CubicMetre, Unit::KilowattHour), "");
        assert_eq!(convert("1", Unit::Celsius, Unit::Kelvin), "", "a difference is not a temperature");
    }

    #[test]
    fn the_meters_resolution_survives_a_decimal_factor() {
        let volume = convert(Decimal::new(500, -2), Unit::Litre, Unit::CubicMetre).expect("litres");
        assert_eq!((volume.mantissa(), volume.exponent()), (500, -5));
        let energy = convert(Decimal::new(7, 3), Unit::WattHour, Unit::KilowattHour).expect("Wh");
        assert_eq!((energy.mantissa(), energy.exponent()), (7, 0));
    }

    #[test]
    fn a_number_too_large_to_be_exact_is_refused_not_rounded() {
        assert_eq!(convert(Decimal::new(i128::MAX, 0), Unit::CubicFoot, Unit::CubicMetre), None);
    }

    #[test]
    fn there_and_back_again_is_the_same_value_where_both_ways_are_exact() {
        for (from, to) in [
            (Unit::WattHour, Unit::MegawattHour),
            (Unit::Joule, Unit::Gigajoule),
            (Unit::Litre, Unit::CubicMetre),
            (Unit::VarHour, Unit::KilovarHour),
        ] {
            for mantissa in [0, 1, -1, 999_999_999_999, i128::from(i64::MIN)] {
                let value = Decimal::new(mantissa, -3);
                let back = convert(value, from, to).and_then(|v| convert(v, to, from));
                assert_eq!(back, Some(value), "{} {}", value, from.name());
            }
        }
        assert!(Unit::ALL.iter().filter(|&&u| size(u).is_some()).count() > 25);
    }
}
