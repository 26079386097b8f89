//! The JSON of `bridge/info`.
//!
//! Not here: when it is published (`task`), the snapshots it shows (`status`, `bus::health`).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bus::health::Health;
use crate::config::{Bus, Port};
use crate::status::Status;

/// `bridge/info`; each bus with its snapshot.
#[must_use]
pub(super) fn info<'a>(status: &Status, buses: impl Iterator<Item = (&'a Bus, Health)>) -> String {
    let info = InfoJson {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: status.uptime.as_secs(),
        readings: ReadingsJson {
            taken: status.readings_taken,
            delivered: status.readings_delivered,
            waiting: status.spool_depth,
            dropped: status.readings_dropped,
            set_aside: status.readings_set_aside,
            faulty: status.readings_faulty,
        },
        spool_depth: status.spool_depth,
        events_dropped: status.notes_dropped,
        buses: buses.map(|(bus, health)| (bus.name.clone(), BusJson::new(bus, &health))).collect(),
    };
    serde_json::to_string(&info).unwrap_or_default()
}

#[derive(Serialize)]
struct InfoJson {
    version: &'static str,
    uptime_s: u64,
    spool_depth: u64,
    events_dropped: u64,
    readings: ReadingsJson,
    buses: BTreeMap<String, BusJson>,
}

#[derive(Serialize)]
struct ReadingsJson {
    taken: u64,
    delivered: u64,
    waiting: u64,
    dropped: u64,
    set_aside: u64,
    faulty: u64,
}

#[derive(Serialize)]
struct BusJson {
    port: String,
    baud: u32,
    up: bool,
    readouts: u64,
    failed: u64,
    /// Percent of all readouts so far.
    error_rate: f64,
    /// Percent of the last hour.
    load: f64,
    line_losses: u64,
    last_error: Option<String>,
}

impl BusJson {
    fn new(bus: &Bus, health: &Health) -> Self {
        let readouts = health.readouts_ok + health.readouts_failed;
        let permille = health.readouts_failed.saturating_mul(1000) / readouts.max(1);
        Self {
            port: port(&bus.port),
            baud: bus.baud.bits_per_second(),
            up: health.up,
            readouts,
            failed: health.readouts_failed,
            error_rate: percent(permille),
            load: percent(u64::from(health.load_permille)),
            line_losses: health.line_losses,
            last_error: health.last_error.clone(),
        }
    }
}

/// One digit after the point; no meter value, so a float does no harm.
fn percent(permille: u64) -> f64 {
    f64::from(u32::try_from(permille).unwrap_or(u32::MAX)) / 10.0
}

fn port(port: &Port) -> String {
    match port {
        Port::Serial(path) => path.display().to_string(),
        Port::Tcp { host, port } if host.contains(':') => format!("tcp://[{host}]:{port}"),
        Port::Tcp { host, port } => format!("tcp://{host}:{port}"),
        Port::Sim(path) => format!("sim:{}", path.display()),
    }
}
