//! The link task: keeps one connection, forever, and carries messages over it; to the next broker of the
//! list where one fails.
//!
//! rumqttc is only the wire. What is published, and published again after a loss, is decided by
//! `outbox`; the link says which message the broker has acknowledged. An order carries the number
//! of the connection it was meant for: one that arrives after that connection broke is dropped,
//! because the outbox starts again at its cursor.
//!
//! Not here: topics and payloads, the queue, any decision what to send next.

mod book;
mod connection;
mod dial;
mod fault;
mod pace;
mod patience;
pub mod probe;
mod reason;
mod stray;
mod stream;
mod subscriptions;
mod tls;
mod will;

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::{Broker, Mqtt};
use book::Book;
use connection::{Client, Event, Wire};
use dial::Dial;
pub use fault::{Cause, Fault};
use pace::BackOff;
use patience::Patience;
use subscriptions::Subscriptions;
pub use will::Will;

/// MQTT version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 5.
    V5,
    /// MQTT 3.1.1.
    V3,
}

/// Why the broker, or its limits, refused one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The user may not publish there.
    #[error("not authorised")]
    NotAuthorized,
    /// A quota is used up.
    #[error("quota exceeded")]
    Quota,
    /// Larger than the broker takes.
    #[error("packet too large")]
    TooLarge,
    /// The topic is not accepted.
    #[error("topic name not accepted")]
    Topic,
    /// Another reason code.
    #[error("refused")]
    Other,
}

/// A message to publish, always QoS 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Comes back with its acknowledgement; unique in a connection.
    pub id: u64,
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

/// What the outbox task asks of the link.
#[derive(Debug)]
pub enum LinkCommand {
    /// Subscribe, on this connection.
    Subscribe {
        /// Connection it is meant for.
        connection: u64,
        /// Topic filters, QoS 1.
        filters: Vec<String>,
    },
    /// Publish, on this connection.
    Publish {
        /// Connection it is meant for.
        connection: u64,
        /// The message.
        message: Publish,
    },
    /// Say goodbye and connect again like this.
    Reconnect {
        /// How.
        config: Box<Mqtt>,
        /// As whom.
        who: Credentials,
    },
    /// Answer, to show that there is progress.
    Ping(oneshot::Sender<()>),
    /// Say goodbye and end; everything ordered before is sent first.
    Disconnect,
}

/// What the link reports to the outbox task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A connection is up. Nothing of an earlier one is on the way any more.
    Up {
        /// Counts connections, from 1.
        connection: u64,
        /// Which version it speaks.
        version: Version,
        /// Whether it keeps what is to be retained.
        retains: bool,
        /// Who it is to.
        broker: Broker,
    },
    /// The broker has this message.
    Acked(u64),
    /// The broker refuses this message.
    Refused(u64, Refusal),
    /// A message for us.
    Message {
        /// Topic.
        topic: String,
        /// Payload.
        payload: Vec<u8>,
        /// It is an old one that the broker had kept.
        retain: bool,
    },
    /// There is no connection, or it could not be made; sent at every failed try.
    Down {
        /// Who it was to.
        broker: Broker,
        /// Why.
        fault: Fault,
    },
}

/// Who we are for the broker.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Client id.
    pub client_id: String,
    /// Topic of the last will; its payload is `offline`, retained.
    pub will_topic: String,
}

/// Runs until [`LinkCommand::Disconnect`], or until the orders' sender is gone.
pub async fn run(
    config: Mqtt,
    who: Credentials,
    mut orders: mpsc::Receiver<LinkCommand>,
    events: mpsc::Sender<LinkEvent>,
) {
    let mut back_off = BackOff::new(RandomState::new().hash_one(&who.client_id));
    let mut subscriptions = Subscriptions::default();
    let mut dial = Dial::new(config, who);
    loop {
        let end = tokio::select! {
            asked = next_command(&mut orders) => asked,
            connected = dial.connect() => match connected {
                Err(fault) => End::Fault(fault),
                Ok(connection) => {
                    let since = Instant::now();
                    let end = connection.serve(&mut subscriptions, &mut orders, &events).await;
                    back_off.lasted(since.elapsed());
                    end
                }
            },
        };
        let next = match end {
            End::Fault(fault) => {
                let wait = back_off.next(fault.is_refusal(), dial.brokers());
                let broker = dial.turn();
                if events.send(LinkEvent::Down { broker, fault }).await.is_err() {
                    return;
                }
                timeout(wait, next_command(&mut orders)).await.ok()
            }
            asked => Some(asked),
        };
        match next {
            None => {}
            // what was learnt of the old brokers is forgotten
            Some(End::Again(config, who)) => {
                back_off.reset();
                subscriptions = Subscriptions::default();
                dial.renew(*config, who);
            }
            Some(_) => return,
        }
    }
}

