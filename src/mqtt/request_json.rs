//! The JSON of `bridge/request/<verb>` and `bridge/response/<verb>`.
//!
//! Not here: doing what a request asks for (`request`), topics (`topic`).

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::payload;
use crate::config;
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress, TEST_BROADCAST};
use crate::mbus::master::search::Found;
use crate::mbus::medium;
use crate::request::{
    AdoptRequest, AgentRequest, Answer, BusRequest, Change, KeyText, Outcome, Request, Scan, Wanted, Which,
};

/// A longer `transaction` is not given back: the response must not become larger than what brokers take.
const TRANSACTION_BYTES: usize = 1024;
/// Of an error no more characters are published: it may repeat what was asked.
const ERROR_CHARACTERS: usize = 300;

/// Reads what `bridge/request/<verb>` with this payload asks for, or says what is wrong with it; and,
/// of one that is a JSON object at all, what the asker wants to see again in the response. An empty
/// payload is an object without fields.
pub(crate) fn request(verb: &str, payload: &[u8]) -> (Result<Request, String>, Option<Box<RawValue>>) {
    let expected = "expected a JSON object such as {\"meter\":\"cold_water\"}";
    let fields: Result<Fields, _> = match payload.trim_ascii().first() {
        None => Ok(Fields::default()),
        Some(b'{') => serde_json::from_slice(payload),
        Some(_) => return (Err(expected.to_owned()), None),
    };
    match fields {
        Err(error) => (Err(format!("{expected}: {error}")), None),
        Ok(mut fields) => {
            let transaction = fields.transaction.take();
            if transaction.as_ref().is_some_and(|text| text.get().len() > TRANSACTION_BYTES) {
                return (Err(format!("\"transaction\" has more than {TRANSACTION_BYTES} bytes")), None);
            }
            (fields.request(verb), transaction)
        }
    }
}

/// `data` is a JSON object, empty where there is nothing to say.
pub(super) fn response(outcome: &Outcome, transaction: Option<&RawValue>) -> String {
    let data = match outcome {
        Ok(Answer::Reading(reading)) => RawValue::from_string(reading.clone()).ok(),
        Ok(Answer::Found(found)) => RawValue::from_string(payload::json(&scan_result(found))).ok(),
        Ok(Answer::FoundSome { found, warning }) => {
            let result = ScanResult { warning: Some(warning.clone()), ..scan_result(found) };
            RawValue::from_string(payload::json(&result)).ok()
        }
        Ok(Answer::Resent(readings)) => RawValue::from_string(json!({ "readings": readings }).to_string()).ok(),
        Ok(Answer::Adopted { meter, kept }) => {
            RawValue::from_string(json!({ "meter": meter, "kept": kept }).to_string()).ok()
        }
        Ok(Answer::Telegrams(frames)) => {
            let frames: Vec<String> = frames.iter().map(|frame| payload::hex(frame)).collect();
            RawValue::from_string(json!({ "telegrams": frames }).to_string()).ok()
        }
        Ok(Answer::Done) | Err(_) => None,
    };
    let status = if outcome.is_ok() { "ok" } else { "error" };
    let data = data.as_deref().map_or(Data::Empty {}, Data::Some);
    let error = outcome.as_ref().err().map(|error| error.chars().take(ERROR_CHARACTERS).collect());
    payload::json(&Response { status, data, error, transaction })
}

/// The fields of a request, which may be missing or have any type: a wrong one must not cost the
/// transaction.
#[derive(Default, Deserialize)]
struct Fields {
    /// Name of a configured meter.
    meter: Option<Value>,
    /// Name of a bus; not needed where there is only one.
    bus: Option<Value>,
    /// For `read`: a primary or secondary address instead of a name, a number or a text.
    address: Option<Box<RawValue>>,
    /// For `read` with an `address`: the telegrams alone, as they come.
    telegrams: Option<Value>,
    /// For `power`: switch it on or off.
    on: Option<Value>,
    /// For `scan`: search by secondary address, among those that this mask matches.
    secondary: Option<Value>,
    /// For `adopt`: what the meter is to be like. `null` takes away.
    name: Option<Value>,
    #[serde(default, deserialize_with = "said")]
    title: Option<Value>,
    #[serde(default, deserialize_with = "said")]
    interval: Option<Value>,
    #[serde(default, deserialize_with = "said")]
    key: Option<Value>,
    /// For `log_level`.
    level: Option<Value>,
    transaction: Option<Box<RawValue>>,
}

impl Fields {
    fn request(self, verb: &str) -> Result<Request, String> {
        if let "adopt" | "forget" = verb {
            return self.adopt(verb).map(Request::Adopt);
        }
        let Self { meter, bus, address, telegrams, on, secondary, level, .. } = self;
        let telegrams = flag("telegrams", telegrams)?.unwrap_or(false);
        let what = match verb {
            "read" => match (text("meter", meter)?, address) {
                (Some(_), None) if telegrams => return Err("\"telegrams\" needs an \"address\"".to_owned()),
                (Some(meter), None) => BusRequest::Read { meter },
                (None, Some(address)) if telegrams => BusRequest::TelegramsAt(read_address(&address)?),
                (None, Some(address)) => BusRequest::ReadAt(read_address(&address)?),
                (Some(_), Some(_)) => return Err("both \"meter\" and \"address\" are set, expected one".to_owned()),
                (None, None) => return Err("say which \"meter\", or at which \"address\"".to_owned()),
            },
            "power" => BusRequest::Power(flag("on", on)?.ok_or("say \"on\": true or false")?),
            "scan" => BusRequest::Scan(match text("secondary", secondary)? {
                None => Scan::Primary,
                Some(mask) => Scan::Secondary(
                    SecondaryAddress::parse(&mask)
                        .map_err(|_| unexpected("secondary", &mask.into(), "a mask such as \"3013????\""))?,
                ),
            }),
            "reload" => return Ok(Request::Agent(AgentRequest::Reload)),
            "restart" => return Ok(Request::Agent(AgentRequest::Restart)),
            "log_level" => {
                let level = text("level", level)?.ok_or("say which \"level\", such as \"debug\"")?;
                if !config::is_log_level(&level) {
                    return Err(unexpected("level", &level.into(), "a level such as \"debug\" or \"wire\""));
                }
                return Ok(Request::Agent(AgentRequest::LogLevel(level)));
            }
            "resend" => return Ok(Request::Resend),
            _ => {
                return Err(
                    "no such request; there are read, scan, adopt, forget, power, reload, resend, restart and \
                            log_level"
                        .to_owned(),
                );
            }
        };
        Ok(Request::Bus { name: text("bus", bus)?, what })
    }
}

