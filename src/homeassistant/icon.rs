//! The icon of a measurement without a device class: Home Assistant would show an eye.
//!
//! Not here: icons of entities that are no measurements (`discovery::own`, `agent`).

use crate::mbus::application::quantity::{Known, Quantity};
use crate::measure::quantities::{Sort, row};

/// An icon of materialdesignicons.com that Home Assistant has.
pub(super) fn of(quantity: Quantity) -> &'static str {
    let Quantity::Known(known) = quantity else { return "mdi:help-circle-outline" };
    of_some(known).unwrap_or(match row(known).sort {
        Sort::Counter | Sort::Balance => "mdi:counter",
        Sort::Level => "mdi:gauge",
        Sort::Label | Sort::Secret => "mdi:text-box-outline",
        Sort::Moment => "mdi:calendar-clock",
        Sort::Opaque | Sort::Other => "mdi:numeric",
    })
}

/// What says more than the sort of value.
fn of_some(known: Known) -> Option<&'static str> {
    Some(match known {
        Known::HcaUnits
        | Known::HcaRatingK
        | Known::HcaRatingKq
        | Known::HcaRatingKc
        | Known::HcaRatingKcr
        | Known::HcaRatingKch
        | Known::HcaRatingKt
        | Known::HcaRatingKd => "mdi:radiator",
        Known::MassFlow => "mdi:weight-kilogram",
        Known::TemperatureDifference => "mdi:thermometer",
        Known::ReactiveEnergy | Known::ApparentEnergy => "mdi:meter-electric",
        Known::PhaseAngleVoltage | Known::PhaseAngleCurrent => "mdi:angle-acute",
        Known::FabricationNumber | Known::Identification => "mdi:identifier",
        Known::Manufacturer => "mdi:factory",
        Known::Model | Known::HardwareVersion | Known::FirmwareVersion | Known::SoftwareVersion => "mdi:chip",
        Known::Customer => "mdi:account",
        Known::CustomerLocation => "mdi:map-marker",
        Known::ErrorFlags | Known::ErrorMask => "mdi:alert-circle-outline",
        Known::DigitalInput | Known::DigitalOutput | Known::ControlSignal => "mdi:electric-switch",
        Known::Credit | Known::Debit => "mdi:cash",
        Known::DayOfWeek | Known::WeekNumber | Known::DayChangeTime | Known::DaylightSaving => "mdi:calendar",
        Known::BusAddress | Known::BaudRate | Known::ResponseDelay | Known::Retry => "mdi:tune-vertical",
        _ => return None,
    })
}
