//! The wire that a command talks on: which one is meant, which meter on it, and getting hold of it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{DEFAULT_CONFIG, Failure, access, arguments, load};
use crate::bus::Machine;
use crate::bus::device_tree::mbus_master_hat;
use crate::bus::hat::PowerError;
use crate::bus::line::{Character, Holder, LineError, PROCESSES, holder_of_gateway};
use crate::bus::session::{Outage, Query, Session, character, in_one_line, response_timeout};
use crate::config::{Broker, Bus, Config, Meter, Mqtt, Port, bus_at};
use crate::mbus::address::{MeterAddress, PrimaryAddress, TEST_BROADCAST};
use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::readout::Turn;
use crate::mqtt::topic::Topics;

/// Where the Hat's UART is without a configuration.
const PI_UART: &str = "/dev/ttyAMA0";

/// What helps where the agent has a bus that --port names.
pub(crate) const WITHOUT_PORT: &str = "leave out --port: the configuration says where the agent can be asked to do it";

/// Arguments that choose a wire.
#[derive(Debug, clap::Args)]
pub(crate) struct WireArgs {
    /// A serial device, tcp://HOST:PORT or rfc2217://HOST:PORT, without a configuration
    #[arg(long)]
    port: Option<String>,

    /// The bus, where the configuration has several [default: its first, or the meter's]
    #[arg(long, value_name = "NAME", conflicts_with = "port")]
    bus: Option<String>,

    /// Parity, instead of the configuration's or even
    #[arg(long, value_parser = arguments::parity)]
    parity: Option<Parity>,

    /// How long to wait for an answer to begin, such as 500ms or 2s, instead of the configuration's
    #[arg(long, value_name = "TIME", value_parser = arguments::timeout)]
    timeout: Option<Duration>,

    /// Show each frame on the wire on stderr, with the time and what it is
    #[arg(long = "wire")]
    pub(crate) trace: bool,

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
    /// Whether the command line names it: then only its meters are meant.
    named: bool,
    parity: Option<Parity>,
    timeout: Option<Duration>,
    machine: Machine,
}

/// Why a bus cannot be used.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The running agent has it, as far as this user can see, and may be asked instead: who has what, in words.
    ByAgent(String),
    /// It is not there, not ours, or in use by another program.
    Otherwise(Failure),
}

/// A meter that the command line names.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// As typed.
    pub(crate) name: String,
    /// How it is asked.
    pub(crate) address: MeterAddress,
    /// Where it is.
    pub(crate) bus: Bus,
    /// What the configuration says of it.
    pub(crate) meter: Option<Meter>,
}

impl WireArgs {
    /// The options that say how to talk, or to show it, if they do.
    pub(crate) fn own(&self) -> impl Iterator<Item = &'static str> {
        let all = [("--parity", self.parity.is_some()), ("--timeout", self.timeout.is_some()), ("--wire", self.trace)];
        all.into_iter().filter(|(_, said)| *said).map(|(name, _)| name)
    }

    /// The bus that is meant: of --port, or of the configuration in `file`.
    pub(crate) fn choose(&self, file: &Path) -> Result<Wire, Failure> {
        let mut machine = Machine::here();
        if let Some(root) = &self.device_tree {
            machine.device_tree.clone_from(root);
        }
        let (config, mut bus) = match &self.port {
            Some(port) => (None, bus_of(port, &machine)?),
            None if file == Path::new(DEFAULT_CONFIG) && !file.exists() => (None, bus_of(PI_UART, &machine)?),
            None => {
                let config = load(file)?;
                let bus = self.of_config(&config)?.clone();
                (Some(config), bus)
            }
        };
        bus.parity = self.parity.unwrap_or(bus.parity);
        let (parity, timeout) = (self.parity, self.timeout);
        Ok(Wire { config, bus, named: self.bus.is_some(), parity, timeout, machine })
    }

    fn of_config<'a>(&self, config: &'a Config) -> Result<&'a Bus, Failure> {
        let meant = |bus: &&Bus| self.bus.as_ref().is_none_or(|name| *name == bus.name);
        config.buses.iter().find(meant).ok_or_else(|| {
            let names: Vec<&str> = config.buses.iter().map(|bus| bus.name.as_str()).collect();
            let name = self.bus.as_deref().unwrap_or_default();
            Failure::usage(format!("there is no bus {name}, expected {}", names.join(" or ")))
        })
    }
}

