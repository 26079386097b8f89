//! The log of this process: lines on stderr as `[log]` says, or straight to journald.

mod queue;

use std::io;
use std::os::unix::fs::MetadataExt;

use jiff::Zoned;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, filter, reload};

use super::{Failure, style};
use crate::agent::LogLevel;
use crate::bus::frames;
use crate::config::{Log, LogFormat};
use queue::Queue;

/// Starts the agent's log, once a process. `RUST_LOG` wins over `[log] level`. Colours on a terminal only.
/// Where stderr is the journal, lines carry a priority instead of a level, and no time: the journal has its own.
pub(crate) fn start(log: &Log) -> Result<LogLevel, Failure> {
    let (origin, level) = level(log, std::env::var("RUST_LOG").ok());
    let (layer, handle) = reload::Layer::new(filter(origin, &level)?);
    let to_journal = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref()) && log.format == LogFormat::Text;
    let queue = Queue::start(to_journal).map_err(|error| Failure::new("cannot start the log").because(&error))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(queue).with_ansi(style::colours_on_stderr());
    let registry = tracing_subscriber::registry().with(layer);
    let started: Result<(), TryInitError> = match log.format {
        LogFormat::Text if to_journal => {
            registry.with(lines.with_ansi(false).without_time().with_level(false).with_target(false)).try_init()
        }
        LogFormat::Text => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Journal => {
            let journal = tracing_journald::layer()
                .map_err(|error| Failure::new("cannot log to journald: use [log] format = \"text\"").because(&error))?;
            registry.with(journal).try_init()
        }
    };
    started.map_err(|error| Failure::new("cannot start the log").because(&error))?;
    Ok(LogLevel::new(level, move |level| {
        let filter = filter("level", level).map_err(|_| format!("{level:?} is not a log level"))?;
        handle.reload(filter).map_err(|error| error.to_string())
    }))
}

/// Waits a moment for the last lines.
pub(crate) fn end() {
    queue::flush();
}

/// Starts the log of a command that talks to a bus: warnings, and with `wire` each frame with the time of day.
pub(crate) fn start_for_command(wire: bool) -> Result<(), Failure> {
    let log = Log { level: "warn".to_owned(), format: LogFormat::Text };
    let (origin, level) = level(&log, std::env::var("RUST_LOG").ok());
    let filter = filter(origin, &level)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(style::colours_on_stderr());
    let frames = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_level(false);
    let frames = wire.then(|| {
        frames
            .with_timer(TimeOfDay)
            .with_target(false)
            .with_filter(filter::filter_fn(|about| about.target() == frames::TARGET))
    });
    let started =
        tracing_subscriber::registry().with(lines.with_target(false).with_filter(filter)).with(frames).try_init();
    started.map_err(|error| Failure::new("cannot start the log").because(&error))
}

/// A non-empty `RUST_LOG`, else `[log] level`, and which of them it is.
fn level(log: &Log, rust_log: Option<String>) -> (&'static str, String) {
    match rust_log.filter(|text| !text.is_empty()) {
        Some(text) => ("RUST_LOG", text),
        None => ("[log] level", log.level.clone()),
    }
}

/// The filter of a level; `wire` is info and each frame.
fn filter(origin: &str, level: &str) -> Result<EnvFilter, Failure> {
    let text = if level == "wire" { format!("info,{}=debug", frames::TARGET) } else { level.to_owned() };
    EnvFilter::builder().parse(&text).map_err(|error| {
        Failure::new(format!("{origin} = {text:?} is not a log filter, expected a level such as \"info\""))
            .because(&error)
    })
}

/// Whether stderr is the stream that systemd says it connected to the journal: `device:inode` (systemd.exec(5)).
fn is_journal(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino())
}

/// `19:15:00.412`, local.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", Zoned::now().strftime("%H:%M:%S%.3f"))
    }
}

#[cfg(test)]
mod tests {
    use super::{filter, is_journal, level};
    use crate::config::{Log, LogFormat};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn rust_log_wins_and_a_bad_filter_is_named() {
        let log = Log { level: "info".into(), format: LogFormat::Text };
        let used = |rust_log: Option<&str>| {
            let (origin, level) = level(&log, rust_log.map(str::to_owned));
            filter(origin, &level).map(|filter| filter.to_string())
        };
        assert_eq!(used(None).expect("a level"), "info");
        assert_eq!(used(Some("")).expect("a level"), "info");
        assert_eq!(used(Some("mbushat=trace")).expect("a filter"), "mbushat=trace");
        let failure = used(Some("mbushat=loud")).expect_err("no level");
        assert!(format!("{failure:?}").contains("RUST_LOG"), "{failure:?}");
        assert!(filter("level", "wire").expect("a level").to_string().contains("mbushat::wire=debug"));
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode_of_stderr() {
        let stderr = std::fs::metadata("/proc/self/fd/2").expect("stderr");
        assert!(is_journal(Some(&format!("{}:{}", stderr.dev(), stderr.ino()))));
        for other in [None, Some(""), Some("8:1"), Some("x:y")] {
            assert!(!is_journal(other), "{other:?}");
        }
    }
}
