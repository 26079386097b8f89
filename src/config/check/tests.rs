//! The whole way from text to [`Config`] or to its problems.

mod classes;
mod mistakes;
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
