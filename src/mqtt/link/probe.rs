//! One visit to the broker that only asks: are we let in, may we subscribe and publish, does anybody
//! listen; and what an agent answers. For `mbushat doctor`; the agent's own connection is not touched.
//!
//! Not here: what an answer means and how to fix it (`doctor`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::timeout;

use super::connection::{self, Client, Event, Identity, Wire};
use super::{Fault, Refusal, Version, Will, stream};
use crate::config::{Broker, Mqtt, Protocol};

/// How long the broker may take for all answers once it has let us in.
const PATIENCE: Duration = Duration::from_secs(4);
/// What the echo carries.
const ECHO: &[u8] = b"doctor";

/// What is asked.
#[derive(Clone, Debug)]
pub struct Questions {
    /// Ours for this visit; another than the agent's, which would lose its connection.
    pub client_id: String,
    /// Subscribed and published to: the message must come back.
    pub echo_topic: String,
    /// An empty message goes here, to learn whether somebody has subscribed.
    pub listener_topic: Option<String>,
    /// Topics whose retained messages are wanted.
    pub retained: Vec<String>,
}

/// What came of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Nothing, in time.
    Unanswered,
    /// The broker took it. Brokers of MQTT 3.1.1 say so too where they throw it away.
    Taken,
    /// The broker took it and says that no one has subscribed (MQTT 5 only).
    Unheard,
    /// The broker refused it (MQTT 5 only).
    Refused(Refusal),
}

/// What the visit found, from the moment we were let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The version that was spoken.
    pub version: Version,
    /// What the broker took as a last will, which the agent needs.
    pub will: Will,
    /// Whether the subscription to the echo was granted; `None`: no answer.
    pub subscribed: Option<bool>,
    /// What came of the echo's publish.
    pub published: Receipt,
    /// Whether the echo came back.
    pub echoed: bool,
    /// What came of the message that asks for a listener.
    pub listener: Receipt,
    /// Retained messages, by topic.
    pub retained: HashMap<String, Vec<u8>>,
    /// The broker closed the connection before all was answered.
    pub cut: Option<Fault>,
}

/// Whether one of the broker's addresses takes a connection.
///
/// # Errors
/// [`Fault`] where none does.
pub async fn reach(broker: &Broker) -> Result<(), Fault> {
    stream::tcp(broker).await.map(drop)
}

/// Visits the broker; as the agent would, in MQTT 5 and where that fails perhaps in 3.1.1.
///
/// # Errors
/// [`Fault`] where it does not let us in.
pub async fn visit(config: &Mqtt, broker: &Broker, questions: &Questions) -> Result<Visit, Fault> {
    // an empty message, which leaves nothing behind
    let will_message = (questions.echo_topic.as_str(), "");
    let client_id = questions.client_id.as_str();
    let mut will = Will::Retained;
    let (version, client, wire) = loop {
        match connect_as(config, broker, &Identity { client_id, will, will_message }).await {
            Err(fault) => will = will.less(&fault).ok_or(fault)?,
            Ok(connected) => break connected,
        }
    };
    let visit = Visit {
        version,
        will,
        subscribed: None,
        published: Receipt::Unanswered,
        echoed: false,
        listener: Receipt::Unanswered,
        retained: HashMap::new(),
        cut: None,
    };
    Ok(Asking { questions, client, wire, visit, sent: Vec::new() }.ask().await)
}

async fn connect_as(config: &Mqtt, broker: &Broker, who: &Identity<'_>) -> Result<(Version, Client, Wire), Fault> {
    let connect = |version| connect(config, broker, who, version);
    match config.protocol {
        Protocol::V5 => connect(Version::V5).await,
        Protocol::V3 => connect(Version::V3).await,
        Protocol::Auto => match connect(Version::V5).await {
            Err(fault) if fault.may_be_an_old_broker() => connect(Version::V3).await,
            other => other,
        },
    }
}

async fn connect(
    config: &Mqtt,
    broker: &Broker,
    who: &Identity<'_>,
    version: Version,
) -> Result<(Version, Client, Wire), Fault> {
    let (client, mut wire) = connection::open(config, broker, who, version).await?;
    match wire.poll().await? {
        Event::Connected(broker) => broker.fault().map_or(Ok((version, client, wire)), Err),
        _ => Err(Fault::Garbled("another packet before CONNACK".to_owned())),
    }
}

/// Requests that are answered on one topic, each with its transaction.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Ours for this visit.
    pub client_id: String,
    /// Published to.
    pub request_topic: String,
    /// Subscribed to.
    pub response_topic: String,
    /// Payloads, all sent at once.
    pub requests: Vec<Vec<u8>>,
    /// How long to wait for the answers in all.
    pub within: Duration,
}

