//! Whether the wall clock can be trusted, as the system says now and then.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::system;

/// How often the system is asked.
const EVERY: Duration = Duration::from_secs(60);
/// How long the first reading may be put off until it has answered.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// `None` where it does not say, or not soon.
pub(super) async fn at_the_start() -> Option<bool> {
    timeout(ANSWERS_WITHIN, ask()).await.unwrap_or_default()
}

/// Asks again and again.
pub(super) async fn watch(clock: watch::Sender<Option<bool>>) {
    loop {
        sleep(EVERY).await;
        clock.send_replace(ask().await);
    }
}

async fn ask() -> Option<bool> {
    tokio::task::spawn_blocking(system::clock_synced).await.ok().flatten()
}
