//! The wire that `scan` and `meter` talk on: which one is meant, and getting hold of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{DEFAULT_CONFIG, Failure, arguments, load};
use crate::bus::Machine;
use crate::bus::device_tree::mbus_master_hat;
use crate::bus::line::{Character, LineError};
use crate::bus::session::{Outage, Session, character};
use crate::config::{Bus, Config, Port, bus_at};
use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::conversation::LineTiming;

/// The name of the agent's process.
const AGENT: &str = "mbushat";

/// Arguments that choose a wire.
#[derive(Debug, clap::Args)]
pub(crate) struct WireArgs {
    /// A serial device or tcp://HOST:PORT, without a configuration
    #[arg(long)]
    port: Option<String>,

    /// The bus, where the configuration has several [default: its first]
    #[arg(long, value_name = "NAME", conflicts_with = "port")]
    bus: Option<String>,

    /// Parity, instead of the configuration's or even
    #[arg(long, value_parser = arguments::parity)]
    pub(super) parity: Option<Parity>,

    /// Root of the device tree, for tests
    #[arg(long, value_name = "DIR", hide = true)]
    device_tree: Option<PathBuf>,
}

/// A chosen wire.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The configuration, where there is one.
    pub(crate) config: Option<Config>,
    /// The bus.
    pub(crate) bus: Bus,
    machine: Machine,
}

impl WireArgs {
    /// The bus that is meant: of --port, or of the configuration in `file`.
    pub(crate) fn choose(&self, file: &Path) -> Result<Wire, Failure> {
        let mut machine = Machine::here();
        if let Some(root) = &self.device_tree {
            machine.device_tree.clone_from(root);
        }
        let (config, mut bus) = match &self.port {
            Some(port) => (None, bus_of(port, &machine)?),
            None if file == Path::new(DEFAULT_CONFIG) && !file.exists() => (None, bus_of("/dev/ttyAMA0", &machine)?),
            None => {
                let config = load(file)?;
                let bus = self.of_config(&config)?.clone();
                (Some(config), bus)
            }
        };
        bus.parity = self.parity.unwrap_or(bus.parity);
        Ok(Wire { config, bus, machine })
    }

    fn of_config<'a>(&self, config: &'a Config) -> Result<&'a Bus, Failure> {
        let meant = |bus: &&Bus| self.bus.as_ref().is_none_or(|name| *name == bus.name);
        config.buses.iter().find(meant).ok_or_else(|| {
            let names: Vec<&str> = config.buses.iter().map(|bus| bus.name.as_str()).collect();
            let name = self.bus.as_deref().unwrap_or_default();
            Failure::usage(format!("there is no bus {name}, want {}", names.join(" or ")))
        })
    }
}

/// A port of the command line. Where the Hat is missing, something else must power the bus.
fn bus_of(port: &str, machine: &Machine) -> Result<Bus, Failure> {
    let want = "want a serial device (/dev/ttyUSB0) or tcp://HOST:PORT";
    let mut bus = bus_at(port).ok_or_else(|| Failure::usage(format!("{port} is no port, {want}")))?;
    if let (Some(_), Err(none)) = (bus.hat, mbus_master_hat(&machine.device_tree)) {
        eprintln!("warning: {none}");
        bus.hat = None;
    }
    Ok(bus)
}

impl Wire {
    /// Opens and powers it. `what` cannot be done where the agent has it; `instead` is what to do then.
    pub(crate) async fn open(&self, what: &str, instead: &str) -> Result<Session, Failure> {
        Session::open(&self.bus, &self.machine, true).await.map_err(|outage| match &outage {
            Outage::Line(LineError::Held { holder, .. }) if holder.as_ref().is_none_or(|by| by.name == AGENT) => {
                Failure::new(format!("cannot {what} while the agent has the bus: {instead}")).because(&outage)
            }
            _ => Failure::new(format!("cannot {what}")).because(&outage),
        })
    }

    /// The characters of the bus, at this rate.
    pub(crate) fn character(&self, baud: Baud) -> Character {
        Character { baud, ..character(&self.bus, None) }
    }

    /// How long to wait for whom at this rate.
    pub(crate) fn timing(&self, baud: Baud, latency: Duration, retries: u8) -> LineTiming {
        let configured = self.bus.response_timeout.filter(|_| baud == self.bus.baud);
        LineTiming { baud, response_timeout: configured.unwrap_or(baud.response_timeout()), latency, retries }
    }

    /// Its port, as people write it.
    pub(crate) fn port(&self) -> String {
        match &self.bus.port {
            Port::Serial(path) => path.display().to_string(),
            Port::Tcp { host, port } => format!("tcp://{host}:{port}"),
            Port::Sim(file) => format!("sim:{}", file.display()),
        }
    }

    /// The base of the agent's topics.
    pub(crate) fn base_topic(&self) -> &str {
        self.config.as_ref().map_or("mbushat", |config| config.mqtt.base_topic.as_str())
    }
}
