//! The JSON of `bridge/request/<verb>` and `bridge/response/<verb>`.
//!
//! Not here: what a request asks for (`requests`), doing it (`task`).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::payload::json;

/// A message on `bridge/request/<verb>`; every field may be missing.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Name of a configured meter.
    pub(super) meter: Option<String>,
    /// Name of a bus.
    pub(super) bus: Option<String>,
    /// For `power`: switch it on or off.
    pub(super) on: Option<bool>,
    /// For `scan`: search by secondary address, among those that this mask matches.
    pub(super) secondary: Option<String>,
}

/// Reads a request, or says what is wrong with it; and, of one that is a JSON object at all, what
/// the asker wants to see again in the response. An empty payload asks for nothing in particular.
pub(super) fn request(payload: &[u8]) -> (Result<Request, String>, Option<Box<RawValue>>) {
    let want = "want a JSON object such as {\"meter\":\"cold_water\"}";
    let written: Result<Written, _> = match payload.trim_ascii().first() {
        None => return (Ok(Request::default()), None),
        Some(b'{') => serde_json::from_slice(payload),
        Some(_) => return (Err(want.to_owned()), None),
    };
    match written {
        Err(error) => (Err(format!("{want}: {error}")), None),
        Ok(Written { meter, bus, on, secondary, transaction }) => {
            let fields = || {
                Ok(Request {
                    meter: text("meter", meter)?,
                    bus: text("bus", bus)?,
                    on: on.map(|on| on.as_bool().ok_or_else(|| unwanted("on", &on, "true or false"))).transpose()?,
                    secondary: text("secondary", secondary)?,
                })
            };
            (fields(), transaction)
        }
    }
}

/// `data` is a JSON object, empty where there is nothing to tell.
pub(super) fn response(outcome: Result<Value, &str>, transaction: Option<&RawValue>) -> String {
    let empty = || Value::Object(serde_json::Map::new());
    json(&match outcome {
        Ok(data) => Response { status: "ok", data, error: None, transaction },
        Err(error) => Response { status: "error", data: empty(), error: Some(error), transaction },
    })
}

/// A request whose fields may have any type, so that a wrong one does not cost the transaction.
#[derive(Deserialize)]
struct Written {
    meter: Option<Value>,
    bus: Option<Value>,
    on: Option<Value>,
    secondary: Option<Value>,
    transaction: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Response<'a> {
    status: &'static str,
    data: Value,
    error: Option<&'a str>,
    transaction: Option<&'a RawValue>,
}

fn text(field: &str, value: Option<Value>) -> Result<Option<String>, String> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(unwanted(field, &other, "a text in quotes")),
    }
}

fn unwanted(field: &str, value: &Value, want: &str) -> String {
    let value: String = value.to_string().chars().take(60).collect();
    format!("\"{field}\" is {value}, want {want}")
}

#[cfg(test)]
mod tests {
    use super::{request, response};

    #[test]
    fn a_response_gives_back_the_transaction_as_it_came() {
        let (asked, transaction) = request(br#"{"meter":"heat","transaction":{"n":1.10}}"#);
        assert_eq!(asked.expect("a request").meter.as_deref(), Some("heat"));
        assert_eq!(
            response(Err("no such meter"), transaction.as_deref()),
            r#"{"status":"error","data":{},"error":"no such meter","transaction":{"n":1.10}}"#
        );
        let (nothing, transaction) = request(b" ");
        assert!(nothing.is_ok(), "an empty payload");
        assert_eq!(
            response(Ok(serde_json::json!({})), transaction.as_deref()),
            r#"{"status":"ok","data":{},"error":null,"transaction":null}"#
        );
    }

    #[test]
    fn a_request_that_makes_no_sense_is_told_why_with_its_transaction() {
        for (bad, why) in [
            (r#"{"transaction":7,"meter":1}"#, r#""meter" is 1, want a text in quotes"#),
            (r#"{"on":"no","transaction":7}"#, r#""on" is "no", want true or false"#),
            (r#"{"transaction":7,"bus":{},"meter":null}"#, r#""bus" is {}, want a text in quotes"#),
        ] {
            let (asked, transaction) = request(bad.as_bytes());
            assert_eq!(asked.expect_err(bad), why);
            assert_eq!(transaction.expect(bad).get(), "7");
        }
        for bad in [&b"[]"[..], b"{", b"\xFF", b"{\"meter\":\"\xFF\"}"] {
            assert!(request(bad).0.is_err_and(|why| why.contains("want a JSON object")), "{bad:?}");
        }
    }
}
