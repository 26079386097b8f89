//! For the tests of this room: a bus task on a simulated segment, in virtual time. The segment runs on
//! tokio's clock, so an hour of a bus takes less than a second and every moment is exact.
//!
//! Only the wall clock stays real, so slots are compared on the other clock and meters are not aligned.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::exchange::Meters;
use super::hat::{PowerError, PowerPin};
use super::health::Health;
use super::hunting::Hunting;
use super::task::BusTask;
use super::{BusEvent, Happened, Machine, MeterReadout, Metered};
use crate::config::{self, Hat};
use crate::request::{Asked, BusRequest, Outcome, Response, reply};

/// A living meter for the segment.
pub(super) fn at(address: u8) -> String {
    format!("[[meter]]\nmodel = \"heat\"\naddress = {address}\nid = \"672005{address:02}\"\n")
}

/// A configured meter; `more` are lines of its table.
pub(super) fn meter(name: &str, address: u8, interval: &str, more: &str) -> String {
    format!("[[meter]]\nname = \"{name}\"\naddress = {address}\ninterval = \"{interval}\"\nalign = false\n{more}\n")
}

/// A bus task at work, and the test's ends of its channels.
pub(super) struct Bench {
    pub(super) started: Instant,
    pub(super) events: mpsc::Receiver<BusEvent>,
    requests: mpsc::Sender<Asked>,
    pub(super) health: watch::Receiver<Health>,
    stop: watch::Sender<bool>,
    others: watch::Sender<Meters>,
    task: JoinHandle<()>,
    folder: Folder,
}

impl Bench {
    /// The meters of `segment` are on the wire, those of `configured` are read. `bus` are lines of its
    /// table.
    pub(super) fn start(segment: &str, bus: &str, configured: &str) -> Self {
        Self::start_with(None, segment, bus, configured, true, |_| None)
    }

    /// The same with a search for other meters, that `hunting` makes.
    pub(super) fn hunting(
        segment: &str,
        bus: &str,
        configured: &str,
        hunting: impl Fn(&config::Bus) -> Hunting,
    ) -> Self {
        Self::start_with(None, segment, bus, configured, true, |bus| Some(hunting(bus)))
    }

    /// The same, powered by a pin that needs so long to start the meters; no configuration can say that
    /// of a simulated segment.
    pub(super) fn powered(gpio: u8, power_settle: Duration, segment: &str, configured: &str) -> Self {
        Self::start_with(Some(Hat { power_gpio: gpio, power_settle }), segment, "", configured, true, |_| None)
    }

    /// The same, switched off by its user before a reload.
    pub(super) fn switched_off(gpio: u8, power_settle: Duration, segment: &str, configured: &str) -> Self {
        Self::start_with(Some(Hat { power_gpio: gpio, power_settle }), segment, "", configured, false, |_| None)
    }

    fn start_with(
        hat: Option<Hat>,
        segment: &str,
        bus: &str,
        configured: &str,
        powered: bool,
        hunting: impl Fn(&config::Bus) -> Option<Hunting>,
    ) -> Self {
        let folder = Folder::new();
        let simulated = folder.write("segment.toml", segment);
        let text = format!("[[bus]]\nname = \"bus\"\nport = \"sim:{}\"\n{bus}\n{configured}", simulated.display());
        let config = config::load(&folder.write("mbushat.toml", &text)).expect("a good configuration");
        let (events_in, events) = mpsc::channel(16);
        let (requests, requests_out) = mpsc::channel(64);
        let (health_in, health) = watch::channel(Health::default());
        let (stop, stop_out) = watch::channel(false);
        let (others, others_out) = watch::channel(Vec::new());
        let bus = config::Bus { hat, ..config.buses.into_iter().next().expect("a bus") };
        let task = BusTask {
            index: 0,
            hunting: hunting(&bus),
            bus,
            meters: config.meters.into_iter().map(|meter| Metered::new(meter, None)).collect(),
            timezone: TimeZone::UTC,
            powered,
            machine: Machine { device_tree: folder.0.clone(), open_pin: FakePin::open },
            events: events_in,
            requests: requests_out,
            health: health_in,
            tape: watch::Sender::default(),
            stop: stop_out,
            others: others_out,
        };
        let started = Instant::now();
        Self { started, events, requests, health, stop, others, task: tokio::spawn(task.run()), folder }
    }

