//! What every meter has besides its measurements: whether it has a problem, when it was read, a button.
//!
//! Not here: the meter as a device (`device`).

use std::collections::BTreeMap;

use super::super::document::{Availability, Component};
use super::super::{event, name};
use super::measured::entity_id;
use super::{Announcer, MeterDevice};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::{Known, Quantity};
use crate::measure::Measurement;
use crate::measure::medium;

/// The battery's component. A hyphen is in no key of a measurement.
pub(in crate::homeassistant) const BATTERY: &str = "battery-status";
/// Bits of the status byte that mean the same for every meter, and no good. What only the manufacturer knows is none.
const FAULTS: [&str; 4] = ["application_error", "abnormal", "permanent_error", "temporary_error"];

impl Announcer {
    /// What every meter has, and what stays usable while it is silent.
    pub(super) fn own_components<'a>(&'a self, meter: &MeterDevice<'a>, id: &str) -> BTreeMap<String, Component<'a>> {
        let agent_only = || Some(vec![Availability { t: &self.topics.state }]);
        let last_read = Component {
            name: Some("Last read".to_owned()),
            dev_cla: Some("timestamp"),
            ent_cat: Some("diagnostic"),
            val_tpl: Some("{{ value_json['read_at'] | default('') }}".to_owned()),
            ..Component::of("sensor")
        };
        let read_now = Component {
            name: Some("Read now".to_owned()),
            ent_cat: Some("config"),
            ic: Some("mdi:refresh"),
            cmd_t: Some(meter.read_topic),
            pl_prs: Some("{}".to_owned()),
            ..Component::of("button")
        };
        // its state changes with the document alone: the topic only makes Home Assistant look
        let unnamed = Component {
            name: Some("Values without a name".to_owned()),
            ent_cat: Some("diagnostic"),
            ic: Some("mdi:help-circle-outline"),
            val_tpl: Some(name::unnamed_state(meter.unnamed, meter.name)),
            ..Component::of("sensor")
        };
        [
            ("problem-status", "problem", Some(problem(meter))),
            (BATTERY, "battery", meter.has_battery().then(battery)),
            ("last-read", "last_read", Some(last_read)),
            ("meter-event", "event", Some(event::component(&self.topics.event, &event::OF_METER, Some(meter.name)))),
            ("read-now", "read_now", Some(read_now)),
            ("unnamed-values", "values_without_a_name", (meter.unnamed > 0).then_some(unnamed)),
        ]
        .into_iter()
        .filter_map(|(key, entity, component)| {
            let mut component = component?;
            component.uniq_id = Some(format!("{id}_{key}"));
            component.def_ent_id = Some(entity_id(component.p, meter, entity));
            component.avty = agent_only();
            Some((key.to_owned(), component))
        })
        .collect()
    }
}

impl MeterDevice<'_> {
    /// Whether it can say that its battery is low. Electricity meters feed themselves.
    fn has_battery(&self) -> bool {
        let medium = self.identity.and_then(SecondaryAddress::known_medium);
        self.said_low_power || medium.is_some_and(medium::may_have_battery)
    }
}

/// On where the status byte says so; its attributes say why, and what flags the meter has of its own.
fn problem<'a>(meter: &MeterDevice<'a>) -> Component<'a> {
    let flags = meter.measurements.iter().filter(|measurement| is_flags(measurement));
    let flags = flags.map(|Measurement { key, .. }| format!(", '{key}': value_json['{key}'] | default(none)"));
    let words = "map('replace', 'manufacturer_', 'manufacturer bit ') | map('replace', '_', ' ') | list";
    let reasons = format!("'reasons': {STATUS} | {words}");
    let faults = FAULTS.map(|fault| format!("'{fault}'")).join(", ");
    Component {
        name: Some("Problem".to_owned()),
        dev_cla: Some("problem"),
        ent_cat: Some("diagnostic"),
        val_tpl: Some(format!("{{{{ value and ('ON' if {STATUS} | select('in', [{faults}]) | list else 'OFF') }}}}")),
        json_attr_t: Some(meter.state_topic),
        json_attr_tpl: Some(format!(
            "{{{{ ({{{reasons}{}}} if value else {{}}) | tojson }}}}",
            flags.collect::<String>()
        )),
        ..Component::of("binary_sensor")
    }
}

fn battery<'a>() -> Component<'a> {
    Component {
        name: Some("Battery".to_owned()),
        dev_cla: Some("battery"),
        ent_cat: Some("diagnostic"),
        val_tpl: Some(format!("{{{{ value and ('ON' if 'low_power' in ({STATUS}) else 'OFF') }}}}")),
        ..Component::of("binary_sensor")
    }
}

/// Error flags of the meter's own, under the standard's code or by the name of a profile.
fn is_flags(measurement: &Measurement) -> bool {
    let is_now = measurement.storage_number == 0;
    let of_standard = measurement.quantity == Quantity::Known(Known::ErrorFlags);
    is_now && (of_standard || measurement.key.ends_with("_flags") || measurement.key == "info_code")
}

/// The names of the set bits; of an older state without them none.
const STATUS: &str = "value_json['status'] | default([], true)";
