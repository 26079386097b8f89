//! Whether another agent lives under the same base topic: what messages of `bridge/info` say that are not
//! retained. Pure: `now` is passed.
//!
//! Every agent publishes `bridge/info` once a minute, and hears its own. As long as another one lives there,
//! and until it is known that none does, what an agent finds on the broker may be the other's.
//!
//! Not here: two agents with one client id, which never hear each other (`namesake`).

use std::time::{Duration, Instant};

use serde_json::Value;

/// Who is not heard for so long, three messages of `bridge/info`, is gone.
const GONE_AFTER: Duration = Duration::from_secs(180);
/// Who hears no other agent for so long, one such message and a margin, is alone.
const ALONE_AFTER: Duration = Duration::from_secs(70);
/// `online` is published again at most this often, so that no two agents can keep each other busy.
const ONLINE_EVERY: Duration = Duration::from_secs(5);
/// An agent of an earlier version, which does not say who it is.
const UNKNOWN: &str = "unknown";

/// What is heard of others.
#[derive(Debug)]
pub(super) struct OtherAgent {
    own: String,
    /// Since when everything that is published there is heard; `None`: there is no connection.
    listening: Option<Instant>,
    /// The other agent, and when it was heard last.
    heard: Option<(String, Instant)>,
    /// `online` is to be published again then.
    online_at: Option<Instant>,
    /// When that was done last.
    online_was: Option<Instant>,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Another agent lives there.
    Appeared(String),
    /// It does so no longer.
    Gone(String),
}

impl OtherAgent {
    /// `own`: the instance of this agent.
    pub(super) fn new(own: &str) -> Self {
        Self { own: own.to_owned(), listening: None, heard: None, online_at: None, online_was: None }
    }

    /// There is a connection from now on. Another agent that was not heard meanwhile may still be there.
    pub(super) fn up(&mut self, now: Instant) {
        self.listening = Some(now);
        self.heard.iter_mut().for_each(|(_, at)| *at = now);
    }

    /// There is none.
    pub(super) fn down(&mut self) {
        (self.listening, self.online_at) = (None, None);
    }

    /// The other agent.
    pub(super) fn instance(&self) -> Option<&str> {
        self.heard.as_ref().map(|(instance, _)| instance.as_str())
    }

    /// Somebody published `bridge/info` just now.
    pub(super) fn heard(&mut self, payload: &[u8], now: Instant) -> Option<Change> {
        let instance = instance(payload).filter(|instance| *instance != self.own)?;
        let known = self.heard.replace((instance.clone(), now));
        known.is_none().then_some(Change::Appeared(instance))
    }

    /// Whether the other one has gone since the last call.
    pub(super) fn check(&mut self, now: Instant) -> Option<Change> {
        let gone = self.gone_at().is_some_and(|at| at <= now);
        self.heard.take_if(|_| gone).map(|(instance, _)| Change::Gone(instance))
    }

    /// Whether it is known that no other agent lives there.
    pub(super) fn is_alone(&self, now: Instant) -> bool {
        self.heard.is_none() && self.alone_at().is_some_and(|at| at <= now)
    }

    /// Somebody published `offline` as the agent's state: another agent stopped, or its will says so.
    pub(super) fn heard_offline(&mut self, now: Instant) {
        let soonest = self.online_was.map_or(now, |was| (was + ONLINE_EVERY).max(now));
        self.online_at.get_or_insert(soonest);
    }

    /// Whether to publish `online` again now.
    pub(super) fn is_to_say_online(&mut self, now: Instant) -> bool {
        let due = self.online_at.take_if(|at| *at <= now).is_some();
        if due {
            self.online_was = Some(now);
        }
        due
    }

    /// When time alone changes something.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let alone = self.alone_at().filter(|at| *at > now);
        self.gone_at().into_iter().chain(alone).chain(self.online_at).min()
    }

    fn gone_at(&self) -> Option<Instant> {
        let (_, at) = self.heard.as_ref().filter(|_| self.listening.is_some())?;
        Some(*at + GONE_AFTER)
    }

    fn alone_at(&self) -> Option<Instant> {
        Some(self.listening? + ALONE_AFTER)
    }
}

