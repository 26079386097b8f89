//! The numbers of the last day, for the lines of the page. Kept in memory alone, and in little of it: what comes too
//! often for the room there is replaces the point before it.
//!
//! Places on a chart are floats; the digits that people read come from the reading.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::status::{MeterStatus, Status};

/// Bytes of all points together; names and the like have the rest of 1 MiB.
const BYTES: usize = 768 << 10;
/// How far back a line reaches.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// The first room of a series, and by how much it grows.
const ROOM: usize = 16;

/// A number at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Seconds since 1970.
    pub(super) at: u32,
    pub(super) value: f64,
}

/// Every number of every meter.
#[derive(Debug, Default)]
pub(super) struct History {
    meters: BTreeMap<String, Meter>,
    series: usize,
}

#[derive(Debug, Default)]
struct Meter {
    /// The number of the reading that was kept last.
    seq: Option<u64>,
    keys: BTreeMap<String, Series>,
}

/// One number.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pub(super) points: Vec<Point>,
    /// Seconds between two points, about, at least.
    pub(super) spacing: u32,
}

impl History {
    /// Keeps what is new, and forgets meters that are gone.
    pub(super) fn note(&mut self, status: &Status) {
        self.meters.retain(|name, _| status.meters.contains_key(name));
        for (name, meter) in &status.meters {
            self.note_meter(name, meter);
        }
        self.series = self.meters.values().map(|meter| meter.keys.len()).sum();
    }

    fn note_meter(&mut self, name: &str, meter: &MeterStatus) {
        let Some(newest) = meter.newest.as_deref() else { return };
        let known = self.meters.entry(name.to_owned()).or_default();
        if known.seq == Some(newest.seq) {
            return;
        }
        known.seq = Some(newest.seq);
        let at = newest.read_at.parse::<Timestamp>().ok().and_then(|at| u32::try_from(at.as_second()).ok());
        let Some(at) = at else { return };
        for (key, value) in &newest.values {
            let Ok(value) = value.value.get().parse() else { continue };
            let most = BYTES / size_of::<Point>() / (self.series + 1);
            if most < ROOM && !known.keys.contains_key(key) {
                continue; // tens of thousands of numbers: the first ones keep their lines
            }
            self.series += usize::from(!known.keys.contains_key(key));
            known.keys.entry(key.clone()).or_default().push(Point { at, value }, most.max(ROOM));
        }
    }

    /// The line of one number; `None`: there is none.
    pub(super) fn series(&self, meter: &str, key: &str) -> Option<&Series> {
        self.meters.get(meter)?.keys.get(key)
    }
}

impl Series {
    fn push(&mut self, point: Point, most: usize) {
        let day = u32::try_from(DAY.as_secs()).unwrap_or(u32::MAX);
        self.points.retain(|old| old.at.saturating_add(day) >= point.at && old.at < point.at);
        while self.points.len() >= most {
            self.spacing = (self.spacing + self.spacing / 4 + 1).max(day / u32::try_from(most).unwrap_or(1).max(1));
            let spacing = self.spacing;
            let mut last = None;
            self.points.retain(|old| {
                let keep = last.is_none_or(|last: u32| old.at - last >= spacing);
                last = if keep { Some(old.at) } else { last };
                keep
            });
            self.points.shrink_to(most);
        }
        let before = self.points.len().checked_sub(2).and_then(|index| self.points.get(index)).map(|point| point.at);
        if before.is_some_and(|before| point.at - before < self.spacing) {
            self.points.pop();
        }
        if self.points.len() == self.points.capacity() {
            self.points.reserve_exact(ROOM.min(most));
        }
        self.points.push(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Newest, Value};
    use serde_json::value::RawValue;
    use std::sync::Arc;

    /// Every meter with so many numbers, read at this second.
    fn status(meters: usize, keys: usize, at: u32) -> Status {
        let number = |_| RawValue::from_string(at.to_string()).expect("a number");
        let values =
            |()| (0..keys).map(|key| (format!("key_{key}"), Value { value: number(key), unit: None })).collect();
        let newest = Newest {
            seq: at.into(),
            read_at: Timestamp::from_second(at.into()).expect("a time").to_string(),
            status: Vec::new(),
            values: values(()),
            reading: None,
        };
        let newest = Arc::new(newest);
        let meter = || MeterStatus { newest: Some(Arc::clone(&newest)), ..MeterStatus::default() };
        Status { meters: (0..meters).map(|name| (format!("m{name}"), meter())).collect(), ..Status::default() }
    }

    fn bytes(history: &History) -> usize {
        let series = history.meters.values().flat_map(|meter| &meter.keys);
        series.map(|(key, series)| key.len() + 64 + series.points.capacity() * size_of::<Point>()).sum()
    }

    #[test]
    fn a_day_of_many_meters_stays_within_its_memory_and_is_kept_evenly() {
        let mut history = History::default();
        for at in (0..2 * 86_400).step_by(600) {
            history.note(&status(250, 10, 1_000_000 + at));
        }
        assert!(bytes(&history) <= 1 << 20, "{}", bytes(&history));
        let Series { points, spacing } = history.series("m7", "key_3").expect("a line");
        assert!(points.len() > 10, "{}", points.len());
        let first = points.first().expect("a point").at;
        assert!(first >= 1_000_000 + 86_400 - 600, "nothing older than a day: {first}");
        let gaps: Vec<u32> = points.windows(2).map(|two| two[1].at - two[0].at).collect();
        assert!(gaps.iter().rev().skip(1).all(|gap| (spacing / 2..4 * spacing).contains(gap)), "{spacing}: {gaps:?}");
    }

    #[test]
    fn a_reading_is_kept_once_and_a_meter_that_is_gone_is_forgotten() {
        let mut history = History::default();
        history.note(&status(1, 1, 5));
        history.note(&status(1, 1, 5));
        history.note(&status(1, 1, 15));
        let points = &history.series("m0", "key_0").expect("a line").points;
        assert_eq!(*points, [Point { at: 5, value: 5.0 }, Point { at: 15, value: 15.0 }]);
        history.note(&status(0, 0, 20));
        assert!(history.series("m0", "key_0").is_none());
    }
}
