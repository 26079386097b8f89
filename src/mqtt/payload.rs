//! What stands in our messages: the JSON of state, reading and events.
//!
//! A value is written from its decimal, digit by digit: no float is on its way. Shapes of the wire
//! are their own types here, so that renaming a field of the core renames nothing in people's flows.
//!
//! Not here: topics (`topic`), requests and responses (`request_json`), Home Assistant's documents
//! (`homeassistant`), `bridge/info` (`info`).

mod blank;

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::homeassistant::{class, discovery};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::decimal::Decimal;
use crate::mbus::medium;
use crate::measure::{Device, Measured, Measurement, Reading, RecordFault, key};
use crate::status::{AgentStatus, Info, MeterStatus, Newest, Value};
pub use blank::{blanked, changed, without_values};

/// Payload of availability and bridge state.
pub const ONLINE: &str = "online";
/// Payload of availability and bridge state, and the last will.
pub const OFFLINE: &str = "offline";

/// What identifies a published reading.
#[derive(Clone, Copy, Debug)]
pub struct Serial<'a> {
    /// The base topic of the agent that took it.
    pub agent: &'a str,
    /// 16 hex digits: within an epoch no number is given twice.
    pub epoch: &'a str,
    /// Its number.
    pub seq: u64,
}

/// `<meter>/reading`: the whole reading, every measurement with its unit.
#[must_use]
pub fn reading(reading: &Reading, serial: Serial<'_>) -> String {
    json(&reading_json(Some(&reading.meter), Some(serial), reading))
}

/// The same of a reading that is neither stored nor published: without a number, and without a name
/// where no meter is configured at that address.
#[must_use]
pub fn reading_aside(meter: Option<&str>, reading: &Reading) -> String {
    json(&reading_json(meter, None, reading))
}

fn reading_json<'a>(meter: Option<&'a str>, serial: Option<Serial<'a>>, reading: &'a Reading) -> ReadingJson<'a> {
    ReadingJson {
        meter,
        agent: serial.map(|serial| serial.agent),
        epoch: serial.map(|serial| serial.epoch),
        seq: serial.map(|serial| serial.seq),
        due_at: reading.due_at.map(timestamp),
        read_at: timestamp(reading.read_at),
        clock_synced: reading.clock_synced,
        device: device(&reading.device),
        labels: &reading.labels,
        manufacturer_data: hex(&reading.manufacturer_data),
        unnamed: reading.unnamed,
        telegrams: reading.telegrams.iter().map(|telegram| hex(telegram)).collect(),
        measurements: reading.measurements.iter().map(measurement).collect(),
        errors: reading.errors.iter().map(fault).collect(),
    }
}

/// `<meter>/state`: flat JSON, one key for each measurement. With a `zone` each time of the meter's
/// clock is there once more, with that zone's offset, for Home Assistant.
#[must_use]
pub fn state(reading: &Reading, seq: u64, zone: Option<&TimeZone>) -> String {
    json(&StateJson { reading, seq, zone })
}

