//! What a scan has found, as a table for people and as `[[meter]]` tables to paste.

use std::fmt::Write;

use serde::Serialize;

use crate::cli::table::Table;
use crate::cli::wire::Wire;
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::application::telegram::Telegram;
use crate::mbus::link::frame::Frame;
use crate::mbus::link::timing::Baud;
use crate::mbus::master::reply::address_of;
use crate::mbus::master::search::Found;
use crate::mbus::{maker, medium};

/// Columns that a terminal has.
const WIDTH: usize = 80;

/// One find.
#[derive(Debug)]
pub(super) struct FoundAt {
    pub(super) what: Found,
    /// The rate at which it answered.
    pub(super) baud: Baud,
}

/// A row for each meter, then the collisions and what to do about them. On a terminal no row is longer
/// than a line.
pub(super) fn table(found: &[FoundAt], terminal: bool) -> String {
    let mut table = Table::new(["ADDRESS", "ID", "MAKER", " VERSION", "MEDIUM", " BAUD", "MEASURES"]);
    let mut text = String::new();
    let mut meters = 0;
    for FoundAt { what, baud } in found {
        match what {
            Found::Meter { address, identity, fabrication_number, frame } => {
                if let Some(number) = fabrication_number {
                    let _ = writeln!(text, "duplicate id {address}: {}", shared(*number, frame.as_deref()));
                }
                let measures = frame.as_ref().map_or_else(|| "gives no data".to_owned(), |f| quantities(f).join(", "));
                table.row(row(*address, *identity, *baud, measures));
                if let Some(said) = another(*address, frame.as_deref()) {
                    let _ = writeln!(text, "at {address} {}", another_answered(said, *identity));
                }
                meters += 1;
            }
            Found::Collision(address) => {
                let _ = writeln!(text, "collision at {address} ({baud} baud): {}", advice(*address));
            }
        }
    }
    if meters == 0 {
        return text;
    }
    let rows: String = table
        .to_string()
        .lines()
        .map(|line| if terminal { format!("{}\n", cut(line)) } else { format!("{line}\n") })
        .collect();
    format!("{rows}{text}")
}

fn row(address: MeterAddress, identity: Option<SecondaryAddress>, baud: Baud, measures: String) -> [String; 7] {
    let of = |text: fn(SecondaryAddress) -> String| identity.map(text).unwrap_or_default();
    [
        address.to_string(),
        of(|identity| format!("{:08X}", identity.id())),
        of(made_by),
        of(|identity| identity.version().to_string()),
        of(|identity| medium::name(identity.medium()).replace('_', " ")),
        baud.to_string(),
        measures,
    ]
}

const fn advice(address: MeterAddress) -> &'static str {
    match address {
        MeterAddress::Primary(_) => {
            "several meters have it, or the line is noisy;\n  `mbushat scan --secondary` tells them apart"
        }
        MeterAddress::Secondary(_) => {
            "a duplicate id, or a noisy line;\n  connect them one at a time to learn who they are"
        }
    }
}

/// The address that a telegram says, where that is not the one that was asked: no readout takes it.
pub(super) fn another(asked: MeterAddress, frame: Option<&[u8]>) -> Option<u8> {
    let MeterAddress::Primary(asked) = asked else { return None };
    address_of(frame?).filter(|said| asked != PrimaryAddress::ONLY && *said != asked.get())
}

/// What is said of it.
fn another_answered(said: u8, identity: Option<SecondaryAddress>) -> String {
    let instead = match identity {
        Some(identity) => format!("\n  if it says a wrong one, read it by its secondary address {identity}"),
        None => String::new(),
    };
    format!("another address answered ({said});{instead}")
}

/// Which of several meters with one identity this is, and how it can be read all the same.
fn shared(fabrication_number: u32, frame: Option<&[u8]>) -> String {
    let number = format!("{fabrication_number:08X}").replace('F', "?");
    let primary = match frame.map(Frame::parse) {
        Some(Ok(Frame::Long { a, .. })) => format!(" (now {a})"),
        _ => String::new(),
    };
    format!("fabrication number {number};\n  read it by a primary address of its own{primary}")
}

/// A row that does not fit loses the end of what the meter measures.
fn cut(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    let kept: String = line.chars().take(WIDTH - 1).collect();
    format!("{}…", kept.trim_end_matches([',', ' ']))
}

