//! How fast a total rose so far, and what is out of all proportion to that.

use std::time::{Duration, Instant};

use crate::mbus::decimal::Decimal;

/// So many rises must be known before one can be improbable.
const RISES_ENOUGH: u8 = 10;
/// An improbable rise is steeper than the steepest one so many times.
const TIMES_STEEPER: i128 = 100;

/// What the published rises of a total were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rises {
    /// How many above zero, up to ten.
    pub known: u8,
    /// The steepest.
    pub greatest: Decimal,
    /// Milliseconds in which it rose by that.
    pub within_ms: u64,
}

impl Rises {
    pub(super) fn learn(&mut self, rise: Decimal, within_ms: u64) {
        if self.known == 0 || is_steeper((rise, within_ms), (self.greatest, self.within_ms)) {
            (self.greatest, self.within_ms) = (rise, within_ms);
        }
        self.known = self.known.saturating_add(1).min(RISES_ENOUGH);
    }

    /// Whether this is in proportion to them; before enough are known, everything is.
    pub(super) fn allow(&self, rise: Decimal, within_ms: u64) -> bool {
        let most = self.greatest.checked_mul(Decimal::new(TIMES_STEEPER, 0)).unwrap_or(self.greatest);
        self.known < RISES_ENOUGH || !is_steeper((rise, within_ms), (most, self.within_ms))
    }
}

/// Whether the one rise, with its time, is steeper than the other.
fn is_steeper(one: (Decimal, u64), other: (Decimal, u64)) -> bool {
    let times = |rise: Decimal, ms: u64| rise.checked_mul(Decimal::new(i128::from(ms), 0));
    match (times(one.0, other.1), times(other.0, one.1)) {
        (Some(one), Some(other)) => one > other,
        (one, _) => one.is_none(),
    }
}

/// A value and when it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) number: Decimal,
    pub(super) at: Instant,
}

impl Sample {
    /// The way from here to a later one; `None` where it is down, or too far to count.
    pub(super) fn rise_to(self, later: Sample) -> Option<(Decimal, u64)> {
        let rise = self.number.checked_mul(Decimal::new(-1, 0))?.checked_add(later.number)?;
        let within = later.at.saturating_duration_since(self.at).max(Duration::from_secs(1));
        (rise >= Decimal::ZERO).then(|| (rise, u64::try_from(within.as_millis()).unwrap_or(u64::MAX)))
    }
}
