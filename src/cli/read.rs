//! `mbushat read`: one readout now, without the agent where that does not have the bus.

mod by_agent;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use clap::ValueEnum;
use jiff::Timestamp;

use super::decode::{self, render};
use super::runtime::run_until_interrupted;
use super::wire::{Closed, Target, Wire, WireArgs};
use super::{Failure, arguments, log, print, style};
use crate::bus::line::Character;
use crate::bus::session::Session;
use crate::bus::slow::{answers_slowly, enough};
use crate::config::{Bus, Config, built_in_profiles};
use crate::explain::{Memory, libmbus};
use crate::mbus::address::{MeterAddress, PrimaryAddress, TEST_BROADCAST};
use crate::mbus::application::opener::Opener;
use crate::mbus::application::quantity::Unit;
use crate::mbus::application::security::Key;
use crate::mbus::link::timing::Baud;
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::exchange::{Exchange, Exchanged};
use crate::mbus::master::readout::{LinkState, ReadoutError};
use crate::mbus::master::reply::ExchangeError;
use crate::mbus::master::request::Request;
use crate::measure::normalise::{self, MeterRules, Occasion};
use crate::measure::profile::Profile;
use crate::mqtt::payload;
use crate::system;

/// Arguments of `mbushat read`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mbushat read cold_water
  mbushat read 48 --format reading
  mbushat read 30137315 --port /dev/ttyUSB0 --baud 9600
  mbushat read 254 --timeout 2s --wire

Where the running agent has the bus, it reads the meter, as it is configured.

Exit code 0: all were read; 1: one was not; 2: wrong usage; 78: the
configuration is bad.")]
pub(crate) struct Args {
    /// Names from the configuration, primary addresses (0 to 250) or secondary addresses (8 digits,
    /// 30137315ATS0104 or 16 hex digits; F and ? are wildcards); 254 is whatever meter is alone on the bus
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,

    /// Baud rate, instead of the configuration's or 2400
    #[arg(long, value_parser = arguments::baud)]
    baud: Option<Baud>,

    /// How often to ask again after silence or a broken answer, instead of the configuration's
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u8).range(0..=10))]
    retries: Option<u8>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(flatten)]
    wire: WireArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Bytes, meaning and value side by side
    Table,
    /// A JSON object for each telegram, indented
    Json,
    /// A JSON object on one line for each telegram
    Jsonl,
    /// The reading, as MQTT gets it, without a number
    Reading,
    /// What libmbus 0.10 prints, one document a meter
    Xml,
    /// What pyMeterBus 0.8.1 prints
    Pymeterbus,
    /// The telegrams' bytes, one telegram a line
    Hex,
}

impl Args {
    /// The options that say how to read, if they do.
    fn own(&self) -> Vec<&'static str> {
        let here = [("--baud", self.baud.is_some()), ("--retries", self.retries.is_some())];
        here.into_iter().filter(|(_, said)| *said).map(|(name, _)| name).chain(self.wire.own()).collect()
    }
}

/// Reads one after the other and prints what they say.
pub(crate) fn run(args: &Args, config: &Path) -> Result<(), Failure> {
    log::start_for_command(args.wire.trace)?;
    let wire = args.wire.choose(config)?;
    let targets = args.addresses.iter().map(|text| wire.target_or_only(text)).collect::<Result<Vec<_>, _>>()?;
    match run_until_interrupted(read_all(args, &wire, targets))? {
        Some(done) => done,
        None => Err(Failure::new("interrupted")),
    }
}

async fn read_all(args: &Args, wire: &Wire, targets: Vec<Target>) -> Result<(), Failure> {
    let (count, mut failures) = (targets.len(), Vec::new());
    let mut open: Option<(Bus, Session)> = None;
    for target in targets {
        let opened = match open.take() {
            Some((bus, session)) if bus == target.bus => Ok(session),
            other => {
                drop(other);
                wire.try_open(&target.bus, &format!("read {}", target.name)).await
            }
        };
        let frames = match opened {
            Ok(mut session) => {
                let frames = read(args, wire, &target, &mut session).await?;
                open = Some((target.bus.clone(), session));
                frames
            }
            Err(Closed::ByAgent(why)) => by_agent::read(wire, &target, &args.own(), &why).await?,
            Err(Closed::Otherwise(failure)) => return Err(failure),
        };
        let error = match frames {
            Ok(frames) => show(args.format, wire, &target, &frames, count > 1)?,
            Err(error) => Some(error),
        };
        failures.extend(error.map(|error| format!("{}: {error}", target.name)));
    }
    match failures.as_slice() {
        [] => Ok(()),
        several => Err(Failure::new(several.join("\nerror: "))),
    }
}

