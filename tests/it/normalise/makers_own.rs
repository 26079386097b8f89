//! What is the maker's own or meant for others: values without a name, blocks of bytes, secrets.

use mbushat::mbus::application::quantity::Known;
use mbushat::mbus::application::record::{Part, PartCoding};
use mbushat::measure::normalise::MeterRules;
use mbushat::measure::profile::{RecordRule, Selector};
use mbushat::mqtt::payload;

use super::{normalise, plain, profiles, read, telegram, telegram_of, told};

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
