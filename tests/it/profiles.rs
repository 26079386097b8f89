//! `mbushat profiles` at the process boundary: the built-in rules, and rules to complete for what a
//! meter sends without a name.

use std::path::PathBuf;

use mbushat::config::built_in_profiles;
use mbushat::mbus::application::quantity::Unit;
use mbushat::measure::profile::Profile;

use crate::bus_commands::{Folder, Simulated, text};

#[test]
fn profiles_are_listed_and_each_is_a_good_configuration() {
    let place = Folder::new("profiles");
    let list = text(&place.mbushat(&["profiles"]).stdout);
    assert_eq!(list, text(&place.mbushat(&["profiles", "list"]).stdout));
    let names: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let files = std::fs::read_dir(root().join("config/profiles")).expect("the folder");
    let mut all: Vec<String> = files.map(|file| file.expect("a file").file_name().to_string_lossy().into()).collect();
    all.sort();
    assert_eq!(names.iter().map(|name| format!("{name}.toml")).collect::<Vec<_>>(), all);
    for name in names {
        let profile = place.mbushat(&["profiles", "show", name]);
        place.write("profile.toml", &text(&profile.stdout));
        assert_eq!(place.mbushat(&["check", &place.path("profile.toml")]).status.code(), Some(0), "{name}");
    }
    let output = place.mbushat(&["profiles", "show", "nonesuch"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: there is no profile \"nonesuch\""));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A profile's part of the page: what its file says at its head, and what it names. Where that is known from is for
/// who changes the file.
fn described(profile: &Profile, file: &str) -> String {
    let head = file.lines().take_while(|line| line.starts_with('#')).map(|line| line.trim_start_matches(['#', ' ']));
    let head: Vec<&str> = head.map(|line| if line.is_empty() { "\n\n" } else { line }).collect();
    let head = head.join(" ").replace(" \n\n ", "\n\n");
    let head: Vec<&str> = head.split("\n\n").filter(|paragraph| !paragraph.starts_with("Source: ")).collect();
    let head = head.join("\n\n");
    let named = profile.records.iter().filter_map(|rule| {
        let key = rule.key.as_deref().filter(|_| !rule.hide)?;
        let unit = rule.unit.map_or("", Unit::name);
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let off = if rule.presentation.enabled == Some(false) { " (off)" } else { "" };
        Some(format!("`{key}`{unit}{off}"))
    });
    let mut keys: Vec<String> = Vec::new();
    named.for_each(|one| {
        if !keys.contains(&one) {
            keys.push(one)
        }
    });
    let keys = if keys.is_empty() { String::new() } else { format!("\n\nKeys: {}", keys.join(", ")) };
    format!("## {}\n\nProfile `{}`. {head}{keys}\n", profile.title, profile.name)
}

#[test]
fn the_page_of_meters_is_what_the_profiles_say() {
    let intro = "<!-- Written by `UPDATE_GOLDEN=1 cargo test --test it profiles` from config/profiles -->\n\n\
        # Meters with a profile\n\nThese meters get names, units and classes that their telegrams do not give. \
        A profile is chosen by what a meter says of itself; `mbushat profiles show NAME` prints it in the form of the \
        configuration file. Every other meter works too: its keys are those of [Names and units](keys.md).\n\n\
        A key with `_*` is followed by what tells several values apart, such as `_tariff_1`, `_storage_1` or `_l1`. \
        What is marked (off) starts disabled in Home Assistant.\n";
    let parts = built_in_profiles().into_iter().map(|(profile, file)| described(&profile, file));
    let want = std::iter::once(intro.to_owned()).chain(parts).collect::<Vec<_>>().join("\n");
    let page = root().join("docs/src/meters.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&page, &want).expect("written");
    }
    assert_eq!(std::fs::read_to_string(&page).unwrap_or_default(), want, "UPDATE_GOLDEN=1 writes it");
}

/// A volume, two equal counts without dimension, a reserved code, one that the manufacturer keeps to
/// himself with a modifier of his, and one that is named by a rule already.
const RECORDS: &str = "0C 14 05 00 00 00  0C FD 3A 07 00 00 00  0C FD 3A 08 00 00 00  \
    02 FD 7B 34 12  02 FF 02 05 00  01 FD 3A 09";

#[test]
fn what_a_meter_sends_without_a_name_is_printed_as_rules_to_paste() {
    let place = Folder::new("unknown");
    let frame = format!("08 05 72 78 56 34 12 24 40 01 07 55 00 00 00 {RECORDS}");
    let bytes: Vec<u8> = frame.split_whitespace().map(|b| u8::from_str_radix(b, 16).expect("hex")).collect();
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let telegram = format!("68 {0:02X} {0:02X} 68 {frame} {sum:02X} 16", bytes.len());
    place.write("bus.toml", &format!("baud = 9600\n[[meter]]\naddress = 5\ntelegrams = [\"{telegram}\"]\n"));
    let bus = Simulated::start(&[&place.path("bus.toml")]);
    let wire = format!("[[bus]]\nname = \"b\"\nport = \"{}\"\nbaud = 9600\nresponse_timeout = \"1s\"\n", bus.port);
    let known = "[[meter.record]]\ndif = \"01\"\nvif = \"FD3A\"\nkey = \"pulses\"\n";
    let config = format!("{wire}[[meter]]\nname = \"gas\"\naddress = 5\n{known}");
    place.write("mbushat.toml", &config);
    let output = place.mbushat(&["profiles", "unknown", "gas"]);
    let rules = text(&output.stdout);
    let blocks = [
        ("1 of gas: 7, bytes 07000000", "index = 1\ndif = \"0C\"\nvif = \"FD3A\"\nkey = \"dimensionless\""),
        ("2 of gas: 8, bytes 08000000", "index = 2\ndif = \"0C\"\nvif = \"FD3A\"\nkey = \"dimensionless_2\""),
        ("3 of gas: 4660, bytes 3412", "dif = \"02\"\nvif = \"FD7B\"\nkey = \"unknown_fd7b\""),
        ("4 of gas: 5, bytes 0500", "dif = \"02\"\nvif = \"FF02\"\nkey = \"manufacturer_specific_manufacturer_02\""),
    ];
    let todo = "# title = \"\"\n# unit = \"\"\n# scale = 1\n# hide = true\n";
    let want = blocks.map(|(what, select)| format!("# record {what}\n[[meter.record]]\n{select}\n{todo}")).join("\n");
    assert_eq!((rules.as_str(), output.status.code()), (want.as_str(), Some(0)), "{}", text(&output.stderr));
    place.write("mbushat.toml", &format!("{config}{rules}"));
    let checked = place.mbushat(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    let named = text(&place.mbushat(&["profiles", "unknown", "gas"]).stdout);
    assert_eq!(named, "# gas sends nothing that is not named already\n");
    bus.end();
}

#[test]
fn a_meter_whose_records_are_asked_for_is_a_name_or_an_address() {
    let place = Folder::new("unknown-name");
    place.write("mbushat.toml", "[[meter]]\nname = \"gas\"\naddress = 5\n");
    let output = place.mbushat(&["profiles", "unknown", "heat"]);
    let error = text(&output.stderr);
    assert!(error.starts_with("error: there is no meter heat: expected a configured name, 0 to 250"), "{error}");
    assert_eq!(output.status.code(), Some(2));
    place.write(
        "mbushat.toml",
        "[[bus]]\nname = \"b\"\nport = \"/dev/nonesuch\"\n[[meter]]\nname = \"gas\"\naddress = 5\n",
    );
    let output = place.mbushat(&["profiles", "unknown", "gas"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: cannot read gas\n  because "), "{}", text(&output.stderr));
}
