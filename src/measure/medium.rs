//! The device type of a meter, in words (EN 13757-7 table 13), and what kind of thing it measures.

/// What a meter's values are of, as far as it decides how they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cold, warm, hot, dual or waste water.
    Water,
    /// Gas.
    Gas,
    /// Electricity.
    Electricity,
    /// Heat, cooling or both.
    Heat,
    /// Anything else.
    Other,
}

/// The kind of a device type.
#[must_use]
pub const fn kind(medium: u8) -> Kind {
    match medium {
        0x06 | 0x07 | 0x10 | 0x15..=0x17 | 0x28 => Kind::Water,
        0x03 => Kind::Gas,
        0x02 => Kind::Electricity,
        0x04 | 0x0A..=0x0D => Kind::Heat,
        _ => Kind::Other,
    }
}

/// The published name of a device type; `unknown` for 0F, `reserved_3f` for one that no table names.
#[must_use]
pub fn name(medium: u8) -> String {
    let name = match medium {
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
        0x0E => "bus_system",
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
        _ => return format!("reserved_{medium:02x}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::name;
    use std::collections::BTreeSet;

    #[test]
    fn each_device_type_has_a_name_of_its_own() {
        let names: BTreeSet<String> = (0..=u8::MAX).map(name).collect();
        assert_eq!(names.len(), 256);
        assert_eq!(name(0x04), "heat");
        assert_eq!(name(0x3F), "reserved_3f");
    }
}
