//! A bus that the running agent has: it scans between its readings, and says whom it found.

use std::time::Duration;

use serde_json::{Value, json};

use super::Args;
use super::found::FoundAt;
use crate::cli::Failure;
use crate::cli::wire::{WITHOUT_PORT, Wire};
use crate::mbus::address::{MeterAddress, SecondaryAddress};
use crate::mbus::master::search::Found;
use crate::mbus::medium;
use crate::mqtt::ask_agent::ask_agent;
use crate::mqtt::request_json;

/// A search of a hard segment takes half an hour, and waits for the readings.
const WITHIN: Duration = Duration::from_secs(7200);

/// First and last primary address, unless the command line says otherwise.
const ALL: (u8, u8) = (0, 250);

/// Whom the agent found. `why` the bus cannot be used here is said in any case.
pub(super) async fn scan(args: &Args, wire: &Wire, why: &str) -> Result<Vec<FoundAt>, Failure> {
    let cannot =
        |reason: &str| Failure::new(format!("cannot scan while {why}: {}", instead(wire, args.secondary))).hint(reason);
    let Some(config) = &wire.config else {
        return Err(Failure::new(format!("cannot scan while {why}")).hint(WITHOUT_PORT));
    };
    let otherwise = args.baud.is_some() || args.retries > 0 || args.wire.own().next().is_some();
    if otherwise || (args.from.get(), args.to.get()) != ALL {
        return Err(cannot("the agent scans every address as the bus is configured: leave out what says otherwise"));
    }
    eprintln!("{why}: the agent is asked to scan between its readings, on {}", wire.topics().request("scan"));
    let answers = ask_agent(&config.mqtt, "scan", "scan", vec![request(wire, args.secondary)], WITHIN).await;
    let answer = answers.map_err(|reason| cannot(&reason))?.into_iter().flatten().next();
    let answer = answer.ok_or_else(|| cannot("the agent does not answer: is it running? systemctl status mbushat"))?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        return Err(Failure::new(format!("the agent did not scan: {error}")));
    }
    if let Some(warning) = answer.pointer("/data/warning").and_then(Value::as_str) {
        eprintln!("warning: not everything was asked: {warning}");
    }
    let found = found(&answer).ok_or_else(|| Failure::new("the agent's answer is not understood"))?;
    Ok(found.into_iter().map(|what| FoundAt { what, baud: wire.bus.baud }).collect())
}

fn request(wire: &Wire, mask: Option<SecondaryAddress>) -> Value {
    match mask {
        None => json!({ "bus": wire.bus.name }),
        Some(mask) => json!({ "bus": wire.bus.name, "secondary": mask.to_string() }),
    }
}

/// How to have the agent scan.
fn instead(wire: &Wire, mask: Option<SecondaryAddress>) -> String {
    let topics = wire.topics();
    let line = wire.publish(&topics.request("scan"), Some(&request(wire, mask).to_string()));
    format!("let the agent scan, the answer comes on {}:\n  {line}", topics.response("scan"))
}

/// `{"data":{"meters":[{"address":"48","id":"30137315",…}],"collisions":["7"]}}`
fn found(answer: &Value) -> Option<Vec<Found>> {
    let meters = answer.pointer("/data/meters")?.as_array()?.iter().map(meter);
    let collisions = answer.pointer("/data/collisions")?.as_array()?.iter();
    let collisions = collisions.map(|address| Some(Found::Collision(request_json::address(address.as_str()?)?)));
    meters.chain(collisions).collect()
}

fn meter(meter: &Value) -> Option<Found> {
    let text = |field: &str| meter.get(field).and_then(Value::as_str);
    let address = request_json::address(text("address")?)?;
    let identity = match address {
        MeterAddress::Secondary(identity) => Some(identity),
        MeterAddress::Primary(_) => text("id").and_then(|id| {
            // a name stands for one medium, or for several that no one tells apart
            let medium = (0..=u8::MAX).find(|code| Some(medium::name(*code)) == text("medium"))?;
            let version = meter.get("version")?.as_u64()?;
            SecondaryAddress::parse(&format!("{id}{}{version:02X}{medium:02X}", text("manufacturer")?)).ok()
        }),
    };
    let fabrication_number = text("fabrication_number").and_then(|number| u32::from_str_radix(number, 16).ok());
    // what it measures is not in the answer
    Some(Found::Meter { address, identity, fabrication_number, frame: Some(Vec::new()) })
}

#[cfg(test)]
mod tests {
    use super::found;
    use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
    use crate::mbus::master::search::Found;
    use crate::mqtt::request_json;
    use serde_json::json;

    #[test]
    fn what_an_agent_writes_is_read_again() {
        let identity = SecondaryAddress::parse("30137315ATS0104").ok();
        let primary = |address| MeterAddress::Primary(PrimaryAddress::new(address).expect("an address"));
        let secondary = MeterAddress::Secondary(identity.expect("an address"));
        let frame = Some(Vec::new());
        let all = vec![
            Found::Meter { address: primary(48), identity, fabrication_number: Some(0x1234), frame: frame.clone() },
            Found::Meter { address: secondary, identity, fabrication_number: None, frame: frame.clone() },
            Found::Meter { address: primary(5), identity: None, fabrication_number: None, frame },
            Found::Collision(primary(7)),
        ];
        let answer = json!({ "data": request_json::scan_result(&all) });
        assert_eq!(found(&answer), Some(all));
        assert_eq!(found(&json!({ "data": {} })), None);
    }
}
