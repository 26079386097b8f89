//! What Home Assistant knows of one meter, and what it should know.
//!
//! Not here: the other meters (`announcements`), what it measures (`seen`), what the document says (`discovery`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::discovery::{Announced, BATTERY, Document};
use super::change::Outdated;
use crate::mbus::address::SecondaryAddress;
use crate::measure::Measurement;
use crate::measure::profile::Product;
use crate::spool::memo::{First, Kept};

/// A component that was missing in so many good readouts in a row is gone. Fewer mean nothing: some
/// meters send their records by turns, and in a fault leave some out. At the usual quarter of an
/// hour it is five hours.
pub const MISSES: u8 = 20;

/// What the configuration says of a meter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// Shown name; `None`: made from the name.
    pub title: Option<String>,
    /// Area suggested to Home Assistant.
    pub area: Option<String>,
    /// Where its values are.
    pub state_topic: String,
    /// Where its availability is.
    pub availability_topic: String,
    /// Where a message makes it be read.
    pub read_topic: String,
    /// The meter of this name is the same one, read in another way, and the first in the file; `None`: this is.
    pub readout_of: Option<String>,
    /// Its bus and its address: another meter may answer elsewhere.
    pub place: String,
    /// Whether it is read at all; else it keeps what it has.
    pub enabled: bool,
    /// Whether another meter goes on under the entities of the one before.
    pub keep_entities: bool,
}

/// How a meter stands with Home Assistant.
#[derive(Debug)]
pub(super) enum State {
    /// It is not announced: it is new here, or another meter answers now under its name.
    New {
        /// Announcements that the broker has under its name, by topic: of the meter that was there
        /// before, or perhaps its own from before the store was lost.
        former: BTreeMap<String, Announced>,
    },
    /// It has a document on the broker.
    Announced {
        /// Its discovery topic.
        topic: String,
        /// JSON of the device.
        device: String,
        /// Components announced there so far: one that is gone must be named to be removed.
        components: BTreeMap<String, String>,
    },
}

/// Whether the meter that answered last under a name is still expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    Nothing,
    /// The name stands for another address now.
    Moved,
    /// It has answered under another name since.
    Claimed,
}

/// One configured meter.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) configured: Configured,
    pub(super) identity: Option<SecondaryAddress>,
    /// What its profile says of it.
    pub(super) product: Option<Product>,
    /// Under whose entities it goes on.
    pub(super) kept: Option<Kept>,
    /// What is announced was another meter's.
    pub(super) goes_on: bool,
    /// Which meter answered first under this name.
    pub(super) first: First,
    pub(super) doubt: Doubt,
    /// How often it was read since the start, with whatever outcome.
    tries: u8,
    /// The rules by which `seen` and the announced components were made; `None`: not known.
    pub(super) rules: Option<String>,
    /// What is announced was made by other rules: what is missing now is missing for good.
    other_rules: bool,
    /// Everything it was seen to measure, each with a value that decides how it is shown.
    pub(super) seen: Vec<Measurement>,
    /// How many of its values have no name.
    pub(super) unnamed: usize,
    /// It said that its power is low.
    pub(super) said_low_power: bool,
    /// It was read well since all this was made.
    pub(super) is_read: bool,
    /// In how many good readouts in a row each known key was missing.
    pub(super) missed: BTreeMap<String, u8>,
    pub(super) state: State,
    /// Something happened that may change the document.
    pub(super) stale: bool,
    /// Whether it shared its identity when it was announced last; `None`: not since the start.
    pub(super) shares_identity: Option<bool>,
    /// The device of the first readout of the same meter, when it was announced last.
    pub(super) first_device: Option<String>,
}

impl Meter {
    /// `former`: what is announced with its state topic.
    pub(super) fn new(configured: Configured, former: BTreeMap<String, Announced>) -> Self {
        Self {
            configured,
            identity: None,
            product: None,
            kept: None,
            goes_on: false,
            first: First::Same,
            doubt: Doubt::Nothing,
            tries: 0,
            rules: None,
            other_rules: false,
            seen: Vec::new(),
            unnamed: 0,
            said_low_power: false,
            is_read: false,
            missed: BTreeMap::new(),
            state: State::New { former },
            stale: true,
            shares_identity: None,
            first_device: None,
        }
    }

    /// Topic of its announcement.
    pub(super) fn topic(&self) -> Option<&str> {
        match &self.state {
            State::Announced { topic, .. } => Some(topic),
            State::New { .. } => None,
        }
    }

