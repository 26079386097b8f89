//! Combinable VIFEs: what changes the meaning of a value without changing what is measured
//! (EN 13757-3 table 15 and its extension behind FC, table 16).
//!
//! Their names become part of the published key, so they are never changed.

use crate::mbus::application::quantity::Unit;
use crate::mbus::application::vif::SHORT_TIMES;

/// One VIFE after the VIF, without its extension bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// From the table of combinable VIFEs.
    Combinable(u8),
    /// From the extension table behind FC.
    Extended(u8),
    /// After a manufacturer specific VIF or VIFE (FF): only the manufacturer knows.
    Manufacturer(u8),
}

/// What a modifier does to the data of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Says which value it is, no more.
    Names,
    /// The value is × 10^n.
    Shift(i8),
    /// 10^n units are to be added.
    Offset(i8),
    /// The data is a date or time instead of the quantity.
    Moment,
    /// The data is a duration in this unit instead of the quantity.
    Duration(Unit),
    /// The data is a count instead of the quantity.
    Count,
    /// The data is in the units of annex C instead of metric ones.
    NonMetric,
    /// The data is type C.
    Unsigned,
    /// The data is type D.
    Flags,
    /// The data is a series of values.
    Profile(ProfileKind),
    /// From a meter: the record has no usable value.
    Error(ReportedError),
}

/// The three ways to pack a series of values into one record (EN 13757-3 annex F).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProfileKind {
    /// VIFE 13: from the base value backwards in time.
    Inverse,
    /// VIFE 1F: from the base value on, with rising storage numbers.
    Forward,
    /// VIFE 1E: with register numbers.
    Registers,
}

/// Why a meter cannot deliver a record, in its own words (EN 13757-3 table 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReportedError(pub u8);

impl ReportedError {
    /// What the code means.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x01 => "too many DIFEs",
            0x02 => "storage number not implemented",
            0x03 => "unit number not implemented",
            0x04 => "tariff number not implemented",
            0x05 => "function not implemented",
            0x06 => "data class not implemented",
            0x07 => "data size not implemented",
            0x0B => "too many VIFEs",
            0x0C => "illegal VIF group",
            0x0D => "illegal VIF exponent",
            0x0E => "VIF and DIF do not match",
            0x0F => "unimplemented action",
            0x15 => "no data available",
            0x16 => "data overflow",
            0x17 => "data underflow",
            0x18 => "data error",
            0x1C => "premature end of record",
            _ => "reserved error code",
        }
    }
}

impl Modifier {
    /// The published name, such as `import`, `l1`, `lower_limit`. `None` for what only scales the
    /// value, changes its coding, or says that there is no error.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Combinable(code) => combinable_name(code),
            Self::Extended(code) => extended_name(code),
            Self::Manufacturer(code) => Some(hex_name(&MANUFACTURER, code)),
        }
    }

    /// The value is the balance of import and export.
    pub const IMPORT_MINUS_EXPORT: Self = Self::Extended(0x0C);
    /// Energy and the like that is taken from the grid.
    pub const IMPORT: Self = Self::Combinable(0x3B);
    /// What is given to the grid.
    pub const EXPORT: Self = Self::Combinable(0x3C);

    /// Whether only the manufacturer knows what it says.
    #[must_use]
    pub const fn is_manufacturers(self) -> bool {
        matches!(self, Self::Manufacturer(_) | Self::Combinable(0x7F))
    }

    /// Whether it only says which part of the quantity is counted, or how: a direction, a phase, a
    /// quadrant, a standard, other units. With any other one the value is something else (an average, a limit, a
    /// rate, a balance).
    #[must_use]
    pub const fn is_part(self) -> bool {
        match self {
            Self::Combinable(code) => matches!(code, 0x1D | 0x3A..=0x3F),
            Self::Extended(code) => matches!(code, 0x01..=0x0B | 0x10 | 0x14 | 0x15),
            Self::Manufacturer(_) => false,
        }
    }

    /// Whether the value is something about the quantity: a rate or pulse value, a limit, when and how long
    /// it was exceeded.
    #[must_use]
    pub const fn is_detail(self) -> bool {
        self.is_rate() || matches!(self, Self::Combinable(0x39 | 0x40..=0x67 | 0x6A | 0x6B | 0x6E | 0x6F))
    }

    /// Whether the value is divided or multiplied by something else, such as a time.
    #[must_use]
    pub const fn is_rate(self) -> bool {
        matches!(self, Self::Combinable(0x20..=0x38))
    }

    /// Whether the value is a date or time instead of the quantity.
    #[must_use]
    pub fn is_moment(self) -> bool {
        self.effect() == Effect::Moment
    }

    /// Whether it packs a series of values into the record.
    #[must_use]
    pub fn is_profile(self) -> bool {
        matches!(self.effect(), Effect::Profile(_))
    }

    pub(crate) fn effect(self) -> Effect {
        match self {
            Self::Combinable(code) => combinable_effect(code),
            Self::Extended(0x11) => Effect::Unsigned,
            Self::Extended(0x12) => Effect::Flags,
            Self::Extended(_) | Self::Manufacturer(_) => Effect::Names,
        }
    }
}

