//! What a record measures and in which unit, as the VIF tables of EN 13757-3 name them.
//!
//! The names are the first part of every published key, so they are never changed.

use core::fmt;

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[$vdoc])* $variant,)* }
        impl $type {
            /// Every variant, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The published spelling.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// The variant with this published spelling.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.name() == name)
            }
        }
    };
}

named! {
    /// A quantity that a VIF of the primary, FB or FD table names (mbus tables 10, 12, 14).
    #[allow(missing_docs, reason = "the published name beside each variant says it")]
    Known {
        // primary table
        Energy = "energy",
        Volume = "volume",
        Mass = "mass",
        OnTime = "on_time",
        OperatingTime = "operating_time",
        Power = "power",
        VolumeFlow = "volume_flow",
        MassFlow = "mass_flow",
        FlowTemperature = "flow_temperature",
        ReturnTemperature = "return_temperature",
        TemperatureDifference = "temperature_difference",
        ExternalTemperature = "external_temperature",
        Pressure = "pressure",
        Date = "date",
        DateTime = "date_time",
        HcaUnits = "hca_units",
        AveragingDuration = "averaging_duration",
        ActualityDuration = "actuality_duration",
        FabricationNumber = "fabrication_number",
        Identification = "identification",
        BusAddress = "bus_address",
        // table FB
        ReactiveEnergy = "reactive_energy",
        ApparentEnergy = "apparent_energy",
        ReactivePower = "reactive_power",
        ApparentPower = "apparent_power",
        RelativeHumidity = "relative_humidity",
        PhaseAngleVoltage = "phase_angle_voltage",
        PhaseAngleCurrent = "phase_angle_current",
        Frequency = "frequency",
        HcaRatingK = "hca_rating_k",
        HcaRatingKq = "hca_rating_kq",
        HcaRatingKc = "hca_rating_kc",
        HcaRatingKcr = "hca_rating_kcr",
        HcaRatingKch = "hca_rating_kch",
        HcaRatingKt = "hca_rating_kt",
        HcaRatingKd = "hca_rating_kd",
        TemperatureLimit = "temperature_limit",
        CumulativeMaximumPower = "cumulative_maximum_power",
        // table FD
        Credit = "credit",
        Debit = "debit",
        MessageId = "message_id",
        DeviceType = "device_type",
        Manufacturer = "manufacturer",
        ParameterSet = "parameter_set",
        Model = "model",
        HardwareVersion = "hardware_version",
        FirmwareVersion = "firmware_version",
        SoftwareVersion = "software_version",
        CustomerLocation = "customer_location",
        Customer = "customer",
        AccessCodeUser = "access_code_user",
        AccessCodeOperator = "access_code_operator",
        AccessCodeSystemOperator = "access_code_system_operator",
        AccessCodeDeveloper = "access_code_developer",
        Password = "password",
        ErrorFlags = "error_flags",
        ErrorMask = "error_mask",
        SecurityKey = "security_key",
        DigitalOutput = "digital_output",
        DigitalInput = "digital_input",
        BaudRate = "baud_rate",
        ResponseDelay = "response_delay",
        Retry = "retry",
        RemoteControl = "remote_control",
        FirstStorageNumber = "first_storage_number",
        LastStorageNumber = "last_storage_number",
        StorageBlockSize = "storage_block_size",
        TariffDescriptor = "tariff_descriptor",
        StorageInterval = "storage_interval",
        OperatorData = "operator_data",
        TimePointSecond = "time_point_second",
        DurationSinceReadout = "duration_since_readout",
        TariffStart = "tariff_start",
        TariffDuration = "tariff_duration",
        TariffPeriod = "tariff_period",
        Dimensionless = "dimensionless",
        RadioContainer = "radio_container",
        TransmissionPeriod = "transmission_period",
        Voltage = "voltage",
        Current = "current",
        ResetCounter = "reset_counter",
        CumulationCounter = "cumulation_counter",
        ControlSignal = "control_signal",
        DayOfWeek = "day_of_week",
        WeekNumber = "week_number",
        DayChangeTime = "day_change_time",
        ParameterActivation = "parameter_activation",
        SupplierInformation = "supplier_information",
        DurationSinceCumulation = "duration_since_cumulation",
        BatteryOperatingTime = "battery_operating_time",
        BatteryChangeTime = "battery_change_time",
        RfLevel = "rf_level",
        DaylightSaving = "daylight_saving",
        ListeningWindow = "listening_window",
        BatteryLife = "battery_life",
        MeterStops = "meter_stops",
        ManufacturerContainer = "manufacturer_container",
        SelectedApplication = "selected_application",
        // no table names these, the telegram does
        PlainText = "plain_text",
        ManufacturerSpecific = "manufacturer_specific",
        AnyQuantity = "any",
    }
}

/// What a record measures: a named quantity, or the code of one that no table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quantity {
    /// Found in a table.
    Known(Known),
    /// A reserved code: `table` is 0 (primary), 0xFB, 0xFD, 0xFDFD, 0xEF (the
    /// third table, still empty) or 0x73 (the units of the fixed structure); printed as `unknown_fd3f`.
    Unknown {
        /// The extension bytes that chose the table.
        table: u16,
        /// The VIF or true VIF without its extension bit.
        code: u8,
    },
}

impl From<Known> for Quantity {
    fn from(known: Known) -> Self {
        Self::Known(known)
    }
}

