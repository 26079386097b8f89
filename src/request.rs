//! What a user may ask of a running agent, and the answers. MQTT translates into it and back.
//!
//! A request carries where its answer goes, so no list of who waits is kept anywhere: whoever holds a
//! request answers it, and one that is dropped with the task that held it answers itself.
//!
//! Not here: doing it (`bus`, `agent`), its JSON (`mqtt::request_json`).

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::mbus::address::{MeterAddress, SecondaryAddress};
use crate::mbus::master::search::Found;

/// A request, as a user makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Something that a bus does between its readings.
    Bus {
        /// Its name; `None`: the only one, or that of the meter.
        name: Option<String>,
        /// What it does.
        what: BusRequest,
    },
    /// Something that the agent itself does.
    Agent(AgentRequest),
    /// Something with the meters that the agent adopted, or may adopt.
    Adopt(AdoptRequest),
    /// Send the readings again that the broker did not take. The outbox task does it by itself.
    Resend,
}

/// What is done with the meters that nobody wrote down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptRequest {
    /// Adopt a find, or change a meter that is adopted.
    Adopt {
        /// Which one.
        which: Which,
        /// What it is to be like.
        wanted: Wanted,
    },
    /// Read it no more, and adopt it no more.
    Forget {
        /// Its name.
        meter: String,
    },
}

/// Which meter is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// An adopted one, by its name.
    Named(String),
    /// One that a search found, or that was forgotten.
    At {
        /// The bus's name; `None`: the only one.
        bus: Option<String>,
        /// Its address, or the primary one in its telegram.
        address: MeterAddress,
    },
}

/// What an adopted meter is to be like; what is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, and so its topic.
    pub name: Option<String>,
    /// Shown in Home Assistant.
    pub title: Change<String>,
    /// Time between two reads, as a configuration spells it.
    pub interval: Change<String>,
    /// Its AES-128 key.
    pub key: Change<KeyText>,
}

/// What becomes of a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Stays,
    /// It is taken away: the default counts.
    Gone,
    /// It is this from now on.
    Is(T),
}

/// A key as a user spelled it. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// Any text: whether it is a key is found out with the whole file.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// For the file alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyText(…)")
    }
}

/// What the agent itself does on request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentRequest {
    /// Say whether there is progress.
    Ping,
    /// Read the configuration again.
    Reload,
    /// End, to be started again.
    Restart,
    /// Let the log show this level, or list of levels, until the next start.
    LogLevel(String),
}

/// What a bus does on request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusRequest {
    /// Read a configured meter before anything scheduled. The reading is published like any other.
    Read {
        /// Its name.
        meter: String,
    },
    /// Read whatever meter is at this address. The reading is in the answer and nowhere else.
    ReadAt(MeterAddress),
    /// The telegrams of whatever meter is at this address, as they come.
    TelegramsAt(MeterAddress),
    /// Look for meters; one scan at a time.
    Scan(Scan),
    /// End the scan that goes on; who asked for it gets what it has found.
    EndScan,
    /// Switch bus power.
    Power(bool),
}

/// Which meters are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    /// At every primary address.
    Primary,
    /// By secondary address, among those that the mask matches.
    Secondary(SecondaryAddress),
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done: the power is switched, the configuration in use.
    Done,
    /// The reading, as JSON.
    Reading(String),
    /// Whole frames.
    Telegrams(Vec<Vec<u8>>),
    /// Who answered the scan.
    Found(Vec<Found>),
    /// So many readings are sent again.
    Resent(u64),
    /// The meter is adopted, and changed as wanted.
    Adopted {
        /// Its name.
        meter: String,
        /// Whether that is in the file; else it is written as soon as it can be.
        kept: bool,
    },
}

/// An answer, or in words why there is none.
pub type Outcome = Result<Answer, String>;

/// A request on its way to whoever does it.
#[derive(Debug)]
pub struct Asked {
    /// What is to be done.
    pub what: BusRequest,
    /// Takes the answer.
    pub reply: Reply,
}

/// A request on its way to the agent.
#[derive(Debug)]
pub struct AskedOfAgent {
    /// What is to be done.
    pub what: AgentRequest,
    /// Takes the answer.
    pub reply: Reply,
}

/// A request on its way to whoever adopts meters.
#[derive(Debug)]
pub struct AskedToAdopt {
    /// What is to be done.
    pub what: AdoptRequest,
    /// Takes the answer.
    pub reply: Reply,
}

/// Where an answer goes.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Outcome>);

