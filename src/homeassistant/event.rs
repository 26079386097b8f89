//! What `bridge/event` reports, as an `event` entity of each meter and one of the agent.
//!
//! Home Assistant ignores an event whose template renders nothing, and warns of one whose type it was not told: so a
//! template passes on only what its entity lists. Not here: the events themselves (`mqtt::payload`).

use super::document::Component;

/// Events of one meter.
pub const OF_METER: [&str; 6] =
    ["meter_silent", "meter_back", "meter_replaced", "counter_fell", "counter_leapt", "counter_fault"];
/// Events of the agent: all others, and the one that a meter's own entity does not hear because it is made just then.
pub const OF_AGENT: [&str; 7] =
    ["meter_found", "meter_replaced", "bus_down", "bus_up", "unclean_start", "readings_dropped", "other_agent"];

/// The entity of these events, of the meter of this name alone where there is one.
pub(super) fn component<'a>(topic: &'a str, types: &'static [&'static str], meter: Option<&str>) -> Component<'a> {
    let of_meter = meter.map_or(String::new(), |name| format!(" and value_json['meter'] | default('') == '{name}'"));
    let listed = types.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let is_ours = format!("value_json is mapping and value_json['event'] | default('') in [{listed}]{of_meter}");
    Component {
        name: Some("Event".to_owned()),
        ent_cat: Some("diagnostic"),
        ic: Some("mdi:bell-outline"),
        stat_t: Some(topic),
        evt_typ: Some(types),
        val_tpl: Some(format!(
            "{{% if {is_ours} %}}{{{{ dict(value_json, event_type=value_json['event']) | tojson }}}}{{% endif %}}"
        )),
        ..Component::of("event")
    }
}
