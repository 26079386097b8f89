//! Devices taken back from Home Assistant, also from one that is not there to hear it.
//!
//! Seen on a real Home Assistant: it ignores the removal of a device that it did not discover since
//! its start, and keeps it for ever. So a device taken back is remembered until the next birth
//! message; then it is announced once more, not retained, and taken back when it has been made.
//!
//! Not here: when that is (`outbox`), what the document says (`homeassistant::discovery`).

use std::collections::BTreeMap;

use super::super::outbox::{Birth, Class};
use super::Publisher;
use crate::spool::Memo;

/// Devices remembered, at most: as many as a bus has primary addresses.
const MOST: usize = 250;

impl Publisher {
    /// Takes an announcement back from the broker, and at its next birth from Home Assistant.
    pub(super) fn retract(&mut self, topic: &str, components: &BTreeMap<String, String>) {
        if let (Some(announcer), Some(id)) = (&self.announcer, topic.rsplit('/').nth(1)) {
            if self.spool.remembered(Memo::Farewell).count() < MOST {
                let document = announcer.farewell(id, components);
                self.spool.remember(Memo::Farewell, id, &format!("{topic}\n{document}"), self.now);
            }
        }
        self.outbox.set(Class::Announcement, topic, Vec::new(), true);
    }

    /// Home Assistant was born: it gets the devices taken back, and when it has made them it loses them.
    pub(in super::super) fn born(&mut self, birth: Birth) {
        let Self { spool, meters, held, outbox, farewells, .. } = self;
        for (id, text) in spool.remembered(Memo::Farewell) {
            let Some((topic, document)) = text.split_once('\n') else { continue };
            let is_back = meters.values().any(|known| known.announced.as_deref() == Some(topic));
            let sent = outbox.get(Class::Announcement, topic) == Some(document.as_bytes());
            match birth {
                Birth::Announce if is_back => _ = farewells.insert(id.to_owned(), topic.to_owned()),
                Birth::Announce if held.contains_key(topic) => {}
                Birth::Announce => outbox.set(Class::Announcement, topic, document.into(), false),
                Birth::States if sent => {
                    outbox.set(Class::Announcement, topic, Vec::new(), true);
                    farewells.insert(id.to_owned(), topic.to_owned());
                }
                Birth::States => {}
            }
        }
    }

    /// Forgets the devices that Home Assistant has lost, once the broker has been told.
    pub(super) fn forget_farewells(&mut self) {
        let Self { farewells, outbox, spool, now, .. } = self;
        farewells.retain(|id, topic| {
            let told = outbox.has_arrived(Class::Announcement, topic);
            if told {
                spool.remember(Memo::Farewell, id, "", *now);
            }
            !told
        });
    }
}
