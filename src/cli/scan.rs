//! `mbushat scan`: who is on the wire?
//!
//! What a scan asks is decided in `mbus::master::search`; here it is driven, shown and made ready to paste.

mod adopt;
mod by_agent;
mod found;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use clap::{ArgGroup, ValueEnum};

use super::runtime::run_until_interrupted;
use super::wire::{Closed, Wire, WireArgs};
use super::{Failure, arguments, log, print, style};
use crate::bus::hunting::{HAT_RATE, LIKELY};
use crate::bus::line::LineError;
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::link::timing::Baud;
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::reply::{ExchangeError, FIND_THE_NOISE};
use crate::mbus::master::search::{Found, Progress, Search};
use found::{FoundAt, another, json, table, toml};

/// Arguments of `mbushat scan`.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("how"),
    after_help = "\
Examples:
  mbushat scan
  mbushat scan --toml >> /etc/mbushat.toml
  mbushat scan --adopt
  mbushat scan --secondary 3013???? --baud all
  mbushat scan --port /dev/ttyUSB0 --to 20 --format json

A primary scan asks every address (two minutes at 2400 baud); a secondary one
narrows the identification number digit by digit until one meter answers. Where
the running agent has the bus, it scans, between its readings.

Exit code 0: something was found; 1: nothing, or it was interrupted; 2: wrong
usage; 78: the configuration is bad."
)]
pub(crate) struct Args {
    /// Ask primary addresses one by one; this is the default
    #[arg(long, group = "how")]
    primary: bool,

    /// Search by identification number, with a mask only among those it matches: 8 digits, 15 characters
    /// or 16 hex digits, F and ? are wildcards
    #[arg(long, group = "how", value_name = "MASK", num_args = 0..=1, value_parser = mask,
          default_missing_value = "????????")]
    secondary: Option<SecondaryAddress>,

    /// First primary address
    #[arg(long, value_name = "ADDRESS", default_value = "0", value_parser = arguments::primary, conflicts_with = "secondary")]
    from: PrimaryAddress,

    /// Last primary address
    #[arg(long, value_name = "ADDRESS", default_value = "250", value_parser = arguments::primary, conflicts_with = "secondary")]
    to: PrimaryAddress,

    /// Baud rate, or `all` for every rate one after the other [default: the bus's]
    #[arg(long, value_name = "RATE", value_parser = rates)]
    baud: Option<Rates>,

    /// How often to ask again where no meter answers; 1 on a noisy line
    #[arg(long, value_name = "TIMES", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=10))]
    retries: u8,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Print `[[meter]]` tables to paste into the configuration: --format toml
    #[arg(long, conflicts_with = "format")]
    toml: bool,

    /// Look for meters as the agent does where no meter is written, at every rate, and add those that are new
    /// to the file of adopted meters
    #[arg(long, conflicts_with_all = ["how", "from", "to", "baud", "retries", "format", "toml", "port"])]
    adopt: bool,

    #[command(flatten)]
    wire: WireArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A row for each meter
    Table,
    /// One JSON object: meters and collisions
    Json,
    /// `[[meter]]` tables to paste into the configuration
    Toml,
}

/// `--baud`.
#[derive(Clone, Copy, Debug)]
enum Rates {
    One(Baud),
    All,
}

fn rates(text: &str) -> Result<Rates, String> {
    if text == "all" {
        return Ok(Rates::All);
    }
    arguments::baud(text).map(Rates::One).map_err(|error| format!("{error}, or all"))
}

fn mask(text: &str) -> Result<SecondaryAddress, String> {
    SecondaryAddress::parse(text).map_err(|error| error.to_string())
}