impl Fields {
    fn adopt(self, verb: &str) -> Result<AdoptRequest, String> {
        let meter = text("meter", self.meter)?;
        if verb == "forget" {
            return Ok(AdoptRequest::Forget { meter: meter.ok_or("say which \"meter\"")? });
        }
        let which = match (meter, self.address) {
            (Some(meter), None) => Which::Named(meter),
            (None, Some(address)) => Which::At { bus: text("bus", self.bus)?, address: meter_address(&address)? },
            (Some(_), Some(_)) => return Err("both \"meter\" and \"address\" are set, expected one".to_owned()),
            (None, None) => return Err("say which \"meter\", or at which \"address\"".to_owned()),
        };
        // the value of a wrong key is not repeated
        let key = match self.key {
            None => Change::Stays,
            Some(Value::Null) => Change::Gone,
            Some(Value::String(key)) => Change::Is(KeyText::new(key)),
            Some(_) => return Err("\"key\" is not a text in quotes".to_owned()),
        };
        let wanted = Wanted {
            name: text("name", self.name)?,
            title: change("title", self.title)?,
            interval: change("interval", self.interval)?,
            key,
        };
        Ok(AdoptRequest::Adopt { which, wanted })
    }
}

/// Tells `null` from what is not there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn change(field: &str, value: Option<Value>) -> Result<Change<String>, String> {
    Ok(match value {
        Some(Value::Null) => Change::Gone,
        value => text(field, value)?.map_or(Change::Stays, Change::Is),
    })
}

fn text(field: &str, value: Option<Value>) -> Result<Option<String>, String> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(unexpected(field, &other, "a text in quotes")),
    }
}

fn flag(field: &str, value: Option<Value>) -> Result<Option<bool>, String> {
    value.map(|value| value.as_bool().ok_or_else(|| unexpected(field, &value, "true or false"))).transpose()
}

/// `5`, `"5"`, `"30137315"`, `"3013731593060104"`: up to three digits are a primary address.
fn meter_address(written: &RawValue) -> Result<MeterAddress, String> {
    let written: Value = serde_json::from_str(written.get()).map_err(|error| error.to_string())?;
    let text = match &written {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    address(&text)
        .ok_or_else(|| unexpected("address", &written, "0 to 250 or a secondary address such as \"30137315\""))
}

/// The same, and 254 for whatever meter is alone on the bus: reading changes nothing.
fn read_address(written: &RawValue) -> Result<MeterAddress, String> {
    if written.get().trim_matches('"') == TEST_BROADCAST.to_string() {
        return Ok(MeterAddress::Primary(PrimaryAddress::ONLY));
    }
    meter_address(written).map_err(|error| error.replace("0 to 250 or", "0 to 250, 254 or"))
}

/// Up to three digits are a primary address.
pub(crate) fn address(text: &str) -> Option<MeterAddress> {
    if text.len() <= 3 {
        text.parse().ok().and_then(PrimaryAddress::new).map(MeterAddress::Primary)
    } else {
        SecondaryAddress::parse(text).ok().map(MeterAddress::Secondary)
    }
}

fn unexpected(field: &str, value: &Value, expected: &str) -> String {
    let value: String = value.to_string().chars().take(60).collect();
    format!("\"{field}\" is {value}, expected {expected}")
}

#[derive(Serialize)]
struct Response<'a> {
    status: &'static str,
    data: Data<'a>,
    error: Option<String>,
    transaction: Option<&'a RawValue>,
}

/// An object.
#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Some(&'a RawValue),
    Empty {},
}

/// `{"meters":[{"address":"48","id":"30137315",…}],"collisions":["7"]}`
pub(crate) fn scan_result(found: &[Found]) -> ScanResult {
    let mut result = ScanResult::default();
    for finding in found {
        match finding {
            Found::Collision(address) => result.collisions.push(address.to_string()),
            Found::Meter { address, identity, fabrication_number, .. } => result.meters.push(json!({
                "address": address.to_string(),
                "fabrication_number": fabrication_number.map(|number| format!("{number:08X}")),
                "id": identity.map(|identity| format!("{:08X}", identity.id())),
                "manufacturer": identity.map(|identity| identity.manufacturer().to_string()),
                "version": identity.map(SecondaryAddress::version),
                "medium": identity.map(|identity| medium::name(identity.medium())),
            })),
        }
    }
    result
}

/// Who answered a scan.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub(crate) struct ScanResult {
    pub(crate) meters: Vec<Value>,
    pub(crate) collisions: Vec<String>,
    /// Why not every address or number was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) warning: Option<String>,
}

#[cfg(test)]
mod tests;
