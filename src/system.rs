//! The system around the process: the service manager, whether the clock is right, which machine
//! this is.
//!
//! Not here: any decision, signals and shutdown (`agent`).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sd_notify::NotifyState;

/// Tells the service manager that everything has started.
pub fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager that the stop was heard.
pub fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Tells the service manager that the agent makes progress.
pub fn notify_watchdog() {
    notify(&[NotifyState::Watchdog]);
}

/// How often the service manager wants to hear of progress; `None`: it does not.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|within| within / 2)
}

/// Without a service manager there is no socket, and nothing to send.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("cannot notify the service manager: {error}");
    }
}

/// Whether the wall clock was set by a time server since boot; `None`: not known. May take a
/// second, because it may have to ask `timedatectl`.
#[must_use]
pub fn clock_synced() -> Option<bool> {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    // it would tell the service manager of its own failures, in our name
    let mut timedatectl = Command::new("timedatectl");
    timedatectl.args(["show", "-p", "NTPSynchronized", "--value"]).env_remove("NOTIFY_SOCKET");
    let output = timedatectl.output().ok()?;
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// The first eight digits of `/etc/machine-id`, or eight zeros: enough to tell agents apart.
#[must_use]
pub fn machine() -> String {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    format!("{digits:0<8}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_machine_has_eight_hex_digits() {
        let machine = super::machine();
        assert!(machine.len() == 8 && machine.chars().all(|c| c.is_ascii_hexdigit()), "{machine}");
    }
}
