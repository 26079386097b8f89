//! What the store remembers of the announcements, at a start.

use std::collections::BTreeMap;

use super::super::discovery::{Announcer, device};
use super::meter::{Doubt, Meter};
use super::{Announcements, Change, Configured, Of, Outdated};
use crate::spool::{Memo, memo};

/// Before the id of a device under whose memo stands what is being taken back; no meter has such a name.
const LEFT: char = '/';

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
                    (meter.identity, meter.first) = (Some(identity.address), identity.first);
                    if !identity.place.is_empty() && identity.place != meter.configured.place {
                        meter.expect_another(Doubt::Moved);
                    }
                }
                Memo::Farewell => {
                    let Some(farewell) = memo::Farewell::parse(text) else { continue };
                    all.farewells.add(name, farewell.topic, farewell.payload.to_owned());
                }
                Memo::Kept => {
                    let kept = memo::Kept::parse(text);
                    let meter = all.restored(meters, name);
                    meter.kept = kept.filter(|_| meter.configured.keep_entities);
                    if meter.kept.is_none() {
                        let nothing = Change::Memo { memo: kind, name: name.to_owned(), text: String::new() };
                        all.changes.push(nothing);
                    }
                }
                Memo::Rules => all.restored(meters, name).was_shown_by(text),
                Memo::State | Memo::Telegrams | Memo::Unit | Memo::Replies | Memo::Formats | Memo::Names => {}
                Memo::Rises | Memo::Base | Memo::Instance => {}
            }
        }
        all
    }

    fn restore_announcement(&mut self, meters: &BTreeMap<String, Configured>, name: &str, text: &str) {
        let Some(memo::Announcement { topic, rules, payload }) = memo::Announcement::parse(text) else { return };
        match self.announcer.as_ref().and_then(|announcer| announcer.recognise(payload.as_bytes())) {
            // it was being taken back for a move, and the agent is here again
            Some(announced) if name.starts_with(LEFT) => {
                self.changes.push(Change::Memo {
                    memo: Memo::Announcement,
                    name: name.to_owned(),
                    text: String::new(),
                });
                if announced.state_topic.is_some() {
                    self.held.insert(topic.to_owned(), announced);
                } else {
                    self.agent_components.extend(announced.components);
                }
            }
            Some(announced) if name == memo::AGENT => {
                self.agent_components.extend(announced.components);
                self.agent_topic = Some(topic.to_owned());
            }
            Some(announced) => {
                match (meters.get(name), &announced.state_topic) {
                    (Some(configured), _) => {
                        let payload = device::retitled(payload, name, configured.title.as_deref());
                        let of = Of::Meter { name: name.to_owned(), outdated: Outdated::Nothing };
                        self.document(of, topic, payload, true);
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
                let Some(id) = topic.rsplit('/').nth(1) else { return };
                let farewell = memo::Farewell { topic, payload }.to_string();
                self.farewells.add(id, topic, payload.to_owned());
                // the name may be announced elsewhere before this has arrived
                let kept = format!("{LEFT}{id}");
                self.forgetting.entry(kept.clone()).or_default().insert(topic.to_owned());
                let announcement = |name: &str, text: &str| Change::Memo {
                    memo: Memo::Announcement,
                    name: name.to_owned(),
                    text: text.to_owned(),
                };
                self.changes.push(announcement(name, ""));
                self.changes.push(announcement(&kept, text));
                self.changes.push(Change::Memo { memo: Memo::Farewell, name: id.to_owned(), text: farewell });
                self.clear(topic);
            }
        }
    }

    fn restored(&mut self, meters: &BTreeMap<String, Configured>, name: &str) -> &mut Meter {
        let configured = || meters.get(name).cloned().unwrap_or_default();
        self.meters.entry(name.to_owned()).or_insert_with(|| Meter::new(configured(), BTreeMap::new()))
    }
}
