//! Whole telegrams to readings: keys, units, exact values, and what a bad record costs (itself).

mod makers_own;
mod readouts;
mod rules;
mod words;

use std::collections::BTreeMap;
use std::time::SystemTime;

use mbushat::mbus::application::opener::Opener;
use mbushat::mbus::application::quantity::Unit;
use mbushat::measure::normalise::{MeterRules, Occasion, reading};
use mbushat::measure::profile::Profile;
use mbushat::measure::{Measured, Reading, RecordFault};
use mbushat::mqtt::payload;

const ATS: &str = "68 3D 3D 68 08 30 72 15 73 13 30 93 06 01 04 70 00 00 00 0C 06 00 00 00 00 0C 14 05 00 00 00 \
    0C 22 57 83 03 00 0C 2E 01 00 00 00 0C 3B 00 00 00 00 0A 59 01 00 0A 5D 01 00 0A 61 01 00 42 6C 8F 21 DD 16";
const SDM220: &str = "68 5D 5D 68 08 01 72 99 99 99 99 FF FF 01 02 55 00 00 00 0C 04 00 00 00 00 0C 04 00 00 00 00 \
    0C 04 00 00 00 00 0C 04 00 00 00 00 0C 04 00 00 00 00 0C 04 00 00 00 00 0C FD 3A 00 00 00 00 0C FD 3A 00 00 00 00 \
    0C FD 3A 00 00 00 00 0C FD 3A 00 00 00 00 0C FD 3A 00 00 00 00 0C FD 3A 00 00 00 00 27 16";

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

/// A reply with a long header (id 12345678, PAD, version 1) around these records.
fn telegram(access_number: u8, medium: u8, records: &str) -> Vec<u8> {
    telegram_of("24 40 01", access_number, medium, records)
}

/// The same of this manufacturer and version.
fn telegram_of(maker: &str, access_number: u8, medium: u8, records: &str) -> Vec<u8> {
    let mut body = bytes(&format!("08 05 72 78 56 34 12 {maker}"));
    body.extend([medium, access_number, 0, 0, 0]);
    body.extend(bytes(records));
    let length = u8::try_from(body.len()).expect("one frame");
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    [&[0x68, length, length, 0x68][..], &body, &[sum, 0x16]].concat()
}

fn plain() -> MeterRules<'static> {
    MeterRules::of_profiles("meter", &[])
}

fn normalise(frames: &[Vec<u8>], meter: &MeterRules<'_>) -> Result<Reading, RecordFault> {
    open(frames, meter, &mut Opener::default())
}

fn open(frames: &[Vec<u8>], meter: &MeterRules<'_>, opener: &mut Opener) -> Result<Reading, RecordFault> {
    reading(frames, meter, opener, Occasion { due_at: None, read_at: SystemTime::UNIX_EPOCH, clock_synced: None })
}

fn told(reading: &Reading) -> Vec<String> {
    let line = |m: &mbushat::measure::Measurement| {
        let value = match &m.value {
            Measured::Invalid | Measured::Held { .. } => "null".to_owned(),
            value => payload::plain_value(value),
        };
        format!("{} {value} {}", m.key, m.unit.name()).trim_end().to_owned()
    };
    reading.measurements.iter().map(line).collect()
}

fn read(medium: u8, records: &str) -> Reading {
    normalise(&[telegram(1, medium, records)], &plain()).expect("a reading")
}

/// The profiles that ship, as the agent gets them.
fn profiles() -> Vec<Profile> {
    let file = std::env::temp_dir().join(format!("mbushat-normalise-{}.toml", std::process::id()));
    std::fs::write(&file, "[[meter]]\nname = \"a\"\naddress = 1\n").expect("written");
    let config = mbushat::config::load(&file).expect("a config");
    let _ = std::fs::remove_file(&file);
    config.profiles
}

