//! Which device sees the values of which state topic, as far as the broker has its announcement.
//!
//! Not here: what follows from it (`transition`).

use std::collections::BTreeMap;

use serde_json::Value;

/// State topics by discovery topic.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    on_the_broker: BTreeMap<String, String>,
    /// Announcements on their way; `None` takes the device back.
    coming: BTreeMap<String, Option<String>>,
}

impl Viewers {
    /// The broker has this document.
    pub(super) fn found(&mut self, topic: &str, document: &[u8]) {
        if let Some(state_topic) = state_topic(document) {
            self.on_the_broker.insert(topic.to_owned(), state_topic);
        }
    }

    /// This document is published.
    pub(super) fn published(&mut self, topic: &str, document: &[u8]) {
        self.coming.insert(topic.to_owned(), state_topic(document));
    }

    /// Whether each that is on its way `has_arrived`.
    pub(super) fn update(&mut self, has_arrived: impl Fn(&str) -> bool) {
        let Self { on_the_broker, coming } = self;
        coming.retain(|topic, state_topic| {
            let arrived = has_arrived(topic);
            match state_topic.take_if(|_| arrived) {
                Some(state_topic) => _ = on_the_broker.insert(topic.clone(), state_topic),
                None if arrived => _ = on_the_broker.remove(topic),
                None => {}
            }
            !arrived
        });
    }

    /// The state topic whose values this device sees.
    pub(super) fn sees(&self, topic: &str) -> Option<&str> {
        self.on_the_broker.get(topic).map(String::as_str)
    }

    /// Whether a device sees the values on this topic that is not announced on `own`.
    pub(super) fn are_seen_by_another(&self, state_topic: &str, own: Option<&str>) -> bool {
        self.on_the_broker.iter().any(|(topic, seen)| seen == state_topic && Some(topic.as_str()) != own)
    }
}

fn state_topic(document: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(document).ok()?;
    document.get("stat_t")?.as_str().map(str::to_owned)
}
