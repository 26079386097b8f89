//! The shapes byte by byte.

use super::*;
use crate::homeassistant::event::{OF_AGENT, OF_METER};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::application::quantity::{Function, Known, Quantity, Unit};
use crate::measure::profile::Presentation;
use std::time::Duration;

fn volume(key: &str, value: Measured) -> Measurement {
    Measurement {
        key: key.to_owned(),
        quantity: Quantity::Known(Known::Volume),
        value,
        unit: Unit::CubicMetre,
        function: Function::Instantaneous,
        storage_number: 0,
        tariff: 0,
        subunit: 0,
        modifiers: Vec::new(),
        digits: Some(2),
        plausible: true,
        presentation: Presentation::default(),
    }
}

fn serial(seq: u64) -> Serial<'static> {
    Serial { agent: "mbushat", epoch: "5f2b9c0e7d314a86", seq }
}

fn sample() -> Reading {
    let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_374_900);
    Reading {
        meter: "cold_water".to_owned(),
        due_at: Some(midnight),
        read_at: midnight + Duration::from_millis(412),
        clock_synced: Some(true),
        device: Device {
            identity: Some(SecondaryAddress::parse("30137315ATS0104").expect("an address")),
            address: 48,
            access_number: 112,
            status: Vec::new(),
        },
        measurements: vec![volume("volume", Measured::Number(Decimal::new(5, -2)))],
        errors: vec![RecordFault {
            index: 7,
            dib: vec![0x3C],
            vib: vec![0x2B],
            data: vec![0xBD, 0xEB, 0xDD, 0xDD],
            error: "invalid BCD".to_owned(),
        }],
        manufacturer_data: Vec::new(),
        unnamed: 0,
        telegrams: Vec::new(),
        labels: BTreeMap::new(),
    }
}

#[test]
fn a_reading_is_the_contracts_sample_byte_for_byte() {
    let want = concat!(
        r#"{"meter":"cold_water","agent":"mbushat","epoch":"5f2b9c0e7d314a86","seq":1842,"due_at":"2026-11-22T19:15:00Z","read_at":"2026-11-22T19:15:00.412Z","clock_synced":true,"#,
        r#""device":{"id":"30137315","manufacturer":"ATS","version":1,"medium":"heat","address":48,"access_number":112,"status":[]},"#,
        r#""measurements":[{"key":"volume","quantity":"volume","value":0.05,"unit":"m³","function":"instantaneous","storage":0,"tariff":0,"subunit":0}],"#,
        r#""errors":[{"index":7,"dib":"3C","vib":"2B","data":"BDEBDDDD","error":"invalid BCD"}]}"#
    );
    assert_eq!(reading(&sample(), serial(1842)), want);
}