impl Reply {
    /// Answers. That the asker may be gone by now does not matter.
    pub fn answer(self, outcome: Outcome) {
        _ = self.0.send(outcome);
    }

    /// Answers why it is not done.
    pub fn refuse(self, why: impl Into<String>) {
        self.answer(Err(why.into()));
    }
}

/// The asker's end: the outcome, sooner or later.
#[derive(Debug)]
pub struct Response(oneshot::Receiver<Outcome>);

impl Future for Response {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        Pin::new(&mut self.0).poll(cx).map(|answered| answered.unwrap_or_else(|_| Err(GIVEN_UP.to_owned())))
    }
}

/// What a request that was dropped is answered with.
const GIVEN_UP: &str = "given up: the configuration of this bus was changed, or the agent ends";

/// Both ends of an answer.
#[must_use]
pub fn reply() -> (Reply, Response) {
    let (sender, receiver) = oneshot::channel();
    (Reply(sender), Response(receiver))
}

/// Hands each request to whoever does it. Made again with each configuration.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Every bus and its channel, in the order of the configuration.
    buses: Vec<(String, mpsc::Sender<Asked>)>,
    /// The index of each meter's bus.
    meters: BTreeMap<String, usize>,
    agent: mpsc::Sender<AskedOfAgent>,
    adopt: mpsc::Sender<AskedToAdopt>,
}

impl Desk {
    /// `buses` are the channels of the buses in the order of the configuration, `agent` is the agent's, `adopt`
    /// that of whoever adopts meters.
    #[must_use]
    pub fn new(
        config: &Config,
        buses: impl IntoIterator<Item = mpsc::Sender<Asked>>,
        agent: mpsc::Sender<AskedOfAgent>,
        adopt: mpsc::Sender<AskedToAdopt>,
    ) -> Self {
        Self {
            buses: config.buses.iter().map(|bus| bus.name.clone()).zip(buses).collect(),
            meters: config.meters.iter().map(|meter| (meter.name.clone(), meter.bus)).collect(),
            agent,
            adopt,
        }
    }

    /// Passes a request on; one that cannot be is answered at once.
    #[must_use]
    pub fn ask(&self, request: Request) -> Response {
        let (reply, response) = reply();
        match request {
            Request::Resend => reply.refuse("only the owner of the store can send readings again"),
            Request::Bus { name, what } => match self.channel(name.as_deref(), &what) {
                Ok(bus) => send(bus, Asked { what, reply }),
                Err(why) => reply.refuse(why),
            },
            Request::Adopt(what) => {
                let asked = AskedToAdopt { what, reply };
                self.adopt.try_send(asked).unwrap_or_else(|full| full.into_inner().reply.refuse(TOO_MANY));
            }
            Request::Agent(what) => {
                let asked = AskedOfAgent { what, reply };
                self.agent.try_send(asked).unwrap_or_else(|full| full.into_inner().reply.refuse(TOO_MANY));
            }
        }
        response
    }

    /// Reads a configured meter once more, for those who still wait for its reading.
    pub fn read_again(&self, meter: &str, waiting: Vec<Reply>) {
        let what = BusRequest::Read { meter: meter.to_owned() };
        let waiting = if waiting.is_empty() { vec![reply().0] } else { waiting };
        for reply in waiting {
            match self.channel(None, &what) {
                Ok(bus) => send(bus, Asked { what: what.clone(), reply }),
                Err(why) => reply.refuse(why),
            }
        }
    }

    /// The channel of the bus that is meant.
    fn channel(&self, name: Option<&str>, what: &BusRequest) -> Result<&mpsc::Sender<Asked>, String> {
        let index = match (what, name) {
            (BusRequest::Read { meter }, _) => {
                *self.meters.get(meter).ok_or_else(|| format!("no such meter: {meter}"))?
            }
            (_, None) if self.buses.len() == 1 => 0,
            (_, None) if self.buses.is_empty() => return Err(NO_BUS.to_owned()),
            (_, None) => return Err(format!("say which \"bus\": {}", self.names())),
            (_, Some(name)) => {
                let index = self.buses.iter().position(|(bus, _)| bus == name);
                index.ok_or_else(|| format!("no such bus: {name}; there is {}", self.names()))?
            }
        };
        self.buses.get(index).map(|(_, channel)| channel).ok_or_else(|| GIVEN_UP.to_owned())
    }

