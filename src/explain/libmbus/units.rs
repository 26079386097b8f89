//! What libmbus calls each unit, medium and fixed data code; its spelling, slips included.

/// The `Unit` of a VIF, without its extension bit where a table row is meant.
pub(super) fn primary(vif: u8) -> String {
    let nnn = i32::from(vif & 0x07);
    let nn = i32::from(vif & 0x03);
    match vif & 0x7F {
        0x00..=0x07 => format!("Energy ({}Wh)", prefix(nnn - 3)),
        0x08..=0x0F => format!("Energy ({}J)", prefix(nnn)),
        0x10..=0x17 => format!("Volume ({} m^3)", prefix(nnn - 6)),
        0x18..=0x1F => format!("Mass ({}kg)", prefix(nnn - 3)),
        0x20..=0x23 => format!("On time ({}s)", unit_of_time(vif)),
        0x24..=0x27 => format!("Operating time ({}s)", unit_of_time(vif)),
        0x28..=0x2F => format!("Power ({}W)", prefix(nnn - 3)),
        0x30..=0x37 => format!("Power ({}J/h)", prefix(nnn)),
        0x38..=0x3F => format!("Volume flow ({} m^3/h)", prefix(nnn - 6)),
        0x40..=0x47 => format!("Volume flow ({} m^3/min)", prefix(nnn - 7)),
        0x48..=0x4F => format!("Volume flow ({} m^3/s)", prefix(nnn - 9)),
        0x50..=0x57 => format!("Mass flow ({} kg/h)", prefix(nnn - 3)),
        0x58..=0x5B => format!("Flow temperature ({}deg C)", prefix(nn - 3)),
        0x5C..=0x5F => format!("Return temperature ({}deg C)", prefix(nn - 3)),
        0x60..=0x63 => format!("Temperature Difference ({} deg C)", prefix(nn - 3)),
        0x64..=0x67 => format!("External temperature ({} deg C)", prefix(nn - 3)),
        0x68..=0x6B => format!("Pressure ({} bar)", prefix(nn - 3)),
        0x6C => "Time Point (date)".to_owned(),
        0x6D => "Time Point (time & date)".to_owned(),
        0x6E => "Units for H.C.A.".to_owned(),
        0x6F => "Reserved".to_owned(),
        0x70..=0x73 => format!("Averaging Duration ({}s)", unit_of_time(vif)),
        0x74..=0x77 => format!("Actuality Duration ({}s)", unit_of_time(vif)),
        0x78 => "Fabrication number".to_owned(),
        0x7A => "Bus Address".to_owned(),
        0x7C => "Custom VIF".to_owned(),
        0x7F => "Manufacturer specific".to_owned(),
        _ => format!("Unknown (VIF=0x{vif:02X})"),
    }
}

/// The `Unit` of a VIFE after FB.
pub(super) fn table_fb(vife: u8) -> String {
    let code = vife & 0x7F;
    let (n, nn, nnn) = (i32::from(code & 0x01), i32::from(code & 0x03), i32::from(code & 0x07));
    let tenth = if n == 0 { "0.1 " } else { "" };
    match code {
        0x00..=0x01 => format!("Energy ({tenth}MWh)"),
        0x08..=0x09 => format!("Energy ({tenth}GJ)"),
        0x10..=0x11 => format!("Volume ({}m3)", prefix(n + 2)),
        0x18..=0x19 => format!("Mass ({}t)", prefix(n + 2)),
        0x21 => "Volume (0.1 feet^3)".to_owned(),
        0x22..=0x23 => format!("Volume ({tenth}american gallon)"),
        0x24 => "Volume flow (0.001 american gallon/min)".to_owned(),
        0x25 => "Volume flow (american gallon/min)".to_owned(),
        0x26 => "Volume flow (american gallon/h)".to_owned(),
        0x28..=0x29 => format!("Power ({tenth}MW)"),
        0x30..=0x31 => format!("Power ({tenth}GJ/h)"),
        0x58..=0x5B => format!("Flow Temperature ({} degree F)", prefix(nn - 3)),
        0x5C..=0x5F => format!("Return Temperature ({} degree F)", prefix(nn - 3)),
        0x60..=0x63 => format!("Temperature Difference ({} degree F)", prefix(nn - 3)),
        0x64..=0x67 => format!("External Temperature ({} degree F)", prefix(nn - 3)),
        0x70..=0x73 => format!("Cold / Warm Temperature Limit ({} degree F)", prefix(nn - 3)),
        0x74..=0x77 => format!("Cold / Warm Temperature Limit ({} degree C)", prefix(nn - 3)),
        0x78..=0x7F => format!("cumul. count max power ({} W)", prefix(nnn - 3)),
        0x50..=0x51 => format!("Unrecognized VIF 0xFB extension: 0x{vife:02x}"),
        _ => format!("Reserved (0x{vife:02x})"),
    }
}

