//! `mbushat hat`: is the M-Bus Master Hat there, and switch the power of its bus.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use super::runtime::run_until_interrupted;
use super::{Failure, print};
use crate::bus::Machine;
use crate::bus::device_tree::{Hat, NoHat, mbus_master_hat};
use crate::bus::hat::{BusPower, POWER_GPIO};
use crate::config;

/// Arguments of `mbushat hat`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mbushat hat
  mbushat hat --format json
  mbushat hat on

Exit code 0: the Hat was found, or the bus was switched; 1: it was not; 2: wrong
usage. `off` also ends with 0 where there is nothing to switch off.")]
pub(crate) struct Args {
    /// Switch bus power
    switch: Option<Switch>,

    /// How to print what is known of the Hat
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "switch")]
    format: Format,

    /// Root of the device tree, for tests
    #[arg(long, value_name = "DIR", hide = true)]
    device_tree: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    /// Power the bus and leave it on
    On,
    /// Switch the bus off
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One sentence
    Text,
    /// A JSON object: product, vendor, version, UUID
    Json,
}

/// Prints what was found, then switches.
pub(crate) fn run(args: &Args, config: &Path) -> Result<(), Failure> {
    let mut machine = Machine::here();
    if let Some(root) = &args.device_tree {
        machine.device_tree.clone_from(root);
    }
    if let Some(Switch::Off) = args.switch {
        return off(&machine, config);
    }
    let hat = mbus_master_hat(&machine.device_tree);
    if args.format == Format::Json {
        print(json(&hat)?)?;
        return hat.map(|_| ()).map_err(Failure::from);
    }
    let hat = hat?;
    print(format!("Found M-Bus Master Hat version {}\n", hat.product_ver))?;
    match args.switch {
        Some(_) => on(&machine, config),
        None => Ok(()),
    }
}

#[derive(Default, Serialize)]
struct HatJson<'a> {
    found: bool,
    product: Option<&'a str>,
    vendor: Option<&'a str>,
    product_id: Option<&'a str>,
    version: Option<&'a str>,
    uuid: Option<&'a str>,
    error: Option<String>,
}

fn json(hat: &Result<Hat, NoHat>) -> Result<String, serde_json::Error> {
    let json = match hat {
        Ok(hat) => HatJson {
            found: true,
            product: Some(&hat.product),
            vendor: Some(&hat.vendor),
            product_id: Some(&hat.product_id),
            version: Some(&hat.product_ver),
            uuid: Some(&hat.uuid),
            error: None,
        },
        Err(none) => HatJson { error: Some(none.to_string()), ..HatJson::default() },
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&json)?))
}

fn on(machine: &Machine, config: &Path) -> Result<(), Failure> {
    let Some(gpio) = gpios(config).into_iter().next() else {
        return Err(Failure::new("no bus in the configuration uses the Hat: set hat = true for one"));
    };
    // Signals are listened to before the bus has power, so that none leaves it on.
    let done = run_until_interrupted(async {
        let power = BusPower::open(gpio, true, machine.open_pin)?;
        if power.stays_at_exit() {
            power.leave();
            return print(format!("Bus power is on (GPIO {gpio})\n"));
        }
        print(format!("Bus power is on (GPIO {gpio}); this kernel switches it off when mbushat ends: Ctrl-C\n"))?;
        std::future::pending().await
    })?;
    done.unwrap_or(Ok(()))
}

/// The guard of a killed agent, so it succeeds where there is nothing to switch off.
fn off(machine: &Machine, config: &Path) -> Result<(), Failure> {
    let gpios = gpios(config);
    if gpios.is_empty() {
        return print("No bus uses the Hat\n");
    }
    if let Err(none) = mbus_master_hat(&machine.device_tree) {
        return print(format!("Nothing to switch off: {none}\n"));
    }
    for gpio in gpios {
        drop(BusPower::open(gpio, false, machine.open_pin)?);
        print(format!("Bus power is off (GPIO {gpio})\n"))?;
    }
    Ok(())
}

/// The pins that power buses. Bus power must be switched whatever is wrong with the configuration:
/// without a good one it is the pin of the Hat as it is sold.
fn gpios(config: &Path) -> Vec<u8> {
    match config::load(config) {
        Ok(config) => config.buses.iter().filter_map(|bus| Some(bus.hat?.power_gpio)).collect(),
        Err(_) => vec![POWER_GPIO],
    }
}
