//! `mbushat meter`: orders that change a meter. Each is shown first, asked for, and checked after.
//!
//! What goes over the wire, and what counts as obeyed, is decided in `mbus::master::maintenance`.

mod only;

use std::io::{BufRead, Write};
use std::path::Path;

use clap::Subcommand;
use jiff::Zoned;
use jiff::tz::TimeZone;

use super::runtime::run_until_interrupted;
use super::wire::{Target, Wire, WireArgs};
use super::{Failure, arguments, log, print};
use crate::bus::frames::Hex;
use crate::config::{Bus, Config};
use crate::mbus::address::{MeterAddress, PrimaryAddress};
use crate::mbus::application::calendar::{Date, DateTime, Time};
use crate::mbus::link::timing::Baud;
use crate::mbus::master::maintenance::{Change, Effect, Maintenance};

/// Arguments of `mbushat meter`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  mbushat meter set-address 48 5
  mbushat meter set-baud 30137315 9600 --dry-run
  mbushat meter sync-clock heat --yes

Meters may be locked, or allow few writes a day: see their manuals.

Exit code 0: the meter obeyed or acknowledged, or it was a dry run; 1: it was
not changed, or that is not certain; 2: wrong usage; 78: the configuration is
bad.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Give a meter another primary address
    #[command(after_help = "Example:\n  mbushat meter set-address 48 5")]
    SetAddress {
        #[command(flatten)]
        how: How,
        /// The new address, 0 to 250
        #[arg(value_parser = arguments::primary)]
        new: PrimaryAddress,
    },
    /// Make a meter speak at another rate; the others on the bus do not follow
    #[command(after_help = "Example:\n  mbushat meter set-baud 30137315 9600 --dry-run")]
    SetBaud {
        #[command(flatten)]
        how: How,
        /// The new rate, 300 to 38400
        #[arg(value_parser = arguments::baud)]
        new: Baud,
    },
    /// Reset a meter's application: it sends its standard telegram again
    #[command(after_help = "Example:\n  mbushat meter reset 48")]
    Reset {
        #[command(flatten)]
        how: How,
    },
    /// Choose what a meter sends by a code from its manual
    #[command(after_help = "Example:\n  mbushat meter select-application 48 50")]
    SelectApplication {
        #[command(flatten)]
        how: How,
        /// The code, two hex digits
        #[arg(value_parser = code)]
        code: u8,
    },
    /// Set a meter's clock to the local time
    #[command(after_help = "Example:\n  mbushat meter sync-clock heat --yes")]
    SyncClock {
        #[command(flatten)]
        how: How,
    },
}

/// What to do where the agent has the bus.
const INSTEAD: &str = "stop it (sudo systemctl stop mbushat), and start it again afterwards";

/// Which meter, and with how many questions.
#[derive(Debug, clap::Args)]
struct How {
    /// A name from the configuration, a primary address (0 to 250), a secondary address, or 254: the meter
    /// alone on its bus, which is read first and then changed by the secondary address that it has
    meter: String,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    /// Only show what would be sent
    #[arg(long)]
    dry_run: bool,

    /// With 254: the meter is alone on its bus, though it does not answer to a secondary address
    #[arg(long)]
    only_meter: bool,

    /// Rate that the meter has now, instead of the configuration's or 2400
    #[arg(long, value_parser = arguments::baud)]
    baud: Option<Baud>,

    #[command(flatten)]
    wire: WireArgs,
}

fn code(text: &str) -> Result<u8, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u8::from_str_radix(text, 16).ok().filter(|_| digits).ok_or_else(|| "expected two hex digits, as 50".to_owned())
}

