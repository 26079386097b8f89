//! Server-sent events: lines of text that go on for as long as the other end listens.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::timeout;

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

/// Sends them all.
pub(super) fn response(events: impl Events) -> Response {
    let stream = stream::unfold(events, |mut events| async {
        let text = match timeout(ALIVE_EVERY, events.next()).await {
            Ok(text) => text?,
            Err(_) => ":\n\n".to_owned(),
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), events))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(stream)).into_response()
}
