//! Whether the wall clock is right: a Pi has no clock battery, and readings carry the time.

use super::finding::Finding;
use super::root::Root;
use crate::system;

/// systemd-timesyncd runs here, and makes the file once it has heard a time server.
const TIMESYNC: &str = "/run/systemd/timesync";

pub(super) fn examine(root: &Root) -> Finding {
    let synced = if root.is_here() {
        system::clock_synced()
    } else {
        // A prepared root has no timedatectl to ask.
        root.exists(TIMESYNC).then(|| root.exists(format!("{TIMESYNC}/synchronized")))
    };
    let found = match synced {
        Some(true) => return Finding::ok("clock", "synchronised with a time server"),
        Some(false) => "not synchronised with a time server: readings say so (clock_synced: false)",
        None => "cannot tell whether the clock is synchronised: readings say so (clock_synced: null)",
    };
    Finding::warning("clock", found).fix(
        "Switch time synchronisation on, and see which server it uses:",
        ["sudo timedatectl set-ntp true", "timedatectl timesync-status"],
    )
}
