//! What `mbushat check` found as JSON, for programs.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Learnt, here, slots};
use crate::bus::schedule::Now;
use crate::bus::session::character;
use crate::config::{Config, LoadError, Problem, Problems, fingerprint, turn_time};

#[derive(Serialize)]
struct Good<'a> {
    file: String,
    good: bool,
    /// The hash that `bridge/info` shows of it.
    config: String,
    mqtt: MqttJson<'a>,
    homeassistant: bool,
    buses: Vec<BusJson<'a>>,
    meters: Vec<MeterJson<'a>>,
    /// Names of meters with `enabled = false`.
    disabled_meters: Vec<&'a str>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct MqttJson<'a> {
    brokers: Vec<BrokerJson<'a>>,
    tls: bool,
    base_topic: &'a str,
}

#[derive(Serialize)]
struct BrokerJson<'a> {
    host: &'a str,
    port: u16,
}

#[derive(Serialize)]
struct BusJson<'a> {
    name: &'a str,
    port: String,
    line: String,
    power_gpio: Option<u8>,
    meters: usize,
    /// Percent of its time.
    load: f64,
}

#[derive(Serialize)]
struct MeterJson<'a> {
    name: &'a str,
    bus: &'a str,
    address: String,
    interval_s: f64,
    /// The next two reads by the clock.
    next: Vec<String>,
    /// Seconds of its turn on the wire.
    wire_s: f64,
    /// Whether that is estimated, because the agent has not read it yet.
    estimated: bool,
}

#[derive(Serialize)]
struct Bad<'a> {
    file: String,
    good: bool,
    problems: Vec<ProblemJson<'a>>,
}

#[derive(Serialize)]
struct ProblemJson<'a> {
    file: String,
    /// `null`: it has no place in the file.
    line: Option<usize>,
    column: Option<usize>,
    what: &'a str,
}

/// A good file: what will be read when.
pub(super) fn good(
    file: &Path,
    config: &Config,
    learnt: &Learnt,
    timezone: &TimeZone,
    now: Now,
    warnings: &[String],
) -> Result<String, serde_json::Error> {
    let buses = config.buses.iter().enumerate().map(|(place, bus)| {
        let (meters, load) = here(config, learnt, place, bus);
        BusJson {
            name: &bus.name,
            port: bus.port.to_string(),
            line: character(bus, None).to_string(),
            power_gpio: bus.hat.map(|hat| hat.power_gpio),
            meters,
            load: (load * 1000.0).round() / 10.0,
        }
    });
    let meters = config.meters.iter().filter_map(|meter| {
        let bus = config.buses.get(meter.bus)?;
        let local = |slot: Timestamp| slot.to_zoned(timezone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let wire = turn_time(meter, bus, learnt.replies(meter)).as_secs_f64();
        Some(MeterJson {
            name: &meter.name,
            bus: &bus.name,
            address: meter.address.to_string(),
            interval_s: meter.interval.as_secs_f64(),
            next: slots(meter, timezone, now).into_iter().flatten().map(local).collect(),
            wire_s: (wire * 10.0).round() / 10.0,
            estimated: !learnt.0.contains_key(&meter.name),
        })
    });
    let mqtt = &config.mqtt;
    let brokers = mqtt.brokers.iter().map(|broker| BrokerJson { host: &broker.host, port: broker.port });
    text(&Good {
        file: file.display().to_string(),
        good: true,
        config: fingerprint(config),
        mqtt: MqttJson { brokers: brokers.collect(), tls: mqtt.tls.is_some(), base_topic: &mqtt.base_topic },
        homeassistant: config.homeassistant.enabled,
        buses: buses.collect(),
        meters: meters.collect(),
        disabled_meters: config.disabled_names(),
        warnings,
    })
}

/// A bad file: every problem.
pub(super) fn bad(file: &Path, problems: &Problems) -> Result<String, serde_json::Error> {
    let problems = problems.problems.iter().map(|Problem { at, what, .. }| ProblemJson {
        file: problems.file(*at).display().to_string(),
        line: Some(at.line),
        column: Some(at.column),
        what,
    });
    let problems = problems.collect();
    text(&Bad { file: file.display().to_string(), good: false, problems })
}

/// A file that cannot be read, or one that it needs.
pub(super) fn unreadable(file: &Path, error: &LoadError) -> Result<String, serde_json::Error> {
    let (unread, what) = match error {
        LoadError::Unreadable { file, error } | LoadError::NoSimulation { file, error } => {
            (file.as_path(), format!("cannot read it: {error}"))
        }
        LoadError::Bad(problems) => return bad(file, problems),
    };
    let problems = vec![ProblemJson { file: unread.display().to_string(), line: None, column: None, what: &what }];
    text(&Bad { file: file.display().to_string(), good: false, problems })
}

fn text(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}
