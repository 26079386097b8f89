//! The move to another base topic: Home Assistant first loses the devices that stood under the former one. Else
//! their entity ids would still be taken, and the new entities would get others.

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::outbox::Class;
use super::super::payload;
use super::super::topic::Topics;
use super::Publisher;
use super::transition::SETTLE;
use crate::spool::Memo;
use crate::spool::memo::AGENT;

/// Nothing is announced yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moving {
    /// What stands under the former base topic is being taken back.
    Leaving,
    /// Home Assistant loses the devices until this time.
    Settling(Instant),
}

impl Publisher {
    /// Where the base topic is another one than before, that begins now. Where some topics of a former one cannot be
    /// taken back, that remains so; the move is made once.
    pub(super) fn begin_to_move(&mut self) {
        let own = self.topics.base();
        let bases = std::iter::once(own).chain(self.spool.bases().filter(|base| *base != own));
        let bases: Vec<&str> = bases.collect();
        let moves = bases.len() > 1 && !self.announcements.is_agent_announced();
        self.moving = moves.then_some(Moving::Leaving);
        self.spool.remember(Memo::Base, AGENT, &bases.join("\n"), self.now);
    }

    /// Takes back what stands under former base topics.
    pub(super) fn clear_former_bases(&mut self) {
        for (class, topic) in self.former_bases().flat_map(|base| self.topics_under(base)).collect::<Vec<_>>() {
            self.outbox.set(class, &topic, Vec::new(), true);
        }
    }

    /// Forgets former base topics under which nothing is left.
    pub(super) fn forget_former_bases(&mut self) {
        if self.moving.is_some() || self.former_bases().next().is_none() {
            return;
        }
        let has_arrived = |(class, topic): (Class, String)| self.outbox.has_arrived(class, &topic);
        let is_left = |base: &&str| {
            // which alone tells at once, where a broker never takes it
            !self.outbox.has_arrived(Class::BridgeState, &Topics::new(base).bridge_state())
                || !self.topics_under(base).into_iter().all(has_arrived)
        };
        let bases: Vec<&str> = std::iter::once(self.topics.base()).chain(self.former_bases().filter(is_left)).collect();
        self.spool.remember(Memo::Base, AGENT, &bases.join("\n"), self.now);
    }

    fn former_bases(&self) -> impl Iterator<Item = &str> {
        self.spool.bases().filter(|base| *base != self.topics.base())
    }

    /// What may stand under a base topic. What a reading says is known to the store only some minutes later.
    fn topics_under(&self, base: &str) -> Vec<(Class, String)> {
        let topics = Topics::new(base);
        let mut all: Vec<(Class, String)> = vec![
            (Class::BridgeState, topics.bridge_state()),
            (Class::Info, topics.bridge_info()),
            (Class::Info, topics.bridge_scan()),
        ];
        let states = || self.spool.remembered(Memo::State);
        let meters: BTreeSet<&str> =
            states().map(|(meter, _)| meter).chain(self.meters.keys().map(String::as_str)).collect();
        for meter in meters {
            all.extend([(Class::State, topics.state(meter)), (Class::Availability, topics.availability(meter))]);
        }
        for (meter, newest) in states().filter_map(|(meter, state)| Some((meter, payload::newest_of_state(state)?))) {
            all.extend(newest.values.keys().map(|key| (Class::State, topics.value(meter, key))));
        }
        all
    }

    /// Goes on with the move; at its end everything is announced.
    pub(super) fn advance_move(&mut self) {
        let Some(moving) = self.moving else { return };
        // one that is away would meet the new devices beside the former ones
        let has_left = !self.listener.is_awaited(self.now) && self.has_left();
        match moving {
            _ if !has_left => self.moving = Some(Moving::Leaving),
            Moving::Leaving => self.moving = Some(Moving::Settling(self.now + SETTLE)),
            Moving::Settling(until) if until <= self.now => {
                self.moving = None;
                self.configure_announcements();
                self.show_all_again();
                self.outbox.subscribe_again();
            }
            Moving::Settling(_) => {}
        }
    }

    /// When [`advance_move`](Self::advance_move) has something to do without anything else happening.
    pub(super) fn moves_at(&self) -> Option<Instant> {
        match self.moving? {
            Moving::Leaving => self.listener.until().filter(|until| self.now < *until),
            Moving::Settling(until) => Some(until),
        }
    }

    /// Whether the broker has taken back what it may; some allow no more than one base topic.
    fn has_left(&self) -> bool {
        let is_done =
            |class, topic: &str| self.outbox.has_arrived(class, topic) || self.outbox.is_blocked(class, topic);
        let classes = [Class::AgentAnnouncement, Class::Announcement];
        self.former_bases().flat_map(|base| self.topics_under(base)).all(|(class, topic)| is_done(class, &topic))
            && self.announcements.leaving().all(|topic| classes.iter().all(|class| is_done(*class, topic)))
    }
}
