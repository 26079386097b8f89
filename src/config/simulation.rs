//! A simulated bus from its file: for `sim:FILE` ports, `mbushat simulate` and `mbushat demo`.
//!
//! Not here: what the meters do ([`sim`](crate::sim)).

use std::path::Path;
use std::time::Duration;

use super::file::{self, Table, Value};
use super::load::text;
use super::problem::{Place, Problem, Problems};
use super::reader::{Kind, Reader};
use super::{LoadError, spelling};
use crate::mbus::address::{PrimaryAddress, SecondaryAddress};
use crate::mbus::application::security::Key;
use crate::mbus::link::frame::Frame;
use crate::sim::known;
use crate::sim::model::Model;
use crate::sim::plan::{Content, Faults, FcbHandling, MeterPlan, SegmentPlan};

const FILE: Kind = Kind { name: "the file", keys: &["baud", "seed", "clock", "faults", "meter"] };
const FAULTS: Kind = Kind {
    name: "[faults]",
    keys: &[
        "corrupt_per_mille",
        "drop_per_mille",
        "noise_per_mille",
        "junk_per_mille",
        "damaged_ack_per_mille",
        "late_per_mille",
        "late_by",
        "truncated_per_mille",
        "wrong_address_per_mille",
        "wrong_checksum_per_mille",
        "echo",
        "bunch",
        "babble_per_second",
        "babble_from",
        "dead_from",
        "dead_for",
    ],
};
const METER: Kind = Kind {
    name: "[[meter]]",
    keys: &[
        "model",
        "telegrams",
        "address",
        "id",
        "status",
        "delay",
        "silent",
        "baud",
        "selectable",
        "stays_selected",
        "wakes_by",
        "fcb",
        "acknowledges_reset",
        "acknowledges_after",
        "wants_reset",
        "says_address",
        "fabrication_number",
        "applications",
        "endless",
        "key",
    ],
};
const KINDS: &[&Kind] = &[&FILE, &FAULTS, &METER];

const ADDRESS_0: PrimaryAddress = match PrimaryAddress::new(0) {
    Some(address) => address,
    None => panic!("0 is an address"),
};

/// The two meters that are known byte for byte, beside the models that live.
type Known = fn(PrimaryAddress) -> MeterPlan;
const KNOWN: [(&str, Known); 2] = [("ats_ec20", known::ats), ("eastron_sdm220", known::sdm220)];

const SAMPLE: &str = include_str!("../../config/simulated-bus.toml");

/// The bus that needs no file: `config/simulated-bus.toml`.
#[must_use]
pub fn built_in() -> SegmentPlan {
    // A test proves that it has no problems.
    parse(SAMPLE, Path::new("config/simulated-bus.toml")).unwrap_or_else(|_| SegmentPlan::new(Vec::new()))
}

/// The file of the built-in bus, to copy and change.
#[must_use]
pub fn sample() -> &'static str {
    SAMPLE
}

/// Reads a simulated bus from its file.
///
/// # Errors
/// Where the file cannot be read, or with every problem it has.
pub fn load(path: &Path) -> Result<SegmentPlan, LoadError> {
    let text = text(path).map_err(|error| match error {
        LoadError::Unreadable { file, error } => LoadError::NoSimulation { file, error },
        other => other,
    })?;
    Ok(parse(&text, path)?)
}

fn parse(text: &str, path: &Path) -> Result<SegmentPlan, Problems> {
    let (table, mut problems) = file::read(text);
    let plan = segment(&table, &mut problems);
    if problems.is_empty() { Ok(plan) } else { Err(Problems::new(&[path.to_owned()], problems)) }
}

fn segment(table: &Table, problems: &mut Vec<Problem>) -> SegmentPlan {
    let mut keys = Reader::new(&FILE, KINDS, table, problems);
    let mut plan = SegmentPlan::new(Vec::new());
    if let Some(baud) = keys.baud("baud") {
        plan.baud = baud;
    }
    if let Some(seed) = keys.whole("seed", 0..=u64::MAX) {
        plan.seed = seed;
    }
    if let Some(clock) =
        keys.read("clock", "a local date and time such as 2026-01-01T00:00:00, without quotes", seconds)
    {
        plan.clock = clock;
    }
    if let Some(table) = keys.table("faults") {
        plan.faults = faults(&mut Reader::new(&FAULTS, KINDS, table, keys.problems));
    }
    for table in keys.tables("meter", "meter") {
        let mut keys = Reader::new(&METER, KINDS, table, keys.problems);
        plan.meters.push(meter(&mut keys, table.at));
    }
    plan
}

/// Seconds since 1970 that a local clock shows.
fn seconds(value: &Value) -> Option<u64> {
    let Value::Time(text) = value else { return None };
    let time: jiff::civil::DateTime = text.parse().ok()?;
    let since = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    u64::try_from(since).ok()
}

