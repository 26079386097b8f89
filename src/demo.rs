//! `mbushat demo`: the same agent on a simulated bus, and a broker in this process.
//!
//! Only MQTT 3.1.1 is offered: rumqttd 0.20 panics when a 3.1.1 subscriber is sent a message that
//! was published with MQTT 5 properties. The agent finds that out by itself, as with any old broker.
//!
//! Not here: printing (`cli::demo`), the meters (`sim`, `config/simulated-bus.toml`).

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rumqttd::local::LinkRx;
use rumqttd::{Broker, ConnectionSettings, Notification, RouterConfig, ServerSettings};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::agent::{self, AgentError};
use crate::config::{self, Config, LoadError};

/// The port every MQTT program looks at first.
const PORT: u16 = 1883;
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
    /// No port, folder or thread.
    #[error("cannot set up the demonstration")]
    System(#[from] std::io::Error),
    /// A defect of this program.
    #[error("the configuration of the demonstration is bad; please report this")]
    Config(#[from] LoadError),
    /// The broker refuses our own subscription: a defect too.
    #[error("the embedded broker does not start")]
    Broker,
    /// The agent ended.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// A broker that runs, and everything the agent needs.
#[derive(Debug)]
pub struct Demo {
    port: u16,
    config: Config,
    readings: mpsc::Receiver<String>,
    /// Removed at the end.
    _folder: Folder,
}

impl Demo {
    /// Starts the broker.
    ///
    /// # Errors
    /// Where the system gives no port, folder or thread.
    pub fn start() -> Result<Self, DemoError> {
        let folder = Folder::new()?;
        std::fs::write(folder.0.join("bus.toml"), include_str!("../config/simulated-bus.toml"))?;
        let port = free_port()?;
        let file = folder.0.join("mbushat.toml");
        std::fs::write(&file, configuration(port, &folder.0))?;
        let config = config::load(&file)?;
        let readings = start_broker(port, &format!("{}/+/reading", config.mqtt.base_topic))?;
        Ok(Self { port, config, readings, _folder: folder })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the agent is configured to.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Runs the agent until Ctrl-C; `show` gets a line for each reading that arrives at a subscriber.
    ///
    /// # Errors
    /// Where the agent fails.
    pub async fn run(self, mut show: impl FnMut(String)) -> Result<(), DemoError> {
        let Self { config, mut readings, _folder, .. } = self;
        let mut agent = std::pin::pin!(agent::run(config, None));
        loop {
            tokio::select! {
                ended = &mut agent => return Ok(ended?),
                Some(line) = readings.recv() => show(line),
            }
        }
    }
}

/// 1883, or any where that is taken.
fn free_port() -> std::io::Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?.port())
}

fn configuration(port: u16, folder: &Path) -> String {
    let store = folder.join("store");
    let mut text = format!(
        "[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n[store]\ndirectory = {store:?}\n[log]\nlevel = \
         \"warn,rumqttd=off,rumqttc=off\"\n[[bus]]\nname = \"demo\"\nport = \"sim:bus.toml\"\n"
    );
    for (name, title, address) in METERS {
        text +=
            &format!("[[meter]]\nname = \"{name}\"\ntitle = \"{title}\"\naddress = {address}\ninterval = \"10s\"\n");
    }
    text
}

/// Starts the broker in threads of its own; what it forwards on `filter`, as lines to print.
fn start_broker(port: u16, filter: &str) -> Result<mpsc::Receiver<String>, DemoError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut broker = Broker::new(settings(address));
    let (mut subscribe, forwarded) = broker.link("mbushat-demo").map_err(|_| DemoError::Broker)?;
    subscribe.subscribe(filter).map_err(|_| DemoError::Broker)?;
    thread::Builder::new().name("broker".to_owned()).spawn(move || {
        if let Err(error) = broker.start() {
            tracing::error!("the embedded broker ended: {error}");
        }
    })?;
    let (sender, lines) = mpsc::channel(64);
    thread::Builder::new().name("readings".to_owned()).spawn(move || {
        // The subscription ends with its sending half, so that is kept here.
        let _subscription = subscribe;
        forward(forwarded, &sender);
    })?;
    wait_for(address)?;
    Ok(lines)
}

fn forward(mut forwarded: LinkRx, lines: &mpsc::Sender<String>) {
    while let Ok(notification) = forwarded.recv() {
        let Some(Notification::Forward(message)) = notification else { continue };
        let Some(line) = line(&message.publish.payload) else { continue };
        if lines.blocking_send(line).is_err() {
            return;
        }
    }
}

fn wait_for(address: SocketAddr) -> std::io::Result<()> {
    let mut tries = 100;
    while let Err(error) = TcpStream::connect(address) {
        tries -= 1;
        if tries == 0 {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn settings(listen: SocketAddr) -> rumqttd::Config {
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: 1 << 20,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server =
        ServerSettings { name: "demo".to_owned(), listen, tls: None, next_connection_delay_ms: 0, connections };
    let router = RouterConfig {
        max_connections: 100,
        max_outgoing_packet_count: 200,
        max_segment_size: 4 << 20,
        max_segment_count: 4,
        ..RouterConfig::default()
    };
    rumqttd::Config { router, v4: Some(HashMap::from([("demo".to_owned(), server)])), ..rumqttd::Config::default() }
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
