//! The meters of a bus that the agent has: the agent is asked to read them, over MQTT.

use std::time::Duration;

use serde_json::{Value, json};

use super::finding::{Finding, Report};
use super::meter::{CHECK, file_of, named, with_key, with_unnamed};
use super::{Patient, selected};
use crate::bus::session::{Query, character};
use crate::config::{Config, Meter};
use crate::mqtt::ask_agent::ask_agent;

/// What the agent may take beside the turns themselves: it finishes what it is at.
const SPARE: Duration = Duration::from_secs(10);
/// No patience lasts longer.
const MOST: Duration = Duration::from_secs(180);

/// Has the agent read each meter of `buses`, all of which it holds.
pub(super) async fn examine(config: &Config, buses: &[usize], patient: &Patient, report: Report<'_>) {
    let meters: Vec<&Meter> = selected(config, patient).filter(|meter| buses.contains(&meter.bus)).collect();
    if meters.is_empty() {
        return;
    }
    let within = patience(config, &meters, buses);
    let text = format!("the agent reads {} meters: up to {} s", meters.len(), within.as_secs());
    (patient.progress)(&text);
    let requests = meters.iter().map(|meter| json!({ "meter": meter.name })).collect();
    let answers = match ask_agent(&config.mqtt, "doctor", "read", requests, within).await {
        Ok(answers) => answers,
        Err(why) => return report(Finding::failure(CHECK, why)),
    };
    for (meter, answer) in meters.iter().zip(answers) {
        let silent = answer.as_ref().is_some_and(|answer| answer.get("error").is_some_and(Value::is_string));
        let others: Vec<usize> = buses.iter().copied().filter(|bus| silent && *bus != meter.bus).collect();
        let elsewhere = on_other_bus(config, meter, &others, within).await;
        report(elsewhere.unwrap_or_else(|| finding(config, meter, answer.as_ref())));
    }
}

/// Whether the agent reads a meter of this address on another of its buses; what to say then.
async fn on_other_bus(config: &Config, meter: &Meter, others: &[usize], within: Duration) -> Option<Finding> {
    let others: Vec<&str> = others.iter().filter_map(|bus| Some(config.buses.get(*bus)?.name.as_str())).collect();
    if others.is_empty() {
        return None;
    }
    let request = |bus: &&str| json!({ "bus": bus, "address": meter.address.to_string() });
    let requests = others.iter().map(request).collect();
    let answers = ask_agent(&config.mqtt, "doctor", "read", requests, within).await.ok()?;
    let is_read =
        |answer: &Option<Value>| answer.as_ref().is_some_and(|answer| answer.get("status") == Some(&json!("ok")));
    let (bus, _) = others.iter().zip(&answers).find(|(_, answer)| is_read(answer))?;
    let found = format!("{} is on another bus: the agent reads it on {bus}", named(meter));
    let say = format!("Change its [[meter]] in {}:", file_of(config, meter));
    Some(Finding::failure(CHECK, found).fix(say, [format!("bus = \"{bus}\"")]))
}

/// As long as the slowest bus may take where each of its meters is silent.
fn patience(config: &Config, meters: &[&Meter], buses: &[usize]) -> Duration {
    let turn =
        |meter: &&&Meter| config.buses.get(meter.bus).map_or(Duration::ZERO, |bus| Query::new(bus, meter).longest());
    let of_bus = |bus: &usize| meters.iter().filter(|meter| meter.bus == *bus).map(|meter| turn(&meter)).sum();
    (buses.iter().map(of_bus).max().unwrap_or(Duration::ZERO) + SPARE).min(MOST)
}

fn finding(config: &Config, meter: &Meter, response: Option<&Value>) -> Finding {
    let name = named(meter);
    let how = config.buses.get(meter.bus).map(|bus| format!(" at {}", character(bus, Some(meter)))).unwrap_or_default();
    let Some(response) = response else {
        return Finding::failure(CHECK, format!("{name}: the agent did not say in time whether it can be read"))
            .fix("See what it is doing:", ["journalctl -u mbushat -n 50"]);
    };
    match response.get("error").and_then(Value::as_str) {
        None => {
            let unnamed = response.pointer("/data/unnamed").and_then(Value::as_u64).unwrap_or(0);
            let finding = Finding::ok(CHECK, format!("{name} is read by the agent{how}"));
            with_unnamed(finding, meter, usize::try_from(unnamed).unwrap_or(usize::MAX))
        }
        Some(error) if error.contains("key") || error.contains("encrypted") => {
            let found = format!("{name} answers the agent{how}; but its telegram stays closed: {error}");
            with_key(Finding::failure(CHECK, found), config, meter)
        }
        Some(error) => {
            let again = format!("mbushat doctor {}", meter.name);
            Finding::failure(CHECK, format!("{name}: {error}{how}, says the agent")).fix(
                "To try other rates and to see who is there, the bus must be free; afterwards start the agent again:",
                ["sudo systemctl stop mbushat".to_owned(), again, "sudo systemctl start mbushat".to_owned()],
            )
        }
    }
}

/// What a bus that the agent has, and that cannot be asked through it, is reported as.
pub(super) fn not_asked(online: bool) -> Finding {
    let found = if online {
        "asked through the agent, see below"
    } else {
        "not asked: the agent has the port and is not at the broker"
    };
    Finding::skipped(CHECK, found)
}
