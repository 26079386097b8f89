//! The command line: one file a subcommand. A subcommand prints and maps errors to exit codes; what
//! it prints is decided in the other rooms.
//!
//! To add a subcommand: a file `cli/<name>.rs` with `pub(crate) struct Args` (derive [`clap::Args`])
//! and `pub(crate) fn run(args: &Args, …) -> Result<(), Failure>`; here its `mod`, its variant of
//! `Command` and its arm in `dispatch`. Human output goes through `print`, so that a closed
//! pipe ends the program quietly; diagnostics go to stderr, through `tracing` or as a `Failure`.
//! A subcommand that needs tokio builds its own runtime.

mod access;
mod check;
mod completions;
mod decode;
mod exposed;
mod demo;
mod doctor;
mod failure;
mod hat;
mod man;
mod meter;
mod profiles;
mod style;
mod table;
mod wire;
mod log;
mod runtime;
mod arguments;
mod read;
mod resend;
mod run;
mod scan;
mod send;
mod simulate;
mod pymeterbus;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use failure::Failure;

use crate::config::{self, Config, LoadError};

/// Where the configuration is unless `--config` says otherwise.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/mbushat.toml";

const FIRST_STEPS: &str = "First steps on a Raspberry Pi:
  mbushat hat       is the Hat found?
  mbushat read 48   one meter, now
  mbushat check     is the configuration good, and what will be read when?
  mbushat doctor    what is wrong, and how to fix it
  mbushat run       the agent";

/// The whole command line; completions and man pages are generated from it too.
#[derive(Debug, Parser)]
#[command(name = "mbushat", version, about, max_term_width = 80, after_help = FIRST_STEPS)]
struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read the meters and publish them until stopped
    Run(run::Args),
    /// Try it: simulated meters and a broker, nothing to set up
    Demo(demo::Args),
    /// Check the configuration and show what will be read when
    Check(check::Args),
    /// Check every step from the configuration to a reading
    Doctor(doctor::Args),
    /// Find the M-Bus Master Hat, or switch bus power
    Hat(hat::Args),
    /// Read meters once, now
    Read(read::Args),
    /// Find the meters on a bus
    Scan(scan::Args),
    /// Change a meter: address, baud rate, clock, application
    Meter(meter::Args),
    /// Send one frame as it is, and print what comes back
    Send(send::Args),
    /// Send again the readings that the broker refused
    Resend(resend::Args),
    /// Explain telegrams, without any hardware
    Decode(decode::Args),
    /// Serve a simulated bus, for trying other software
    Simulate(simulate::Args),
    /// Rules for meter models, and what a meter sends without a name
    Profiles(profiles::Args),
    /// Print a manual page
    Man(man::Args),
    /// Print a completion script for your shell
    Completions(completions::Args),
}

/// Runs the command line of this process: 0, or 1 for a failure, 2 for wrong usage, 78 for a bad
/// configuration.
#[must_use]
pub fn main() -> ExitCode {
    let done = dispatch(&Cli::parse());
    log::end();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Run(args) => run::run(args, &cli.config),
        Command::Demo(args) => demo::run(args),
        Command::Check(args) => check::run(args, &cli.config),
        Command::Doctor(args) => doctor::run(args, &cli.config),
        Command::Hat(args) => hat::run(args, &cli.config),
        Command::Read(args) => read::run(args, &cli.config),
        Command::Scan(args) => scan::run(args, &cli.config),
        Command::Meter(args) => meter::run(args, &cli.config),
        Command::Send(args) => send::run(args, &cli.config),
        Command::Resend(args) => resend::run(args, &cli.config),
        Command::Decode(args) => decode::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Profiles(args) => profiles::run(args, &cli.config),
        Command::Man(args) => man::run(args),
        Command::Completions(args) => completions::run(args),
    }
}

/// The configuration, or every problem it has, with exit code 78.
pub(crate) fn load(path: &Path) -> Result<Config, Failure> {
    config::load(path).map_err(unloadable)
}

/// Why there is no configuration, with what to do about it.
pub(crate) fn unloadable(error: LoadError) -> Failure {
    match &error {
        LoadError::Unreadable { error: cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => {
            let advice = "write one (`mbushat man config` shows every setting) or name it with --config";
            Failure::of_load(error).advise(advice)
        }
        LoadError::Unreadable { file, error: cause } | LoadError::NoSimulation { file, error: cause }
            if cause.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            let hint = access::hint(file);
            Failure::of_load(error).hint(hint)
        }
        _ => Failure::of_load(error),
    }
}

/// Writes to stdout, as it is, at once.
///
/// # Errors
/// Where stdout is closed; a pipe closed by its reader (`| head`) ends the program quietly.
pub(crate) fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::of_stdout)
}
