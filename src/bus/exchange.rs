//! Other meters for a bus that goes on: adopting one costs neither its line nor its power.
//!
//! Not here: who decides (`agent`).

use jiff::Timestamp;

use super::metered::Metered;
use super::schedule::{Now, Plan, Schedule};
use crate::config::Meter;

/// The meters of a bus, each with the time of its last good reading.
pub type Meters = Vec<(Meter, Option<Timestamp>)>;

/// Exchanges the meters and their reads. One that is read as before keeps its slot and what is known of it; who
/// waits for a meter that is gone is answered by that.
pub(super) fn exchange(metered: &mut Vec<Metered>, schedule: &mut Schedule, meters: &Meters, now: Now) {
    let mut former: Vec<Option<Metered>> = std::mem::take(metered).into_iter().map(Some).collect();
    let mut plans = Vec::new();
    for (meter, last_good) in meters {
        let is_it = |old: &Option<Metered>| {
            old.as_ref().is_some_and(|old| old.meter.name == meter.name && old.meter.is_read_like(meter))
        };
        let before = former.iter().position(is_it);
        let kept = before.and_then(|place| former.get_mut(place)).and_then(Option::take);
        plans.push((Plan::new(meter, *last_good), before));
        metered.push(match kept {
            Some(old) => old.configured(meter.clone()),
            None => Metered::new(meter.clone(), *last_good),
        });
    }
    *schedule = schedule.exchanged(plans, now);
}
