//! What a user may ask of a running agent, and the answers. MQTT translates into it and back.
//!
//! A request carries where its answer goes, so no list of who waits is kept anywhere: whoever holds a
//! request answers it, and one that is dropped with the task that held it answers itself.
//!
//! Not here: doing it (`bus`, `agent`), its JSON (`mqtt::request_json`).

mod desk;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::mbus::address::{MeterAddress, SecondaryAddress};
use crate::mbus::master::search::Found;
pub use desk::Desk;

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
    /// Who answered the scan until it could not go on.
    FoundSome {
        /// They.
        found: Vec<Found>,
        /// What kept the others from being asked.
        warning: String,
    },
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