/// Who published this `bridge/info`; `None` where it was not an agent.
pub(super) fn instance(payload: &[u8]) -> Option<String> {
    let info: Value = serde_json::from_slice(payload).ok()?;
    info.get("version")?.as_str()?;
    let instance = info.get("instance").and_then(Value::as_str);
    let is_good = |text: &&str| text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    Some(instance.filter(is_good).unwrap_or(UNKNOWN).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "0123456789abcdef";
    const OTHER: &str = "fedcba9876543210";

    fn info(instance: &str) -> Vec<u8> {
        format!("{{\"version\":\"0.1.0\",\"instance\":{instance:?}}}").into_bytes()
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn its_own_messages_and_those_of_no_agent_are_no_other_agent() {
        let now = Instant::now();
        let mut agent = OtherAgent::new(OWN);
        agent.up(now);
        for payload in [&info(OWN)[..], b"", b"online", b"{}", b"[1]", b"{\"instance\":\"fedcba9876543210\"}"] {
            assert_eq!(agent.heard(payload, now), None, "{}", String::from_utf8_lossy(payload));
        }
        assert_eq!(agent.instance(), None);
    }

    #[test]
    fn an_agent_that_does_not_say_who_it_is_is_another_one() {
        let now = Instant::now();
        for payload in [&b"{\"version\":\"0.1.0\"}"[..], &info("<script>"), &info("")] {
            let mut agent = OtherAgent::new(OWN);
            assert_eq!(agent.heard(payload, now), Some(Change::Appeared("unknown".to_owned())));
        }
    }

    #[test]
    fn another_agent_is_reported_once_and_so_is_its_end() {
        let start = Instant::now();
        let mut agent = OtherAgent::new(OWN);
        agent.up(start);
        assert_eq!(agent.heard(&info(OTHER), start), Some(Change::Appeared(OTHER.to_owned())));
        for minute in 1..10 {
            assert_eq!(agent.heard(&info(OTHER), after(start, 60 * minute)), None);
            assert_eq!(agent.check(after(start, 60 * minute)), None);
        }
        assert_eq!(agent.instance(), Some(OTHER));
        assert_eq!(agent.wake_at(after(start, 540)), Some(after(start, 540 + 180)));
        assert_eq!(agent.check(after(start, 540 + 179)), None);
        assert_eq!(agent.check(after(start, 540 + 180)), Some(Change::Gone(OTHER.to_owned())));
        assert_eq!((agent.check(after(start, 900)), agent.instance()), (None, None));
    }

    #[test]
    fn nobody_is_gone_for_not_being_heard_without_a_connection() {
        let start = Instant::now();
        let mut agent = OtherAgent::new(OWN);
        agent.up(start);
        agent.heard(&info(OTHER), start);
        agent.down();
        assert_eq!((agent.check(after(start, 3600)), agent.wake_at(after(start, 3600))), (None, None));
        agent.up(after(start, 3600));
        assert_eq!(agent.check(after(start, 3600 + 179)), None);
        assert_eq!(agent.check(after(start, 3600 + 180)), Some(Change::Gone(OTHER.to_owned())));
    }

    #[test]
    fn it_is_alone_once_it_has_listened_for_longer_than_a_minute_after_each_connect() {
        let start = Instant::now();
        let mut agent = OtherAgent::new(OWN);
        assert!(!agent.is_alone(after(start, 3600)), "it has heard nothing yet");
        agent.up(start);
        assert_eq!(agent.wake_at(start), Some(after(start, 70)));
        assert!(!agent.is_alone(after(start, 69)) && agent.is_alone(after(start, 70)));
        assert_eq!(agent.wake_at(after(start, 70)), None, "it does not wake again and again");
        agent.down();
        assert!(!agent.is_alone(after(start, 100)));
        agent.up(after(start, 100));
        assert!(!agent.is_alone(after(start, 169)) && agent.is_alone(after(start, 170)));
        agent.heard(&info(OTHER), after(start, 171));
        assert!(!agent.is_alone(after(start, 300)));
    }

    #[test]
    fn online_is_said_again_at_once_but_not_more_than_every_five_seconds() {
        let start = Instant::now();
        let mut agent = OtherAgent::new(OWN);
        agent.up(start);
        assert!(!agent.is_to_say_online(start));
        let mut said = Vec::new();
        for second in 0..12 {
            agent.heard_offline(after(start, second));
            if agent.is_to_say_online(after(start, second)) {
                said.push(second);
            }
        }
        assert_eq!(said, [0, 5, 10]);
        assert_eq!(agent.wake_at(after(start, 11)), Some(after(start, 15)));
        assert!(agent.is_to_say_online(after(start, 15)) && !agent.is_to_say_online(after(start, 30)));
    }
}
