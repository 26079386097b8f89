//! `mbushat completions`: what the shell needs to complete our own command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Failure, print};

/// Arguments of `mbushat completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mbushat completions bash > /etc/bash_completion.d/mbushat")]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mbushat", &mut script);
    print(String::from_utf8_lossy(&script))
}
