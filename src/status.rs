//! What the agent knows of itself and its meters, at one moment: written by the outbox task, where all of it
//! comes together; shown by `bridge/info` and by whoever watches it.
//!
//! Not here: when it is made (`mqtt::task`), what the bus tasks write (`bus::health`).

pub mod said;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::measure::Reading;

/// The snapshot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// Whether there is a connection to the broker.
    pub connected: bool,
    /// The agent itself.
    pub agent: AgentStatus,
    /// The configured meters, by name.
    pub meters: BTreeMap<String, MeterStatus>,
    /// When it was so.
    #[serde(skip)]
    pub taken: Option<Instant>,
}

impl Status {
    /// The agent as it was, with the time that it has run by now.
    #[must_use]
    pub fn agent_at(&self, now: Instant) -> AgentStatus {
        let since = self.taken.map_or(0, |taken| now.saturating_duration_since(taken).as_secs());
        AgentStatus { uptime_s: self.agent.uptime_s + since, ..self.agent.clone() }
    }
}

/// The agent itself: most of `bridge/info`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AgentStatus {
    /// Of this program.
    pub version: &'static str,
    /// Its base topic.
    pub agent: String,
    /// Who it is, whatever its base topic: 16 hex digits.
    pub instance: String,
    /// Another agent that publishes below the same base topic.
    pub other_agent: Option<String>,
    /// To what the number of the next reading belongs.
    pub epoch: String,
    /// What the log shows: a level, or a list of levels.
    pub log_level: String,
    /// A hash of its configuration.
    pub config: String,
    /// Seconds since the agent started.
    pub uptime_s: u64,
    /// Readings in the store; the same as [`Readings::waiting`].
    pub spool_depth: u64,
    /// Events and responses that were lost because too many waited for the broker.
    pub events_dropped: u64,
    /// What became of the readings.
    pub readings: Readings,
    /// The buses, by name.
    pub buses: BTreeMap<String, BusStatus>,
    /// How adopting meters goes.
    pub adoption: AdoptionStatus,
}

/// What keeps meters from being adopted.
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AdoptionStatus {
    /// What is wrong with the file of adopted meters; `None`: nothing.
    pub trouble: Option<String>,
    /// Why what was adopted is not in the file; `None`: it is.
    pub not_kept: Option<String>,
    /// Who was found and cannot be adopted, and what to do, by bus.
    pub not_adopted: BTreeMap<String, Vec<String>>,
    /// Adopted meters that are not read, and why, by name.
    pub left_out: BTreeMap<String, String>,
}

/// What became of the readings since the start. At any moment
/// `taken = delivered + waiting + dropped + set_aside`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Readings {
    /// Taken since the start, and those of earlier runs that waited in the store then.
    pub taken: u64,
    /// Acknowledged by the broker.
    pub delivered: u64,
    /// In the store.
    pub waiting: u64,
    /// Lost because the store was full.
    pub dropped: u64,
    /// Refused by the broker and kept aside.
    pub set_aside: u64,
    /// Telegrams that came but gave no reading, counter faults included: not among those taken.
    pub faulty: u64,
}

/// One bus.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct BusStatus {
    /// As configured.
    pub port: String,
    /// Bits per second.
    pub baud: u32,
    /// Whether the line is open, and powered where the Hat powers it.
    pub up: bool,
    /// Readouts so far.
    pub readouts: u64,
    /// Readouts that gave no telegram.
    pub failed: u64,
    /// Percent of all readouts so far that failed.
    pub error_rate: f64,
    /// Percent of the last hour in which it was in use.
    pub load: f64,
    /// How often the line went away after it had been open.
    pub line_losses: u64,
    /// What went wrong last, of a meter or of the line.
    pub last_error: Option<String>,
    /// How far the scan is that goes on; `None`: none does.
    pub scan: Option<ScanStatus>,
    /// How far the search for meters that nobody wrote down is; `None`: none goes on.
    pub search: Option<SearchStatus>,
}

/// A search for meters that nobody wrote down.
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SearchStatus {
    /// In words.
    pub doing: String,
    /// Percent done; a collision makes it more to do.
    pub percent: u32,
    /// How long the rest takes if no more meters answer.
    pub seconds_left: u64,
    /// Meters so far.
    pub found: usize,
}