    /// The name under which the same meter stands first in the file; `name` is its own.
    pub(super) fn first_readout<'a>(&'a self, name: &'a str) -> &'a str {
        self.configured.readout_of.as_deref().unwrap_or(name)
    }

    /// A meter that nothing is known of yet may be one that is announced under another name.
    pub(super) fn is_unknown(&self) -> bool {
        let may_be_any = match self.doubt {
            Doubt::Nothing => self.topic().is_none() && self.tries == 0,
            // its own device waits under another name: a fault of the bus must not cost it
            Doubt::Moved | Doubt::Claimed => self.tries < MISSES,
        };
        self.configured.enabled && may_be_any
    }

    /// Its turn is over.
    pub(super) fn tried(&mut self) {
        self.tries = self.tries.saturating_add(1);
    }

    /// Another configuration. Whether it has entities of its own from now on.
    pub(super) fn configure(&mut self, configured: Configured) -> bool {
        if self.configured.place != configured.place && self.identity.is_some() {
            self.expect_another(Doubt::Moved);
        }
        self.stale |= self.configured != configured;
        let is_on_its_own = !configured.keep_entities && self.kept.take().is_some();
        if is_on_its_own {
            self.leave();
        }
        self.configured = configured;
        is_on_its_own
    }

    /// Perhaps another meter answers now.
    pub(super) fn expect_another(&mut self, why: Doubt) {
        (self.doubt, self.tries) = (why, 0);
    }

    /// Another meter was here before the one that answers now.
    pub(super) fn replaces_another(&self) -> bool {
        self.first != First::Same
    }

    /// It answers as this meter; the former one where that was another.
    pub(super) fn identify(&mut self, identity: Option<SecondaryAddress>) -> Option<SecondaryAddress> {
        let identity = identity?;
        self.doubt = Doubt::Nothing;
        let former = self.identity.replace(identity).filter(|former| *former != identity)?;
        if self.configured.keep_entities {
            self.kept.get_or_insert_with(|| Kept::of(former));
            (self.goes_on, self.stale) = (true, true);
        } else {
            self.first = match self.first {
                First::Other(first) if first == identity => First::Same,
                First::Same => First::Other(former),
                known => known,
            };
            self.leave();
        }
        self.said_low_power = false;
        self.forget_seen();
        Some(former)
    }

    /// It is read by these rules. Whether they are other ones than before.
    pub(super) fn follow(&mut self, rules: &str) -> bool {
        let former = self.rules.replace(rules.to_owned());
        let changed = former.is_some_and(|former| former != rules);
        if changed {
            self.forget_seen();
            self.other_rules = true;
            self.stale = true;
        }
        changed
    }

    /// Its last values before a restart came by these rules, whatever it was announced by.
    pub(super) fn was_shown_by(&mut self, rules: &str) {
        self.other_rules |= self.rules.replace(rules.to_owned()).is_some_and(|announced| announced != rules);
    }

    /// What was seen was another meter's, or came by other rules.
    fn forget_seen(&mut self) {
        self.seen.clear();
        (self.unnamed, self.is_read) = (0, false);
    }

    /// What its profile says of it from now on.
    pub(super) fn is_product(&mut self, product: Option<&Product>) {
        self.stale |= self.product.as_ref() != product;
        self.product = product.cloned();
    }

    /// Whether it ever said so: its announcement remembers it.
    pub(super) fn said_low_power(&self) -> bool {
        let announced = matches!(&self.state, State::Announced { components, .. } if components.contains_key(BATTERY));
        self.said_low_power || announced
    }

