//! What the store remembers of the announcements, at a start.

use std::collections::BTreeMap;

use super::super::discovery::{Announcer, device};
use super::meter::Meter;
use super::{AGENT, Announcements, Change, Configured};
use crate::spool::{Memo, memo};

impl Announcements {
    /// As it was when the `memos` were kept: kind, name, text. What they announce under a name that is not in
    /// `meters` is taken back with the next [`configure`](Self::configure).
    pub fn restore<'a>(
        announcer: Option<Announcer>,
        meters: &BTreeMap<String, Configured>,
        memos: impl Iterator<Item = (Memo, &'a str, &'a str)>,
    ) -> Self {
        let mut all = Self { announcer, ..Self::default() };
        for (kind, name, text) in memos {
            match kind {
                Memo::Announcement => all.restore_announcement(meters, name, text),
                Memo::Identity => {
                    let Some(identity) = memo::Identity::parse(text) else { continue };
                    let meter = all.restored(meters, name);
                    meter.identity = Some(identity.address);
                    meter.replaces_another = identity.replaced;
                }
                Memo::Farewell => {
                    let Some(farewell) = memo::Farewell::parse(text) else { continue };
                    all.farewells.add(name, farewell.topic, farewell.payload.to_owned());
                }
                Memo::State
                | Memo::Unit
                | Memo::Replies
                | Memo::Formats
                | Memo::Names
                | Memo::Rises
                | Memo::Instance => {}
            }
        }
        all
    }

    fn restore_announcement(&mut self, meters: &BTreeMap<String, Configured>, name: &str, text: &str) {
        let Some(memo::Announcement { topic, rules, payload }) = memo::Announcement::parse(text) else { return };
        match self.announcer.as_ref().and_then(|announcer| announcer.recognise(payload.as_bytes())) {
            Some(announced) if name == AGENT => {
                self.agent_components = announced.components;
                self.agent_topic = Some(topic.to_owned());
            }
            Some(announced) => {
                match (meters.get(name), &announced.state_topic) {
                    (Some(configured), _) => {
                        let payload = device::retitled(payload, name, configured.title.as_deref());
                        self.document(false, topic, payload, true);
                    }
                    (None, Some(state_topic)) => {
                        self.changes.push(Change::Orphan { state_topic: state_topic.clone() });
                    }
                    (None, None) => {}
                }
                let meter = self.restored(meters, name);
                meter.rules = rules.map(str::to_owned);
                meter.move_to(topic);
                meter.find(topic, announced);
            }
            // of another base topic, or nothing is announced any more
            None => {
                self.forgetting.entry(name.to_owned()).or_default().insert(topic.to_owned());
                self.clear(topic);
            }
        }
    }

    fn restored(&mut self, meters: &BTreeMap<String, Configured>, name: &str) -> &mut Meter {
        let configured = || meters.get(name).cloned().unwrap_or_default();
        self.meters.entry(name.to_owned()).or_insert_with(|| Meter::new(configured()))
    }
}