/// The `Unit` of a VIFE after FD.
pub(super) fn table_fd(vife: u8) -> String {
    let code = vife & 0x7F;
    let four = i32::from(code & 0x0F);
    let currency = |what: &str| {
        format!("{what} of {} of the nominal local legal currency units", prefix(i32::from(code & 0x03) - 3))
    };
    match code {
        0x00..=0x03 => currency("Credit"),
        0x04..=0x07 => currency("Debit"),
        0x24..=0x27 => format!("Storage interval {}(s)", unit_of_time(code)),
        0x2C..=0x2F => format!("Duration since last readout {}(s)", unit_of_time(code)),
        0x31..=0x33 => format!("Duration of tariff {}(s)", unit_of_time(code)),
        0x34..=0x37 => format!("Period of tariff {}(s)", unit_of_time(code)),
        0x40..=0x4F => format!("{} V", prefix(four - 9)),
        0x50..=0x5F => format!("{} A", prefix(four - 12)),
        0x68..=0x6B => format!("Duration since last cumulation {}(s)", long_unit_of_time(code)),
        0x6C..=0x6F => format!("Operating time battery {}(s)", long_unit_of_time(code)),
        _ => FD_WORDS
            .iter()
            .find(|(known, _)| *known == code)
            .map_or(if code >= 0x70 { "Reserved VIF extension" } else { "Reserved" }, |(_, words)| words)
            .to_owned(),
    }
}

/// By the two low bits of a code.
const fn unit_of_time(code: u8) -> &'static str {
    match code & 0x03 {
        0 => "second",
        1 => "minute",
        2 => "hour",
        _ => "day",
    }
}

/// The same, of long times.
const fn long_unit_of_time(code: u8) -> &'static str {
    match code & 0x03 {
        0 => "hour",
        1 => "day",
        2 => "month",
        _ => "year",
    }
}

/// Codes after FD that have one name.
const FD_WORDS: &[(u8, &str)] = &[
    (0x08, "Access Number (transmission count)"),
    (0x09, "Medium (as in fixed header)"),
    (0x0A, "Manufacturer (as in fixed header)"),
    (0x0B, "Parameter set identification"),
    (0x0C, "Model / Version"),
    (0x0D, "Hardware version"),
    (0x0E, "Firmware version"),
    (0x0F, "Software version"),
    (0x10, "Customer location"),
    (0x11, "Customer"),
    (0x12, "Access Code User"),
    (0x13, "Access Code Operator"),
    (0x14, "Access Code System Operator"),
    (0x15, "Access Code Developer"),
    (0x16, "Password"),
    (0x17, "Error flags"),
    (0x18, "Error mask"),
    (0x1A, "Digital output (binary)"),
    (0x1B, "Digital input (binary)"),
    (0x1C, "Baudrate"),
    (0x1D, "response delay time"),
    (0x1E, "Retry"),
    (0x20, "First storage # for cyclic storage"),
    (0x21, "Last storage # for cyclic storage"),
    (0x22, "Size of storage block"),
    (0x28, "Storage interval month(s)"),
    (0x29, "Storage interval year(s)"),
    (0x30, "Start (date/time) of tariff"),
    (0x38, "Period of tariff months(s)"),
    (0x39, "Period of tariff year(s)"),
    (0x3A, "dimensionless / no VIF"),
    (0x60, "Reset counter"),
    (0x61, "Cumulation counter"),
    (0x62, "Control signal"),
    (0x63, "Day of week"),
    (0x64, "Week number"),
    (0x65, "Time point of day change"),
    (0x66, "State of parameter activation"),
    (0x67, "Special supplier information"),
    (0x70, "Date and time of battery change"),
];

/// A power of ten as libmbus writes it before a unit.
pub(super) fn prefix(exponent: i32) -> String {
    match exponent {
        0 => String::new(),
        -3 => "m".to_owned(),
        -6 => "my".to_owned(),
        1 => "10 ".to_owned(),
        2 => "100 ".to_owned(),
        3 => "k".to_owned(),
        4 => "10 k".to_owned(),
        5 => "100 k".to_owned(),
        6 => "M".to_owned(),
        9 => "G".to_owned(),
        other => format!("1e{other} "),
    }
}