impl Quantity {
    /// The quantity that is printed as `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let Some(digits) = name.strip_prefix("unknown_") else { return Known::from_name(name).map(Self::Known) };
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [code, low, high, _] = number.to_le_bytes();
        let quantity = Self::Unknown { table: u16::from_le_bytes([low, high]), code };
        // only the one spelling: lower case, no superfluous zero, no sign
        (quantity.to_string() == name).then_some(quantity)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Known(known) => f.write_str(known.name()),
            Self::Unknown { table: 0, code } => write!(f, "unknown_{code:02x}"),
            Self::Unknown { table, code } => write!(f, "unknown_{table:x}{code:02x}"),
        }
    }
}

named! {
    /// The unit a value is counted in, in the spelling that is published, which is Home Assistant's. A table
    /// of the protocol has decimal multiples in the value's exponent; they are here for who publishes in them.
    #[allow(missing_docs, reason = "the symbol beside each variant says it")]
    Unit {
        None = "",
        WattHour = "Wh",
        KilowattHour = "kWh",
        MegawattHour = "MWh",
        GigawattHour = "GWh",
        TerawattHour = "TWh",
        MilliwattHour = "mWh",
        Joule = "J",
        Kilojoule = "kJ",
        Megajoule = "MJ",
        Gigajoule = "GJ",
        Calorie = "cal",
        Kilocalorie = "kcal",
        Megacalorie = "Mcal",
        Gigacalorie = "Gcal",
        CubicMetre = "m³",
        Litre = "L",
        Millilitre = "mL",
        CubicFoot = "ft³",
        HundredCubicFeet = "CCF",
        ThousandCubicFeet = "MCF",
        UsGallon = "gal",
        UsFluidOunce = "fl. oz.",
        Kilogram = "kg",
        Gram = "g",
        Milligram = "mg",
        Microgram = "μg",
        Pound = "lb",
        Ounce = "oz",
        Stone = "st",
        Second = "s",
        Millisecond = "ms",
        Microsecond = "μs",
        Minute = "min",
        Hour = "h",
        Day = "d",
        Month = "month",
        Year = "year",
        Watt = "W",
        Kilowatt = "kW",
        Megawatt = "MW",
        Gigawatt = "GW",
        Terawatt = "TW",
        Milliwatt = "mW",
        JoulePerHour = "J/h",
        CubicMetrePerHour = "m³/h",
        CubicMetrePerMinute = "m³/min",
        CubicMetrePerSecond = "m³/s",
        LitrePerHour = "L/h",
        LitrePerMinute = "L/min",
        LitrePerSecond = "L/s",
        MillilitrePerSecond = "mL/s",
        CubicFootPerMinute = "ft³/min",
        UsGallonPerMinute = "gal/min",
        UsGallonPerHour = "gal/h",
        UsGallonPerDay = "gal/d",
        KilogramPerHour = "kg/h",
        Celsius = "°C",
        Fahrenheit = "°F",
        Kelvin = "K",
        Bar = "bar",
        Centibar = "cbar",
        Millibar = "mbar",
        Pascal = "Pa",
        Hectopascal = "hPa",
        Kilopascal = "kPa",
        Millipascal = "mPa",
        Atmosphere = "atm",
        PoundPerSquareInch = "psi",
        MillimetreOfMercury = "mmHg",
        InchOfMercury = "inHg",
        InchOfWater = "inH₂O",
        HcaUnit = "HCU",
        VarHour = "varh",
        KilovarHour = "kvarh",
        VoltAmpereHour = "VAh",
        KilovoltAmpereHour = "kVAh",
        Var = "var",
        Kilovar = "kvar",
        Millivar = "mvar",
        VoltAmpere = "VA",
        KilovoltAmpere = "kVA",
        MillivoltAmpere = "mVA",
        Percent = "%",
        Degree = "°",
        Hertz = "Hz",
        Kilohertz = "kHz",
        Megahertz = "MHz",
        Gigahertz = "GHz",
        Millihertz = "mHz",
        Volt = "V",
        Millivolt = "mV",
        Microvolt = "μV",
        Kilovolt = "kV",
        Megavolt = "MV",
        Ampere = "A",
        Milliampere = "mA",
        Microampere = "μA",
        Baud = "Bd",
        BitTime = "bit times",
        DecibelMilliwatt = "dBm",
        Currency = "currency",
    }
}

named! {
    /// The function field of a DIF (EN 13757-3 table 5).
    Function {
        /// The value now, or accumulated up to now.
        Instantaneous = "instantaneous",
        /// The largest of a period.
        Maximum = "maximum",
        /// The smallest of a period.
        Minimum = "minimum",
        /// Measured while the meter was in error: no measurement.
        Error = "error",
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Quantity};

    #[test]
    fn a_quantity_reads_back_from_its_name() {
        let unknown = [(0, 0x6F), (0xFB, 0x02), (0xFD, 0x3F), (0xFDFD, 0x7F)];
        let unknown = unknown.map(|(table, code)| Quantity::Unknown { table, code });
        for quantity in Known::ALL.iter().copied().map(Quantity::Known).chain(unknown) {
            assert_eq!(Quantity::from_name(&quantity.to_string()), Some(quantity), "{quantity}");
        }
        for wrong in ["", "volumes", "unknown_", "unknown_+f", "unknown_FD3F", "unknown_1fdfd3f", "unknown_é"] {
            assert_eq!(Quantity::from_name(wrong), None, "{wrong}");
        }
    }
}
