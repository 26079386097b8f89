//! A configuration from its file: the one place of this room that touches the machine.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use super::check::{self, Surroundings};
use super::file::{self, Table, Value};
use super::named::{self, bytes};
use super::problem::{Place, Problem, Problems, may_pass};
use super::{Config, environment, profiles};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read, or is not text.
    #[error("cannot read the configuration {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The same of a simulated bus.
    #[error("cannot read the simulated bus {}", file.display())]
    NoSimulation {
        /// Its file.
        file: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// It can be read, but not used.
    #[error(transparent)]
    Bad(#[from] Problems),
}

impl LoadError {
    /// Whether the same file may be good at the next try: the disk fails, or a file that it names is not there yet.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreadable { error, .. } | Self::NoSimulation { error, .. } => {
                error.kind() != io::ErrorKind::NotFound && may_pass(error)
            }
            Self::Bad(problems) => problems.problems.iter().all(|problem| problem.may_pass),
        }
    }
}

/// Reads and checks a configuration file.
///
/// Relative paths in it start at its folder. `key_file`s are read now, password files are not.
///
/// # Errors
/// Where the file cannot be read, or with every problem it has.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    load_with(path, &Ok)
}

/// The same, as if the file of adopted meters held what `change` makes of its text.
///
/// # Errors
/// Where the file cannot be read, or with every problem it has. The file of adopted meters costs only its own
/// meters: what is wrong with it stands in [`Adopted::trouble`](super::Adopted::trouble).
pub fn load_with(path: &Path, change: &dyn Fn(String) -> Result<String, String>) -> Result<Config, LoadError> {
    let text = text(path)?;
    let folder = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let key_files = RefCell::new(Vec::new());
    let surroundings = Surroundings {
        folder: folder.parent().unwrap_or(Path::new("/")),
        password_credential: credentials.map(|dir| dir.join("mqtt-password")).filter(|file| file.exists()),
        variable: &variable,
        is_timezone: &|name| jiff::tz::TimeZone::get(name).is_ok(),
        read: &|path| {
            key_files.borrow_mut().push(path.to_owned());
            String::from_utf8(bytes(path)?).map_err(io::Error::other)
        },
        unfit: &named::unfit,
        built_in: profiles::built_in().into_iter().map(|(profile, _)| profile).collect(),
    };
    let mut files = vec![(path.to_owned(), text)];
    for file in more_files(path).map_err(|error| unreadable(&folder_of_more(path), error))? {
        let text = self::text(&file).map_err(leads_nowhere)?;
        files.push((file, text));
    }
    let mut config = parse(&files, &surroundings)?;
    add_adopted(&mut config, change, &surroundings);
    drop(surroundings);
    Ok(Config { key_files: key_files.into_inner(), ..config })
}

/// A file of the folder was there a moment ago: a link, whose target is missing. Nobody should write it again.
fn leads_nowhere(error: LoadError) -> LoadError {
    match error {
        LoadError::Unreadable { file, error } if error.kind() == io::ErrorKind::NotFound => {
            unreadable(&file, io::Error::other("it is a link to a file that is not there"))
        }
        other => other,
    }
}

/// `/etc/mbushat.d` of `/etc/mbushat.toml`.
fn folder_of_more(path: &Path) -> PathBuf {
    match path.extension() {
        Some(extension) if extension == "toml" => path.with_extension("d"),
        _ => PathBuf::from(format!("{}.d", path.display())),
    }
}

