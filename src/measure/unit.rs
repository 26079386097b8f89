//! The one unit of each quantity and the exact conversions to it.
//!
//! A key keeps its unit forever although a meter re-ranges, so every unit a table can name is
//! mapped to one published unit by an exact factor. Energy counted in joules or calories stays in
//! its family: MJ to kWh has no exact decimal. The one rounding of the default units is power sent
//! in J/h, which becomes W to the mW. A rule can ask for any other unit of the same dimension that Home
//! Assistant takes.
//!
//! Not here: how large a unit is (`sizes`), which record has which unit (`mbus::application::quantity`), rules
//! (`profile`).

mod sizes;

use crate::mbus::application::quantity::Unit;
use crate::mbus::decimal::Decimal;
use sizes::size;

/// Digits after the point where a conversion that a rule asked for has no exact decimal.
pub const ROUNDED_DIGITS: i8 = 6;
/// Digits after the point of a power in W that was sent in J/h: the mW.
const WATT_DIGITS: i8 = 3;
/// 0 °C in K.
const KELVIN_OF_ZERO_CELSIUS: Decimal = Decimal::new(27_315, -2);

/// The unit in which a value counted in `unit` is published where nothing else was asked for.
#[must_use]
pub fn published(unit: Unit) -> Unit {
    match unit {
        Unit::Joule | Unit::Kilojoule | Unit::Megajoule | Unit::Gigajoule => Unit::Megajoule,
        Unit::Calorie | Unit::Kilocalorie | Unit::Megacalorie | Unit::Gigacalorie => Unit::Megacalorie,
        Unit::Hour | Unit::Day => Unit::Hour,
        Unit::Month | Unit::Year => unit,
        other => size(other).map_or(other, |(dimension, _)| dimension.home()),
    }
}

/// The unit to convert to where a rule asks for `wanted`; `None` where that is another quantity's.
///
/// What is counted without a unit may be anything. Active energy and power may be reactive or apparent ones:
/// the tables of old had no codes for those, so meters tell them apart by their subunits.
#[must_use]
pub fn target(from: Unit, wanted: Unit) -> Option<Unit> {
    let of_active = match wanted {
        Unit::VarHour | Unit::VoltAmpereHour => Unit::WattHour,
        Unit::KilovarHour | Unit::KilovoltAmpereHour => Unit::KilowattHour,
        Unit::Var | Unit::VoltAmpere => Unit::Watt,
        Unit::Kilovar | Unit::KilovoltAmpere => Unit::Kilowatt,
        Unit::Millivar | Unit::MillivoltAmpere => Unit::Milliwatt,
        other => other,
    };
    match (from, wanted) {
        (Unit::None | Unit::HcaUnit, _) | (_, Unit::None) => Some(published(from)),
        _ => [wanted, of_active].into_iter().find(|&to| convertible(from, to)),
    }
}

/// Whether [`convert`] can turn one into the other.
#[must_use]
pub fn convertible(from: Unit, to: Unit) -> bool {
    from == to || is_temperature(from) && is_temperature(to) || factors(from, to).is_some()
}

/// `value` in another unit of the same dimension: exact where the result has an exact decimal,
/// else rounded half away from zero to [`ROUNDED_DIGITS`] digits after the point (power in J/h to
/// the mW). `None` for another dimension, or where the number does not fit.
#[must_use]
pub fn convert(value: Decimal, from: Unit, to: Unit) -> Option<Decimal> {
    if from == to {
        return Some(value);
    }
    if is_temperature(from) && is_temperature(to) {
        return convert_temperature(value, from, to);
    }
    let (multiply, divide) = factors(from, to)?;
    let places = if (from, to) == (Unit::JoulePerHour, Unit::Watt) { WATT_DIGITS } else { ROUNDED_DIGITS };
    multiply_divide(value, multiply, divide, places)
}

/// The same of a difference: where [`convert`] makes 32 °F of 0 °C, this leaves 0.
#[must_use]
pub fn convert_difference(value: Decimal, from: Unit, to: Unit) -> Option<Decimal> {
    match (from, to) {
        (Unit::Celsius, Unit::Kelvin) | (Unit::Kelvin, Unit::Celsius) => Some(value),
        (Unit::Celsius | Unit::Kelvin, Unit::Fahrenheit) => value.checked_mul(Decimal::new(18, -1)),
        (Unit::Fahrenheit, Unit::Celsius | Unit::Kelvin) => {
            multiply_divide(value, Decimal::new(5, 0), Decimal::new(9, 0), ROUNDED_DIGITS)
        }
        _ => convert(value, from, to),
    }
}

fn factors(from: Unit, to: Unit) -> Option<(Decimal, Decimal)> {
    let ((a, multiply), (b, divide)) = (size(from)?, size(to)?);
    (a == b).then_some((multiply, divide))
}

const fn is_temperature(unit: Unit) -> bool {
    matches!(unit, Unit::Celsius | Unit::Fahrenheit | Unit::Kelvin)
}