/// The `Medium` of a long header.
pub(super) fn medium(code: u8) -> String {
    let name = match code {
        0x00 => "Other",
        0x01 => "Oil",
        0x02 => "Electricity",
        0x03 => "Gas",
        0x04 => "Heat: Outlet",
        0x05 => "Steam",
        0x06 => "Warm water (30-90°C)",
        0x07 => "Water",
        0x08 => "Heat Cost Allocator",
        0x09 => "Compressed Air",
        0x0A => "Cooling load meter: Outlet",
        0x0B => "Cooling load meter: Inlet",
        0x0C => "Heat: Inlet",
        0x0D => "Heat / Cooling load meter",
        0x0E => "Bus/System",
        0x0F => "Unknown Medium",
        0x10 => "Irrigation Water",
        0x11 => "Water Logger",
        0x12 => "Gas Logger",
        0x13 => "Gas Converter",
        0x14 => "Calorific value",
        0x15 => "Hot water (>90°C)",
        0x16 => "Cold water",
        0x17 => "Dual water",
        0x18 => "Pressure",
        0x19 => "A/D Converter",
        0x1A => "Smoke Detector",
        0x1B => "Ambient Sensor",
        0x1C => "Gas Detector",
        0x20 => "Breaker: Electricity",
        0x21 => "Valve: Gas or Water",
        0x25 => "Customer Unit: Display Device",
        0x28 => "Waste Water",
        0x29 => "Garbage",
        0x30 => "Service Unit",
        0x36 => "Radio Converter: System",
        0x37 => "Radio Converter: Meter",
        0x22..=0x24 | 0x26..=0x27 | 0x2A..=0x2F | 0x31..=0x34 | 0x38..=0x3F => "Reserved",
        other => return format!("Unknown medium (0x{other:02x})"),
    };
    name.to_owned()
}

/// The `Medium` of fixed data, by the two high bits of both unit bytes.
pub(super) const FIXED_MEDIA: [&str; 16] = [
    "Other",
    "Oil",
    "Electricity",
    "Gas",
    "Heat",
    "Steam",
    "Hot Water",
    "Water",
    "H.C.A.",
    "Reserved",
    "Gas Mode 2",
    "Heat Mode 2",
    "Hot Water Mode 2",
    "Water Mode 2",
    "H.C.A. Mode 2",
    "Reserved",
];

/// The `Unit` of a counter of fixed data, by the six low bits of its unit byte. libmbus exchanges 0D
/// and 0E, 100 kJ and MJ (EN 1434-3 table 6); here they are right.
pub(super) fn fixed(code: u8) -> String {
    const STEPS: [(u8, &str); 18] = [
        (0x02, "Wh"),
        (0x05, "kWh"),
        (0x08, "MWh"),
        (0x0B, "kJ"),
        (0x0E, "MJ"),
        (0x11, "GJ"),
        (0x14, "W"),
        (0x17, "kW"),
        (0x1A, "MW"),
        (0x1D, "kJ/h"),
        (0x20, "MJ/h"),
        (0x23, "GJ/h"),
        (0x26, "ml"),
        (0x29, "l"),
        (0x2C, "m^3"),
        (0x2F, "ml/h"),
        (0x32, "l/h"),
        (0x35, "m^3/h"),
    ];
    match code & 0x3F {
        0x00 => "h,m,s".to_owned(),
        0x01 => "D,M,Y".to_owned(),
        0x38 => "1e-3 °C".to_owned(),
        0x39 => "units for HCA".to_owned(),
        0x3A..=0x3D => "reserved".to_owned(),
        0x3E => "reserved but historic".to_owned(),
        0x3F => "without units".to_owned(),
        code => {
            let (first, unit) = STEPS.into_iter().rev().find(|(first, _)| *first <= code).unwrap_or((0x02, "Wh"));
            let factor = match code - first {
                0 => "",
                1 => "10 ",
                _ => "100 ",
            };
            format!("{factor}{unit}")
        }
    }
}

/// The `Error` of an application error.
pub(super) fn application_error(code: u8) -> String {
    let name = match code {
        0x00 => "Unspecified error",
        0x01 => "Unimplemented CI-Field",
        0x02 => "Buffer too long, truncated",
        0x03 => "Too many records",
        0x04 => "Premature end of record",
        0x05 => "More than 10 DIFE´s",
        0x06 => "More than 10 VIFE´s",
        0x07 => "Reserved",
        0x08 => "Application busy",
        0x09 => "Too many readouts",
        other => return format!("Unknown error (0x{other:02X})"),
    };
    name.to_owned()
}
