//! Which telegrams make a reading: several, cut, encrypted or compact ones, and those of the fixed structure.

use mbushat::mbus::application::opener::Opener;
use mbushat::mbus::application::security::Key;
use mbushat::mqtt::payload;

use super::{bytes, normalise, open, plain, read, telegram, told};

#[test]
fn a_telegram_that_is_cut_keeps_what_came_before_the_cut() {
    let reading = read(7, "01 13 2A 04 13 39 30");
    assert_eq!(told(&reading), ["volume 0.042 m³"]);
    assert_eq!(reading.errors[0].data, [0x04, 0x13, 0x39, 0x30]);
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
