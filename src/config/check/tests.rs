//! The whole way from text to [`Config`] or to its problems.

mod classes;
mod names;
mod sample;
mod secrets;
mod together;
mod unknown_key;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{KINDS, Surroundings, spelling};
use crate::config::load::parse;
use crate::config::profiles::built_in;
use crate::config::{Config, Expose, Hat, PasswordSource, Port, Problems};
use crate::mbus::application::security::Key;
use crate::mbus::link::timing::{Baud, Parity};
use crate::measure::profile::Pattern;

const METER: &str = "[[meter]]\nname = \"m\"\naddress = 1\n";

fn config_with(text: &str, credential: Option<&str>) -> Result<Config, Problems> {
    let surroundings = Surroundings {
        folder: Path::new("/etc"),
        password_credential: credential.map(PathBuf::from),
        variable: &|name| (name == "HOSTNAME").then(|| "pi".to_owned()),
        is_timezone: &|name| name == "Europe/Zurich",
        read: &|path| match path.to_str() {
            Some("/etc/good.key") => Ok("000102030405060708090A0B0C0D0E0F\n".to_owned()),
            Some("/etc/bad.key") => Ok("0001020304050607".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        },
        unfit: &|_| None,
        built_in: built_in().into_iter().map(|(profile, _)| profile).collect(),
    };
    parse(&[("t.toml".into(), text.to_owned())], &surroundings)
}

fn config(text: &str) -> Config {
    config_with(text, None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str) -> Vec<String> {
    let reported = config_with(text, None).expect_err("has problems").to_string();
    reported.lines().skip(1).map(|line| line.strip_prefix("t.toml:").expect("a place").to_owned()).collect()
}

#[test]
fn five_lines_are_enough() {
    let config =
        config("[mqtt]\nurl = \"mqtt://homeassistant.local\"\n\n[[meter]]\nname = \"cold_water\"\naddress = 48\n");
    assert_eq!(config.mqtt.places(), "homeassistant.local:1883");
    let [bus] = config.buses.as_slice() else { panic!("one bus") };
    assert_eq!((bus.name.as_str(), &bus.port), ("hat", &Port::Serial("/dev/ttyAMA0".into())));
    assert_eq!((bus.baud, bus.parity, bus.stop_bits), (Baud::DEFAULT, Parity::Even, 1));
    assert_eq!(bus.hat, Some(Hat { power_gpio: 26, power_settle: Duration::from_secs(1) }));
    let [meter] = config.meters.as_slice() else { panic!("one meter") };
    assert_eq!((meter.name.as_str(), meter.address.to_string().as_str(), meter.bus), ("cold_water", "48", 0));
    assert_eq!((meter.interval, meter.align, meter.offset_ms), (Duration::from_secs(900), true, 0));
    assert_eq!((meter.offline_after, &meter.expose), (2, &Expose::Sensible));
}

#[test]
fn every_value_arrives_as_it_is_meant() {
    let config = config(
        r#"
        agent.timezone = "Europe/Zurich"
        [mqtt]
        url = "mqtts://[2001:db8::1]"
        username = "u"
        password_file = "secret"
        base_topic = "mbushat/house7"
        client_cert = "/c.pem"
        client_key = "k.pem"
        protocol = 3
        [[bus]]
        name = "cellar"
        port = "tcp://gateway:10001"
        baud = 9600
        [[bus]]
        name = "attic"
        port = "sim:a.toml"
        [[meter]]
        name = "heat"
        bus = "attic"
        secondary = "3013731?ATS0104"
        interval = "1h"
        offset = "-30s"
        key_file = "good.key"
        requests = ["B1", "0f"]
        expose = ["volume"]
        profile = "ats_ec20"
        [[meter.record]]
        dif = "8C10"
        vif = "13"
        scale = 0.1000000000000000000000000001
        offset = "-2.50"
        unit = "L"
        enabled = false
        icon = "mdi:water-pump"
        "#,
    );
    assert_eq!(config.mqtt.places(), "[2001:db8::1]:8883");
    let Some(PasswordSource::File(password)) = &config.mqtt.password else { panic!("a file") };
    assert_eq!(password, Path::new("/etc/secret"));
    assert_eq!(config.mqtt.tls.and_then(|tls| tls.client), Some(("/c.pem".into(), "/etc/k.pem".into())));
    assert_eq!(config.buses[0].port, Port::Tcp { host: "gateway".into(), port: 10001 });
    assert_eq!(config.buses[0].hat, None);
    assert_eq!(config.buses[1].port, Port::Sim("/etc/a.toml".into()));
    let meter = &config.meters[0];
    assert_eq!((meter.bus, meter.address.to_string().as_str(), meter.offset_ms), (1, "3013731F93060104", -30_000));
    assert_eq!(meter.key, Key::from_hex("000102030405060708090a0b0c0d0e0f"));
    assert_eq!(
        (meter.requests.as_slice(), &meter.expose),
        ([0xB1, 0x0F].as_slice(), &Expose::Keys(vec!["volume".into()]))
    );
    let rule = &meter.records[0];
    assert_eq!((&rule.select.dif, &rule.select.vif), (&Pattern::parse("8C10"), &Pattern::parse("13")));
    assert_eq!(rule.scale.map(|scale| scale.to_string()).as_deref(), Some("0.1000000000000000000000000001"));
    assert_eq!((rule.presentation.enabled, rule.presentation.icon.as_deref()), (Some(false), Some("mdi:water-pump")));
    assert_eq!(rule.offset.map(|offset| offset.to_string()).as_deref(), Some("-2.5"));
}

#[test]
fn each_mistake_is_named_with_its_place() {
    for (text, place, words) in [
        ("[mqt]\n", "1:2", "unknown key `mqt` in the file, did you mean `mqtt`?"),
        ("[mqtt]\ninterval = 1\n", "2:1", "unknown key `interval` in [mqtt], it belongs in [[meter]]"),
        ("[[mqtt]]\n", "1:1", "expected one table [mqtt]"),
        ("[[meter.record]]\nhide = true\n", "1:3", "this [[meter.record]] has no [[meter]] above it, in the same file"),
        ("[meter]\nname = \"m\"\n", "1:1", "expected tables [[meter]]: double brackets"),
        ("meter = [1]\n", "1:10", "contains 1, expected tables [[meter]]"),
        ("agent.timezone = \"Mars\"\n", "1:18", "`timezone` is \"Mars\""),
        ("[mqtt]\nurl = \"tcp://x\"\n", "2:7", "expected \"mqtt://host\""),
        ("[mqtt]\nurl = []\n", "2:7", "`url` is an empty list"),
        ("[mqtt]\nurl = [\"mqtt://x\", 1]\n", "2:20", "expected \"mqtt://host\""),
        ("[mqtt]\nurl = [\"mqtt://x\", \"mqtts://y\"]\n", "2:20", "mixes mqtt:// and mqtts://"),
        ("[mqtt]\nurl = [\"mqtt://x\", \"mqtt://a:b@y\"]\n", "2:20", "use `username` and `password`"),
        ("[mqtt]\nurl = \"mqtt://a:b@x\"\nusername = \"a\"\n", "3:12", "also in `url`"),
        ("[mqtt]\npassword = \"p\"\n", "2:12", "set `username` too"),
        ("[mqtt]\nusername = \"u\"\npassword = \"p\"\npassword_file = \"f\"\n", "3:12", "one password too many"),
        ("[mqtt]\nca_file = \"c\"\n", "2:11", "needs an mqtts:// `url`"),
        ("[mqtt]\nurl = \"mqtts://x\"\nclient_key = \"c\"\n", "3:14", "without `client_cert`"),
        ("[mqtt]\nprotocol = 4\n", "2:12", "expected \"auto\", 5 or 3"),
        ("[mqtt]\nkeep_alive = \"1s\"\n", "2:14", "from 5s to 1h"),
        ("[mqtt]\nbase_topic = \"a/#\"\n", "2:14", "no + or #"),
        ("[homeassistant]\nversion = \"2025.13\"\n", "2:11", "a year and a month"),
        ("[store]\nmax_size = \"256MB\"\n", "2:12", "\"256MiB\""),
        ("[store]\ndurability = \"never\"\n", "2:14", "expected \"outage\" or \"always\""),
        ("[log]\nlevel = \"loud\"\n", "2:9", "\"info\""),
        ("[[bus]]\nport = \"/dev/ttyUSB0\"\n", "1:1", "no `name`"),
        ("[[bus]]\nname = \"b\"\nport = \"ttyUSB0\"\n", "3:8", "a serial device"),
        ("[[bus]]\nname = \"b\"\nport = \"tcp://host\"\n", "3:8", "tcp://host:port"),
        ("[[bus]]\nname = \"b\"\nbaud = 2401\n", "3:8", "`baud` is 2401, expected 300"),
        ("[[bus]]\nname = \"b\"\nport = \"tcp://h:1\"\nhat = true\n", "4:7", "set hat = false"),
        ("[[bus]]\nname = \"b\"\nport = \"/dev/x\"\npower_gpio = 4\n", "4:14", "set hat = true"),
        (
            "[[bus]]\nname = \"b\"\nport = \"/dev/x\"\n[[bus]]\nname = \"c\"\nport = \"/dev/x\"\n",
            "6:8",
            "of line 3 too",
        ),
        ("[[bus]]\nname = \"b\"\nport = \"/dev/x\"\n[[bus]]\nname = \"b\"\n", "5:8", "the name \"b\""),
        ("[[bus]]\nname = \"b\"\n[[bus]]\nname = \"c\"\nport = \"/dev/serial0\"\n", "5:8", "`power_gpio`"),
        ("[[meter]]\naddress = 1\n", "1:1", "no `name`"),
        ("[[meter]]\nname = \"bridge\"\naddress = 1\n", "2:8", "not \"bridge\""),
        ("[[meter]]\nname = \"Kalt\"\naddress = 1\n", "2:8", "a-z, 0-9 and _"),
        ("[[meter]]\nname = \"m\"\n", "1:1", "neither `address` nor `secondary`"),
        ("[[meter]]\nname = \"m\"\naddress = 1\nwake_up = \"0x55\"\n", "4:11", "a byte and how much of it"),
        ("[[meter]]\nname = \"m\"\naddress = 251\n", "3:11", "0 to 250, or 254"),
        ("[[meter]]\nname = \"m\"\naddress = 1\nsecondary = \"12345678\"\n", "4:13", "both"),
        ("[[meter]]\nname = \"m\"\nsecondary = \"1234567\"\n", "3:13", "8 digits"),
    ] {
        assert_one(text, place, words);
    }
    for (line, column, words) in [
        ("interval = \"7m\"", 12, "does not divide 24 h"),
        ("interval = \"36h\"", 12, "does not divide 24 h"),
        ("interval = 15", 12, "`interval` is 15, expected a duration"),
        ("offset = \"15m\"", 10, "shorter than the interval"),
        ("offset = \"1s\"\nalign = false", 10, "of no use with align = false"),
        ("parity = \"mark\"", 10, "\"even\", \"odd\" or \"none\""),
        ("align = \"true\"", 9, "without quotes"),
        ("profile = \"ats_ec2O\"", 11, "did you mean \"ats_ec20\"?"),
        ("bus = \"hatt\"", 7, "did you mean \"hat\"?"),
        ("key_file = \"bad.key\"", 12, "does not hold a key"),
        ("key_file = \"none.key\"", 12, "cannot read"),
        ("requests = [\"B1\", \"B\"]", 19, "`requests` contains \"B\""),
        ("requests = \"B1\"", 12, "expected a list of"),
        ("labels = { Flat = \"3\" }", 12, "`Flat` cannot be the name of a label, expected a-z"),
        ("labels = { unit = \"3\" }", 12, "none of meter, key, unit, agent, le, quantile"),
        ("labels = { 3rd = \"3\" }", 12, "not first a digit"),
        ("labels = { flat = 3 }", 19, "the label `flat` is 3, expected a text in quotes"),
        ("labels = \"flat\"", 10, "expected an inline table such as labels = { flat = \"3 left\" }"),
        ("area = \"\"", 8, "not empty"),
        ("expose = \"all\"", 10, "\"sensible\" or a list"),
        ("offline_after = 0", 17, "from 1 to 255"),
        ("records = 1", 1, "did you mean `record`?"),
    ] {
        assert_one(&format!("{METER}{line}\n"), &format!("4:{column}"), words);
    }
    for (line, column, words) in [
        ("key = \"a\"", 0, "selects nothing"),
        ("index = 1\nkey = \"seq\"", 7, "not read_at, seq, status"),
        ("quantity = \"volumes\"", 12, "did you mean \"volume\"?"),
        ("index = 1\nunit = \"kwh\"", 8, "did you mean \"kWh\"?"),
        ("index = 1\nunit = \"l\"", 8, "did you mean \"L\"?"),
        ("index = 1\nunit = \"furlong\"", 8, "expected a unit: Wh, kWh, "),
        (
            "quantity = \"on_time\"\nunit = \"L\"",
            8,
            "does not fit on_time, expected one of s ms μs min h d; or set `scale` too",
        ),
        ("dif = \"04\"\nvif = \"6D\"\nunit = \"L\"\nscale = 0", 9, "not 0"),
        ("dif = \"04\"\nvif = \"FD48\"\nunit = \"A\"", 8, "does not fit the VIF FD48, expected one of V mV μV kV MV;"),
        ("index = 1\nscale = 0", 9, "not 0"),
        ("bytes = { at = 0, length = 4, coding = \"bcd\" }", 9, "needs a `key`"),
        ("key = \"a\"\nbytes = { at = 0, length = 4 }", 9, "has no `coding`, expected { at = 30"),
        ("key = \"a\"\nbytes = { at = 0, length = 9, coding = \"bcd\" }", 28, "from 1 to 8"),
        ("key = \"a\"\nbytes = { at = 0, length = 2, coding = \"real\" }", 28, "set `length` to 4"),
        (
            "key = \"a\"\nbytes = { at = 0, length = 2, coding = \"float\" }",
            40,
            "\"uint\", \"int\", \"bcd\" or \"real\"",
        ),
        ("key = \"a\"\nbytes = \"0F\"", 9, "expected an inline table such as bytes = { at = 30"),
        ("index = 1\nscale = 1e-3", 9, "no exponent"),
        ("dif = \"0C\"\nvif = \"FD\"", 7, "such as \"7D\""),
        ("vif = \"FF 59 ??\"", 7, "such as \"FFD9??\""),
        ("vif = \"FF5900\"", 7, "such as \"FFD900\""),
        ("dif = \"04 8\"", 7, "such as \"8C10\""),
        ("dif = \"0C8?\"", 7, "such as \"8C0?\""),
        ("vif = \"FD3A\"\nkey = \"_*\"", 7, "or has _* in it"),
        ("vif = \"FD3A\"\nicon = \"water\"", 8, "such as \"mdi:water\""),
        ("vif = \"FD3A\"\nenabled = 1", 11, "true or false"),
        ("quantity = \"volume\"\ndevice_class = \"wather\"", 16, "did you mean \"water\"?"),
        ("index = 1\nstate_class = \"sum\"", 15, "\"total_increasing\""),
    ] {
        let (last, column) = if column == 0 { (4, 1) } else { (4 + line.lines().count(), column) };
        assert_one(&format!("{METER}[[meter.record]]\n{line}\n"), &format!("{last}:{column}"), words);
    }
}

#[test]
fn a_meter_has_sixteen_labels_at_most() {
    let labels = |count: u32| (0..count).map(|n| format!("l{n} = \"{n}\"")).collect::<Vec<_>>().join(", ");
    let meter = |count| format!("{METER}labels = {{ {} }}\n", labels(count));
    let read = &config(&meter(16)).meters[0].labels;
    assert_eq!((read.len(), read.get("l15").map(String::as_str)), (16, Some("15")));
    assert_one(&meter(17), "4:10", "`labels` has 17, at most 16");
}

#[test]
fn a_part_of_a_block_is_no_record() {
    let rule = "key = \"a\"\nindex = 3\nbytes = { at = 0, length = 4, coding = \"bcd\" }\n";
    assert_one(&format!("{METER}[[meter.record]]\n{rule}"), "6:9", "`index` selects records, `bytes` a part");
}

#[test]
fn a_unit_that_makes_another_quantity_of_a_number_is_taken_where_that_makes_sense() {
    for rule in [
        "quantity = \"energy\"\nunit = \"Gcal\"",
        "quantity = \"energy\"\nsubunit = 1\nunit = \"kvarh\"",
        "quantity = \"energy\"\nunit = \"m³\"\nscale = 10000",
        "quantity = \"power\"\nunit = \"VA\"",
        "quantity = \"dimensionless\"\nunit = \"kWh\"",
        "quantity = \"manufacturer_specific\"\nunit = \"kWh\"",
        "quantity = \"unknown_fd3f\"\nunit = \"kWh\"",
        "quantity = \"flow_temperature\"\nunit = \"°F\"",
        "quantity = \"energy\"\nunit = \"\"",
        "dif = \"04\"\nvif = \"FF07\"\nunit = \"kWh\"",
        "dif = \"04\"\nvif = \"7C\"\nunit = \"kWh\"",
        "dif = \"04\"\nvif = \"8622\"\nunit = \"kW\"",
        "index = 3\nunit = \"L\"",
    ] {
        let rules = config(&format!("{METER}[[meter.record]]\n{rule}\n")).meters[0].records.len();
        assert_eq!(rules, 1, "{rule}");
    }
}

#[test]
fn a_profile_is_for_one_meter_or_for_any_of_a_list() {
    let profile = |lines: &str| config_with(&format!("{METER}[[profile]]\nname = \"p\"\n{lines}\n"), None);
    let config =
        profile("manufacturer = [\"SBC\", \"0000\"]\nversion = [18, 22]\nmedium = \"electricity\"\nmodel = \"ALE3\"");
    let config = config.expect("good");
    let first = config.profiles.first().expect("the file's own");
    let manufacturers: Vec<u16> = first.manufacturer.iter().map(|manufacturer| manufacturer.0).collect();
    assert_eq!((manufacturers.as_slice(), first.version.as_slice()), ([0x4C43, 0].as_slice(), [18, 22].as_slice()));
    assert_eq!((first.medium.as_slice(), first.product.model.as_deref()), ([2].as_slice(), Some("ALE3")));
    let empty = profile("medium = []").expect_err("none").to_string();
    assert!(empty.contains("`medium` is an empty list, expected a device type"), "{empty}");
    for wrong in ["version = []", "version = [1, 256]", "medium = [\"reserved\"]", "manufacturer = [1]"] {
        let problems = profile(wrong).expect_err(wrong).to_string();
        assert!(problems.contains("or a list of such"), "{problems}");
    }
}

fn assert_one(text: &str, place: &str, words: &str) {
    let problems = problems(text);
    let [problem] = problems.as_slice() else { panic!("one problem in {text:?}: {problems:#?}") };
    assert!(problem.starts_with(&format!("{place}: ")) && problem.contains(words), "{problem}\n{text}");
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_lines() {
    let reported = problems(
        "[mqtt]\nurl = \"x\"\n[[meter]]\nname = \"a\"\nadress = 1\n[[meter]]\nname = \"a\"\naddress = 300\nbaud = 1\n",
    );
    let places: Vec<&str> = reported.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(places, ["2:7:", "5:1:", "7:8:", "8:11:", "9:8:"], "{reported:#?}");
}

#[test]
fn meters_that_would_answer_together_are_refused() {
    let two = |a: &str, b: &str| {
        format!("[[meter]]\nname = \"a\"\n{a}\n[[meter]]\nname = \"b\"\n{b}\n[[meter]]\nname = \"c\"\naddress = 9\n")
    };
    assert_one(&two("address = 5", "address = 5"), "6:11", "meter \"a\" of line 3");
    assert_one(&two("secondary = \"30137315\"", "secondary = \"30137315ATS0104\""), "6:13", "of line 3");
    assert_one(&two("secondary = \"30137315ATS0104\"", "secondary = \"3013????\""), "6:13", "of line 3");
    config(&two("address = 5", "address = 5\nenabled = false"));
    config(&two("secondary = \"30137315ATS0104\"", "secondary = \"30137315ATS0107\""));
    let buses = "[[bus]]\nname = \"x\"\nport = \"/dev/x\"\n[[bus]]\nname = \"y\"\nport = \"/dev/y\"\n";
    config(&format!("{buses}{METER}bus = \"x\"\n[[meter]]\nname = \"n\"\naddress = 1\nbus = \"y\"\n"));
    let reported = problems(&format!("{buses}{METER}"));
    assert_eq!(reported, ["7:1: this [[meter]] does not say its `bus`: there is \"x\", \"y\""]);
}

#[test]
fn a_bus_that_cannot_keep_its_times_is_refused() {
    let bus = |baud: u32| format!("[[bus]]\nname = \"b\"\nport = \"/dev/x\"\nbaud = {baud}\n");
    let meters = |count: usize| -> String {
        (0..count).map(|n| format!("[[meter]]\nname = \"m{n}\"\naddress = {n}\ninterval = \"1s\"\n")).collect()
    };
    // 14 characters of 11 bits and a pause of 11 bit times: 550 ms at 300 baud, 69 ms at 2400
    config(&(bus(300) + &meters(1)));
    assert_one(&(bus(300) + &meters(2)), "12:12", "110 %");
    config(&(bus(2400) + &meters(14)));
    assert_one(&(bus(2400) + &meters(15)), "64:12", "103 %");
}

/// A date is what no key wants: so each key of each table is read, and complains of its own value.
#[test]
fn every_listed_key_is_read() {
    for kind in &KINDS[1..] {
        let header = match kind.name {
            "[[meter.record]]" => format!("{METER}[[meter.record]]"),
            "`bytes`" => format!("{METER}[[meter.record]]\nkey = \"a\"\n[meter.record.bytes]"),
            name => name.to_owned(),
        };
        for key in kind.keys {
            let text = format!("{header}\n{key} = 1979-05-27\n");
            let line = text.lines().count();
            let reported = problems(&text);
            let named =
                |reported: &String| reported.starts_with(&format!("{line}:")) && reported.contains(&format!("`{key}`"));
            assert!(reported.iter().any(named), "{key} of {}: {reported:?}", kind.name);
        }
    }
}

#[test]
fn no_mangled_file_makes_it_panic_and_every_place_lies_in_the_file() {
    let sample = include_str!("../../../config/mbushat.toml").replace("\n# ", "\n");
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % (below as u64)).expect("small")
    };
    let pieces = ["\"", "[", "]", "=", "\n", "é", "-1", "\0", "9999999999999999999999", "[[meter]]", "'''", "0x", "{"];
    for _ in 0..400 {
        let mut text: Vec<char> = sample.chars().collect();
        for _ in 0..1 + next(8) {
            let at = next(text.len());
            let end = (at + next(12)).min(text.len());
            text.splice(at..end, pieces[next(pieces.len())].chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(found) = config_with(&text, None) {
            let lines = text.split('\n').count();
            assert!(!found.problems.is_empty());
            assert!(found.problems.iter().all(|p| (1..=lines).contains(&p.at.line) && p.at.column >= 1), "{found}");
        }
    }
}

#[test]
fn the_page_is_found_by_others_only_where_it_listens_for_them() {
    for (keys, url) in [
        ("", None),
        ("listen = \"[::1]:80\"", None),
        ("listen = \"0.0.0.0:6287\"", Some("http://pi.local:6287")),
        (
            "listen = \"[::]:80\"\npath = \"/meters-page\"\nhosts = [\"Meters.example.org\"]",
            Some("http://meters.example.org:80/meters-page"),
        ),
        ("listen = \"192.0.2.7:443\"\ncert = \"c\"\nkey = \"k\"", Some("https://192.0.2.7:443")),
    ] {
        let http = config(&format!("[http]\n{keys}\n{METER}")).http.expect("a page");
        assert_eq!(http.url.as_deref(), url, "{keys}");
    }
}

#[test]
fn the_page_has_no_path_that_hides_pages_of_its_own() {
    let router = include_str!("../../http/router.rs");
    let routes = router.split("route(\"/").skip(1).filter_map(|rest| rest.split(['/', '"']).next());
    for name in routes.filter(|name| !name.is_empty()) {
        for path in [format!("/{name}"), format!("/{name}/more")] {
            let reported = problems(&format!("[http]\npath = \"{path}\"\n{METER}"));
            let expected = format!("2:8: `path` begins with /{name}, where the agent has pages of its own");
            assert!(reported.len() == 1 && reported[0].starts_with(&expected), "{reported:?}");
        }
    }
    assert_eq!(config(&format!("[http]\npath = \"/meters\"\n{METER}")).http.expect("a page").path, "/meters");
}
