//! `/metrics`: what the snapshot says, for Prometheus.
//!
//! Prometheus keeps every number as a float; what is written here has the digits of the meter all the same, as far
//! as a float tells them apart.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, prometheus_text, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::house::{App, House};
use super::problem::Problem;
use crate::bus::health::Health;
use crate::config::Meter;
use crate::status::{Newest, Readings, Status};

const OPEN_METRICS: &str = "application/openmetrics-text";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// In the format that is asked for: OpenMetrics, or the plain text of before.
pub(super) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let mut registry = Registry::with_prefix("mbushat");
    registry.register_collector(Box::new(Snapshot::of(&app)));
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut metrics = String::new();
    let (kind, encoded) = if accepts.contains(OPEN_METRICS) {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", text::encode(&mut metrics, &registry))
    } else {
        (PLAIN, prometheus_text::encode(&mut metrics, &registry))
    };
    encoded.map_err(|error| Problem::unavailable(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, kind)], metrics).into_response())
}

/// All that is told, at one moment.
#[derive(Debug)]
struct Snapshot {
    status: Status,
    /// Each bus by its name.
    buses: Vec<(String, Health)>,
    house: std::sync::Arc<House>,
}

type Labels = Vec<(String, String)>;
type Encoded = Result<(), std::fmt::Error>;

impl Snapshot {
    fn of(app: &App) -> Self {
        let house = app.house();
        let names = house.config.buses.iter().map(|bus| bus.name.clone());
        let buses = names.zip(house.health.iter().map(|health| health.borrow().clone())).collect();
        Self { status: app.status().borrow().clone(), buses, house }
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Encoded {
        self.meters(&mut encoder)?;
        self.buses(&mut encoder)?;
        self.readings(&mut encoder)?;
        let agent = &self.status.agent;
        let build = labels([("version", env!("CARGO_PKG_VERSION"))]);
        family(&mut encoder, "build_info", "The version of the agent", [(build, ConstGauge::new(1_i64))])?;
        let connected = ConstGauge::new(i64::from(self.status.connected));
        single(&mut encoder, "broker_connected", "Whether there is a connection to the broker", &connected)?;
        let uptime = ConstGauge::new(i64::try_from(agent.uptime_s).unwrap_or(i64::MAX));
        single(&mut encoder, "uptime_seconds", "Time since the agent started", &uptime)?;
        let dropped = ConstCounter::new(agent.events_dropped);
        single(&mut encoder, "events_dropped", "Events lost because too many waited", &dropped)
    }
}

impl Snapshot {
    fn meters(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let known = || self.house.config.meters.iter().filter_map(|m| Some((m, self.status.meters.get(&m.name)?)));
        let measured = known().filter_map(|(meter, known)| Some((meter, known.newest.as_deref()?)));
        let measured = measured.flat_map(|(meter, newest)| measurements(meter, newest));
        family(encoder, "measurement", "The newest value of each measurement, in its unit", measured)?;
        let up = known().map(|(meter, known)| (of_meter(meter), ConstGauge::new(i64::from(known.online))));
        family(encoder, "meter_up", "Whether the meter counts as there", up)?;
        let read = known().filter_map(|(meter, known)| {
            let at: jiff::Timestamp = known.newest.as_deref()?.read_at.parse().ok()?;
            Some((of_meter(meter), ConstGauge::new(seconds(at.as_millisecond().unsigned_abs().into()))))
        });
        family(encoder, "meter_last_read_timestamp_seconds", "When the meter was last read well", read)
    }