#[test]
fn the_ats_flow_meter_reads_as_its_published_decimals() {
    let profiles = profiles();
    let reading = normalise(&[bytes(ATS)], &MeterRules { profiles: &profiles, ..plain() }).expect("a reading");
    assert_eq!(
        told(&reading),
        [
            "energy 0 kWh",
            "volume 0.05 m³",
            "on_time 38357 h",
            "power 1000 W",
            "volume_flow 0 m³/h",
            "flow_temperature 0.01 °C",
            "return_temperature 0.01 °C",
            "temperature_difference 0.01 K",
            "date_storage_1 2020-01-15",
        ]
    );
    let identity = reading.device.identity.expect("a long header");
    assert_eq!(identity.to_string(), "3013731593060104");
    assert_eq!((reading.device.address, reading.device.access_number), (48, 112));
    assert_eq!((reading.device.status.as_slice(), reading.errors.len()), ([].as_slice(), 0));
    assert_eq!(reading.measurements[1].digits, Some(2));
    assert_eq!(reading.measurements[1].presentation.device_class.as_deref(), Some("water"));
}

#[test]
fn the_sdm220_has_twelve_different_stable_keys() {
    let profiles = profiles();
    let reading = normalise(&[bytes(SDM220)], &MeterRules { profiles: &profiles, ..plain() }).expect("a reading");
    let want: Vec<String> = (1..=6)
        .map(|n| format!("active_energy_{n} 0 kWh"))
        .chain((1..=6).map(|n| format!("reactive_energy_{n} 0")))
        .collect();
    assert_eq!(told(&reading), want);
    let bare = normalise(&[bytes(SDM220)], &plain()).expect("a reading");
    let keys: Vec<&str> = bare.measurements.iter().map(|m| m.key.as_str()).collect();
    assert_eq!(keys[..3], ["energy", "energy_2", "energy_3"]);
    assert_eq!(keys[6..8], ["dimensionless", "dimensionless_2"]);
}

#[test]
fn negative_values_stay_and_invalid_ones_are_null_never_zero() {
    let reading = read(
        0x0C,
        "0A 5A 32 F1 0C 06 45 23 01 F0 02 62 00 80 01 67 80 04 2B 00 00 00 80 03 13 FF FF FF 02 6C FF FF \
         04 6D 80 00 00 00 05 2B 00 00 C0 7F 0C 13 FF FF FF FF",
    );
    assert_eq!(
        told(&reading),
        [
            "flow_temperature -13.2 °C",
            "energy -12345 kWh",
            "temperature_difference null K",
            "external_temperature null °C",
            "power null W",
            "volume -0.001 m³",
            "date null",
            "date_time null",
            "power_2 null W",
            "volume_2 null m³",
        ]
    );
    assert!(payload::state(&reading, 1, None).contains("\"power\":null,"));
}

#[test]
fn all_ones_in_a_storage_without_a_date_are_no_value() {
    // values before and behind the date, of that storage and of others
    let records =
        |date: &str| format!("44 13 FF FF FF FF 04 13 FF FF FF FF 42 6C {date} 42 5A FF FF 42 3B 05 00 82 01 5A FF FF");
    let told = |date: &str| told(&read(0x0C, &records(date))).join(", ");
    assert_eq!(
        told("FF FF"),
        "volume_storage_1 null m³, volume -0.001 m³, date_storage_1 null, flow_temperature_storage_1 null °C, \
         volume_flow_storage_1 0.005 m³/h, flow_temperature_storage_2 -0.1 °C"
    );
    assert!(told("8F 21").starts_with("volume_storage_1 -0.001 m³, volume -0.001 m³, date_storage_1 2020-01-15, "));
    assert!(told("FF FF 42 EC 7E 8F 21").starts_with("volume_storage_1 -0.001 m³"), "it has another date");
    let now = self::told(&read(0x0C, "04 13 FF FF FF FF 02 6C FF FF"));
    assert_eq!(now[0], "volume -0.001 m³", "a meter without a clock counts");
}