/// Makes requests and collects the responses that come in time; `read` takes the transaction out of
/// one, `None` of a response to somebody else. Where there are several brokers, the agent may be at any.
///
/// # Errors
/// The last broker and its [`Fault`] where none lets us in, or throws us out.
pub async fn ask<K: Ord, V>(
    config: &Mqtt,
    asked: &Asked,
    read: impl Fn(&[u8]) -> Option<(K, V)>,
) -> Result<BTreeMap<K, V>, (Broker, Fault)> {
    let (mut is_asked, mut last) = (false, None);
    for broker in &config.brokers {
        match ask_at(config, broker, asked, &read).await {
            Ok(responses) if !responses.is_empty() => return Ok(responses),
            Ok(_) => is_asked = true,
            Err(fault) => last = Some((broker.clone(), fault)),
        }
    }
    last.filter(|_| !is_asked).map_or_else(|| Ok(BTreeMap::new()), Err)
}

async fn ask_at<K: Ord, V>(
    config: &Mqtt,
    broker: &Broker,
    asked: &Asked,
    read: impl Fn(&[u8]) -> Option<(K, V)>,
) -> Result<BTreeMap<K, V>, Fault> {
    let who = Identity { client_id: &asked.client_id, will: Will::Absent, will_message: ("", "") };
    let (_, client, mut wire) = connect_as(config, broker, &who).await?;
    let (mut responses, mut waiting, mut subscribed) = (BTreeMap::new(), asked.requests.iter().peekable(), false);
    client.subscribe(std::slice::from_ref(&asked.response_topic));
    let collect = async {
        while responses.len() < asked.requests.len() {
            match wire.poll().await? {
                Event::Subscribed(_) => subscribed = true,
                Event::Message { topic, payload, retain: false } if topic == asked.response_topic => {
                    responses.extend(read(&payload));
                }
                // The agent is not here.
                Event::Unheard(_) => break,
                _ => {}
            }
            // As many as the client takes at a time.
            while let Some(payload) = waiting.peek().filter(|_| subscribed) {
                if !client.publish(&asked.request_topic, payload.to_vec(), false) {
                    break;
                }
                waiting.next();
            }
        }
        Ok(())
    };
    // What has not come by then does not come.
    let collected: Result<Result<(), Fault>, _> = timeout(asked.within, collect).await;
    if let Ok(Err(fault)) = collected {
        return Err(fault);
    }
    client.disconnect();
    let goodbye = async { while !matches!(wire.poll().await, Ok(Event::Disconnected) | Err(_)) {} };
    let _ = timeout(PATIENCE, goodbye).await;
    Ok(responses)
}

struct Asking<'a> {
    questions: &'a Questions,
    client: Client,
    wire: Wire,
    visit: Visit,
    /// Packet ids of our publishes, in order: the echo, then the one that asks for a listener.
    sent: Vec<u16>,
}

impl Asking<'_> {
    async fn ask(mut self) -> Visit {
        let mut filters = vec![self.questions.echo_topic.clone()];
        filters.extend(self.questions.retained.iter().cloned());
        self.client.subscribe(&filters);
        if let Ok(Err(fault)) = timeout(PATIENCE, self.converse()).await {
            self.visit.cut = Some(fault);
        } else {
            self.client.disconnect();
            let goodbye = async { while !matches!(self.wire.poll().await, Ok(Event::Disconnected) | Err(_)) {} };
            // With an empty last will it does not matter how we leave.
            let _ = timeout(PATIENCE, goodbye).await;
        }
        self.visit
    }

    async fn converse(&mut self) -> Result<(), Fault> {
        while !self.is_answered() {
            match self.wire.poll().await? {
                Event::Subscribed(granted) => {
                    self.visit.subscribed = granted.first().copied();
                    self.publish();
                }
                Event::Sent(packet_id) => self.sent.push(packet_id),
                Event::Acked(packet_id) => self.receipt(packet_id, Receipt::Taken),
                Event::Unheard(packet_id) => self.receipt(packet_id, Receipt::Unheard),
                Event::Refused(packet_id, refusal) => self.receipt(packet_id, Receipt::Refused(refusal)),
                Event::Message { topic, payload, retain } => {
                    if topic == self.questions.echo_topic {
                        self.visit.echoed |= payload == ECHO;
                    } else if retain {
                        self.visit.retained.insert(topic, payload);
                    }
                }
                Event::Connected(_) | Event::Heard | Event::Disconnected | Event::Other => {}
            }
        }
        Ok(())
    }

    /// After the subscription stands, so that the echo can come back and retained messages came first.
    fn publish(&self) {
        self.client.publish(&self.questions.echo_topic, ECHO.to_vec(), false);
        if let Some(topic) = &self.questions.listener_topic {
            self.client.publish(topic, Vec::new(), false);
        }
    }

    fn receipt(&mut self, packet_id: u16, receipt: Receipt) {
        match self.sent.iter().position(|sent| *sent == packet_id) {
            Some(0) => self.visit.published = receipt,
            Some(_) => self.visit.listener = receipt,
            None => {}
        }
    }

    fn is_answered(&self) -> bool {
        let echo = self.visit.echoed || matches!(self.visit.published, Receipt::Refused(_));
        let listener = self.questions.listener_topic.is_none() || self.visit.listener != Receipt::Unanswered;
        self.visit.subscribed.is_some() && echo && listener && self.visit.published != Receipt::Unanswered
    }
}
