//! What is known, over connections, of the subscriptions at which the broker ends them: one of MQTT 3.1.1 can
//! hardly refuse a subscription, and some of MQTT 5 do not want to.
//!
//! After two connections that ended before an answer, messages go first, and once one has arrived the filters
//! are asked one at a time with nothing else on the way, which shows at which one the broker hangs up.
//!
//! Not here: what is under way on one connection (`book`).

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// So many connections in a row may end with a subscription unanswered: a broker that starts needs a few.
const CAREFUL_AFTER: u32 = 2;
/// First and longest pause before a subscription is tried again at which the broker hung up.
const PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Connections in a row that ended with a subscription unanswered.
    unanswered: u32,
    guilty: HashMap<String, Guilt>,
}

#[derive(Debug)]
struct Guilt {
    until: Instant,
    pause: Duration,
}

impl Subscriptions {
    /// Whether filters are asked one at a time, after the messages.
    pub(super) fn is_careful(&self) -> bool {
        self.unanswered >= CAREFUL_AFTER
    }

    /// When this filter may be tried, where the broker has hung up at it.
    pub(super) fn held_until(&self, filter: &str) -> Option<Instant> {
        self.guilty.get(filter).map(|guilt| guilt.until)
    }

    /// A connection ended with a subscription unanswered.
    pub(super) fn unanswered(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// All are answered.
    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
    }

    /// The broker hung up at this one alone: whether that is news.
    pub(super) fn hung_up_at(&mut self, filter: &str) -> bool {
        let now = Instant::now();
        let before = self.guilty.get(filter).map(|guilt| guilt.pause);
        let pause = before.map_or(PAUSE.0, |pause| (pause * 2).min(PAUSE.1));
        self.guilty.insert(filter.to_owned(), Guilt { until: now + pause, pause });
        before.is_none()
    }

    /// The broker has answered it.
    pub(super) fn cleared(&mut self, filter: &str) {
        self.guilty.remove(filter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_guilty_filter_waits_longer_each_time_up_to_an_hour() {
        let mut subscriptions = Subscriptions::default();
        let pauses: Vec<_> = (0..8)
            .map(|number| {
                assert_eq!(subscriptions.hung_up_at("t"), number == 0);
                subscriptions.held_until("t").expect("it waits").duration_since(Instant::now()).as_secs()
            })
            .collect();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        subscriptions.cleared("t");
        assert!(subscriptions.held_until("t").is_none());
    }
}