fn faults(keys: &mut Reader<'_, '_>) -> Faults {
    let mut per_mille = |key: &str| keys.whole(key, 0..=1000).unwrap_or(0);
    let corrupt_per_mille = per_mille("corrupt_per_mille");
    let drop_per_mille = per_mille("drop_per_mille");
    let noise_per_mille = per_mille("noise_per_mille");
    let late_per_mille = per_mille("late_per_mille");
    let truncated_per_mille = per_mille("truncated_per_mille");
    let wrong_address_per_mille = per_mille("wrong_address_per_mille");
    let wrong_checksum_per_mille = per_mille("wrong_checksum_per_mille");
    let junk_per_mille = per_mille("junk_per_mille");
    let damaged_ack_per_mille = per_mille("damaged_ack_per_mille");
    let babble_per_second = keys.whole("babble_per_second", 0..=1000).unwrap_or(0);
    let day = 24 * 3_600_000;
    let mut times = |key: &str| Duration::from_millis(keys.millis(key, 0..=day).unwrap_or(0).unsigned_abs());
    let (dead_from, dead_for, babble_from) = (times("dead_from"), times("dead_for"), times("babble_from"));
    let mut millis = |key: &str| Duration::from_millis(keys.millis(key, 0..=60_000).unwrap_or(0).unsigned_abs());
    Faults {
        corrupt_per_mille,
        drop_per_mille,
        noise_per_mille,
        junk_per_mille,
        damaged_ack_per_mille,
        babble_per_second,
        babble_from,
        dead_from,
        dead_for,
        late_per_mille,
        late_by: millis("late_by"),
        truncated_per_mille,
        wrong_address_per_mille,
        wrong_checksum_per_mille,
        bunch: millis("bunch"),
        echo: keys.boolean("echo").unwrap_or(false),
    }
}

/// A meter; where a problem was noted, some meter, which is never used.
fn meter(keys: &mut Reader<'_, '_>, table_at: Place) -> MeterPlan {
    match (keys.has("model"), keys.has("telegrams")) {
        (true, true) => keys.problem(keys.at("telegrams"), "both `model` and `telegrams` are set; keep one"),
        (false, false) => keys.problem(table_at, "this [[meter]] has neither `model` nor `telegrams`: give one"),
        _ => {}
    }
    let address = keys.whole("address", 0..=250).and_then(PrimaryAddress::new);
    if keys.has("model") && !keys.has("address") {
        keys.problem(table_at, "this [[meter]] has no `address`");
    }
    let id = digits(keys, "id");
    let of_model = model(keys, address.unwrap_or(ADDRESS_0), id);
    let mut meter = of_model.or(recorded(keys, address)).unwrap_or_else(|| known::ats(ADDRESS_0));
    if let Some(id) = id {
        let [a, b, c, d] = id.to_le_bytes();
        let [_, _, _, _, rest @ ..] = meter.identity.to_wire();
        let [m, n, version, medium] = rest;
        meter.identity = SecondaryAddress::from_wire([a, b, c, d, m, n, version, medium]);
    }
    behaviour(keys, &mut meter);
    meter.key = keys.secret("key", "32 hex digits (AES-128)", |text| {
        spelling::hex(text).and_then(|bytes| bytes.try_into().ok()).map(Key::new)
    });
    meter
}

fn model(keys: &mut Reader<'_, '_>, address: PrimaryAddress, id: Option<u32>) -> Option<MeterPlan> {
    let names = Model::ALL.iter().map(|(name, _)| *name).chain(KNOWN.iter().map(|(name, _)| *name));
    let expected: Vec<&str> = names.clone().collect();
    // Meters without an id of their own are identified by their address.
    let id = id.or_else(|| u32::from_str_radix(&format!("10000{:03}", address.get()), 16).ok())?;
    keys.parsed("model", expected.join(", "), |name| {
        let known = KNOWN.iter().find(|(known, _)| *known == name).map(|(_, plan)| plan(address));
        known.or_else(|| Model::from_name(name).map(|model| MeterPlan::live(model, address, id)))
    })
}

/// A meter that says what a recorded one said: its identity, and the records of each telegram.
fn recorded(keys: &mut Reader<'_, '_>, address: Option<PrimaryAddress>) -> Option<MeterPlan> {
    let expected = "whole telegrams in hex, 68 to 16, with CI 72, checksum right, signature 0000 (not encrypted)";
    let endless = keys.boolean("endless").unwrap_or(false);
    let so_far = keys.problems.len();
    let telegrams = keys.list("telegrams", expected, telegram)?;
    let Some(first) = telegrams.first() else {
        if keys.problems.len() == so_far {
            keys.problem(keys.at("telegrams"), format!("`telegrams` is empty, expected {expected}"));
        }
        return None;
    };
    let (address, identity) = (address.unwrap_or(first.address), first.identity);
    let (access_number, status) = (first.access_number, first.status);
    let areas = telegrams.iter().map(|telegram| telegram.records.clone()).collect();
    let content = if endless { Content::Endless(areas) } else { Content::Telegrams(areas) };
    Some(MeterPlan { access_number, status, ..MeterPlan::new(address, identity, content) })
}

