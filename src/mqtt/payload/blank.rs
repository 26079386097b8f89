//! States without the numbers that a new announcement makes wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::json;
use crate::homeassistant::discovery;
use crate::measure::key;

/// The newest `state` with null for the keys that `is_outdated`, of it and of the one `published` before;
/// `None` where it is another document.
#[must_use]
pub fn blanked(newest: &str, published: Option<&str>, is_outdated: impl Fn(&str) -> bool) -> Option<String> {
    let fields = |state| serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(state).ok();
    let mut all = fields(newest)?;
    for (key, value) in published.and_then(fields).unwrap_or_default() {
        all.entry(key).or_insert(value);
    }
    let zoned: BTreeMap<String, String> = all.keys().map(|key| (discovery::zoned_key(key), key.clone())).collect();
    for (key, value) in &mut all {
        let of = zoned.get(key).unwrap_or(key);
        if !key::RESERVED.contains(&key.as_str()) && is_outdated(of) {
            *value = RawValue::NULL.to_owned();
        }
    }
    Some(json(&all))
}

/// The keys that have another value in the newest `state` than in the one `published` before, or are in one alone.
#[must_use]
pub fn changed(newest: &str, published: &str) -> BTreeSet<String> {
    let fields = |state| serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(state).unwrap_or_default();
    let (newest, published) = (fields(newest), fields(published));
    let value =
        |state: &BTreeMap<String, Box<RawValue>>, key: &String| state.get(key).map(|value| value.get().to_owned());
    let keys = newest.keys().chain(published.keys()).filter(|key| value(&newest, key) != value(&published, key));
    keys.filter(|key| !key::RESERVED.contains(&key.as_str())).cloned().collect()
}

/// A state with null for every value that this discovery document announces: where no state is known.
#[must_use]
pub fn without_values(document: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
    let components = document.get("cmps").and_then(serde_json::Value::as_object);
    // what is not a measurement has a hyphen
    let keys = components.into_iter().flat_map(serde_json::Map::keys).filter(|key| !key.contains('-'));
    // Home Assistant warns where the time of reading is missing
    json(&keys.map(String::as_str).chain(["read_at", "status"]).map(|key| (key, ())).collect::<BTreeMap<_, _>>())
}
