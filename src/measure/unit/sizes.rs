//! How large each unit is.
//!
//! Not here: what is converted to what (`unit`).

use crate::mbus::application::quantity::Unit;
use crate::mbus::decimal::Decimal;

/// What a unit measures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    Energy,
    Volume,
    Mass,
    Duration,
    Calendar,
    Power,
    VolumeFlow,
    Pressure,
    ReactiveEnergy,
    ApparentEnergy,
    ReactivePower,
    ApparentPower,
    Frequency,
    Voltage,
    Current,
}

impl Dimension {
    /// The unit in which it is published.
    pub(super) const fn home(self) -> Unit {
        match self {
            Self::Energy => Unit::KilowattHour,
            Self::Volume => Unit::CubicMetre,
            Self::Mass => Unit::Kilogram,
            Self::Duration => Unit::Second,
            Self::Calendar => Unit::Month,
            Self::Power => Unit::Watt,
            Self::VolumeFlow => Unit::CubicMetrePerHour,
            Self::Pressure => Unit::Bar,
            Self::ReactiveEnergy => Unit::KilovarHour,
            Self::ApparentEnergy => Unit::KilovoltAmpereHour,
            Self::ReactivePower => Unit::Var,
            Self::ApparentPower => Unit::VoltAmpere,
            Self::Frequency => Unit::Hertz,
            Self::Voltage => Unit::Volt,
            Self::Current => Unit::Ampere,
        }
    }
}

