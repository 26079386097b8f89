//! Whole telegrams to readings: keys, units, exact values, and what a bad record costs (itself).

use std::collections::BTreeMap;
use std::time::SystemTime;

use mbushat::mbus::application::opener::Opener;
use mbushat::mbus::application::quantity::{Function, Known, Quantity, Unit};
use mbushat::mbus::application::record::{Part, PartCoding};
use mbushat::mbus::application::security::Key;
use mbushat::mbus::decimal::Decimal;
use mbushat::measure::normalise::{MeterRules, Occasion, reading};
use mbushat::measure::profile::{Presentation, Profile, RecordRule, Selector};
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
fn a_telegram_that_is_cut_keeps_what_came_before_the_cut() {
    let reading = read(7, "01 13 2A 04 13 39 30");
    assert_eq!(told(&reading), ["volume 0.042 m³"]);
    assert_eq!(reading.errors[0].data, [0x04, 0x13, 0x39, 0x30]);
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
fn only_what_is_said_of_now_is_a_heading_that_each_telegram_repeats() {
    let date = |access_number| telegram(access_number, 4, "42 6C 8F 21 0C 78 01 00 00 00");
    let reading = normalise(&[date(1), date(2)], &plain()).expect("a reading");
    let want = ["date_storage_1 2020-01-15", "fabrication_number 00000001", "date_storage_1_2 2020-01-15"];
    assert_eq!(told(&reading), want);
}

#[test]
fn a_meter_of_the_fixed_structure_says_who_it_is() {
    let fixed = "68 13 13 68 08 05 73 78 56 34 12 11 00 E9 7E 42 17 00 00 40 17 00 00 BC 16";
    let reading = normalise(&[bytes(fixed)], &plain()).expect("a reading");
    let identity = reading.device.identity.expect("an identification");
    assert_eq!((identity.to_string().as_str(), identity.known_medium()), ("12345678FFFFFF07", Some(0x07)));
    assert_eq!(told(&reading), ["volume 1.742 m³", "volume_storage_1 1.74 m³"]);
    let json = payload::reading_aside(None, &reading);
    let device = r#""device":{"id":"12345678","manufacturer":null,"version":null,"medium":"water","address":5"#;
    assert!(json.contains(device), "{json}");

    let headed = normalise(&[bytes(fixed), telegram(2, 0x07, "04 13 01 00 00 00")], &plain()).expect("a reading");
    let identity = headed.device.identity.map(|identity| identity.to_string());
    assert_eq!(identity.as_deref(), Some("1234567824400107"), "a long header says more");
}

#[test]
fn the_telegrams_of_one_readout_are_one_reading() {
    let first = telegram(8, 4, "0C 78 01 00 00 00 04 06 E8 03 00 00 1F 01 02");
    let second = telegram(9, 4, "0C 78 01 00 00 00 84 04 06 84 03 00 00 04 06 E9 03 00 00");
    let reading = normalise(&[first, second], &plain()).expect("a reading");
    assert_eq!(
        told(&reading),
        ["fabrication_number 00000001", "energy 1000 kWh", "energy_storage_8 900 kWh", "energy_2 1001 kWh"]
    );
    assert_eq!(reading.device.access_number, 8);
}

#[test]
fn a_frame_that_is_no_meters_data_costs_only_itself() {
    let application_error = bytes("68 04 04 68 08 05 70 08 85 16");
    let whole = telegram(1, 4, "0C 06 01 00 00 00");
    let reading = normalise(&[whole, application_error.clone()], &plain()).expect("a reading");
    assert_eq!((reading.measurements.len(), reading.errors.len()), (1, 1));
    let nothing = normalise(&[application_error], &plain()).expect_err("nothing is understood");
    assert!(nothing.error.contains("too busy"), "{}", nothing.error);
}

#[test]
fn an_encrypted_telegram_needs_its_key_and_is_never_guessed() {
    let frame = bytes(
        "68 2F 2F 68 08 05 72 78 56 34 12 24 40 01 07 2A 00 20 05 08 CB A9 22 8D 27 DD EA EC 15 07 8D 7C 54 02 3A 4F \
         3E 60 8F 14 14 DF 9E D3 E9 1A C2 A2 E2 4E 66 F9 16",
    );
    let open_with = |key| open(std::slice::from_ref(&frame), &plain(), &mut Opener::new(key));
    let key = Key::from_hex("000102030405060708090A0B0C0D0E0F");
    let reading = open_with(key).expect("decrypted");
    assert_eq!(told(&reading), ["volume 2850.427 m³", "date_time 2024-02-29T13:45", "flow_temperature 21.5 °C"]);
    for wrong in [None, Some(Key::new([0xAA; 16]))] {
        let fault = open_with(wrong).expect_err("no key");
        assert!(fault.error.contains("key"), "{}", fault.error);
    }
}

/// The lines of `telegrams/compact_frame_learnt.txt`.
const FULL: &str = "68 18 18 68 08 05 7A 2B 00 00 00 02 FF 20 71 00 04 13 08 19 00 00 44 13 08 19 00 00 F4 16";
const COMPACT: &str = "68 15 15 68 08 05 7B 2C 00 00 00 34 DD 0E 39 71 00 08 19 00 00 08 19 00 00 BF 16";

#[test]
fn a_compact_frame_is_read_once_a_full_one_was() {
    let want = ["volume 6.408 m³", "volume_storage_1 6.408 m³"];
    let mut opener = Opener::default();
    let fault = open(&[bytes(COMPACT)], &plain(), &mut opener).expect_err("its format is not known");
    assert!(fault.error.contains("unknown format DD34"), "{}", fault.error);
    let reading = open(&[bytes(FULL), bytes(COMPACT)], &plain(), &mut opener).expect("a reading");
    assert!(reading.errors.is_empty(), "{:?}", reading.errors);
    assert_eq!(told(&reading), [want, ["volume_2 6.408 m³", "volume_storage_1_2 6.408 m³"]].concat());
    let reading = open(&[bytes(COMPACT)], &plain(), &mut opener).expect("another readout");
    assert_eq!(told(&reading), want);
}

#[test]
fn rules_name_scale_convert_and_hide() {
    let energy = || Selector { quantity: Some(Known::Energy.into()), ..Selector::default() };
    let rules = [
        RecordRule { select: Selector { index: Some(0), ..energy() }, hide: true, ..RecordRule::default() },
        RecordRule {
            select: energy(),
            key: Some("heat_N".to_owned()),
            unit: Some(Unit::Gigajoule),
            scale: Some(Decimal::new(10, 0)),
            offset: Some(Decimal::new(-5, -1)),
            ..RecordRule::default()
        },
        RecordRule {
            select: Selector {
                function: Some(Function::Instantaneous),
                quantity: Some(Known::Dimensionless.into()),
                ..Selector::default()
            },
            unit: Some(Unit::KilovarHour),
            scale: Some(Decimal::new(1, -2)),
            ..RecordRule::default()
        },
    ];
    let frames = [telegram(1, 4, "01 06 01 01 06 0A 01 06 14 02 FD 3A 39 30 01 13 07")];
    let reading = normalise(&frames, &MeterRules { rules: &rules, ..plain() }).expect("a reading");
    assert_eq!(told(&reading), ["heat_1 -0.14 GJ", "heat_2 0.22 GJ", "dimensionless 123.45 kvarh", "volume 0.007 m³"]);
    assert_eq!(reading.measurements[2].digits, Some(2));
}

#[test]
fn a_unit_of_another_quantity_is_no_label_unless_the_number_is_scaled_or_reactive() {
    let of = |index, unit, scale: Option<i128>| RecordRule {
        select: Selector { index: Some(index), ..Selector::default() },
        unit: Some(unit),
        scale: scale.map(|scale| Decimal::new(scale, 0)),
        ..RecordRule::default()
    };
    let rules = [
        of(0, Unit::KilovarHour, None),
        of(1, Unit::VoltAmpere, None),
        of(2, Unit::Litre, None),
        of(3, Unit::CubicMetre, Some(10_000)),
        of(4, Unit::Fahrenheit, None),
        of(5, Unit::Fahrenheit, None),
    ];
    let records = "84 40 05 E8 03 00 00 82 40 2B 64 00 02 22 07 00 04 00 E7 03 00 00 02 5B 14 00 02 63 14 00";
    let frames = [telegram(1, 2, records)];
    let reading = normalise(&frames, &MeterRules { rules: &rules, ..plain() }).expect("a reading");
    assert_eq!(
        told(&reading),
        [
            "energy_subunit_1 100 kvarh",
            "power_subunit_1 100 VA",
            "on_time 7 h",
            "energy 9.99 m³",
            "flow_temperature 68 °F",
            "temperature_difference 36 °F",
        ]
    );
}

#[test]
fn a_rule_with_a_unit_or_a_scale_makes_a_number_of_whatever_can_be_one() {
    let select = |index| Selector { index: Some(index), ..Selector::default() };
    let hundredth = |index| RecordRule {
        select: select(index),
        unit: Some(Unit::Litre),
        scale: Some(Decimal::new(1, -2)),
        ..RecordRule::default()
    };
    let rules: Vec<RecordRule> = (0..5).map(hundredth).collect();
    let records = "0D FF 01 E4 10 27 00 00 0D 6F E2 F0 D8 0C 78 10 27 00 00 04 78 10 27 00 00 02 FD 0E 10 27";
    let reading = |rules| normalise(&[telegram(1, 7, records)], &MeterRules { rules, ..plain() }).expect("a reading");
    let numbers: Vec<String> =
        told(&reading(&rules)).iter().filter_map(|line| line.split_once(' ')).map(|(_, n)| n.to_owned()).collect();
    assert_eq!(numbers, ["100 L", "-100 L", "27.1 L", "100 L", "100 L"]);
    let as_sent = told(&reading(&[]));
    assert!(as_sent.contains(&"fabrication_number 00002710".to_owned()), "{as_sent:?}");
}

#[test]
fn a_rate_of_a_temperature_has_no_zero_point() {
    for (unit, want) in [(Unit::Kelvin, "1 K"), (Unit::Fahrenheit, "1.8 °F")] {
        let rules = [RecordRule { unit: Some(unit), ..RecordRule::default() }];
        let frames = [telegram(1, 4, "02 DA 22 0A 00")];
        let reading = normalise(&frames, &MeterRules { rules: &rules, ..plain() }).expect("a reading");
        assert_eq!(told(&reading), [format!("flow_temperature_per_hour {want}")]);
    }
}

#[test]
fn bits_of_a_quantity_are_no_amount_of_it() {
    assert_eq!(
        told(&read(7, "04 93 FC 12 05 00 00 80 04 13 07 00 00 00")),
        ["volume_bits 2147483653", "volume 0.007 m³"]
    );
}

#[test]
fn values_without_a_name_are_counted_and_published_as_numbers_where_they_are_asked_for() {
    let records = "04 FF 07 10 27 00 00 02 FD 3A 05 00 05 FF 01 00 00 C0 3F 01 13 07";
    let reading = normalise(&[telegram(1, 7, records)], &plain()).expect("a reading");
    assert_eq!(
        (reading.unnamed, told(&reading)),
        (3, vec!["dimensionless 5".to_owned(), "volume 0.007 m³".to_owned()])
    );
    assert!(payload::reading_aside(None, &reading).contains(r#""unnamed":3,"#));
    let only = ["07", "01"].map(|code| format!("manufacturer_specific_manufacturer_{code}"));
    let asked = normalise(&[telegram(1, 7, records)], &MeterRules { only: Some(&only), ..plain() }).expect("a reading");
    let numbers = ["manufacturer_specific_manufacturer_07 10000", "manufacturer_specific_manufacturer_01 1.5"];
    assert_eq!((asked.unnamed, told(&asked)), (0, numbers.map(str::to_owned).into()));
    let select = Selector { quantity: Some(Known::ManufacturerSpecific.into()), ..Selector::default() };
    let hidden = [RecordRule { select, hide: true, ..RecordRule::default() }];
    let hiding = MeterRules { rules: &hidden, ..plain() };
    assert_eq!(normalise(&[telegram(1, 7, records)], &hiding).expect("a reading").unnamed, 1);
}

/// What a Kamstrup MULTICAL 401 sends behind its records: information, two pulse inputs, a date.
const PULSES: &str = "0F 02 00 00 00 00 00 09 01 00 00 28 01 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 \
    83 10 14 00 56 34 12 00 19 41 04 00 00 24 40 02 21 01 25 00";

fn part(key: &str, at: usize, length: usize, coding: PartCoding) -> RecordRule {
    let select = Selector { bytes: Some(Part { at, length, coding }), ..Selector::default() };
    RecordRule { select, key: Some(key.to_owned()), ..RecordRule::default() }
}

#[test]
fn a_kamstrups_pulse_inputs_are_in_its_reading() {
    let profiles = profiles();
    let frames = [telegram_of("2D 2C 01", 1, 4, &format!("04 06 3D 55 01 00 {PULSES}"))];
    let reading = normalise(&frames, &MeterRules { profiles: &profiles, ..plain() }).expect("a reading");
    assert_eq!(told(&reading), ["energy 87357 kWh", "pulse_input_a 1410.83 m³", "pulse_input_b 1234.56 m³"]);
    assert_eq!(reading.measurements[1].digits, Some(2));
    assert_eq!(reading.manufacturer_data.len(), 50);
    let json = payload::reading_aside(None, &reading);
    assert!(json.contains(r#""manufacturer_data":"020000000000090100002801"#), "{json}");
    assert!(!json.contains("telegrams"), "{json}");
    let bare = normalise(&frames, &plain()).expect("a reading");
    assert_eq!(told(&bare), ["energy 87357 kWh"]);
}

#[test]
fn a_part_of_a_manufacturers_block_is_coded_as_the_standard_codes_numbers() {
    let of = |coding, data: &str| {
        let length = data.split_whitespace().count();
        let rules = [part("part", 1, length, coding)];
        let frames = [telegram(1, 7, &format!("01 13 07 1F AA {data}"))];
        let reading = normalise(&frames, &MeterRules { rules: &rules, ..plain() }).expect("a reading");
        assert_eq!(told(&reading)[0], "volume 0.007 m³");
        (told(&reading)[1].clone(), reading.errors.first().map(|fault| fault.error.clone()))
    };
    for (coding, data, told) in [
        (PartCoding::Uint, "FE FF", "part 65534"),
        (PartCoding::Uint, "01 00 00 00 01", "part 4294967297"),
        (PartCoding::Uint, "FF FF", "part null"),
        (PartCoding::Int, "FE FF", "part -2"),
        (PartCoding::Int, "00 80", "part null"),
        (PartCoding::Bcd, "83 10 14 00", "part 141083"),
        (PartCoding::Bcd, "23 F1", "part -123"),
        (PartCoding::Real, "00 00 48 41", "part 12.5"),
        (PartCoding::Real, "00 00 C0 7F", "part null"),
    ] {
        assert_eq!(of(coding, data), (told.to_owned(), None), "{coding:?} {data}");
    }
    assert_eq!(of(PartCoding::Bcd, "0C 00"), ("part null".to_owned(), Some("invalid BCD".to_owned())));
}

#[test]
fn a_part_that_is_not_there_is_null_and_the_reading_says_why() {
    let rules = [part("a", 0, 2, PartCoding::Uint), part("b", 1, 2, PartCoding::Uint)];
    let meter = MeterRules { rules: &rules, ..plain() };
    let reading = normalise(&[telegram(1, 7, "01 13 07 0F 01 02")], &meter).expect("a reading");
    assert_eq!(told(&reading), ["volume 0.007 m³", "a 513", "b null"]);
    let fault = &reading.errors[0];
    assert_eq!((fault.index, fault.dib.as_slice()), (1, [0x0F].as_slice()));
    assert_eq!(fault.error, "outside the manufacturer's block, which has 2 bytes");
    let without = normalise(&[telegram(1, 7, "01 13 07")], &meter).expect("a reading");
    assert_eq!((told(&without), without.errors.len()), (vec!["volume 0.007 m³".to_owned()], 0));

    // the blocks of several telegrams are one; where one may be missing, no part has its place
    let frames = [telegram(1, 7, "01 13 07 1F 01"), telegram(2, 7, "0F 02 03")];
    assert_eq!(told(&normalise(&frames, &meter).expect("a reading")), ["volume 0.007 m³", "a 513", "b 770"]);
    let frames = [telegram(1, 7, "01 13 07 3D 1F 01"), telegram(2, 7, "0F 02 03")];
    assert_eq!(told(&normalise(&frames, &meter).expect("a reading")), ["volume 0.007 m³"]);
}

#[test]
fn secrets_and_bytes_for_others_are_published_only_when_asked_for() {
    let records = "0C FD 16 01 02 03 04 01 FF 02 7F 01 13 07";
    assert_eq!(told(&read(7, records)), ["volume 0.007 m³"]);
    let only = ["password".to_owned()];
    let reading =
        normalise(&[telegram(1, 7, records)], &MeterRules { only: Some(&only), ..plain() }).expect("a reading");
    assert_eq!(told(&reading), ["password 04030201"]);
}

/// A record whose VIF is this text: DIF, 7C, the length, the characters from the last to the first, and data.
fn in_words(dif: &str, text: &str, data: &str) -> String {
    let characters: Vec<String> = text.chars().rev().map(|c| format!("{:02X}", u32::from(c))).collect();
    format!("{dif} 7C {:02X} {} {data} ", characters.len(), characters.join(" "))
}

#[test]
fn the_meters_own_words_are_the_key_and_the_title() {
    let records = [
        in_words("02", "bat. time", "D2 0F"),
        in_words("0D", "cust. ID", "04 31 42 41 20"),
        in_words("42", "bat. time", "D1 0F"),
        in_words("02", "bat. time", "01 00"),
        in_words("00", "97.5 % BATT", ""),
        in_words("01", "12 % BATT", "05"),
        in_words("00", "no value", ""),
        in_words("01", "BATT %", "06"),
        in_words("01", "kWh", "07"),
        in_words("01", "Z\u{e4}hler", "08"),
        in_words("01", "seq", "09"),
    ]
    .concat();
    let reading = read(7, &records);
    let with_titles: Vec<String> = told(&reading)
        .iter()
        .zip(&reading.measurements)
        .map(|(told, m)| format!("{told}; {} {:?}", m.presentation.title.as_deref().unwrap_or("-"), m.digits))
        .collect();
    assert_eq!(
        with_titles,
        [
            "bat_time 4050; Bat. time Some(0)",
            "cust_id AB1; Cust. ID None",
            "bat_time_storage_1 4049; Bat. time storage 1 Some(0)",
            "bat_time_2 1; Bat. time 2 Some(0)",
            "batt 97.5 %; BATT None",
            "batt_2 5; BATT 2 Some(0)",
            "batt_3 6 %; BATT 3 Some(0)",
            "plain_text 7 kWh; - Some(0)",
            "plain_text_2 8; - Some(0)",
            "seq_2 9; Seq 2 Some(0)",
        ]
    );
    assert!(reading.measurements.iter().all(|m| m.quantity == Quantity::Known(Known::PlainText)));
}

#[test]
fn rules_for_plain_text_select_what_has_a_name_too() {
    let select = Selector { quantity: Some(Quantity::Known(Known::PlainText)), ..Selector::default() };
    let title = Presentation { title: Some("Own".to_owned()), ..Presentation::default() };
    let rule =
        RecordRule { select: Selector { storage: Some(1), ..select.clone() }, hide: true, ..RecordRule::default() };
    let own = RecordRule { select: select.clone(), presentation: title, ..RecordRule::default() };
    let keyed = RecordRule { select, key: Some("battery".to_owned()), ..RecordRule::default() };
    let frames =
        [telegram(1, 7, &[in_words("42", "bat. time", "01 00"), in_words("02", "bat. time", "02 00")].concat())];
    for (rules, want, shown) in [([rule.clone(), own], "bat_time 2", Some("Own")), ([rule, keyed], "battery 2", None)] {
        let reading = normalise(&frames, &MeterRules { rules: &rules, ..plain() }).expect("a reading");
        assert_eq!(told(&reading), [want]);
        assert_eq!(reading.measurements[0].presentation.title.as_deref(), shown);
    }
}

#[test]
fn what_the_meters_words_call_a_secret_is_published_only_when_asked_for() {
    let secrets = ["key", "PIN", "access code", "Password"].map(|text| in_words("0C", text, "78 56 34 12"));
    let records = [secrets.concat(), in_words("0C", "key", "0A 00 00 00"), in_words("01", "keys", "07")].concat();
    let reading = read(7, &records);
    assert_eq!(told(&reading), ["keys 7"]);
    assert_eq!(reading.errors, [], "what is not a value is not shown among the errors either");
    let only = ["access_code".to_owned()];
    let reading = normalise(&[telegram(1, 7, &records)], &MeterRules { only: Some(&only), ..plain() }).expect("one");
    assert_eq!(told(&reading), ["access_code 12345678"]);
    let text = Selector { quantity: Some(Quantity::Known(Known::PlainText)), ..Selector::default() };
    for (index, want) in [(None, vec!["keys 7"]), (Some(1), vec!["pin 12345678", "keys 7"])] {
        let rules = [RecordRule { select: Selector { index, ..text.clone() }, ..RecordRule::default() }];
        let reading = normalise(&[telegram(1, 7, &records)], &MeterRules { rules: &rules, ..plain() }).expect("one");
        assert_eq!(told(&reading), want, "a rule must mean it");
    }
}

#[test]
fn a_unit_in_the_meters_own_words_is_ours_where_it_spells_one() {
    assert_eq!(
        told(&read(0x1B, "02 FC 03 48 52 25 74 22 15 02 65 2E 08")),
        ["relative_humidity 54.1 %", "external_temperature 20.94 °C"]
    );
    assert_eq!(told(&read(0x1B, "02 7C 03 61 50 6B 05 00")), ["plain_text 0.05 bar"]);
    assert_eq!(told(&read(0x1B, "02 7C 02 74 73 05 00")), ["plain_text 5"], "pieces, not stones");
}
