//! Meters that nobody wrote down: found, adopted and kept in a file of the agent's own, which people may
//! edit too.
//!
//! ```text
//! bus task: Hunt -> Sighting --bounded channel--> adopt task: sole writer of the file --> the agent reloads
//!                                     Request::Adopt, Forget --^
//! ```
//!
//! Not here: what is asked on the wire (`mbus::master`), when (`bus::task`), reading the file (`config`).

pub mod edit;
pub mod find;
pub mod write;
