//! The VIF tables: what a code measures, in which unit and with which power of ten
//! (EN 13757-3 tables 10, 12 and 14).
//!
//! Not here: the VIFEs that change a meaning (`vife`) and taking a block apart (`vib`).

use crate::mbus::application::quantity::{Known, Unit};

/// What a code of a table means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What is measured; `None`: a reserved code.
    pub quantity: Option<Known>,
    /// What is counted.
    pub unit: Unit,
    /// The value is the data × 10^`exponent` units.
    pub exponent: i8,
    /// How the data bytes become a value.
    pub kind: Kind,
}

/// How data bytes become a value, beyond what the DIF says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Binary data is a signed integer (type B).
    Signed,
    /// Binary data is an unsigned integer (type C).
    Unsigned,
    /// Binary data is a set of bits (type D).
    Flags,
    /// Binary data is a date or time; its length gives the type: 2 G, 3 J, 4 F, 6 I.
    Moment,
    /// Names a thing: BCD digits keep their leading zeros, binary data is unsigned.
    Label,
    /// The identification number, or the eight bytes of a secondary address.
    Identity,
    /// Two bytes are the three letters of a manufacturer; else as a label.
    Manufacturer,
    /// Unsigned integer in units of 2^-12: a rating factor.
    Twelfth,
    /// For another program: manufacturer specific data and reserved codes. Binary data is shown as a
    /// signed integer that has no marker of no value.
    Opaque,
    /// The same; data of variable length is another protocol's bytes, even where it looks like text.
    Container,
}

/// Passed on unchanged: the maker that gives the code a meaning chooses the coding, and its marker of no value.
pub(crate) const RESERVED: Meaning = Meaning { quantity: None, unit: Unit::None, exponent: 0, kind: Kind::Opaque };

/// The primary table, by VIF without its extension bit. 7B, 7D and 6F lead to other tables with
/// the bit and are reserved without it; 7C is followed by its unit in plain text.
pub const PRIMARY: [Meaning; 128] = {
    use Known as K;
    use Unit as U;
    let mut t = [RESERVED; 128];
    t = decades(t, 0x00, 8, K::Energy, U::WattHour, -3, Kind::Signed);
    t = decades(t, 0x08, 8, K::Energy, U::Joule, 0, Kind::Signed);
    t = decades(t, 0x10, 8, K::Volume, U::CubicMetre, -6, Kind::Signed);
    t = decades(t, 0x18, 8, K::Mass, U::Kilogram, -3, Kind::Signed);
    t = units(t, 0x20, K::OnTime, &SHORT_TIMES);
    t = units(t, 0x24, K::OperatingTime, &SHORT_TIMES);
    t = decades(t, 0x28, 8, K::Power, U::Watt, -3, Kind::Signed);
    t = decades(t, 0x30, 8, K::Power, U::JoulePerHour, 0, Kind::Signed);
    t = decades(t, 0x38, 8, K::VolumeFlow, U::CubicMetrePerHour, -6, Kind::Signed);
    t = decades(t, 0x40, 8, K::VolumeFlow, U::CubicMetrePerMinute, -7, Kind::Signed);
    t = decades(t, 0x48, 8, K::VolumeFlow, U::CubicMetrePerSecond, -9, Kind::Signed);
    t = decades(t, 0x50, 8, K::MassFlow, U::KilogramPerHour, -3, Kind::Signed);
    t = decades(t, 0x58, 4, K::FlowTemperature, U::Celsius, -3, Kind::Signed);
    t = decades(t, 0x5C, 4, K::ReturnTemperature, U::Celsius, -3, Kind::Signed);
    t = decades(t, 0x60, 4, K::TemperatureDifference, U::Kelvin, -3, Kind::Signed);
    t = decades(t, 0x64, 4, K::ExternalTemperature, U::Celsius, -3, Kind::Signed);
    t = decades(t, 0x68, 4, K::Pressure, U::Bar, -3, Kind::Signed);
    t = one(t, 0x6C, K::Date, U::None, Kind::Moment);
    t = one(t, 0x6D, K::DateTime, U::None, Kind::Moment);
    t = one(t, 0x6E, K::HcaUnits, U::HcaUnit, Kind::Signed);
    t = units(t, 0x70, K::AveragingDuration, &SHORT_TIMES);
    t = units(t, 0x74, K::ActualityDuration, &SHORT_TIMES);
    t = one(t, 0x78, K::FabricationNumber, U::None, Kind::Label);
    t = one(t, 0x79, K::Identification, U::None, Kind::Identity);
    t = one(t, 0x7A, K::BusAddress, U::None, Kind::Unsigned);
    t = one(t, 0x7C, K::PlainText, U::None, Kind::Signed);
    t = one(t, 0x7E, K::AnyQuantity, U::None, Kind::Signed);
    t = one(t, 0x7F, K::ManufacturerSpecific, U::None, Kind::Opaque);
    t
};

