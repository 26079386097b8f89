//! The rules of one meter as text: equal texts give its records the same keys, units and values.
//!
//! The text is kept in the store, so it must be the same in every build of every release: it is made of
//! published names only, and what a rule does not say is left out, so that a new kind of rule changes no
//! text of old ones. How a value is shown or doubted is left out too, and with it a rule that says nothing
//! else, unless one comes after it: a record follows the first rule that selects it.
//!
//! Not here: which rules there are (`measure::profile`), what follows from a change (`announcements`).

use serde_json::{Map, Value, json};

use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::{Function, Unit};
use crate::measure::normalise::MeterRules;
use crate::measure::profile::{Pattern, RecordRule, Rules, Selector};

/// A JSON object: the keys that are published, the meter's own rules and those of its profile, the one that
/// it names or else the first that matches `identity`.
#[must_use]
pub fn text(meter: &MeterRules<'_>, identity: Option<SecondaryAddress>) -> String {
    let rules = Rules::new(meter.rules, meter.profile, meter.profiles, identity);
    let mut rules: Vec<&RecordRule> = rules.iter().collect();
    while rules.last().is_some_and(|rule| only_shows(rule)) {
        rules.pop();
    }
    let only = meter.only.map(|only| ("only".to_owned(), json!(only)));
    let rules = json!(rules.into_iter().map(rule_text).collect::<Vec<_>>());
    let text: Map<String, Value> = only.into_iter().chain([("rules".to_owned(), rules)]).collect();
    Value::Object(text).to_string()
}

fn only_shows(rule: &RecordRule) -> bool {
    let RecordRule { select: _, key, unit, scale, offset, hide, plausible: _, presentation: _ } = rule;
    key.is_none() && unit.is_none() && scale.is_none() && offset.is_none() && !hide
}

fn rule_text(rule: &RecordRule) -> Map<String, Value> {
    let Selector { quantity, storage, tariff, subunit, function, index, dif, vif, bytes } = &rule.select;
    let RecordRule { select: _, key, unit, scale, offset, hide, plausible: _, presentation: _ } = rule;
    // by name, so that the order is the same however serde_json was built
    let bytes = bytes.map(|part| json!([part.at, part.length, part.coding.name()]));
    let fields = [
        ("bytes", json!(bytes)),
        ("dif", json!(dif.as_ref().map(Pattern::as_str))),
        ("function", json!(function.map(Function::name))),
        ("hide", json!(hide.then_some(true))),
        ("index", json!(index)),
        ("key", json!(key)),
        ("offset", json!(offset.map(|offset| offset.to_string()))),
        ("quantity", json!(quantity.map(|quantity| quantity.to_string()))),
        ("scale", json!(scale.map(|scale| scale.to_string()))),
        ("storage", json!(storage)),
        ("subunit", json!(subunit)),
        ("tariff", json!(tariff)),
        ("unit", json!(unit.map(Unit::name))),
        ("vif", json!(vif.as_ref().map(Pattern::as_str))),
    ];
    fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::mbus::address::SecondaryAddress;
    use crate::mbus::application::quantity::{Function, Known, Quantity, Unit};
    use crate::mbus::application::record::{Part, PartCoding};
    use crate::mbus::decimal::Decimal;
    use crate::measure::normalise::MeterRules;
    use crate::measure::profile::{Pattern, Presentation, Product, Profile, RecordRule, Selector};

    fn profile(name: &str, manufacturer: &str, key: &str) -> Profile {
        let records = vec![RecordRule { key: Some(key.to_owned()), ..RecordRule::default() }];
        let address = SecondaryAddress::parse(&format!("00000001{manufacturer}0103")).expect("an address");
        Profile {
            name: name.to_owned(),
            title: String::new(),
            product: Product::default(),
            manufacturer: vec![address.manufacturer()],
            version: vec![],
            medium: vec![],
            records,
        }
    }

    fn of(rules: &[RecordRule], profiles: &[Profile], only: Option<&[String]>) -> String {
        let meter = MeterRules { rules, only, ..MeterRules::of_profiles("gas", profiles) };
        text(&meter, SecondaryAddress::parse("00001001KAM1D03").ok())
    }

    #[test]
    fn the_text_of_each_kind_of_rule_stays_what_it_is_in_the_stores_out_there() {
        let select = Selector {
            quantity: Some(Quantity::Known(Known::VolumeFlow)),
            storage: Some(1),
            tariff: Some(2),
            subunit: Some(3),
            function: Some(Function::Maximum),
            index: Some(4),
            dif: Pattern::parse("04"),
            vif: Pattern::parse("93??"),
            bytes: Some(Part { at: 30, length: 4, coding: PartCoding::Bcd }),
        };
        let (scale, offset) = (Some(Decimal::new(1, -3)), Some(Decimal::new(5, 0)));
        let presentation = Presentation { title: Some("Flow".to_owned()), ..Presentation::default() };
        let key = Some("a".to_owned());
        let full = RecordRule {
            select,
            key,
            unit: Some(Unit::Litre),
            scale,
            offset,
            hide: true,
            plausible: None,
            presentation,
        };
        assert_eq!(
            of(&[RecordRule::default(), full, RecordRule::default()], &[], Some(&["a".to_owned()])),
            r#"{"only":["a"],"rules":[{},{"bytes":[30,4,"bcd"],"dif":"04","function":"maximum","hide":true,"index":4,"key":"a","offset":"5","quantity":"volume_flow","scale":"0.001","storage":1,"subunit":3,"tariff":2,"unit":"L","vif":"93??"}]}"#
        );
        assert_eq!(of(&[], &[], None), r#"{"rules":[]}"#);
    }

    #[test]
    fn only_the_profile_that_matches_the_meter_is_in_its_text() {
        let own = profile("own", "KAM", "a");
        let alone = of(&[], std::slice::from_ref(&own), None);
        assert_eq!(alone, r#"{"rules":[{"key":"a"}]}"#);
        assert_eq!(of(&[], &[profile("other", "ZZZ", "b"), own.clone()], None), alone);
        assert_eq!(of(&[], &[own, profile("later", "KAM", "b")], None), alone, "the first that matches");
    }
}
