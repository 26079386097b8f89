//! `mbushat resend`: the running agent sends again what the broker refused for good.
//!
//! Not here: which readings those are (`spool`), how the agent answers (`mqtt`).

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::runtime::run_until_interrupted;
use super::{Failure, load, print};
use crate::mqtt::ask_agent::ask_agent;

/// The agent only looks into its own files.
const WITHIN: Duration = Duration::from_secs(10);

/// Command line of `mbushat resend`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  mbushat resend\n\nReadings that a broker refused for good are kept in the store (set_aside in\nbridge/info). Correct what made it refuse them, such as a right or a size\nlimit, then send them again."
)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, config: &Path) -> Result<(), Failure> {
    let mqtt = load(config)?.mqtt;
    let Some(answered) = run_until_interrupted(ask_agent(&mqtt, "resend", "resend", vec![json!({})], WITHIN))? else {
        return Ok(());
    };
    let Some(response) = answered.map_err(Failure::new)?.into_iter().flatten().next() else {
        return Err(Failure::new("the agent does not answer").hint("is it running? systemctl status mbushat"));
    };
    if let Some(error) = response.get("error").and_then(Value::as_str) {
        return Err(Failure::new(error));
    }
    match response.pointer("/data/readings").and_then(Value::as_u64).unwrap_or(0) {
        0 => print("no reading was set aside\n"),
        1 => print("1 reading is sent again\n"),
        count => print(format!("{count} readings are sent again\n")),
    }
}
