//! `[[meter]]`: who is read, when and how.
//!
//! Not here: what several meters on one bus cannot have in common (`together`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::bus::{SLUG, TIMEOUT_MS, millis};
use super::{Surroundings, instead, reader, record};
use crate::config::file::{Table, Value};
use crate::config::problem::{LINE, Place, Problem};
use crate::config::reader::{Kind, Reader};
use crate::config::spelling;
use crate::config::{Bus, DEFAULT_INTERVAL, Expose, Meter};
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress, TEST_BROADCAST};
use crate::mbus::application::security::Key;
use crate::measure::profile::Profile;

pub(super) const METER: Kind = Kind {
    name: "[[meter]]",
    keys: &[
        "name",
        "title",
        "area",
        "labels",
        "bus",
        "address",
        "secondary",
        "baud",
        "parity",
        "interval",
        "align",
        "offset",
        "profile",
        "key",
        "key_file",
        "reset",
        "requests",
        "application_select",
        "timeout",
        "wake_up",
        "enabled",
        "offline_after",
        "expose",
        "keep_entities",
        "plausible",
        "raw",
        "record",
    ],
};

/// Topics of the agent itself are below this name.
const RESERVED: &str = "bridge";

/// What else helps where an interval does not divide the day: only who writes a file can set it.
pub(crate) const OR_NOT_ALIGNED: &str = ", or set align = false";

/// Labels of one meter, at most.
const MOST_LABELS: usize = 16;
/// What metrics use themselves.
const RESERVED_LABELS: [&str; 6] = ["meter", "key", "unit", "agent", "le", "quantile"];

const DAY_MS: i64 = 86_400_000;

/// What a meter's keys may refer to.
struct Others<'a> {
    buses: &'a [Bus],
    profiles: &'a [Profile],
    surroundings: &'a Surroundings<'a>,
}

/// A meter, where its keys stand, and whether they can be compared with other meters'.
pub(super) struct Found {
    pub(super) meter: Meter,
    pub(super) comparable: bool,
    pub(super) address_at: Place,
    /// Of a rate or parity of its own.
    pub(super) character_at: Place,
    pub(super) interval_at: Place,
}

/// The enabled meters; the others are added to `disabled`.
pub(super) fn meters(
    tables: &[&Table],
    buses: &[Bus],
    profiles: &[Profile],
    surroundings: &Surroundings<'_>,
    problems: &mut Vec<Problem>,
    disabled: &mut Vec<Meter>,
) -> Vec<Found> {
    let others = Others { buses, profiles, surroundings };
    let mut names: HashMap<String, Place> = HashMap::new();
    let mut found: Vec<Found> = Vec::new();
    for table in tables {
        let mut keys = reader(&METER, table, problems);
        let enabled = keys.boolean("enabled").unwrap_or(true);
        let mut meter = meter(&mut keys, table.at, &others);
        let name_at = keys.at("name");
        let name = &meter.meter.name;
        match names.get(name) {
            Some(at) => {
                let what = format!("the name \"{name}\" is that of the meter of {LINE} too");
                keys.problems.push(Problem::beside(*at, name_at, what));
            }
            None if name.is_empty() => {}
            None => _ = names.insert(name.clone(), name_at),
        }
        let earlier = found.iter().map(|found| &found.meter).chain(disabled.iter());
        meter.meter.readout_of = readout_of(&meter.meter, earlier);
        if enabled {
            found.push(meter);
        } else {
            disabled.push(meter.meter);
        }
    }
    found
}

fn meter(keys: &mut Reader<'_, '_>, table_at: Place, others: &Others<'_>) -> Found {
    let name = name(keys, table_at);
    let (address, address_at) = address(keys, table_at);
    let bus = bus(keys, table_at, others.buses);
    let (interval, align, offset_ms) = times(keys);
    let meter = Meter {
        name,
        title: keys.text("title"),
        area: keys.text("area"),
        labels: labels(keys),
        bus: bus.unwrap_or(0),
        address: address.unwrap_or(MeterAddress::Secondary(SecondaryAddress::ANY)),
        baud: keys.baud("baud"),
        parity: keys.parity("parity"),
        interval,
        align,
        offset_ms,
        profile: profile(keys, others.profiles),
        key: key(keys, others.surroundings),
        reset: keys.boolean("reset").unwrap_or(false),
        requests: requests(keys),
        application_select: keys.whole("application_select", 0..=255),
        readout_of: None,
        timeout: keys.millis("timeout", TIMEOUT_MS).map(millis),
        wake_up: keys.parsed("wake_up", spelling::WAKE_UP, spelling::wake_up),
        offline_after: keys.whole("offline_after", 1..=255).unwrap_or(2),
        expose: expose(keys),
        keep_entities: keys.boolean("keep_entities").unwrap_or(false),
        plausible: keys.boolean("plausible").unwrap_or(true),
        raw: keys.boolean("raw").unwrap_or(false),
        records: record::rules(&keys.tables("record", "meter.record"), keys.problems),
    };
    let character_at = keys.at(if keys.has("baud") { "baud" } else { "parity" });
    let (comparable, interval_at) = (address.is_some() && bus.is_some(), keys.at("interval"));
    Found { meter, comparable, address_at, character_at, interval_at }
}

