//! A configuration from its file: the one place of this room that touches the machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::check::{self, Surroundings};
use super::problem::Problems;
use super::{Config, file, profiles};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read, or is no text.
    #[error("cannot read the configuration {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// It can be read, but not used.
    #[error(transparent)]
    Bad(#[from] Problems),
}

/// Reads and checks a configuration file.
///
/// Relative paths in it start at its folder. `key_file`s are read now, password files are not.
///
/// # Errors
/// Where the file cannot be read, or with every problem it has.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let unreadable = |error| LoadError::Unreadable { file: path.to_owned(), error };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let folder = std::path::absolute(path).map_err(unreadable)?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let surroundings = Surroundings {
        folder: folder.parent().unwrap_or(Path::new("/")),
        password_credential: credentials.map(|dir| dir.join("mqtt-password")).filter(|file| file.exists()),
        is_timezone: &|name| jiff::tz::TimeZone::get(name).is_ok(),
        read: &|path| fs::read_to_string(path),
        built_in: profiles::built_in().into_iter().map(|(profile, _)| profile).collect(),
    };
    Ok(parse(&text, path, &surroundings)?)
}

/// The configuration of a text, which `path` names in messages.
pub(super) fn parse(text: &str, path: &Path, surroundings: &Surroundings<'_>) -> Result<Config, Problems> {
    let (table, mut problems) = file::read(text);
    let config = check::check(&table, surroundings, &mut problems);
    if problems.is_empty() { Ok(config) } else { Err(Problems::new(path, problems)) }
}
