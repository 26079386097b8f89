//! Meters that nobody wrote down: how far the agent is with looking for them, and what is in the way of adopting them.

use super::super::words::{Words, word};
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

/// What the search says of itself, with what stands for `{}` in it.
const SAID: &[&str] = &[
    word("looking at {} baud for secondary addresses"),
    word("looking at {} baud for a meter that is alone"),
    word("looking at {} baud at primary addresses"),
    word(
        "several meters answer at address {}, or the line is noisy: connect them one at a time, give each an address of its own with `mbushat meter set-address`, then scan again",
    ),
    word(
        "several meters answer to {} and cannot be told apart, or the line is noisy: connect them one at a time, give each a primary address of its own with `mbushat meter set-address`, then scan again",
    ),
    word(
        "several meters say that they are {}: connect them one at a time, give each a primary address of its own with `mbushat meter set-address`, then scan again",
    ),
    word(
        "a meter at {} acknowledges but gives no data: `mbushat read {} --wire` shows what it answers; it may want to be woken or reset first",
    ),
    word(
        "the line never falls silent, so no meter can be looked for (the agent tries again every ten minutes): something on the wire talks without end, a damaged meter or a short: unplug one half of the bus, then half of the half that talks, until one device is left",
    ),
];

impl Story {
    /// Of one bus, or of all.
    pub(super) fn of(agent: &AgentStatus, bus: Option<&str>, t: Words) -> Self {
        let is_meant = |name: &str| bus.is_none_or(|bus| bus == name);
        let search = |bus: &str, status: &SearchStatus| Search {
            bus: bus.to_owned(),
            doing: t.said(SAID, &status.doing),
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
        let others = others.map(|advice| t.said(SAID, advice));
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
