//! The end of the outbox task: what can still be said is said, `offline` last, and the store closed.
//!
//! Not here: when it ends (`task`).

use std::time::Instant;

use tokio::time::timeout;

use super::super::link::Order;
use super::super::outbox::Class;
use super::super::payload::OFFLINE;
use super::{GOODBYE_WITHIN, OutboxTask, ended};

impl OutboxTask {
    pub(super) async fn goodbye(mut self) {
        if self.disk_work.is_some() {
            let outcome = ended(&mut self.disk_work).await;
            self.stored(outcome);
        }
        let topic = self.publisher.topics.bridge_state();
        self.publisher.outbox.set(Class::BridgeState, &topic, OFFLINE.into(), true);
        let told = timeout(GOODBYE_WITHIN, async {
            while self.connection.is_some() && !self.is_done(&topic) {
                self.pump();
                match self.channels.link.recv().await {
                    Some(event) => self.linked(event),
                    None => return,
                }
            }
        });
        if told.await.is_err() {
            tracing::warn!("the broker did not acknowledge the last messages");
        }
        _ = timeout(GOODBYE_WITHIN, self.channels.orders.send(Order::Disconnect)).await;
        self.publisher.spool.close(Instant::now());
    }

    /// Everything that can be said has been said, `offline` last of all.
    fn is_done(&self, bridge_state: &str) -> bool {
        self.publisher.outbox.has_arrived(Class::BridgeState, bridge_state)
    }
}
