//! Requests over MQTT: `<meter>/read` and `bridge/request/<verb>`, and their responses.
//!
//! Not here: doing it (the bus tasks, the agent), the JSON (`payload`).

use serde_json::value::RawValue;

use super::payload::{self, Request};

/// Requests that wait for their readout, at most.
const WAITING: usize = 100;

/// What a request asks of the rest of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Read this meter before anything scheduled.
    Read(String),
    /// Switch the power of this bus.
    Power {
        /// Its name; `None`: the only one.
        bus: Option<String>,
        /// On or off.
        on: bool,
    },
    /// Read the configuration again.
    Reload,
}

/// Requests whose answer depends on a readout.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    reads: Vec<(String, Option<Box<RawValue>>)>,
}

/// What `bridge/request/<verb>` with this payload wishes, or why that makes no sense.
pub(super) fn wish(verb: &str, request: &Request) -> Result<Wish, &'static str> {
    match verb {
        "read" => request.meter.clone().map(Wish::Read).ok_or("say which \"meter\""),
        "power" => {
            let on = request.on.ok_or("say \"on\": true or false")?;
            Ok(Wish::Power { bus: request.bus.clone(), on })
        }
        "reload" => Ok(Wish::Reload),
        _ => Err("no such request; there are read, power and reload"),
    }
}

impl Waiting {
    /// Answers this request when the meter has been read; `false` where too many wait.
    pub(super) fn push(&mut self, meter: &str, transaction: Option<Box<RawValue>>) -> bool {
        let room = self.reads.len() < WAITING;
        if room {
            self.reads.push((meter.to_owned(), transaction));
        }
        room
    }

    /// The responses to everyone who waited for this meter.
    pub(super) fn answer(&mut self, meter: &str, outcome: Result<u64, &str>) -> Vec<String> {
        let mut answers = Vec::new();
        self.reads.retain(|(name, transaction)| {
            if name == meter {
                let data = outcome.map(|seq| serde_json::json!({ "meter": meter, "seq": seq }));
                answers.push(payload::response(data, transaction.as_deref()));
            }
            name != meter
        });
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(verb: &str, payload: &str) -> Result<Wish, &'static str> {
        wish(verb, &payload::request(payload.as_bytes()).expect("a request"))
    }

    #[test]
    fn a_request_is_a_wish_or_told_what_is_missing() {
        assert_eq!(asked("read", r#"{"meter":"a"}"#), Ok(Wish::Read("a".to_owned())));
        assert!(asked("read", "").is_err_and(|e| e.contains("meter")));
        assert_eq!(asked("power", r#"{"on":false}"#), Ok(Wish::Power { bus: None, on: false }));
        assert!(asked("power", "{}").is_err_and(|e| e.contains("on")));
        assert_eq!(asked("reload", ""), Ok(Wish::Reload));
        assert!(asked("format_disk", "{}").is_err());
    }

    #[test]
    fn everyone_who_waits_for_a_meter_is_answered_once_with_his_transaction() {
        let mut waiting = Waiting::default();
        for (meter, transaction) in [("a", "1"), ("b", "2"), ("a", "\"x\"")] {
            assert!(waiting.push(meter, RawValue::from_string(transaction.to_owned()).ok()));
        }
        let answers = waiting.answer("a", Ok(7));
        assert_eq!(answers.len(), 2);
        assert!(answers[0].contains(r#""transaction":1"#) && answers[1].contains(r#""transaction":"x""#));
        assert!(waiting.answer("a", Ok(8)).is_empty());
        assert!(waiting.answer("b", Err("no answer")).concat().contains("no answer"));
        assert!((0..WAITING).all(|_| waiting.push("c", None)) && !waiting.push("c", None), "bounded");
    }
}