/// Scans, then prints all that was found, also where it was interrupted or the line went away.
pub(crate) fn run(args: &Args, file: &Path) -> Result<(), Failure> {
    log::start_for_command(args.wire.trace)?;
    if args.from > args.to {
        return Err(Failure::usage(format!("--from {} is greater than --to {}", args.from, args.to)));
    }
    let wire = args.wire.choose(file)?;
    if args.adopt {
        return adopt::run(&wire, file);
    }
    let mut found = Vec::new();
    let ended = run_until_interrupted(scan(args, &wire, &mut found))?;
    print(match args.format {
        Format::Json => json(&found, &wire)?,
        Format::Toml => toml(&found, &wire),
        Format::Table if args.toml => toml(&found, &wire),
        Format::Table => table(&found, std::io::stdout().is_terminal()),
    })?;
    match ended {
        None => Err(Failure::new("interrupted before the end")),
        Some(Err(failure)) => Err(failure),
        Some(Ok(())) if found.is_empty() => {
            Err(Failure::new("no meter answered: try `--baud all`, or `mbushat doctor`"))
        }
        Some(Ok(())) => Ok(()),
    }
}

/// What is said of a rate that the line cannot do.
fn skipped(baud: Baud, why: &LineError) -> String {
    format!("no meter is looked for at {baud} baud: {why}")
}

fn never_quiet() -> Failure {
    Failure::new(format!("{}, so no meter can be asked", ExchangeError::NeverQuiet)).hint(FIND_THE_NOISE)
}

async fn scan(args: &Args, wire: &Wire, found: &mut Vec<FoundAt>) -> Result<(), Failure> {
    let mut session = match wire.try_open(&wire.bus, "scan").await {
        Ok(session) => session,
        Err(Closed::Otherwise(failure)) => return Err(failure),
        Err(Closed::ByAgent(why)) => return by_agent::scan(args, wire, &why).await.map(|all| found.extend(all)),
    };
    for baud in args.rates(wire) {
        let (character, timing) = (wire.character(baud), wire.timing(&session, baud, args.retries));
        let mut search = args.search(timing);
        let mut meter = Display::start(args, wire, timing, search.progress());
        while !search.is_over() {
            let asked = match session.wake(character, wire.bus.wake_up).await {
                Ok(()) => session.converse(character, &mut search).await,
                Err(error) => Err(error),
            };
            let new = match asked {
                Err(why @ LineError::Unsupported(_)) => {
                    meter.clear();
                    eprintln!("{}", skipped(baud, &why));
                    break;
                }
                new => new?,
            };
            // A meter that follows any rate is one meter.
            let new = new.into_iter().filter(|new| !found.iter().any(|old: &FoundAt| is_same(&old.what, new)));
            for what in new.collect::<Vec<_>>() {
                meter.tell(&what);
                found.retain(|earlier| !what.was_hidden_by(&earlier.what));
                found.push(FoundAt { what, baud });
            }
            meter.show(search.progress(), found.len());
        }
        meter.clear();
        if search.was_never_quiet() {
            return Err(never_quiet());
        }
    }
    Ok(())
}

/// The same meter, or the same collision, at the same address.
fn is_same(a: &Found, b: &Found) -> bool {
    match (a, b) {
        (
            Found::Meter { address: a, identity: x, fabrication_number: m, .. },
            Found::Meter { address: b, identity: y, fabrication_number: n, .. },
        ) => a == b && x == y && m == n,
        (Found::Collision(a), Found::Collision(b)) => a == b,
        _ => false,
    }
}

impl Args {
    fn rates(&self, wire: &Wire) -> Vec<Baud> {
        let most = if wire.bus.hat.is_some() { HAT_RATE } else { u32::MAX };
        match self.baud {
            None => vec![wire.bus.baud],
            Some(Rates::One(baud)) => vec![baud],
            Some(Rates::All) if wire.bus.port.keeps_its_rate() => {
                eprintln!("warning: the gateway keeps its rate, so only {} baud is tried", wire.bus.baud);
                vec![wire.bus.baud]
            }
            Some(Rates::All) => LIKELY.into_iter().filter(|rate| *rate <= most).filter_map(Baud::new).collect(),
        }
    }

