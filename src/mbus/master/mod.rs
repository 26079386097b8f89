//! The master's side of a conversation: one exchange, a whole readout, a search, a change to a meter.
//!
//! Everything here is driven from outside: it says what to send and until when to wait.

pub mod request;
pub mod reply;
pub mod conversation;
pub mod exchange;
pub mod sequence;
pub mod wake_up;
pub mod readout;
pub mod probe;
pub mod search;
pub mod maintenance;
pub mod raw;
