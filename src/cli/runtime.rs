//! The asynchronous part of a command that is not the agent: until it is done or interrupted.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;

/// Runs `work`; `None` where Ctrl-C or SIGTERM came first. What it owns is dropped then, so bus power goes off.
pub(crate) fn run_until_interrupted<T>(work: impl Future<Output = T>) -> Result<Option<T>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start the runtime").because(&error))?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(tokio::select! {
            done = work => Some(done),
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
        })
    })
}