/// By way of °C.
fn convert_temperature(value: Decimal, from: Unit, to: Unit) -> Option<Decimal> {
    let celsius = match from {
        Unit::Kelvin => value.checked_add(Decimal::new(-27_315, -2))?,
        Unit::Fahrenheit => convert_difference(value.checked_add(Decimal::new(-32, 0))?, from, Unit::Celsius)?,
        _ => value,
    };
    match to {
        Unit::Kelvin => celsius.checked_add(KELVIN_OF_ZERO_CELSIUS),
        Unit::Fahrenheit => convert_difference(celsius, Unit::Celsius, to)?.checked_add(Decimal::new(32, 0)),
        _ => Some(celsius),
    }
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
    use super::sizes::SIZES;
    use super::{convert, convert_difference, convertible, published, target};
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
        assert_eq!(convert("3303", Unit::Megacalorie, Unit::Gigacalorie), "3.303");
        assert_eq!(convert("1", Unit::Kilocalorie, Unit::KilowattHour), "0.001162");
        assert_eq!(convert("123456.7", Unit::KilowattHour, Unit::GigawattHour), "0.1234567");
        assert_eq!(convert("0.123", Unit::CubicMetrePerHour, Unit::LitrePerMinute), "2.05");
        assert_eq!(convert("1", Unit::CubicMetrePerHour, Unit::MillilitrePerSecond), "277.777778");
        assert_eq!(convert("24", Unit::UsGallonPerDay, Unit::UsGallonPerHour), "1");
        assert_eq!(convert("1", Unit::CubicMetre, Unit::UsFluidOunce), "33814.022702");
        assert_eq!(convert("128", Unit::UsFluidOunce, Unit::UsGallon), "1");
        assert_eq!(convert("1", Unit::HundredCubicFeet, Unit::CubicMetre), "2.8316846592");
        assert_eq!(convert("14", Unit::Pound, Unit::Stone), "1");
        assert_eq!(convert("1", Unit::Pound, Unit::Ounce), "16");
        assert_eq!(convert("1.013", Unit::Bar, Unit::Millibar), "1013");
        assert_eq!(convert("1.01325", Unit::Bar, Unit::Atmosphere), "1");
        assert_eq!(convert("1", Unit::Bar, Unit::PoundPerSquareInch), "14.503774");
        assert_eq!(convert("1", Unit::Bar, Unit::MillimetreOfMercury), "750.061576");
        assert_eq!(convert("1", Unit::InchOfMercury, Unit::MillimetreOfMercury), "25.4");
        assert_eq!(convert("1", Unit::InchOfWater, Unit::Pascal), "249.08891");
        assert_eq!(convert("0.0123", Unit::Ampere, Unit::Milliampere), "12.3");
        assert_eq!(convert("20.1", Unit::Celsius, Unit::Kelvin), "293.25");
        assert_eq!(convert("0", Unit::Kelvin, Unit::Fahrenheit), "-459.67");
    }

    #[test]
    fn a_difference_of_temperatures_has_no_zero_point() {
        let convert = |from, to| convert_difference(Decimal::new(9, 0), from, to).map(|v| v.to_string());
        assert_eq!(convert(Unit::Kelvin, Unit::Celsius).as_deref(), Some("9"));
        assert_eq!(convert(Unit::Kelvin, Unit::Fahrenheit).as_deref(), Some("16.2"));
        assert_eq!(convert(Unit::Fahrenheit, Unit::Kelvin).as_deref(), Some("5"));
        assert_eq!(convert(Unit::Litre, Unit::CubicMetre).as_deref(), Some("0.009"));
        assert_eq!(convert(Unit::Kelvin, Unit::Bar), None);
    }

    #[test]
    fn a_unit_fits_its_dimension_what_has_none_and_active_energy_that_is_reactive() {
        assert_eq!(target(Unit::WattHour, Unit::Gigacalorie), Some(Unit::Gigacalorie));
        assert_eq!(target(Unit::WattHour, Unit::VarHour), Some(Unit::WattHour));
        assert_eq!(target(Unit::WattHour, Unit::KilovoltAmpereHour), Some(Unit::KilowattHour));
        assert_eq!(target(Unit::Watt, Unit::Kilovar), Some(Unit::Kilowatt));
        assert_eq!(target(Unit::None, Unit::CubicMetre), Some(Unit::None));
        assert_eq!(target(Unit::HcaUnit, Unit::KilowattHour), Some(Unit::HcaUnit));
        assert_eq!(target(Unit::Litre, Unit::None), Some(Unit::CubicMetre));
        for (from, wanted) in [(Unit::Hour, Unit::Litre), (Unit::Watt, Unit::VarHour), (Unit::Var, Unit::Watt)] {
            assert_eq!(target(from, wanted), None, "{from:?} {wanted:?}");
        }
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
    }

    #[test]
    fn every_unit_has_one_size_at_most() {
        for (place, (unit, ..)) in SIZES.iter().enumerate() {
            assert!(SIZES.iter().skip(place + 1).all(|(other, ..)| other != unit), "{unit:?}");
        }
    }
}
