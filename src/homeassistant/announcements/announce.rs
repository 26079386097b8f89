//! Which meters get a document, and what it says of the others of the same device or id.
//!
//! Not here: when that may have changed (the parent).

use std::collections::BTreeSet;

use super::super::discovery::{Document, MeterDevice};
use super::meter::{Doubt, Meter};
use super::{Announcements, Change, Of};
use crate::spool::{Memo, memo};

impl Announcements {
    /// Announces a meter where that may say something new, and every other one that shares its id and was
    /// announced as if it did not. They are counted afresh each time, and nothing more: thousands may share an
    /// id that is of no use.
    pub(super) fn announce(&mut self, name: &str) {
        if self.is_another_readout(name) {
            return self.announce_one(name, false);
        }
        let identity = self.identity(name);
        let same = |meter: &Meter| identity.is_some() && meter.identity == identity && meter.doubt == Doubt::Nothing;
        let firsts = || self.meters.iter().filter(|(_, meter)| meter.configured.readout_of.is_none() && same(meter));
        let shared = firsts().nth(1).is_some() || self.are_its_entities_kept_elsewhere(name);
        let otherwise = |meter: &Meter| meter.is_read && meter.shares_identity != Some(shared);
        let others = firsts().filter(|(_, meter)| otherwise(meter));
        let mut names: BTreeSet<String> = others.map(|(name, _)| name.clone()).collect();
        names.insert(name.to_owned());
        for name in names {
            self.announce_one(&name, shared);
            self.announce_other_readouts(&name);
        }
    }

    /// Those of the same meter, which belong to its device.
    fn announce_other_readouts(&mut self, first: &str) {
        let is_its = |meter: &Meter| meter.configured.readout_of.as_deref() == Some(first);
        let names = self.meters.iter().filter(|(_, meter)| is_its(meter)).map(|(name, _)| name.clone());
        names.collect::<Vec<_>>().iter().for_each(|name| self.announce_one(name, false));
    }

    pub(super) fn is_another_readout(&self, name: &str) -> bool {
        self.first_readout(name) != name
    }

    /// The name under which the same meter stands first in the file.
    fn first_readout<'a>(&'a self, name: &'a str) -> &'a str {
        self.meters.get(name).map_or(name, |meter| meter.first_readout(name))
    }

    /// The device of the first readout of the same meter, where that is another one and announced.
    fn first_device(&self, name: &str) -> Option<String> {
        let topic = self.topic(self.first_readout(name)).filter(|_| self.is_another_readout(name))?;
        topic.rsplit('/').nth(1).map(str::to_owned)
    }

    fn announce_one(&mut self, name: &str, shares_identity: bool) {
        let first_device = self.first_device(name);
        let (Some(announcer), Some(meter)) = (&self.announcer, self.meters.get_mut(name)) else { return };
        if !meter.is_read {
            return;
        }
        meter.shares_identity = Some(shares_identity);
        meter.stale |= meter.first_device != first_device;
        meter.first_device = first_device;
        let state_topic = Some(meter.configured.state_topic.clone());
        let put_off = self.put_off.iter().flatten().map(|(_, found)| found);
        let mut put_off = put_off.filter(|found| found.state_topic == state_topic).peekable();
        let is_known_on_the_broker = put_off.peek().is_some();
        let replaced = meter.learn_from_former(put_off);
        let device = device(name, meter, shares_identity);
        let topic = announcer.topic(&announcer.meter_id(&device));
        let is_there = meter.topic() == Some(&topic);
        if is_there && !meter.stale {
            return;
        }
        let (document, by_name) = (announcer.meter(&device), device.is_known_by_name());
        let outdated = meter.outdated(&document, is_known_on_the_broker);
        let former = meter.move_to(&topic);
        let found = self.put_off.as_mut().and_then(|put_off| put_off.remove(&topic));
        self.orphan(found.as_ref());
        let theirs = self.taken_from_others(name, &topic);
        let known = self.held.remove(&topic).or(theirs).or(found);
        let Some(meter) = self.meters.get_mut(name) else { return };
        if let Some(known) = known {
            meter.find(&topic, known);
        }
        let Document { payload, left_out, .. } = meter.announce(document);
        self.forgetting.remove(name);
        let rules = meter.rules.as_deref();
        let text = memo::Announcement { topic: &topic, rules, payload: &payload }.to_string();
        if !is_there {
            self.changes.push(Change::First { meter: name.to_owned(), by_name, left_out });
        }
        if replaced {
            self.remember_identity(name);
        }
        self.changes.push(Change::Memo { memo: Memo::Announcement, name: name.to_owned(), text });
        self.document(Of::Meter { name: name.to_owned(), outdated }, &topic, payload, true);
        former.into_iter().for_each(|(topic, former)| self.leave_behind(name, topic, former));
    }
}

fn device<'a>(name: &'a str, meter: &'a Meter, shares_identity: bool) -> MeterDevice<'a> {
    MeterDevice {
        name,
        title: meter.configured.title.as_deref(),
        area: meter.configured.area.as_deref(),
        identity: meter.identity,
        product: meter.product.as_ref(),
        shares_identity,
        is_another_readout: meter.configured.readout_of.is_some(),
        first_device: meter.first_device.as_deref(),
        keeps: meter.kept.as_ref(),
        replaces_another: meter.replaces_another(),
        state_topic: &meter.configured.state_topic,
        availability_topic: &meter.configured.availability_topic,
        read_topic: &meter.configured.read_topic,
        measurements: &meter.seen,
        unnamed: meter.unnamed,
        said_low_power: meter.said_low_power(),
    }
}
