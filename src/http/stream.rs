//! Server-sent events: lines of text that go on for as long as the other end listens.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::sleep;

use super::caller::From;
use super::house::App;
use super::problem::Problem;

/// A sign of life is sent so often: it finds connections that are dead.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Where events come from.
pub(super) trait Events: Send + 'static {
    /// The next one, as [`event`] writes it; `None`: there are no more. Nothing may be lost where it is dropped.
    fn next(&mut self) -> impl Future<Output = Option<String>> + Send;
}

/// One event. `data` may have several lines.
pub(super) fn event(name: &str, data: &str) -> String {
    let data = data.replace('\n', "\ndata: ");
    format!("event: {name}\ndata: {data}\n\n")
}

/// Sends them all, until another `[http]` decides who may see them; unless there are too many streams.
pub(super) fn response(app: &App, From(from): From, events: impl Events) -> Result<Response, Problem> {
    let place = app.listeners().place(from)?;
    let mut house = app.houses();
    let begun = Arc::clone(&house.borrow_and_update());
    let stream = stream::unfold((events, house, place), move |(mut events, mut house, place)| {
        let begun = Arc::clone(&begun);
        async move {
            let other = house.wait_for(|house| !house.settings.let_in_the_same(&begun.settings));
            let text = tokio::select! {
                _ = other => return None,
                text = events.next() => text?,
                () = sleep(ALIVE_EVERY) => ":\n\n".to_owned(),
            };
            Some((Ok::<_, Infallible>(Bytes::from(text)), (events, house, place)))
        }
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(stream)).into_response())
}
