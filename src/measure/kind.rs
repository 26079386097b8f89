//! What sort of value a quantity has: a number, the name of a thing, a date, bytes for somebody else.

use crate::mbus::application::quantity::{Known, Quantity};

/// Whether a record of this quantity is published as text: what names a thing, dates, raw bytes.
#[must_use]
pub fn is_text(quantity: Quantity, modifiers: &[&str]) -> bool {
    let moment = modifiers.iter().any(|m| *m == "start" || m.ends_with("_begin") || m.ends_with("_end"));
    let Quantity::Known(known) = quantity else { return moment };
    moment || is_label(known) || is_opaque(known) || is_moment(known)
}

/// What names a thing: kept digit by digit.
pub(crate) fn is_label(known: Known) -> bool {
    matches!(
        known,
        Known::FabricationNumber
            | Known::Identification
            | Known::Manufacturer
            | Known::ParameterSet
            | Known::Model
            | Known::HardwareVersion
            | Known::FirmwareVersion
            | Known::SoftwareVersion
            | Known::CustomerLocation
            | Known::Customer
    ) || is_secret(known)
}

/// What opens a meter: published only where it is asked for by name.
pub(crate) fn is_secret(known: Known) -> bool {
    matches!(
        known,
        Known::AccessCodeUser
            | Known::AccessCodeOperator
            | Known::AccessCodeSystemOperator
            | Known::AccessCodeDeveloper
            | Known::Password
            | Known::SecurityKey
    )
}

/// Bytes for somebody else.
pub(crate) fn is_opaque(known: Known) -> bool {
    matches!(
        known,
        Known::RadioContainer | Known::ManufacturerContainer | Known::ManufacturerSpecific | Known::AnyQuantity
    )
}

fn is_moment(known: Known) -> bool {
    matches!(known, Known::Date | Known::DateTime | Known::TariffStart | Known::BatteryChangeTime)
}
