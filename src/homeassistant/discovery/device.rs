//! A meter as Home Assistant's device: its name, maker, model and versions.
//!
//! Not here: the agent's own device (`agent`), entities (`discovery`).

use serde_json::Value;

use super::super::document::Device;
use super::super::name;
use super::MeterDevice;
use crate::mbus::address::{Manufacturer, SecondaryAddress};
use crate::mbus::application::quantity::{Known, Quantity};
use crate::mbus::{maker, medium};
use crate::measure::profile::Product;
use crate::measure::{Measured, Measurement};

fn device_name(name: &str, title: Option<&str>) -> String {
    title.map_or_else(|| name::title(name), str::to_owned)
}

/// The document of a meter called `name` with the title that it has now.
pub(in crate::homeassistant) fn retitled(payload: &str, name: &str, title: Option<&str>) -> String {
    let document = serde_json::from_str(payload).ok().and_then(|mut document: Value| {
        let shown = document.pointer_mut("/dev/name")?;
        let wanted = device_name(name, title);
        (shown.as_str() != Some(&wanted)).then(|| *shown = wanted.into())?;
        Some(document.to_string())
    });
    document.unwrap_or_else(|| payload.to_owned())
}

/// Maker and model are what the meter says, else its profile, else the code of the maker and the medium.
pub(super) fn of_meter(meter: &MeterDevice<'_>, id: String, bridge: String, page: Option<&str>) -> Device {
    let identity = meter.identity;
    let named = |text: &String| text.chars().any(char::is_alphabetic);
    let product = |field: fn(&Product) -> &Option<String>| meter.product.and_then(|product| field(product).clone());
    let code = |code: Manufacturer| maker::name(code).map_or_else(|| code.to_string(), str::to_owned);
    let maker = said(meter, Known::Manufacturer).filter(named).or_else(|| product(|product| &product.maker));
    let model = said(meter, Known::Model).filter(named).or_else(|| product(|product| &product.model));
    let known = identity.filter(|identity| !identity.is_anonymous());
    let medium = identity.and_then(SecondaryAddress::known_medium);
    Device {
        ids: [id],
        name: device_name(meter.name, meter.title),
        mf: maker.or_else(|| known.map(|i| code(i.manufacturer()))),
        mdl: model.or_else(|| medium.map(model_of)),
        mdl_id: known.map(model_id),
        sw: said(meter, Known::FirmwareVersion).or_else(|| said(meter, Known::SoftwareVersion)),
        hw: said(meter, Known::HardwareVersion),
        sn: identity.map(|i| format!("{:08X}", i.id())),
        sa: meter.area.map(str::to_owned),
        cu: page.map(|page| format!("{page}/meter/{}", meter.name)),
        via_device: Some(meter.first_device.map_or(bridge, str::to_owned)),
    }
}

/// What a meter is by its device type alone.
fn model_of(medium: u8) -> String {
    match medium::name(medium) {
        "other" | "unknown" | "reserved" => "M-Bus meter".to_owned(),
        name => name::title(name),
    }
}

/// What tells models apart on the wire, as it stands in a secondary address: `KAM1D04`. The version byte is no
/// firmware: makers give a new one to a new model.
fn model_id(identity: SecondaryAddress) -> String {
    format!("{}{:02X}{:02X}", identity.manufacturer(), identity.version(), identity.medium())
}

/// A text that the meter says of itself, under the standard's code or one of its own that a rule names so.
fn said(meter: &MeterDevice<'_>, known: Known) -> Option<String> {
    let is_said =
        |m: &&Measurement| (m.quantity == Quantity::Known(known) || m.key == known.name()) && m.storage_number == 0;
    let Measured::Text(text) = &meter.measurements.iter().find(is_said)?.value else { return None };
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
