//! One change of the file: tried on the whole configuration first, then written.
//!
//! Not here: what is changed (`choice`, `task::asked`).

use std::io;
use std::path::Path;

use super::edit::{Edit, NOT_TOML, apply};
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
    // Of what is no TOML at all the configuration says more.
    let changed = |text: String| match apply(&text, edits) {
        Err(why) if why == NOT_TOML => Ok(text),
        other => other,
    };
    config::load_with(file, &changed).map(choice::without_doubles)
}

/// The configuration with the adopted meters of `old`: their file is broken.
#[must_use]
pub fn with_adopted_of(mut new: Config, old: &Config) -> Config {
    new.keep_adopted_of(old);
    choice::without_doubles(new)
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
        return Err(wrong_in(meters_file, &trouble));
    }
    match write(meters_file, &all) {
        Ok(()) => Ok(Kept::InFile),
        Err(error) => Ok(Kept::Not(format!("cannot write {}: {error}", meters_file.display()))),
    }
}

/// What is wrong, without its place: that is one in a text that was never written, and the file is right as it is; and
/// without what cannot be asked for.
fn wrong_in(meters_file: &Path, trouble: &str) -> String {
    let place = format!("{}:", meters_file.display());
    let what = |line: &str| {
        let mut parts = line.strip_prefix(&place)?.splitn(3, ':');
        let numbers = parts.by_ref().take(2).all(|number| number.parse::<usize>().is_ok());
        parts.next().filter(|_| numbers).map(|what| what.trim_start().to_owned())
    };
    match trouble.lines().filter_map(what).collect::<Vec<_>>() {
        none if none.is_empty() => trouble.to_owned(),
        all => all.join("; ").replace(config::OR_NOT_ALIGNED, ""),
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

#[cfg(test)]
mod tests {
    use super::wrong_in;
    use std::path::Path;

    #[test]
    fn what_is_wrong_is_said_without_blaming_the_file() {
        let file = Path::new("/var/lib/mbushat/meters.toml");
        let trouble = "/var/lib/mbushat/meters.toml has 2 problems\n\
            /var/lib/mbushat/meters.toml:10:12: `interval` is \"0s\", expected a duration: one\n\
            /var/lib/mbushat/meters.toml:11:1: choose one that does, or set align = false";
        assert_eq!(wrong_in(file, trouble), "`interval` is \"0s\", expected a duration: one; choose one that does");
        assert_eq!(wrong_in(file, "cannot read it"), "cannot read it");
    }
}