/// The first of the `earlier` meters that is the same one, read by another application. One that is not enabled
/// counts: its place in Home Assistant must stay its own.
fn readout_of<'a>(meter: &Meter, mut earlier: impl Iterator<Item = &'a Meter>) -> Option<String> {
    let is_same = |other: &&Meter| {
        let here = other.bus == meter.bus && other.address == meter.address;
        here && other.application_select != meter.application_select
    };
    let first = earlier.find(is_same)?;
    Some(first.readout_of.as_ref().unwrap_or(&first.name).clone())
}

fn name(keys: &mut Reader<'_, '_>, table_at: Place) -> String {
    if !keys.is_meant("name") {
        keys.problem(table_at, "this [[meter]] has no `name`");
    }
    let is_name = |text: &str| spelling::is_slug(text) && text != RESERVED;
    let mut expected = format!("{SLUG}, not \"{RESERVED}\"");
    let written = keys.peek_text("name");
    if let Some((written, slug)) = written.and_then(|text| Some((text, spelling::slug(text)?))) {
        if !is_name(written) && is_name(&slug) {
            expected += &format!("; you may write name = {slug:?} and title = {written:?}");
        }
    }
    keys.parsed("name", expected, |text| is_name(text).then(|| text.to_owned())).unwrap_or_default()
}

/// `labels`: texts under the names that a metric's labels may have.
fn labels(keys: &mut Reader<'_, '_>) -> BTreeMap<String, String> {
    let Some(table) = keys.inline_table("labels", "{ flat = \"3 left\" }") else { return BTreeMap::new() };
    if table.entries.len() > MOST_LABELS {
        keys.problem(table.at, format!("`labels` has {}, at most {MOST_LABELS} are possible", table.entries.len()));
    }
    let mut labels = BTreeMap::new();
    for (name, entry) in &table.entries {
        if !is_label(name) {
            let name: String = name.chars().take(60).collect();
            let taken = RESERVED_LABELS.join(", ");
            let expected = format!("a-z, 0-9 and _, not first a digit, and none of {taken}");
            keys.problem(entry.key_at, format!("`{name}` cannot be the name of a label, expected {expected}"));
        }
        match &entry.item.value {
            Value::Text(text) => _ = labels.insert(name.clone(), text.clone()),
            other => {
                let what = format!("the label `{name}` is {}, expected a text in quotes", other.spelled());
                keys.problem(entry.item.at, what);
            }
        }
    }
    labels
}

fn is_label(name: &str) -> bool {
    let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    let begins = !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
    begins && name.bytes().all(letters) && !RESERVED_LABELS.contains(&name)
}

/// `address` or `secondary`, and where it stands.
pub(super) fn address(keys: &mut Reader<'_, '_>, table_at: Place) -> (Option<MeterAddress>, Place) {
    let at = keys.at(if keys.has("secondary") { "secondary" } else { "address" });
    match (keys.has("address"), keys.has("secondary")) {
        (true, true) => keys.problem(at, "both `address` and `secondary` are set; keep one"),
        (false, false) if keys.is_meant("address") || keys.is_meant("secondary") => {}
        (false, false) => {
            let what = format!("this {} has neither `address` nor `secondary`: give one", keys.kind());
            keys.problem(table_at, what);
        }
        _ => {}
    }
    let expected = "0 to 250, or 254 for whatever meter is alone on its bus, without quotes";
    let primary = keys.read("address", expected, |value| match value {
        Value::Number(digits) if *digits == TEST_BROADCAST.to_string() => Some(PrimaryAddress::ONLY),
        Value::Number(digits) => digits.parse().ok().and_then(PrimaryAddress::new),
        _ => None,
    });
    let primary = primary.map(MeterAddress::Primary);
    let expected =
        "8 digits (30137315), 15 characters (30137315ATS0104) or 16 hex digits (3013731593060104), in quotes";
    let secondary = keys.parsed("secondary", expected, |text| SecondaryAddress::parse(text).ok());
    (secondary.map(MeterAddress::Secondary).or(primary), at)
}

