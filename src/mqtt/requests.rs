//! Requests over MQTT: `<meter>/read` and `bridge/request/<verb>`, and their responses.
//!
//! Not here: doing it (the bus tasks, the agent), the JSON (`request_json`).

use serde_json::value::RawValue;

use super::request_json::{self, Request};
use crate::bus::Scan;
use crate::mbus::address::SecondaryAddress;
use crate::mbus::master::search::Found;
use crate::mbus::medium;

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
    /// Look for meters on this bus.
    Scan {
        /// Its name; `None`: the only one.
        bus: Option<String>,
        /// At which addresses.
        scan: Scan,
    },
    /// Read the configuration again.
    Reload,
}

/// Requests whose answer depends on a readout.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    reads: Vec<(String, Option<Box<RawValue>>)>,
    /// Places of buses that are being scanned.
    scans: Vec<(usize, Option<Box<RawValue>>)>,
}

/// What `bridge/request/<verb>` with this payload wishes, or why that makes no sense.
pub(super) fn wish(verb: &str, request: &Request) -> Result<Wish, &'static str> {
    match verb {
        "read" => request.meter.clone().map(Wish::Read).ok_or("say which \"meter\""),
        "power" => {
            let on = request.on.ok_or("say \"on\": true or false")?;
            Ok(Wish::Power { bus: request.bus.clone(), on })
        }
        "scan" => {
            let mask = request.secondary.as_deref().map(SecondaryAddress::parse).transpose();
            let mask = mask.map_err(|_| "want a mask in \"secondary\", such as \"3013????\"")?;
            Ok(Wish::Scan { bus: request.bus.clone(), scan: mask.map_or(Scan::Primary, Scan::Secondary) })
        }
        "reload" => Ok(Wish::Reload),
        _ => Err("no such request; there are read, scan, power and reload"),
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

    /// Answers this request when the scan of this bus is over; `false` where one is at work already.
    pub(super) fn push_scan(&mut self, bus: usize, transaction: Option<Box<RawValue>>) -> bool {
        let free = !self.scans.iter().any(|(scanned, _)| *scanned == bus);
        if free {
            self.scans.push((bus, transaction));
        }
        free
    }

    /// The response to whoever waited for the scan of this bus.
    pub(super) fn answer_scan(&mut self, bus: usize, outcome: Result<&[Found], &str>) -> Option<String> {
        let place = self.scans.iter().position(|(scanned, _)| *scanned == bus)?;
        let (_, transaction) = self.scans.swap_remove(place);
        Some(request_json::response(outcome.map(scan_result), transaction.as_deref()))
    }

    /// The responses to everyone who waited for this meter.
    pub(super) fn answer(&mut self, meter: &str, outcome: Result<u64, &str>) -> Vec<String> {
        let mut answers = Vec::new();
        self.reads.retain(|(name, transaction)| {
            if name == meter {
                let data = outcome.map(|seq| serde_json::json!({ "meter": meter, "seq": seq }));
                answers.push(request_json::response(data, transaction.as_deref()));
            }
            name != meter
        });
        answers
    }
}

/// `{"meters":[{"address":"48","id":"30137315",…}],"collisions":["7"]}`
fn scan_result(found: &[Found]) -> serde_json::Value {
    let (mut meters, mut collisions) = (Vec::new(), Vec::new());
    for finding in found {
        match finding {
            Found::Collision(address) => collisions.push(address.to_string()),
            Found::Meter { address, identity, fabrication_number, .. } => meters.push(serde_json::json!({
                "address": address.to_string(),
                "fabrication_number": fabrication_number.map(|number| format!("{number:08X}")),
                "id": identity.map(|identity| format!("{:08X}", identity.id())),
                "manufacturer": identity.map(|identity| identity.manufacturer().to_string()),
                "version": identity.map(SecondaryAddress::version),
                "medium": identity.map(|identity| medium::name(identity.medium())),
            })),
        }
    }
    serde_json::json!({ "meters": meters, "collisions": collisions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mbus::address::MeterAddress;

    #[test]
    fn a_scan_of_a_bus_is_asked_once_at_a_time_and_answered_with_what_was_found() {
        assert_eq!(asked("scan", ""), Ok(Wish::Scan { bus: None, scan: Scan::Primary }));
        let mask = SecondaryAddress::parse("3013????").expect("a mask");
        let masked = Wish::Scan { bus: Some("b".to_owned()), scan: Scan::Secondary(mask) };
        assert_eq!(asked("scan", r#"{"bus":"b","secondary":"3013????"}"#), Ok(masked));
        assert!(asked("scan", r#"{"secondary":"all"}"#).is_err());
        let mut waiting = Waiting::default();
        assert!(waiting.push_scan(0, RawValue::from_string("7".to_owned()).ok()));
        assert!(!waiting.push_scan(0, None) && waiting.push_scan(1, None));
        let identity = SecondaryAddress::parse("30137315ATS0104").expect("an identity");
        let address = MeterAddress::Secondary(identity);
        let found = [
            Found::Meter { address, identity: Some(identity), fabrication_number: None, frame: None },
            Found::Collision(address),
        ];
        let answer = waiting.answer_scan(0, Ok(&found)).expect("someone waits");
        assert!(answer.contains(r#""id":"30137315""#) && answer.contains(r#""medium":"heat""#), "{answer}");
        assert!(answer.contains(r#""collisions":["3013731593060104"]"#), "{answer}");
        assert!(answer.contains(r#""transaction":7"#), "{answer}");
        assert_eq!(waiting.answer_scan(0, Ok(&found)), None);
        assert!(waiting.answer_scan(1, Err("the line is gone")).is_some_and(|answer| answer.contains("error")));
    }

    fn asked(verb: &str, payload: &str) -> Result<Wish, &'static str> {
        wish(verb, &request_json::request(payload.as_bytes()).0.expect("a request"))
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