/// The names of what a telegram carries, each once, without those of older storage numbers.
fn quantities(frame: &[u8]) -> Vec<String> {
    let frame = Frame::parse(frame).ok();
    let Some(telegram) = frame.as_ref().and_then(|frame| Telegram::parse(frame).ok()) else { return Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for record in telegram.records().flatten().filter(|record| record.dib.storage_number == 0) {
        let name = record.vib.quantity.to_string().replace('_', " ");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[derive(Serialize)]
struct Scanned<'a> {
    meters: Vec<MeterJson<'a>>,
    collisions: Vec<CollisionJson>,
}

#[derive(Serialize)]
struct MeterJson<'a> {
    address: String,
    baud: u32,
    id: Option<String>,
    manufacturer: Option<String>,
    version: Option<u8>,
    medium: Option<&'static str>,
    /// Set where several meters have this address, which it tells apart.
    fabrication_number: Option<String>,
    /// Names of what it measures; empty where it gives no data.
    measures: Vec<String>,
    /// Its name in the configuration.
    configured: Option<&'a str>,
}

#[derive(Serialize)]
struct CollisionJson {
    address: String,
    baud: u32,
}

/// `{"meters":[…],"collisions":[…]}`, indented.
pub(super) fn json(found: &[FoundAt], wire: &Wire) -> Result<String, serde_json::Error> {
    let mut scanned = Scanned { meters: Vec::new(), collisions: Vec::new() };
    for FoundAt { what, baud } in found {
        let baud = baud.bits_per_second();
        match what {
            Found::Collision(address) => {
                scanned.collisions.push(CollisionJson { address: address.to_string(), baud });
            }
            Found::Meter { address, identity, fabrication_number, frame } => scanned.meters.push(MeterJson {
                address: address.to_string(),
                baud,
                id: identity.map(|identity| format!("{:08X}", identity.id())),
                manufacturer: identity.map(|identity| identity.manufacturer().to_string()),
                version: identity.map(SecondaryAddress::version),
                medium: identity.map(|identity| medium::name(identity.medium())),
                fabrication_number: fabrication_number.map(|number| format!("{number:08X}")),
                measures: frame.as_deref().map(quantities).unwrap_or_default(),
                configured: configured(*address, wire),
            }),
        }
    }
    Ok(format!("{}\n", serde_json::to_string_pretty(&scanned)?))
}

/// `[[meter]]` tables; what cannot or need not be pasted is a comment.
pub(super) fn toml(found: &[FoundAt], wire: &Wire) -> String {
    let (mut text, mut names) = (String::new(), Vec::new());
    for FoundAt { what, baud } in found {
        match what {
            Found::Collision(address) => {
                let advice = advice(*address).replace("\n ", "\n#");
                let _ = writeln!(text, "# collision at {address}: {advice}\n");
            }
            Found::Meter { address, identity, fabrication_number: Some(number), frame } => {
                let _ = writeln!(text, "# {}", describe(*identity, "shares its address with another meter"));
                let _ = writeln!(text, "# {address}: {}\n", shared(*number, frame.as_deref()).replace("\n ", "\n#"));
            }
            Found::Meter { address, identity, frame, .. } => {
                let measures = frame.as_deref().map(quantities).unwrap_or_default().join(", ");
                let _ = writeln!(text, "# {}", describe(*identity, &measures));
                if let Some(name) = configured(*address, wire) {
                    let _ = writeln!(text, "# at {address}: configured already, as {name}\n");
                    continue;
                }
                if let Some(said) = another(*address, frame.as_deref()) {
                    let advice = another_answered(said, *identity).replace("\n ", "\n#");
                    let _ = writeln!(text, "# at {address} {advice}\n");
                    continue;
                }
                let name = name(*address, *identity, &names);
                text += &meter(&name, *address, *baud, wire);
                names.push(name);
            }
        }
    }
    text
}

fn meter(name: &str, address: MeterAddress, baud: Baud, wire: &Wire) -> String {
    let mut text = format!("[[meter]]\nname = \"{name}\"\n");
    let buses = wire.config.as_ref().map_or(0, |config| config.buses.len());
    if buses > 1 {
        let _ = writeln!(text, "bus = \"{}\"", wire.bus.name);
    }
    let _ = match address {
        MeterAddress::Primary(address) => writeln!(text, "address = {address}"),
        MeterAddress::Secondary(address) => writeln!(text, "secondary = \"{address}\""),
    };
    if baud != wire.bus.baud {
        let _ = writeln!(text, "baud = {baud}");
    }
    text.push('\n');
    text
}

/// `ATS 30137315, heat, version 1: energy, volume`
fn describe(identity: Option<SecondaryAddress>, measures: &str) -> String {
    let Some(identity) = identity else { return format!("a meter that does not say who it is: {measures}") };
    let medium = medium::name(identity.medium()).replace('_', " ");
    let (maker, id, version) = (made_by(identity), identity.id(), identity.version());
    format!("{maker} {id:08X}, {medium}, version {version}: {measures}")
}

/// `KAM Kamstrup`, or the letters alone.
fn made_by(identity: SecondaryAddress) -> String {
    let code = identity.manufacturer();
    maker::name(code).map_or_else(|| code.to_string(), |name| format!("{code} {name}"))
}

/// A name made of medium and number; where that is taken or not known, of the address.
fn name(address: MeterAddress, identity: Option<SecondaryAddress>, taken: &[String]) -> String {
    let by_number = identity.map(|identity| {
        let medium = medium::name(identity.medium());
        format!("{medium}_{:08x}", identity.id())
    });
    match by_number.filter(|name| !taken.contains(name)) {
        Some(name) => name,
        None => format!("meter_{}", address.to_string().to_ascii_lowercase()),
    }
}

/// The name of the meter that the configuration has at this address of the bus.
fn configured(address: MeterAddress, wire: &Wire) -> Option<&str> {
    let config = wire.config.as_ref()?;
    let place = config.buses.iter().position(|bus| bus.name == wire.bus.name)?;
    let meter = config.meters.iter().find(|meter| meter.bus == place && meter.address == address)?;
    Some(&meter.name)
}
