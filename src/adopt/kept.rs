//! How far each bus's hunt is, in a file beside that of the adopted meters, so that a restart goes on with it.
//!
//! It can be lost without harm: then the hunts begin again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::find::Find;
use super::hunt::Saved;
use super::write;
use crate::config::Bus;

/// The hunts, by bus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept(BTreeMap<String, Hunted>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hunted {
    /// Another port or rate under the same name is another bus.
    port: String,
    baud: u32,
    hunt: Saved,
}

/// What the file beside `meters_file` says.
#[must_use]
pub fn read(meters_file: &Path) -> Kept {
    let text = std::fs::read_to_string(beside(meters_file)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn beside(meters_file: &Path) -> PathBuf {
    let mut name = meters_file.file_name().unwrap_or_default().to_owned();
    name.push(".search");
    meters_file.with_file_name(name)
}

impl Kept {
    /// The hunt of this bus; one that has not begun where none is kept.
    #[must_use]
    pub fn hunt(&self, bus: &Bus) -> Saved {
        let same = |kept: &&Hunted| kept.port == bus.port.to_string() && kept.baud == bus.baud.bits_per_second();
        self.0.get(&bus.name).filter(same).map(|kept| kept.hunt.clone()).unwrap_or_default()
    }

    /// Who was found on a bus of this name, whatever its port or rate was called then.
    #[must_use]
    pub fn finds(&self, bus: &str) -> Vec<Find> {
        self.0.get(bus).map(|kept| kept.hunt.finds()).unwrap_or_default()
    }

    /// Takes how far it is.
    pub fn set(&mut self, bus: &Bus, hunt: Saved) {
        let (port, baud) = (bus.port.to_string(), bus.baud.bits_per_second());
        self.0.insert(bus.name.clone(), Hunted { port, baud, hunt });
    }

    /// Writes it.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, meters_file: &Path) -> std::io::Result<()> {
        let file = beside(meters_file);
        let text = serde_json::to_string(self)?;
        let old = write::read(&file)?;
        write::replace(&file, &old, &text).map(|_| ())
    }
}
