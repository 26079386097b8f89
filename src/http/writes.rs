//! What `/api/v1` lets be done: the bodies are those of MQTT's requests, the answers its `data`.

use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::asks::{self, bus_index};
use super::house::App;
use super::part::Path;
use super::problem::{Problem, shortened};
use super::rest::{as_json, json};
use crate::explain::{self, Memory, hex_input};
use crate::mbus::application::opener::Buffers;
use crate::mbus::application::security::Key;
use crate::mqtt::request_json::{self, ScanResult, scan_result};
use crate::request::{Answer, BusRequest, Request as Asked};

/// `POST meters/<name>/read`: the reading, as it is published.
pub(super) async fn read(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Problem> {
    asks::read(&app, &name).await.map(as_json)
}

/// `POST buses/<bus>/read` `{"address":5}`: the reading of whatever meter is there.
pub(super) async fn read_at(
    State(app): State<App>,
    Path(bus): Path<String>,
    Body(body): Body,
) -> Result<Response, Problem> {
    let what = of_bus("read", &body, &["address"])?;
    if !matches!(what, BusRequest::ReadAt(_)) {
        return Err(unusable("say at which \"address\""));
    }
    match asks::bus(&app, &bus, what).await? {
        Answer::Reading(reading) => Ok(as_json(reading)),
        _ => Err(Problem::unavailable("the answer is not a reading")),
    }
}

/// `POST buses/<bus>/scan` `{"secondary":"3013????"}`: 202 once it has begun.
pub(super) async fn scan(
    State(app): State<App>,
    Path(bus): Path<String>,
    Body(body): Body,
) -> Result<Response, Problem> {
    // a body that may be left out may be `null`
    let body = if body.trim() == "null" { "" } else { &body };
    let BusRequest::Scan(scan) = of_bus("scan", body, &["secondary"])? else { return Err(unusable("no scan")) };
    asks::scan(&app, &bus, scan).await?;
    Ok((StatusCode::ACCEPTED, progress(&app, &bus)?).into_response())
}

/// `GET buses/<bus>/scan`: how far it is, and what it has found; the last one where none goes on.
pub(super) async fn scan_progress(State(app): State<App>, Path(bus): Path<String>) -> Result<Response, Problem> {
    progress(&app, &bus)
}

/// `DELETE buses/<bus>/scan`.
pub(super) async fn end_scan(State(app): State<App>, Path(bus): Path<String>) -> Result<Response, Problem> {
    asks::end_scan(&app, &bus).await?;
    progress(&app, &bus)
}

/// `POST buses/<bus>/power` `{"on":true}`.
pub(super) async fn power(
    State(app): State<App>,
    Path(bus): Path<String>,
    Body(body): Body,
) -> Result<StatusCode, Problem> {
    let BusRequest::Power(on) = of_bus("power", &body, &["on"])? else {
        return Err(unusable("say \"on\": true or false"));
    };
    asks::power(&app, &bus, on).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST reload`.
pub(super) async fn reload(State(app): State<App>) -> Result<StatusCode, Problem> {
    asks::reload(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A telegram and its key.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Telegram {
    hex: String,
    #[schema(pattern = "^[0-9A-Fa-f]{32}$")]
    key: Option<String>,
}

/// `POST decode` `{"hex":"68 …","key":"…"}`: what `mbushat decode --format json` prints.
pub(super) async fn decode(Body(body): Body) -> Result<Response, Problem> {
    let expected = "expected {\"hex\":\"68 …\"}, and a \"key\" of 32 hex digits where it is encrypted";
    let Telegram { hex, key } = telegram(&body).ok_or_else(|| unusable(expected))?;
    let key = key.map(|key| Key::from_hex(&key).ok_or_else(|| unusable("a key has 32 hex digits"))).transpose()?;
    let bytes = hex_input::bytes(&hex).map_err(unusable)?;
    let (mut memory, mut buffers) = (Memory::default(), Buffers::default());
    let explained = explain::explain(&bytes, key.as_ref(), &mut memory, &mut buffers);
    Ok(as_json(explain::json::line(&explained)))
}

/// A list of its values would do, too, if serde were asked alone.
fn telegram(body: &str) -> Option<Telegram> {
    body.trim_start().starts_with('{').then(|| serde_json::from_str(body).ok()).flatten()
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Progress {
    scan: Option<Step>,
    #[serde(flatten)]
    result: ScanResult,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Step {
    percent: u32,
    seconds_left: u64,
}

fn progress(app: &App, bus: &str) -> Result<Response, Problem> {
    let house = app.house();
    let health = house.health.get(bus_index(&house, bus)?).map(|health| health.borrow().clone()).unwrap_or_default();
    let scan = health.scan.map(|scan| Step { percent: scan.percent, seconds_left: scan.left.as_secs() });
    Ok(json(&Progress { scan, result: scan_result(&health.found) }))
}

/// What a body asks a bus for, as MQTT's request of this verb does.
fn of_bus(verb: &str, body: &str, known: &[&str]) -> Result<BusRequest, Problem> {
    // one that is misspelled would mean something else, or nothing
    if !body.trim().is_empty() {
        object(body, known)?;
    }
    match request_json::request(verb, body.as_bytes()).0 {
        Ok(Asked::Bus { what, .. }) => Ok(what),
        Ok(_) => Err(unusable("no request to a bus")),
        Err(why) => Err(unusable(why)),
    }
}

/// A body with no other keys than these: one that is misspelled would change nothing.
pub(super) fn object(body: &str, known: &[&str]) -> Result<Map<String, Value>, Problem> {
    let object: Map<String, Value> = serde_json::from_str(body)
        .map_err(|error| unusable(format!("expected a JSON object such as {{\"title\":\"Heat\"}}: {error}")))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(object),
        Some(other) => Err(unusable(format!("no such key: {}; expected {}", shortened(other), known.join(", ")))),
    }
}

pub(super) fn unusable(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why)
}

/// The text of a body. JSON is told by its type: a form of another site cannot send it unasked.
pub(super) struct Body(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_json = kind.starts_with("application/json");
        let text = String::from_request(request, state).await;
        // all of it is there already (`guard`): it is not text
        let text = text.map_err(|_| unusable("the body of the request is not UTF-8 text"))?;
        if is_json || text.is_empty() {
            Ok(Self(text))
        } else {
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected a body of type application/json"))
        }
    }
}