#[test]
fn every_digit_of_a_value_arrives() {
    let mut reading = sample();
    for (mantissa, exponent, text) in [
        (5, -2, "0.05"),
        (500, -2, "5"),
        (999_999_999_999, -3, "999999999.999"),
        (i128::from(u64::MAX), 0, "18446744073709551615"),
        (-12_345_678_901_234_567_890, -9, "-12345678901.23456789"),
        (23_010, -2, "230.1"),
        (1, 12, "1000000000000"),
        (1, -29, "0.00000000000000000000000000001"),
    ] {
        let number = Decimal::new(mantissa, exponent);
        reading.measurements = vec![volume("volume", Measured::Number(number))];
        assert!(super::reading(&reading, serial(1)).contains(&format!(r#""value":{text},"#)), "{text}");
        let state = state(&reading, 1, None);
        assert!(state.starts_with(&format!(r#"{{"volume":{text},"#)), "{state}");
        let read_back = newest_of_state(&state).expect("our own state");
        assert_eq!(numbers(&read_back).collect::<Vec<_>>(), [("volume".to_owned(), number)]);
    }
}

#[test]
fn a_time_has_the_offset_that_the_zone_had_then() {
    let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
    for (text, expected) in [
        ("2026-01-15T10:00", Some("2026-01-15T10:00:00+01:00")),
        ("2026-07-15T10:00:30", Some("2026-07-15T10:00:30+02:00")),
        // left out in spring
        ("2024-03-31T02:15", Some("2024-03-31T03:15:00+02:00")),
        // twice in autumn
        ("2024-10-27T02:15", Some("2024-10-27T02:15:00+02:00")),
        ("2024-02-30T02:15", None),
        ("2020-01-15", None),
        ("30137315", None),
        ("", None),
    ] {
        assert_eq!(zoned(text, &berlin).as_deref(), expected, "{text}");
    }
    let mut reading = sample();
    let at = |value| volume("date_time", value);
    reading.measurements = vec![at(Measured::Text("2026-07-15T10:00".to_owned()))];
    let start = r#"{"date_time":"2026-07-15T10:00","#;
    let own = state(&reading, 1, Some(&berlin));
    assert!(own.starts_with(&format!(r#"{start}"date_time_zoned":"2026-07-15T10:00:00+02:00","read_at""#)), "{own}");
    let without = state(&reading, 1, None);
    assert!(without.starts_with(&format!(r#"{start}"read_at""#)), "{without}");
    reading.measurements = vec![at(Measured::Invalid)];
    assert!(state(&reading, 1, Some(&berlin)).starts_with(r#"{"date_time":null,"read_at""#));
}

#[test]
fn a_state_is_flat_with_null_for_invalid() {
    let mut reading = sample();
    reading.device.status = vec!["low_power"];
    reading.due_at = None;
    reading.measurements.push(volume("volume_2", Measured::Invalid));
    reading.measurements.push(volume("date", Measured::Text("2020-01-15".to_owned())));
    assert_eq!(
        state(&reading, 7, None),
        r#"{"volume":0.05,"volume_2":null,"date":"2020-01-15","read_at":"2026-11-22T19:15:00.412Z","seq":7,"status":["low_power"]}"#
    );
    assert!(super::reading(&reading, serial(7)).contains(r#""due_at":null,"#));
    let read_back = newest_of_state(&state(&reading, 7, None)).expect("our own state");
    assert_eq!(numbers(&read_back).map(|(key, _)| key).collect::<Vec<_>>(), ["volume"]);
}

#[test]
fn an_event_names_itself_first() {
    let fell = Event::CounterFell {
        meter: "heat".to_owned(),
        key: "energy".to_owned(),
        from: Number(Decimal::new(12_345, -1)),
        to: Number(Decimal::ZERO),
        unit: "kWh",
    };
    assert_eq!(
        event(&fell, SystemTime::UNIX_EPOCH),
        r#"{"event":"counter_fell","meter":"heat","key":"energy","from":1234.5,"to":0,"unit":"kWh","at":"1970-01-01T00:00:00Z"}"#
    );
}

#[test]
fn times_outside_the_calendar_do_not_panic() {
    assert_eq!(timestamp(SystemTime::UNIX_EPOCH - Duration::from_millis(1)), "1969-12-31T23:59:59.999Z");
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(400_000_000_000);
    assert_eq!(timestamp(far), "1970-01-01T00:00:00Z");
}

#[test]
fn the_newest_values_are_those_of_the_state_and_have_units_once_they_were_read() {
    let mut reading = sample();
    reading.device.status = vec!["low_power"];
    reading.measurements.push(volume("date_time", Measured::Text("2026-07-15T10:00".to_owned())));
    reading.measurements.push(volume("volume_2", Measured::Invalid));
    let shown = |newest: &Newest| serde_json::to_string(newest).expect("JSON");
    let unit = r#""unit":"m³""#;
    let read = format!(
        r#"{{"seq":7,"read_at":"2026-11-22T19:15:00.412Z","status":["low_power"],"values":{{"date_time":{{"value":"2026-07-15T10:00",{unit}}},"volume":{{"value":0.05,{unit}}},"volume_2":{{"value":null,{unit}}}}}}}"#
    );
    assert_eq!(shown(&newest(&reading, 7)), read);
    let state = state(&reading, 7, Some(&TimeZone::UTC));
    let read_back = newest_of_state(&state).expect("our own state");
    assert_eq!(shown(&read_back), read.replace(unit, r#""unit":null"#));
    for strange in ["", "[]", "{}", r#"{"seq":1,"read_at":"2026-11-22T19:15:00Z","status":7}"#] {
        assert!(newest_of_state(strange).is_none(), "{strange}");
    }
}

#[test]
fn home_assistant_is_told_every_type_of_event_there_is() {
    let (meter, key, bus, text) = (String::new(), String::new(), String::new(), String::new());
    let (from, to, unit) = (Number(Decimal::new(1, 0)), Number(Decimal::new(2, 0)), "m³");
    let all = [
        Event::MeterFound { bus: bus.clone(), address: text.clone() },
        Event::MeterSilent { meter: meter.clone(), error: text.clone() },
        Event::MeterBack { meter: meter.clone() },
        Event::MeterReplaced { meter: meter.clone(), from: text.clone(), to: text.clone() },
        Event::CounterFell { meter: meter.clone(), key: key.clone(), from, to, unit },
        Event::CounterLeapt { meter: meter.clone(), key: key.clone(), from, to, unit },
        Event::CounterFault { meter, key, last: from, read: to, unit },
        Event::BusDown { bus: bus.clone(), error: text },
        Event::BusUp { bus },
        Event::UncleanStart { from: 1, to: 2 },
        Event::ReadingsDropped { count: 1, from: 1, to: 1 },
        Event::OtherAgent { instance: None },
    ];
    let mut types: Vec<&str> = Vec::new();
    for event in &all {
        // one that is new does not compile here: it belongs in the list above
        let of_meter = match event {
            Event::MeterSilent { .. } | Event::MeterBack { .. } | Event::MeterReplaced { .. } => true,
            Event::CounterFell { .. } | Event::CounterLeapt { .. } | Event::CounterFault { .. } => true,
            Event::MeterFound { .. } | Event::BusDown { .. } | Event::BusUp { .. } => false,
            Event::UncleanStart { .. } | Event::ReadingsDropped { .. } | Event::OtherAgent { .. } => false,
        };
        let json: serde_json::Value = serde_json::to_value(event).expect("JSON");
        let listed: &[&str] = if of_meter { &OF_METER } else { &OF_AGENT };
        let name = listed.iter().find(|name| json["event"] == **name);
        types.push(name.unwrap_or_else(|| panic!("not listed: {json}")));
        assert_eq!(json.get("meter").is_some(), of_meter, "{json}");
    }
    assert!(OF_METER.iter().chain(&OF_AGENT).all(|name| types.contains(name)), "listed, but never sent");
}

#[test]
fn a_state_without_values_names_what_is_announced_and_when_it_was_read() {
    let document = r#"{"cmps":{"energy":{"p":"sensor"},"last-read":{"p":"sensor"},"volume":{"p":"sensor"}}}"#;
    assert_eq!(without_values(document), r#"{"energy":null,"read_at":null,"status":null,"volume":null}"#);
    let newest = r#"{"read_at":"t","seq":7,"status":[],"energy":1.50,"date_time":"a","date_time_zoned":"b"}"#;
    let published = r#"{"read_at":"s","seq":6,"volume":2}"#;
    assert_eq!(
        blanked(newest, Some(published), |key| key != "energy").expect("a state"),
        r#"{"date_time":null,"date_time_zoned":null,"energy":1.50,"read_at":"t","seq":7,"status":[],"volume":null}"#
    );
    assert_eq!(blanked("offline", None, |_| true), None);
}
