//! The configuration, twice: `file` is the TOML as written, `check` turns it into [`Config`], as
//! meant, or into every problem at once. Only [`Config`] travels, read-only.
//!
//! Not here: opening ports, resolving names, reading secrets' use; a checked config may still
//! name a broker that does not exist.

mod problem;
mod file;
mod environment;
mod spelling;
mod reader;
mod unknown_key;
mod check;
mod profiles;
mod named;
mod load;
mod turn;
mod mqtt;
mod bus;
mod changes;
mod fingerprint;
pub mod simulation;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

pub use bus::{Bus, Hat, Port};
pub use changes::{Change, Changes, NeedsRestart, changes};
pub(crate) use check::OR_NOT_ALIGNED;
pub use check::{bus_at, is_log_level};
pub use fingerprint::fingerprint;
pub use load::{LoadError, load, load_with};
pub use mqtt::{Broker, Mqtt, PasswordSource, Protocol, Tls};
pub use named::{bytes as bytes_of, password as password_of};
pub use problem::{Place, Problem, Problems};
pub use profiles::built_in as built_in_profiles;
pub use spelling::{duration, free_name, millis};
pub use turn::{Replies, load as bus_load, turn_time};

use crate::mbus::address::MeterAddress;
use crate::mbus::application::quantity::Unit;
use crate::mbus::application::security::Key;
use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::wake_up::WakeUp;
use crate::measure::Reading;
use crate::measure::normalise::MeterRules;
use crate::measure::profile::{Profile, RecordRule};

/// Everything `/etc/mbushat.toml` says, with every default filled in and every name resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[agent] timezone`: an IANA name; `None` is the system's.
    pub timezone: Option<String>,
    /// `[mqtt]`.
    pub mqtt: Mqtt,
    /// `[homeassistant]`.
    pub homeassistant: HomeAssistant,
    /// `[store]`.
    pub store: Store,
    /// `[http]`; `None`: there is no page.
    pub http: Option<Http>,
    /// `[log]`.
    pub log: Log,
    /// `[[bus]]`, at least one; meters refer to them by place.
    pub buses: Vec<Bus>,
    /// `[[meter]]`, enabled ones only.
    pub meters: Vec<Meter>,
    /// `[[meter]]` with `enabled = false`: not read, but Home Assistant keeps their devices.
    pub disabled_meters: Vec<Meter>,
    /// `[[profile]]` of the file, then the built-in ones: the first that matches a meter is used.
    pub profiles: Vec<Profile>,
    /// Every `key_file` that was read.
    pub key_files: Vec<PathBuf>,
    /// The files of the configuration that hold a secret as it is, and what that is.
    pub secret_files: Vec<(PathBuf, &'static str)>,
    /// What the agent adopted itself, as far as it is not among the meters.
    pub adopted: Adopted,
    /// No `[[bus]]` is written, so the only one is that of a Hat, which may not be there.
    pub assumed_bus: bool,
}

/// `[agent] meters_file`: the meters that the agent adopted. Its `[[meter]]`s are in [`Config`] like the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The file, which may not be there.
    pub file: PathBuf,
    /// Names of its meters that are in use, or would be were they enabled.
    pub names: BTreeSet<String>,
    /// What stands in the file for those of these names that it writes otherwise.
    pub written: BTreeMap<String, String>,
    /// Names of its other meters, and why they are not.
    pub left_out: Vec<(String, String)>,
    /// What no search adopts again: the name of a bus, and an address.
    pub ignored: Vec<(String, MeterAddress)>,
    /// What is wrong with the file: then nothing of it is in use.
    pub trouble: Option<String>,
}

impl Adopted {
    /// The name by which the file has the meter of this name.
    #[must_use]
    pub fn in_file<'n>(&'n self, name: &'n str) -> &'n str {
        self.written.get(name).map_or(name, String::as_str)
    }
}

impl Config {
    /// Every meter, and whether it is enabled.
    pub fn all_meters(&self) -> impl Iterator<Item = (&Meter, bool)> {
        let enabled = self.meters.iter().map(|meter| (meter, true));
        enabled.chain(self.disabled_meters.iter().map(|meter| (meter, false)))
    }

    /// Names of the meters that are not enabled.
    #[must_use]
    pub fn disabled_names(&self) -> Vec<&str> {
        self.disabled_meters.iter().map(|meter| meter.name.as_str()).collect()
    }

    /// The zone of slots and of the meters' clocks. The checked configuration has only names that
    /// exist; a zone that vanished since is the system's.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        let named = self.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
        named.unwrap_or_else(TimeZone::system)
    }
}

/// `[homeassistant]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeAssistant {
    /// Whether to announce at all.
    pub enabled: bool,
    /// `homeassistant`.
    pub discovery_prefix: String,
    /// `homeassistant/status`.
    pub status_topic: String,
    /// `online`.
    pub status_payload: String,
    /// Oldest Home Assistant to please, year and month: younger device classes are left out.
    pub version: (u16, u8),
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// `/var/lib/mbushat`.
    pub directory: PathBuf,
    /// Bytes on disk before the oldest unsent readings are dropped.
    pub max_size_bytes: u64,
    /// When a reading is written to disk.
    pub durability: Durability,
}

