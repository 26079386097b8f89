//! One measurement as a component.

use super::super::class::{self, Shown};
use super::super::document::Component;
use super::super::{icon, name};
use super::{Announcer, MeterDevice};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::decimal::Decimal;
use crate::measure::Measurement;
use crate::measure::medium::{Kind, kind};

/// Digits after the point that a total may have, at least.
const DIGITS: i8 = 6;

impl Announcer {
    pub(super) fn measured<'a>(
        &'a self,
        meter: &MeterDevice<'a>,
        measurement: &'a Measurement,
        id: &str,
    ) -> Component<'a> {
        let medium = meter.identity.map(SecondaryAddress::medium);
        let shown: Shown = class::shown(measurement, meter.measurements, medium, self.release);
        let kind = medium.map_or(Kind::Other, kind);
        let icon = measurement.presentation.icon.as_deref();
        Component {
            uniq_id: Some(format!("{id}_{}", measurement.key)),
            name: Some(name::of(measurement, kind)),
            def_ent_id: Some(entity_id("sensor", meter, &measurement.key)),
            dev_cla: shown.device_class,
            unit_of_meas: shown.unit,
            stat_cla: shown.state_class,
            sug_dsp_prc: shown.precision,
            ent_cat: shown.diagnostic.then_some("diagnostic"),
            en: (!shown.enabled).then_some(false),
            ic: icon.or(shown.device_class.is_none().then(|| icon::of(measurement.quantity))),
            val_tpl: Some(match meter.constant(measurement) {
                Some(constant) => sum_template(&measurement.key, constant),
                None => value_template(&measurement.key, shown.device_class),
            }),
            ..Component::of("sensor")
        }
    }
}

pub(super) fn entity_id(platform: &str, meter: &MeterDevice<'_>, key: &str) -> String {
    let id = match meter.identity {
        Some(identity) if meter.replaces_another => format!("_{:08x}", identity.id()),
        _ => String::new(),
    };
    format!("{platform}.{}_{key}{id}", meter.name)
}

/// Where a `state` has the time of `key` once more, with its offset.
#[must_use]
pub fn zoned_key(key: &str) -> String {
    format!("{key}_zoned")
}

/// `default('')` keeps the last value silently where this telegram lacked the record; `null` (the
/// meter says invalid) becomes unknown, and so does a time without an offset.
fn value_template(key: &str, device_class: Option<&str>) -> String {
    let value = format!("value_json['{key}'] | default('')");
    if let Some("timestamp" | "uptime") = device_class {
        let zoned = format!("value_json['{}'] | default(none)", zoned_key(key));
        return format!("{{% set t = {value} %}}{{{{ ({zoned}) if t else t }}}}");
    }
    format!("{{{{ {value} }}}}")
}

/// The value with a constant added, rounded to what both may have: Home Assistant adds in binary.
fn sum_template(key: &str, constant: Decimal) -> String {
    let digits = constant.exponent().saturating_neg().clamp(DIGITS, 12);
    format!(
        "{{% set v = value_json['{key}'] | default('') %}}\
         {{{{ (v + {constant}) | round({digits}) if v is number else v }}}}"
    )
}