fn combinable_effect(code: u8) -> Effect {
    let unit = SHORT_TIMES.get(usize::from(code & 3)).copied().unwrap_or(Unit::Second);
    let low = |mask| i8::try_from(code & mask).unwrap_or(0);
    match code {
        0x01..=0x0F | 0x15..=0x1C => Effect::Error(ReportedError(code)),
        0x13 => Effect::Profile(ProfileKind::Inverse),
        0x1E => Effect::Profile(ProfileKind::Registers),
        0x1F => Effect::Profile(ProfileKind::Forward),
        0x39 | 0x42 | 0x43 | 0x46 | 0x47 | 0x4A | 0x4B | 0x4E | 0x4F | 0x6A | 0x6B | 0x6E | 0x6F => Effect::Moment,
        0x3D => Effect::NonMetric,
        0x41 | 0x49 => Effect::Count,
        0x50..=0x67 => Effect::Duration(unit),
        0x70..=0x77 => Effect::Shift(low(7) - 6),
        0x78..=0x7B => Effect::Offset(low(3) - 3),
        0x7D => Effect::Shift(3),
        _ => Effect::Names,
    }
}

fn combinable_name(code: u8) -> Option<&'static str> {
    Some(match code {
        // 00 is "no error"; the errors are reported as such; 70 to 77 and 7D are in the value
        0x00..=0x0F | 0x15..=0x1C | 0x70..=0x77 | 0x7C | 0x7D => return None,
        0x12 => "average",
        0x13 => "inverse_profile",
        0x14 => "relative_deviation",
        0x1D => "standard_conform",
        0x1E => "register_profile",
        0x1F => "profile",
        0x20 => "per_second",
        0x21 => "per_minute",
        0x22 => "per_hour",
        0x23 => "per_day",
        0x24 => "per_week",
        0x25 => "per_month",
        0x26 => "per_year",
        0x27 => "per_revolution",
        0x28 => "per_input_pulse_0",
        0x29 => "per_input_pulse_1",
        0x2A => "per_output_pulse_0",
        0x2B => "per_output_pulse_1",
        0x2C => "per_litre",
        0x2D => "per_m3",
        0x2E => "per_kg",
        0x2F => "per_kelvin",
        0x30 => "per_kwh",
        0x31 => "per_gj",
        0x32 => "per_kw",
        0x33 => "per_kelvin_litre",
        0x34 => "per_volt",
        0x35 => "per_ampere",
        0x36 => "times_second",
        0x37 => "times_second_per_volt",
        0x38 => "times_second_per_ampere",
        0x39 => "start",
        0x3A => "uncorrected",
        0x3B => "import",
        0x3C => "export",
        0x3D => "non_metric",
        0x3E => "base_conditions",
        0x3F => "obis",
        0x40..=0x6F => limit_name(code)?,
        0x78..=0x7B => "offset",
        0x7E => "future",
        0x7F => "manufacturer",
        _ => hex_name(&RESERVED, code),
    })
}

/// 40 to 6F: limits, and when and how long they were exceeded.
fn limit_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x40 => "lower_limit",
        0x48 => "upper_limit",
        0x41 => "lower_limit_exceed_count",
        0x49 => "upper_limit_exceed_count",
        0x42 => "lower_limit_exceed_first_begin",
        0x43 => "lower_limit_exceed_first_end",
        0x46 => "lower_limit_exceed_last_begin",
        0x47 => "lower_limit_exceed_last_end",
        0x4A => "upper_limit_exceed_first_begin",
        0x4B => "upper_limit_exceed_first_end",
        0x4E => "upper_limit_exceed_last_begin",
        0x4F => "upper_limit_exceed_last_end",
        0x50..=0x53 => "lower_limit_exceed_first_duration",
        0x54..=0x57 => "lower_limit_exceed_last_duration",
        0x58..=0x5B => "upper_limit_exceed_first_duration",
        0x5C..=0x5F => "upper_limit_exceed_last_duration",
        0x60..=0x63 => "first_duration",
        0x64..=0x67 => "last_duration",
        0x68 => "during_lower_limit_exceed",
        0x6C => "during_upper_limit_exceed",
        0x69 => "leakage",
        0x6D => "overflow",
        0x6A => "first_begin",
        0x6B => "first_end",
        0x6E => "last_begin",
        0x6F => "last_end",
        _ => hex_name(&RESERVED, code),
    })
}

