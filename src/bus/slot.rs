//! Where the slots of a meter lie: every interval from local midnight, over changes of the clock too.
//! Pure.

use std::time::Duration;

use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// How far the nearest slot is from `target` among those every `interval` from local midnight,
/// shifted by `offset_ms`.
///
/// A civil time that the clock skips stands for the moment it would have been without the change; one
/// that comes twice is two slots. Where the clock goes back and the interval does not divide the change,
/// a stretch is left without slots: there the distance is zero.
pub(super) fn slot_distance(
    target: Timestamp,
    interval: Duration,
    offset_ms: i64,
    timezone: &TimeZone,
) -> SignedDuration {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let reach = SignedDuration::from_millis(interval_ms);
    let offsets =
        [-reach, SignedDuration::ZERO, reach].map(|by| timezone.to_offset(target.saturating_add(by).unwrap_or(target)));
    let slots = offsets.into_iter().flat_map(|utc_offset| {
        let ahead_ms = i64::from(utc_offset.seconds()) * 1000;
        let since_slot_ms = (target.as_millisecond() + ahead_ms).saturating_sub(offset_ms).rem_euclid(interval_ms);
        let slot_ms = target.as_millisecond().saturating_sub(since_slot_ms);
        [slot_ms, slot_ms.saturating_add(interval_ms)].map(|at_ms| (at_ms, at_ms.saturating_add(ahead_ms)))
    });
    slots
        .filter(|(at_ms, civil_ms)| moments(*civil_ms, timezone).any(|moment| moment.as_millisecond() == *at_ms))
        .filter_map(|(at_ms, _)| Timestamp::from_millisecond(at_ms).ok())
        .map(|slot| slot.duration_since(target))
        .min_by_key(|distance| distance.unsigned_abs())
        .filter(|distance| distance.unsigned_abs() <= interval / 2)
        .unwrap_or(SignedDuration::ZERO)
}

/// What takes `distance` to the nearest multiple of `interval`.
pub(super) fn rounding(distance: SignedDuration, interval: Duration) -> SignedDuration {
    let interval_ns = i128::try_from(interval.as_nanos()).unwrap_or(i128::MAX).max(1);
    let past_ns = distance.as_nanos().rem_euclid(interval_ns);
    let by_ns = if past_ns * 2 < interval_ns { -past_ns } else { interval_ns - past_ns };
    SignedDuration::try_from_nanos_i128(by_ns).unwrap_or(SignedDuration::ZERO)
}

/// The moments, none to two, at which local clocks show this civil time.
fn moments(civil_ms: i64, timezone: &TimeZone) -> impl Iterator<Item = Timestamp> + use<> {
    let civil = Timestamp::from_millisecond(civil_ms).map(|t| TimeZone::UTC.to_datetime(t));
    let offsets = civil.map(|civil| (civil, timezone.to_ambiguous_timestamp(civil).offset()));
    let both = match offsets {
        Err(_) => [None, None],
        Ok((civil, AmbiguousOffset::Unambiguous { offset })) => [offset.to_timestamp(civil).ok(), None],
        Ok((civil, AmbiguousOffset::Gap { before, .. })) => [before.to_timestamp(civil).ok(), None],
        Ok((civil, AmbiguousOffset::Fold { before, after })) => {
            [before.to_timestamp(civil).ok(), after.to_timestamp(civil).ok()]
        }
    };
    both.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::{rounding, slot_distance};
    use jiff::tz::TimeZone;
    use jiff::{SignedDuration, Timestamp};
    use std::time::Duration;

    fn nearest(target: &str, interval_minutes: u64, offset_ms: i64) -> String {
        let timezone = TimeZone::get("Europe/Berlin").expect("a zone");
        let target: Timestamp = target.parse().expect("a time");
        let interval = Duration::from_secs(interval_minutes * 60);
        let slot = target + slot_distance(target, interval, offset_ms, &timezone);
        slot.to_zoned(timezone).strftime("%d %H:%M:%S%:z").to_string()
    }

    #[test]
    fn slots_count_from_local_midnight() {
        assert_eq!(nearest("2026-11-22T21:40:00+01:00", 15, 0), "22 21:45:00+01:00");
        assert_eq!(nearest("2026-11-22T23:55:00+01:00", 1440, 0), "23 00:00:00+01:00");
        assert_eq!(nearest("2026-11-22T21:40:00+01:00", 15, -30_000), "22 21:44:30+01:00");
    }

    #[test]
    fn a_civil_time_that_comes_twice_is_two_slots_and_a_skipped_one_is_none_the_less_one() {
        assert_eq!(nearest("2026-10-25T02:08:00+02:00", 60, 0), "25 02:00:00+02:00");
        assert_eq!(nearest("2026-10-25T02:08:00+01:00", 60, 0), "25 02:00:00+01:00");
        assert_eq!(nearest("2026-03-29T03:20:00+02:00", 1440, 150 * 60_000), "29 03:30:00+02:00");
    }

    #[test]
    fn where_the_clock_goes_back_a_stretch_may_have_no_slot_near() {
        // Every 90 min: 01:30 summer time, then 03:00 winter time, two and a half hours later.
        assert_eq!(nearest("2026-10-25T02:10:00+01:00", 90, 0), "25 02:10:00+01:00");
    }

    #[test]
    fn rounding_goes_to_the_nearest_multiple_on_either_side() {
        let (second, interval) = (SignedDuration::from_secs(1), Duration::from_secs(60));
        for (distance, to) in [(0, 0), (29, 0), (31, 60), (-29, 0), (-31, -60), (90, 120)] {
            let distance = second * distance;
            assert_eq!(distance + rounding(distance, interval), second * to, "{distance:?}");
        }
    }
}
