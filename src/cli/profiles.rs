//! `mbushat profiles`: the rules for meter models that ship in the program, and the records of a
//! meter that no rule names yet.

use std::path::Path;

use clap::Subcommand;

use super::read::{described, key, profiles};
use super::runtime::run_until_interrupted;
use super::table::Table;
use super::wire::{Target, Wire, WireArgs};
use super::{Failure, log, print};
use crate::config::built_in_profiles;
use crate::mbus::application::opener::Opener;
use crate::mbus::master::readout::LinkState;
use crate::mbus::medium;
use crate::measure::normalise::MeterRules;
use crate::measure::profile::Profile;
use crate::measure::unnamed::{Unnamed, unnamed};

/// Arguments of `mbushat profiles`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mbushat profiles
  mbushat profiles show eastron_sdm220 >> /etc/mbushat.toml
  mbushat profiles unknown cold_water")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the built-in profiles; this is the default
    #[command(after_help = "Example:\n  mbushat profiles list")]
    List,
    /// Print a profile, in the form of the configuration file
    #[command(after_help = "Example:\n  mbushat profiles show eastron_sdm220 >> /etc/mbushat.toml")]
    Show {
        /// A name from the list
        name: String,
    },
    /// Read a meter and print a `[[meter.record]]` for each record without a name
    #[command(after_help = "\
Examples:
  mbushat profiles unknown cold_water
  mbushat profiles unknown 48 --port /dev/ttyUSB0

Paste the rules below the meter's [[meter]] and write what its manual says into
them; as they are printed, they publish each value as it comes.")]
    Unknown {
        /// A name from the configuration, a primary address (0 to 250) or a secondary address
        meter: String,
        #[command(flatten)]
        wire: WireArgs,
    },
}

/// Prints the list, one profile, or the rules to complete.
pub(crate) fn run(args: &Args, file: &Path) -> Result<(), Failure> {
    match &args.what {
        None | Some(What::List) => list(),
        Some(What::Show { name }) => show(name),
        Some(What::Unknown { meter, wire }) => unknown(meter, wire, file),
    }
}

fn list() -> Result<(), Failure> {
    let mut table = Table::new(["NAME", "FOR", "WHAT THE METER SAYS OF ITSELF"]);
    for (profile, _) in &built_in_profiles() {
        table.row([profile.name.clone(), profile.title.clone(), identity(profile)]);
    }
    print(table)
}

fn show(name: &str) -> Result<(), Failure> {
    match built_in_profiles().iter().find(|(profile, _)| profile.name == name) {
        Some((_, text)) => print(text),
        None => Err(Failure::new(format!("there is no profile \"{name}\": `mbushat profiles` lists them"))),
    }
}

fn identity(profile: &Profile) -> String {
    let versions = if profile.version.len() == 1 { "version" } else { "versions" };
    let parts = [
        one_of(profile.manufacturer.iter().map(ToString::to_string)),
        one_of(profile.version.iter().map(ToString::to_string)).map(|list| format!("{versions} {list}")),
        one_of(profile.medium.iter().map(|&code| medium::name(code).to_owned())),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `a or b or c`; `None` of nothing.
fn one_of(words: impl Iterator<Item = String>) -> Option<String> {
    Some(words.collect::<Vec<_>>().join(" or ")).filter(|words| !words.is_empty())
}

fn unknown(name: &str, args: &WireArgs, file: &Path) -> Result<(), Failure> {
    log::start_for_command(args.trace)?;
    let wire = args.choose(file)?;
    let target = wire.target(name)?;
    let frames = match run_until_interrupted(read(&wire, &target))? {
        None => return Err(Failure::new("interrupted")),
        Some(frames) => frames?,
    };
    let profiles = profiles(wire.config.as_ref());
    // Also records that `expose` keeps out may need a name.
    let described = MeterRules { only: None, ..described(&target, &profiles) };
    match unnamed(&frames, &described, &mut Opener::new(key(&target))).as_slice() {
        [] => print(format!("# {name} sends nothing that is not named already\n")),
        records => print(records.iter().map(|record| rule(name, record)).collect::<Vec<_>>().join("\n")),
    }
}

async fn read(wire: &Wire, target: &Target) -> Result<Vec<Vec<u8>>, Failure> {
    let name = &target.name;
    let instead = "stop it (sudo systemctl stop mbushat), and start it again afterwards";
    let mut session = wire.open_bus(&target.bus, &format!("read {name}"), instead).await?;
    let over = session.read(wire.query(target, None), LinkState::default()).await?;
    over.frames.map_err(|error| Failure::new(format!("{name}: {error}")))
}

/// A rule that selects this record and gives it the name that it has anyway.
fn rule(meter: &str, record: &Unnamed) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let (number, data) = (record.number, hex(&record.data));
    let value = number.map_or_else(|| format!("bytes {data}"), |number| format!("{number}, bytes {data}"));
    let index = if record.repeated { format!("index = {}\n", record.index) } else { String::new() };
    format!(
        "# record {} of {meter}: {value}\n[[meter.record]]\n{index}dif = \"{}\"\nvif = \"{}\"\nkey = \"{}\"\n\
         # title = \"\"\n# unit = \"\"\n# scale = 1\n# hide = true\n",
        record.index,
        hex(&record.dib),
        hex(&record.vib),
        record.key
    )
}