/// The telegrams, or why there are none.
async fn read(
    args: &Args,
    wire: &Wire,
    target: &Target,
    session: &mut Session,
) -> Result<Result<Vec<Vec<u8>>, String>, Failure> {
    let mut query = wire.query(target, args.baud);
    query.retries = args.retries.unwrap_or(query.retries);
    let timing = session.timing_of(&query);
    let over = session.read(query.clone(), LinkState::default()).await?;
    if let Some(slowly) = answers_slowly(over.response_time, timing) {
        eprintln!("warning: {}: {slowly}: set {} in its [[meter]]", target.name, enough(over.response_time));
    }
    let alone = target.address == MeterAddress::Primary(PrimaryAddress::ONLY);
    Ok(match over.frames {
        Err(ReadoutError::NoAnswer(error)) if alone => {
            Err(format!("{error}; if there are several meters on the bus, 254 makes all of them answer at once"))
        }
        Err(error) => Err(error.to_string()),
        Ok(frames) => {
            let timing = wire.timing(session, query.character.baud, 0);
            if alone && several_answer(session, query.character, timing).await? {
                eprintln!("warning: more than one meter answers to 254: `mbushat scan` finds their addresses");
            }
            Ok(frames)
        }
    })
}

/// Whether more than one meter acknowledges a reset of all, together or one after the other.
async fn several_answer(session: &mut Session, character: Character, timing: LineTiming) -> Result<bool, Failure> {
    let mut reset = Exchange::new(Request::snd_nke(TEST_BROADCAST), timing);
    reset.expect_several();
    let Exchanged { reply, traffic, .. } = session.converse(character, &mut reset).await?;
    Ok(traffic.noise > 0 || !matches!(reply, Ok(_) | Err(ExchangeError::Silence)))
}

/// Prints the telegrams; what of them could not be decoded.
fn show(
    format: Format,
    wire: &Wire,
    target: &Target,
    frames: &[Vec<u8>],
    named: bool,
) -> Result<Option<String>, Failure> {
    let decoded = match format {
        Format::Hex => {
            for frame in frames {
                let digits: Vec<String> = frame.iter().map(|byte| format!("{byte:02X}")).collect();
                print(format!("{}\n", digits.join(" ")))?;
            }
            return Ok(None);
        }
        Format::Reading => return reading(wire, target, frames),
        Format::Table => decode::Format::Table,
        Format::Json => decode::Format::Json,
        Format::Jsonl => decode::Format::Jsonl,
        Format::Xml => return xml(target, frames),
        Format::Pymeterbus => decode::Format::Pymeterbus,
    };
    if named && format == Format::Table {
        print(format!("{}\n", target.name))?;
    }
    let key = key(target);
    let (mut memory, mut error) = (Memory::default(), None);
    for frame in frames {
        let rendered = render(frame, key.as_ref(), decoded, style::colours(), &mut memory);
        print(&rendered.text)?;
        error = error.or(rendered.error);
    }
    Ok(error)
}

pub(super) fn key(target: &Target) -> Option<Key> {
    target.meter.as_ref().and_then(|meter| meter.key)
}

/// Prints one document of all telegrams, as libmbus' mbus-serial-request-data does.
fn xml(target: &Target, frames: &[Vec<u8>]) -> Result<Option<String>, Failure> {
    let (document, error) = libmbus::document(frames, key(target).as_ref(), Timestamp::now());
    print(document)?;
    Ok(error)
}

/// Prints what MQTT gets, without a number: the agent's store numbers its readings.
fn reading(wire: &Wire, target: &Target, frames: &[Vec<u8>]) -> Result<Option<String>, Failure> {
    let profiles = profiles(wire.config.as_ref());
    let described = described(target, &profiles);
    let when = Occasion { due_at: None, read_at: SystemTime::now(), clock_synced: system::clock_synced() };
    match normalise::reading(frames, &described, &mut Opener::new(key(target)), when) {
        Err(fault) => Ok(Some(fault.error)),
        Ok(reading) => {
            let reading = match &target.meter {
                Some(meter) => meter.dress(reading, frames),
                None => reading,
            };
            let configured = target.meter.as_ref().map(|meter| meter.name.as_str());
            print(format!("{}\n", payload::reading_aside(configured, &reading)))?;
            let bad = reading.errors.len();
            Ok((bad > 0).then(|| format!("{bad} of its records could not be understood")))
        }
    }
}

/// The profiles of the configuration; without one the built-in ones.
pub(super) fn profiles(config: Option<&Config>) -> Vec<Profile> {
    match config {
        Some(config) => config.profiles.clone(),
        None => built_in_profiles().into_iter().map(|(profile, _)| profile).collect(),
    }
}

/// The meter as the configuration describes it; one that it does not know has only the profile that matches.
pub(super) fn described<'a>(target: &'a Target, profiles: &'a [Profile]) -> MeterRules<'a> {
    const NO_UNITS: &BTreeMap<String, Unit> = &BTreeMap::new();
    match &target.meter {
        Some(meter) => meter.rules(profiles, NO_UNITS),
        None => MeterRules::of_profiles(&target.name, profiles),
    }
}
