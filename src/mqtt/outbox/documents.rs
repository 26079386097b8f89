//! The retained documents: the newest payload of each topic, and which of them the broker does not have yet.
//!
//! Not here: whether one may go now (`outbox`).

use std::collections::{BTreeMap, BTreeSet};

use super::Class;

/// What a document is, and its topic.
pub(super) type Key = (Class, String);

/// All documents, in the order in which they are published.
#[derive(Debug, Default)]
pub(super) struct Documents {
    documents: BTreeMap<Key, Retained>,
    /// Documents to publish.
    dirty: BTreeSet<Key>,
    /// Those of the last connect that have not arrived since.
    missing: BTreeSet<Key>,
    /// Those that the broker has acknowledged on this connection, or on those before it that were cut short.
    arrived: BTreeSet<Key>,
    /// Such as arrived before this connection, and are published on it once it has lasted.
    postponed: BTreeSet<Key>,
}

/// The newest payload of a topic that has one.
#[derive(Debug)]
struct Retained {
    payload: Vec<u8>,
    retain: bool,
    on_the_way: bool,
}

impl Documents {
    /// An empty payload removes it from the broker.
    pub(super) fn set(&mut self, key: Key, payload: Vec<u8>, retain: bool) {
        let on_the_way = self.documents.get(&key).is_some_and(|document| document.on_the_way);
        self.documents.insert(key.clone(), Retained { payload, retain, on_the_way });
        self.arrived.remove(&key);
        self.postponed.remove(&key);
        self.dirty.insert(key);
    }

    pub(super) fn get(&self, key: &Key) -> Option<&[u8]> {
        self.documents.get(key).map(|document| document.payload.as_slice())
    }

    /// Takes those of these classes back from the broker.
    pub(super) fn clear(&mut self, wanted: impl Fn(Class) -> bool) {
        for (key, document) in self.documents.iter_mut().filter(|((class, _), _)| wanted(*class)) {
            document.payload.clear();
            self.arrived.remove(key);
            self.postponed.remove(key);
            self.dirty.insert(key.clone());
        }
    }

    /// Only what is being taken back still is.
    pub(super) fn forget(&mut self) {
        self.documents.retain(|_, document| document.payload.is_empty());
        let Self { documents, dirty, missing, arrived, postponed } = self;
        for keys in [dirty, missing, arrived, postponed] {
            keys.retain(|key| documents.contains_key(key));
        }
    }

    /// All of them are published again: there is a new connection.
    pub(super) fn all_again(&mut self) {
        self.arrived.clear();
        self.postponed.clear();
        self.again(|_| true);
        self.missing.clone_from(&self.dirty);
    }

    /// The same, but those that arrived on connections that were cut short wait until this one has lasted. The
    /// last will was sent meanwhile, so the agent's own state does not.
    pub(super) fn missing_again(&mut self) {
        self.postponed = self.arrived.iter().filter(|(class, _)| *class != Class::BridgeState).cloned().collect();
        let again = self.documents.keys().filter(|key| !self.postponed.contains(*key));
        self.dirty.extend(again.cloned());
        self.missing.clone_from(&self.dirty);
    }

    pub(super) fn has_postponed(&self) -> bool {
        !self.postponed.is_empty()
    }

    /// The connection has lasted: those that waited for that are published.
    pub(super) fn publish_postponed(&mut self) {
        let postponed = std::mem::take(&mut self.postponed);
        self.dirty.extend(postponed.into_iter().filter(|key| self.documents.contains_key(key)));
    }

    /// Those of the last connect that have not arrived since.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Key> {
        self.missing.iter()
    }

    /// Those of these classes are published again.
    pub(super) fn again(&mut self, wanted: impl Fn(Class) -> bool) {
        self.dirty.extend(self.documents.keys().filter(|(class, _)| wanted(*class)).cloned());
    }

    /// The first that is newer than the broker's, not on the way already, and may go: its payload, and
    /// whether the broker keeps it. It is on the way now.
    pub(super) fn send_first(&mut self, may_go: impl Fn(&Key) -> bool) -> Option<(Key, Vec<u8>, bool)> {
        let idle = |key: &Key| self.documents.get(key).is_some_and(|document| !document.on_the_way);
        let key = self.dirty.iter().find(|&key| idle(key) && may_go(key))?.clone();
        self.dirty.remove(&key);
        let document = self.documents.get_mut(&key)?;
        document.on_the_way = true;
        Some((key, document.payload.clone(), document.retain))
    }

    /// It did not arrive; `again`: it is published once more.
    pub(super) fn back(&mut self, key: Key, again: bool) {
        let Some(document) = self.documents.get_mut(&key) else { return };
        document.on_the_way = false;
        if again {
            self.dirty.insert(key);
        } else {
            self.missing.remove(&key);
        }
    }

    /// The broker has it.
    pub(super) fn acked(&mut self, key: &Key) {
        self.missing.remove(key);
        let Some(document) = self.documents.get_mut(key) else { return };
        document.on_the_way = false;
        if self.dirty.contains(key) {
            return;
        }
        if document.payload.is_empty() {
            self.documents.remove(key);
        } else {
            self.arrived.insert(key.clone());
        }
    }

    /// Whether the broker has each of them, but for what is on the way.
    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Whether the broker has acknowledged the newest payload.
    pub(super) fn has_arrived(&self, key: &Key) -> bool {
        !self.dirty.contains(key) && self.documents.get(key).is_none_or(|document| !document.on_the_way)
    }
}
