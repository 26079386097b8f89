//! How much of a last will each broker takes: one that keeps no messages refuses a will that is to be retained
//! (MQTT 5, 3.1.2.5), and where the user may not publish to the will's topic, some let nobody in who has one.
//!
//! Not here: its topic and payload (`link`).

use super::Fault;
use crate::config::Broker;

/// What becomes of the last will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Will {
    /// It is retained.
    Retained,
    /// Only who listens at that moment gets it.
    Unretained,
    /// There is none.
    Absent,
}

impl Will {
    /// What to try next, where the broker may have refused us because of this one.
    pub(super) fn less(self, fault: &Fault) -> Option<Will> {
        match (self, fault) {
            (Will::Retained, Fault::RetainedWill) => Some(Will::Unretained),
            (Will::Retained | Will::Unretained, Fault::NotAuthorized) => Some(Will::Absent),
            _ => None,
        }
    }
}

/// What each broker took, until it can no longer be reached: it may be another one then.
#[derive(Debug, Default)]
pub(super) struct Wills {
    /// Those that took less than a retained one.
    less: Vec<(Broker, Will)>,
    /// Those that do not let us in without a will either: they are not asked twice each time.
    closed: Vec<Broker>,
}

impl Wills {
    /// What to begin with at this broker.
    pub(super) fn first(&self, broker: &Broker) -> Will {
        let known = self.less.iter().find(|(other, _)| other == broker);
        known.map_or(Will::Retained, |(_, will)| *will)
    }

    pub(super) fn is_closed(&self, broker: &Broker) -> bool {
        self.closed.contains(broker)
    }

    /// How a try with this will ended; whether it is news that the broker took it.
    pub(super) fn tried(&mut self, broker: &Broker, will: Will, fault: Option<&Fault>) -> bool {
        let before = self.first(broker);
        self.less.retain(|(other, _)| other != broker);
        self.closed.retain(|other| other != broker);
        match fault {
            None if will != Will::Retained => self.less.push((broker.clone(), will)),
            Some(Fault::NotAuthorized) => self.closed.push(broker.clone()),
            _ => {}
        }
        fault.is_none() && will != before
    }
}