/// `[store] durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once the broker has not acknowledged for 2 s, and at shutdown.
    Outage,
    /// Before it is published.
    Always,
}

/// How often a meter is read that does not say so. A battery meter pays for each read.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// `[http]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who has to log in; `None`: any name will do.
    pub username: Option<String>,
    /// Where the password comes from; `None`: only this machine may do more than read.
    pub password: Option<PasswordSource>,
    /// Whether everybody may read.
    pub public: bool,
    /// Peers that did the login themselves.
    pub trusted: Vec<IpAddr>,
    /// Peers whose `X-Forwarded-For` counts.
    pub proxies: Vec<IpAddr>,
    /// Further names it may be called by, in lower case.
    pub hosts: Vec<String>,
    /// Before every path, where a proxy leaves it there: `/meters-page`; empty: nothing.
    pub path: String,
    /// Certificate chain and key, PEM; `None`: plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Where other machines find it: without a slash at its end; `None`: it listens for this one only.
    pub url: Option<String>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level or a `tracing` filter.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// `[log] format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// Straight to journald, with its fields.
    Journal,
}

/// One `[[meter]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    /// Slug and topic.
    pub name: String,
    /// Shown in Home Assistant; `None`: made from the name.
    pub title: Option<String>,
    /// Suggested to Home Assistant.
    pub area: Option<String>,
    /// What comes back in every reading.
    pub labels: BTreeMap<String, String>,
    /// Place in [`Config::buses`].
    pub bus: usize,
    /// How it is asked.
    pub address: MeterAddress,
    /// Its own rate.
    pub baud: Option<Baud>,
    /// Its own parity.
    pub parity: Option<Parity>,
    /// Time between two reads.
    pub interval: Duration,
    /// Whether slots count from local midnight.
    pub align: bool,
    /// Shift of each slot, in milliseconds, may be negative.
    pub offset_ms: i64,
    /// A named profile instead of the one that matches.
    pub profile: Option<String>,
    /// AES-128 key.
    pub key: Option<Key>,
    /// SND_NKE before each readout.
    pub reset: bool,
    /// CI fields of extra control frames whose replies are read too.
    pub requests: Vec<u8>,
    /// Sub-code of an application select before each readout.
    pub application_select: Option<u8>,
    /// The first `[[meter]]` with its address, which reads it by another application; `None`: this is the first.
    pub readout_of: Option<String>,
    /// First-byte timeout of this meter.
    pub timeout: Option<Duration>,
    /// Sent before each readout, instead of the bus's.
    pub wake_up: Option<WakeUp>,
    /// Failed readouts in a row before it counts as offline.
    pub offline_after: u8,
    /// Which measurements are published.
    pub expose: Expose,
    /// Whether another meter at its address goes on under its entities in Home Assistant.
    pub keep_entities: bool,
    /// Whether its totals are doubted where they fall or leap.
    pub plausible: bool,
    /// Whether readings carry the telegrams as they came.
    pub raw: bool,
    /// Rules of this meter; they come before the profile's.
    pub records: Vec<RecordRule>,
}

impl Meter {
    /// A reading of it with what its table adds, and with the telegrams where it asks for them.
    #[must_use]
    pub fn dress(&self, reading: Reading, telegrams: &[Vec<u8>]) -> Reading {
        let telegrams = if self.raw { telegrams.to_vec() } else { Vec::new() };
        Reading { telegrams, labels: self.labels.clone(), ..reading }
    }

    /// Whether it is read as `other` is: title, labels, rules and what is published of it do not concern its bus.
    #[must_use]
    pub fn is_read_like(&self, other: &Self) -> bool {
        let with_others = Self {
            bus: other.bus,
            title: other.title.clone(),
            area: other.area.clone(),
            labels: other.labels.clone(),
            profile: other.profile.clone(),
            expose: other.expose.clone(),
            plausible: other.plausible,
            raw: other.raw,
            readout_of: other.readout_of.clone(),
            records: other.records.clone(),
            ..self.clone()
        };
        with_others == *other
    }

    /// What decides how its records are published. `units` are those in which its keys were first published.
    #[must_use]
    pub fn rules<'a>(&'a self, profiles: &'a [Profile], units: &'a BTreeMap<String, Unit>) -> MeterRules<'a> {
        MeterRules {
            name: &self.name,
            rules: &self.records,
            profile: self.profile.as_deref(),
            profiles,
            only: match &self.expose {
                Expose::Sensible => None,
                Expose::Keys(keys) => Some(keys),
            },
            plausible: self.plausible,
            units,
        }
    }
}

/// `expose`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expose {
    /// Every sensible record.
    Sensible,
    /// Only these keys.
    Keys(Vec<String>),
}
