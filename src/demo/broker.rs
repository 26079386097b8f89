//! The demonstration's MQTT broker: for programs of this machine that speak MQTT 3.1.1 or 5, with
//! retained messages and last wills.
//!
//! It is our own because no library fits: rumqttd 0.20 panics at MQTT 5 properties, and one of the
//! hundred crates that it brings needs a newer compiler than Debian 13 has. So do the present mqtt5
//! and rmqtt, which bring more. The packets are our own too: rumqttc's codec takes MQTT 5's short
//! DISCONNECT for an error, after which the will would be published, and its types differ by version.
//!
//! It promises less than a real one, and says so to its clients: subscriptions are granted QoS 0, no
//! session outlives its connection, and there are no shared subscriptions or message expiry.
//!
//! Not here: packets (`request`, `answer`), connections (`session`).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::answer::Answer;
use super::request::{Message, Request, Retained, Subscription};
use super::session::{self, Order};

/// Connections at a time; more have to wait.
const SESSIONS: usize = 100;
/// Orders of all sessions that wait for the broker.
const ORDERS: usize = 64;
/// From a failed accept to the next, lest the processor be kept busy with it.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Owner of everything that is subscribed to and retained.
#[derive(Debug, Default)]
pub(super) struct Broker {
    /// By the number of their session.
    clients: BTreeMap<u64, Client>,
    /// By topic.
    retained: BTreeMap<String, Arc<Message>>,
}

#[derive(Debug)]
struct Client {
    id: String,
    will: Option<Message>,
    subscriptions: Vec<Subscription>,
    answers: mpsc::Sender<Answer>,
}

impl Broker {
    /// Serves whoever connects, until it is dropped.
    pub(super) async fn serve(mut self, listener: TcpListener) -> Infallible {
        let (orders, mut ordered) = mpsc::channel(ORDERS);
        let mut sessions = JoinSet::new();
        let mut count = 0;
        loop {
            tokio::select! {
                accepted = listener.accept(), if sessions.len() < SESSIONS => match accepted {
                    Ok((stream, _)) => {
                        count += 1;
                        sessions.spawn(session::serve(stream, count, orders.clone()));
                    }
                    Err(error) => {
                        tracing::warn!("the broker cannot accept a connection: {error}");
                        sleep(ACCEPT_AGAIN).await;
                    }
                },
                Some(order) = ordered.recv() => self.obey(order),
                Some(_) = sessions.join_next() => {}
            }
        }
    }

    /// Does what one order asks for.
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Join { session, client_id, will, answers } => {
                let old = self.clients.iter().find(|(_, client)| client.id == client_id).map(|(session, _)| *session);
                if let Some(old) = old {
                    self.leave(old);
                }
                self.clients.insert(session, Client { id: client_id, will, subscriptions: Vec::new(), answers });
            }
            Order::Request { session, request } => self.answer(session, request),
            Order::Leave { session } => self.leave(session),
        }
    }

    /// The will is published, unless it was taken back before.
    fn leave(&mut self, session: u64) {
        if let Some(will) = self.clients.remove(&session).and_then(|client| client.will) {
            self.publish(session, will);
        }
    }

    fn answer(&mut self, session: u64, request: Request) {
        match request {
            Request::Publish { message, qos, packet_id } => {
                self.publish(session, message);
                match qos {
                    0 => {}
                    1 => self.send(session, Answer::PubAck(packet_id)),
                    _ => self.send(session, Answer::PubRec(packet_id)),
                }
            }
            Request::Release(packet_id) => self.send(session, Answer::PubComp(packet_id)),
            Request::Subscribe { packet_id, subscriptions } => self.subscribe(session, packet_id, subscriptions),
            Request::Unsubscribe { packet_id, filters } => {
                let Some(client) = self.clients.get_mut(&session) else { return };
                let existed = filters.iter().map(|filter| client.forget(filter)).collect();
                self.send(session, Answer::UnsubAck(packet_id, existed));
            }
            Request::Ping => self.send(session, Answer::Pong),
            Request::Disconnect { publish_will } => {
                if let Some(client) = self.clients.get_mut(&session).filter(|_| !publish_will) {
                    client.will = None;
                }
                self.leave(session);
            }
        }
    }

    /// Retained messages follow their acknowledgement.
    fn subscribe(&mut self, session: u64, packet_id: u16, subscriptions: Vec<Subscription>) {
        let Some(client) = self.clients.get_mut(&session) else { return };
        let (mut granted, mut wanted) = (Vec::new(), Vec::new());
        for subscription in subscriptions {
            granted.push(is_filter(&subscription.filter));
            if !is_filter(&subscription.filter) {
                continue;
            }
            let new = !client.forget(&subscription.filter);
            if subscription.retained == Retained::Always || (new && subscription.retained == Retained::IfNew) {
                wanted.push(subscription.filter.clone());
            }
            client.subscriptions.push(subscription);
        }
        self.send(session, Answer::SubAck(packet_id, granted));
        let messages: Vec<_> = wanted
            .iter()
            .flat_map(|filter| self.retained.values().filter(|m| matches(&m.topic, filter)))
            .cloned()
            .collect();
        for message in messages {
            self.send(session, Answer::Message { message, retain: true });
        }
    }

    /// Retains the message, or with an empty one forgets what was retained, and sends it to whoever
    /// subscribed, once.
    fn publish(&mut self, publisher: u64, message: Message) {
        let message = Arc::new(message);
        if message.retain && message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else if message.retain {
            self.retained.insert(message.topic.clone(), Arc::clone(&message));
        }
        let receivers: Vec<(u64, bool)> = self
            .clients
            .iter()
            .filter_map(|(session, client)| {
                let for_it =
                    |s: &&Subscription| matches(&message.topic, &s.filter) && !(s.no_local && *session == publisher);
                let mut matching = client.subscriptions.iter().filter(for_it).peekable();
                matching.peek()?;
                Some((*session, message.retain && matching.any(|s| s.retain_as_published)))
            })
            .collect();
        for (session, retain) in receivers {
            self.send(session, Answer::Message { message: Arc::clone(&message), retain });
        }
    }

    /// A client that does not take its packets is cut off.
    fn send(&mut self, session: u64, answer: Answer) {
        let Some(client) = self.clients.get(&session) else { return };
        // where the session has ended, its `Leave` is on the way
        if let Err(TrySendError::Full(_)) = client.answers.try_send(answer) {
            tracing::warn!(client = client.id, "it does not take its messages: the broker cuts it off");
            self.leave(session);
        }
    }
}