/// What of a recorded telegram is said again.
struct Telegram {
    address: PrimaryAddress,
    identity: SecondaryAddress,
    access_number: u8,
    status: u8,
    records: Vec<u8>,
}

fn telegram(text: &str) -> Option<Telegram> {
    let digits: String = text.split_whitespace().collect();
    let bytes = spelling::hex(&digits)?;
    let Ok(Frame::Long { a, ci: 0x72, data, .. }) = Frame::parse(&bytes) else { return None };
    let (identity, rest) = data.split_first_chunk::<8>()?;
    let &[access_number, status, 0, 0, ref records @ ..] = rest else { return None };
    // The simulated meter adds the "more follow" of all telegrams but the last by itself.
    let records = records.strip_suffix(&[0x1F]).unwrap_or(records).to_vec();
    let (address, identity) = (PrimaryAddress::new(a)?, SecondaryAddress::from_wire(*identity));
    Some(Telegram { address, identity, access_number, status, records })
}

fn behaviour(keys: &mut Reader<'_, '_>, meter: &mut MeterPlan) {
    let handling = [
        ("strict", FcbHandling::Strict),
        ("simple", FcbHandling::Simple),
        ("ignored", FcbHandling::Ignored),
        ("advancing", FcbHandling::Advancing),
    ];
    meter.fcb = keys.word("fcb", &handling).unwrap_or(meter.fcb);
    meter.status = keys.whole("status", 0..=255).unwrap_or(meter.status);
    meter.silent = keys.boolean("silent").unwrap_or(meter.silent);
    meter.wakes_by = keys.parsed("wakes_by", spelling::WAKE_UP, spelling::wake_up).or(meter.wakes_by);
    meter.baud = keys.baud("baud").or(meter.baud);
    meter.selectable = keys.boolean("selectable").unwrap_or(meter.selectable);
    meter.stays_selected = keys.boolean("stays_selected").unwrap_or(meter.stays_selected);
    meter.acknowledges_reset = keys.boolean("acknowledges_reset").unwrap_or(meter.acknowledges_reset);
    meter.fabrication_number = digits(keys, "fabrication_number").or(meter.fabrication_number);
    let expected = "two hex digits of a code and a whole telegram, in quotes, such as \"50 68 … 16\"";
    meter.applications = keys.list("applications", expected, application).unwrap_or_default();
    meter.wants_reset = keys.boolean("wants_reset").unwrap_or(meter.wants_reset);
    meter.says_address = keys.whole("says_address", 0..=255).or(meter.says_address);
    let mut millis = |key: &str| keys.millis(key, 0..=10_000).map(|delay| Duration::from_millis(delay.unsigned_abs()));
    meter.delay = millis("delay").unwrap_or(meter.delay);
    meter.acknowledges_after = millis("acknowledges_after").or(meter.acknowledges_after);
}

/// A code and the records of the telegram that it selects.
fn application(text: &str) -> Option<(u8, Vec<u8>)> {
    let (code, rest) = text.split_once(' ')?;
    let code = u8::from_str_radix(code, 16).ok()?;
    Some((code, telegram(rest)?.records))
}