/// Shows the order, asks, gives it, and says what came of it.
pub(crate) fn run(args: &Args, file: &Path) -> Result<(), Failure> {
    let how = args.what.how();
    log::start_for_command(how.wire.trace)?;
    let patient = Patient::new(how, how.wire.choose(file)?)?;
    print(patient.plan(args.what.change(&patient.wire)?))?;
    if how.dry_run {
        return print("Nothing was sent: this was a dry run.\n");
    }
    let patient = match patient.target.address {
        MeterAddress::Primary(PrimaryAddress::ONLY) => {
            let patient = only::identified(patient, how.only_meter)?;
            print(on_the_wire(args.what.change(&patient.wire)?, patient.target.address))?;
            patient
        }
        _ => patient,
    };
    if !how.yes {
        agreed()?;
    }
    // A clock is set to the time at which it is set, not to that of the question.
    let change = args.what.change(&patient.wire)?;
    match run_until_interrupted(patient.give(change))? {
        None => Err(Failure::new("interrupted: the order may have arrived, ask the meter")),
        Some(Err(failure)) => Err(failure),
        Some(Ok(effect)) => print(patient.outcome(change, effect)),
    }
}

/// Asks on stderr; no answer is a no.
fn agreed() -> Result<(), Failure> {
    let mut answer = String::new();
    write!(std::io::stderr(), "Do it? [y/N] ")?;
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        // The question stands on a line that nobody has ended.
        eprintln!();
        return Err(Failure::new("nothing was changed: --yes does it without asking"));
    }
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new("nothing was changed")),
    }
}

impl What {
    const fn how(&self) -> &How {
        match self {
            Self::SetAddress { how, .. } | Self::SetBaud { how, .. } | Self::Reset { how } => how,
            Self::SelectApplication { how, .. } | Self::SyncClock { how } => how,
        }
    }

    fn change(&self, wire: &Wire) -> Result<Change, Failure> {
        Ok(match *self {
            Self::SetAddress { new, .. } => Change::Address(new),
            Self::SetBaud { new, .. } => Change::Baud(new),
            Self::Reset { .. } => Change::Application(None),
            Self::SelectApplication { code, .. } => Change::Application(Some(code)),
            Self::SyncClock { .. } => Change::Clock(local_time(wire)?),
        })
    }
}

/// Now, where the meters are.
fn local_time(wire: &Wire) -> Result<DateTime, Failure> {
    let timezone = wire.config.as_ref().map_or_else(TimeZone::system, Config::time_zone);
    date_time(&Zoned::now().with_time_zone(timezone)).ok_or_else(|| Failure::new("the clock of this machine is wrong"))
}

/// To the minute, as type F has it.
fn date_time(now: &Zoned) -> Option<DateTime> {
    let date = Date {
        year: u16::try_from(now.year()).ok()?,
        month: u8::try_from(now.month()).ok()?,
        day: u8::try_from(now.day()).ok()?,
    };
    let time = Time { hour: u8::try_from(now.hour()).ok()?, minute: u8::try_from(now.minute()).ok()?, second: None };
    let summer = now.time_zone().to_offset_info(now.timestamp()).dst().is_dst();
    Some(DateTime { date, time, summer })
}

/// The bytes; of the meter alone on its bus they are known once it has said who it is.
fn on_the_wire(change: Change, address: MeterAddress) -> String {
    match address {
        MeterAddress::Primary(PrimaryAddress::ONLY) => {
            "It is read first, and asked by the secondary address that it says.\n".to_owned()
        }
        address => format!("On the wire that is\n  {}\n", Hex(&change.request(address).frame)),
    }
}

/// The meter that is changed.
struct Patient {
    target: Target,
    /// Its rate now.
    baud: Baud,
    wire: Wire,
}

impl Patient {
    /// A meter of the configuration brings its bus, rate and parity along.
    fn new(how: &How, mut wire: Wire) -> Result<Self, Failure> {
        let target = wire.target_or_only(&how.meter)?;
        let character = wire.query(&target, how.baud).character;
        wire.bus = Bus { parity: character.parity, ..target.bus.clone() };
        Ok(Self { target, baud: character.baud, wire })
    }