    /// An announcement with another meter's number under this name: that meter was replaced while
    /// the store was lost. Whether that is news.
    pub(super) fn learn_from_former<'a>(&mut self, mut put_off: impl Iterator<Item = &'a Announced>) -> bool {
        let State::New { former } = &self.state else { return false };
        let own = self.identity.map(|identity| format!("{:08X}", identity.id()));
        let is_other = |found: &Announced| found.serial.is_some() && found.serial != own;
        let other = former.values().any(is_other) || put_off.any(is_other);
        let is_news = other && self.first == First::Same;
        if is_news {
            self.first = First::Unknown;
        }
        is_news
    }

    /// An announcement was found under its name.
    pub(super) fn find(&mut self, topic: &str, found: Announced) {
        match &mut self.state {
            State::New { former } => _ = former.insert(topic.to_owned(), found),
            State::Announced { components, device, .. } => {
                if device.is_empty() {
                    *device = found.device;
                }
                for (id, component) in found.components {
                    self.stale |= !components.contains_key(&id);
                    components.entry(id).or_insert(component);
                }
            }
        }
    }

    /// Its announcement is another meter's now, if this is it.
    pub(super) fn hand_over(&mut self, topic: &str) -> Option<Announced> {
        if self.topic() == Some(topic) {
            self.forget_seen();
            self.leave();
        }
        match &mut self.state {
            State::New { former } => former.remove(topic),
            State::Announced { .. } => None,
        }
    }

    /// It is no longer what it was announced as.
    fn leave(&mut self) {
        self.stale = true;
        if let State::Announced { topic, device, components } = &mut self.state {
            let announced = Announced {
                state_topic: Some(self.configured.state_topic.clone()),
                serial: None,
                device: std::mem::take(device),
                components: std::mem::take(components),
            };
            self.state = State::New { former: BTreeMap::from([(std::mem::take(topic), announced)]) };
        }
    }

    /// It is not announced any more: every topic on which something of it stands.
    pub(super) fn withdraw(&mut self) -> BTreeMap<String, Announced> {
        self.leave();
        match &mut self.state {
            State::New { former } => std::mem::take(former),
            State::Announced { .. } => BTreeMap::new(),
        }
    }

    /// Which of its published values mean something else in this document than in the one before.
    /// `is_known_on_the_broker`: something is announced there with its state topic.
    pub(super) fn outdated(&self, document: &Document, is_known_on_the_broker: bool) -> Outdated {
        let before = match &self.state {
            State::New { former } if former.is_empty() && !is_known_on_the_broker => return Outdated::Published,
            State::New { .. } => return Outdated::All,
            State::Announced { .. } if self.goes_on => return Outdated::All,
            State::Announced { components, .. } => components,
        };
        let differs =
            |(key, now): &(&String, &String)| before.get(*key).is_some_and(|then| meaning(then) != meaning(now));
        let keys: BTreeSet<String> = document.components.iter().filter(differs).map(|(key, _)| key.clone()).collect();
        match (self.other_rules, keys.is_empty()) {
            (true, _) => Outdated::Changed(keys),
            (false, true) => Outdated::Nothing,
            (false, false) => Outdated::Keys(keys),
        }
    }

    /// It is announced on `topic` from now on: its other announcements are to be taken back.
    pub(super) fn move_to(&mut self, topic: &str) -> BTreeMap<String, Announced> {
        if self.topic().is_some_and(|old| old != topic) {
            self.leave();
        }
        let State::New { former } = &mut self.state else { return BTreeMap::new() };
        let mut former = std::mem::take(former);
        let (device, components) = former.remove(topic).map(|same| (same.device, same.components)).unwrap_or_default();
        self.state = State::Announced { topic: topic.to_owned(), device, components };
        former
    }

    /// Its document on the topic of its announcement, with what it lacks of the one before: that stays or is
    /// named to be removed.
    pub(super) fn announce(&mut self, document: Document) -> Document {
        let State::Announced { components, .. } = &self.state else { return document };
        let document = document.after(components, |key| self.keeps(key));
        (self.other_rules, self.goes_on, self.stale) = (false, false, false);
        let State::Announced { components, device, .. } = &mut self.state else { return document };
        device.clone_from(&document.device);
        for id in components.keys().filter(|id| !document.components.contains_key(*id)) {
            self.missed.insert(id.clone(), MISSES);
        }
        components.extend(document.components.clone());
        document
    }

    /// Whether a component that the last readouts did not give stays announced.
    fn keeps(&self, component: &str) -> bool {
        let missed = self.missed.get(component).is_some_and(|&missed| missed >= MISSES);
        !self.other_rules && !missed && !is_own(component)
    }
}

/// A component that every meter has, and no measurement: those have no hyphen.
pub(super) fn is_own(component: &str) -> bool {
    component.contains('-')
}

/// What decides how Home Assistant counts a number: unit, device class and state class of a component.
fn meaning(component: &str) -> [Option<Value>; 3] {
    let component: Value = serde_json::from_str(component).unwrap_or_default();
    ["unit_of_meas", "dev_cla", "stat_cla"].map(|field| component.get(field).cloned())
}
