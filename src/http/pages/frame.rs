//! What every page has around it: its links, and how the agent is doing.

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::super::house::App;
use super::super::rights::May;
use super::super::words::Words;

/// No page is below more folders; an address may say as many as it likes.
const DEEPEST: usize = 3;

/// A page that is open asks so for what is live on it: the rest would be made for nothing, again and again.
const ONLY_LIVE: &str = "x-only-live";

/// Above and below a page.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(super) t: Words,
    /// The way from this page to the first one: empty, or `../`.
    pub(super) root: String,
    pub(super) version: &'static str,
    /// The agent's base topic.
    pub(super) agent: String,
    pub(super) connected: bool,
    pub(super) other_agent: bool,
    pub(super) buses: Vec<String>,
    /// Whether the reader may see how the agent is doing; who may not sees only why.
    pub(super) may_read: bool,
    /// Whether the reader may do everything.
    pub(super) may_all: bool,
    /// Whether only what is live is wanted of the page.
    pub(super) only_live: bool,
    /// Whether there is a password that would let everything be done.
    pub(super) can_log_in: bool,
}

impl Frame {
    pub(super) fn new(app: &App, parts: &Parts) -> Self {
        let (house, status) = (app.house(), app.status());
        let status = status.borrow();
        let may = parts.extensions.get().copied().unwrap_or(May::Nothing);
        Self {
            t: Words::wanted(&parts.headers),
            root: "../".repeat(parts.uri.path().matches('/').count().saturating_sub(1).min(DEEPEST)),
            version: env!("CARGO_PKG_VERSION"),
            agent: house.config.mqtt.base_topic.clone(),
            connected: status.connected,
            other_agent: status.agent.other_agent.is_some(),
            buses: house.config.buses.iter().map(|bus| bus.name.clone()).collect(),
            may_read: may >= May::Read,
            may_all: may == May::All,
            only_live: parts.headers.contains_key(ONLY_LIVE),
            can_log_in: house.settings.password.is_some(),
        }
    }
}

impl FromRequestParts<App> for Frame {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self::new(app, parts))
    }
}

/// A page made of a template.
pub(super) fn show(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => ([(header::VARY, "Accept-Language")], Html(html)).into_response(),
        // a template only writes into a text
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
