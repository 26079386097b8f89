//! Whether a connection has a request in progress, from its head to the end of its answer. Where there is no room for
//! another connection, those that have none make it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};

/// Since when nothing is asked on a connection; `None`: something is.
#[derive(Clone, Debug)]
pub(super) struct Busy(Arc<Mutex<Option<Instant>>>);

impl Busy {
    /// A new connection, on which nothing was asked yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    /// How long nothing was asked.
    pub(super) fn idle(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// A request begins: it ends where the answer is dropped.
    pub(super) fn begin(&self) -> Asked {
        self.set(None);
        Asked(self.clone())
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// A request in progress. There is one at a time (HTTP/1.1).
#[derive(Debug)]
pub(super) struct Asked(Busy);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.set(Some(Instant::now()));
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) _asked: Asked,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
