//! Readings for tests.

use std::time::SystemTime;

use crate::mbus::application::quantity::{Function, Known, Quantity};
use crate::measure::profile::Presentation;
use crate::measure::{Device, Measured, Measurement, Reading, unit};

/// A reading of a meter `heat` with no header, at the epoch.
pub(crate) fn reading(measurements: Vec<Measurement>) -> Reading {
    Reading {
        meter: "heat".to_owned(),
        due_at: None,
        read_at: SystemTime::UNIX_EPOCH,
        clock_synced: None,
        device: Device { identity: None, address: 1, access_number: 0, status: Vec::new() },
        measurements,
        errors: Vec::new(),
        manufacturer_data: Vec::new(),
        unnamed: 0,
        telegrams: Vec::new(),
        labels: std::collections::BTreeMap::new(),
    }
}

/// A plain number in the usual unit of its quantity.
pub(crate) fn number(key: &str, quantity: Known, value: &str) -> Measurement {
    use crate::mbus::application::quantity::Unit;
    let counted = match quantity {
        Known::Energy => Unit::WattHour,
        Known::Volume => Unit::CubicMetre,
        Known::Power => Unit::Watt,
        Known::FlowTemperature => Unit::Celsius,
        Known::TemperatureDifference => Unit::Kelvin,
        _ => Unit::None,
    };
    Measurement {
        key: key.to_owned(),
        quantity: Quantity::Known(quantity),
        value: Measured::Number(value.parse().expect("a decimal")),
        unit: unit::published(counted),
        function: Function::Instantaneous,
        storage_number: 0,
        tariff: 0,
        subunit: 0,
        modifiers: Vec::new(),
        digits: None,
        plausible: true,
        presentation: Presentation::default(),
    }
}
