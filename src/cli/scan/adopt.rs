//! `mbushat scan --adopt`: what the agent does where no `[[meter]]` is written, without an agent.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use crate::adopt::choice::new_finds;
use crate::adopt::edit::{Edit, Entry};
use crate::adopt::hunt::{Hunt, Saved};
use crate::adopt::keeping::{self, Kept, keep};
use crate::adopt::kept;
use crate::adopt::story;
use crate::bus::hunting::timings;
use crate::bus::line::LineError;
use crate::cli::runtime::run_until_interrupted;
use crate::cli::table::Table;
use crate::cli::wire::Wire;
use crate::cli::{Failure, print, style, unloadable};
use crate::config::Config;

/// What to do where the agent has the bus.
const INSTEAD: &str = "stop it (sudo systemctl stop mbushat), or set `discover = true` in its [[bus]] and reload: then it \
    looks for meters itself";

/// Looks for meters, then adopts those that are new, also where it was interrupted.
pub(super) fn run(wire: &Wire, file: &Path) -> Result<(), Failure> {
    let mut hunt = Hunt::new(timings(&wire.bus, None), &Saved::default());
    let ended = run_until_interrupted(search(wire, &mut hunt))?;
    for trouble in hunt.troubles() {
        eprintln!("warning: {}", story::advice(trouble));
    }
    let ended = match ended {
        // Of what was never looked at there is nothing to say.
        Some(Err(failure)) if hunt.finds().is_empty() => return Err(failure),
        other => other,
    };
    let adopted = adopt(wire, file, &hunt)?;
    match ended {
        Some(Ok(())) if adopted == 0 && hunt.finds().is_empty() => {
            Err(Failure::new("no meter answered").hint("`mbushat doctor` looks for the cause"))
        }
        Some(outcome) => outcome,
        None => Err(Failure::new("interrupted before the end")),
    }
}

async fn search(wire: &Wire, hunt: &mut Hunt) -> Result<(), Failure> {
    let mut session = wire.open("scan", INSTEAD).await?;
    hunt.again(timings(&wire.bus, Some(&session)));
    let (moves, mut said) = (style::moves_on_stderr(), None);
    while let Some(baud) = hunt.baud().filter(|_| !hunt.is_over()) {
        let progress = hunt.progress();
        let doing = story::doing(&progress);
        if doing != said {
            eprintln!("{}{}", if moves { "\r\x1b[K" } else { "" }, doing.as_deref().unwrap_or("nearly done"));
            said = doing;
        }
        if moves {
            // Where stderr is closed there is no one to show it to.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", story::so_far(&progress));
        }
        match session.converse(wire.character(baud), hunt).await {
            Err(why @ LineError::Unsupported(_)) => {
                eprintln!("{}{}", if moves { "\r\x1b[K" } else { "" }, super::skipped(baud, &why));
                hunt.skip_rate();
            }
            stepped => stepped?,
        }
    }
    if moves {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    if hunt.rests() { Err(super::never_quiet()) } else { Ok(()) }
}

/// Adds the new ones to the file and prints them; how many.
fn adopt(wire: &Wire, file: &Path, hunt: &Hunt) -> Result<usize, Failure> {
    let config = keeping::load(file, &[]).map_err(unloadable)?;
    let finds = BTreeMap::from([(wire.bus.name.clone(), hunt.finds().to_vec())]);
    let edits = new_finds(&config, |bus| bus.name == wire.bus.name, &finds);
    remember(&config, wire, hunt);
    let meters_file = config.adopted.file.display();
    if edits.is_empty() {
        print(format_args!("{} found, none of them new.\n", hunt.finds().len()))?;
        return Ok(0);
    }
    match keep(file, &[], &edits).map_err(Failure::new)? {
        Kept::InFile => {}
        Kept::Not(why) => return Err(Failure::new("nothing is adopted").advise(&why)),
    }
    let mut table = Table::new(["NAME", "TITLE", "ADDRESS"]);
    for edit in &edits {
        if let Edit::Add(Entry { name, title, place, .. }) = edit {
            table.row([name.clone(), title.clone(), place.address.to_string()]);
        }
    }
    print(format_args!("{table}Adopted: they stand in {meters_file}. `systemctl reload mbushat` reads them.\n"))?;
    Ok(edits.len())
}

/// How far the search came: the agent goes on there, and knows whom it found.
fn remember(config: &Config, wire: &Wire, hunt: &Hunt) {
    let Some(bus) = config.buses.iter().find(|bus| bus.name == wire.bus.name) else { return };
    let mut kept = kept::read(&config.adopted.file);
    kept.set(bus, hunt.saved());
    if let Err(error) = kept.write(&config.adopted.file) {
        eprintln!("warning: how far the search came is not kept: {error}");
    }
}