/// Drops commands that were meant for a connection that is gone, until one is for the link itself.
async fn next_command(orders: &mut mpsc::Receiver<LinkCommand>) -> End {
    while let Some(order) = orders.recv().await {
        match order {
            LinkCommand::Disconnect => break,
            LinkCommand::Reconnect { config, who } => return End::Again(config, who),
            LinkCommand::Ping(reply) => _ = reply.send(()),
            LinkCommand::Subscribe { .. } | LinkCommand::Publish { .. } => {}
        }
    }
    End::Asked
}

/// One connection that is up.
struct Connection {
    /// Given once it is up.
    number: u64,
    version: Version,
    retains: bool,
    broker: Broker,
    /// The configured one: the broker may have chosen another.
    keep_alive: Duration,
    client: Client,
    wire: Wire,
    book: Book,
}

/// Why a connection, or a wait for one, is over.
enum End {
    /// The link is no longer needed.
    Asked,
    /// Connect like this now.
    Again(Box<Mqtt>, Credentials),
    Fault(Fault),
}

impl Connection {
    /// Carries messages until the connection breaks or the orders end.
    async fn serve(
        self,
        subscriptions: &mut Subscriptions,
        orders: &mut mpsc::Receiver<LinkCommand>,
        events: &mpsc::Sender<LinkEvent>,
    ) -> End {
        let Self { number, version, retains, broker, keep_alive, client, mut wire, mut book } = self;
        if events.send(LinkEvent::Up { connection: number, version, retains, broker }).await.is_err() {
            return End::Asked;
        }
        let patience = Patience::of(wire.keep_alive(), keep_alive);
        let mut heard = Instant::now();
        let mut again = None;
        loop {
            // The poll is kept until it ends: dropping it could lose a packet half written.
            let mut poll = pin!(wire.poll());
            let event = loop {
                book.advance(&client);
                while let Some((id, refusal)) = book.refused.pop_front() {
                    if events.send(LinkEvent::Refused(id, refusal)).await.is_err() {
                        return End::Asked;
                    }
                }
                let give_up = patience.ends(heard, book.oldest_sent());
                let wake_at = book.wake_at();
                tokio::select! {
                    event = &mut poll => break event,
                    order = orders.recv(), if !book.leaving => match order {
                        None => return End::Asked,
                        Some(LinkCommand::Reconnect { config, who }) => {
                            again = Some((config, who));
                            book.leave(&client);
                        }
                        Some(order) => book.obey(order, number, &client, subscriptions),
                    },
                    () = sleep_until(give_up.unwrap_or(heard)), if give_up.is_some() => {
                        let is_silent = patience.is_over(heard);
                        let fault = if is_silent { Fault::Silent } else { Fault::Unacknowledged };
                        return End::Fault(book.judged(fault, subscriptions));
                    }
                    () = sleep_until(wake_at.unwrap_or(heard)), if wake_at.is_some() => {}
                }
            };
            let event = match event {
                Ok(event) => event,
                Err(fault) => return End::Fault(book.judged(fault, subscriptions)),
            };
            match &event {
                // rumqttc's own: what else it answers with a DISCONNECT, it reports as an error
                Event::Disconnected if !book.leaving => return End::Fault(Fault::Alias),
                Event::Disconnected => return again.map_or(End::Asked, |(config, who)| End::Again(config, who)),
                Event::Sent(_) | Event::Other => {}
                _ => heard = Instant::now(),
            }
            if let Some(report) = book.report(event, subscriptions) {
                if events.send(report).await.is_err() {
                    return End::Asked;
                }
            }
        }
    }
}
