//! What to say of a meter that answers at the end of its time or later: it is read all the same, until
//! a little more is too much.

use std::time::Duration;

use crate::mbus::master::conversation::LineTiming;

/// The words for a meter that took so long; `None` where it has time enough. `timing` is what it is
/// given as configured.
pub(crate) fn answers_slowly(response_time: Option<Duration>, timing: LineTiming) -> Option<String> {
    let allowed = timing.response_timeout + timing.latency;
    let time = response_time.filter(|time| *time > allowed * 4 / 5)?;
    let seconds = |time: Duration| format!("{}.{:02} s", time.as_secs(), time.subsec_millis() / 10);
    Some(format!("it answers after {}, and is given {}", seconds(time), seconds(allowed)))
}

/// The setting that gives a meter twice the time it took.
pub(crate) fn enough(response_time: Option<Duration>) -> String {
    let seconds = response_time.unwrap_or_default().as_millis().saturating_mul(2).div_ceil(1000).max(1);
    format!("timeout = \"{seconds}s\"")
}

#[cfg(test)]
mod tests {
    use super::{answers_slowly, enough};
    use crate::mbus::link::timing::Baud;
    use crate::mbus::master::conversation::LineTiming;
    use std::time::Duration;

    #[test]
    fn a_meter_that_nears_its_limit_is_named_before_it_is_lost() {
        let timing = LineTiming::new(Baud::DEFAULT);
        let of = |ms| answers_slowly(Some(Duration::from_millis(ms)), timing);
        assert_eq!((of(400), answers_slowly(None, timing)), (None, None));
        assert_eq!(of(410).as_deref(), Some("it answers after 0.41 s, and is given 0.50 s"));
        assert_eq!(enough(Some(Duration::from_millis(1200))), "timeout = \"3s\"");
        let gateway = LineTiming { latency: Duration::from_millis(100), ..timing };
        assert_eq!(answers_slowly(Some(Duration::from_millis(470)), gateway), None, "its way counts too");
    }
}
