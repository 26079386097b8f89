//! The end of the outbox task: what can still be published is, `offline` last, and the store is closed.
//!
//! Not here: when it ends (`task`).

use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::link::LinkCommand;
use super::super::outbox::Class;
use super::{GOODBYE_WITHIN, OutboxTask, ended};

/// How long the disk may take before the last messages …
const WRITTEN_WITHIN: Duration = Duration::from_millis(400);
/// … and after them.
const STORE_CLOSES_WITHIN: Duration = Duration::from_millis(800);

impl OutboxTask {
    pub(super) async fn goodbye(mut self) {
        let topic = self.publisher.topics.bridge_state();
        if timeout(WRITTEN_WITHIN, self.write_down()).await.is_err() {
            tracing::debug!("the disk is slow: what was read last is sent after the next start");
        }
        self.publisher.go_offline();
        let flushed = timeout(GOODBYE_WITHIN, async {
            // `offline` goes before the readings, which are waited for too, but sent no more
            while self.connection.is_some() && !(self.is_done(&topic) && self.publisher.outbox.is_acknowledged()) {
                if !self.is_done(&topic) {
                    self.pump();
                }
                match self.channels.link.recv().await {
                    Some(event) => self.linked(event),
                    None => return,
                }
            }
        });
        if flushed.await.is_err() {
            tracing::warn!("the broker did not acknowledge the last messages");
        }
        // a link that takes no order ends without a DISCONNECT when this task does
        _ = self.channels.orders.try_send(LinkCommand::Disconnect);
        self.publisher.spool.write_all(Instant::now());
        if timeout(STORE_CLOSES_WITHIN, self.close()).await.is_err() {
            tracing::error!("the store does not close: the disk does not answer");
        }
    }

    /// What was read last goes to the disk, where it must be there before it is sent: what is on its way there now,
    /// and what has come since.
    async fn write_down(&mut self) {
        for _ in 0..2 {
            if self.disk_work.is_none() {
                self.store();
            }
            if self.disk_work.is_none() {
                return;
            }
            let outcome = ended(&mut self.disk_work).await;
            self.stored(outcome);
        }
    }

    /// What waits for the disk is done where it can be left alone.
    async fn close(mut self) {
        if self.disk_work.is_some() {
            let outcome = ended(&mut self.disk_work).await;
            self.stored(outcome);
        }
        let spool = self.publisher.spool;
        _ = spawn_blocking(|| spool.close(Instant::now())).await;
    }

    /// Everything that can be published has arrived, `offline` last of all.
    fn is_done(&self, bridge_state: &str) -> bool {
        self.publisher.outbox.has_arrived(Class::BridgeState, bridge_state)
    }
}
