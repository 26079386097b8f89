//! `mbushat read`: one readout now, without the agent.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::arguments;
use super::decode::{self, render};
use super::explain::Memory;
use super::runtime::run_until_interrupted;
use super::{DEFAULT_CONFIG, Failure, load, log, print};
use crate::bus::Machine;
use crate::bus::device_tree::mbus_master_hat;
use crate::bus::line::LineError;
use crate::bus::session::{Outage, Query, Session};
use crate::config::{Bus, Config, Log, LogFormat, bus_at};
use crate::mbus::application::security::Key;
use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::readout::{LinkState, Turn};

/// Arguments of `mbushat read`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mbushat read cold_water
  mbushat read 48 --format pymeterbus
  mbushat read 30137315 --port /dev/ttyUSB0 --baud 9600")]
pub(crate) struct Args {
    /// Names of the configuration, primary addresses (0 to 250) or secondary addresses (8 digits,
    /// 30137315ATS0104 or 16 hex digits; F and ? are wildcards)
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,

    /// A serial device or tcp://HOST:PORT, without a configuration
    #[arg(long)]
    port: Option<String>,

    /// Baud rate, instead of the configuration's or 2400
    #[arg(long, value_parser = arguments::baud)]
    baud: Option<Baud>,

    /// Parity, instead of the configuration's or even
    #[arg(long, value_parser = arguments::parity)]
    parity: Option<Parity>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Root of the device tree, for tests
    #[arg(long, value_name = "DIR", hide = true)]
    device_tree: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Bytes, meaning and value side by side
    Table,
    /// A JSON object for each telegram
    Json,
    /// What pyMeterBus 0.8.1 prints
    Pymeterbus,
    /// The telegrams' bytes, one telegram a line
    Hex,
}

/// A meter to read.
struct Target {
    /// As typed.
    name: String,
    bus: Bus,
    query: Query,
    key: Option<Key>,
    /// Where the agent takes the wish for the same.
    topic: String,
}

/// Reads one after the other and prints what they say.
pub(crate) fn run(args: &Args, config: &Path) -> Result<(), Failure> {
    log::start(&Log { level: "warn".to_owned(), format: LogFormat::Text })?;
    let mut machine = Machine::here();
    if let Some(root) = &args.device_tree {
        machine.device_tree.clone_from(root);
    }
    let targets = targets(args, config, &machine)?;
    match run_until_interrupted(read_all(args.format, targets, &machine))? {
        Some(done) => done,
        None => Err(Failure::new("interrupted")),
    }
}

async fn read_all(format: Format, targets: Vec<Target>, machine: &Machine) -> Result<(), Failure> {
    let (count, mut failures) = (targets.len(), Vec::new());
    let mut open: Option<(Bus, Session)> = None;
    for target in targets {
        let mut session = match open.take() {
            Some((bus, session)) if bus == target.bus => session,
            other => {
                drop(other);
                Session::open(&target.bus, machine, true).await.map_err(|outage| refused(&target, &outage))?
            }
        };
        let over = session.read(target.query.clone(), LinkState::default()).await?;
        let error = match over.frames {
            Ok(frames) => show(format, &target, &frames, count > 1)?,
            Err(error) => Some(error.to_string()),
        };
        failures.extend(error.map(|error| format!("{}: {error}", target.name)));
        open = Some((target.bus, session));
    }
    match failures.as_slice() {
        [] => Ok(()),
        several => Err(Failure::new(several.join("\nerror: "))),
    }
}

/// Prints the telegrams; what of them could not be decoded.
fn show(format: Format, target: &Target, frames: &[Vec<u8>], named: bool) -> Result<Option<String>, Failure> {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let decoded = match format {
        Format::Hex => {
            for frame in frames {
                let digits: Vec<String> = frame.iter().map(|byte| format!("{byte:02X}")).collect();
                print(format!("{}\n", digits.join(" ")))?;
            }
            return Ok(None);
        }
        Format::Table => decode::Format::Table,
        Format::Json => decode::Format::Json,
        Format::Pymeterbus => decode::Format::Pymeterbus,
    };
    if named && format == Format::Table {
        print(format!("{}\n", target.name))?;
    }
    let (mut memory, mut error) = (Memory::default(), None);
    for frame in frames {
        let rendered = render(frame, target.key.as_ref(), decoded, colour, &mut memory);
        print(&rendered.text)?;
        error = error.or(rendered.error);
    }
    Ok(error)
}

/// Why the line cannot be used, and where it is the agent's, how to ask the agent.
fn refused(target: &Target, outage: &Outage) -> Failure {
    match outage {
        Outage::Line(LineError::Held { holder, .. }) if holder.as_ref().is_none_or(|by| by.name == "mbushat") => {
            let ask = format!("cannot read while the agent does; to have it read now, publish to {}", target.topic);
            Failure::new(ask).because(outage)
        }
        _ => Failure::new(format!("cannot read {}", target.name)).because(outage),
    }
}

fn targets(args: &Args, file: &Path, machine: &Machine) -> Result<Vec<Target>, Failure> {
    let (config, mut buses) = match &args.port {
        Some(port) => {
            let want = "want a serial device (/dev/ttyUSB0) or tcp://HOST:PORT";
            let mut bus = bus_at(port).ok_or_else(|| Failure::usage(format!("{port} is no port, {want}")))?;
            if let Err(none) = mbus_master_hat(&machine.device_tree) {
                bus.hat = bus.hat.inspect(|_| eprintln!("warning: {none}")).filter(|_| false);
            }
            (None, vec![bus])
        }
        None if file == Path::new(DEFAULT_CONFIG) && !file.exists() => {
            (None, bus_at("/dev/ttyAMA0").into_iter().collect())
        }
        None => {
            let config = load(file)?;
            let buses = config.buses.clone();
            (Some(config), buses)
        }
    };
    for bus in &mut buses {
        bus.baud = args.baud.unwrap_or(bus.baud);
        bus.parity = args.parity.unwrap_or(bus.parity);
    }
    args.addresses.iter().map(|text| target(text, config.as_ref(), &buses, args)).collect()
}

/// What a name or an address stands for: a meter of the configuration wherever it is one.
fn target(text: &str, config: Option<&Config>, buses: &[Bus], args: &Args) -> Result<Target, Failure> {
    let base = config.map_or("mbushat", |config| config.mqtt.base_topic.as_str());
    let address = arguments::address(text);
    let known = config.into_iter().flat_map(|config| &config.meters);
    let known = known.into_iter().find(|meter| meter.name == text || Some(meter.address) == address);
    if let Some((meter, bus)) = known.and_then(|meter| Some((meter, buses.get(meter.bus)?))) {
        let mut query = Query::new(bus, meter);
        query.character.baud = args.baud.unwrap_or(query.character.baud);
        query.character.parity = args.parity.unwrap_or(query.character.parity);
        let topic = format!("{base}/{}/read", meter.name);
        return Ok(Target { name: text.to_owned(), bus: bus.clone(), key: query.turn.key, query, topic });
    }
    match (address, buses.first()) {
        (Some(address), Some(bus)) => Ok(Target {
            name: text.to_owned(),
            bus: bus.clone(),
            query: Query::plain(bus, Turn::new(address)),
            key: None,
            topic: format!("{base}/bridge/request/read"),
        }),
        _ => {
            let want = "want a configured name, 0 to 250, or a secondary address such as 30137315";
            Err(Failure::usage(format!("there is no meter {text}, {want}")))
        }
    }
}
