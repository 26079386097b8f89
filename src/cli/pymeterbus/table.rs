//! What pyMeterBus 0.8.1 makes of a VIF code: factor, unit and type under its own names, with its
//! own gaps (table FB) and slips (FB 79, FD 31 to 33).

use super::float::power_of_ten;

/// What a code means to pyMeterBus.
pub(super) struct Meaning {
    /// The value is multiplied by it; `None` is the integer 1.
    pub(super) factor: Option<f64>,
    /// As printed.
    pub(super) unit: String,
    /// As printed.
    pub(super) kind: String,
}

/// By code: primary 000 to 07F, table FD 100 to 17F, table FB 200 to 27F.
pub(super) fn meaning(code: u16) -> Meaning {
    let (factor, unit, kind) = match code {
        0x000..0x100 => primary(code),
        0x100..0x200 => table_fd(code & 0x7F),
        _ => return table_fb(code & 0x7F),
    };
    let prefix = if code < 0x100 { "VIFUnit" } else { "VIFUnitExt" };
    Meaning { factor: Some(factor), unit: format!("MeasureUnit.{unit}"), kind: format!("{prefix}.{kind}") }
}

type Row = (f64, &'static str, &'static str);

/// 10^(`exponent` + low bits of the code under `mask`).
fn decade(code: u16, mask: u16, exponent: i32) -> f64 {
    power_of_ten(exponent + i32::from(code & mask))
}

/// Seconds of a unit of time: s, min, h, d, month, year.
fn seconds(unit: u16) -> f64 {
    [1.0, 60.0, 3600.0, 86_400.0, 2_629_743.83].get(usize::from(unit)).copied().unwrap_or(31_556_926.0)
}

fn primary(code: u16) -> Row {
    match code {
        0x00..=0x07 => (decade(code, 7, -3), "WH", "ENERGY_WH"),
        0x08..=0x0F => (decade(code, 7, 0), "J", "ENERGY_J"),
        0x10..=0x17 => (decade(code, 7, -6), "M3", "VOLUME"),
        0x18..=0x1F => (decade(code, 7, -3), "KG", "MASS"),
        0x20..=0x23 => (seconds(code & 3), "SECONDS", "ON_TIME"),
        0x24..=0x27 => (seconds(code & 3), "SECONDS", "OPERATING_TIME"),
        0x28..=0x2F => (decade(code, 7, -3), "W", "POWER_W"),
        0x30..=0x37 => (decade(code, 7, 0), "J_H", "POWER_J_H"),
        0x38..=0x3F => (decade(code, 7, -6), "M3_H", "VOLUME_FLOW"),
        0x40..=0x47 => (decade(code, 7, -7), "M3_MIN", "VOLUME_FLOW_EXT"),
        0x48..=0x4F => (decade(code, 7, -9), "M3_S", "VOLUME_FLOW_EXT_S"),
        0x50..=0x57 => (decade(code, 7, -3), "KG_H", "MASS_FLOW"),
        0x58..=0x5B => (decade(code, 3, -3), "C", "FLOW_TEMPERATURE"),
        0x5C..=0x5F => (decade(code, 3, -3), "C", "RETURN_TEMPERATURE"),
        0x60..=0x63 => (decade(code, 3, -3), "K", "TEMPERATURE_DIFFERENCE"),
        0x64..=0x67 => (decade(code, 3, -3), "C", "EXTERNAL_TEMPERATURE"),
        0x68..=0x6B => (decade(code, 3, -3), "BAR", "PRESSURE"),
        0x6C => (1.0, "DATE", "DATE"),
        0x6D => (1.0, "DATE_TIME", "DATE_TIME_GENERAL"),
        0x6E => (1.0, "HCA", "UNITS_FOR_HCA"),
        0x6F => (0.0, "NONE", "RES_THIRD_VIFE_TABLE"),
        0x70..=0x73 => (seconds(code & 3), "SECONDS", "AVG_DURATION"),
        0x74..=0x77 => (seconds(code & 3), "SECONDS", "ACTUALITY_DURATION"),
        0x78 => (1.0, "NONE", "FABRICATION_NO"),
        0x79 => (1.0, "NONE", "IDENTIFICATION"),
        0x7A => (1.0, "NONE", "ADDRESS"),
        0x7F => (1.0, "NONE", "MANUFACTURER_SPEC"),
        _ => (1.0, "NONE", "ANY_VIF"),
    }
}

