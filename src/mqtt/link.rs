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
use connection::{Client, Event, Identity, Wire};
pub use fault::{Cause, Fault};
use pace::{BackOff, Dialect};
use patience::Patience;
use subscriptions::Subscriptions;
pub use will::Will;
use will::Wills;

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
    let mut link = Link {
        back_off: BackOff::new(RandomState::new().hash_one(&who.client_id)),
        dialect: Dialect::new(config.protocol),
        config,
        who,
        connections: 0,
        wills: Wills::default(),
        subscriptions: Subscriptions::default(),
        mute: Vec::new(),
    };
    loop {
        let end = tokio::select! {
            asked = next_command(&mut orders) => asked,
            connected = link.connect() => match connected {
                Err(fault) => End::Fault(fault),
                Ok(connection) => {
                    let since = Instant::now();
                    let end = connection.serve(&mut link.subscriptions, &mut orders, &events).await;
                    link.back_off.lasted(since.elapsed());
                    end
                }
            },
        };
        let next = match end {
            End::Fault(fault) => {
                let wait = link.back_off.next(fault.is_refusal(), link.config.brokers.len());
                let broker = link.turn();
                if events.send(LinkEvent::Down { broker, fault }).await.is_err() {
                    return;
                }
                timeout(wait, next_command(&mut orders)).await.ok()
            }
            asked => Some(asked),
        };
        match next {
            None => {}
            Some(End::Again(config, who)) => link.renew(*config, who),
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

struct Link {
    /// The broker whose turn it is stands first in it.
    config: Mqtt,
    who: Credentials,
    back_off: BackOff,
    dialect: Dialect,
    connections: u64,
    /// What each broker took as a last will.
    wills: Wills,
    /// What was learnt of subscriptions at which a broker hangs up.
    subscriptions: Subscriptions,
    /// Brokers of several that said nothing to MQTT 5 when it was their turn last.
    mute: Vec<Broker>,
}

impl Link {
    /// It is the next broker's turn; which one it was.
    fn turn(&mut self) -> Broker {
        let broker = self.broker();
        let several = self.config.brokers.len() > 1;
        self.config.brokers.rotate_left(several.into());
        broker
    }

    fn broker(&self) -> Broker {
        self.config.brokers.first().cloned().unwrap_or_default()
    }

    /// What was learnt of the old brokers is forgotten, but it starts with the one whose turn it is.
    fn renew(&mut self, mut config: Mqtt, who: Credentials) {
        let known = config.brokers.iter().position(|broker| *broker == self.broker());
        config.brokers.rotate_left(known.unwrap_or(0));
        self.back_off.reset();
        self.dialect = Dialect::new(config.protocol);
        self.wills = Wills::default();
        self.subscriptions = Subscriptions::default();
        self.mute.clear();
        self.config = config;
        self.who = who;
    }

    /// One try, or two where an old broker may not have understood the first. One of several that says nothing at
    /// all keeps the next one waiting no longer: the second try is made when its turn comes again.
    async fn connect(&mut self) -> Result<Connection, Fault> {
        let version = self.dialect.first(std::time::Instant::now());
        let broker = self.broker();
        let falls_back = self.dialect.may_fall_back(version);
        let was_mute = falls_back && self.mute.contains(&broker);
        self.mute.retain(|other| *other != broker);
        let first = if was_mute { Version::V3 } else { version };
        let result = match self.connect_as(first).await {
            Err(Fault::Silent) if falls_back && self.config.brokers.len() > 1 => {
                self.mute.extend(Some(broker).filter(|_| !was_mute));
                Err(Fault::Silent)
            }
            Err(fault) if fault.may_be_an_old_broker() && falls_back && !was_mute => self.connect_as(Version::V3).await,
            other => other,
        };
        match &result {
            Ok(connection) => {
                self.dialect.succeeded(connection.version, std::time::Instant::now());
            }
            Err(fault) if fault.may_be_an_old_broker() => self.dialect.failed(),
            Err(_) => {}
        }
        result
    }

    async fn connect_as(&mut self, version: Version) -> Result<Connection, Fault> {
        let broker = self.broker();
        let (mut will, is_closed) = (self.wills.first(&broker), self.wills.is_closed(&broker));
        let result = loop {
            match self.connect_with(version, will).await {
                Err(fault) => match will.less(&fault).filter(|_| !is_closed) {
                    Some(less) => will = less,
                    None => break Err(fault),
                },
                connected => break connected,
            }
        };
        if self.wills.tried(&broker, will, result.as_ref().err()) && will == Will::Absent {
            let topic = &self.who.will_topic;
            tracing::warn!(
                topic,
                "the broker lets this user in only without a last will; allow publishing to its topic"
            );
        }
        let mut connection = result?;
        self.connections += 1;
        connection.number = self.connections;
        Ok(connection)
    }

    async fn connect_with(&self, version: Version, will: Will) -> Result<Connection, Fault> {
        let will_message = (self.who.will_topic.as_str(), "offline");
        let identity = Identity { client_id: &self.who.client_id, will, will_message };
        let broker = self.broker();
        let (client, mut wire) = connection::open(&self.config, &broker, &identity, version).await?;
        let Event::Connected(mut abilities) = wire.poll().await? else {
            return Err(Fault::Garbled("another packet before CONNACK".to_owned()));
        };
        if let Some(fault) = abilities.fault() {
            return Err(fault);
        }
        // it has said so by refusing the will
        abilities.retains &= will != Will::Unretained;
        Ok(Connection {
            number: 0,
            version,
            retains: abilities.retains,
            broker,
            keep_alive: self.config.keep_alive,
            client,
            wire,
            book: Book::of(abilities),
        })
    }
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
