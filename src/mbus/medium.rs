//! Device types ("medium") of the long header by name (EN 13757-7 table 13).

/// The published name of a device type: `heat`, `water`, `cold_water` … Reserved codes are
/// `reserved`; their number distinguishes them.
#[must_use]
pub const fn name(code: u8) -> &'static str {
    match code {
        0x00 => "other",
        0x01 => "oil",
        0x02 => "electricity",
        0x03 => "gas",
        0x04 => "heat",
        0x05 => "steam",
        0x06 => "warm_water",
        0x07 => "water",
        0x08 => "heat_cost_allocator",
        0x09 => "compressed_air",
        0x0A => "cooling",
        0x0B => "cooling_inlet",
        0x0C => "heat_inlet",
        0x0D => "heat_cooling",
        0x0E => "bus_component",
        0x0F => "unknown",
        0x10 => "irrigation_water",
        0x11 => "water_logger",
        0x12 => "gas_logger",
        0x13 => "gas_converter",
        0x14 => "calorific_value",
        0x15 => "hot_water",
        0x16 => "cold_water",
        0x17 => "dual_water",
        0x18 => "pressure",
        0x19 => "ad_converter",
        0x1A => "smoke_detector",
        0x1B => "room_sensor",
        0x1C => "gas_detector",
        0x1D => "carbon_monoxide_alarm",
        0x1E => "heat_alarm",
        0x1F => "sensor",
        0x20 => "breaker",
        0x21 => "valve",
        0x25 => "customer_unit",
        0x28 => "waste_water",
        0x29 => "garbage",
        0x2A => "carbon_dioxide",
        0x31 => "communication_controller",
        0x32 => "unidirectional_repeater",
        0x33 => "bidirectional_repeater",
        0x36 => "radio_converter_system",
        0x37 => "radio_converter_meter",
        0x38 => "wired_adapter",
        _ => "reserved",
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn codes_that_are_often_confused_have_the_standards_names() {
        for (code, text) in [
            (0x04, "heat"),
            (0x06, "warm_water"),
            (0x0C, "heat_inlet"),
            (0x15, "hot_water"),
            (0x31, "communication_controller"),
            (0x37, "radio_converter_meter"),
            (0x40, "reserved"),
        ] {
            assert_eq!(name(code), text);
        }
    }
}