fn table_fd(code: u16) -> Row {
    let (unit, kind) = match code {
        0x00..=0x03 => return (decade(code, 3, -3), "CURRENCY", "CURRENCY_CREDIT"),
        0x04..=0x07 => return (decade(code, 3, -3), "CURRENCY", "CURRENCY_DEBIT"),
        0x24..=0x29 => return (seconds(code - 0x24), "SECONDS", "STORAGE_INTERVAL"),
        0x2C..=0x2F => return (seconds(code - 0x2C), "SECONDS", "DURATION_SINCE_LAST_READOUT"),
        0x31..=0x33 => return (seconds(code - 0x30), "SECONDS", "STORAGE_INTERVAL"),
        0x34..=0x39 => return (seconds(code - 0x34), "SECONDS", "PERIOD_OF_TARIFF"),
        0x40..=0x4F => return (decade(code, 15, -9), "V", "VOLTS"),
        0x50..=0x5F => return (decade(code, 15, -12), "A", "AMPERE"),
        0x68..=0x6B => return (seconds(code - 0x66), "SECONDS", "DURATION_SINCE_LAST_CUMULATION"),
        0x6C..=0x6F => return (seconds(code - 0x6A), "SECONDS", "OPERATING_TIME_BATTERY"),
        0x08 => ("NONE", "ACCESS_NUMBER"),
        0x09 => ("NONE", "MEDIUM"),
        0x0A => ("NONE", "MANUFACTURER"),
        0x0B => ("NONE", "PARAMETER_SET_ID"),
        0x0C => ("NONE", "MODEL_VERSION"),
        0x0D => ("NONE", "HARDWARE_VERSION"),
        0x0E => ("NONE", "FIRMWARE_VERSION"),
        0x0F => ("NONE", "SOFTWARE_VERSION"),
        0x10 => ("NONE", "CUSTOMER_LOCATION"),
        0x11 => ("NONE", "CUSTOMER"),
        0x12 => ("NONE", "ACCESS_CODE_USER"),
        0x13 => ("NONE", "ACCESS_CODE_OPERATOR"),
        0x14 => ("NONE", "ACCESS_CODE_SYSTEM_OPERATOR"),
        0x15 => ("NONE", "ACCESS_CODE_DEVELOPER"),
        0x16 => ("NONE", "PASSWORD"),
        0x17 => ("NONE", "ERROR_FLAGS"),
        0x18 => ("NONE", "ERROR_MASKS"),
        0x1A => ("NONE", "DIGITAL_OUTPUT"),
        0x1B => ("NONE", "DIGITAL_INPUT"),
        0x1C => ("BAUD", "BAUDRATE"),
        0x1D => ("BIT_TIMES", "RESPONSE_DELAY"),
        0x1E => ("NONE", "RETRY"),
        0x1F => ("NONE", "RESERVED_2"),
        0x20 => ("NONE", "FIRST_STORAGE_NR"),
        0x21 => ("NONE", "LAST_STORAGE_NR"),
        0x22 => ("NONE", "SIZE_OF_STORAGE_BLOCK"),
        0x23 => ("NONE", "RESERVED_3"),
        0x3A => ("NONE", "DIMENSIONLESS"),
        0x60 => ("NONE", "RESET_COUNTER"),
        0x61 => ("NONE", "CUMULATION_COUNTER"),
        0x62 => ("NONE", "CONTROL_SIGNAL"),
        0x63 => ("NONE", "DAY_OF_WEEK"),
        0x64 => ("NONE", "WEEK_NUMBER"),
        0x65 => ("NONE", "TIME_POINT_OF_DAY_CHANGE"),
        0x66 => ("NONE", "STATE_OF_PARAMETER_ACTIVATION"),
        0x67 => ("NONE", "SPECIAL_SUPPLIER_INFORMATION"),
        0x70 => ("NONE", "DATEAND_TIME_OF_BATTERY_CHANGE"),
        0x71 => ("DBM", "RSSI"),
        _ => ("NONE", "RESERVED"),
    };
    (1.0, unit, kind)
}

/// Its types are words here, and so are some of its units.
fn table_fb(code: u16) -> Meaning {
    const LIMIT: &str = "Cold / Warm Temperature Limit";
    let (factor, unit, kind) = match code {
        0x00..=0x01 => (decade(code, 1, 5), "MeasureUnit.WH", "Energy"),
        0x08..=0x09 => (decade(code, 1, 8), "Reserved", "Energy"),
        0x10..=0x11 => (decade(code, 1, 2), "MeasureUnit.M3", "Volume"),
        0x18..=0x19 => (decade(code, 1, 5), "MeasureUnit.KG", "Mass"),
        0x1A => (0.1, "MeasureUnit.PERCENT", "VIFUnitSecExt.RELATIVE_HUMIDITY"),
        0x21 => (0.1, "feet^3", "Volume"),
        0x22..=0x23 => (decade(code, 1, -1), "American gallon", "Volume"),
        0x24 => (0.001, "American gallon/min", "Volume flow"),
        0x25 => (1.0, "American gallon/min", "Volume flow"),
        0x26 => (1.0, "American gallon/h", "Volume flow"),
        0x28..=0x29 => (decade(code, 1, 5), "MeasureUnit.W", "Power"),
        0x30..=0x31 => (decade(code, 1, 8), "MeasureUnit.J", "Power"),
        0x58..=0x5B => (decade(code, 3, -3), "degF", "Flow temperature"),
        0x5C..=0x5F => (decade(code, 3, -3), "degF", "Return temperature"),
        0x60..=0x63 => (decade(code, 3, -3), "degF", "Temperature difference"),
        0x64..=0x67 => (decade(code, 3, -3), "degF", "External temperature"),
        0x70..=0x73 => (decade(code, 3, -3), "degF", LIMIT),
        0x74..=0x77 => (decade(code, 3, -3), "MeasureUnit.C", LIMIT),
        0x79 => (0.001, "MeasureUnit.W", "Cumul count max power"),
        0x78..=0x7F => (decade(code, 7, -3), "MeasureUnit.W", "Cumul count max power"),
        _ => (1.0, "Reserved", "Reserved"),
    };
    Meaning { factor: Some(factor), unit: unit.to_owned(), kind: kind.to_owned() }
}
