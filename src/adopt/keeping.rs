//! One change of the file: tried on the whole configuration first, then written.
//!
//! Not here: what is changed (`choice`, `task::asked`).

use std::io;
use std::path::Path;

use super::edit::{Edit, apply};
use super::{choice, write};
use crate::config::{self, Config, LoadError};

/// How often somebody may write the file at the same moment.
const TRIES: usize = 5;

/// What became of a change that is good.
pub(crate) enum Kept {
    /// It is in the file.
    InFile,
    /// It is not, and why.
    Not(String),
}

/// The configuration as it is with these changes.
///
/// # Errors
/// Where the user's own is not good.
pub fn load(file: &Path, edits: &[Edit]) -> Result<Config, LoadError> {
    let changed = |text: String| apply(&text, edits).unwrap_or(text);
    config::load_with(file, &changed).map(choice::without_doubles)
}

/// Makes changes, after those that are pending. One that is not good changes nothing.
pub(crate) fn keep(file: &Path, pending: &[Edit], new: &[Edit]) -> Result<Kept, String> {
    // A file that is broken is said, never overwritten.
    let load = |edits: &[Edit]| load(file, edits).map_err(|error| error.to_string());
    let before = load(pending)?;
    let meters_file = &before.adopted.file;
    if let Some(trouble) = before.adopted.trouble {
        return Err(format!("the file of adopted meters is broken, and left as it is: {trouble}"));
    }
    let all = [pending, new].concat();
    if let Some(trouble) = load(&all)?.adopted.trouble {
        return Err(trouble);
    }
    match write(meters_file, &all) {
        Ok(()) => Ok(Kept::InFile),
        Err(error) => Ok(Kept::Not(format!("cannot write {}: {error}", meters_file.display()))),
    }
}

fn write(meters_file: &Path, edits: &[Edit]) -> io::Result<()> {
    for _ in 0..TRIES {
        let old = write::read(meters_file)?;
        let new = apply(&old, edits).map_err(io::Error::other)?;
        if new == old || write::replace(meters_file, &old, &new)? {
            return Ok(());
        }
    }
    Err(io::Error::other("somebody else writes it, too"))
}