/// A scan that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ScanStatus {
    /// Percent done; a collision makes it more to do.
    pub percent: u32,
    /// How long the rest takes if no more meters answer.
    pub seconds_left: u64,
    /// Meters and collisions so far.
    pub found: usize,
}

/// One configured meter.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MeterStatus {
    /// Name of its bus.
    pub bus: String,
    /// Whether it counts as there.
    pub online: bool,
    /// Why its last readout gave no reading, where it did not.
    pub error: Option<String>,
    /// What was published of it last; `None`: nothing, as far as the store knows.
    #[serde(serialize_with = "newest")]
    pub newest: Option<Arc<Newest>>,
    /// The whole frames of its last good readout, where the store or this run knows them.
    #[serde(skip)]
    pub telegrams: Arc<Vec<Vec<u8>>>,
}

fn newest<S: serde::Serializer>(newest: &Option<Arc<Newest>>, serializer: S) -> Result<S::Ok, S::Error> {
    newest.as_deref().serialize(serializer)
}

/// The newest reading of a meter.
#[derive(Clone, Debug, Serialize)]
pub struct Newest {
    /// Its number.
    pub seq: u64,
    /// RFC 3339 in UTC.
    pub read_at: String,
    /// Set status bits, by name.
    pub status: Vec<String>,
    /// What was measured, by key.
    pub values: BTreeMap<String, Value>,
    /// The whole of it, where there is a page to show it.
    #[serde(skip)]
    pub reading: Option<Arc<Reading>>,
}

/// One value.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Value {
    /// As in `state`: an exact number, a text, or null where the meter says that it has none.
    #[cfg_attr(feature = "http", schema(schema_with = number_text_or_null))]
    pub value: Box<RawValue>,
    /// Its unit; `None`: not known until the meter was read since the start.
    pub unit: Option<&'static str>,
}

/// How a value is described to programs.
#[cfg(feature = "http")]
pub(crate) fn number_text_or_null() -> utoipa::openapi::Object {
    use utoipa::openapi::schema::{SchemaType, Type};
    let types = SchemaType::from_iter([Type::Number, Type::String, Type::Null]);
    utoipa::openapi::ObjectBuilder::new().schema_type(types).build()
}

/// `bridge/info`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Info<'a> {
    /// When this was made: RFC 3339 in UTC.
    pub at: String,
    #[serde(flatten)]
    agent: &'a AgentStatus,
    /// The configured meters, by name.
    meters: BTreeMap<&'a str, Seen<'a>>,
}

/// When a meter was last read well, and whether it counts as there.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
struct Seen<'a> {
    last_read: Option<&'a str>,
    online: bool,
}

impl<'a> Info<'a> {
    /// What the snapshot says, at this time.
    #[must_use]
    pub fn new(at: String, agent: &'a AgentStatus, meters: &'a BTreeMap<String, MeterStatus>) -> Self {
        let seen = |meter: &'a MeterStatus| Seen {
            last_read: meter.newest.as_ref().map(|newest| newest.read_at.as_str()),
            online: meter.online,
        };
        Self { at, agent, meters: meters.iter().map(|(name, meter)| (name.as_str(), seen(meter))).collect() }
    }
}

/// What happened, as it is told to whoever listens.
#[derive(Clone, Debug)]
pub enum News {
    /// A reading, as it is published.
    Reading(Arc<str>),
    /// An event, as it is published.
    Event(Arc<str>),
}

#[cfg(test)]
mod tests {
    use super::{AgentStatus, Status};
    use std::time::{Duration, Instant};

    #[test]
    fn the_time_that_the_agent_runs_goes_on_between_two_looks() {
        let now = Instant::now();
        let agent = AgentStatus { uptime_s: 100, ..AgentStatus::default() };
        let status = Status { agent, taken: Some(now), ..Status::default() };
        assert_eq!(status.agent_at(now + Duration::from_secs(59)).uptime_s, 159);
        assert_eq!(status.agent_at(now).uptime_s, 100);
    }
}
