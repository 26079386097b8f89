//! What a telegram is taken for, and what is left of a damaged one.

use super::{ApplicationError, Content, Frame, Telegram, TelegramError};
use crate::mbus::application::quantity::{Known, Unit};
use crate::mbus::application::structure::StructureError;
use crate::mbus::application::value::Value;

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

/// `(quantity, number, unit, storage)` of each record.
fn read(bytes: &[u8]) -> Vec<(String, String, Unit, u64)> {
    let telegram = Telegram::parse(&Frame::parse(bytes).expect("a frame")).expect("a telegram");
    telegram
        .records()
        .map(|record| {
            let record = record.expect("whole");
            let value = match record.value.expect("a value") {
                Value::Number(number) => number.to_string(),
                Value::Date(date) => date.to_string(),
                other => format!("{other:?}"),
            };
            (record.vib.quantity.to_string(), value, record.vib.unit, record.dib.storage_number)
        })
        .collect()
}

#[test]
fn a_flow_meter_reads_as_its_exact_decimals() {
    let bytes = hex(
        "68 3D 3D 68 08 30 72 15 73 13 30 93 06 01 04 70 00 00 00 0C 06 00 00 00 00 0C 14 05 00 00 00 0C 22 57 83 03 00 0C 2E 01 00 00 00 0C 3B 00 00 00 00 0A 59 01 00 0A 5D 01 00 0A 61 01 00 42 6C 8F 21 DD 16",
    );
    let want = [
        (Known::Energy, "0", Unit::WattHour, 0),
        (Known::Volume, "0.05", Unit::CubicMetre, 0),
        (Known::OnTime, "38357", Unit::Hour, 0),
        (Known::Power, "1000", Unit::Watt, 0),
        (Known::VolumeFlow, "0", Unit::CubicMetrePerHour, 0),
        (Known::FlowTemperature, "0.01", Unit::Celsius, 0),
        (Known::ReturnTemperature, "0.01", Unit::Celsius, 0),
        (Known::TemperatureDifference, "0.01", Unit::Kelvin, 0),
        (Known::Date, "2020-01-15", Unit::None, 1),
    ];
    let want: Vec<_> = want.map(|(q, v, u, s)| (q.name().to_owned(), v.to_owned(), u, s)).into();
    assert_eq!(read(&bytes), want);
    let telegram = Telegram::parse(&Frame::parse(&bytes).expect("a frame")).expect("a telegram");
    assert_eq!(telegram.header.identity.expect("a long header").to_string(), "3013731593060104");
    assert_eq!(telegram.access_number(), Some(112));
}

#[test]
fn a_cut_telegram_gives_the_records_before_the_cut_and_says_where() {
    let bytes = hex("68 16 16 68 08 05 72 78 56 34 12 24 40 01 07 03 00 00 00 01 13 2A 04 13 39 30 C0 16");
    let telegram = Telegram::parse(&Frame::parse(&bytes).expect("a frame")).expect("a telegram");
    let mut records = telegram.records();
    let first = records.next().expect("one").expect("whole");
    assert_eq!(first.number().map(|n| n.to_string()).as_deref(), Some("0.042"));
    let cut = records.next().expect("two").expect_err("cut");
    assert_eq!((cut.index, cut.error), (1, StructureError::CutInData { got: 2, want: 4 }));
    assert_eq!(cut.rest, [0x04, 0x13, 0x39, 0x30]);
    assert_eq!(records.next(), None);
}

#[test]
fn errors_and_alarms_are_told_by_code() {
    let content =
        |text: &str| Telegram::parse(&Frame::parse(&hex(text)).expect("a frame")).map(|t| format!("{:?}", t.content));
    assert_eq!(
        content("68 04 04 68 08 05 70 08 85 16"),
        Ok(format!("{:?}", Content::ApplicationError(ApplicationError(Some(8)))))
    );
    assert_eq!(
        content("68 03 03 68 08 05 70 7D 16"),
        Ok(format!("{:?}", Content::ApplicationError(ApplicationError(None))))
    );
    assert_eq!(content("68 04 04 68 08 05 71 04 82 16"), Ok(format!("{:?}", Content::Alarm(Some(4)))));
    assert_eq!(
        content("68 08 08 68 08 02 72 78 56 34 12 24 B4 16"),
        Err(TelegramError::HeaderCut { got: 5, want: 12 })
    );
    assert_eq!(Telegram::parse(&Frame::Ack), Err(TelegramError::NoData));
}
