//! What stands in our messages: the JSON of state, reading and events.
//!
//! A value is written from its decimal, digit by digit: no float is on its way. Shapes of the wire
//! are their own types here, so that renaming a field of the core renames nothing in people's flows.
//!
//! Not here: topics (`topic`), requests and responses (`request_json`), Home Assistant's documents
//! (`homeassistant`), `bridge/info` (`info`).

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::mbus::decimal::Decimal;
use crate::mbus::medium;
use crate::measure::{Device, Measured, Measurement, Reading, RecordFault, key};

/// Payload of availability and bridge state.
pub const ONLINE: &str = "online";
/// Payload of availability and bridge state, and the last will.
pub const OFFLINE: &str = "offline";

/// `<meter>/reading`: the whole reading, every measurement with its unit.
#[must_use]
pub fn reading(reading: &Reading, seq: u64) -> String {
    json(&ReadingJson {
        meter: &reading.meter,
        seq,
        due_at: reading.due_at.map(timestamp),
        read_at: timestamp(reading.read_at),
        clock_synced: reading.clock_synced,
        device: device(&reading.device),
        measurements: reading.measurements.iter().map(measurement).collect(),
        errors: reading.errors.iter().map(fault).collect(),
    })
}

/// `<meter>/state`: flat JSON, one key for each measurement.
#[must_use]
pub fn state(reading: &Reading, seq: u64) -> String {
    json(&StateJson { reading, seq })
}

/// One value alone, for the one-value-per-topic mode: a plain number or text, empty where invalid.
#[must_use]
pub fn plain_value(value: &Measured) -> String {
    match value {
        Measured::Number(number) => number.to_string(),
        Measured::Text(text) => text.clone(),
        Measured::Invalid => String::new(),
    }
}

/// The numbers of a `state` document, as exact as they were written; texts and nulls are left out.
///
/// # Errors
/// Where it is no flat JSON object.
pub fn numbers_of_state(state: &[u8]) -> Result<BTreeMap<String, Decimal>, serde_json::Error> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(state)?;
    let number = |(key, raw): (String, &RawValue)| Some((key, raw.get().parse::<Decimal>().ok()?));
    let reserved = |field: &str| key::RESERVED.contains(&field);
    Ok(fields.into_iter().filter(|(key, _)| !reserved(key)).filter_map(number).collect())
}

/// RFC 3339 in UTC: to the millisecond, or to the second where there are no milliseconds.
#[must_use]
pub fn timestamp(at: SystemTime) -> String {
    let milliseconds = match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    let at = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    if milliseconds % 1000 == 0 { at.to_string() } else { format!("{at:.3}") }
}

/// What `bridge/event` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are the published names of what the variant says")]
pub enum Event {
    /// A meter that no table configures answered a search.
    MeterFound { bus: String, address: String },
    /// As many readouts in a row failed as `offline_after` allows.
    MeterSilent { meter: String, error: String },
    /// It answers again.
    MeterBack { meter: String },
    /// Another meter answers at this address: ids in the 16-digit form.
    MeterReplaced { meter: String, from: String, to: String },
    /// A total is lower than before, and was so when read again: it is published.
    CounterFell { meter: String, key: String, from: Number, to: Number, unit: &'static str },
    /// A total seemed to have fallen, but was not lower when read again: that reading was a fault.
    CounterFault { meter: String, key: String, last: Number, read: Number, unit: &'static str },
    /// The line of a bus is gone.
    BusDown { bus: String, error: String },
    /// The line of a bus is open.
    BusUp { bus: String },
    /// `seq` numbers from..=to may never have been used: the last stop was no clean one.
    UncleanStart { from: u64, to: u64 },
    /// The store was full: these oldest readings were dropped unsent.
    ReadingsDropped { count: u64, from: u64, to: u64 },
}

/// `bridge/event`.
#[must_use]
pub fn event(event: &Event, at: SystemTime) -> String {
    json(&EventJson { event, at: timestamp(at) })
}

/// An exact decimal that serialises as a JSON number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub Decimal);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[derive(Serialize)]
struct ReadingJson<'a> {
    meter: &'a str,
    seq: u64,
    due_at: Option<String>,
    read_at: String,
    clock_synced: Option<bool>,
    device: DeviceJson<'a>,
    measurements: Vec<MeasurementJson<'a>>,
    errors: Vec<FaultJson<'a>>,
}

#[derive(Serialize)]
struct DeviceJson<'a> {
    id: Option<String>,
    manufacturer: Option<String>,
    version: Option<u8>,
    medium: Option<&'static str>,
    address: u8,
    access_number: u8,
    status: &'a [&'static str],
}

#[derive(Serialize)]
struct MeasurementJson<'a> {
    key: &'a str,
    quantity: String,
    value: ValueJson<'a>,
    unit: &'static str,
    function: &'static str,
    storage: u64,
    tariff: u32,
    subunit: u16,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    modifiers: &'a [&'static str],
}

