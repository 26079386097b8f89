//! `[[meter.record]]`, `[[profile]]` and `[[profile.record]]`: rules for the records of a meter.

use super::bus::SLUG;
use super::reader;
use crate::config::file::{Table, Value};
use crate::config::problem::{Place, Problem};
use crate::config::reader::{Kind, Reader};
use crate::config::spelling;
use crate::mbus::address::Manufacturer;
use crate::mbus::application::quantity::{Function, Known, Quantity, Unit};
use crate::mbus::application::record::{Part, PartCoding};
use crate::mbus::application::vib::Vib;
use crate::mbus::application::vif;
use crate::mbus::decimal::Decimal;
use crate::mbus::medium;
use crate::mbus::octets::ByteOrder;
use crate::measure::profile::{Presentation, Profile, RecordRule, Selector};
use crate::measure::unit;

pub(super) const RECORD: Kind = Kind {
    name: "[[meter.record]]",
    keys: &[
        "quantity",
        "storage",
        "tariff",
        "subunit",
        "function",
        "index",
        "dif",
        "vif",
        "bytes",
        "key",
        "title",
        "unit",
        "scale",
        "offset",
        "hide",
        "plausible",
        "device_class",
        "state_class",
        "precision",
    ],
};

pub(super) const BYTES: Kind = Kind { name: "`bytes`", keys: &["at", "length", "coding"] };

pub(super) const PROFILE: Kind =
    Kind { name: "[[profile]]", keys: &["name", "title", "manufacturer", "version", "medium", "record"] };

/// Keys that select, one of which a rule must have.
const SELECTORS: [&str; 9] = ["quantity", "storage", "tariff", "subunit", "function", "index", "dif", "vif", "bytes"];

/// Keys of the `state` topic that are no measurement.
const RESERVED: [&str; 3] = ["read_at", "seq", "status"];

/// The profiles of a file, in its order.
pub(super) fn profiles(tables: &[&Table], problems: &mut Vec<Problem>) -> Vec<Profile> {
    let mut names: Vec<(String, Place)> = Vec::new();
    let mut profiles = Vec::new();
    for table in tables {
        let mut keys = reader(&PROFILE, table, problems);
        let profile = profile(&mut keys, table.at);
        let at = keys.at("name");
        if let Some((name, first)) = names.iter().find(|(name, _)| *name == profile.name && !name.is_empty()) {
            keys.problem(at, format!("the name \"{name}\" is that of the profile of line {} too", first.line));
        }
        names.push((profile.name.clone(), at));
        profiles.push(profile);
    }
    profiles
}

fn profile(keys: &mut Reader<'_, '_>, table_at: Place) -> Profile {
    if !keys.has("name") {
        keys.problem(table_at, "this [[profile]] has no `name`");
    }
    let name = keys.parsed("name", SLUG, |text| spelling::is_slug(text).then(|| text.to_owned())).unwrap_or_default();
    let letters = "three capital letters (\"KAM\") or the code as four hex digits (\"2C2D\")";
    Profile {
        title: keys.text("title").unwrap_or_else(|| name.clone()),
        name,
        manufacturer: keys.parsed("manufacturer", letters, manufacturer),
        version: keys.whole("version", 0..=255),
        medium: keys.read("medium", "a device type such as \"water\", or its number 0 to 255", device_type),
        records: rules(&keys.tables("record", "profile.record"), keys.problems),
    }
}

fn manufacturer(text: &str) -> Option<Manufacturer> {
    match spelling::hex(text).as_deref() {
        Some([high, low]) => Some(Manufacturer(u16::from_be_bytes([*high, *low]))),
        _ => Manufacturer::from_letters(text),
    }
}

fn device_type(value: &Value) -> Option<u8> {
    match value {
        Value::Number(digits) => digits.parse().ok(),
        Value::Text(text) if text == "reserved" => None, // the name of several
        Value::Text(text) => (0..=u8::MAX).find(|number| medium::name(*number) == *text),
        _ => None,
    }
}