    fn search(&self, timing: LineTiming) -> Search {
        match self.secondary {
            Some(mask) => Search::secondary(vec![mask], timing),
            None => Search::primary(self.from, self.to, timing),
        }
    }
}

/// The scan's progress on stderr: a line at its start, and on a terminal one that moves.
struct Display {
    timing: LineTiming,
    moves: bool,
}

impl Display {
    fn start(args: &Args, wire: &Wire, timing: LineTiming, progress: Progress) -> Self {
        let (port, baud) = (wire.port(), timing.baud);
        let what = match args.secondary {
            Some(mask) => format!("for meters that match {}", MeterAddress::Secondary(mask)),
            None => format!("addresses {} to {}", args.from, args.to),
        };
        let left = match args.secondary {
            // How long the tree is shows only while it is climbed.
            Some(_) => String::new(),
            None => format!(": about {}", clock(time_left(progress, timing))),
        };
        eprintln!("Scanning {what} on {port} at {baud} baud{left}");
        Self { timing, moves: style::moves_on_stderr() }
    }

    fn show(&mut self, progress: Progress, found: usize) {
        if self.moves {
            // Where stderr is closed there is no one to show it to.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", line(progress, self.timing, found));
        }
    }

    /// One find, at once: the whole may take long.
    fn tell(&self, found: &Found) {
        self.clear();
        eprintln!(
            "{}",
            match found {
                Found::Collision(address) => format!("collision at {address}"),
                Found::Meter { address, identity, frame, .. } => {
                    let who = identity.map_or_else(|| "a meter".to_owned(), SecondaryAddress::in_words);
                    let another = another(*address, frame.as_deref());
                    let another = another.map(|said| format!("; another address answered ({said})"));
                    format!("found at {address}: {who}{}", another.unwrap_or_default())
                }
            }
        );
    }

    fn clear(&self) {
        if self.moves {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Characters of the bar.
const BAR: u64 = 20;

/// `[######--------------]  34 %  1:28 left  2 found`
fn line(progress: Progress, timing: LineTiming, found: usize) -> String {
    let percent = u64::from(progress.done) * 100 / u64::from((progress.done + progress.left).max(1));
    let bar: String = (0..BAR).map(|place| if place * 100 < percent * BAR { '#' } else { '-' }).collect();
    format!("[{bar}] {percent:>3} %  {} left  {found} found", clock(time_left(progress, timing)))
}

/// Silence is believed after every repeat only.
fn time_left(progress: Progress, timing: LineTiming) -> Duration {
    progress.time_left(timing).saturating_mul(u32::from(timing.retries) + 1)
}

/// Minutes and seconds, as `2:05`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::{Progress, line, rates};
    use crate::mbus::link::timing::Baud;
    use crate::mbus::master::conversation::LineTiming;

    #[test]
    fn progress_tells_the_time_that_is_left() {
        let timing = LineTiming { retries: 0, ..LineTiming::new(Baud::DEFAULT) };
        let progress = Progress { done: 50, left: 200, is_late: false };
        // 200 silent probes of 0.5 s and 19 characters each
        assert_eq!(line(progress, timing, 2), "[####----------------]  20 %  1:57 left  2 found");
        let patient = LineTiming { retries: 1, ..timing };
        assert_eq!(line(progress, patient, 0), "[####----------------]  20 %  3:54 left  0 found");
        let whole = line(Progress { done: 251, left: 0, is_late: false }, timing, 3);
        assert_eq!(whole, "[####################] 100 %  0:00 left  3 found");
        assert_eq!(
            line(Progress { done: 0, left: 0, is_late: false }, timing, 0),
            "[--------------------]   0 %  0:00 left  0 found"
        );
    }

    #[test]
    fn a_rate_is_one_of_the_standard_or_all() {
        assert!(rates("all").is_ok() && rates("300").is_ok());
        assert!(rates("every").is_err_and(|error| error.ends_with("or all")));
    }
}
