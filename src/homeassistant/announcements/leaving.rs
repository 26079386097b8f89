//! Documents that go, or stay for another name.
//!
//! Not here: devices taken back from a Home Assistant that is off (`farewell`).

use std::collections::BTreeMap;

use super::super::discovery::Announced;
use super::meter::Meter;
use super::{AGENT, Announcements, Change, Of};
use crate::spool::{Memo, memo};

impl Announcements {
    /// What is announced on this topic for another name than this one, which has it from now on.
    pub(super) fn taken_from_others(&mut self, name: &str, topic: &str) -> Option<Announced> {
        let mut taken = None;
        for (other, meter) in self.meters.iter_mut().filter(|(other, _)| *other != name) {
            if let Some(announced) = meter.hand_over(topic) {
                self.changes.push(Change::Memo { memo: Memo::Announcement, name: other.clone(), text: String::new() });
                taken = Some(announced);
            }
        }
        // a restart must not take the memo of a removed meter for that of the document
        let Self { forgetting, changes, .. } = self;
        let emptied =
            forgetting.iter_mut().filter_map(|(of, topics)| (topics.remove(topic) && topics.is_empty()).then_some(of));
        changes.extend(emptied.map(|of| Change::Memo {
            memo: Memo::Announcement,
            name: of.clone(),
            text: String::new(),
        }));
        taken
    }

    /// A meter has another name than in this announcement: what it published under that one, if nothing is called so.
    pub(super) fn orphan(&mut self, found: Option<&Announced>) {
        let state_topic = found.and_then(|found| found.state_topic.clone()).filter(|topic| {
            let nowhere = self.announcer.as_ref().map(|announcer| announcer.nowhere());
            Some(topic) != nowhere.as_ref() && !self.meters.values().any(|meter| meter.configured.state_topic == *topic)
        });
        self.changes.extend(state_topic.map(|state_topic| Change::Orphan { state_topic }));
    }

    /// A meter that answered under a name no longer does. One of those not yet read may be it under another name:
    /// until that is clear its device stays, but no longer sees the values of the meter that is there now.
    pub(super) fn leave_behind(&mut self, name: &str, topic: String, former: Announced) {
        let may_come_back = self.meters.values().any(Meter::is_unknown) && !self.is_announced(&topic);
        let id = topic.rsplit('/').nth(1);
        let (Some(announcer), Some(id), true) = (&self.announcer, id, may_come_back) else {
            return self.retract(Of::Left { name: name.to_owned() }, &topic, &former);
        };
        let payload = announcer.farewell(id, &former.device, &former.components);
        self.document(Of::Left { name: name.to_owned() }, &topic, payload, true);
        self.held.insert(topic, former);
    }

    /// Takes an announcement back from the broker, and at its next birth from Home Assistant.
    pub(super) fn retract(&mut self, of: Of, topic: &str, announced: &Announced) {
        // one that is another meter's by now
        if self.is_announced(topic) {
            return;
        }
        if let (Some(announcer), Some(id)) = (&self.announcer, topic.rsplit('/').nth(1)) {
            if self.farewells.has_room() {
                let payload = announcer.farewell(id, &announced.device, &announced.components);
                let text = memo::Farewell { topic, payload: &payload }.to_string();
                self.changes.push(Change::Memo { memo: Memo::Farewell, name: id.to_owned(), text });
                self.farewells.add(id, topic, payload);
            }
        }
        self.document(of, topic, String::new(), true);
    }

    /// Takes back the announcements of meters that are not configured, unless one of those not yet
    /// read may be the same meter under another name.
    pub(super) fn release_held(&mut self) {
        if self.meters.values().any(Meter::is_unknown) {
            return;
        }
        for (topic, announced) in std::mem::take(&mut self.held) {
            self.changes.push(Change::NotUsed { topic: topic.clone() });
            self.retract(Of::Former, &topic, &announced);
        }
    }

    /// The announcements of meters that are not configured which see the values on this topic.
    pub(super) fn take_held(&mut self, state_topic: &str) -> BTreeMap<String, Announced> {
        let sees_them = |(_, held): &(String, Announced)| held.state_topic.as_deref() == Some(state_topic);
        let (theirs, others) = std::mem::take(&mut self.held).into_iter().partition(sees_them);
        self.held = others;
        theirs
    }

    /// A meter that is no longer configured, at least not under this name.
    pub(super) fn remove(&mut self, name: &str) {
        let Some(mut meter) = self.meters.remove(name) else { return };
        let former = meter.withdraw();
        self.forgetting.entry(name.to_owned()).or_default().extend(former.keys().cloned());
        let former: Vec<_> = former.into_iter().filter(|(topic, _)| !self.is_announced(topic)).collect();
        self.held.extend(former);
    }

    /// Takes everything back that is announced, from a Home Assistant too that is off just now.
    pub(super) fn withdraw_all(&mut self) {
        let mut all = std::mem::take(&mut self.held);
        for (name, meter) in &mut self.meters {
            let former = meter.withdraw();
            self.forgetting.entry(name.clone()).or_default().extend(former.keys().cloned());
            all.extend(former);
        }
        all.iter().for_each(|(topic, announced)| self.retract(Of::Former, topic, announced));
        self.put_off.iter_mut().for_each(BTreeMap::clear);
        let Some(topic) = self.agent_topic.take() else { return };
        self.forgetting.entry(AGENT.to_owned()).or_default().insert(topic.clone());
        let components = std::mem::take(&mut self.agent_components);
        let payload = self.agent.as_ref().map(|document| document.payload.as_bytes()).unwrap_or_default();
        match self.announcer.as_ref().and_then(|announcer| announcer.recognise(payload)) {
            Some(agent) => self.retract(Of::Agent, &topic, &Announced { components, ..agent }),
            None => self.document(Of::Agent, &topic, String::new(), true),
        }
    }
}
