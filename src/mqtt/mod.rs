//! The broker side: what is published, when, and in which shape. `outbox` decides what to publish
//! next (pure), `link` is the connection, `task` brings them together with the spool.

pub mod topic;
pub mod payload;
mod presence;
mod other_agent;
mod namesake;
pub mod outbox;
mod publisher;
mod last_scan;
pub(crate) mod request_json;
pub(crate) mod ask_agent;
pub mod link;
pub mod task;
