//! `GET /api/v1/events`: readings and events as they happen, and `info` after each change.

use std::time::Instant;

use axum::extract::{Extension, State};
use axum::response::Response;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::caller::From;
use super::house::App;
use super::problem::Problem;
use super::rest::as_seen_by;
use super::rights::May;
use super::stream::{Events, event, response};
use crate::mqtt::payload;
use crate::status::{News, Status};

/// Starts with `info`, so that who listens knows that it is heard.
pub(super) async fn events(
    State(app): State<App>,
    Extension(may): Extension<May>,
    Extension(from): Extension<From>,
) -> Result<Response, Problem> {
    let mut status = app.status();
    status.mark_changed();
    response(&app, from, Happening { may, news: app.news(), status })
}

struct Happening {
    may: May,
    news: broadcast::Receiver<News>,
    status: watch::Receiver<Status>,
}

impl Events for Happening {
    async fn next(&mut self) -> Option<String> {
        tokio::select! {
            news = self.news.recv() => match news {
                Ok(News::Reading(reading)) => Some(event("reading", &as_seen_by(self.may, &reading))),
                Ok(News::Event(happened)) => Some(event("event", &happened)),
                // who is told so can ask for what it has missed
                Err(RecvError::Lagged(count)) => Some(event("missed", &count.to_string())),
                Err(RecvError::Closed) => None,
            },
            changed = self.status.changed() => {
                changed.ok()?;
                let status = self.status.borrow_and_update();
                Some(event("info", &payload::info(&status.agent_at(Instant::now()), &status.meters)))
            }
        }
    }
}
