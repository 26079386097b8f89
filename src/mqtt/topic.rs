//! Every topic of an agent, made from its base topic, and the command topics read back.
//!
//! Not here: Home Assistant's discovery topics (`homeassistant`), what is retained (the outbox).
//! A retained message on a command topic must be ignored by whoever receives it: it may be years old.

/// The longest verb of a request.
const VERB_BYTES: usize = 64;

/// The topics below one base topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    base: String,
}

impl Topics {
    /// `base` without a trailing slash, as the checked config has it.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self { base: base.to_owned() }
    }

    /// The base topic itself.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `online` or `offline`, the last will; retained.
    #[must_use]
    pub fn bridge_state(&self) -> String {
        format!("{}/bridge/state", self.base)
    }

    /// Health of the agent and its buses; retained.
    #[must_use]
    pub fn bridge_info(&self) -> String {
        format!("{}/bridge/info", self.base)
    }

    /// What came of the last scan; retained.
    #[must_use]
    pub fn bridge_scan(&self) -> String {
        format!("{}/bridge/scan", self.base)
    }

    /// What happened, as it happens.
    #[must_use]
    pub fn bridge_event(&self) -> String {
        format!("{}/bridge/event", self.base)
    }

    /// Where the request `verb` is made.
    #[must_use]
    pub fn request(&self, verb: &str) -> String {
        format!("{}/bridge/request/{verb}", self.base)
    }

    /// The answer to the request `verb`.
    #[must_use]
    pub fn response(&self, verb: &str) -> String {
        format!("{}/bridge/response/{verb}", self.base)
    }

    /// Flat JSON of a meter's last values; retained.
    #[must_use]
    pub fn state(&self, meter: &str) -> String {
        format!("{}/{meter}/state", self.base)
    }

    /// The meter whose state topic this is.
    #[must_use]
    pub fn meter_of_state<'a>(&self, topic: &'a str) -> Option<&'a str> {
        self.meter_of(topic, "/state")
    }

    /// Each whole reading of a meter.
    #[must_use]
    pub fn reading(&self, meter: &str) -> String {
        format!("{}/{meter}/reading", self.base)
    }

    /// `online` or `offline`; retained.
    #[must_use]
    pub fn availability(&self, meter: &str) -> String {
        format!("{}/{meter}/availability", self.base)
    }

    /// Where a message makes the agent read the meter now.
    #[must_use]
    pub fn read(&self, meter: &str) -> String {
        format!("{}/{meter}/read", self.base)
    }

    /// One plain value, for subscribers that take no JSON; retained.
    #[must_use]
    pub fn value(&self, meter: &str, key: &str) -> String {
        format!("{}/{meter}/value/{key}", self.base)
    }

    /// The topic filters of every command.
    #[must_use]
    pub fn command_filters(&self) -> [String; 2] {
        [format!("{}/bridge/request/+", self.base), format!("{}/+/read", self.base)]
    }

    /// The verb of `<base>/bridge/request/<verb>`, not yet known to be one of ours. A long one is none: the
    /// topic of its response might be longer than MQTT allows.
    #[must_use]
    pub fn verb<'a>(&self, topic: &'a str) -> Option<&'a str> {
        let verb = self.below(topic)?.strip_prefix("bridge/request/")?;
        ((1..=VERB_BYTES).contains(&verb.len()) && !verb.contains('/')).then_some(verb)
    }

    /// The meter of `<base>/<meter>/read`, not yet known to be one of ours: it is to be read now,
    /// whatever the payload.
    #[must_use]
    pub fn meter_to_read<'a>(&self, topic: &'a str) -> Option<&'a str> {
        self.meter_of(topic, "/read")
    }

    fn meter_of<'a>(&self, topic: &'a str, end: &str) -> Option<&'a str> {
        let meter = self.below(topic)?.strip_suffix(end)?;
        (!meter.is_empty() && !meter.contains('/') && meter != "bridge").then_some(meter)
    }

    fn below<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(self.base.as_str())?.strip_prefix('/')
    }
}

#[cfg(test)]
mod tests {
    use super::Topics;

    #[test]
    fn commands_are_read_back_from_their_own_topics_only() {
        let topics = Topics::new("mbushat/house7");
        let command = |topic: &str| topics.verb(topic).or(topics.meter_to_read(topic)).map(str::to_owned);
        assert_eq!(topics.meter_to_read(&topics.read("cold_water")), Some("cold_water"));
        assert_eq!(topics.meter_of_state(&topics.state("cold_water")), Some("cold_water"));
        assert_eq!(topics.meter_of_state(&topics.bridge_state()), None);
        assert_eq!(topics.verb(&topics.request("scan")), Some("scan"));
        for other in [
            "mbushat/cold_water/read",
            "mbushat/house77/cold_water/read",
            "mbushat/house7/read",
            "mbushat/house7//read",
            "mbushat/house7/a/b/read",
            "mbushat/house7/bridge/read",
            "mbushat/house7/bridge/request/",
            "mbushat/house7/bridge/request/a/b",
            "mbushat/house7/cold_water/reading",
            &topics.request(&"y".repeat(65)),
            "",
        ] {
            assert_eq!(command(other), None, "{other}");
        }
    }

    #[test]
    fn no_topic_that_is_published_is_taken_for_a_command() {
        let topics = Topics::new("mbushat");
        let published = [
            topics.bridge_state(),
            topics.bridge_info(),
            topics.bridge_scan(),
            topics.bridge_event(),
            topics.response("read"),
            topics.state("a"),
            topics.reading("a"),
            topics.availability("a"),
            topics.value("a", "read"),
        ];
        for topic in published {
            assert!(topic.starts_with("mbushat/"));
            assert_eq!(topics.verb(&topic).or(topics.meter_to_read(&topic)), None, "{topic}");
        }
    }
}
