//! The JSON of `bridge/scan`: what came of the last scan, also for a Home Assistant that starts later.
//!
//! Not here: the response to who asked (`request_json`), how far a scan is (`status`).

use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use super::payload;
use super::request_json::{ScanResult, scan_result};
use crate::mbus::master::search::Found;

/// Bytes of meters, at most: Home Assistant warns of attributes of more than 16,384.
const METERS_BYTES: usize = 13_000;
/// Collisions, at most.
const COLLISIONS: usize = 100;

#[derive(Serialize)]
struct LastScan<'a> {
    bus: Option<&'a str>,
    at: String,
    error: Option<&'a str>,
    #[serde(flatten)]
    result: ScanResult,
    /// What was found besides, for which there is no room.
    more: usize,
}

/// `{"bus":"hat","at":"…","error":null,"meters":[{"address":"48",…}],"collisions":[],"more":0}`
pub(super) fn json(bus: Option<&str>, at: SystemTime, outcome: Result<&[Found], &str>) -> String {
    let mut result = outcome.map(scan_result).unwrap_or_default();
    let found = result.meters.len() + result.collisions.len();
    let mut bytes = 0;
    let mut fits = |meter: &Value| {
        bytes += meter.to_string().len() + 1;
        bytes <= METERS_BYTES
    };
    let room = result.meters.iter().take_while(|meter| fits(meter)).count();
    result.meters.truncate(room);
    result.collisions.truncate(COLLISIONS);
    let more = found - result.meters.len() - result.collisions.len();
    payload::json(&LastScan { bus, at: payload::timestamp(at), error: outcome.err(), result, more })
}

#[cfg(test)]
mod tests {
    use super::json;
    use crate::mbus::address::{MeterAddress, SecondaryAddress};
    use crate::mbus::master::search::Found;
    use serde_json::{Value, json};
    use std::time::SystemTime;

    fn meter(id: u32) -> Found {
        let identity = SecondaryAddress::parse(&format!("{id:08X}KAM1D04")).expect("an address");
        let address = MeterAddress::Secondary(identity);
        Found::Meter { address, identity: Some(identity), fabrication_number: None, frame: None }
    }

    fn said(outcome: Result<&[Found], &str>) -> (usize, Value) {
        let text = json(Some("hat"), SystemTime::UNIX_EPOCH, outcome);
        (text.len(), serde_json::from_str(&text).expect("JSON"))
    }

    #[test]
    fn what_was_found_stays_within_what_home_assistant_takes_and_the_rest_is_counted() {
        let collision = Found::Collision(MeterAddress::Secondary(SecondaryAddress::ANY));
        let found: Vec<Found> = (0..400).map(meter).chain(vec![collision; 300]).collect();
        let (bytes, said) = said(Ok(&found));
        assert!(bytes < 16_000, "{bytes}");
        let listed = |field: &str| said[field].as_array().expect("a list").len();
        assert!(listed("meters") > 90 && listed("collisions") == 100, "{said}");
        assert_eq!(
            listed("meters") + listed("collisions") + usize::try_from(said["more"].as_u64().unwrap()).unwrap(),
            700
        );
    }

    #[test]
    fn a_scan_that_was_not_done_says_why() {
        let (_, few) = said(Ok(&[meter(1)]));
        assert_eq!((&few["error"], &few["more"], &few["bus"]), (&Value::Null, &json!(0), &json!("hat")));
        assert_eq!(few["meters"][0]["id"], "00000001");
        let (_, none) = said(Err("the bus is down"));
        assert_eq!((&none["error"], &none["meters"]), (&json!("the bus is down"), &json!([])));
    }
}
