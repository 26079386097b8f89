//! `mbushat demo` of a program that was built without it: says how to get it.

use super::Failure;

/// Arguments of `mbushat demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mbushat demo")]
pub(crate) struct Args {}

/// Packages leave out the demo's broker, which has more dependencies than all the rest.
pub(crate) fn run(_: &Args) -> Result<(), Failure> {
    Err(Failure::new("this program was built without the demo").hint(
        "in a copy of the source, with Rust installed: cargo run --release -- demo\n     \
         without it, simulated meters for your own broker: mbushat simulate --sample > bus.toml,\n     \
         then port = \"sim:bus.toml\" in a [[bus]]",
    ))
}
