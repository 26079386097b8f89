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

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// Another process that has `device` open. The program that made a pseudo-terminal is the other end
/// of the wire, not its holder, even where it keeps this end open too.
pub(super) fn holder_of(device: &Path) -> Option<Holder> {
    let device = fs::canonicalize(device).ok()?;
    let number = fs::metadata(&device).ok().filter(|m| m.file_type().is_char_device())?.rdev();
    let pty_index = device.strip_prefix("/dev/pts").ok().and_then(|name| name.to_str()).map(str::to_owned);
    let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes
        .filter(|pid| *pid != std::process::id())
        .find(|pid| has_open(*pid, number) && !pty_index.as_ref().is_some_and(|index| has_pty_master(*pid, index)))
        .map(|pid| Holder { name: name_of(pid), pid })
}

fn has_open(pid: u32, device_number: u64) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
    files
        .filter_map(|file| fs::metadata(file.path()).ok())
        .any(|m| m.file_type().is_char_device() && m.rdev() == device_number)
}

/// Whether a process has the other end of pseudo-terminal `index` open.
fn has_pty_master(pid: u32, index: &str) -> bool {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().filter_map(Result::ok);
    infos
        .filter_map(|info| fs::read_to_string(info.path()).ok())
        .any(|info| info.lines().any(|line| line.strip_prefix("tty-index:").is_some_and(|value| value.trim() == index)))
}

fn name_of(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}
