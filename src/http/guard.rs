//! The door of every route: who asks is judged first, and every answer tells the browser to be careful.

use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::caller::{self, From, PATIENCE, Peers};
use super::house::App;
use super::httpd;
use super::pages::refused;
use super::problem::Problem;
use super::rights::{self, Asks, May, Refusal};

/// Bytes of a body, at most.
pub(super) const BODY: usize = 64 << 10;

/// Sent with everything. A page may load and show nothing that is not ours.
const CAREFUL: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What everybody may see: a password that comes along is not looked at.
const OPEN: &str = "/health";

/// What may be posted by who may only read: it changes nothing.
const HARMLESS: [&str; 2] = ["/decode", "/api/v1/decode"];

/// Lets in who may, and tells the routes behind how much.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let is_of_httpd = httpd::is_here(parts.uri.path());
    let judged = judge(&app, &parts);
    if let Ok((may, from)) = judged {
        parts.extensions.insert(may);
        parts.extensions.insert(from);
    }
    let person = is_a_person(&parts).then(|| parts.clone());
    let whole = match judged {
        Ok(_) => whole(parts, body).await,
        Err(problem) => Err(problem),
    };
    let mut response = match whole {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if let (Some(problem), Some(parts)) = (response.extensions_mut().remove::<Problem>(), person) {
        response = refused::page(&app, &parts, problem, response);
    }
    if is_of_httpd {
        httpd::number(&mut response);
    }
    for (name, value) in CAREFUL {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether whoever asks reads pages; programs get JSON.
fn is_a_person(parts: &Parts) -> bool {
    let accepts = parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let is_for_programs = ["/api/", "/mbus/"].iter().any(|prefix| parts.uri.path().starts_with(prefix));
    !is_for_programs && accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// What the request may have, and from whom it is.
fn judge(app: &App, parts: &Parts) -> Result<(May, From), Problem> {
    let house = app.house();
    // a request that came over no connection of ours is a defect, and gets nothing
    let Some(peers) = parts.extensions.get::<Peers>().copied() else { return Err(Refusal::WrongHost.into()) };
    let headers = &parts.headers;
    let from = caller::address(&house.settings.http, peers.peer.to_canonical(), headers);
    let now = Instant::now();
    let is_open = parts.uri.path() == OPEN;
    if headers.contains_key(header::AUTHORIZATION) && !is_open && !app.failures().may_try(from, now) {
        return Err(Problem::wait());
    }
    let judged = rights::judge(&house.settings, Asks { peers, method: &parts.method, headers });
    if judged == Err(Refusal::WrongPassword) {
        if is_open {
            return Ok((May::Nothing, From(from)));
        }
        app.failures().failed(from, now);
        tracing::debug!("a wrong password from {from}");
    }
    let may = judged?;
    if !parts.method.is_safe() && !HARMLESS.contains(&parts.uri.path()) {
        rights::demand(&house.settings, may, May::All)?;
    }
    Ok((may, From(from)))
}

/// The request with the whole of its body: no route waits for one that comes byte by byte.
async fn whole(parts: Parts, body: Body) -> Result<Request, Problem> {
    if parts.method.is_safe() {
        return Ok(Request::from_parts(parts, body));
    }
    let taken = Bytes::from_request(Request::from_parts(parts.clone(), body), &());
    match timeout(PATIENCE, taken).await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, body.into())),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("the body of the request has more than {} KiB, which is the most", BODY >> 10);
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        Ok(Err(error)) => Err(Problem::new(error.status(), "the body of the request did not come whole")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body of the request did not come in time")),
    }
}

/// For routes that show values.
pub(super) async fn readers(State(app): State<App>, request: Request, next: Next) -> Response {
    demand(&app, May::Read, request, next).await
}

/// For routes that show the wire, telegrams or the doctor's findings.
pub(super) async fn owners(State(app): State<App>, request: Request, next: Next) -> Response {
    demand(&app, May::All, request, next).await
}

async fn demand(app: &App, need: May, request: Request, next: Next) -> Response {
    let may = request.extensions().get().copied().unwrap_or(May::Nothing);
    match rights::demand(&app.house().settings, may, need) {
        Ok(()) => next.run(request).await,
        Err(refusal) => Problem::from(refusal).into_response(),
    }
}
