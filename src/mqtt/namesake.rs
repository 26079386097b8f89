//! Whether another agent has the same client id. A broker keeps one connection for each id, so two agents
//! with one id throw each other out again and again, and never hear each other. Pure: `now` is passed.
//!
//! MQTT 5 has a reason code for it. MQTT 3.1.1 only closes the connection. There the retained `bridge/info`
//! is the proof: it was our own when the connection was closed, and is another agent's at the next one,
//! although that agent was never heard while there was a connection.
//!
//! Not here: another agent that has its own id (`other_agent`), connecting as something else (`task`).

use std::time::{Duration, Instant};

/// Thrown out twice within this time, an agent takes another client id.
const TWICE_WITHIN: Duration = Duration::from_secs(600);

/// What the ends of connections prove.
#[derive(Debug, Default)]
pub(super) struct Namesake {
    /// The last connection was closed without a word, when the newest `bridge/info` was our own.
    closed: bool,
    thrown_out: Option<Instant>,
    renamed: bool,
}

impl Namesake {
    /// The broker said that another client with the same id has connected. Whether to take another id now.
    pub(super) fn taken_over(&mut self, now: Instant) -> bool {
        self.closed = false;
        self.count(now)
    }

    /// The connection ended otherwise; `closed`: without a word, while the newest `bridge/info` was our own.
    pub(super) fn ended(&mut self, closed: bool) {
        self.closed = closed;
    }

    /// The retained `bridge/info` at a new connection is another agent's; `heard`: that agent has been heard,
    /// so it has an id of its own. Whether to take another id now.
    pub(super) fn found_another(&mut self, heard: bool, now: Instant) -> bool {
        std::mem::take(&mut self.closed) && !heard && self.count(now)
    }

    /// Whether it has taken another id.
    pub(super) fn is_renamed(&self) -> bool {
        self.renamed
    }

    fn count(&mut self, now: Instant) -> bool {
        let before = self.thrown_out.replace(now);
        let twice = before.is_some_and(|before| now.saturating_duration_since(before) <= TWICE_WITHIN);
        twice && !std::mem::replace(&mut self.renamed, true)
    }
}

/// The client id to connect as instead.
pub(super) fn another_id(client_id: &str, instance: &str) -> String {
    let digits: String = instance.chars().take(6).collect();
    format!("{client_id}-{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn thrown_out_twice_within_ten_minutes_it_takes_another_id_once() {
        let start = Instant::now();
        let mut agent = Namesake::default();
        assert!(!agent.taken_over(start));
        assert!(!agent.taken_over(after(start, 601)), "that was too long ago");
        assert!(agent.taken_over(after(start, 601 + 600)));
        assert!(!agent.taken_over(after(start, 1202)), "until the next start");
    }

    #[test]
    fn a_close_counts_where_another_agent_published_before_the_next_connection() {
        let start = Instant::now();
        let mut agent = Namesake::default();
        for second in 0..2 {
            agent.ended(true);
            assert_eq!(agent.found_another(false, after(start, second)), second == 1);
            assert!(!agent.found_another(false, after(start, second)), "it counts once");
        }
        assert_eq!(another_id("mbushat-pi", "0123456789abcdef"), "mbushat-pi-012345");
    }

    #[test]
    fn a_close_proves_nothing_where_the_other_agent_was_heard_or_the_newest_message_was_not_our_own() {
        let now = Instant::now();
        let mut agent = Namesake::default();
        for (closed, heard) in [(true, true), (false, false)] {
            for _ in 0..3 {
                agent.ended(closed);
                assert!(!agent.found_another(heard, now));
            }
        }
        agent.ended(true);
        assert!(!agent.found_another(false, now), "the first one that counts");
    }
}
