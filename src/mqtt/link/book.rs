//! What is under way on one connection to the broker: messages, subscriptions and refusals.
//!
//! Not here: the connection itself (`connection`), when it has to end (`link`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Abilities, Client, Event};
use super::{Fault, LinkCommand, LinkEvent, Refusal};

/// A subscription that was refused is asked for again after this time: some brokers refuse for a moment only.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(60);

/// Which message has which packet id: rumqttc reports publishes in the order they were asked for.
#[derive(Default)]
pub(super) struct Book {
    max_packet_bytes: usize,
    /// The broker has answered a subscription or a message.
    has_answered: bool,
    /// Whether the broker keeps what is marked as retained; one that does not ends the connection at the mark.
    retains: bool,
    /// Handed to rumqttc, in order, packet id not yet known.
    queued: VecDeque<u64>,
    /// Packet id to message id, and when it left.
    sent: HashMap<u16, (u64, Instant)>,
    /// Subscriptions without their SUBACK.
    filters: VecDeque<Vec<String>>,
    /// Those that the broker refused, and when they are tried again.
    unsubscribed: Vec<String>,
    pub(super) again_at: Option<Instant>,
    /// Those of which that was logged.
    refused_filters: HashSet<String>,
    /// Not even handed to rumqttc.
    pub(super) refused: VecDeque<(u64, Refusal)>,
    /// DISCONNECT is queued: nothing else is taken, it must still leave.
    pub(super) leaving: bool,
}

impl Book {
    /// Of a new connection to a broker that can do this.
    pub(super) fn of(broker: Abilities) -> Book {
        let max_packet_bytes = usize::try_from(broker.max_packet_bytes).unwrap_or(usize::MAX);
        Book { max_packet_bytes, retains: broker.retains, ..Book::default() }
    }

    pub(super) fn obey(&mut self, order: LinkCommand, number: u64, client: &Client) {
        /// Fixed header, topic length, packet id and an empty property list.
        const OVERHEAD_BYTES: usize = 10;
        match order {
            LinkCommand::Disconnect | LinkCommand::Reconnect { .. } => self.leave(client),
            LinkCommand::Ping(reply) => _ = reply.send(()),
            LinkCommand::Subscribe { connection, filters } if connection == number => {
                if client.subscribe(&filters) {
                    self.filters.push_back(filters);
                }
            }
            LinkCommand::Publish { connection, message } if connection == number => {
                let id = message.id;
                if message.topic.len() > usize::from(u16::MAX) {
                    // rumqttc panics: its length has two bytes
                    self.refused.push_back((id, Refusal::Topic));
                } else if message.topic.len() + message.payload.len() + OVERHEAD_BYTES > self.max_packet_bytes {
                    self.refused.push_back((id, Refusal::TooLarge));
                } else if client.publish(&message.topic, message.payload, message.retain && self.retains) {
                    self.queued.push_back(id);
                } else {
                    self.refused.push_back((id, Refusal::Other));
                }
            }
            LinkCommand::Subscribe { .. } | LinkCommand::Publish { .. } => {}
        }
    }

    /// Why the connection ended. A broker that answers in order, and did not answer the subscription that it got
    /// first, has not come to any message.
    pub(super) fn judged(&self, fault: Fault) -> Fault {
        let is_unready = !self.has_answered && !self.filters.is_empty();
        match fault {
            Fault::Closed | Fault::Unacknowledged if is_unready => Fault::Unready,
            other => other,
        }
    }

    /// When the oldest message left that is not acknowledged.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        self.sent.values().map(|(_, left)| *left).min()
    }

    pub(super) fn subscribe_again(&mut self, client: &Client) {
        self.again_at = None;
        let filters = std::mem::take(&mut self.unsubscribed);
        if !filters.is_empty() && client.subscribe(&filters) {
            self.filters.push_back(filters);
        }
    }

    pub(super) fn leave(&mut self, client: &Client) {
        self.leaving = true;
        if !client.disconnect() {
            tracing::debug!("the queue to the broker is full, so it gets no DISCONNECT");
        }
    }

    pub(super) fn report(&mut self, event: Event) -> Option<LinkEvent> {
        use Event::{Acked, Refused, Subscribed, Unheard};
        self.has_answered |= matches!(event, Subscribed(_) | Acked(_) | Unheard(_) | Refused(..));
        match event {
            Event::Sent(packet_id) => {
                let id = self.queued.pop_front()?;
                self.sent.insert(packet_id, (id, Instant::now()));
                None
            }
            Event::Acked(packet_id) | Event::Unheard(packet_id) => {
                self.sent.remove(&packet_id).map(|(id, _)| LinkEvent::Acked(id))
            }
            Event::Refused(packet_id, refusal) => {
                self.sent.remove(&packet_id).map(|(id, _)| LinkEvent::Refused(id, refusal))
            }
            Event::Message { topic, payload, retain } => Some(LinkEvent::Message { topic, payload, retain }),
            Event::Subscribed(granted) => {
                let filters = self.filters.pop_front().unwrap_or_default();
                let refused = filters.into_iter().zip(granted).filter(|(_, granted)| !granted);
                for (filter, _) in refused {
                    if self.refused_filters.insert(filter.clone()) {
                        tracing::warn!(filter, "the broker does not allow this subscription; it is asked again");
                    }
                    self.unsubscribed.push(filter);
                    self.again_at = Some(Instant::now() + SUBSCRIBE_AGAIN);
                }
                None
            }
            Event::Connected(_) | Event::Heard | Event::Disconnected | Event::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_that_is_refused_is_asked_for_again_alone() {
        let mut book = Book::default();
        book.filters.push_back(vec!["mbushat/+/read".to_owned(), "homeassistant/status".to_owned()]);
        let before = Instant::now();
        assert_eq!(book.report(Event::Subscribed(vec![true, false])), None);
        assert_eq!(book.unsubscribed, ["homeassistant/status"]);
        assert!(book.again_at.is_some_and(|at| at >= before + SUBSCRIBE_AGAIN));
    }
}