/// The table behind FB. 22 to 26, 58 to 67 and 70 to 73 are its rows until 2004, still met in
/// meters and reserved since.
pub const TABLE_FB: [Meaning; 128] = {
    use Known as K;
    use Unit as U;
    let mut t = [RESERVED; 128];
    t = decades(t, 0x00, 2, K::Energy, U::WattHour, 5, Kind::Signed);
    t = decades(t, 0x02, 2, K::ReactiveEnergy, U::VarHour, 3, Kind::Signed);
    t = decades(t, 0x04, 2, K::ApparentEnergy, U::VoltAmpereHour, 3, Kind::Signed);
    t = decades(t, 0x08, 2, K::Energy, U::Joule, 8, Kind::Signed);
    t = decades(t, 0x0C, 4, K::Energy, U::Calorie, 5, Kind::Signed);
    t = decades(t, 0x10, 2, K::Volume, U::CubicMetre, 2, Kind::Signed);
    t = decades(t, 0x14, 4, K::ReactivePower, U::Var, 0, Kind::Signed);
    t = decades(t, 0x18, 2, K::Mass, U::Kilogram, 5, Kind::Unsigned);
    t = decades(t, 0x1A, 2, K::RelativeHumidity, U::Percent, -1, Kind::Unsigned);
    t = one(t, 0x20, K::Volume, U::CubicFoot, Kind::Signed);
    t = decades(t, 0x21, 1, K::Volume, U::CubicFoot, -1, Kind::Signed);
    t = decades(t, 0x22, 2, K::Volume, U::UsGallon, -1, Kind::Signed);
    t = decades(t, 0x24, 1, K::VolumeFlow, U::UsGallonPerMinute, -3, Kind::Signed);
    t = one(t, 0x25, K::VolumeFlow, U::UsGallonPerMinute, Kind::Signed);
    t = one(t, 0x26, K::VolumeFlow, U::UsGallonPerHour, Kind::Signed);
    t = decades(t, 0x28, 2, K::Power, U::Watt, 5, Kind::Signed);
    t = decades(t, 0x2A, 1, K::PhaseAngleVoltage, U::Degree, -1, Kind::Signed);
    t = decades(t, 0x2B, 1, K::PhaseAngleCurrent, U::Degree, -1, Kind::Signed);
    t = decades(t, 0x2C, 4, K::Frequency, U::Hertz, -3, Kind::Signed);
    t = decades(t, 0x30, 2, K::Power, U::JoulePerHour, 8, Kind::Signed);
    t = decades(t, 0x34, 4, K::ApparentPower, U::VoltAmpere, 0, Kind::Signed);
    t = decades(t, 0x58, 4, K::FlowTemperature, U::Fahrenheit, -3, Kind::Signed);
    t = decades(t, 0x5C, 4, K::ReturnTemperature, U::Fahrenheit, -3, Kind::Signed);
    t = decades(t, 0x60, 4, K::TemperatureDifference, U::Fahrenheit, -3, Kind::Signed);
    t = decades(t, 0x64, 4, K::ExternalTemperature, U::Fahrenheit, -3, Kind::Signed);
    t = one(t, 0x68, K::HcaRatingK, U::None, Kind::Twelfth);
    t = one(t, 0x69, K::HcaRatingKq, U::Watt, Kind::Unsigned);
    t = one(t, 0x6A, K::HcaRatingKc, U::None, Kind::Twelfth);
    t = one(t, 0x6B, K::HcaRatingKcr, U::None, Kind::Twelfth);
    t = one(t, 0x6C, K::HcaRatingKch, U::None, Kind::Twelfth);
    t = one(t, 0x6D, K::HcaRatingKt, U::None, Kind::Twelfth);
    t = one(t, 0x6E, K::HcaRatingKd, U::None, Kind::Twelfth);
    t = decades(t, 0x70, 4, K::TemperatureLimit, U::Fahrenheit, -3, Kind::Signed);
    t = decades(t, 0x74, 4, K::TemperatureLimit, U::Celsius, -3, Kind::Signed);
    t = decades(t, 0x78, 8, K::CumulativeMaximumPower, U::Watt, -3, Kind::Signed);
    t
};

