//! The agent as a process: `mbushat run` with a configuration, a store and a log of its own.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use mbushat::mbus::decimal::Decimal;
use rustix::process::Signal;

use crate::broker::{Folder, Received, signal};

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// `mbushat run` with a configuration of its own.
pub(crate) struct Agent {
    child: Child,
    folder: Folder,
}

impl Agent {
    /// `rest` are the buses and meters, and more tables.
    pub(crate) fn start(broker_port: u16, rest: &str) -> Self {
        Self::start_with(broker_port, rest, &[])
    }

    /// The same, started by another program.
    pub(crate) fn start_with(broker_port: u16, rest: &str, starter: &[&str]) -> Self {
        let folder = Folder::new();
        configure(&folder, broker_port, rest);
        let child = spawn(&folder, starter);
        Self { child, folder }
    }

    /// Writes another configuration over the one it has.
    pub(crate) fn configure(&self, broker_port: u16, rest: &str) {
        configure(&self.folder, broker_port, rest);
    }

    /// SIGHUP.
    pub(crate) fn hangup(&self) {
        self.signal(Signal::HUP);
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Any signal.
    pub(crate) fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    /// Where its configuration, store and log are.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// Starts it again, with the same configuration and store.
    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same, started by another program.
    pub(crate) fn restart_with(&mut self, starter: &[&str]) {
        self.kill();
        self.child = spawn(&self.folder, starter);
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until its log has all of these texts.
    pub(crate) fn says(&self, texts: &[&str]) {
        let start = Instant::now();
        while !texts.iter().all(|text| self.log().contains(text)) {
            assert!(start.elapsed() < SOON, "{texts:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What `mbushat check` says of its configuration.
    pub(crate) fn checked(&self) -> serde_json::Value {
        let mut check = Command::new(env!("CARGO_BIN_EXE_mbushat"));
        let output = check.args(["check", "--format", "json"]).arg(self.folder.path().join("mbushat.toml")).output();
        serde_json::from_slice(&output.expect("mbushat starts").stdout).expect("JSON")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Sends the signal and waits for the end; the time it took.
    pub(crate) fn end(&mut self, which: Signal) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal(which);
        (self.child.wait().expect("it ends"), start.elapsed())
    }
}

fn spawn(folder: &Folder, starter: &[&str]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log")).expect("a log");
    let program = env!("CARGO_BIN_EXE_mbushat");
    let (first, more) = starter.split_first().map_or((program, &[][..]), |(first, more)| (*first, more));
    Command::new(first)
        .args(more)
        .args(Some(program).filter(|_| !starter.is_empty()))
        .args(["run", "--config"])
        .arg(folder.path().join("mbushat.toml"))
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("mbushat starts")
}

/// `rest` may start with more lines of `[mqtt]`.
fn configure(folder: &Folder, broker_port: u16, rest: &str) {
    let store = folder.path().join("store");
    let (mqtt, rest) = rest.split_at(rest.find('[').unwrap_or_default());
    let head = format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{broker_port}\"\nkeep_alive = \"5s\"\n{mqtt}");
    let store = if rest.contains("[store]") {
        rest.replace("[store]\n", &format!("[store]\ndirectory = {store:?}\n"))
    } else {
        format!("[store]\ndirectory = {store:?}\n{rest}")
    };
    folder.write("mbushat.toml", &(head + &store));
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Litres of a `reading` message of the gateway's meters, and its number.
pub(crate) fn litres(message: &Received) -> Option<(String, u64, u64)> {
    let meter = message.topic.strip_suffix("/reading")?.rsplit('/').next()?.to_owned();
    let reading: serde_json::Value = serde_json::from_str(&message.payload).ok()?;
    let seq = reading.get("seq")?.as_u64()?;
    let cubic_metres: Decimal = reading.pointer("/measurements/0/value")?.to_string().parse().ok()?;
    Some((meter, seq, cubic_metres.shift(3)?.to_string().parse().ok()?))
}

pub(crate) fn payload_of(messages: &[Received], topic: &str) -> Option<String> {
    messages.iter().find(|m| m.topic == topic).map(|m| m.payload.clone())
}
