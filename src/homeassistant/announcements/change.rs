//! What the announcements ask of their caller.

use std::collections::BTreeSet;

use crate::mbus::address::SecondaryAddress;
use crate::spool::Memo;

/// What the caller does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Publish this document, or take it back where the payload is empty.
    Document {
        /// Whose it is.
        of: Of,
        /// Discovery topic.
        topic: String,
        /// JSON, or nothing.
        payload: String,
        /// Whether the broker keeps it.
        retain: bool,
    },
    /// Remember this, or forget it where the text is empty.
    Memo {
        /// What it is.
        memo: Memo,
        /// Of what.
        name: String,
        /// In the form of [`crate::spool::memo`].
        text: String,
    },
    /// A meter that is not configured had its values on this topic: they are of no use any more.
    Orphan {
        /// Its state topic.
        state_topic: String,
    },
    /// Log: a device is announced here for the first time.
    First {
        /// The meter.
        meter: String,
        /// Its identification does not distinguish it from other meters, so it is known by its name.
        by_name: bool,
        /// Components left out for the size of the document.
        left_out: usize,
    },
    /// Log: no configured meter has this announcement any more, and it is taken back.
    NotUsed {
        /// Discovery topic.
        topic: String,
    },
}

/// Whose a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// The agent's own, to which the others refer.
    Agent,
    /// Of a device that is taken back, or shown only to be taken back.
    Former,
    /// Of one that saw the values of this meter until now: they must be gone from the state topic before.
    Left {
        /// The meter.
        name: String,
    },
    /// A configured meter's.
    Meter {
        /// Its name.
        name: String,
        /// What must be gone from its state topic before the document is there.
        outdated: Outdated,
    },
}

/// Values of a meter's last state that mean something else in its next document. Home Assistant would take the
/// number that stands there for one of the new unit, and book the difference as consumption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outdated {
    /// They mean what they did.
    Nothing,
    /// These keys have another unit or class.
    Keys(BTreeSet<String>),
    /// Other rules made them: these keys have another unit or class, and any whose number is another one now may
    /// mean something else.
    Changed(BTreeSet<String>),
    /// Another meter made them; or it is not known which.
    All,
    /// The meter was not announced before: all of them, if any were published.
    Published,
}

/// What an answer says of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The meter that answered before, where another one does now.
    pub former: Option<SecondaryAddress>,
    /// The name stands for another address now, so that it was to be expected.
    pub moved: bool,
    /// The rules are other ones than those by which it was read before.
    pub other_rules: bool,
}
