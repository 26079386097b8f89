//! What `/api/v1` tells: meters, buses, the agent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use super::house::App;
use super::part::Path;
use super::problem::{Problem, shortened};
use super::rights::May;
use crate::config::{Config, Meter};
use crate::mqtt::payload::{self, ReadingJson, Serial};
use crate::status::{AgentStatus, MeterStatus, Value};

/// A meter in the list.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct MeterJson<'a> {
    name: &'a str,
    title: Option<&'a str>,
    bus: &'a str,
    address: String,
    interval_s: u64,
    /// False: it was adopted or changed, and that is not in the file yet.
    kept: bool,
    online: bool,
    error: Option<&'a str>,
    last_read: Option<&'a str>,
    status: &'a [String],
    #[schema(value_type = BTreeMap<String, Value>)]
    values: BTreeMap<&'a str, &'a Value>,
}

/// One meter, with the whole of its newest reading.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct WholeMeter<'a> {
    #[serde(flatten)]
    meter: MeterJson<'a>,
    #[schema(value_type = Option<ReadingJson>)]
    reading: Option<Box<RawValue>>,
}

/// `GET meters`.
pub(super) async fn meters(State(app): State<App>) -> Response {
    let (house, status) = (app.house(), app.status());
    let status = status.borrow();
    let known = |meter: &Meter| status.meters.get(&meter.name).cloned().unwrap_or_default();
    let known: Vec<(&Meter, MeterStatus)> = house.config.meters.iter().map(|meter| (meter, known(meter))).collect();
    let kept = |meter: &Meter| house.keeps(&meter.name, &status.agent.adoption);
    let shown = known.iter().map(|(meter, known)| meter_json(&house.config, kept(meter), meter, known));
    json(&shown.collect::<Vec<_>>())
}

/// `GET meters/<name>`.
pub(super) async fn meter(
    State(app): State<App>,
    Extension(may): Extension<May>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let (house, status) = (app.house(), app.status());
    let meter = house.config.meters.iter().find(|meter| meter.name == name).ok_or_else(|| no_meter(&name))?;
    let status = status.borrow();
    let known = status.meters.get(&name).cloned().unwrap_or_default();
    let reading = reading(&status.agent, &known).map(|reading| as_seen_by(may, &reading).into_owned());
    let reading = reading.and_then(|reading| RawValue::from_string(reading).ok());
    let kept = house.keeps(&name, &status.agent.adoption);
    Ok(json(&WholeMeter { meter: meter_json(&house.config, kept, meter, &known), reading }))
}

/// `GET buses`.
pub(super) async fn buses(State(app): State<App>) -> Response {
    json(&app.status().borrow().agent.buses)
}

/// `GET info`: `bridge/info`, as of now.
pub(super) async fn info(State(app): State<App>) -> Response {
    let status = app.status();
    let status = status.borrow();
    as_json(payload::info(&status.agent_at(Instant::now()), &status.meters))
}

pub(super) fn no_meter(name: &str) -> Problem {
    Problem::not_found(format!("no such meter: {}", shortened(name)))
}

/// As `<meter>/reading` has it.
pub(super) fn reading(agent: &AgentStatus, meter: &MeterStatus) -> Option<String> {
    let newest = meter.newest.as_ref()?;
    let serial = Serial { agent: &agent.agent, epoch: &agent.epoch, seq: newest.seq };
    Some(payload::reading(newest.reading.as_ref()?, serial))
}

/// A reading without the telegrams that come with `raw = true`, for who may not see those.
pub(super) fn as_seen_by(may: May, reading: &str) -> Cow<'_, str> {
    // nothing that a meter or a user wrote has this in it: a quote in a text is escaped, and a label is not a list
    let telegrams = reading.split_once(",\"telegrams\":[").filter(|_| may < May::All);
    match telegrams.and_then(|(before, rest)| Some((before, rest.split_once(']')?.1))) {
        Some((before, after)) => Cow::Owned(format!("{before}{after}")),
        None => Cow::Borrowed(reading),
    }
}

fn meter_json<'a>(config: &'a Config, kept: bool, meter: &'a Meter, known: &'a MeterStatus) -> MeterJson<'a> {
    let newest = known.newest.as_deref();
    MeterJson {
        name: &meter.name,
        title: meter.title.as_deref(),
        bus: config.buses.get(meter.bus).map_or("", |bus| bus.name.as_str()),
        address: meter.address.to_string(),
        interval_s: meter.interval.as_secs(),
        kept,
        online: known.online,
        error: known.error.as_deref(),
        last_read: newest.map(|newest| newest.read_at.as_str()),
        status: newest.map_or(&[], |newest| newest.status.as_slice()),
        values: newest.into_iter().flat_map(|newest| &newest.values).map(|(k, v)| (k.as_str(), v)).collect(),
    }
}

pub(super) fn json(value: &impl Serialize) -> Response {
    as_json(serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn as_json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