/// The table behind FD.
pub const TABLE_FD: [Meaning; 128] = {
    use Known as K;
    use Unit as U;
    let mut t = [RESERVED; 128];
    t = decades(t, 0x00, 4, K::Credit, U::Currency, -3, Kind::Signed);
    t = decades(t, 0x04, 4, K::Debit, U::Currency, -3, Kind::Signed);
    t = one(t, 0x08, K::MessageId, U::None, Kind::Unsigned);
    t = one(t, 0x09, K::DeviceType, U::None, Kind::Unsigned);
    t = one(t, 0x0A, K::Manufacturer, U::None, Kind::Manufacturer);
    t = one(t, 0x0B, K::ParameterSet, U::None, Kind::Label);
    t = one(t, 0x0C, K::Model, U::None, Kind::Label);
    t = one(t, 0x0D, K::HardwareVersion, U::None, Kind::Label);
    t = one(t, 0x0E, K::FirmwareVersion, U::None, Kind::Label);
    t = one(t, 0x0F, K::SoftwareVersion, U::None, Kind::Label);
    t = one(t, 0x10, K::CustomerLocation, U::None, Kind::Label);
    t = one(t, 0x11, K::Customer, U::None, Kind::Label);
    t = one(t, 0x12, K::AccessCodeUser, U::None, Kind::Label);
    t = one(t, 0x13, K::AccessCodeOperator, U::None, Kind::Label);
    t = one(t, 0x14, K::AccessCodeSystemOperator, U::None, Kind::Label);
    t = one(t, 0x15, K::AccessCodeDeveloper, U::None, Kind::Label);
    t = one(t, 0x16, K::Password, U::None, Kind::Label);
    t = one(t, 0x17, K::ErrorFlags, U::None, Kind::Flags);
    t = one(t, 0x18, K::ErrorMask, U::None, Kind::Unsigned);
    t = one(t, 0x19, K::SecurityKey, U::None, Kind::Unsigned);
    t = one(t, 0x1A, K::DigitalOutput, U::None, Kind::Flags);
    t = one(t, 0x1B, K::DigitalInput, U::None, Kind::Flags);
    t = one(t, 0x1C, K::BaudRate, U::Baud, Kind::Unsigned);
    t = one(t, 0x1D, K::ResponseDelay, U::BitTime, Kind::Unsigned);
    t = one(t, 0x1E, K::Retry, U::None, Kind::Signed);
    t = one(t, 0x1F, K::RemoteControl, U::None, Kind::Flags);
    t = one(t, 0x20, K::FirstStorageNumber, U::None, Kind::Unsigned);
    t = one(t, 0x21, K::LastStorageNumber, U::None, Kind::Unsigned);
    t = one(t, 0x22, K::StorageBlockSize, U::None, Kind::Unsigned);
    t = one(t, 0x23, K::TariffDescriptor, U::None, Kind::Unsigned);
    t = units(t, 0x24, K::StorageInterval, &LONG_TIMES);
    t = one(t, 0x2A, K::OperatorData, U::None, Kind::Signed);
    t = one(t, 0x2B, K::TimePointSecond, U::Second, Kind::Unsigned);
    t = times(t, 0x2C, K::DurationSinceReadout, &SHORT_TIMES, Kind::Unsigned);
    t = one(t, 0x30, K::TariffStart, U::None, Kind::Moment);
    t = times(t, 0x31, K::TariffDuration, &[U::Minute, U::Hour, U::Day], Kind::Unsigned);
    t = units(t, 0x34, K::TariffPeriod, &LONG_TIMES);
    t = one(t, 0x3A, K::Dimensionless, U::None, Kind::Signed);
    t = one(t, 0x3B, K::RadioContainer, U::None, Kind::Container);
    t = times(t, 0x3C, K::TransmissionPeriod, &SHORT_TIMES, Kind::Unsigned);
    t = decades(t, 0x40, 16, K::Voltage, U::Volt, -9, Kind::Signed);
    t = decades(t, 0x50, 16, K::Current, U::Ampere, -12, Kind::Signed);
    t = one(t, 0x60, K::ResetCounter, U::None, Kind::Signed);
    t = one(t, 0x61, K::CumulationCounter, U::None, Kind::Signed);
    t = one(t, 0x62, K::ControlSignal, U::None, Kind::Signed);
    t = one(t, 0x63, K::DayOfWeek, U::None, Kind::Signed);
    t = one(t, 0x64, K::WeekNumber, U::None, Kind::Signed);
    t = one(t, 0x65, K::DayChangeTime, U::None, Kind::Signed);
    t = one(t, 0x66, K::ParameterActivation, U::None, Kind::Unsigned);
    t = one(t, 0x67, K::SupplierInformation, U::None, Kind::Signed);
    t = units(t, 0x68, K::DurationSinceCumulation, &[U::Hour, U::Day, U::Month, U::Year]);
    t = units(t, 0x6C, K::BatteryOperatingTime, &[U::Hour, U::Day, U::Month, U::Year]);
    t = one(t, 0x70, K::BatteryChangeTime, U::None, Kind::Moment);
    t = one(t, 0x71, K::RfLevel, U::DecibelMilliwatt, Kind::Signed);
    // types K and L: their layout is not settled here, the data is passed on as it is
    t = one(t, 0x72, K::DaylightSaving, U::None, Kind::Opaque);
    t = one(t, 0x73, K::ListeningWindow, U::None, Kind::Opaque);
    t = one(t, 0x74, K::BatteryLife, U::Day, Kind::Unsigned);
    t = one(t, 0x75, K::MeterStops, U::None, Kind::Unsigned);
    t = one(t, 0x76, K::ManufacturerContainer, U::None, Kind::Container);
    t
};