fn extended_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x01 => "l1",
        0x02 => "l2",
        0x03 => "l3",
        0x04 => "neutral",
        0x05 => "l1_l2",
        0x06 => "l2_l3",
        0x07 => "l3_l1",
        0x08 => "q1",
        0x09 => "q2",
        0x0A => "q3",
        0x0B => "q4",
        0x0C => "import_minus_export",
        0x10 => "absolute",
        0x11 => return None,
        0x12 => "bits",
        0x14 => "from_partner",
        0x15 => "to_partner",
        _ => hex_name(&EXTENDED, code),
    })
}

fn hex_name(names: &'static [&'static str; 128], code: u8) -> &'static str {
    names.get(usize::from(code & 0x7F)).copied().unwrap_or("")
}

macro_rules! hex_names {
    ($prefix:literal) => { hex_names!($prefix; "0" "1" "2" "3" "4" "5" "6" "7") };
    ($prefix:literal; $($high:literal)*) => {
        [$(
            concat!($prefix, $high, "0"), concat!($prefix, $high, "1"), concat!($prefix, $high, "2"),
            concat!($prefix, $high, "3"), concat!($prefix, $high, "4"), concat!($prefix, $high, "5"),
            concat!($prefix, $high, "6"), concat!($prefix, $high, "7"), concat!($prefix, $high, "8"),
            concat!($prefix, $high, "9"), concat!($prefix, $high, "a"), concat!($prefix, $high, "b"),
            concat!($prefix, $high, "c"), concat!($prefix, $high, "d"), concat!($prefix, $high, "e"),
            concat!($prefix, $high, "f"),
        )*]
    };
}

/// Names of the codes that only a manufacturer knows.
static MANUFACTURER: [&str; 128] = hex_names!("manufacturer_");
/// Names of reserved combinable codes.
static RESERVED: [&str; 128] = hex_names!("vife_");
/// Names of reserved codes behind FC.
static EXTENDED: [&str; 128] = hex_names!("vife_fc");

#[cfg(test)]
mod tests {
    use super::{Effect, Modifier, Unit};
    use std::collections::HashMap;

    #[test]
    fn no_two_codes_that_mean_different_things_share_a_name() {
        let mut seen: HashMap<&str, Modifier> = HashMap::new();
        for code in 0..128 {
            for modifier in [Modifier::Combinable(code), Modifier::Extended(code), Modifier::Manufacturer(code)] {
                let Some(name) = modifier.name() else { continue };
                let before = seen.insert(name, modifier);
                // durations share a name over their four units, offsets over their powers of ten
                let group = name.ends_with("_duration") || name == "offset";
                assert!(before.is_none() || group, "{name}: {before:?} and {modifier:?}");
            }
        }
        assert_eq!(Modifier::Manufacturer(0x0A).name(), Some("manufacturer_0a"));
        assert_eq!(Modifier::Combinable(0x7D).name(), None);
    }

    #[test]
    fn names_agree_with_what_a_modifier_does() {
        let parts = "import export absolute from_partner to_partner l1 l2 l3 neutral l1_l2 l2_l3 l3_l1 q1 q2 q3 q4 \
                     uncorrected base_conditions standard_conform obis non_metric";
        for code in 0..128 {
            for modifier in [Modifier::Combinable(code), Modifier::Extended(code), Modifier::Manufacturer(code)] {
                let Some(name) = modifier.name() else { continue };
                assert_eq!(modifier.is_part(), parts.split(' ').any(|part| part == name), "{name}");
                assert_eq!(modifier.is_rate(), name.starts_with("per_") || name.starts_with("times_"), "{name}");
                let moment = name == "start" || name.ends_with("_begin") || name.ends_with("_end");
                assert_eq!(modifier.is_moment(), moment, "{name}");
            }
        }
        assert_eq!(Modifier::IMPORT_MINUS_EXPORT.name(), Some("import_minus_export"));
        assert_eq!(Modifier::IMPORT.name(), Some("import"));
    }

    #[test]
    fn limits_follow_the_bits_of_their_code() {
        for (code, name) in [
            (0x4E, "upper_limit_exceed_last_begin"),
            (0x4F, "upper_limit_exceed_last_end"),
            (0x6D, "overflow"),
            (0x6F, "last_end"),
        ] {
            assert_eq!(Modifier::Combinable(code).name(), Some(name));
        }
        assert_eq!(Modifier::Combinable(0x5E).effect(), Effect::Duration(Unit::Hour));
        assert_eq!(Modifier::Combinable(0x75).effect(), Effect::Shift(-1));
        assert_eq!(Modifier::Combinable(0x7D).effect(), Effect::Shift(3));
        assert_eq!(Modifier::Combinable(0x7B).effect(), Effect::Offset(0));
    }
}
