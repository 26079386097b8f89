//! `mbushat run`: the agent, until SIGTERM or Ctrl-C.

use std::path::Path;

use super::{Failure, load, log};
use crate::agent;

/// Arguments of `mbushat run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mbushat run --config /etc/mbushat.toml")]
pub(crate) struct Args {}

/// Runs until it is told to stop.
pub(crate) fn run(_: &Args, file: &Path) -> Result<(), Failure> {
    let config = load(file)?;
    log::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(agent::run(config, Some(file.to_owned())));
    // A blocking helper may still wait for the system: the process does not wait for it.
    runtime.shutdown_background();
    Ok(outcome?)
}
