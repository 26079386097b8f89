//! `mbushat profiles`: the rules for meter models that ship in the program.

use super::table::Table;
use super::{Failure, print};
use crate::config::built_in_profiles;
use crate::mbus::medium;
use crate::measure::profile::Profile;

/// Arguments of `mbushat profiles`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mbushat profiles\n  mbushat profiles eastron_sdm220 >> /etc/mbushat.toml")]
pub(crate) struct Args {
    /// Print this profile, in the form of the configuration file
    name: Option<String>,
}

/// Prints the list, or one profile.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let profiles = built_in_profiles();
    let Some(name) = &args.name else {
        let mut table = Table::new(["NAME", "FOR", "WHAT THE METER SAYS OF ITSELF"]);
        for (profile, _) in &profiles {
            table.row([profile.name.clone(), profile.title.clone(), identity(profile)]);
        }
        return print(table);
    };
    match profiles.iter().find(|(profile, _)| profile.name == *name) {
        Some((_, text)) => print(text),
        None => Err(Failure::new(format!("there is no profile \"{name}\": `mbushat profiles` lists them"))),
    }
}

fn identity(profile: &Profile) -> String {
    let parts = [
        profile.manufacturer.map(|manufacturer| manufacturer.to_string()),
        profile.version.map(|version| format!("version {version}")),
        profile.medium.map(|code| medium::name(code).to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
