//! Devices taken back from Home Assistant, also from one that is not there to hear it.
//!
//! Seen on a real Home Assistant: it ignores the removal of a device that it did not discover since
//! its start, and keeps it. So a device taken back is remembered until the next birth message; then
//! it is announced once more, not retained, and taken back when it has been made.
//!
//! Not here: what the document says (`discovery`).

use std::collections::BTreeMap;

/// Devices remembered, at most: as many as a bus has primary addresses.
const MOST: usize = 250;

/// All of them, by the id of the device.
#[derive(Debug, Default)]
pub(super) struct Farewells(BTreeMap<String, Farewell>);

#[derive(Debug)]
struct Farewell {
    topic: String,
    payload: String,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It waits for a birth message.
    Waiting,
    /// A Home Assistant that was just born gets it once more.
    Shown,
    /// Nothing is left to do, once the broker has what is on its topic now.
    Done,
}

impl Farewells {
    /// Whether there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < MOST
    }

    pub(super) fn add(&mut self, id: &str, topic: &str, payload: String) {
        self.0.insert(id.to_owned(), Farewell { topic: topic.to_owned(), payload, step: Step::Waiting });
    }

    /// Home Assistant was born: topic and document of each device that it gets once more. Not of one that
    /// `is_back`, which needs no farewell, nor of one that `may_be_back`.
    pub(super) fn show(
        &mut self,
        is_back: impl Fn(&str) -> bool,
        may_be_back: impl Fn(&str) -> bool,
    ) -> Vec<(String, String)> {
        let mut shown = Vec::new();
        for farewell in self.0.values_mut() {
            if is_back(&farewell.topic) {
                farewell.step = Step::Done;
            } else if !may_be_back(&farewell.topic) {
                farewell.step = Step::Shown;
                shown.push((farewell.topic.clone(), farewell.payload.clone()));
            }
        }
        shown
    }

    /// Home Assistant has made the devices: the topics of those that it loses now.
    pub(super) fn take_back(&mut self, is_back: impl Fn(&str) -> bool) -> Vec<String> {
        let shown = self.0.values_mut().filter(|farewell| farewell.step == Step::Shown);
        let lost = shown.filter(|farewell| !is_back(&farewell.topic)).map(|farewell| {
            farewell.step = Step::Done;
            farewell.topic.clone()
        });
        lost.collect()
    }

    /// Forgets those that are done with: their ids.
    pub(super) fn settle(&mut self, has_arrived: impl Fn(&str) -> bool) -> Vec<String> {
        let done = |farewell: &Farewell| farewell.step == Step::Done && has_arrived(&farewell.topic);
        let ids: Vec<String> = self.0.iter().filter(|(_, f)| done(f)).map(|(id, _)| id.clone()).collect();
        self.0.retain(|id, _| !ids.contains(id));
        ids
    }
}