#[test]
fn a_bad_record_is_told_with_its_bytes_and_renames_no_other() {
    let good = "0C 06 01 00 00 00 0C 06 02 00 00 00 0C 06 03 00 00 00";
    let bad_bcd = "0C 06 01 00 00 00 0C 06 0A 00 00 00 0C 06 03 00 00 00";
    let reported = "0C 06 01 00 00 00 0C 86 15 00 00 00 00 0C 06 03 00 00 00";
    let during_error = "0C 06 01 00 00 00 3C 06 02 00 00 00 0C 06 03 00 00 00";
    assert_eq!(told(&read(4, good)), ["energy 1 kWh", "energy_2 2 kWh", "energy_3 3 kWh"]);
    for records in [bad_bcd, reported] {
        let reading = read(4, records);
        assert_eq!(told(&reading), ["energy 1 kWh", "energy_2 null kWh", "energy_3 3 kWh"], "{records}");
        assert_eq!((reading.errors.len(), reading.errors[0].index), (1, 1), "{:?}", reading.errors);
    }
    assert_eq!(told(&read(4, during_error)), ["energy 1 kWh", "energy_3 3 kWh"]);
    let json = payload::reading(
        &read(4, "0C 06 01 00 00 00 3C 2B BD EB DD DD"),
        payload::Serial { agent: "mbushat", epoch: "0123456789abcdef", seq: 1 },
    );
    let error = r#""errors":[{"index":1,"dib":"3C","vib":"2B","data":"BDEBDDDD","error":"invalid BCD"}]}"#;
    assert!(json.ends_with(error), "{json}");
}

#[test]
fn keys_name_function_tariff_subunit_storage_and_modifiers_in_this_order() {
    let reading = read(
        2,
        "84 10 03 47 F4 10 00 04 83 3C 15 16 05 00 04 AB FC 01 DC 05 00 00 02 FD C8 FC 01 FD 08 02 FB 2E F4 01 \
         84 50 03 01 00 00 00 94 11 BB 3B 01 00 00 00",
    );
    assert_eq!(
        told(&reading),
        [
            "energy_tariff_1 1111.111 kWh",
            "energy_export 333.333 kWh",
            "power_l1 1500 W",
            "voltage_l1 230.1 V",
            "frequency 50 Hz",
            "energy_tariff_1_subunit_1 0.001 kWh",
            "volume_flow_max_tariff_1_storage_2_import 0.001 m³/h",
        ]
    );
}

#[test]
fn a_unit_stays_the_same_when_the_meter_re_ranges() {
    let volumes = [("02 13 10 27", "10"), ("02 14 E8 03", "10"), ("02 16 0A 00", "10"), ("05 16 00 00 20 41", "10")];
    for (record, value) in volumes {
        assert_eq!(told(&read(7, record)), [format!("volume {value} m³")], "{record}");
    }
    for (record, line) in [
        ("02 03 E8 03", "energy 1 kWh"),
        ("01 07 01", "energy 10 kWh"),
        ("01 FB 00 01", "energy 100 kWh"),
        ("01 0E 05", "energy 5 MJ"),
        ("01 FB 09 01", "energy 1000 MJ"),
        ("01 FB 0D 01", "energy 1 Mcal"),
        ("01 36 01", "power 277.778 W"),
        ("01 45 01", "volume_flow 0.6 m³/h"),
        ("01 23 02", "on_time 48 h"),
        ("01 21 02", "on_time 120 s"),
        ("01 FB 82 75 0A", "reactive_energy 1 kvarh"),
    ] {
        assert_eq!(told(&read(4, record)), [line], "{record}");
    }
    let first = BTreeMap::from([("on_time".to_owned(), Unit::Second)]);
    let frames = [telegram(1, 4, "01 22 02")];
    let reading = normalise(&frames, &MeterRules { units: &first, ..plain() }).expect("a reading");
    assert_eq!(told(&reading), ["on_time 7200 s"]);
}

#[test]
fn names_keep_their_zeros_and_dates_are_the_meters_own() {
    let reading =
        read(7, "0C 78 08 07 00 00 0C FD 10 21 43 65 07 02 FD 17 05 80 42 6C 8F 21 04 6D 0F 02 1F 33 02 FD 0E 2A 01");
    assert_eq!(
        told(&reading),
        [
            "fabrication_number 00000708",
            "customer_location 07654321",
            "error_flags 32773",
            "date_storage_1 2020-01-15",
            "date_time 2024-03-31T02:15",
            "firmware_version 298",
        ]
    );
    let every_year = read(4, "42 6C FF FC 0C 06 01 00 00 00");
    assert_eq!(told(&every_year)[0], "date_storage_1 null");
}

#[test]
fn bits_of_a_quantity_are_no_amount_of_it() {
    assert_eq!(
        told(&read(7, "04 93 FC 12 05 00 00 80 04 13 07 00 00 00")),
        ["volume_bits 2147483653", "volume 0.007 m³"]
    );
}
