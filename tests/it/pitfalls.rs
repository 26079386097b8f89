//! What other decoders get wrong, one test a pitfall. The telegrams are our own.

use mbushat::mbus::application::opener::{Buffers, Opener};
use mbushat::mbus::application::record::DataRecord;
use mbushat::mbus::application::structure::StructureError;
use mbushat::mbus::application::telegram::Telegram;
use mbushat::mbus::application::value::{RecordError, Value};
use mbushat::mbus::application::vife::ReportedError;
use mbushat::mbus::link::frame::{Control, Frame, FrameError};

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex digits")).collect()
}

/// Calls `look` with each record of a telegram without header, and returns how it ended.
fn each(records: &str, mut look: impl FnMut(&DataRecord<'_>)) -> Option<StructureError> {
    let data = hex(records);
    let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x78, data: &data };
    let telegram = Telegram::parse(&frame).expect("CI 78 has no header");
    let mut end = None;
    for record in telegram.records() {
        match record {
            Ok(record) => look(&record),
            Err(cut) => end = Some(cut.error),
        }
    }
    end
}

/// Each record as `quantity value unit modifiers`.
fn read(records: &str) -> Vec<String> {
    let mut told = Vec::new();
    each(records, |record| {
        let value = match record.value {
            Ok(Value::Number(number)) => number.to_string(),
            Ok(Value::Flags(flags)) => format!("{flags:#x}"),
            Ok(Value::Digits(digits)) => digits.to_string(),
            Ok(Value::Text(text)) => text.to_string(),
            Ok(Value::Date(date)) => date.to_string(),
            Ok(Value::DateTime(at)) => at.to_string(),
            Ok(Value::Time(time)) => time.to_string(),
            Ok(other) => format!("{other:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        };
        let unit = record.vib.text().map_or(record.vib.unit.name().to_owned(), |own| own.to_string());
        let modifiers: Vec<_> = record.vib.modifiers().filter_map(|m| m.name()).collect();
        told.push(format!("{} {value} {unit} {}", record.vib.quantity, modifiers.join(" ")).trim_end().to_owned());
    });
    told
}

#[test]
fn the_first_dife_shifts_the_storage_number_by_one() {
    let mut storage = Vec::new();
    each("DA 02 3B 13 01 84 8F 0F 03 0B 00 00 00 C4 F1 61 03 0C 00 00 00", |record| {
        storage.push((record.dib.storage_number, record.dib.tariff, record.dib.subunit));
    });
    assert_eq!(storage, [(5, 0, 0), (510, 0, 0), (35, 11, 3)]);
}

#[test]
fn variable_length_bcd_counts_bytes_not_digits() {
    assert_eq!(read("0D 06 C3 56 34 12 01 13 2A"), ["energy 123456000 Wh", "volume 0.042 m³"]);
    assert_eq!(read("0D 06 D2 21 43"), ["energy -4321000 Wh"]);
    assert_eq!(read("0D 06 C2 21 F3"), ["energy invalid BCD Wh"], "the sign is in the LVAR");
    assert_eq!(read("0D 13 E5 4B 37 89 41 00"), ["volume 1099511.627 m³"]);
    assert_eq!(read("0D 78 00"), ["fabrication_number"]);
}

#[test]
fn a_floating_point_number_of_variable_length_is_believed_where_nothing_else_fits() {
    assert_eq!(read("01 13 2A 0D 13 F4 00 00 20 41"), ["volume 0.042 m³", "volume 0.01 m³"]);
    assert_eq!(read("0D 13 F8 00 00 00 00 00 00 24 40"), ["volume Bytes m³"], "a length that nobody describes");
    let more = each("0D 13 F8 00 00 00 00 00 00 24 40 01 13 2A", |_| ());
    assert_eq!(more, Some(StructureError::ReservedLvar { lvar: 0xF8 }));
}

#[test]
fn numbers_that_name_a_thing_may_have_the_digits_a_to_e() {
    assert_eq!(
        read("0C 78 E5 02 00 05 0A FD 0D 0A 01 0C 78 FF FF FF FF 0C 78 FF 02 00 05 0C 13 E5 02 00 05"),
        [
            "fabrication_number 050002E5",
            "hardware_version 010A",
            "fabrication_number Invalid",
            "fabrication_number invalid BCD",
            "volume invalid BCD m³"
        ]
    );
}

#[test]
fn what_is_for_somebody_else_stays_bytes_even_where_it_looks_like_text_or_a_number() {
    assert_eq!(
        read("0D FD 3B 03 41 42 43 0D FD 76 E2 01 02 0D FD 73 EB 01 02 03 04 05 06 07 08 09 0A 0B 01 FD 73 00"),
        ["radio_container Bytes", "manufacturer_container Bytes", "listening_window Bytes", "listening_window 0"]
    );
}

#[test]
fn a_negative_bcd_is_a_value_and_an_invalid_one_costs_itself_alone() {
    assert_eq!(
        read("0A 5A 32 F1 0A 5E 5A E1 0C 13 FF FF FF FF 01 13 2A"),
        ["flow_temperature -13.2 °C", "return_temperature invalid BCD °C", "volume Invalid m³", "volume 0.042 m³"]
    );
}

#[test]
fn integers_of_every_length_are_signed() {
    assert_eq!(
        read("01 67 9C 02 66 C9 FF 03 13 FF FF FF 06 06 FF FF FF FF FF FF 07 03 FE FF FF FF FF FF FF FF"),
        [
            "external_temperature -100 °C",
            "external_temperature -5.5 °C",
            "volume -0.001 m³",
            "energy -1000 Wh",
            "energy -2 Wh"
        ]
    );
}

#[test]
fn markers_of_invalid_values_are_no_numbers() {
    assert_eq!(
        read(
            "01 67 80 02 62 00 80 04 2B 00 00 00 80 05 2B 00 00 C0 7F 05 2B 00 00 80 7F 02 6C FF FF 04 6D 80 00 00 00"
        ),
        [
            "external_temperature Invalid °C",
            "temperature_difference Invalid K",
            "power Invalid W",
            "power Invalid W",
            "power Invalid W",
            "date Invalid",
            "date_time Invalid"
        ]
    );
}

#[test]
fn the_year_of_a_date_is_spread_over_two_bytes_and_the_century_field() {
    assert_eq!(
        read("02 6C 01 01 02 6C 7F CC 04 6D 00 AC 01 37 04 6D 00 0C 01 37"),
        ["date 2000-01-01", "date 1999-12-31", "date_time 2024-07-01T12:00", "date_time 2024-07-01T12:00"]
    );
}

#[test]
fn times_with_seconds_are_read_in_both_their_types() {
    assert_eq!(read("06 6D BA 3B 97 1D 32 09 03 6D 3A 3B 17"), ["date_time 2024-02-29T23:59:58", "date_time 23:59:58"]);
}

#[test]
fn corrections_are_applied_once_and_the_fb_table_is_known() {
    assert_eq!(
        read("04 FB 82 75 1E 14 00 00 04 FB B4 75 CD 81 01 00 02 FB 2E F4 01 02 FB 2B 83 FF 04 93 7D 4D 00 00 00"),
        [
            "reactive_energy 515000 varh",
            "apparent_power 9876.5 VA",
            "frequency 50 Hz",
            "phase_angle_current -12.5 °",
            "volume 77 m³"
        ]
    );
    assert_eq!(
        read("02 FB 68 00 A0 02 FB 6A 00 10 02 FB 69 FF FE"),
        ["hca_rating_k 10", "hca_rating_kc 1", "hca_rating_kq 65279 W"],
        "rating factors are unsigned"
    );
}

#[test]
fn phases_and_directions_are_told() {
    assert_eq!(
        read("04 AB FC 01 DC 05 00 00 02 FD C8 FC 03 FD 08 04 83 3C 15 16 05 00 04 83 3B 15 16 05 00"),
        ["power 1500 W l1", "voltage 230.1 V l3", "energy 333333 Wh export", "energy 333333 Wh import"]
    );
}

#[test]
fn date_modifiers_make_a_date_of_any_quantity() {
    assert_eq!(
        read("22 DA 6F 0F 31 04 86 39 00 20 01 31 01 BB 5E 06 02 BB 49 03 00"),
        [
            "flow_temperature 2024-01-15  last_end",
            "energy 2024-01-01T00:00  start",
            "volume_flow 6 h upper_limit_exceed_last_duration",
            "volume_flow 3  upper_limit_exceed_count"
        ]
    );
}

#[test]
fn a_record_with_an_error_code_has_no_value() {
    let mut errors = Vec::new();
    each("04 93 15 00 00 00 00 02 BB 18 00 00 00 83 04 01 13 2A", |record| errors.push(record.value.err()));
    let reported = |code| Some(RecordError::Reported(ReportedError(code)));
    assert_eq!(errors, [reported(0x15), reported(0x18), reported(0x04), None]);
}

#[test]
fn a_plain_text_unit_is_read_in_both_orders_and_alone() {
    assert_eq!(
        read("02 7C 03 48 52 25 C5 01 02 FC 74 03 48 52 25 C5 01 02 FC 03 48 52 25 74 22 15"),
        ["plain_text 453 %RH", "plain_text 4.53 %RH", "plain_text 54.1 %RH"]
    );
}

#[test]
fn manufacturer_data_is_told_by_the_whole_dif() {
    let data = hex("01 13 2A 1F 01 02");
    let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x78, data: &data };
    let telegram = Telegram::parse(&frame).expect("CI 78 has no header");
    let mut records = telegram.records();
    assert_eq!(records.by_ref().count(), 1);
    assert!(records.more_records_follow());
    assert_eq!(records.manufacturer_data(), [1, 2]);
    assert_eq!(each("01 13 2A 9F 01 02", |_| ()), Some(StructureError::ReservedDif { dif: 0x9F }));
}

#[test]
fn error_flags_are_unsigned() {
    assert_eq!(read("02 FD 17 05 80 01 FD 1B 83"), ["error_flags 0x8005", "digital_input 0x83"]);
    assert_eq!(read("01 FD 71 9C"), ["rf_level -100 dBm"]);
}

#[test]
fn a_cut_record_leaves_the_earlier_ones() {
    let mut count = 0;
    assert_eq!(each("01 13 2A 04 13 39 30", |_| count += 1), Some(StructureError::CutInData { got: 2, want: 4 }));
    assert_eq!(count, 1);
}

#[test]
fn checksum_lengths_and_stop_are_all_checked() {
    let parse = |text: &str| Frame::parse(&hex(text)).map(|_| ());
    assert_eq!(parse("68 03 03 68 08 05 70 7E 16"), Err(FrameError::Checksum { got: 0x7E, want: 0x7D }));
    assert_eq!(parse("68 03 04 68 08 05 70 7D 16"), Err(FrameError::Lengths { first: 3, second: 4 }));
    assert_eq!(parse("68 03 03 68 08 05 70 7D 17"), Err(FrameError::Stop { got: 0x17 }));
    assert_eq!(parse("68 03 03 68 08 05 70 7D 16 00"), Err(FrameError::Size { got: 10, want: 9 }));
}

#[test]
fn values_are_exact_decimals_and_reals_are_scaled_too() {
    assert_eq!(
        read("02 FD 48 FD 08 05 2E 00 00 48 41 07 06 FF FF FF FF FF FF FF 7F 0E 13 99 99 99 99 99 99"),
        ["voltage 230.1 V", "power 12500 W", "energy 9223372036854775807000 Wh", "volume 999999999.999 m³"]
    );
}

#[test]
fn codes_that_old_tables_call_reserved_have_their_names() {
    assert_eq!(
        read("01 FD 19 01 01 FD 1F 01 01 FD 23 01 01 FD 3C 01 02 FD 74 E8 0D 01 FD 75 01"),
        [
            "security_key 1",
            "remote_control 0x1",
            "tariff_descriptor 1",
            "transmission_period 1 s",
            "battery_life 3560 d",
            "meter_stops 1"
        ]
    );
}

#[test]
fn an_unknown_code_stays_raw_and_the_next_record_is_read() {
    assert_eq!(
        read("02 6F 05 00 01 FB 38 80 01 FD 7B 01 01 93 10 2A 01 EF 13 01 01 13 2A"),
        [
            "unknown_6f 5",
            "unknown_fb38 -128",
            "unknown_fd7b 1",
            "volume 0.042 m³ vife_10",
            "unknown_ef13 1",
            "volume 0.042 m³"
        ]
    );
}

#[test]
fn equal_records_keep_their_places() {
    let mut places = Vec::new();
    each("2F 01 13 01 01 13 02 0A 13 AA AA 01 13 03", |record| places.push(record.index));
    assert_eq!(places, [0, 1, 2, 3]);
}

#[test]
fn the_old_mode_has_the_most_significant_byte_first() {
    let bytes = hex("68 14 14 68 08 02 76 12 34 56 78 40 24 01 07 55 00 00 00 03 13 00 31 15 B1 16");
    let telegram = Telegram::parse(&Frame::parse(&bytes).expect("a frame")).expect("a telegram");
    assert_eq!(telegram.header.identity.map(|id| id.to_string()).as_deref(), Some("1234567824400107"));
    let record = telegram.records().next().expect("one").expect("whole");
    assert_eq!(record.number().map(|n| n.to_string()).as_deref(), Some("12.565"));
}

#[test]
fn the_fixed_structure_is_told_from_a_compact_frame_by_its_length() {
    let fixed = hex("68 13 13 68 08 05 73 78 56 34 12 11 01 05 72 87 D6 12 00 7A 03 00 00 09 16");
    let telegram = Telegram::parse(&Frame::parse(&fixed).expect("a frame")).expect("a telegram");
    let numbers: Vec<_> =
        telegram.records().map(|r| r.expect("a counter").number().map(|n| n.to_string()).unwrap_or_default()).collect();
    assert_eq!(numbers, ["1234567000", "0.89"]);
    let mut compact = hex("78 56 34 12 24 40 01 07 2C 00 00 00 34 DD 0E 39");
    compact.extend(hex("71 00 08 19 00 00 08 19 00 00"));
    let frame = Frame::Long { c: Control::rsp_ud(false, false), a: 5, ci: 0x73, data: &compact };
    let telegram = Telegram::parse(&frame).expect("a long header");
    let first = telegram.records().next().expect("one");
    assert_eq!(first.map(|_| ()).map_err(|cut| cut.error), Err(StructureError::FormatUnknown { signature: 0xDD34 }));
    assert!(Opener::default().open(&telegram, &mut Buffers::default()).is_err());
}
