//! Times as people read them: how long ago, in local time, and exactly on hover.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::words::Words;

/// A time.
#[derive(Debug)]
pub(super) struct When {
    /// RFC 3339 in UTC.
    pub(super) exact: String,
    /// `14:03:22`, or with the day where it is another one.
    pub(super) local: String,
    /// `12 s ago`, `in 3 min`.
    pub(super) relative: String,
}

/// Seconds of a unit, and the texts of its past and future.
const UNITS: [(i64, &str, &str); 4] = [
    (86_400, "{} d ago", "in {} d"),
    (3600, "{} h ago", "in {} h"),
    (60, "{} min ago", "in {} min"),
    (1, "{} s ago", "in {} s"),
];

impl When {
    pub(super) fn new(at: Timestamp, now: Timestamp, zone: &TimeZone, t: Words) -> Self {
        let (local, today) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
        let form = if local.date() == today.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
        let distance = at.as_second() - now.as_second();
        Self {
            exact: at.to_string(),
            local: local.strftime(form).to_string(),
            relative: relative(distance, distance > 0, t),
        }
    }

    /// When something is due: in no time, where it should have been.
    pub(super) fn due(at: Timestamp, zone: &TimeZone, t: Words) -> Self {
        let now = Timestamp::now();
        Self { relative: relative((at.as_second() - now.as_second()).max(0), true, t), ..Self::new(at, now, zone, t) }
    }

    /// Of a text as JSON has it.
    pub(super) fn parse(at: &str, zone: &TimeZone, t: Words) -> Option<Self> {
        Some(Self::new(at.parse().ok()?, Timestamp::now(), zone, t))
    }
}

fn relative(distance: i64, is_ahead: bool, t: Words) -> String {
    let size = distance.abs();
    let (unit, past, future) =
        UNITS.into_iter().find(|(unit, ..)| size >= 2 * unit).unwrap_or((1, "{} s ago", "in {} s"));
    t.with(if is_ahead { future } else { past }, size / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderMap;

    #[test]
    fn a_time_is_told_from_now_and_by_the_local_clock() {
        let zone = TimeZone::get("Europe/Zurich").expect("a zone");
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
        let english = Words::wanted(&HeaderMap::new());
        for (at, local, relative) in [
            ("2026-11-28T11:59:48Z", "12:59:48", "12 s ago"),
            ("2026-11-28T12:00:00Z", "13:00:00", "0 s ago"),
            ("2026-11-28T12:03:00Z", "13:03:00", "in 3 min"),
            ("2026-11-28T09:00:00Z", "10:00:00", "3 h ago"),
            ("2026-11-20T09:00:00Z", "2026-11-20 10:00", "8 d ago"),
        ] {
            let when = When::new(at.parse().expect("a time"), now, &zone, english);
            assert_eq!((when.local.as_str(), when.relative.as_str(), when.exact.as_str()), (local, relative, at));
        }
    }
}
