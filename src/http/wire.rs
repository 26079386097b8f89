//! The wire of a bus, frame by frame in words: the last ones, and each as it comes.

use axum::extract::{Extension, State};
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio::sync::watch;

use super::asks::bus_index;
use super::caller::From;
use super::house::App;
use super::part::Path;
use super::problem::Problem;
use super::stream::{Events, event, response};
use crate::bus::frames::describe;
use crate::bus::tape::Tape;

/// A frame as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) number: u64,
    /// RFC 3339 in UTC.
    pub(super) at: String,
    /// By the local clock, to the millisecond.
    pub(super) local: String,
    /// `sent` or `received`.
    pub(super) direction: &'static str,
    pub(super) hex: String,
    pub(super) words: String,
}

/// The frames after this number, oldest first.
pub(super) fn lines(tape: &Tape, after: u64, zone: &TimeZone) -> Vec<Line> {
    let line = |taped: &crate::bus::tape::Taped| {
        let at = Timestamp::try_from(taped.at).unwrap_or_default();
        let damaged = match taped.damaged {
            0 => String::new(),
            1 => " (1 damaged character)".to_owned(),
            count => format!(" ({count} damaged characters)"),
        };
        let words = if taped.bytes.is_empty() { String::new() } else { describe(&taped.bytes) };
        Line {
            number: taped.number,
            at: format!("{at:.3}"),
            local: at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
            direction: if taped.sent { "sent" } else { "received" },
            hex: taped.bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" "),
            words: (words + &damaged).trim().to_owned(),
        }
    };
    tape.after(after).map(line).collect()
}

/// `GET buses/<bus>/wire`: the last frames, then each that follows.
pub(super) async fn wire(
    State(app): State<App>,
    Extension(from): Extension<From>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let house = app.house();
    let tape = house.tapes.get(bus_index(&house, &name)?).cloned();
    let mut tape = tape.ok_or_else(|| Problem::unavailable("reloading"))?;
    tape.mark_changed();
    response(&app, from, Following { tape, seen: 0, zone: house.config.time_zone() })
}

struct Following {
    tape: watch::Receiver<Tape>,
    seen: u64,
    zone: TimeZone,
}

impl Events for Following {
    async fn next(&mut self) -> Option<String> {
        self.tape.changed().await.ok()?;
        let lines = lines(&self.tape.borrow_and_update(), self.seen, &self.zone);
        self.seen = lines.last().map_or(self.seen, |line| line.number);
        let text = |line: &Line| event("frame", &serde_json::to_string(line).unwrap_or_default());
        Some(lines.iter().map(text).collect())
    }
}
