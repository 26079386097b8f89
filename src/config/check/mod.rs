//! The file as meant: every key gets its value or its default, every rule of the configuration is
//! checked, and every problem is noted with its place.
//!
//! Pure: what the check must know of the machine is passed in ([`Surroundings`]). A wrong value is
//! noted and its default taken instead, so that one mistake does not hide the next; with a problem
//! noted nothing that is made here is used.

pub(super) mod adopted;
mod broker;
mod bus;
mod class;
mod http;
mod meter;
mod record;
mod together;

pub use bus::bus_at;
pub(crate) use meter::OR_NOT_ALIGNED;

use std::io;
use std::path::{Path, PathBuf};

use super::file::Table;
use super::problem::{Place, Problem, nearest};
use super::reader::{Kind, Reader};
use super::spelling;
use super::{Config, Durability, HomeAssistant, Log, LogFormat, Store};
use crate::measure::profile::Profile;

/// What the check must know of the machine.
pub(super) struct Surroundings<'a> {
    /// Where relative paths start: the folder of the file.
    pub(super) folder: &'a Path,
    /// The systemd credential `mqtt-password`, where there is one.
    pub(super) password_credential: Option<PathBuf>,
    /// A variable of the environment.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether the machine knows a time zone of this name.
    pub(super) is_timezone: &'a dyn Fn(&str) -> bool,
    /// The text of a file, for `key_file`.
    pub(super) read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Why what stands at a path can never be read as a file.
    pub(super) unfit: &'a dyn Fn(&Path) -> Option<io::Error>,
    /// Profiles that need no configuration.
    pub(super) built_in: Vec<Profile>,
}

impl Surroundings<'_> {
    /// A path of the file, seen from its folder.
    fn path(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty() && !text.contains('\0')).then(|| self.folder.join(text))
    }

    /// The path of a file that is read when it is wanted: it may come later, but a pipe is not waited for.
    fn file(&self, keys: &mut Reader<'_, '_>, key: &str, expected: &str) -> Option<PathBuf> {
        let path = keys.parsed(key, expected, |text| self.path(text))?;
        if let Some(error) = (self.unfit)(&path) {
            keys.unreadable(key, &path, &error);
        }
        Some(path)
    }
}

/// The tables and their keys.
pub(super) const KINDS: &[&Kind] = &[
    &FILE,
    &AGENT,
    &broker::MQTT,
    &HOMEASSISTANT,
    &STORE,
    &LOG,
    &http::HTTP,
    &bus::BUS,
    &meter::METER,
    &record::RECORD,
    &record::BYTES,
    &record::PROFILE,
];

const FILE: Kind = Kind {
    name: "the file",
    keys: &["agent", "mqtt", "homeassistant", "store", "http", "log", "bus", "meter", "profile"],
};
const AGENT: Kind = Kind { name: "[agent]", keys: &["timezone", "meters_file"] };
const HOMEASSISTANT: Kind = Kind {
    name: "[homeassistant]",
    keys: &["enabled", "discovery_prefix", "status_topic", "status_payload", "version"],
};
const STORE: Kind = Kind { name: "[store]", keys: &["directory", "max_size", "durability"] };
const LOG: Kind = Kind { name: "[log]", keys: &["level", "format"] };

/// The whole configuration; only of use where `problems` stays empty.
pub(super) fn check(file: &Table, surroundings: &Surroundings<'_>, problems: &mut Vec<Problem>) -> Config {
    let mut tables = reader(&FILE, file, problems);
    let agent = tables.table("agent");
    let mqtt = tables.table("mqtt");
    let homeassistant = tables.table("homeassistant");
    let store = tables.table("store");
    let http = tables.table("http");
    let log = tables.table("log");
    let buses = tables.tables("bus", "bus");
    let meters = tables.tables("meter", "meter");
    let profiles = tables.tables("profile", "profile");

    let nothing = Table { at: Place { file: 0, line: 1, column: 1 }, entries: Default::default() };
    let mut profiles = record::profiles(&profiles, problems);
    profiles.extend(surroundings.built_in.iter().cloned());
    let assumed_bus = buses.is_empty();
    let buses = bus::buses(&buses, meters.is_empty(), surroundings, problems);
    let mut disabled_meters = Vec::new();
    let found = meter::meters(&meters, &buses, &profiles, surroundings, problems, &mut disabled_meters);
    together::check(&found, &buses, problems);
    let meters = found.into_iter().map(|found| found.meter).collect();
    let store = self::store(store.unwrap_or(&nothing), surroundings, problems);
    let (timezone, meters_file) = self::agent(agent.unwrap_or(&nothing), surroundings, problems);
    Config {
        timezone,
        mqtt: broker::mqtt(mqtt.unwrap_or(&nothing), surroundings, problems),
        homeassistant: self::homeassistant(homeassistant.unwrap_or(&nothing), problems),
        adopted: adopted::nothing(meters_file.unwrap_or_else(|| store.directory.join("meters.toml"))),
        assumed_bus,
        store,
        http: http.map(|table| http::http(table, surroundings, problems)),
        log: self::log(log.unwrap_or(&nothing), problems),
        buses,
        meters,
        disabled_meters,
        profiles,
        key_files: Vec::new(),
        secret_files: Vec::new(),
    }
}