/// The table behind FD FD.
pub const TABLE_FDFD: [Meaning; 128] = {
    use Known as K;
    use Unit as U;
    let mut t = [RESERVED; 128];
    t = one(t, 0x00, K::SelectedApplication, U::None, Kind::Unsigned);
    t = times(t, 0x02, K::BatteryLife, &[U::Month, U::Year], Kind::Unsigned);
    t
};

/// Units of time in the order of the low two bits of most duration codes.
pub(crate) const SHORT_TIMES: [Unit; 4] = [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day];
const LONG_TIMES: [Unit; 6] = [Unit::Second, Unit::Minute, Unit::Hour, Unit::Day, Unit::Month, Unit::Year];

/// The units in which the tables count a quantity, some of them more than once.
pub fn units_of(quantity: Known) -> impl Iterator<Item = Unit> {
    let tables = [&PRIMARY, &TABLE_FB, &TABLE_FD, &TABLE_FDFD].into_iter().flatten();
    tables.filter(move |meaning| meaning.quantity == Some(quantity)).map(|meaning| meaning.unit)
}

type Table = [Meaning; 128];

/// One code.
const fn one(table: Table, code: usize, quantity: Known, unit: Unit, kind: Kind) -> Table {
    decades(table, code, 1, quantity, unit, 0, kind)
}

