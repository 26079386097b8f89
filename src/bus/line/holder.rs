//! Who else has a device open, as far as `/proc` tells this user.

use std::fmt;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// A program that has the device open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its name, at most 15 characters, as the kernel keeps it.
    pub name: String,
    /// Process id.
    pub pid: u32,
}

/// The name of the agent's process.
const AGENT: &str = "mbushat";

impl Holder {
    /// Whether it is an agent (or another command of this program).
    #[must_use]
    pub fn is_agent(&self) -> bool {
        self.name == AGENT
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// Where Linux shows processes.
pub(crate) const PROCESSES: &str = "/proc";

/// Another process that has `device` open, among those that `processes` shows. The program that made
/// a pseudo-terminal is the other end of the wire, not its holder, even where it keeps this end open too.
pub(crate) fn holder_of(device: &Path, processes: &Path) -> Option<Holder> {
    let device = fs::canonicalize(device).ok()?;
    let number = fs::metadata(&device).ok().filter(|m| m.file_type().is_char_device())?.rdev();
    let pty_index = device.strip_prefix("/dev/pts").ok().and_then(|name| name.to_str()).map(str::to_owned);
    processes_but_this(processes).find_map(|pid| {
        let process = processes.join(pid.to_string());
        let is_other_end = || pty_index.as_ref().is_some_and(|index| has_pty_master(&process, index));
        (has_open(&process, number) && !is_other_end()).then(|| Holder { name: name_of(&process), pid })
    })
}

/// The numbers of the other processes.
pub(super) fn processes_but_this(processes: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(processes).into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != std::process::id())
}

fn has_open(process: &Path, device_number: u64) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().filter_map(Result::ok);
    files
        .filter_map(|file| fs::metadata(file.path()).ok())
        .any(|m| m.file_type().is_char_device() && m.rdev() == device_number)
}

/// Whether a process has the other end of pseudo-terminal `index` open.
fn has_pty_master(process: &Path, index: &str) -> bool {
    let infos = fs::read_dir(process.join("fdinfo")).into_iter().flatten().filter_map(Result::ok);
    infos
        .filter_map(|info| fs::read_to_string(info.path()).ok())
        .any(|info| info.lines().any(|line| line.strip_prefix("tty-index:").is_some_and(|value| value.trim() == index)))
}

pub(super) fn name_of(process: &Path) -> String {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    name.trim_end().to_owned()
}
