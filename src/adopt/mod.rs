//! Meters that nobody wrote down: found, adopted and kept in a file of the agent's own, which people may
//! edit too.
//!
//! ```text
//! bus task: Hunt -- Sighting --> adopt task: sole writer of the file -- Reload --> agent
//!           MQTT -- Request::Adopt, Forget --^
//! ```
//!
//! Not here: what is asked on the wire (`mbus::master`), when (`bus::task`), reading the file (`config`).

pub mod choice;
pub mod edit;
pub mod find;
pub mod hunt;
pub mod keeping;
pub mod kept;
mod remembered;
pub mod story;
pub mod task;
pub mod write;

use hunt::{Progress, Saved, Trouble};

/// What a bus tells of its hunt after each step: the whole of it, so that one may be missed.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The bus's name.
    pub bus: String,
    /// Who was found, and where the hunt goes on.
    pub saved: Saved,
    /// How far it is.
    pub progress: Progress,
    /// What cannot be adopted.
    pub troubles: Vec<Trouble>,
    /// A scan has come to its end: whoever is not adopted yet is to be looked at again.
    pub scanned: bool,
}
