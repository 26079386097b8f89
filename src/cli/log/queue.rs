//! Stderr behind a queue: whoever reads it may hang, and must not stop the readings. Lines that find the
//! queue full are lost, and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait, at most.
const LINES: usize = 1000;
/// How long the last lines may take.
const ENDS_WITHIN: Duration = Duration::from_millis(200);

static WAITING: OnceLock<Arc<AtomicU32>> = OnceLock::new();

/// Makes a writer for each line.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    lines: SyncSender<Vec<u8>>,
    waiting: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
    /// Lines begin with their priority, as the journal reads it: `<4>` (sd-daemon(3)).
    with_priority: bool,
}

impl Queue {
    /// Starts the thread that writes. Once a process.
    pub(super) fn start(with_priority: bool) -> io::Result<Self> {
        let (lines, queued) = sync_channel(LINES);
        let (waiting, lost) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (written, to_count) = (Arc::clone(&waiting), Arc::clone(&lost));
        thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&queued, &written, &to_count))?;
        _ = WAITING.set(Arc::clone(&waiting));
        Ok(Self { lines, waiting, lost, with_priority })
    }
}

/// Waits a moment until everything is written.
pub(super) fn flush() {
    let begin = Instant::now();
    let is_waiting = || WAITING.get().is_some_and(|waiting| waiting.load(Ordering::Acquire) > 0);
    while is_waiting() && begin.elapsed() < ENDS_WITHIN {
        thread::sleep(Duration::from_millis(1));
    }
}

/// That stderr is gone is not an error: there is nowhere else to say it.
fn write_all(queued: &Receiver<Vec<u8>>, waiting: &AtomicU32, lost: &AtomicU32) {
    while let Ok(line) = queued.recv() {
        _ = io::stderr().write_all(&line);
        let count = lost.swap(0, Ordering::AcqRel);
        if count > 0 {
            _ = writeln!(io::stderr(), "{count} lines of the log were lost: they were not read in time");
        }
        waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: self, priority: self.with_priority.then_some(6) }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line<'a> {
        let priority = match *about.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        Line { queue: self, priority: self.with_priority.then_some(priority) }
    }
}

/// One line of the log; it is handed over whole.
pub(super) struct Line<'a> {
    queue: &'a Queue,
    priority: Option<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let before = self.priority.map(|priority| format!("<{priority}>")).unwrap_or_default();
        self.queue.waiting.fetch_add(1, Ordering::AcqRel);
        if self.queue.lines.try_send([before.as_bytes(), line].concat()).is_err() {
            self.queue.waiting.fetch_sub(1, Ordering::AcqRel);
            self.queue.lost.fetch_add(1, Ordering::AcqRel);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