    fn buses(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let of = |bus: &str| labels([("bus", bus)]);
        let up = self.buses.iter().map(|(bus, health)| (of(bus), ConstGauge::new(i64::from(health.up))));
        family(encoder, "bus_up", "Whether the line is open, and powered where the Hat powers it", up)?;
        for (name, help, value) in COUNTERS {
            let counted = self.buses.iter().map(|(bus, health)| (of(bus), ConstCounter::new(value(health))));
            family(encoder, name, help, counted)?;
        }
        let errors = self.buses.iter().flat_map(|(bus, Health { failures, .. })| {
            let kinds = [("silent", failures.silent), ("damaged", failures.damaged), ("refused", failures.refused)];
            kinds.map(|(kind, count)| (labels([("bus", bus), ("kind", kind)]), ConstCounter::new(count)))
        });
        family(encoder, "bus_errors", "Readouts that gave no telegram, by kind", errors)?;
        let busy = self.buses.iter().map(|(bus, h)| (of(bus), ConstCounter::new(seconds(h.busy.as_millis()))));
        family(encoder, "bus_busy_seconds", "How long readouts have used the wire", busy)
    }

    fn readings(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let Readings { taken, delivered, waiting, dropped, set_aside, faulty } = self.status.agent.readings;
        let waiting = ConstGauge::new(i64::try_from(waiting).unwrap_or(i64::MAX));
        single(encoder, "readings_waiting", "Readings in the store", &waiting)?;
        for (name, help, count) in [
            ("readings_taken", "Readings taken, and those of earlier runs that waited at the start", taken),
            ("readings_delivered", "Readings that the broker has acknowledged", delivered),
            ("readings_dropped", "Readings lost because the store was full", dropped),
            ("readings_set_aside", "Readings that the broker refused and that are kept", set_aside),
            ("readings_faulty", "Telegrams that came but gave no reading", faulty),
        ] {
            single(encoder, name, help, &ConstCounter::new(count))?;
        }
        Ok(())
    }
}

/// Name, help and value of a counter of a bus.
type BusCounter = (&'static str, &'static str, fn(&Health) -> u64);

const COUNTERS: [BusCounter; 6] = [
    ("bus_requests", "Requests sent, repeats included", |health| health.traffic.sends.into()),
    ("bus_retries", "Requests sent again", |health| health.traffic.retries.into()),
    ("bus_readouts", "Readouts that gave a telegram", |health| health.readouts_ok),
    ("bus_sent_bytes", "Bytes sent", |health| health.traffic.bytes_sent),
    ("bus_received_bytes", "Bytes received, noise included", |health| health.traffic.bytes_received),
    ("bus_noise_bytes", "Bytes received that belong to no frame", |health| health.traffic.noise),
];

/// The numbers of a reading; texts and what the meter marks as invalid are left out.
fn measurements<'a>(meter: &'a Meter, newest: &'a Newest) -> impl Iterator<Item = (Labels, ConstGauge<f64>)> + 'a {
    newest.values.iter().filter_map(move |(key, value)| {
        let number: f64 = value.value.get().parse().ok()?;
        let unit = value.unit.unwrap_or_default();
        let labels = labels([("meter", meter.name.as_str()), ("key", key), ("unit", unit)]);
        Some((with_own(labels, meter), ConstGauge::new(number)))
    })
}

fn of_meter(meter: &Meter) -> Labels {
    with_own(labels([("meter", meter.name.as_str())]), meter)
}

/// With what the user writes on it.
fn with_own(mut labels: Labels, meter: &Meter) -> Labels {
    labels.extend(meter.labels.iter().map(|(name, text)| (name.clone(), text.clone())));
    labels
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[expect(clippy::cast_precision_loss, reason = "no meter value, and 285,000 years are exact")]
fn seconds(milliseconds: u128) -> f64 {
    milliseconds as f64 / 1000.0
}

/// One number without labels.
fn single(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, metric: &impl EncodeMetric) -> Encoded {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// One number for each of several labels, if there are any.
fn family<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metrics: impl IntoIterator<Item = (Labels, M)>,
) -> Encoded {
    let mut metrics = metrics.into_iter().peekable();
    let Some((_, first)) = metrics.peek() else { return Ok(()) };
    let mut encoder = encoder.encode_descriptor(name, help, None, first.metric_type())?;
    for (labels, metric) in metrics {
        metric.encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}