/// A time of the meter's clock with its offset; `None` for another text. Of an hour that comes
/// twice it is the first, and a time that summer time leaves out is that much later.
fn zoned(text: &str, zone: &TimeZone) -> Option<String> {
    let civil: civil::DateTime = text.parse().ok().filter(|_| class::is_time(text))?;
    let zoned = zone.to_ambiguous_zoned(civil).compatible().ok()?;
    Some(zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

/// One value alone, for the one-value-per-topic mode: a plain number or text, empty where invalid.
#[must_use]
pub fn plain_value(value: &Measured) -> String {
    match value {
        Measured::Number(number) => number.to_string(),
        Measured::Text(text) => text.clone(),
        Measured::Held { last, .. } => last.map_or_else(String::new, |last| last.to_string()),
        Measured::Invalid => String::new(),
    }
}

/// A reading as the snapshot shows it.
#[must_use]
pub fn newest(reading: &Reading, seq: u64) -> Newest {
    let values = reading.measurements.iter().map(|measurement| {
        let value = RawValue::from_string(json(&value(&measurement.value))).unwrap_or_default();
        (measurement.key.clone(), Value { value, unit: Some(measurement.unit.name()) })
    });
    Newest {
        seq,
        read_at: timestamp(reading.read_at),
        status: reading.device.status.iter().map(|&flag| flag.to_owned()).collect(),
        values: values.collect(),
        reading: None,
    }
}

/// What a `state` document says, which has no units; `None` where it is another document.
#[must_use]
pub fn newest_of_state(state: &str) -> Option<Newest> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(state).ok()?;
    let read_at = serde_json::from_str(fields.get("read_at")?.get()).ok()?;
    let seq = serde_json::from_str(fields.get("seq")?.get()).ok()?;
    let status = serde_json::from_str(fields.get("status")?.get()).ok()?;
    let zoned: Vec<String> = fields.keys().map(|key| discovery::zoned_key(key)).collect();
    fields.retain(|key, _| !key::RESERVED.contains(&key.as_str()) && !zoned.contains(key));
    let values = fields.into_iter().map(|(key, value)| (key, Value { value, unit: None }));
    Some(Newest { seq, read_at, status, values: values.collect(), reading: None })
}

/// The numbers among these values, as exact as they were written.
pub fn numbers(newest: &Newest) -> impl Iterator<Item = (String, Decimal)> {
    let number = |(key, value): (&String, &Value)| Some((key.clone(), value.value.get().parse().ok()?));
    newest.values.iter().filter_map(number)
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

/// `bridge/info`, as of now.
#[must_use]
pub fn info(agent: &AgentStatus, meters: &BTreeMap<String, MeterStatus>) -> String {
    json(&Info::new(timestamp(SystemTime::now()), agent, meters))
}

/// What `bridge/event` reports.
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
    /// A total rose out of all proportion, and was as high when read again: it is published.
    CounterLeapt { meter: String, key: String, from: Number, to: Number, unit: &'static str },
    /// A total seemed to have fallen or leapt, but had not when read again: that reading was a fault.
    CounterFault { meter: String, key: String, last: Number, read: Number, unit: &'static str },
    /// The line of a bus is gone.
    BusDown { bus: String, error: String },
    /// The line of a bus is open.
    BusUp { bus: String },
    /// `seq` numbers from..=to may never have been used: the last stop was not clean.
    UncleanStart { from: u64, to: u64 },
    /// Another agent publishes below the same base topic; `null`: it does so no longer.
    OtherAgent { instance: Option<String> },
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
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub(crate) struct ReadingJson<'a> {
    meter: Option<&'a str>,
    agent: Option<&'a str>,
    epoch: Option<&'a str>,
    seq: Option<u64>,
    due_at: Option<String>,
    read_at: String,
    clock_synced: Option<bool>,
    device: DeviceJson<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    manufacturer_data: String,
    #[serde(skip_serializing_if = "is_zero")]
    unnamed: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    telegrams: Vec<String>,
    measurements: Vec<MeasurementJson<'a>>,
    errors: Vec<FaultJson<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
struct MeasurementJson<'a> {
    key: &'a str,
    quantity: String,
    #[cfg_attr(feature = "http", schema(schema_with = crate::status::number_text_or_null))]
    value: ValueJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "http", schema(value_type = Option<f64>))]
    held: Option<Number>,
    unit: &'static str,
    function: &'static str,
    storage: u64,
    tariff: u32,
    subunit: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    modifiers: Vec<&'static str>,
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
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
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
    zone: Option<&'a TimeZone>,
}

impl Serialize for StateJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { reading, seq, zone } = self;
        let mut map = serializer.serialize_map(None)?;
        for measurement in &reading.measurements {
            map.serialize_entry(&measurement.key, &value(&measurement.value))?;
            if let (Some(zone), Measured::Text(text)) = (zone, &measurement.value) {
                let zoned = zoned(text, zone).map(|zoned| (discovery::zoned_key(&measurement.key), zoned));
                zoned.map_or(Ok(()), |(key, zoned)| map.serialize_entry(&key, &zoned))?;
            }
        }
        map.serialize_entry("read_at", &timestamp(reading.read_at))?;
        map.serialize_entry("seq", seq)?;
        map.serialize_entry("status", &reading.device.status)?;
        map.end()
    }
}

fn device(device: &Device) -> DeviceJson<'_> {
    let named = device.identity.filter(|identity| !identity.is_anonymous());
    DeviceJson {
        id: device.identity.map(|i| format!("{:08X}", i.id())),
        manufacturer: named.map(|i| i.manufacturer().to_string()),
        version: named.map(|i| i.version()),
        medium: device.identity.and_then(SecondaryAddress::known_medium).map(medium::name),
        address: device.address,
        access_number: device.access_number,
        status: &device.status,
    }
}

fn measurement(measurement: &Measurement) -> MeasurementJson<'_> {
    let (value, held) = match measurement.value {
        Measured::Held { read, .. } => (ValueJson::Null, Some(Number(read))),
        ref other => (value(other), None),
    };
    MeasurementJson {
        key: &measurement.key,
        quantity: measurement.quantity.to_string(),
        value,
        held,
        unit: measurement.unit.name(),
        function: measurement.function.name(),
        storage: measurement.storage_number,
        tariff: measurement.tariff,
        subunit: measurement.subunit,
        modifiers: measurement.modifiers.iter().filter_map(|modifier| modifier.name()).collect(),
    }
}

/// The value in a state, where one that is held is not there yet.
fn value(value: &Measured) -> ValueJson<'_> {
    match value {
        Measured::Number(number) | Measured::Held { last: Some(number), .. } => ValueJson::Number(Number(*number)),
        Measured::Text(text) => ValueJson::Text(text),
        Measured::Invalid | Measured::Held { last: None, .. } => ValueJson::Null,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Our own shapes have text keys and finite numbers only, so this cannot fail; an empty message
/// would be the harmless outcome.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
