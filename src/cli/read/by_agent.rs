//! A bus that the running agent has: it reads the meter between its own readings, and passes the telegrams on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::wire::{Target, WITHOUT_PORT, Wire};
use crate::config::{Config, Meter};
use crate::explain::hex_input;
use crate::mqtt::ask_agent::ask_agent;

/// The telegrams, or why there are none. `why` the bus cannot be used here is said in any case.
///
/// The agent reads it as it is configured: `own` are the options that would have it otherwise.
pub(super) async fn read(
    wire: &Wire,
    target: &Target,
    own: &[&str],
    why: &str,
) -> Result<Result<Vec<Vec<u8>>, String>, Failure> {
    let cannot = |reason: &str| {
        let failure = Failure::new(format!("cannot read {} while {why}: {}", target.name, instead(wire, target)));
        Err(failure.hint(reason))
    };
    let Some(config) = &wire.config else {
        return Err(Failure::new(format!("cannot read {} while {why}", target.name)).hint(WITHOUT_PORT));
    };
    if !own.is_empty() {
        return cannot(&format!("the agent reads it as it is configured: leave out {}", own.join(" and ")));
    }
    if target.meter.as_ref().is_some_and(|meter| is_read_in_two_ways(meter, config)) {
        return cannot("two [[meter]] have its address, so it cannot be asked for by that");
    }
    eprintln!("{why}: the agent is asked to read {}, on {}", target.name, wire.topics().request("read"));
    let request = json!({ "bus": target.bus.name, "address": target.address.to_string(), "telegrams": true });
    let within = wire.query(target, None).longest() + SPARE;
    match ask_agent(&config.mqtt, "read", "read", vec![request], within).await {
        Err(reason) => cannot(&reason),
        Ok(answers) => match answers.into_iter().flatten().next() {
            None => cannot("the agent does not answer: is it running? systemctl status mbushat"),
            Some(answer) => Ok(telegrams(&answer)),
        },
    }
}

/// The agent finishes what it is at, and reads what was asked for before.
const SPARE: Duration = Duration::from_secs(30);

fn is_read_in_two_ways(meter: &Meter, config: &Config) -> bool {
    let same = config.meters.iter().filter(|other| other.bus == meter.bus && other.address == meter.address);
    same.count() > 1
}

fn telegrams(answer: &Value) -> Result<Vec<Vec<u8>>, String> {
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        return Err(format!("{error}, says the agent"));
    }
    let frames = answer.pointer("/data/telegrams").and_then(Value::as_array);
    let frames = frames.ok_or("the agent answers without telegrams: it is of another version")?;
    frames.iter().map(|frame| hex_input::bytes(frame.as_str().unwrap_or_default())).collect()
}

/// How to have the agent read it.
fn instead(wire: &Wire, target: &Target) -> String {
    let topics = wire.topics();
    match &target.meter {
        Some(meter) => {
            format!("let the agent read it now:\n  {}", wire.publish(&topics.read(&meter.name), None))
        }
        None => {
            let payload = format!(r#"{{"bus":"{}","address":"{}"}}"#, target.bus.name, target.address);
            let line = wire.publish(&topics.request("read"), Some(&payload));
            format!("let the agent read it now, the answer comes on {}:\n  {line}", topics.response("read"))
        }
    }
}