/// A port of the command line. Where the Hat is missing, something else must power the bus.
fn bus_of(port: &str, machine: &Machine) -> Result<Bus, Failure> {
    let expected = "expected a serial device (/dev/ttyUSB0), tcp://HOST:PORT or rfc2217://HOST:PORT";
    let mut bus = bus_at(port).ok_or_else(|| Failure::usage(format!("not a port: {port} ({expected})")))?;
    if let (Some(_), Err(none)) = (bus.hat, mbus_master_hat(&machine.device_tree)) {
        eprintln!("warning: {none}");
        bus.hat = None;
    }
    Ok(bus)
}

impl Wire {
    /// What a name or an address stands for: a meter of the configuration wherever it is one.
    pub(crate) fn target(&self, text: &str) -> Result<Target, Failure> {
        self.find(text, "0 to 250,")
    }

    fn find(&self, text: &str, numbers: &str) -> Result<Target, Failure> {
        match (self.configured(text), arguments::address(text)) {
            (Some((meter, bus)), _) => {
                let bus = Bus { parity: self.parity.unwrap_or(bus.parity), ..bus.clone() };
                Ok(Target { name: text.to_owned(), address: meter.address, bus, meter: Some(meter.clone()) })
            }
            (None, Some(address)) => Ok(self.unconfigured(text, address)),
            (None, None) => Err(Failure::usage(format!(
                "there is no meter {text}: expected a configured name, {numbers} or a secondary address such as 30137315"
            ))),
        }
    }

    /// The same, and 254 for whatever meter is alone on the bus.
    pub(crate) fn target_or_only(&self, text: &str) -> Result<Target, Failure> {
        if text == TEST_BROADCAST.to_string() {
            return Ok(self.unconfigured(text, MeterAddress::Primary(PrimaryAddress::ONLY)));
        }
        self.find(text, "0 to 250, 254 for a meter alone on its bus,")
    }

    /// A meter at this address of the bus, whatever the configuration says of it.
    pub(crate) fn unconfigured(&self, name: &str, address: MeterAddress) -> Target {
        Target { name: name.to_owned(), address, bus: self.bus.clone(), meter: None }
    }

    /// The meter of the configuration with this name or address, and its bus.
    fn configured(&self, text: &str) -> Option<(&Meter, &Bus)> {
        let config = self.config.as_ref()?;
        let address = arguments::address(text);
        let mut meters = config.meters.iter().filter_map(|meter| Some((meter, config.buses.get(meter.bus)?)));
        meters.find(|(meter, bus)| {
            let here = bus.name == self.bus.name;
            let by_address = Some(meter.address) == address && (here || !self.named);
            (meter.name == text && (here || !self.named)) || by_address
        })
    }

    /// How the meter is read; at another rate than its own where `baud` says so.
    pub(crate) fn query(&self, target: &Target, baud: Option<Baud>) -> Query {
        let Target { bus, meter, address, .. } = target;
        let mut query = match meter {
            Some(meter) => Query::new(bus, meter),
            None => Query::plain(bus, Turn::new(*address)),
        };
        query.character.baud = baud.unwrap_or(query.character.baud);
        query.character.parity = self.parity.unwrap_or(query.character.parity);
        query.response_timeout = self.response_timeout(bus, meter.as_ref(), query.character.baud);
        query
    }

    /// Opens and powers the bus. `what` cannot be done where the agent has it; `instead` is what to do then.
    pub(crate) async fn open(&self, what: &str, instead: &str) -> Result<Session, Failure> {
        self.open_bus(&self.bus, what, instead).await
    }

    /// The same with another bus of the configuration.
    pub(crate) async fn open_bus(&self, bus: &Bus, what: &str, instead: &str) -> Result<Session, Failure> {
        self.try_open(bus, what).await.map_err(|closed| match closed {
            Closed::ByAgent(why) => Failure::new(format!("cannot {what} while {why}: {instead}")),
            Closed::Otherwise(failure) => failure,
        })
    }