/// Eight digits as BCD; some meters have A to F among them.
fn digits(keys: &mut Reader<'_, '_>, key: &str) -> Option<u32> {
    keys.parsed(key, "eight digits in quotes, such as \"30137315\"", |text| {
        let digits = text.len() == 8 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        digits.then(|| u32::from_str_radix(text, 16).ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::{KINDS, SAMPLE, built_in, parse};
    use crate::mbus::link::timing::Baud;
    use crate::sim::plan::{Content, FcbHandling, SegmentPlan};
    use std::path::Path;
    use std::time::Duration;

    const ATS: &str = "68 3D 3D 68 08 30 72 15 73 13 30 93 06 01 04 70 00 00 00 0C 06 00 00 00 00 0C 14 05 00 00 00 \
        0C 22 57 83 03 00 0C 2E 01 00 00 00 0C 3B 00 00 00 00 0A 59 01 00 0A 5D 01 00 0A 61 01 00 42 6C 8F 21 DD 16";

    fn plan(text: &str) -> SegmentPlan {
        parse(text, Path::new("s.toml")).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn problem(text: &str) -> String {
        let found = parse(text, Path::new("s.toml")).expect_err("has a problem");
        assert_eq!(found.problems.len(), 1, "{found}");
        found.to_string()
    }

    #[test]
    fn the_bus_that_needs_no_file_has_its_meters() {
        let models: Vec<u8> = built_in().meters.iter().map(|meter| meter.identity.medium()).collect();
        assert_eq!(models, [0x04, 0x16, 0x06, 0x02]);
    }

    #[test]
    fn each_commented_out_value_of_the_sample_is_the_default() {
        let spelled: String =
            SAMPLE.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line))).collect();
        assert!(spelled.contains("\n[faults]\n") && spelled.contains("\nfcb = \"strict\"\n"));
        assert_eq!(plan(&spelled), built_in());
    }

    #[test]
    fn a_recorded_meter_is_the_known_one() {
        let recorded = plan(&format!("[[meter]]\ntelegrams = [\"{ATS}\"]\n"));
        let known = plan("[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
        let (recorded, known) = (&recorded.meters[0], &known.meters[0]);
        assert_eq!((recorded.address, recorded.identity), (known.address, known.identity));
        assert_eq!((recorded.access_number, &recorded.content), (known.access_number, &known.content));
    }

    #[test]
    fn what_tells_of_more_telegrams_is_left_to_the_simulated_meter() {
        // id 12345678, PAD, version 1, water; access number 7, status 10, one record, "more follow"
        let telegram = "68 14 14 68 08 05 72 78 56 34 12 24 40 01 07 07 10 00 00 01 FD 1B 00 1F 4E 16";
        let plan = plan(&format!("[[meter]]\ntelegrams = [\"{telegram}\", \"{telegram}\"]\naddress = 9\n"));
        let meter = &plan.meters[0];
        assert_eq!((meter.address.get(), meter.access_number, meter.status), (9, 7, 0x10));
        assert_eq!(meter.content, Content::Telegrams(vec![vec![0x01, 0xFD, 0x1B, 0x00]; 2]));
    }

    #[test]
    fn every_value_arrives() {
        let plan = plan(
            "baud = 300\nseed = 7\nclock = 2026-11-22T21:40:00\n[faults]\nnoise_per_mille = 5\nlate_by = \"1s\"\necho = true\n\
             [[meter]]\nmodel = \"gas\"\naddress = 3\nid = \"12345678\"\nfcb = \"ignored\"\ndelay = \"5ms\"\nsilent = true\n\
             baud = 9600\nselectable = false\n",
        );
        assert_eq!((plan.baud.bits_per_second(), plan.seed, plan.clock), (300, 7, 1_795_383_600));
        assert_eq!(
            (plan.faults.noise_per_mille, plan.faults.late_by, plan.faults.echo),
            (5, Duration::from_secs(1), true)
        );
        let meter = &plan.meters[0];
        assert_eq!((meter.identity.id(), meter.fcb, meter.silent), (0x1234_5678, FcbHandling::Ignored, true));
        assert_eq!((meter.address.get(), meter.delay), (3, Duration::from_millis(5)));
        assert_eq!((meter.baud.map(Baud::bits_per_second), meter.selectable), (Some(9600), false));
        assert!(matches!(meter.content, Content::Live(_)));
    }

    #[test]
    fn mistakes_are_named_with_their_places() {
        for (text, words) in [
            ("[[meter]]\naddress = 1\n", "s.toml:1:1: this [[meter]] has neither"),
            ("[[meter]]\nmodel = \"heat\"\n", "s.toml:1:1: this [[meter]] has no `address`"),
            ("[[meter]]\nmodel = \"heet\"\naddress = 1\n", "s.toml:2:9: `model` is \"heet\""),
            ("[[meter]]\ntelegrams = []\n", "s.toml:2:13: `telegrams` is empty"),
            ("[[meter]]\ntelegrams = [\"E5\"]\n", "s.toml:2:14: `telegrams` contains \"E5\", expected whole telegrams"),
            ("[faults]\necho = 1\n", "s.toml:2:8: `echo`"),
            ("clock = \"now\"\n", "s.toml:1:9: `clock` is \"now\""),
        ] {
            let reported = problem(text);
            assert!(reported.contains(words), "{reported}");
        }
    }

    #[test]
    fn every_listed_key_is_read() {
        for kind in KINDS {
            for key in kind.keys {
                let header = if kind.name == "the file" { "" } else { kind.name };
                let value = if *key == "clock" { "\"x\"" } else { "1979-05-27" };
                let company = if *key == "endless" { format!("telegrams = [\"{ATS}\"]\n") } else { String::new() };
                let text = format!("{header}\n{company}{key} = {value}\n");
                let reported = parse(&text, Path::new("s.toml")).expect_err("a date suits no key").to_string();
                assert!(reported.contains(&format!("`{key}` ")), "{key} of {}: {reported}", kind.name);
            }
        }
    }
}
