//! `[[bus]]`: the segments of wire.

use std::path::PathBuf;
use std::time::Duration;

use super::{Surroundings, called, reader};
use crate::config::file::Table;
use crate::config::problem::{LINE, Place, Problem};
use crate::config::reader::{Kind, Reader};
use crate::config::spelling;
use crate::config::{Bus, Hat, Port};
use crate::mbus::link::timing::{Baud, Parity};

pub(super) const BUS: Kind = Kind {
    name: "[[bus]]",
    keys: &[
        "name",
        "port",
        "baud",
        "parity",
        "stop_bits",
        "hat",
        "power_gpio",
        "power_settle",
        "response_timeout",
        "gap_timeout",
        "retries",
        "idle",
        "discover",
        "wake_up",
    ],
};

/// The UART on the header of a Raspberry Pi.
const PI_UART: &str = "/dev/ttyAMA0";
/// Names under which a Hat's UART is met; there a bus has a Hat unless it says otherwise.
const HAT_PORTS: [&str; 3] = [PI_UART, "/dev/serial0", "/dev/mbushat0"];

/// The bus of a file that names none.
fn hat_bus() -> Bus {
    Bus {
        name: "hat".to_owned(),
        port: Port::Serial(PI_UART.into()),
        baud: Baud::DEFAULT,
        parity: Parity::Even,
        stop_bits: 1,
        hat: Some(Hat { power_gpio: 26, power_settle: Duration::from_secs(1) }),
        response_timeout: None,
        gap_timeout: None,
        retries: 2,
        idle: Duration::ZERO,
        discover: false,
        wake_up: None,
    }
}

/// The bus on `port` where no file says more of it; a `sim:FILE` starts at the current folder. `None`
/// where that is not a port.
#[must_use]
pub fn bus_at(port_text: &str) -> Option<Bus> {
    let port = port(port_text, |file| Some(file.into()))?;
    let on_pi = is_hat_port(&port);
    let default = hat_bus();
    Some(Bus { name: port_text.to_owned(), port, hat: default.hat.filter(|_| on_pi), ..default })
}

