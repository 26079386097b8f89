//! The move to another base topic: Home Assistant first loses the devices that stood under the former one. Else
//! their entity ids would still be taken, and the new entities would get others.
//!
//! Not here: which topics go (`restore`).

use std::time::Instant;

use super::super::outbox::Class;
use super::Publisher;
use super::transition::SETTLE;

/// Nothing is announced yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moving {
    /// What stands under the former base topic is being taken back.
    Leaving,
    /// Home Assistant loses the devices until this time.
    Settling(Instant),
}

impl Publisher {
    /// There is another base topic than that which the store knows. Where some topics of the former one cannot be
    /// taken back, that remains so; the move is made once.
    pub(super) fn begin_to_move(&mut self) {
        let is_another = self.spool.base().is_some_and(|base| base != self.topics.base());
        let moves = is_another && !self.announcements.is_agent_announced();
        self.moving = moves.then_some(Moving::Leaving);
    }

    /// Goes on with the move; at its end everything is announced.
    pub(super) fn advance_move(&mut self) {
        let Some(moving) = self.moving else { return };
        // one that is away would meet the new devices beside the former ones
        let has_left = self.has_left() && !self.listener.is_awaited(self.now);
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
        self.topics_of_former_base().iter().all(|(class, topic)| is_done(*class, topic))
            && self.announcements.leaving().all(|topic| classes.iter().all(|class| is_done(*class, topic)))
    }
}
