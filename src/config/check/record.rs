//! `[[meter.record]]`, `[[profile]]` and `[[profile.record]]`: rules for the records of a meter.

use super::bus::SLUG;
use super::{class, reader};
use crate::config::file::{Table, Value};
use crate::config::problem::{LINE, Place, Problem};
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
use crate::measure::device_class;
use crate::measure::key::RESERVED;
use crate::measure::profile::{Pattern, Presentation, Product, Profile, RecordRule, Selector};
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
        "enabled",
        "icon",
    ],
};

pub(super) const BYTES: Kind = Kind { name: "`bytes`", keys: &["at", "length", "coding"] };

pub(super) const PROFILE: Kind = Kind {
    name: "[[profile]]",
    keys: &["name", "title", "model", "maker", "manufacturer", "version", "medium", "record"],
};

/// Keys that select, one of which a rule must have.
const SELECTORS: [&str; 9] = ["quantity", "storage", "tariff", "subunit", "function", "index", "dif", "vif", "bytes"];

/// The profiles of a file, in its order.
pub(super) fn profiles(tables: &[&Table], problems: &mut Vec<Problem>) -> Vec<Profile> {
    let mut names: Vec<(String, Place)> = Vec::new();
    let mut profiles = Vec::new();
    for table in tables {
        let mut keys = reader(&PROFILE, table, problems);
        let profile = profile(&mut keys, table.at);
        let at = keys.at("name");
        if let Some((name, first)) = names.iter().find(|(name, _)| *name == profile.name && !name.is_empty()) {
            let what = format!("the name \"{name}\" is that of the profile of {LINE} too");
            keys.problems.push(Problem::beside(*first, at, what));
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
        product: Product { model: keys.text("model"), maker: keys.text("maker") },
        manufacturer: some(keys, "manufacturer", letters, manufacturer),
        version: some(keys, "version", "a whole number from 0 to 255, without quotes", byte),
        medium: some(keys, "medium", "a device type such as \"water\", or its number 0 to 255", device_type),
        records: rules(&keys.tables("record", "profile.record"), keys.problems),
    }
}

/// One value or a list of them.
fn some<T>(keys: &mut Reader<'_, '_>, key: &str, expected: &str, parse: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let expected = format!("{expected}, or a list of such");
    if keys.is_empty_list(key) {
        keys.problem(keys.at(key), format!("`{key}` is an empty list, expected {expected}"));
        return Vec::new();
    }
    let values = keys.read(key, expected, |value| match value {
        Value::Array(items) => items.iter().map(|item| parse(&item.value)).collect(),
        one => parse(one).map(|one| vec![one]),
    });
    values.unwrap_or_default()
}

fn byte(value: &Value) -> Option<u8> {
    let Value::Number(digits) = value else { return None };
    digits.parse().ok()
}

fn manufacturer(value: &Value) -> Option<Manufacturer> {
    let Value::Text(text) = value else { return None };
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
        "{SLUG}, or such a name that ends in _N or has _* in it, and not {} or anything that ends in _zoned",
        RESERVED.join(", ")
    );
    let select = selector(keys);
    let rule = RecordRule {
        unit: unit(keys, &select),
        select,
        key: keys.parsed("key", expected, |text| is_key(text).then(|| text.to_owned())),
        scale: decimal(keys, "scale", |scale| scale != Decimal::ZERO),
        offset: decimal(keys, "offset", |_| true),
        hide: keys.boolean("hide").unwrap_or(false),
        plausible: keys.boolean("plausible"),
        presentation: presentation(keys),
    };
    class::check(keys, &rule, quantity(&rule.select), &counted(&rule.select));
    rule
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
        dif: pattern(keys, "dif", "8C10"),
        vif: pattern(keys, "vif", "FD3A"),
        bytes: bytes(keys),
    }
}

