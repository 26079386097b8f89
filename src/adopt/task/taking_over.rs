//! The agent takes over what is in the file of adopted meters, or says why not: then it is asked again, and others
//! see meanwhile that the file is ahead of what is read.

use std::fmt;

use super::{AGAIN_AFTER, AdoptTask, Memory};
use crate::request::{AgentRequest, AskedOfAgent, reply};

/// The pause before the agent is asked again doubles so often: each refusal is a line in the log.
const DOUBLED: u32 = 3;

/// What is in the file is not in use.
#[derive(Clone, Debug)]
pub(super) struct NotInUse {
    /// What the agent says.
    pub(super) why: String,
    /// How often it said so in a row.
    times: u32,
}

impl fmt::Display for NotInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what is in the file of adopted meters is not in use yet: {}", self.why)
    }
}

impl AdoptTask {
    /// Has the agent take the file over; in `memory` stays why it does not.
    pub(super) async fn have_taken_over(&self, memory: &mut Memory) {
        let (reply, response) = reply();
        let asked = AskedOfAgent { what: AgentRequest::Reload, reply };
        if self.agent.send(asked).await.is_err() {
            return; // the agent ends
        }
        let before = memory.not_in_use.take();
        if let Err(why) = response.await {
            let times = before.as_ref().map_or(0, |before| before.times);
            memory.again_after(AGAIN_AFTER * (1 << times.min(DOUBLED)));
            let now = NotInUse { why, times: times + 1 };
            if before.as_ref().is_none_or(|before| before.why != now.why) {
                tracing::warn!("{now}");
            }
            memory.not_in_use = Some(now);
        } else if before.is_some() {
            tracing::info!("what is in the file of adopted meters is in use now");
        }
        let trouble = memory.not_in_use.as_ref().map(NotInUse::to_string);
        // A file that is taken over is a good one.
        if trouble.is_some() || before.is_some() {
            self.shown.send_modify(|shown| shown.trouble = trouble);
        }
    }
}
