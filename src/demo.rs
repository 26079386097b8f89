//! `mbushat demo`: the same agent on a simulated bus, and a broker in this process.
//!
//! Not here: printing (`cli::demo`), the meters (`sim`, `config/simulated-bus.toml`).

mod broker;
mod answer;
mod request;
mod session;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;

use jiff::Zoned;
use jiff::civil::DateTime;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::agent::{self, AgentError, End, LogLevel};
use crate::config::{self, Config, LoadError};
use answer::Answer;
use broker::Broker;
use request::{Request, Retained, Subscription};
use session::Order;

/// The port every MQTT program looks at first.
const PORT: u16 = 1883;
/// The page's, unless the configuration says otherwise.
const PAGE_PORT: u16 = 6287;
/// The meters of `config/simulated-bus.toml`.
const METERS: [(&str, &str, u8); 4] = [
    ("heat_meter", "Heat meter", 5),
    ("cold_water", "Cold water", 7),
    ("warm_water", "Warm water", 8),
    ("electricity", "Electricity", 20),
];
/// Columns that a terminal has. Measurements that do not fit are counted.
const WIDTH: usize = 80;
/// Room that is kept for their number.
const MORE: &str = "  and 99 more";

/// Why there is no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No port or folder.
    #[error("cannot set up the demonstration")]
    System(#[from] std::io::Error),
    /// A defect of this program.
    #[error("the configuration of the demonstration is bad; please report this")]
    Config(#[from] LoadError),
    /// The agent ended.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// The broker's port, and everything the agent needs.
#[derive(Debug)]
pub struct Demo {
    listener: TcpListener,
    port: u16,
    file: PathBuf,
    config: Config,
    /// Removed at the end.
    _folder: Folder,
}

impl Demo {
    /// Takes a port and writes the configuration.
    ///
    /// # Errors
    /// Where the system gives no port or folder.
    pub fn new() -> Result<Self, DemoError> {
        Self::with(bus(Zoned::now().datetime()), "warn", meters())
    }

    /// The same with a bus of eight meters and none in the configuration.
    ///
    /// # Errors
    /// Where the system gives no port or folder.
    pub fn empty() -> Result<Self, DemoError> {
        Self::with(unknown_meters(), "warn,mbushat::adopt=info", String::new())
    }

    fn with(bus: String, log: &str, meters: String) -> Result<Self, DemoError> {
        let folder = Folder::new()?;
        std::fs::write(folder.0.join("bus.toml"), bus)?;
        let listener = listen()?;
        let port = listener.local_addr()?.port();
        let file = folder.0.join("mbushat.toml");
        std::fs::write(&file, configuration(port, page_port(port)?, &folder.0, log) + &meters)?;
        let config = config::load(&file)?;
        Ok(Self { listener, port, file, config, _folder: folder })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the page is, if there is one.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        self.config.http.as_ref().map(|http| format!("http://{}/", http.listen))
    }

    /// What the agent is configured to.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Runs broker and agent, which a request starts again, until Ctrl-C; `show` gets a line for each reading that arrives at a subscriber.
    ///
    /// # Errors
    /// Where the agent fails.
    pub async fn run(self, log: &LogLevel, mut show: impl FnMut(String)) -> Result<(), DemoError> {
        let Self { listener, file, config, _folder, .. } = self;
        let mut broker = Broker::default();
        let mut readings = subscribe(&mut broker, format!("{}/+/reading", config.mqtt.base_topic));
        let mut serving = pin!(broker.serve(tokio::net::TcpListener::from_std(listener)?));
        let mut agent = pin!(agent::run(config.clone(), Some(file.clone()), log));
        loop {
            tokio::select! {
                ended = &mut agent => match ended? {
                    End::Stopped => return Ok(()),
                    End::Restart => agent.set(agent::run(config.clone(), Some(file.clone()), log)),
                },
                never = &mut serving => match never {},
                Some(answer) = readings.recv() => {
                    if let Answer::Message { message, .. } = answer {
                        line(&message.payload).into_iter().for_each(&mut show);
                    }
                }
            }
        }
    }
}

/// On 1883, or any port where that is taken.
fn listen() -> std::io::Result<TcpListener> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The simulated bus, whose meters' clocks show `now`.
fn bus(now: DateTime) -> String {
    // the first table of the file comes later
    format!("clock = {}\n{}", now.strftime("%Y-%m-%dT%H:%M:%S"), include_str!("../config/simulated-bus.toml"))
}

/// A client in this process: what is published on `filter`.
fn subscribe(broker: &mut Broker, filter: String) -> mpsc::Receiver<Answer> {
    /// The broker counts its sessions from 1.
    const SESSION: u64 = 0;
    let (answers, received) = mpsc::channel(64);
    let subscription = Subscription { filter, no_local: false, retain_as_published: false, retained: Retained::Always };
    broker.obey(Order::Join { session: SESSION, client_id: "mbushat-demo".to_owned(), will: None, answers });
    let request = Request::Subscribe { packet_id: 1, subscriptions: vec![subscription] };
    broker.obey(Order::Request { session: SESSION, request });
    received
}

/// The usual port of the page for the demo that has the usual port of the broker, if it is free; else any.
fn page_port(port: u16) -> std::io::Result<u16> {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|free| free.local_addr());
    let usual = if port == PORT { free(PAGE_PORT) } else { free(0) };
    Ok(usual.or_else(|_| free(0))?.port())
}

fn configuration(port: u16, page_port: u16, folder: &Path, log: &str) -> String {
    let store = folder.join("store");
    let mut text = format!(
        "[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n[store]\ndirectory = {store:?}\n[log]\nlevel = \
         \"{log},rumqttc=off\"\n[[bus]]\nname = \"demo\"\nport = \"sim:bus.toml\"\n"
    );
    if cfg!(feature = "http") {
        text += &format!("[http]\nlisten = \"127.0.0.1:{page_port}\"\n");
    }
    text
}

fn meters() -> String {
    let meter = |(name, title, address)| {
        format!("[[meter]]\nname = \"{name}\"\ntitle = \"{title}\"\naddress = {address}\ninterval = \"10s\"\n")
    };
    METERS.map(meter).concat()
}

/// A simulated bus as a house has it: some meters have no address of their own.
fn unknown_meters() -> String {
    let models = [
        ("heat", 0),
        ("heat", 0),
        ("cold_water", 0),
        ("cold_water", 7),
        ("warm_water", 8),
        ("electricity", 20),
        ("gas", 21),
        ("room_sensor", 22),
    ];
    let meter = |(number, (model, address))| {
        format!("[[meter]]\nmodel = \"{model}\"\naddress = {address}\nid = \"{:08}\"\n", 21_880_341 + number * 7_919)
    };
    (0_u32..).zip(models).map(meter).collect()
}

/// One line of a `reading` message.
fn line(payload: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Reading<'a> {
        meter: &'a str,
        read_at: &'a str,
        #[serde(borrow)]
        measurements: Vec<Measurement<'a>>,
    }
    #[derive(Deserialize)]
    struct Measurement<'a> {
        key: &'a str,
        /// As it stands: a value is never made a float, not even here.
        #[serde(borrow)]
        value: &'a RawValue,
        unit: &'a str,
    }
    let reading: Reading<'_> = serde_json::from_slice(payload).ok()?;
    let time = reading.read_at.get(11..19)?;
    let mut line = format!("{time}Z  {:<12}", reading.meter);
    let mut left = reading.measurements.len();
    for Measurement { key, value, unit } in &reading.measurements {
        let next = format!("  {key} {} {unit}", value.get().trim_matches('"'));
        if line.chars().count() + next.chars().count() + MORE.len() > WIDTH {
            break;
        }
        line += next.trim_end();
        left -= 1;
    }
    match left {
        0 => {}
        more => line += &format!("  and {more} more"),
    }
    Some(line)
}

/// A temporary folder.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("mbushat-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("{} is left behind: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_reading_is_one_line_with_its_digits() {
        let payload = br#"{"meter":"heat","seq":1,"read_at":"2026-11-22T19:15:00.412Z","measurements":[
            {"key":"energy","value":0.050000000000000000001,"unit":"kWh"},{"key":"date","value":"2020-01-15","unit":""}]}"#;
        let line = line(payload).expect("a reading");
        assert_eq!(line, "19:15:00Z  heat          energy 0.050000000000000000001 kWh  and 1 more");
    }
}