/// `null` serialises from the unit variant.
#[derive(Serialize)]
#[serde(untagged)]
enum ValueJson<'a> {
    Number(Number),
    Text(&'a str),
    Null,
}

#[derive(Serialize)]
struct FaultJson<'a> {
    index: usize,
    dib: String,
    vib: String,
    data: String,
    error: &'a str,
}

#[derive(Serialize)]
struct EventJson<'a> {
    #[serde(flatten)]
    event: &'a Event,
    at: String,
}

struct StateJson<'a> {
    reading: &'a Reading,
    seq: u64,
}

impl Serialize for StateJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { reading, seq } = self;
        let mut map = serializer.serialize_map(Some(reading.measurements.len() + key::RESERVED.len()))?;
        for measurement in &reading.measurements {
            map.serialize_entry(&measurement.key, &value(&measurement.value))?;
        }
        map.serialize_entry("read_at", &timestamp(reading.read_at))?;
        map.serialize_entry("seq", seq)?;
        map.serialize_entry("status", &reading.device.status)?;
        map.end()
    }
}

fn device(device: &Device) -> DeviceJson<'_> {
    DeviceJson {
        id: device.identity.map(|i| format!("{:08X}", i.id())),
        manufacturer: device.identity.map(|i| i.manufacturer().to_string()),
        version: device.identity.map(|i| i.version()),
        medium: device.identity.map(|i| medium::name(i.medium())),
        address: device.address,
        access_number: device.access_number,
        status: &device.status,
    }
}

fn measurement(measurement: &Measurement) -> MeasurementJson<'_> {
    MeasurementJson {
        key: &measurement.key,
        quantity: measurement.quantity.to_string(),
        value: value(&measurement.value),
        unit: measurement.unit.name(),
        function: measurement.function.name(),
        storage: measurement.storage_number,
        tariff: measurement.tariff,
        subunit: measurement.subunit,
        modifiers: &measurement.modifiers,
    }
}

fn value(value: &Measured) -> ValueJson<'_> {
    match value {
        Measured::Number(number) => ValueJson::Number(Number(*number)),
        Measured::Text(text) => ValueJson::Text(text),
        Measured::Invalid => ValueJson::Null,
    }
}

fn fault(fault: &RecordFault) -> FaultJson<'_> {
    FaultJson {
        index: fault.index,
        dib: hex(&fault.dib),
        vib: hex(&fault.vib),
        data: hex(&fault.data),
        error: &fault.error,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Our own shapes have text keys and finite numbers only, so this cannot fail; an empty message
/// would be the harmless outcome.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mbus::address::SecondaryAddress;
    use crate::mbus::quantity::{Function, Known, Quantity, Unit};
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
            presentation: Presentation::default(),
        }
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
        }
    }

    #[test]
    fn a_reading_is_the_contracts_sample_byte_for_byte() {
        let want = concat!(
            r#"{"meter":"cold_water","seq":1842,"due_at":"2026-11-22T19:15:00Z","read_at":"2026-11-22T19:15:00.412Z","clock_synced":true,"#,
            r#""device":{"id":"30137315","manufacturer":"ATS","version":1,"medium":"heat","address":48,"access_number":112,"status":[]},"#,
            r#""measurements":[{"key":"volume","quantity":"volume","value":0.05,"unit":"m³","function":"instantaneous","storage":0,"tariff":0,"subunit":0}],"#,
            r#""errors":[{"index":7,"dib":"3C","vib":"2B","data":"BDEBDDDD","error":"invalid BCD"}]}"#
        );
        assert_eq!(reading(&sample(), 1842), want);
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
            assert!(super::reading(&reading, 1).contains(&format!(r#""value":{text},"#)), "{text}");
            let state = state(&reading, 1);
            assert!(state.starts_with(&format!(r#"{{"volume":{text},"#)), "{state}");
            assert_eq!(numbers_of_state(state.as_bytes()).expect("our own state").get("volume"), Some(&number));
        }
    }

    #[test]
    fn a_state_is_flat_with_null_for_invalid() {
        let mut reading = sample();
        reading.device.status = vec!["low_power"];
        reading.due_at = None;
        reading.measurements.push(volume("volume_2", Measured::Invalid));
        reading.measurements.push(volume("date", Measured::Text("2020-01-15".to_owned())));
        assert_eq!(
            state(&reading, 7),
            r#"{"volume":0.05,"volume_2":null,"date":"2020-01-15","read_at":"2026-11-22T19:15:00.412Z","seq":7,"status":["low_power"]}"#
        );
        assert!(super::reading(&reading, 7).contains(r#""due_at":null,"#));
        let numbers = numbers_of_state(state(&reading, 7).as_bytes()).expect("our own state");
        assert_eq!(numbers.into_keys().collect::<Vec<_>>(), ["volume"]);
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
}