    fn names(&self) -> String {
        self.buses.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// No `[[bus]]` is written, and the Hat is not there.
const NO_BUS: &str = "there is no bus: no [[bus]] is configured, and no M-Bus Master Hat is found";
const TOO_MANY: &str = "too many requests wait; try again later";

fn send(bus: &mpsc::Sender<Asked>, asked: Asked) {
    match bus.try_send(asked) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(asked)) => asked.reply.refuse(TOO_MANY),
        Err(mpsc::error::TrySendError::Closed(asked)) => asked.reply.refuse(GIVEN_UP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two buses, `a` with the meter `m`; what arrives at each, and at the agent.
    struct Ends {
        desk: Desk,
        a: mpsc::Receiver<Asked>,
        b: mpsc::Receiver<Asked>,
        agent: mpsc::Receiver<AskedOfAgent>,
    }

    fn ends() -> Ends {
        let ((a_in, a), (b_in, b), (agent_in, agent)) = (mpsc::channel(2), mpsc::channel(2), mpsc::channel(1));
        let buses = vec![("a".to_owned(), a_in), ("b".to_owned(), b_in)];
        let (adopt, _) = mpsc::channel(1);
        let desk = Desk { buses, meters: BTreeMap::from([("m".to_owned(), 0)]), agent: agent_in, adopt };
        Ends { desk, a, b, agent }
    }

    fn on(name: Option<&str>, what: BusRequest) -> Request {
        Request::Bus { name: name.map(str::to_owned), what }
    }

    fn read(meter: &str) -> BusRequest {
        BusRequest::Read { meter: meter.to_owned() }
    }

    #[tokio::test]
    async fn a_request_reaches_the_bus_that_is_meant_and_its_answer_the_asker() {
        let mut ends = ends();
        let (response, other) =
            (ends.desk.ask(on(None, read("m"))), ends.desk.ask(on(Some("b"), BusRequest::Power(true))));
        let asked = ends.a.recv().await.expect("a request");
        assert_eq!(asked.what, read("m"));
        asked.reply.answer(Ok(Answer::Reading("{}".to_owned())));
        assert_eq!(response.await, Ok(Answer::Reading("{}".to_owned())));
        ends.b.recv().await.expect("a request").reply.refuse("no Hat");
        assert_eq!(other.await, Err("no Hat".to_owned()));
        let response = ends.desk.ask(Request::Agent(AgentRequest::Restart));
        let asked = ends.agent.recv().await.expect("a request");
        assert_eq!(asked.what, AgentRequest::Restart);
        asked.reply.answer(Ok(Answer::Done));
        assert_eq!(response.await, Ok(Answer::Done));
    }

    #[tokio::test]
    async fn a_request_for_what_is_not_there_is_answered_with_what_is() {
        let Ends { desk, .. } = ends();
        for (request, why) in [
            (on(None, read("x")), "no such meter: x"),
            (on(Some("c"), BusRequest::Power(true)), "no such bus: c; there is a, b"),
            (on(None, BusRequest::Scan(Scan::Primary)), "say which \"bus\": a, b"),
        ] {
            assert_eq!(desk.ask(request).await, Err(why.to_owned()));
        }
    }

    #[tokio::test]
    async fn requests_are_bounded_and_one_that_is_dropped_is_answered() {
        let Ends { desk, mut a, agent, .. } = ends();
        let first = desk.ask(on(None, read("m")));
        let _second = desk.ask(on(None, read("m")));
        assert_eq!(desk.ask(on(None, read("m"))).await, Err(TOO_MANY.to_owned()));
        drop(a.recv().await);
        assert_eq!(first.await, Err(GIVEN_UP.to_owned()));
        drop((a, agent));
        assert_eq!(desk.ask(on(None, read("m"))).await, Err(GIVEN_UP.to_owned()));
    }

    #[tokio::test]
    async fn a_meter_is_read_again_for_all_who_wait_and_where_no_one_does() {
        let Ends { desk, mut a, .. } = ends();
        desk.read_again("m", Vec::new());
        assert_eq!(a.recv().await.expect("a request").what, read("m"));
        let (replies, responses): (Vec<_>, Vec<_>) = (0..3).map(|_| reply()).unzip();
        desk.read_again("m", replies);
        let mut answers = Vec::new();
        while let Ok(asked) = a.try_recv() {
            asked.reply.answer(Ok(Answer::Done));
        }
        for response in responses {
            answers.push(response.await);
        }
        assert_eq!(answers, [Ok(Answer::Done), Ok(Answer::Done), Err(TOO_MANY.to_owned())]);
    }
}