/// `bytes`: where in the manufacturer's block a value stands. No record is selected then, and nothing but the
/// rule can name the value.
fn bytes(keys: &mut Reader<'_, '_>) -> Option<Part> {
    let table = keys.inline_table("bytes", "{ at = 30, length = 4, coding = \"bcd\" }")?;
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

/// What the selected records measure, where that is known.
fn quantity(select: &Selector) -> Option<Quantity> {
    let Some(vif) = &select.vif else { return select.quantity };
    let bytes = vif.bytes()?;
    let (vib, _) = Vib::parse(&bytes, ByteOrder::LeastFirst).ok()?;
    // a limit may be exceeded since a time, and for a duration
    let is_plain = vib.modifiers().all(|modifier| modifier.is_part() || modifier.is_manufacturers());
    Some(vib.quantity).filter(|_| is_plain)
}

/// The units in which the selected records may be counted; none where that is not known.
fn counted(select: &Selector) -> Vec<Unit> {
    if let Some(vif) = &select.vif {
        // a unit in plain text follows its VIF only in the telegram
        let bytes = vif.bytes().unwrap_or_default();
        let vib = Vib::parse(&bytes, ByteOrder::LeastFirst).ok().map(|(vib, _)| vib);
        let is_rate = |vib: &Vib<'_>| vib.modifiers().any(|modifier| modifier.is_rate());
        return vib.filter(|vib| !is_rate(vib)).map(|vib| vib.unit).into_iter().collect();
    }
    match select.quantity {
        Some(Quantity::Known(known)) => vif::units_of(known).collect(),
        _ => Vec::new(),
    }
}

/// The bytes of a block, each but the last with its extension bit (EN 13757-3 clause 6.3): bit 7.
fn pattern(keys: &mut Reader<'_, '_>, key: &str, example: &str) -> Option<Pattern> {
    let near = keys.peek_text(key).and_then(near_chain).unwrap_or_else(|| example.to_owned());
    let expected = format!(
        "two hex digits a byte, ? for any digit, all bytes but the last with bit 7 set and that one without, \
         such as {near:?}"
    );
    keys.parsed(key, expected, |text| Pattern::parse(text).filter(|_| is_chain(text)))
}

fn is_chain(text: &str) -> bool {
    let high = |digit: Option<&u8>| digit.and_then(|digit| char::from(*digit).to_digit(16));
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(2).collect();
    let Some((last, before)) = bytes.split_last() else { return false };
    let extended = |byte: &&[u8]| high(byte.first()).is_none_or(|digit| digit >= 8);
    bytes.len() <= 11 && before.iter().all(extended) && high(last.first()).is_none_or(|digit| digit < 8)
}

/// The text without what stands between its digits, and with the extension bits that it needs.
fn near_chain(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ':' | '-' | '.')).collect();
    let digits = digits.trim_start_matches("0x").to_ascii_uppercase();
    Pattern::parse(&digits).filter(|_| digits.len() <= 22)?;
    let last = (digits.len() / 2).checked_sub(1)?;
    let byte = |(place, byte): (usize, &[u8])| {
        let [high, low] = byte else { return None };
        let high = match char::from(*high).to_digit(16) {
            Some(digit) if place == last => char::from_digit(digit & 7, 16)?,
            Some(digit) => char::from_digit(digit | 8, 16)?,
            None => '?',
        };
        Some(format!("{}{}", high.to_ascii_uppercase(), char::from(*low)))
    };
    digits.as_bytes().chunks(2).enumerate().map(byte).collect()
}

fn presentation(keys: &mut Reader<'_, '_>) -> Presentation {
    let states: Vec<_> = std::iter::once("").chain(device_class::states()).map(|word| (word, word)).collect();
    Presentation {
        title: keys.text("title"),
        device_class: keys.named(
            "device_class",
            "a class of Home Assistant's sensors",
            device_class::names(),
            |text| device_class::names().find(|name| *name == text).map(str::to_owned),
        ),
        state_class: keys.word("state_class", &states).map(str::to_owned),
        precision: keys.whole("precision", 0..=15),
        enabled: keys.boolean("enabled"),
        icon: keys.parsed("icon", "an icon of Home Assistant's, such as \"mdi:water\"", |text| {
            is_icon(text).then(|| text.to_owned())
        }),
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

/// `mdi:water-pump`.
fn is_icon(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    text.len() <= 64 && text.split_once(':').is_some_and(|(set, name)| word(set) && word(name))
}

fn is_key(text: &str) -> bool {
    let numbered = text.strip_suffix("_N").unwrap_or(text);
    let numbered = &numbered.replacen("_*", "", 1);
    // `<key>_zoned` is what `state` has beside a time.
    spelling::is_slug(numbered) && !RESERVED.contains(&text) && !text.ends_with("_zoned")
}