/// `count` codes from `first`, each ten times the one before.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler alone, which refuses what is out of bounds")]
const fn decades(
    mut table: Table,
    first: usize,
    count: usize,
    quantity: Known,
    unit: Unit,
    mut exponent: i8,
    kind: Kind,
) -> Table {
    let mut n = 0;
    while n < count {
        table[first + n] = Meaning { quantity: Some(quantity), unit, exponent, kind };
        exponent += 1;
        n += 1;
    }
    table
}

/// Codes from `first`, one for each unit, signed.
const fn units(table: Table, first: usize, quantity: Known, units: &[Unit]) -> Table {
    times(table, first, quantity, units, Kind::Signed)
}

/// Codes from `first`, one for each unit.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler alone, which refuses what is out of bounds")]
const fn times(mut table: Table, first: usize, quantity: Known, units: &[Unit], kind: Kind) -> Table {
    let mut n = 0;
    while n < units.len() {
        table = one(table, first + n, quantity, units[n], kind);
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{Known, PRIMARY, TABLE_FB, TABLE_FD, Unit};

    #[test]
    fn codes_at_the_ends_of_groups_have_the_power_the_standard_gives() {
        for (table, code, quantity, unit, exponent) in [
            (&PRIMARY, 0x07, Known::Energy, Unit::WattHour, 4),
            (&PRIMARY, 0x0F, Known::Energy, Unit::Joule, 7),
            (&PRIMARY, 0x17, Known::Volume, Unit::CubicMetre, 1),
            (&PRIMARY, 0x1F, Known::Mass, Unit::Kilogram, 4),
            (&PRIMARY, 0x23, Known::OnTime, Unit::Day, 0),
            (&PRIMARY, 0x2B, Known::Power, Unit::Watt, 0),
            (&PRIMARY, 0x37, Known::Power, Unit::JoulePerHour, 7),
            (&PRIMARY, 0x47, Known::VolumeFlow, Unit::CubicMetrePerMinute, 0),
            (&PRIMARY, 0x4F, Known::VolumeFlow, Unit::CubicMetrePerSecond, -2),
            (&PRIMARY, 0x63, Known::TemperatureDifference, Unit::Kelvin, 0),
            (&TABLE_FB, 0x01, Known::Energy, Unit::WattHour, 6),
            (&TABLE_FB, 0x03, Known::ReactiveEnergy, Unit::VarHour, 4),
            (&TABLE_FB, 0x0F, Known::Energy, Unit::Calorie, 8),
            (&TABLE_FB, 0x17, Known::ReactivePower, Unit::Var, 3),
            (&TABLE_FB, 0x2B, Known::PhaseAngleCurrent, Unit::Degree, -1),
            (&TABLE_FB, 0x2F, Known::Frequency, Unit::Hertz, 0),
            (&TABLE_FB, 0x31, Known::Power, Unit::JoulePerHour, 9),
            (&TABLE_FD, 0x48, Known::Voltage, Unit::Volt, -1),
            (&TABLE_FD, 0x5C, Known::Current, Unit::Ampere, 0),
            (&TABLE_FD, 0x33, Known::TariffDuration, Unit::Day, 0),
            (&TABLE_FD, 0x39, Known::TariffPeriod, Unit::Year, 0),
            (&TABLE_FD, 0x6F, Known::BatteryOperatingTime, Unit::Year, 0),
        ] {
            let meaning = table[code];
            assert_eq!(
                (meaning.quantity, meaning.unit, meaning.exponent),
                (Some(quantity), unit, exponent),
                "{code:02X}"
            );
        }
    }

    #[test]
    fn reserved_codes_name_nothing() {
        for code in [0x6F, 0x7B, 0x7D] {
            assert_eq!(PRIMARY[code].quantity, None);
        }
        for code in [0x06, 0x12, 0x27, 0x38, 0x57, 0x6F] {
            assert_eq!(TABLE_FB[code].quantity, None);
        }
        assert!(TABLE_FD[0x77..].iter().all(|m| m.quantity.is_none()));
    }
}