/// The profiles of a file that has nothing else.
pub(super) fn profiles_only(file: &Table, problems: &mut Vec<Problem>) -> Vec<Profile> {
    let tables = reader(&FILE, file, problems).tables("profile", "profile");
    record::profiles(&tables, problems)
}

fn reader<'t, 'p>(kind: &'static Kind, table: &'t Table, problems: &'p mut Vec<Problem>) -> Reader<'t, 'p> {
    Reader::new(kind, KINDS, table, problems)
}

/// Time zone and meters file.
fn agent(
    table: &Table,
    surroundings: &Surroundings<'_>,
    problems: &mut Vec<Problem>,
) -> (Option<String>, Option<PathBuf>) {
    let mut keys = reader(&AGENT, table, problems);
    let expected = "a time zone that this machine knows, such as \"Europe/Zurich\"";
    let timezone = keys.parsed("timezone", expected, |name| (surroundings.is_timezone)(name).then(|| name.to_owned()));
    (timezone, keys.parsed("meters_file", "the path of a file", |text| surroundings.path(text)))
}

fn homeassistant(table: &Table, problems: &mut Vec<Problem>) -> HomeAssistant {
    let mut keys = reader(&HOMEASSISTANT, table, problems);
    let mut topic = |key: &str, default: &str| {
        let topic = keys.parsed(key, TOPIC, |text| spelling::is_topic(text).then(|| text.to_owned()));
        topic.unwrap_or_else(|| default.to_owned())
    };
    let discovery_prefix = topic("discovery_prefix", "homeassistant");
    let status_topic = topic("status_topic", "homeassistant/status");
    HomeAssistant {
        enabled: keys.boolean("enabled").unwrap_or(true),
        discovery_prefix,
        status_topic,
        status_payload: keys.text("status_payload").unwrap_or_else(|| "online".to_owned()),
        version: keys.parsed("version", "a year and a month such as \"2025.12\"", version).unwrap_or((2025, 12)),
    }
}

/// What a topic must look like.
const TOPIC: &str =
    "a topic such as \"mbushat/house7\": no + or #, no control character, no empty level, not starting with $";

/// `YYYY.M`.
fn version(text: &str) -> Option<(u16, u8)> {
    let (year, month) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let (year, month) = (digits(year).then(|| year.parse().ok())??, digits(month).then(|| month.parse().ok())??);
    ((2000..=2999).contains(&year) && (1..=12).contains(&month)).then_some((year, month))
}

fn store(table: &Table, surroundings: &Surroundings<'_>, problems: &mut Vec<Problem>) -> Store {
    let mut keys = reader(&STORE, table, problems);
    let least = 1 << 20;
    let size = keys.parsed("max_size", "a size such as \"256MiB\" or \"1GiB\", at least \"1MiB\"", |text| {
        spelling::bytes(text).filter(|bytes| *bytes >= least)
    });
    let directory = keys.parsed("directory", "the path of a folder", |text| surroundings.path(text));
    Store {
        directory: directory.unwrap_or_else(|| PathBuf::from("/var/lib/mbushat")),
        max_size_bytes: size.unwrap_or(256 << 20),
        durability: keys
            .word("durability", &[("outage", Durability::Outage), ("always", Durability::Always)])
            .unwrap_or(Durability::Outage),
    }
}

fn log(table: &Table, problems: &mut Vec<Problem>) -> Log {
    let mut keys = reader(&LOG, table, problems);
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json), ("journal", LogFormat::Journal)];
    let expected = "\"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\" or \"wire\" (info and each frame), or a list such as \"info,mbushat::bus=debug\"";
    Log {
        level: keys
            .parsed("level", expected, |text| is_log_level(text).then(|| text.to_owned()))
            .unwrap_or_else(|| "info".to_owned()),
        format: keys.word("format", &formats).unwrap_or(LogFormat::Text),
    }
}

/// Whether this is `wire`, a level, or several `target=level` and levels with commas between them.
#[must_use]
pub fn is_log_level(text: &str) -> bool {
    let path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let is_filter = |part: &str| {
        let (target, level) = part.split_once('=').unwrap_or(("all", part));
        !target.is_empty()
            && target.chars().all(path)
            && matches!(level, "error" | "warn" | "info" | "debug" | "trace" | "off")
    };
    text == "wire" || text.split(',').all(is_filter)
}

/// `bus "cellar"`; `otherwise` where the name is a bad one, which is a problem of its own and empty here.
fn called(what: &str, name: &str, otherwise: &str) -> String {
    if name.is_empty() { otherwise.to_owned() } else { format!("{what}\"{name}\"") }
}

/// ` (did you mean `near`?)` for a name that does not exist, or the names there are.
fn instead<'n>(wrong: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    let names = names.filter(|name| !name.is_empty());
    match nearest(wrong, names.clone()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("there is {}", names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests;
