//! What a rule makes of a record: key, unit, exact value, and how Home Assistant shows it. The models of
//! `models` are described with it too.

use std::time::SystemTime;

use mbushat::config::{self, Config};
use mbushat::homeassistant::class;
use mbushat::mbus::address::Manufacturer;
use mbushat::mbus::application::opener::Opener;
use mbushat::measure::normalise::{MeterRules, Occasion, reading};
use mbushat::measure::{Measured, Measurement, Reading};
use mbushat::mqtt::payload;

/// Manufacturer, version and device type.
pub(crate) type Model<'a> = (&'a str, u8, u8);

pub(crate) const ELECTRICITY: u8 = 0x02;

/// A reply of this model with these records.
pub(crate) fn telegram((manufacturer, version, medium): Model<'_>, records: &str) -> Vec<u8> {
    let letters = Manufacturer::from_letters(manufacturer).expect("three letters");
    let [low, high] = letters.0.to_le_bytes();
    let mut body = vec![0x08, 0x01, 0x72, 0x78, 0x56, 0x34, 0x12, low, high, version, medium, 1, 0, 0, 0];
    body.extend(records.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")));
    let length = u8::try_from(body.len()).expect("one frame");
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    [&[0x68, length, length, 0x68][..], &body, &[sum, 0x16]].concat()
}

/// A configuration of one meter with these rules below it.
pub(crate) fn configured(rules: &str) -> Config {
    let name = format!("mbushat-rules-{}-{:?}.toml", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, format!("[[meter]]\nname = \"m\"\naddress = 1\n{rules}")).expect("written");
    let config = config::load(&file);
    let _ = std::fs::remove_file(&file);
    config.expect("a good configuration")
}

/// The reading of these telegrams by the configuration.
pub(crate) fn read(config: &Config, telegrams: &[Vec<u8>]) -> Reading {
    try_to_read(config, telegrams).expect("a reading")
}

/// The same of telegrams that may say nothing.
pub(crate) fn try_to_read(config: &Config, telegrams: &[Vec<u8>]) -> Option<Reading> {
    let rules = config.meters.first().map_or(&[][..], |meter| &meter.records);
    let meter = MeterRules { rules, ..MeterRules::of_profiles("m", &config.profiles) };
    let when = Occasion { due_at: None, read_at: SystemTime::UNIX_EPOCH, clock_synced: None };
    reading(telegrams, &meter, &mut Opener::default(), when).ok()
}

/// Each measurement as `key value unit [class, state class]`, with `off` where it starts disabled, `diagnostic` where
/// it is one and starts enabled.
pub(crate) fn seen(reading: &Reading) -> Vec<String> {
    let medium = reading.device.identity.map(|identity| identity.medium());
    let line = |m: &Measurement| {
        let shown = class::shown(m, &reading.measurements, medium, (2026, 11));
        let value = match &m.value {
            Measured::Invalid => "null".to_owned(),
            value => payload::plain_value(value),
        };
        let classes: Vec<&str> = [shown.device_class, shown.state_class].into_iter().flatten().collect();
        let classes = if classes.is_empty() { String::new() } else { format!("[{}]", classes.join(", ")) };
        let off = match (shown.enabled, shown.diagnostic) {
            (true, false) => "",
            (true, true) => "diagnostic",
            (false, _) => "off",
        };
        let words = [&m.key, value.as_str(), m.unit.name(), &classes, off];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    reading.measurements.iter().map(line).collect()
}

/// What is seen of one telegram of a meter that no profile is for.
fn by(rules: &str, records: &str) -> Vec<String> {
    seen(&read(&configured(rules), &[telegram(("PAD", 1, ELECTRICITY), records)]))
}

#[test]
fn a_number_under_the_makers_own_code_is_a_number_once_a_rule_names_it() {
    let records =
        "84 90 10 FF 80 84 3B 06 17 05 00  05 FF 01 00 00 C0 3F  04 7E 07 00 00 00  02 FD 7B 05 00  02 FF 03 09 00";
    assert_eq!(by("", records), ["unknown_fd7b 5 off"]);
    let rules = r#"
        [[meter.record]]
        dif = "849010"
        vif = "FF80843B"
        key = "active_energy"
        unit = "kWh"
        scale = 0.01
        [[meter.record]]
        vif = "FF01"
        key = "power_factor"
        device_class = "power_factor"
        state_class = "measurement"
        [[meter.record]]
        vif = "7E"
        key = "count"
        [[meter.record]]
        vif = "FD7B"
        key = "odd"
        enabled = false
        [[meter.record]]
        vif = "FF03"
        hide = true
    "#;
    assert_eq!(
        by(rules, records),
        [
            "active_energy 3335.74 kWh [energy, total_increasing]",
            "power_factor 1.5 [power_factor, measurement]",
            "count 7",
            "odd 5 off",
        ]
    );
}

#[test]
fn a_unit_of_another_kind_makes_it_another_quantity_of_the_same_size() {
    let records = "84 40 2B 12 00 00 00  84 80 40 04 E8 03 00 00  02 2B 05 00  0C FD 3A 34 12 00 00";
    let rule = |select: &str, unit: &str| format!("[[meter.record]]\n{select}\nunit = \"{unit}\"\n");
    let in_units = |energy: &str| {
        rule("subunit = 1", "var") + &rule("subunit = 2", energy) + &rule("quantity = \"dimensionless\"", "L")
    };
    assert_eq!(
        by(&in_units("kvarh"), records),
        [
            "power_subunit_1 18 var [reactive_power, measurement]",
            "energy_subunit_2 10 kvarh [reactive_energy, total_increasing]",
            "power 5 W [power, measurement]",
            "dimensionless 1234 L [volume, total_increasing]",
        ]
    );
    let smaller = by(&in_units("VAh"), records);
    assert_eq!(smaller.get(1).map(String::as_str), Some("energy_subunit_2 10000 VAh [total_increasing]"));
}

#[test]
fn one_rule_for_many_records_keeps_what_tells_them_apart() {
    let records = "84 80 40 04 E8 03 00 00  84 90 40 04 01 00 00 00  C4 80 40 04 02 00 00 00  84 A0 40 84 FC 01 03 00 00 00  \
                   94 80 40 2B 07 00 00 00";
    let rules = "[[meter.record]]\nsubunit = 2\nquantity = \"energy\"\nkey = \"reactive_energy_*\"\nunit = \"kvarh\"\n\
                 [[meter.record]]\nsubunit = 2\nkey = \"reactive_power_*_now\"\nunit = \"var\"\n";
    assert_eq!(
        by(rules, records),
        [
            "reactive_energy 10 kvarh [reactive_energy, total_increasing]",
            "reactive_energy_tariff_1 0.01 kvarh [reactive_energy, total_increasing] off",
            "reactive_energy_storage_1 0.02 kvarh [reactive_energy] off",
            "reactive_energy_tariff_2_l1 0.03 kvarh [reactive_energy, total_increasing]",
            "reactive_power_max_now 7 var [reactive_power, measurement] off",
        ]
    );
}

#[test]
fn a_maker_who_has_phases_of_his_own_gets_the_standards_keys_and_totals() {
    let of = |maker: &str, records: &str| {
        let telegram = telegram((maker, 0x20, ELECTRICITY), records);
        seen(&read(&configured("[[profile]]\nname = \"none\"\nmanufacturer = \"ABB\"\n"), &[telegram]))
    };
    let records = "0E 84 FF 81 00 10 00 00 00 00 00  0E 84 FF 82 15 00 00 00 00 00 00  02 FD C8 FF 85 00 A0 0F";
    assert_eq!(
        of("ABB", records),
        [
            "energy_l1 0.1 kWh [energy, total_increasing]",
            "energy_l2 null kWh [energy, total_increasing]",
            "voltage_l1_l2 400 V [voltage, measurement]",
        ]
    );
    assert_eq!(of("PAD", "02 FD C8 FF 01 FC 08"), ["voltage_manufacturer_01 230 V [voltage, measurement]"]);
}

#[test]
fn what_only_its_maker_can_read_is_a_total_that_may_fall() {
    let records = "04 03 FA 04 00 00  04 83 7F FA 04 00 00  44 83 7F FA 04 00 00  04 83 FF 05 FA 04 00 00  04 83 A2 7F FA 04 00 00";
    assert_eq!(
        by("", records),
        [
            "energy 1.274 kWh [energy, total_increasing]",
            "energy_manufacturer 1.274 kWh [energy, total]",
            "energy_storage_1_manufacturer 1.274 kWh [energy] off",
            "energy_manufacturer_05 1.274 kWh [energy, total]",
            "energy_per_hour_manufacturer 1.274 off",
        ]
    );
}

#[test]
fn a_plain_number_is_no_main_sensor_until_a_rule_names_it() {
    let records = "02 FD 3A 05 00  02 FD 3A 06 00";
    assert_eq!(by("", records), ["dimensionless 5 [measurement] off", "dimensionless_2 6 [measurement] off"]);
    let rule = "[[meter.record]]\nindex = 1\nkey = \"pieces\"\n";
    assert_eq!(by(rule, records), ["dimensionless 5 [measurement] off", "pieces 6 [measurement]"]);
}

#[test]
fn how_long_a_battery_lasts_is_a_diagnostic_in_every_unit() {
    let records = "02 FD 74 10 0E";
    let in_hours = "battery_life 86400 h [duration, measurement] diagnostic";
    assert_eq!(by("", records), [in_hours]);
    let rule = "[[meter.record]]\nquantity = \"battery_life\"\n";
    assert_eq!(
        by(&format!("{rule}unit = \"d\"\n"), records),
        ["battery_life 3600 d [duration, measurement] diagnostic"]
    );
    assert_eq!(by(&format!("{rule}enabled = false\n"), records), ["battery_life 86400 h [duration, measurement] off"]);
}

#[test]
fn an_angle_is_counted_as_one_where_a_rule_says_so() {
    let records = "02 FB 2A 2C 01  02 FD 48 44 09";
    let rule = |index: u8| format!("[[meter.record]]\nindex = {index}\nstate_class = \"measurement_angle\"\n");
    let seen = by(&(rule(0) + &rule(1)), records);
    assert!(seen[0].ends_with("° [measurement_angle]"), "{seen:?}");
    assert!(seen[1].ends_with("V [voltage]"), "only angles: {seen:?}");
}

#[test]
fn a_date_without_a_time_is_no_timestamp() {
    let records = "42 6C 8F 21  44 6D 2D 2D 8F 21";
    let rule = |index: u8, class: &str| format!("[[meter.record]]\nindex = {index}\ndevice_class = \"{class}\"\n");
    let seen = by(&(rule(0, "timestamp") + &rule(1, "date")), records);
    assert!(!seen.iter().any(|line| line.contains('[')), "{seen:?}");
}
