//! `mbushat check`: is the configuration good, and what will be read when?

mod json;
mod warnings;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::exposed::{exposed, missing};
use super::table::Table;
use super::{Failure, print, unloadable};
use crate::adopt::keeping;
use crate::agent::hatless::without_missing_hat;
use crate::bus::schedule::{Next, Now, Plan, Schedule};
use crate::bus::session::character;
use crate::config::{Adopted, Bus, Config, LoadError, Meter, Port, Replies, bus_load, duration, simulation, turn_time};
use crate::spool::{self, Memo};
use warnings::warnings;

/// Exit code for a bad configuration.
const EX_CONFIG: u8 = 78;
/// Characters of a telegram whose size is not known.
const USUAL_REPLY: usize = 100;

/// Arguments of `mbushat check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mbushat check /etc/mbushat.toml\n  mbushat check --format json\n\nExit code 0: the file is good; 1: it cannot be read; 78: it has problems, or\nthere is none."
)]
pub(crate) struct Args {
    /// The file, instead of that of --config
    file: Option<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for people
    Text,
    /// A JSON object, for a bad file too
    Json,
}

/// Prints the plan, or ends with every problem of the file.
pub(crate) fn run(args: &Args, config: &Path) -> Result<(), Failure> {
    let file = args.file.as_deref().unwrap_or(config);
    let config = match load_all(file) {
        Err(LoadError::Bad(problems)) if args.format == Format::Json => {
            print(json::bad(file, &problems)?)?;
            return Err(Failure::said(EX_CONFIG));
        }
        Err(error) => {
            if args.format == Format::Json {
                print(json::unreadable(file, &error)?)?;
            }
            return Err(unloadable(error));
        }
        Ok(config) => config,
    };
    let timezone = config.time_zone();
    let now = Now { monotonic: Instant::now(), wall: Timestamp::now() };
    let learnt = Learnt::of(&config);
    let all = warnings(&config, &learnt).into_iter().chain(exposed(&config)).chain(missing(&config));
    let warnings: Vec<String> = all.chain(adopted(&config.adopted)).collect();
    if args.format == Format::Json {
        return print(json::good(file, &config, &learnt, &timezone, now, &warnings)?);
    }
    print(format_args!("{} is good.\n{}", file.display(), report(&config, &learnt, &timezone, now)))?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

/// The configuration, with the files of its simulated buses looked at too.
fn load_all(file: &Path) -> Result<Config, LoadError> {
    let config = without_missing_hat(keeping::load(file, &[])?);
    for bus in &config.buses {
        if let Port::Sim(file) = &bus.port {
            simulation::load(file)?;
        }
    }
    Ok(config)
}

/// What keeps adopted meters from being read.
fn adopted(adopted: &Adopted) -> impl Iterator<Item = String> {
    let trouble = adopted.trouble.iter().map(|trouble| format!("no adopted meter is read: {trouble}"));
    let left_out = adopted.left_out.iter().map(|(name, why)| format!("the adopted meter {name} is not read: {why}"));
    trouble.chain(left_out)
}

/// What each meter answered when the agent read it.
struct Learnt(BTreeMap<String, Replies>);

impl Learnt {
    /// A store that is not there yet, or not ours to read, has learnt nothing.
    fn of(config: &Config) -> Self {
        let texts = spool::peek(&config.store.directory, Memo::Replies).unwrap_or_default();
        Self(texts.into_iter().filter_map(|(meter, text)| Some((meter, Replies::from_text(&text)?))).collect())
    }

    fn replies(&self, meter: &Meter) -> Replies {
        self.0.get(&meter.name).copied().unwrap_or_else(|| Replies::each(meter, USUAL_REPLY))
    }
}

fn report(config: &Config, learnt: &Learnt, timezone: &TimeZone, now: Now) -> String {
    let mqtt = &config.mqtt;
    let tls = if mqtt.tls.is_some() { " with TLS" } else { "" };
    let announced = if config.homeassistant.enabled { ", announced to Home Assistant" } else { "" };
    let base = &mqtt.base_topic;
    let mut text = format!("Publishes {base}/# to {}{tls}{announced}.\n\n", mqtt.places());
    if !config.buses.is_empty() {
        let _ = writeln!(text, "{}", buses(config, learnt));
    }
    if config.meters.is_empty() {
        text += &no_meter(config);
        return text;
    }
    let _ = write!(text, "{}", meters(config, learnt, timezone, now));
    if config.meters.iter().any(|meter| !learnt.0.contains_key(&meter.name)) {
        text += "\n~ estimated (meter not read yet, 100 bytes assumed)\n";
    }
    text += "\nAt the start each meter is read at once, unless its last reading is younger\n\
             than its interval.\n";
    text
}

fn no_meter(config: &Config) -> String {
    if config.disabled_meters.is_empty() {
        if config.buses.is_empty() {
            return "No [[bus]] is written, and no M-Bus Master Hat was found here: no port is opened. Write one,\n\
                    such as [[bus]] name = \"usb\" port = \"/dev/ttyUSB0\".\n"
                .to_owned();
        }
        if config.adopted.trouble.is_some() {
            let file = config.adopted.file.display();
            return format!("No [[meter]] is configured, and the file of adopted meters, {file}, is broken.\n");
        }
        if config.buses.iter().any(|bus| bus.discover) {
            let file = config.adopted.file.display();
            return format!("No [[meter]] is configured: the agent looks for meters and keeps them in {file}.\n");
        }
        return "No meter is configured: add a [[meter]] with a name and an address.\n".to_owned();
    }
    let names = config.disabled_names().join(", ");
    format!("No meter is enabled: {names} has enabled = false.\n")
}

fn buses(config: &Config, learnt: &Learnt) -> Table<6> {
    let mut table = Table::new(["BUS", "PORT", "LINE", "POWER", " METERS", " LOAD"]);
    for (place, bus) in config.buses.iter().enumerate() {
        let (meters, load) = here(config, learnt, place, bus);
        table.row([
            bus.name.clone(),
            bus.port.to_string(),
            character(bus, None).to_string(),
            bus.hat.map_or_else(|| "its own".to_owned(), |hat| format!("Hat, GPIO {}", hat.power_gpio)),
            meters.to_string(),
            format!("{:.1} %", load * 100.0),
        ]);
    }
    table
}

/// How many meters a bus has, and the part of its time that they take.
fn here(config: &Config, learnt: &Learnt, place: usize, bus: &Bus) -> (usize, f64) {
    let meters = config.meters.iter().filter(|meter| meter.bus == place);
    meters.fold((0, 0.0), |(count, load), meter| (count + 1, load + bus_load(meter, bus, learnt.replies(meter))))
}

fn meters(config: &Config, learnt: &Learnt, timezone: &TimeZone, now: Now) -> Table<7> {
    let mut table = Table::new(["METER", "BUS", "ADDRESS", " EVERY", " NEXT", " THEN", " WIRE"]);
    for meter in &config.meters {
        let Some(bus) = config.buses.get(meter.bus) else { continue };
        let guess = if learnt.0.contains_key(&meter.name) { "" } else { "~" };
        let [next, then] =
            slots(meter, timezone, now).map(|slot| slot.map_or(String::new(), |s| clock(s, timezone, now)));
        table.row([
            meter.name.clone(),
            bus.name.clone(),
            meter.address.to_string(),
            duration(i64::try_from(meter.interval.as_millis()).unwrap_or(i64::MAX)),
            next,
            then,
            format!("{guess}{:.1} s", turn_time(meter, bus, learnt.replies(meter)).as_secs_f64()),
        ]);
    }
    table
}

/// The two reads that follow the one at the start.
fn slots(meter: &Meter, timezone: &TimeZone, mut now: Now) -> [Option<Timestamp>; 2] {
    let mut schedule = Schedule::new(vec![Plan::new(meter, None)], timezone.clone(), now);
    let mut read = || loop {
        match schedule.next(now) {
            Next::Read(turn) => return turn.due_at,
            Next::WaitUntil(until) => {
                let wait = until.saturating_duration_since(now.monotonic);
                now = Now { monotonic: until, wall: now.wall.saturating_add(wait).ok()? };
            }
            Next::Idle => return None,
        }
    };
    read();
    [read(), read()]
}

/// A local time of day, with its date where that is not today's.
fn clock(slot: Timestamp, timezone: &TimeZone, now: Now) -> String {
    let (slot, today) = (slot.to_zoned(timezone.clone()), now.wall.to_zoned(timezone.clone()).date());
    let format = if slot.date() == today { "%H:%M:%S" } else { "%m-%d %H:%M:%S" };
    slot.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Learnt, report};
    use crate::bus::schedule::Now;
    use crate::config::{Config, Replies, load};
    use jiff::tz::TimeZone;
    use std::time::Instant;

    pub(super) fn config(name: &str, text: &str) -> Config {
        let file = std::env::temp_dir().join(format!("mbushat-{}-{name}.toml", std::process::id()));
        std::fs::write(&file, text).expect("a writable folder");
        let config = load(&file);
        std::fs::remove_file(&file).expect("our file");
        config.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(super) const TWO_BUSES: &str = r#"
        [[bus]]
        name = "hat"
        [[bus]]
        name = "cellar"
        port = "tcp://10.0.0.1:10001"
        baud = 300
        [[meter]]
        name = "cold_water"
        bus = "hat"
        address = 48
        [[meter]]
        name = "heat"
        bus = "cellar"
        secondary = "30137315ATS0104"
        interval = "4h"
        offset = "-30s"
        [[meter]]
        name = "power"
        bus = "cellar"
        address = 1
        interval = "10s"
        profile = "eastron_sdm220"
        [[meter]]
        name = "gas"
        bus = "hat"
        secondary = "12345678PAD0103"
        interval = "5m"
    "#;

    #[test]
    fn the_plan_tells_who_is_read_when_and_for_how_long() {
        let now = Now { monotonic: Instant::now(), wall: "2026-11-22T21:40:20Z".parse().expect("a time") };
        let learnt = Learnt([("heat".to_owned(), Replies { telegrams: 2, characters: 162 })].into());
        let report = report(&config("plan", TWO_BUSES), &learnt, &TimeZone::UTC, now);
        let expected = "\
Publishes mbushat/# to localhost:1883, announced to Home Assistant.

BUS     PORT                  LINE      POWER         METERS    LOAD
hat     /dev/ttyAMA0          2400 8E1  Hat, GPIO 26       2   0.2 %
cellar  tcp://10.0.0.1:10001  300 8E1   its own            2  38.9 %

METER       BUS     ADDRESS           EVERY      NEXT            THEN    WIRE
cold_water  hat     48                  15m  22:00:00        22:15:00  ~0.5 s
heat        cellar  3013731593060104     4h  23:59:30  11-23 03:59:30   7.1 s
power       cellar  1                   10s  21:40:30        21:40:40  ~3.9 s
gas         hat     1234567824400103     5m  21:45:00        21:50:00  ~0.6 s
";
        assert!(report.starts_with(expected), "{report}");
        assert!(report.lines().all(|line| line.chars().count() <= 100), "{report}");
    }
}