fn bus(keys: &mut Reader<'_, '_>, table_at: Place, buses: &[Bus]) -> Option<usize> {
    let names = buses.iter().map(|bus| bus.name.as_str());
    if !keys.has("bus") {
        if buses.len() > 1 {
            let there_is = match names.clone().all(str::is_empty) {
                true => String::new(),
                false => format!(": {}", instead("", names)),
            };
            keys.problem(table_at, format!("this [[meter]] does not say its `bus`{there_is}"));
        }
        return (buses.len() == 1).then_some(0);
    }
    let name = keys.text("bus")?;
    let place = buses.iter().position(|bus| bus.name == name);
    if place.is_none() && !names.clone().any(is_bad) {
        keys.problem(keys.at("bus"), format!("there is no bus \"{name}\", {}", instead(&name, names)));
    }
    place
}

/// Whether this stands for a name that is a problem already, and perhaps the one that is referred to.
fn is_bad(name: &str) -> bool {
    name.is_empty()
}

/// Interval, whether it is aligned, offset in milliseconds.
fn times(keys: &mut Reader<'_, '_>) -> (Duration, bool, i64) {
    let interval = keys
        .millis("interval", 1_000..=31 * DAY_MS)
        .unwrap_or_else(|| i64::try_from(DEFAULT_INTERVAL.as_millis()).unwrap_or(i64::MAX));
    let align = keys.boolean("align").unwrap_or(true);
    if align && DAY_MS % interval != 0 {
        let every = spelling::duration(interval);
        let what = format!("`interval` is {every}, which does not divide 24 h: choose one that does{OR_NOT_ALIGNED}");
        keys.problem(keys.at("interval"), what);
    }
    if !align && keys.has("offset") {
        keys.problem(keys.at("offset"), "`offset` is of no use with align = false: reads then count from the start");
    }
    let expected = "a duration such as \"30s\" or \"-30s\", shorter than the interval";
    let offset = keys.parsed("offset", expected, |text| {
        spelling::millis(text).filter(|offset| offset.unsigned_abs() < interval.unsigned_abs())
    });
    (millis(interval), align, offset.unwrap_or(0))
}

fn profile(keys: &mut Reader<'_, '_>, profiles: &[Profile]) -> Option<String> {
    let name = keys.text("profile")?;
    let names = profiles.iter().map(|profile| profile.name.as_str());
    if !names.clone().any(|known| known == name || is_bad(known)) {
        keys.problem(keys.at("profile"), format!("there is no profile \"{name}\", {}", instead(&name, names)));
    }
    Some(name)
}

fn key(keys: &mut Reader<'_, '_>, surroundings: &Surroundings<'_>) -> Option<Key> {
    const EXPECTED: &str = "32 hex digits (AES-128)";
    if keys.has("key") && keys.has("key_file") {
        keys.problem(keys.at("key_file"), "both `key` and `key_file` are set; keep one");
    }
    let parse = |text: &str| spelling::hex(text.trim()).and_then(|bytes| bytes.try_into().ok()).map(Key::new);
    let key = keys.secret("key", EXPECTED, parse);
    let Some(path) = keys.parsed("key_file", "the path of a file", |text| surroundings.path(text)) else { return key };
    match (surroundings.read)(&path).map(|text| parse(&text)) {
        Ok(Some(key)) => return Some(key),
        Ok(None) => {
            let what = format!("`key_file` {} does not hold a key, expected {EXPECTED}", path.display());
            keys.problem(keys.at("key_file"), what);
        }
        Err(error) => keys.unreadable("key_file", &path, &error),
    }
    None
}

fn requests(keys: &mut Reader<'_, '_>) -> Vec<u8> {
    let byte = |text: &str| match spelling::hex(text).as_deref() {
        Some([byte]) => Some(*byte),
        _ => None,
    };
    keys.list("requests", "CI fields as two hex digits in quotes, such as \"B1\"", byte).unwrap_or_default()
}

fn expose(keys: &mut Reader<'_, '_>) -> Expose {
    let expected = "\"sensible\" or a list of keys such as [\"volume\", \"volume_flow\"]";
    let is_list = keys.read("expose", expected, |value| match value {
        Value::Text(text) if text == "sensible" => Some(false),
        Value::Array(_) => Some(true),
        _ => None,
    });
    if is_list != Some(true) {
        return Expose::Sensible;
    }
    let slug = |text: &str| spelling::is_slug(text).then(|| text.to_owned());
    keys.list("expose", format!("keys of measurements ({SLUG})"), slug).map_or(Expose::Sensible, Expose::Keys)
}