    /// What will be done, and the bytes.
    fn plan(&self, change: Change) -> String {
        let Self { target: Target { name, address, .. }, baud, wire } = self;
        let what = match change {
            Change::Address(new) => format!("change to primary address {new}, if that is free"),
            Change::Baud(new) => format!("change to {new} baud; a bus has one rate at a time"),
            Change::Application(None) => "reset its application".to_owned(),
            Change::Application(Some(code)) => format!("select application {code:02X}"),
            Change::Clock(time) => {
                let DateTime { date, time, summer } = time;
                let season = if summer { " (summer time)" } else { "" };
                let (hour, minute) = (time.hour, time.minute);
                format!(
                    "set its clock to {}-{:02}-{:02} {hour:02}:{minute:02}{season}",
                    date.year, date.month, date.day
                )
            }
        };
        let who = if *name == address.to_string() { String::new() } else { format!("{name}, ") };
        let line = format!("{}, {}", wire.port(), wire.character(*baud));
        format!("The meter at {address} ({who}{line}) is asked to\n  {what}.\n{}", on_the_wire(change, *address))
    }

    /// Gives the order and checks it.
    async fn give(&self, change: Change) -> Result<Effect, Failure> {
        let mut session = self.wire.open("change a meter", INSTEAD).await?;
        let timing = self.wire.timing(&session, self.baud, self.wire.bus.retries);
        let wake_up = self.target.meter.as_ref().and_then(|meter| meter.wake_up).or(self.target.bus.wake_up);
        session.wake(self.wire.character(self.baud), wake_up).await?;
        let mut maintenance = Maintenance::new(self.target.address, change, timing);
        let outcome = session.converse(self.wire.character(self.baud), &mut maintenance).await?;
        outcome.map_err(|error| Failure::new(format!("the meter at {}: {error}", self.target.address)))
    }

    /// What came of it, and what is left to do.
    fn outcome(&self, change: Change, effect: Effect) -> String {
        let mut text = match (effect, change) {
            (Effect::Acknowledged, _) => "The meter acknowledged; whether it obeyed does not show.\n".to_owned(),
            (Effect::Unanswered, _) => {
                "The meter did not acknowledge, but answers as before; whether it obeyed does not show.\n".to_owned()
            }
            (Effect::Verified, Change::Address(new)) => format!("Done: it answers at address {new}.\n"),
            (Effect::Verified, Change::Baud(new)) => format!("Done: it answers at {new} baud.\n"),
            (Effect::Verified, Change::Clock(_)) => "Done: its clock shows that time.\n".to_owned(),
            (Effect::Verified, Change::Application(_)) => "Done.\n".to_owned(),
        };
        let setting = match change {
            Change::Address(new) if matches!(self.target.address, MeterAddress::Primary(_)) => {
                format!("address = {new}")
            }
            Change::Baud(new) => format!("baud = {new}"),
            _ => return text,
        };
        if let Some(meter) = &self.target.meter {
            text += &format!("Now change the configuration of {}:\n  {setting}\n", meter.name);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, code, date_time, on_the_wire};
    use crate::mbus::address::{MeterAddress, PrimaryAddress};

    #[test]
    fn no_bytes_are_shown_that_every_meter_would_obey() {
        let new = Change::Address(PrimaryAddress::new(9).expect("an address"));
        let shown = |address| on_the_wire(new, MeterAddress::Primary(address));
        assert!(!shown(PrimaryAddress::ONLY).contains("53 FE"), "{}", shown(PrimaryAddress::ONLY));
        let five = PrimaryAddress::new(5).expect("an address");
        assert_eq!(shown(five), "On the wire that is\n  68 06 06 68 53 05 51 01 7A 09 2D 16\n");
    }

    #[test]
    fn summer_time_is_told_to_the_meter() {
        let of = |text: &str| date_time(&text.parse().expect("a time")).expect("in range");
        let summer = of("2026-07-01T12:34:56+02:00[Europe/Zurich]");
        assert!(summer.summer && summer.time.hour == 12 && summer.time.minute == 34);
        assert!(!of("2026-11-22T19:15:00+01:00[Europe/Zurich]").summer);
    }

    #[test]
    fn a_code_is_hex_without_sign() {
        assert_eq!(code("5a"), Ok(0x5A));
        assert!(code("+5").is_err() && code("100").is_err() && code("").is_err());
    }
}