    /// The same where the agent can be asked instead.
    pub(crate) async fn try_open(&self, bus: &Bus, what: &str) -> Result<Session, Closed> {
        if let Some(holder) = holder_of_gateway(&bus.port, Path::new(PROCESSES)) {
            let who =
                holder.as_ref().map_or_else(|| "another program (root can see which)".to_owned(), Holder::to_string);
            let why = format!("the gateway {} is in use by {who}", bus.port);
            return Err(match holder.is_none_or(|holder| holder.is_agent()) {
                true => Closed::ByAgent(why),
                false => Closed::Otherwise(
                    Failure::new(format!("cannot {what} while {why}"))
                        .hint("many gateways serve one program at a time: end the other"),
                ),
            });
        }
        Session::open(bus, &self.machine, true).await.map_err(|outage| closed(what, &outage))
    }

    /// The characters of the bus, at this rate.
    pub(crate) fn character(&self, baud: Baud) -> Character {
        Character { baud, ..character(&self.bus, None) }
    }

    /// How long to wait for whom at this rate.
    pub(crate) fn timing(&self, session: &Session, baud: Baud, retries: u8) -> LineTiming {
        session.timing(baud, self.response_timeout(&self.bus, None, baud), retries)
    }

    fn response_timeout(&self, bus: &Bus, meter: Option<&Meter>, baud: Baud) -> Duration {
        self.timeout.unwrap_or_else(|| response_timeout(bus, meter, baud))
    }

    /// Its port, as people write it.
    pub(crate) fn port(&self) -> &Port {
        &self.bus.port
    }

    /// The agent's topics.
    pub(crate) fn topics(&self) -> Topics {
        Topics::new(self.config.as_ref().map_or("mbushat", |config| config.mqtt.base_topic.as_str()))
    }

    /// The line to paste that asks the running agent.
    pub(crate) fn publish(&self, topic: &str, payload: Option<&str>) -> String {
        let way = self.config.as_ref().map(|config| way_to(&config.mqtt)).unwrap_or_default();
        let payload = payload.map_or_else(|| "-n".to_owned(), |payload| format!("-m '{payload}'"));
        format!("mosquitto_pub{way} -t {topic} {payload}")
    }
}

fn closed(what: &str, outage: &Outage) -> Closed {
    let failure = Failure::new(format!("cannot {what}"));
    Closed::Otherwise(match outage {
        outage if outage.is_agents() => {
            return Closed::ByAgent(in_one_line(outage));
        }
        Outage::Line(LineError::Connect { source, .. })
            if matches!(source.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) =>
        {
            failure.because(outage).hint("many gateways serve one program at a time: end the other, the agent too")
        }
        Outage::Line(LineError::Open { path, source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            failure.because(outage).hint(access::hint(path))
        }
        Outage::Power(error @ PowerError::Open { .. }) => {
            let gpio = ["/dev/gpiomem", "/dev/gpiomem0", "/dev/gpiochip0"].map(Path::new);
            let failure = failure.because(error);
            match gpio.into_iter().find(|device| device.exists()) {
                Some(device) => failure.hint(access::hint(device)),
                None => failure,
            }
        }
        _ => failure.because(outage),
    })
}

/// The broker as options of mosquitto's programs; the password is left to be filled in.
fn way_to(mqtt: &Mqtt) -> String {
    let mut way = String::new();
    let Broker { host, port } = mqtt.brokers.first().cloned().unwrap_or_default();
    if host != "localhost" {
        way += &format!(" -h {host}");
    }
    if port != 1883 {
        way += &format!(" -p {port}");
    }
    if let Some(user) = &mqtt.username {
        way += &format!(" -u {user} -P PASSWORD");
    }
    match mqtt.tls.as_ref().map(|tls| &tls.ca_file) {
        Some(Some(file)) => way += &format!(" --cafile {}", file.display()),
        Some(None) => way += " --tls-use-os-certs",
        None => {}
    }
    way
}