/// All buses, at least one; as many as there are tables otherwise. `discover`: those that do not say otherwise.
pub(super) fn buses(
    tables: &[&Table],
    discover: bool,
    surroundings: &Surroundings<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Bus> {
    if tables.is_empty() {
        return vec![Bus { discover, ..hat_bus() }];
    }
    let mut buses: Vec<Found> = Vec::new();
    for table in tables {
        let Found { bus, port_at, comparable } = bus(table, discover, surroundings, problems);
        for Found { bus: other, port_at: at, comparable: it_is } in &buses {
            let other_bus = called("bus ", &other.name, "the bus");
            let clash = |what: &str| format!("{what} is that of {other_bus} of {LINE} too");
            if !bus.name.is_empty() && bus.name == other.name {
                let name_at = table.entries.get("name").map_or(table.at, |entry| entry.item.at);
                problems.push(Problem::beside(*at, name_at, clash(&format!("the name \"{}\"", bus.name))));
            }
            if comparable && *it_is && bus.port == other.port && !matches!(bus.port, Port::Sim(_)) {
                problems.push(Problem::beside(*at, port_at, clash("the port")));
            } else if bus.hat.is_some_and(|hat| other.hat.is_some_and(|its| its.power_gpio == hat.power_gpio)) {
                problems.push(Problem::beside(*at, port_at, clash("the Hat's `power_gpio`")));
            }
        }
        buses.push(Found { bus, port_at, comparable });
    }
    buses.into_iter().map(|found| found.bus).collect()
}

/// A bus, where its port stands, and whether that can be compared with other buses' ports.
struct Found {
    bus: Bus,
    port_at: Place,
    comparable: bool,
}

fn bus(table: &Table, discover: bool, surroundings: &Surroundings<'_>, problems: &mut Vec<Problem>) -> Found {
    let default = hat_bus();
    let mut keys = reader(&BUS, table, problems);
    let name = keys.parsed("name", SLUG, |text| spelling::is_slug(text).then(|| text.to_owned()));
    if !keys.is_meant("name") {
        keys.problem(table.at, "this [[bus]] has no `name`");
    }
    let expected = "a serial device (\"/dev/ttyUSB0\"), \"tcp://host:port\", \"rfc2217://host:port\" or \"sim:FILE\"";
    let port = keys.parsed("port", expected, |text| port(text, |file| surroundings.path(file)));
    let comparable = port.is_some() || !keys.has("port");
    let on_pi = port.as_ref().map_or(!keys.has("port"), is_hat_port);
    let hat =
        hat(&mut keys, on_pi, port.as_ref().is_some_and(|port| port.is_gateway() || matches!(port, Port::Sim(_))));
    let bus = Bus {
        name: name.unwrap_or_default(),
        port: port.unwrap_or(default.port),
        baud: keys.baud("baud").unwrap_or(default.baud),
        parity: keys.parity("parity").unwrap_or(default.parity),
        stop_bits: keys.whole("stop_bits", 1..=2).unwrap_or(default.stop_bits),
        hat,
        response_timeout: keys.millis("response_timeout", TIMEOUT_MS).map(millis),
        gap_timeout: keys.millis("gap_timeout", TIMEOUT_MS).map(millis),
        retries: keys.whole("retries", 0..=10).unwrap_or(default.retries),
        idle: keys.millis("idle", 0..=60_000).map_or(default.idle, millis),
        discover: keys.boolean("discover").unwrap_or(discover),
        wake_up: keys.parsed("wake_up", spelling::WAKE_UP, spelling::wake_up),
    };
    let port_at = keys.at("port");
    Found { bus, port_at, comparable }
}

fn hat(keys: &mut Reader<'_, '_>, default: bool, no_uart: bool) -> Option<Hat> {
    let hat = keys.boolean("hat").unwrap_or(default);
    if hat && no_uart {
        keys.problem(keys.at("hat"), "`hat` is true, but a Hat is on a serial device: set hat = false");
    }
    for key in ["power_gpio", "power_settle"] {
        if keys.has(key) && !hat && !keys.has("hat") {
            keys.problem(keys.at(key), format!("`{key}` has no effect without a Hat; set hat = true"));
        }
    }
    let power_gpio = keys.whole("power_gpio", 0..=27).unwrap_or(26);
    let power_settle = keys.millis("power_settle", 0..=60_000).map_or(Duration::from_secs(1), millis);
    hat.then_some(Hat { power_gpio, power_settle })
}

fn is_hat_port(port: &Port) -> bool {
    matches!(port, Port::Serial(path) if HAT_PORTS.iter().any(|known| path.as_os_str() == *known))
}

fn port(text: &str, sim_file: impl Fn(&str) -> Option<PathBuf>) -> Option<Port> {
    if let Some(place) = text.strip_prefix("tcp://") {
        let (host, port) = spelling::host_and_port(place)?;
        return Some(Port::Tcp { host, port: port? });
    }
    if let Some(place) = text.strip_prefix("rfc2217://") {
        let (host, port) = spelling::host_and_port(place)?;
        return Some(Port::Rfc2217 { host, port: port? });
    }
    if let Some(file) = text.strip_prefix("sim:") {
        return sim_file(file).map(Port::Sim);
    }
    (text.starts_with('/') && !text.contains('\0')).then(|| Port::Serial(text.into()))
}

/// What a name must look like.
pub(super) const SLUG: &str = "1 to 64 of a-z, 0-9 and _";

/// What a first-byte timeout may be, in milliseconds.
pub(super) const TIMEOUT_MS: std::ops::RangeInclusive<i64> = 10..=60_000;

/// A range-checked duration.
pub(super) fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}