/// Each unit that converts to others: its size, mantissa and power of ten, in the base unit of its dimension,
/// which is chosen so that every size has an exact decimal.
#[rustfmt::skip]
pub(super) const SIZES: &[(Unit, Dimension, i128, i8)] = &[
    // base: J; the thermochemical calorie is 4.184 J by definition
    (Unit::Joule, Dimension::Energy, 1, 0),
    (Unit::Kilojoule, Dimension::Energy, 1, 3),
    (Unit::Megajoule, Dimension::Energy, 1, 6),
    (Unit::Gigajoule, Dimension::Energy, 1, 9),
    (Unit::MilliwattHour, Dimension::Energy, 3600, -3),
    (Unit::WattHour, Dimension::Energy, 3600, 0),
    (Unit::KilowattHour, Dimension::Energy, 3600, 3),
    (Unit::MegawattHour, Dimension::Energy, 3600, 6),
    (Unit::GigawattHour, Dimension::Energy, 3600, 9),
    (Unit::TerawattHour, Dimension::Energy, 3600, 12),
    (Unit::Calorie, Dimension::Energy, 4184, -3),
    (Unit::Kilocalorie, Dimension::Energy, 4184, 0),
    (Unit::Megacalorie, Dimension::Energy, 4184, 3),
    (Unit::Gigacalorie, Dimension::Energy, 4184, 6),
    // base: m³; the foot is 0.3048 m, the US gallon 231 cubic inches of 25.4 mm, 128 fluid ounces
    (Unit::CubicMetre, Dimension::Volume, 1, 0),
    (Unit::Litre, Dimension::Volume, 1, -3),
    (Unit::Millilitre, Dimension::Volume, 1, -6),
    (Unit::CubicFoot, Dimension::Volume, CUBIC_FOOT, -12),
    (Unit::HundredCubicFeet, Dimension::Volume, CUBIC_FOOT, -10),
    (Unit::ThousandCubicFeet, Dimension::Volume, CUBIC_FOOT, -9),
    (Unit::UsGallon, Dimension::Volume, US_GALLON, -12),
    (Unit::UsFluidOunce, Dimension::Volume, 295_735_295_625, -16),
    // base: kg; the pound is 0.45359237 kg by definition, 16 ounces
    (Unit::Kilogram, Dimension::Mass, 1, 0),
    (Unit::Gram, Dimension::Mass, 1, -3),
    (Unit::Milligram, Dimension::Mass, 1, -6),
    (Unit::Microgram, Dimension::Mass, 1, -9),
    (Unit::Pound, Dimension::Mass, 45_359_237, -8),
    (Unit::Ounce, Dimension::Mass, 28_349_523_125, -12),
    (Unit::Stone, Dimension::Mass, 45_359_237 * 14, -8),
    (Unit::Microsecond, Dimension::Duration, 1, -6),
    (Unit::Millisecond, Dimension::Duration, 1, -3),
    (Unit::Second, Dimension::Duration, 1, 0),
    (Unit::Minute, Dimension::Duration, 60, 0),
    (Unit::Hour, Dimension::Duration, 3600, 0),
    (Unit::Day, Dimension::Duration, 86_400, 0),
    (Unit::Month, Dimension::Calendar, 1, 0),
    (Unit::Year, Dimension::Calendar, 12, 0),
    // base: J/h
    (Unit::JoulePerHour, Dimension::Power, 1, 0),
    (Unit::Milliwatt, Dimension::Power, 3600, -3),
    (Unit::Watt, Dimension::Power, 3600, 0),
    (Unit::Kilowatt, Dimension::Power, 3600, 3),
    (Unit::Megawatt, Dimension::Power, 3600, 6),
    (Unit::Gigawatt, Dimension::Power, 3600, 9),
    (Unit::Terawatt, Dimension::Power, 3600, 12),
    // base: m³/d
    (Unit::CubicMetrePerHour, Dimension::VolumeFlow, 24, 0),
    (Unit::CubicMetrePerMinute, Dimension::VolumeFlow, 1440, 0),
    (Unit::CubicMetrePerSecond, Dimension::VolumeFlow, 86_400, 0),
    (Unit::LitrePerHour, Dimension::VolumeFlow, 24, -3),
    (Unit::LitrePerMinute, Dimension::VolumeFlow, 1440, -3),
    (Unit::LitrePerSecond, Dimension::VolumeFlow, 86_400, -3),
    (Unit::MillilitrePerSecond, Dimension::VolumeFlow, 86_400, -6),
    (Unit::CubicFootPerMinute, Dimension::VolumeFlow, CUBIC_FOOT * 1440, -12),
    (Unit::UsGallonPerDay, Dimension::VolumeFlow, US_GALLON, -12),
    (Unit::UsGallonPerHour, Dimension::VolumeFlow, US_GALLON * 24, -12),
    (Unit::UsGallonPerMinute, Dimension::VolumeFlow, US_GALLON * 1440, -12),
    // base: N on a square inch of 25.4 mm; the pound-force is 0.45359237 kg × 9.80665 m/s²; mercury of
    // 13595.1 kg/m³ and water of 1000 kg/m³ under that gravity, as the conventional columns are defined
    (Unit::Pascal, Dimension::Pressure, SQUARE_INCH, -8),
    (Unit::Millipascal, Dimension::Pressure, SQUARE_INCH, -11),
    (Unit::Hectopascal, Dimension::Pressure, SQUARE_INCH, -6),
    (Unit::Kilopascal, Dimension::Pressure, SQUARE_INCH, -5),
    (Unit::Millibar, Dimension::Pressure, SQUARE_INCH, -6),
    (Unit::Centibar, Dimension::Pressure, SQUARE_INCH, -5),
    (Unit::Bar, Dimension::Pressure, SQUARE_INCH, -3),
    (Unit::Atmosphere, Dimension::Pressure, SQUARE_INCH * 101_325, -8),
    (Unit::PoundPerSquareInch, Dimension::Pressure, 44_482_216_152_605, -13),
    (Unit::MillimetreOfMercury, Dimension::Pressure, SQUARE_INCH * 133_322_387_415, -17),
    (Unit::InchOfMercury, Dimension::Pressure, SQUARE_INCH * 3_386_388_640_341, -17),
    (Unit::InchOfWater, Dimension::Pressure, SQUARE_INCH * 24_908_891, -13),
    (Unit::VarHour, Dimension::ReactiveEnergy, 1, 0),
    (Unit::KilovarHour, Dimension::ReactiveEnergy, 1, 3),
    (Unit::VoltAmpereHour, Dimension::ApparentEnergy, 1, 0),
    (Unit::KilovoltAmpereHour, Dimension::ApparentEnergy, 1, 3),
    (Unit::Millivar, Dimension::ReactivePower, 1, -3),
    (Unit::Var, Dimension::ReactivePower, 1, 0),
    (Unit::Kilovar, Dimension::ReactivePower, 1, 3),
    (Unit::MillivoltAmpere, Dimension::ApparentPower, 1, -3),
    (Unit::VoltAmpere, Dimension::ApparentPower, 1, 0),
    (Unit::KilovoltAmpere, Dimension::ApparentPower, 1, 3),
    (Unit::Millihertz, Dimension::Frequency, 1, -3),
    (Unit::Hertz, Dimension::Frequency, 1, 0),
    (Unit::Kilohertz, Dimension::Frequency, 1, 3),
    (Unit::Megahertz, Dimension::Frequency, 1, 6),
    (Unit::Gigahertz, Dimension::Frequency, 1, 9),
    (Unit::Microvolt, Dimension::Voltage, 1, -6),
    (Unit::Millivolt, Dimension::Voltage, 1, -3),
    (Unit::Volt, Dimension::Voltage, 1, 0),
    (Unit::Kilovolt, Dimension::Voltage, 1, 3),
    (Unit::Megavolt, Dimension::Voltage, 1, 6),
    (Unit::Microampere, Dimension::Current, 1, -6),
    (Unit::Milliampere, Dimension::Current, 1, -3),
    (Unit::Ampere, Dimension::Current, 1, 0),
];

/// ft³ in 10^-12 m³.
const CUBIC_FOOT: i128 = 28_316_846_592;
/// US gallon in 10^-12 m³.
const US_GALLON: i128 = 3_785_411_784;
/// Square inch in 10^-8 m².
const SQUARE_INCH: i128 = 64_516;

/// Size of a unit in the base unit of its dimension; `None` where nothing converts to it.
pub(super) fn size(unit: Unit) -> Option<(Dimension, Decimal)> {
    let (_, dimension, mantissa, exponent) = SIZES.iter().find(|(sized, ..)| *sized == unit)?;
    Some((*dimension, Decimal::new(*mantissa, *exponent)))
}
