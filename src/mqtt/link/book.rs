//! What is under way on one connection to the broker: messages, subscriptions and refusals.
//!
//! Not here: the connection itself (`connection`), when it has to end (`link`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Abilities, Client, Event};
use super::subscriptions::Subscriptions;
use super::{Fault, LinkCommand, LinkEvent, Publish, Refusal};

/// A subscription that was refused is asked for again after this time: some brokers refuse for a moment only.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(60);
/// So long messages wait for the answer to a subscription that is asked alone.
const ALONE_WITHIN: Duration = Duration::from_secs(5);

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
    again_at: Option<Instant>,
    /// Filters that are asked alone, from some time on where the broker has hung up at them before.
    one_by_one: Vec<(String, Option<Instant>)>,
    /// The one that is on the way alone, and for how long messages wait for its answer.
    alone: Option<(String, Instant)>,
    /// Messages that wait meanwhile.
    held: VecDeque<Publish>,
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

    pub(super) fn obey(&mut self, order: LinkCommand, number: u64, client: &Client, subscriptions: &Subscriptions) {
        match order {
            LinkCommand::Disconnect | LinkCommand::Reconnect { .. } => self.leave(client),
            LinkCommand::Ping(reply) => _ = reply.send(()),
            LinkCommand::Subscribe { connection, filters } if connection == number => {
                self.subscribe(filters, client, subscriptions);
            }
            LinkCommand::Publish { connection, message } if connection == number => self.held.push_back(message),
            LinkCommand::Subscribe { .. } | LinkCommand::Publish { .. } => {}
        }
    }

    fn subscribe(&mut self, filters: Vec<String>, client: &Client, subscriptions: &Subscriptions) {
        let held = |filter: String| (subscriptions.held_until(&filter), filter);
        let (guilty, others): (Vec<_>, Vec<_>) = filters.into_iter().map(held).partition(|(until, _)| until.is_some());
        let others: Vec<_> = others.into_iter().map(|(_, filter)| filter).collect();
        self.one_by_one.clear();
        if subscriptions.is_careful() {
            self.one_by_one.extend(others.into_iter().map(|filter| (filter, None)));
        } else if !others.is_empty() && client.subscribe(&others) {
            self.filters.push_back(others);
        }
        self.one_by_one.extend(guilty.into_iter().map(|(until, filter)| (filter, until)));
    }

    /// Sends what may go now.
    pub(super) fn advance(&mut self, client: &Client) {
        let now = Instant::now();
        if self.again_at.is_some_and(|at| at <= now) {
            self.subscribe_again(client);
        }
        self.alone.take_if(|(_, until)| *until <= now);
        if self.leaving || self.alone.is_some() {
            return;
        }
        match self.next_alone(now) {
            // until all that was sent has arrived, nothing else is
            Some(place) if self.sent.is_empty() && self.queued.is_empty() => self.ask_alone(place, now, client),
            Some(_) => {}
            None => self.publish_held(client),
        }
    }

    /// When [`Book::advance`] has something to do without anything else happening.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let alone = self.alone.as_ref().map(|(_, until)| *until);
        let due = self.one_by_one.iter().filter_map(|(_, at)| *at).filter(|_| alone.is_none()).min();
        let due = due.filter(|_| self.has_answered && self.sent.is_empty() && self.queued.is_empty());
        self.again_at.into_iter().chain(alone).chain(due).min().filter(|_| !self.leaving)
    }

    /// The filter that is to be asked alone now.
    fn next_alone(&self, now: Instant) -> Option<usize> {
        if !self.has_answered {
            return None;
        }
        self.one_by_one.iter().position(|(_, at)| at.is_none_or(|at| at <= now))
    }

    fn ask_alone(&mut self, place: usize, now: Instant, client: &Client) {
        let (filter, _) = self.one_by_one.remove(place);
        let filters = vec![filter.clone()];
        if client.subscribe(&filters) {
            self.filters.push_back(filters);
            self.alone = Some((filter, now + ALONE_WITHIN));
        }
    }

    fn publish_held(&mut self, client: &Client) {
        while let Some(message) = self.held.pop_front() {
            self.publish(message, client);
        }
    }

    fn publish(&mut self, message: Publish, client: &Client) {
        /// Fixed header, topic length, packet id and an empty property list.
        const OVERHEAD_BYTES: usize = 10;
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

    /// Why the connection ended. At a subscription that was alone on the way, it is that. A broker that answers in
    /// order, and did not answer the subscriptions that it got first, has not come to any message.
    pub(super) fn judged(&self, fault: Fault, subscriptions: &mut Subscriptions) -> Fault {
        if !fault.may_be_about_a_message() {
            return fault;
        }
        if let Some((filter, _)) = &self.alone {
            if subscriptions.hung_up_at(filter) {
                tracing::warn!(filter, "the broker ends the connection at this subscription; it is asked again later");
            }
            return Fault::Subscription;
        }
        if self.filters.is_empty() {
            return fault;
        }
        subscriptions.unanswered();
        match fault {
            Fault::Garbled(_) => fault,
            _ if self.has_answered => fault,
            _ => Fault::Unready,
        }
    }

    /// When the oldest message left that is not acknowledged.
    pub(super) fn oldest_sent(&self) -> Option<Instant> {
        self.sent.values().map(|(_, left)| *left).min()
    }

    fn subscribe_again(&mut self, client: &Client) {
        self.again_at = None;
        let filters = std::mem::take(&mut self.unsubscribed);
        if !filters.is_empty() && client.subscribe(&filters) {
            self.filters.push_back(filters);
        }
    }

    pub(super) fn leave(&mut self, client: &Client) {
        self.publish_held(client);
        self.leaving = true;
        if !client.disconnect() {
            tracing::debug!("the queue to the broker is full, so it gets no DISCONNECT");
        }
    }

    pub(super) fn report(&mut self, event: Event, subscriptions: &mut Subscriptions) -> Option<LinkEvent> {
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
                self.alone.take_if(|(alone, _)| filters.contains(alone));
                filters.iter().for_each(|filter| subscriptions.cleared(filter));
                if self.filters.is_empty() && self.one_by_one.iter().all(|(_, at)| at.is_some()) {
                    subscriptions.answered();
                }
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
        assert_eq!(book.report(Event::Subscribed(vec![true, false]), &mut Subscriptions::default()), None);
        assert_eq!(book.unsubscribed, ["homeassistant/status"]);
        assert!(book.again_at.is_some_and(|at| at >= before + SUBSCRIBE_AGAIN));
    }
}