/// The files that stand in it, by name; it need not be there.
fn more_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder_of_more(path)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if file.extension().is_some_and(|extension| extension == "toml") && !is_hidden {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Adds the meters that the agent adopted; a file that is not there holds none.
fn add_adopted(
    config: &mut Config,
    change: &dyn Fn(String) -> Result<String, String>,
    surroundings: &Surroundings<'_>,
) {
    let written = match text(&config.adopted.file) {
        Err(LoadError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(LoadError::Unreadable { error, file }) => Err(format!("cannot read {}: {error}", file.display())),
        other => other.map_err(|error| error.to_string()),
    };
    let with = written.and_then(|text| {
        let changed = change(text).map_err(|why| format!("{}: {why}", config.adopted.file.display()))?;
        let (mut table, mut problems) = file::read(&changed);
        let secrets = secrets(&table).map(|what| (config.adopted.file.clone(), what)).collect::<Vec<_>>();
        environment::expand(&mut table, surroundings.variable, &mut problems);
        let mut with = config.clone();
        with.secret_files.extend(secrets);
        check::adopted::add(&table, &mut with, surroundings, &mut problems);
        let good = problems.is_empty();
        if good {
            Ok(with)
        } else {
            Err(Problems::new(std::slice::from_ref(&config.adopted.file), problems).to_string())
        }
    });
    match with {
        Ok(with) => *config = with,
        Err(trouble) => config.adopted.trouble = Some(trouble),
    }
}

/// Of the environment; HOSTNAME, which a shell does not export, is always there.
fn variable(name: &str) -> Option<String> {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    std::env::var(name).ok().or_else(|| host().filter(|_| name == "HOSTNAME"))
}

/// The text of a file, which `path` names in messages.
///
/// # Errors
/// Where the file cannot be read, is endless as a device can be, or is not text.
pub(super) fn text(path: &Path) -> Result<String, LoadError> {
    let bytes = bytes(path).map_err(|error| unreadable(path, error))?;
    String::from_utf8(bytes).map_err(|error| {
        let good =
            String::from_utf8_lossy(error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default());
        let at = Place {
            file: 0,
            line: good.matches('\n').count() + 1,
            column: good.chars().rev().take_while(|c| *c != '\n').count() + 1,
        };
        Problems::new(&[path.to_owned()], vec![Problem::new(at, "this is not UTF-8 text: save the file as UTF-8")])
            .into()
    })
}

fn unreadable(path: &Path, error: io::Error) -> LoadError {
    LoadError::Unreadable { file: path.to_owned(), error }
}

/// The configuration of these files and their texts.
pub(super) fn parse(files: &[(PathBuf, String)], surroundings: &Surroundings<'_>) -> Result<Config, Problems> {
    let (mut all, mut problems) = (Table::default(), Vec::new());
    let mut secret_files = Vec::new();
    for (number, (file, text)) in files.iter().enumerate() {
        let (mut table, wrong) = file::read_one_of(text, number);
        problems.extend(wrong);
        secret_files.extend(secrets(&table).map(|what| (file.clone(), what)));
        environment::expand(&mut table, surroundings.variable, &mut problems);
        all.add(table, &mut problems);
    }
    let config = Config { secret_files, ..check::check(&all, surroundings, &mut problems) };
    let names = || files.iter().map(|(file, _)| file.clone()).collect::<Vec<_>>();
    if problems.is_empty() { Ok(config) } else { Err(Problems::new(&names(), problems)) }
}

/// What a file says that is nobody else's business.
fn secrets(file: &Table) -> impl Iterator<Item = &'static str> {
    let text = |table: &Table, key: &str| match table.entries.get(key).map(|entry| &entry.item.value) {
        // one that the environment has is not here
        Some(Value::Text(text)) if !(text.starts_with("${") && text.ends_with('}')) => Some(text.clone()),
        _ => None,
    };
    let is_table = |name: &str, holds: &dyn Fn(&Table) -> bool| match file.entries.get(name).map(|e| &e.item.value) {
        Some(Value::Table(table)) => holds(table),
        Some(Value::Array(items)) => items.iter().any(|item| matches!(&item.value, Value::Table(t) if holds(t))),
        _ => false,
    };
    let in_url = |table: &Table| {
        let user = text(table, "url").and_then(|url| Some(url.split_once("://")?.1.rsplit_once('@')?.0.to_owned()));
        user.is_some_and(|user| user.contains(':'))
    };
    let password = is_table("mqtt", &|mqtt| text(mqtt, "password").is_some() || in_url(mqtt))
        || is_table("http", &|http| text(http, "password").is_some());
    let key = is_table("meter", &|meter| text(meter, "key").is_some());
    [password.then_some("a password"), key.then_some("a key")].into_iter().flatten()
}

#[cfg(test)]
pub(super) mod tests;
