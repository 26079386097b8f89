//! `mbushat run`: the agent, until SIGTERM or Ctrl-C.

use std::os::unix::net::UnixStream;
use std::path::Path;

use super::exposed::exposed;
use super::{Failure, log, unloadable};
use crate::adopt::keeping;
use crate::agent::{self, End};

/// EX_TEMPFAIL of sysexits.h: whoever started the agent is to start it again, as it was asked to.
const RESTART: u8 = 75;

/// Arguments of `mbushat run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  mbushat run --config /etc/mbushat.toml\n\nWith an empty table [http] in that file it shows a page at\nhttp://localhost:6287/, a REST interface (/api/v1) and metrics for Prometheus\n(/metrics).\n\nExit code 0: it was told to stop; 1: it failed; 75: it is to be started again;\n78: the configuration is bad."
)]
pub(crate) struct Args {}

/// Runs until it is told to stop.
pub(crate) fn run(_: &Args, file: &Path) -> Result<(), Failure> {
    let config = keeping::load(file, &[]).map_err(unloadable)?;
    let log = log::start(&config.log)?;
    for warning in exposed(&config) {
        tracing::warn!("{warning}");
    }
    // tokio panics where it gets no file descriptors for itself: so many are taken, and given back
    drop([UnixStream::pair()?, UnixStream::pair()?, UnixStream::pair()?]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(agent::run(config, Some(file.to_owned()), &log));
    // A blocking helper may still wait for the system: the process does not wait for it.
    runtime.shutdown_background();
    match outcome? {
        End::Stopped => Ok(()),
        End::Restart => Err(Failure::said(RESTART)),
    }
}
