//! Making a connection: which broker's turn it is, in which version of MQTT, with which last will. What one broker
//! has shown of these is remembered.
//!
//! Not here: how long to wait between two tries (`pace`), what goes over a connection that is up.

use super::book::Book;
use super::connection::{self, Event, Identity};
use super::fault::Fault;
use super::pace::Dialect;
use super::will::{Will, Wills};
use super::{Connection, Credentials, Version};
use crate::config::{Broker, Mqtt};

/// Who is called next, and how.
pub(super) struct Dial {
    /// The broker whose turn it is stands first in it.
    config: Mqtt,
    who: Credentials,
    dialect: Dialect,
    connections: u64,
    /// What each broker took as a last will.
    wills: Wills,
    /// Brokers of several that said nothing to MQTT 5 when it was their turn last.
    mute: Vec<Broker>,
}

impl Dial {
    pub(super) fn new(config: Mqtt, who: Credentials) -> Self {
        let dialect = Dialect::new(config.protocol);
        Self { config, who, dialect, connections: 0, wills: Wills::default(), mute: Vec::new() }
    }

    /// How many brokers there are.
    pub(super) fn brokers(&self) -> usize {
        self.config.brokers.len()
    }

    /// It is the next broker's turn; which one it was.
    pub(super) fn turn(&mut self) -> Broker {
        let broker = self.broker();
        let several = self.config.brokers.len() > 1;
        self.config.brokers.rotate_left(several.into());
        broker
    }

    fn broker(&self) -> Broker {
        self.config.brokers.first().cloned().unwrap_or_default()
    }

    /// What was learnt of the old brokers is forgotten, but it starts with the one whose turn it is.
    pub(super) fn renew(&mut self, mut config: Mqtt, who: Credentials) {
        let known = config.brokers.iter().position(|broker| *broker == self.broker());
        config.brokers.rotate_left(known.unwrap_or(0));
        self.dialect = Dialect::new(config.protocol);
        self.wills = Wills::default();
        self.mute.clear();
        self.config = config;
        self.who = who;
    }

    /// One try, or two where an old broker may not have understood the first. One of several that says nothing at
    /// all keeps the next one waiting no longer: the second try is made when its turn comes again.
    pub(super) async fn connect(&mut self) -> Result<Connection, Fault> {
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
