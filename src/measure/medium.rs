//! What kind of thing a device type measures, as far as it decides how values are shown.
//!
//! Not here: the names of the device types (`mbus::medium`).

/// What a meter's values are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Water of any kind, and what logs it.
    Water,
    /// Gas, and what logs or converts it.
    Gas,
    /// Electricity.
    Electricity,
    /// Heat, cooling or both.
    Heat,
    /// Anything else.
    Other,
}

/// Whether a meter of this device type may run on a battery: those for electricity feed themselves.
#[must_use]
pub const fn may_have_battery(medium: u8) -> bool {
    !matches!(kind(medium), Kind::Electricity)
}

/// The kind of a device type.
#[must_use]
pub const fn kind(medium: u8) -> Kind {
    match medium {
        0x06 | 0x07 | 0x10 | 0x11 | 0x15..=0x17 | 0x28 => Kind::Water,
        0x03 | 0x12 | 0x13 => Kind::Gas,
        0x02 => Kind::Electricity,
        0x04 | 0x0A..=0x0D => Kind::Heat,
        _ => Kind::Other,
    }
}
