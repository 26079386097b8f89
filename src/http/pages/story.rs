//! Meters that nobody wrote down: how far the agent is with looking for them, and what is in the way of adopting them.

use super::super::words::Words;
use crate::status::said::SAID;
use crate::status::{AdoptionStatus, AgentStatus, SearchStatus};

/// What there is to tell.
pub(super) struct Story {
    pub(super) searches: Vec<Search>,
    /// What is wrong with the file, and who cannot be adopted.
    pub(super) troubles: Vec<String>,
}

/// A search that goes on.
pub(super) struct Search {
    pub(super) bus: String,
    pub(super) doing: String,
    pub(super) percent: u32,
    pub(super) found: usize,
    pub(super) left: String,
}

impl Story {
    /// Of one bus, or of all.
    pub(super) fn of(agent: &AgentStatus, bus: Option<&str>, t: Words) -> Self {
        let is_meant = |name: &str| bus.is_none_or(|bus| bus == name);
        let search = |bus: &str, status: &SearchStatus| Search {
            bus: bus.to_owned(),
            doing: t.said(&SAID, &status.doing),
            percent: status.percent,
            found: status.found,
            left: time_left(status.seconds_left, t),
        };
        let buses = agent.buses.iter().filter(|(name, _)| is_meant(name));
        let searches = buses.filter_map(|(name, bus)| Some(search(name, bus.search.as_ref()?))).collect();
        let AdoptionStatus { trouble, not_kept, not_adopted, left_out } = &agent.adoption;
        let broken = trouble.iter().map(|why| t.with("The file of adopted meters is broken: {}", why));
        let not_kept = not_kept.iter().map(|why| t.with("What was adopted is read, but not kept: {}", why));
        let others = not_adopted.iter().filter(|(name, _)| is_meant(name)).flat_map(|(_, advice)| advice);
        let others = others.map(|advice| t.said(&SAID, advice));
        let left_out = left_out
            .iter()
            .map(|(name, why)| t.with("An adopted meter is not read: {}", format_args!("{name}, {why}")));
        Self { searches, troubles: broken.chain(not_kept).chain(left_out).chain(others).collect() }
    }
}

/// How long a search takes, about.
pub(super) fn time_left(seconds: u64, t: Words) -> String {
    if seconds < 120 { t.with("about {} s left", seconds) } else { t.with("about {} min left", seconds / 60) }
}
