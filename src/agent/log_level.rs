//! What the log shows, as a request changes it until the next start.
//!
//! Not here: the log itself (`cli::log`).

use tokio::sync::watch;

/// Makes the log show what this level, or list of levels, lets through.
type Set = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// The level of this process's log, and how it is set.
pub struct LogLevel {
    now: watch::Sender<String>,
    set: Box<Set>,
}

impl std::fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.now.borrow().fmt(f)
    }
}

impl LogLevel {
    /// `now` is in use; `set` changes it.
    pub fn new(now: String, set: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { now: watch::Sender::new(now), set: Box::new(set) }
    }

    /// Shows which level is in use.
    pub(super) fn watch(&self) -> watch::Receiver<String> {
        self.now.subscribe()
    }

    /// Takes another level into use.
    pub(super) fn change(&self, level: String) -> Result<(), String> {
        (self.set)(&level)?;
        tracing::info!("the log shows {level} until the next start");
        self.now.send_replace(level);
        Ok(())
    }
}