    /// Has it read these meters instead.
    pub(super) fn exchange(&self, configured: &str) {
        let meters = config::load(&self.folder.write("others.toml", configured)).expect("good meters").meters;
        self.others.send_replace(meters.into_iter().map(|meter| (meter, None)).collect());
    }

    /// What happens next.
    pub(super) async fn next(&mut self) -> Happened {
        self.events.recv().await.expect("still running").what
    }

    /// The next readout, and when it was over, in seconds since the start.
    pub(super) async fn readout(&mut self) -> (MeterReadout, f64) {
        loop {
            if let Happened::Read { readout, .. } = self.next().await {
                return (readout, self.started.elapsed().as_secs_f64());
            }
        }
    }

    /// The same of this meter.
    pub(super) async fn readout_of(&mut self, meter: &str) -> (MeterReadout, f64) {
        loop {
            let (readout, at) = self.readout().await;
            if readout.meter == meter {
                return (readout, at);
            }
        }
    }

    /// Asks for this; the answer comes by itself.
    pub(super) async fn ask(&self, what: BusRequest) -> Response {
        let (reply, response) = reply();
        self.requests.send(Asked { what, reply }).await.expect("still running");
        response
    }

    /// Reads this meter on demand.
    pub(super) async fn read(&self, meter: &str) -> Response {
        self.ask(BusRequest::Read { meter: meter.to_owned() }).await
    }

    /// Switches bus power; what came of it.
    pub(super) async fn switch(&self, on: bool) -> Outcome {
        self.ask(BusRequest::Power(on)).await.await
    }

    /// Reads this meter on demand; how many requests that took.
    pub(super) async fn sends_of(&mut self, meter: &str) -> u32 {
        let before = self.health.borrow().traffic.sends;
        _ = self.read(meter).await;
        loop {
            let (readout, _) = self.readout_of(meter).await;
            if readout.due_at.is_none() {
                assert!(readout.frames.is_ok(), "{readout:?}");
                return self.health.borrow().traffic.sends - before;
            }
        }
    }

    /// Stops the task; how long that took.
    pub(super) async fn stop(mut self) -> Duration {
        let asked = Instant::now();
        self.stop.send(true).expect("still running");
        while self.events.recv().await.is_some() {}
        self.task.await.expect("no panic");
        asked.elapsed()
    }
}

/// A folder of its own, with a Hat in its device tree; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let test = std::thread::current().name().unwrap_or("test").replace(':', "-");
        let folder = Self(std::env::temp_dir().join(format!("mbushat-bench-{}-{test}", std::process::id())));
        std::fs::create_dir_all(folder.0.join("hat")).expect("a folder");
        folder.write("hat/product", "M-Bus Master\0");
        folder.write("hat/product_ver", "0x0005\0");
        folder
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, content).expect("a file");
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

thread_local! {
    /// What this test's pin was set to, and when. A test and its task are one thread; a panic in another
    /// test, which drives every pin low, is not seen here.
    static LEVELS: RefCell<Vec<(bool, Instant)>> = const { RefCell::new(Vec::new()) };
    static NEXT_SWITCH_FAILS: Cell<bool> = const { Cell::new(false) };
}

/// What this test's pin was set to, in order.
pub(super) fn levels() -> Vec<bool> {
    LEVELS.with_borrow(|levels| levels.iter().map(|(high, _)| *high).collect())
}

/// When it was set, in seconds since `start`.
pub(super) fn switched_at(start: Instant) -> Vec<f64> {
    LEVELS.with_borrow(|levels| levels.iter().map(|(_, at)| (*at - start).as_secs_f64()).collect())
}

/// The kernel refuses to switch this test's pin the next time.
pub(super) fn let_next_switch_fail() {
    NEXT_SWITCH_FAILS.set(true);
}

struct FakePin(u8);

impl FakePin {
    fn open(gpio: u8, high: bool) -> Result<Box<dyn PowerPin>, PowerError> {
        let mut pin = Self(gpio);
        pin.set(high)?;
        Ok(Box::new(pin))
    }
}

impl PowerPin for FakePin {
    fn set(&mut self, high: bool) -> Result<(), PowerError> {
        if NEXT_SWITCH_FAILS.take() {
            return Err(PowerError::Set { gpio: self.0, reason: "as planned".to_owned() });
        }
        LEVELS.with_borrow_mut(|levels| levels.push((high, Instant::now())));
        Ok(())
    }

    fn stays_at_exit(&self) -> bool {
        true
    }
}