/// The rules of a meter or a profile, in the order in which they are tried.
pub(super) fn rules(tables: &[&Table], problems: &mut Vec<Problem>) -> Vec<RecordRule> {
    tables.iter().map(|table| rule(&mut reader(&RECORD, table, problems), table.at)).collect()
}

fn rule(keys: &mut Reader<'_, '_>, table_at: Place) -> RecordRule {
    if !SELECTORS.iter().any(|key| keys.has(key)) {
        let expected = SELECTORS.join(", ");
        keys.problem(table_at, format!("this record rule selects nothing; expected one of {expected}"));
    }
    let expected = format!(
        "{SLUG}, or such a name that ends in _N, and not {} or anything that ends in _zoned",
        RESERVED.join(", ")
    );
    let select = selector(keys);
    RecordRule {
        unit: unit(keys, &select),
        select,
        key: keys.parsed("key", expected, |text| is_key(text).then(|| text.to_owned())),
        scale: decimal(keys, "scale", |scale| scale != Decimal::ZERO),
        offset: decimal(keys, "offset", |_| true),
        hide: keys.boolean("hide").unwrap_or(false),
        plausible: keys.boolean("plausible"),
        presentation: presentation(keys),
    }
}

fn selector(keys: &mut Reader<'_, '_>) -> Selector {
    let quantities = Known::ALL.iter().map(|known| known.name());
    let functions: Vec<_> = Function::ALL.iter().map(|function| (function.name(), *function)).collect();
    Selector {
        quantity: keys.named("quantity", "a quantity", quantities, Quantity::from_name),
        storage: keys.whole("storage", 0..=u64::MAX),
        tariff: keys.whole("tariff", 0..=u32::MAX),
        subunit: keys.whole("subunit", 0..=u16::MAX),
        function: keys.word("function", &functions),
        index: keys.whole("index", 0..=9999),
        dif_vif: dif_vif(keys),
        bytes: bytes(keys),
    }
}

/// `bytes`: where in the manufacturer's block a value stands. No record is selected then, and nothing but the
/// rule can name the value.
fn bytes(keys: &mut Reader<'_, '_>) -> Option<Part> {
    let table = keys.table("bytes")?;
    if let Some(other) = SELECTORS.iter().find(|key| **key != "bytes" && keys.has(key)) {
        keys.problem(keys.at(other), format!("`{other}` selects records, `bytes` a part of no record: keep one"));
    }
    if !keys.has("key") {
        keys.problem(table.at, "a rule with `bytes` needs a `key`: nothing else names the value");
    }
    let mut part = reader(&BYTES, table, keys.problems);
    for missing in BYTES.keys.iter().filter(|key| !part.is_meant(key)).collect::<Vec<_>>() {
        part.problem(
            table.at,
            format!("`bytes` has no `{missing}`, expected {{ at = 30, length = 4, coding = \"bcd\" }}"),
        );
    }
    let at = part.whole("at", 0..=9999);
    let length = part.whole("length", 1..=8);
    let coding = part.word("coding", &PartCoding::ALL);
    if coding == Some(PartCoding::Real) && length.is_some_and(|length| length != 4) {
        part.problem(part.at("length"), "a \"real\" has 4 bytes: set `length` to 4");
    }
    Some(Part { at: at?, length: length?, coding: coding? })
}

/// One of the units that fit what the rule selects, as far as that is known. With a `scale` any fits: a meter
/// may count pulses of one quantity under the name of another.
fn unit(keys: &mut Reader<'_, '_>, select: &Selector) -> Option<Unit> {
    let wanted = keys.named("unit", "a unit", Unit::ALL.iter().map(|unit| unit.name()), Unit::from_name)?;
    let counted = counted(select);
    let fits = |wanted| counted.is_empty() || counted.iter().any(|&from| unit::target(from, wanted).is_some());
    if !fits(wanted) && !keys.has("scale") {
        let fitting: Vec<_> = Unit::ALL.iter().copied().filter(|&unit| fits(unit)).map(Unit::name).collect();
        let what = match (select.quantity, keys.peek_text("vif")) {
            (_, Some(vif)) => format!("the VIF {vif}"),
            (Some(quantity), _) => quantity.to_string(),
            (None, None) => String::new(),
        };
        let what = format!(
            "`unit` is {:?}, which does not fit {what}, expected one of {}; or set `scale` too, if the meter counts \
             something else than it says",
            wanted.name(),
            fitting.join(" ").trim()
        );
        keys.problem(keys.at("unit"), what);
    }
    Some(wanted)
}

