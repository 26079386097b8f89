//! Rules that name, scale, hide or dress up the records of a meter model: a user's
//! `[[meter.record]]`, a user's `[[profile]]`, or a built-in profile.

use crate::mbus::address::Manufacturer;
use crate::mbus::decimal::Decimal;
use crate::mbus::quantity::{Function, Quantity, Unit};

/// The rules of one meter model.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// `[a-z0-9_]`, what `profile = "…"` names.
    pub name: String,
    /// What it is for, in words.
    pub title: String,
    /// Which meters it is for; `None` fields match any. No field at all: only by name.
    pub manufacturer: Option<Manufacturer>,
    /// The header's version.
    pub version: Option<u8>,
    /// The header's device type.
    pub medium: Option<u8>,
    /// Tried in order; the first that selects a record is used.
    pub records: Vec<RecordRule>,
}

/// One rule: which records, and what to do with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordRule {
    /// Which records.
    pub select: Selector,
    /// Published key instead of the one made from the record; where the rule selects several
    /// records they get `_1`, `_2` … when the key ends in `_N`.
    pub key: Option<String>,
    /// Unit to publish; an exact conversion where there is one.
    pub unit: Option<Unit>,
    /// Multiplies the value, in the published unit.
    pub scale: Option<Decimal>,
    /// Added after `scale`.
    pub offset: Option<Decimal>,
    /// Leave it out.
    pub hide: bool,
    /// How subscribers show it.
    pub presentation: Presentation,
}

/// Which records a rule is for: every given field must be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// What it measures.
    pub quantity: Option<Quantity>,
    /// Storage number.
    pub storage: Option<u64>,
    /// Tariff.
    pub tariff: Option<u32>,
    /// Subunit.
    pub subunit: Option<u16>,
    /// Function field.
    pub function: Option<Function>,
    /// Place among the records of the whole readout, from 0.
    pub index: Option<usize>,
    /// DIF and DIFEs, VIF and VIFEs as on the wire.
    pub dif_vif: Option<(Vec<u8>, Vec<u8>)>,
}

/// How a measurement is shown; `None` fields are decided by Home Assistant's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presentation {
    /// Name in Home Assistant.
    pub title: Option<String>,
    /// Home Assistant's device class; `Some("")` is none.
    pub device_class: Option<String>,
    /// Home Assistant's state class; `Some("")` is none.
    pub state_class: Option<String>,
    /// Digits after the point to show.
    pub precision: Option<u8>,
}
