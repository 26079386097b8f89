//! `mbushat check`: is the configuration good, and what will be read when?

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::{Failure, load, print};
use crate::config::{Config, duration};

/// Arguments of `mbushat check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mbushat check /etc/mbushat.toml")]
pub(crate) struct Args {
    /// The file, instead of that of --config
    file: Option<PathBuf>,
}

/// Prints the plan, or ends with every problem of the file.
pub(crate) fn run(args: &Args, config: &Path) -> Result<(), Failure> {
    let file = args.file.as_deref().unwrap_or(config);
    let config = load(file)?;
    print(plan(&config))
}

fn plan(config: &Config) -> String {
    let mut text = format!("{:<20} {:<12} {:>16} {:>8}\n", "METER", "BUS", "ADDRESS", "INTERVAL");
    for meter in &config.meters {
        let bus = config.buses.get(meter.bus).map_or("", |bus| bus.name.as_str());
        let every = duration(i64::try_from(meter.interval.as_millis()).unwrap_or(i64::MAX));
        let _ = writeln!(text, "{:<20} {bus:<12} {:>16} {every:>8}", meter.name, meter.address.to_string());
    }
    text
}