/// The units in which the selected records may be counted; none where that is not known.
fn counted(select: &Selector) -> Vec<Unit> {
    if let Some((_, vif)) = &select.dif_vif {
        // a unit in plain text follows its VIF only in the telegram
        let vib = Vib::parse(vif, ByteOrder::LeastFirst).ok().map(|(vib, _)| vib);
        let is_rate = |vib: &Vib<'_>| vib.modifiers().any(|modifier| modifier.is_rate());
        return vib.filter(|vib| !is_rate(vib)).map(|vib| vib.unit).into_iter().collect();
    }
    match select.quantity {
        Some(Quantity::Known(known)) => vif::units_of(known).collect(),
        _ => Vec::new(),
    }
}

/// `dif` and `vif`: both or none, each a whole chain of extension bytes.
fn dif_vif(keys: &mut Reader<'_, '_>) -> Option<(Vec<u8>, Vec<u8>)> {
    for (there, missing) in [("dif", "vif"), ("vif", "dif")] {
        if keys.has(there) && !keys.has(missing) {
            keys.problem(keys.at(there), format!("`{there}` is set without `{missing}`: set both"));
        }
    }
    let expected = |example: &str| format!("hex digits such as \"{example}\": all bytes but the last have bit 7 set");
    let dif = keys.parsed("dif", expected("8C10"), chain);
    let vif = keys.parsed("vif", expected("FD3A"), chain);
    dif.zip(vif)
}

/// Bytes chained by their extension bits: bit 7 is set in all but the last (EN 13757-3 clause 6.3).
fn chain(text: &str) -> Option<Vec<u8>> {
    let bytes = spelling::hex(text).filter(|bytes| bytes.len() <= 11)?;
    let (last, before) = bytes.split_last()?;
    (last & 0x80 == 0 && before.iter().all(|byte| byte & 0x80 != 0)).then_some(bytes)
}

fn presentation(keys: &mut Reader<'_, '_>) -> Presentation {
    let states = ["", "measurement", "measurement_angle", "total", "total_increasing"].map(|word| (word, word));
    Presentation {
        title: keys.text("title"),
        device_class: keys.parsed(
            "device_class",
            "one of Home Assistant's, such as \"water\", or \"\" for none",
            |text| (text.is_empty() || spelling::is_slug(text)).then(|| text.to_owned()),
        ),
        state_class: keys.word("state_class", &states).map(str::to_owned),
        precision: keys.whole("precision", 0..=15),
    }
}

/// Exact: the digits as written, never by way of a binary float.
fn decimal(keys: &mut Reader<'_, '_>, key: &str, accept: impl Fn(Decimal) -> bool) -> Option<Decimal> {
    let expected = "a decimal number such as 0.001 or -25, at most 30 digits, no exponent";
    let expected = if accept(Decimal::ZERO) { expected.to_owned() } else { format!("{expected}, not 0") };
    keys.read(key, expected, |value| match value {
        Value::Number(digits) | Value::Text(digits) => digits.parse().ok().filter(|decimal| accept(*decimal)),
        _ => None,
    })
}

fn is_key(text: &str) -> bool {
    let numbered = text.strip_suffix("_N").unwrap_or(text);
    // `<key>_zoned` is what `state` has beside a time.
    spelling::is_slug(numbered) && !RESERVED.contains(&text) && !text.ends_with("_zoned")
}