impl Client {
    /// Whether there was such a subscription.
    fn forget(&mut self, filter: &str) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|subscription| subscription.filter != filter);
        self.subscriptions.len() < before
    }
}

/// Whether it may be subscribed to (MQTT 5 clause 4.7): a wildcard is a level of its own, `#` the
/// last one. Shared subscriptions are not known.
fn is_filter(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let well_formed = |(place, level): (usize, &&str)| match *level {
        "+" => true,
        "#" => place + 1 == levels.len(),
        level => !level.contains(['+', '#', '\0']),
    };
    !filter.is_empty() && levels.first() != Some(&"$share") && levels.iter().enumerate().all(well_formed)
}

/// Whether a topic is one of the filter's. Topics of the broker's own (`$SYS`) are not for wildcards.
fn matches(topic: &str, filter: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        broker: Broker,
        clients: BTreeMap<u64, mpsc::Receiver<Answer>>,
    }

    impl Bench {
        /// With these sessions.
        fn new(sessions: &[u64]) -> Self {
            let mut bench = Self { broker: Broker::default(), clients: BTreeMap::new() };
            sessions.iter().for_each(|session| bench.join(*session, &format!("client {session}"), None));
            bench
        }

        fn join(&mut self, session: u64, client_id: &str, will: Option<Message>) {
            let (answers, received) = mpsc::channel(4);
            self.clients.insert(session, received);
            self.broker.obey(Order::Join { session, client_id: client_id.to_owned(), will, answers });
        }

        fn ask(&mut self, session: u64, request: Request) {
            self.broker.obey(Order::Request { session, request });
        }

        fn subscribe(&mut self, session: u64, subscription: Subscription) {
            self.ask(session, Request::Subscribe { packet_id: 7, subscriptions: vec![subscription] });
        }

        fn publish(&mut self, session: u64, message: Message) {
            self.ask(session, Request::Publish { message, qos: 0, packet_id: 0 });
        }

        /// What a session was sent: of messages their topic, payload and retain flag.
        fn sent(&mut self, session: u64) -> Vec<String> {
            let received = self.clients.get_mut(&session).expect("a session");
            let show = |answer| match answer {
                Answer::Message { message, retain } => {
                    format!("{} {} {retain}", message.topic, String::from_utf8_lossy(&message.payload))
                }
                other => format!("{other:?}"),
            };
            std::iter::from_fn(|| received.try_recv().ok()).map(show).collect()
        }
    }

    fn message(topic: &str, payload: &str, retain: bool) -> Message {
        Message { topic: topic.to_owned(), payload: payload.as_bytes().to_vec(), retain, properties: Vec::new() }
    }

    fn plain(filter: &str) -> Subscription {
        let filter = filter.to_owned();
        Subscription { filter, no_local: false, retain_as_published: false, retained: Retained::Always }
    }

    #[test]
    fn filters_match_as_in_the_examples_of_the_standard() {
        for (filter, topics, others) in [
            (
                "sport/tennis/#",
                &["sport/tennis", "sport/tennis/", "sport/tennis/a/b"][..],
                &["sport", "sport/golf"][..],
            ),
            ("#", &["sport", "/finance", "a/b/c"], &["$SYS/load"]),
            ("sport/+", &["sport/tennis", "sport/"], &["sport", "sport/tennis/a"]),
            ("+/+", &["/finance"], &["finance", "$SYS/load"]),
            ("/+", &["/finance"], &["finance"]),
            ("$SYS/+", &["$SYS/load"], &["$SYS", "SYS/load"]),
            ("ü/+", &["ü/ä"], &["u/a"]),
        ] {
            assert!(is_filter(filter), "{filter}");
            topics.iter().for_each(|topic| assert!(matches(topic, filter), "{filter} {topic}"));
            others.iter().for_each(|topic| assert!(!matches(topic, filter), "{filter} {topic}"));
        }
        for filter in ["", "sport/tennis#", "sport/tennis/#/ranking", "sport+", "+a/b", "a\0", "$share/group/a"] {
            assert!(!is_filter(filter), "{filter:?}");
        }
    }

    #[test]
    fn a_retained_message_waits_for_subscribers_until_an_empty_one_takes_it_back() {
        let mut bench = Bench::new(&[1, 2, 3]);
        bench.publish(1, message("a/b", "old", true));
        bench.publish(1, message("a/b", "new", true));
        bench.publish(1, message("a/c", "not kept", false));
        bench.subscribe(2, plain("a/+"));
        assert_eq!(bench.sent(2), ["SubAck(7, [true])", "a/b new true"]);
        bench.publish(1, message("a/b", "", true));
        assert_eq!(bench.sent(2), ["a/b  false"], "live, so not flagged as retained");
        bench.subscribe(3, plain("a/+"));
        assert_eq!(bench.sent(3), ["SubAck(7, [true])"]);
    }

    #[test]
    fn the_options_of_a_subscription_are_kept() {
        let mut bench = Bench::new(&[1, 2]);
        bench.publish(1, message("a", "1", true));
        bench.subscribe(2, Subscription { retained: Retained::Never, ..plain("a") });
        assert_eq!(bench.sent(2), ["SubAck(7, [true])"]);
        bench.subscribe(2, Subscription { retained: Retained::IfNew, ..plain("a") });
        assert_eq!(bench.sent(2), ["SubAck(7, [true])"], "it stood already");
        bench.subscribe(2, Subscription { retained: Retained::IfNew, ..plain("#") });
        assert_eq!(bench.sent(2), ["SubAck(7, [true])", "a 1 true"]);
        bench.subscribe(2, Subscription { retain_as_published: true, ..plain("b") });
        bench.publish(2, message("b", "2", true));
        assert_eq!(bench.sent(2), ["SubAck(7, [true])", "b 2 true"], "once, though two filters match");
        bench.subscribe(1, Subscription { no_local: true, ..plain("c") });
        bench.publish(1, message("c", "3", false));
        assert_eq!(bench.sent(1), ["SubAck(7, [true])"]);
        assert_eq!(bench.sent(2), ["c 3 false"]);
    }

    #[test]
    fn what_was_unsubscribed_or_refused_is_not_sent() {
        let mut bench = Bench::new(&[1]);
        bench.subscribe(1, plain("a"));
        bench.ask(1, Request::Unsubscribe { packet_id: 8, filters: vec!["a".to_owned(), "b".to_owned()] });
        bench.subscribe(1, plain("a#"));
        bench.publish(1, message("a", "1", false));
        assert_eq!(bench.sent(1), ["SubAck(7, [true])", "UnsubAck(8, [true, false])", "SubAck(7, [false])"]);
    }

    #[test]
    fn a_will_is_published_unless_the_client_says_goodbye() {
        let mut bench = Bench::new(&[1]);
        bench.subscribe(1, plain("#"));
        for (session, client_id) in [(2, "a"), (3, "b"), (4, "c"), (5, "d")] {
            bench.join(session, client_id, Some(message("will", client_id, false)));
        }
        bench.broker.obey(Order::Leave { session: 2 });
        bench.ask(3, Request::Disconnect { publish_will: false });
        bench.ask(4, Request::Disconnect { publish_will: true });
        bench.join(6, "d", None);
        assert_eq!(bench.sent(1), ["SubAck(7, [true])", "will a false", "will c false", "will d false"]);
        assert!(bench.clients.get(&5).is_some_and(mpsc::Receiver::is_closed), "another has its name now");
    }

    #[test]
    fn a_client_that_takes_nothing_is_cut_off_and_the_others_are_served() {
        let mut bench = Bench::new(&[1, 2]);
        bench.subscribe(1, plain("a"));
        bench.subscribe(2, plain("a"));
        for _ in 0..9 {
            bench.publish(1, message("a", "1", false));
            assert_eq!(bench.sent(2).last().map(String::as_str), Some("a 1 false"));
        }
        assert_eq!(bench.sent(1).len(), 4, "as many as have room");
        assert!(bench.clients.get(&1).is_some_and(mpsc::Receiver::is_closed));
    }
}
