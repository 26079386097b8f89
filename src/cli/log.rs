//! The log of this process: lines on stderr as `[log]` says, or straight to journald.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::Failure;
use crate::config::{Log, LogFormat};

/// Starts the log, once a process. `RUST_LOG` wins over `[log] level`. Colours on a terminal only.
pub(crate) fn start(log: &Log) -> Result<(), Failure> {
    let filter = filter(log, std::env::var("RUST_LOG").ok().as_deref())?;
    let lines = || tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    let started: Result<(), TryInitError> = match log.format {
        LogFormat::Text => registry.with(lines().with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines().json().flatten_event(true)).try_init(),
        LogFormat::Journal => {
            let journal = tracing_journald::layer()
                .map_err(|error| Failure::new("cannot log to journald: use [log] format = \"text\"").because(&error))?;
            registry.with(journal).try_init()
        }
    };
    started.map_err(|error| Failure::new("cannot start the log").because(&error))
}

/// The filter of a non-empty `RUST_LOG`, else of `[log] level`.
fn filter(log: &Log, rust_log: Option<&str>) -> Result<EnvFilter, Failure> {
    let (origin, text) = match rust_log.filter(|text| !text.is_empty()) {
        Some(text) => ("RUST_LOG", text),
        None => ("[log] level", log.level.as_str()),
    };
    EnvFilter::builder().parse(text).map_err(|error| {
        Failure::new(format!("{origin} = {text:?} is no log filter, want a level such as \"info\"")).because(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::filter;
    use crate::config::{Log, LogFormat};

    #[test]
    fn rust_log_wins_and_a_bad_filter_is_named() {
        let log = Log { level: "info".into(), format: LogFormat::Text };
        assert_eq!(filter(&log, None).expect("a level").to_string(), "info");
        assert_eq!(filter(&log, Some("")).expect("a level").to_string(), "info");
        assert_eq!(filter(&log, Some("mbushat=trace")).expect("a filter").to_string(), "mbushat=trace");
        let failure = filter(&log, Some("mbushat=loud")).expect_err("no level");
        assert!(format!("{failure:?}").contains("RUST_LOG"), "{failure:?}");
    }
}
