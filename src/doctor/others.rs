//! Whether the base topic belongs to this machine's agent alone, by what `bridge/info` says on the broker:
//! an agent that hears another one says so there, and an agent says who it is, which this machine's store
//! knows of its own.
//!
//! Not here: how agents hear of each other (`mqtt::other_agent`).

use serde_json::Value;

use super::finding::Finding;
use super::root::Root;
use crate::config::Config;
use crate::mqtt::link::probe::Visit;
use crate::mqtt::payload::ONLINE;
use crate::mqtt::topic::Topics;
use crate::spool::memo::AGENT;
use crate::spool::{Memo, peek};

/// `None` where no other agent is known of.
pub(super) fn examine(config: &Config, root: &Root, topics: &Topics, visit: &Visit) -> Option<Finding> {
    // what an agent said last that is not connected any more may be years old
    visit.retained.get(&topics.bridge_state()).filter(|state| *state == ONLINE.as_bytes())?;
    let info: Value = serde_json::from_slice(visit.retained.get(&topics.bridge_info())?).ok()?;
    let text = |field: &str| info.get(field).and_then(Value::as_str);
    let (base, store) = (topics.base(), &config.store.directory);
    let own = peek(&root.path(store), Memo::Instance).ok().and_then(|mut known| known.remove(AGENT));
    let found = match (text("instance"), text("other_agent"), own) {
        (Some(one), Some(other), _) => {
            format!("two agents publish below the base_topic {base}: {one} and {other}")
        }
        (Some(online), None, Some(own)) if online != own => format!(
            "the agent online below the base_topic {base} is {online}, and not this machine's, which is {own} by its \
             store {}",
            store.display()
        ),
        _ => return None,
    };
    let say = "Give each agent its own base topic, in [mqtt] of /etc/mbushat.toml:";
    Some(Finding::failure("base topic", found).fix(say, ["base_topic = \"mbushat/house2\""]))
}
