//! The bus task on real pseudo-terminals and sockets: what needs no real port is tested in virtual time,
//! beside the task itself.

use std::path::PathBuf;
use std::process::{Command as Program, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use mbushat::bus::hat::{PowerError, PowerPin};
use mbushat::bus::health::Health;
use mbushat::bus::serve::{PtyPort, serve_tcp};
use mbushat::bus::task::BusTask;
use mbushat::bus::{BusEvent, Happened, Machine, MeterReadout, Metered};
use mbushat::mbus::link::timing::Baud;
use mbushat::request::{Asked, BusRequest, Response, reply};
use mbushat::sim::segment::Segment;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::wire::{Wire, pty};

/// Long enough for anything that happens at all, on a loaded machine too.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn meters_on_a_pty_are_read_when_due_and_on_demand() {
    let place = Folder::new("read");
    let _wire = Wire::on_pty(&place.port(), &[5, 6]);
    let mut bus = Running::start(&place, "", &[("a", 5, "1s"), ("b", 6, "1h")]);
    bus.until_up().await;
    let first = bus.next_readout().await;
    assert_eq!((first.meter.as_str(), first.due_at.is_some()), ("a", true));
    assert_eq!(first.frames.expect("a telegram")[0][5], 5, "the A field of its reply");
    assert_eq!(bus.next_readout().await.meter, "b");
    _ = bus.read("b").await;
    let demanded = bus.readout_of("b").await;
    assert_eq!((demanded.due_at, demanded.frames.is_ok()), (None, true));
    assert!(bus.readout_of("a").await.due_at.is_some());
    let health = bus.health.borrow().clone();
    assert!(health.up && health.readouts_ok >= 4 && health.readouts_failed == 0, "{health:?}");
    bus.stop().await;
}

#[tokio::test]
async fn a_port_held_by_another_program_is_refused_by_name_until_it_is_free() {
    let place = Folder::new("held");
    let _wire = Wire::on_pty(&place.port(), &[5]);
    let mut holder = Program::new("sh")
        .args(["-c", "exec sleep 60 <\"$0\""])
        .arg(place.port())
        .stdout(Stdio::null())
        .spawn()
        .expect("sh");
    while std::fs::read_to_string(format!("/proc/{}/comm", holder.id())).is_ok_and(|name| name != "sleep\n") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut bus = Running::start(&place, "", &[("a", 5, "1s")]);
    let error = bus.until_down().await;
    assert!(error.contains(&format!("is held by sleep (pid {})", holder.id())), "{error}");
    holder.kill().expect("its end");
    holder.wait().expect("its end");
    bus.until_up().await;
    assert!(bus.readout_of("a").await.frames.is_ok());
    bus.stop().await;
}

#[tokio::test]
async fn nobody_else_opens_the_port_while_the_bus_has_it() {
    let place = Folder::new("exclusive");
    let _wire = Wire::on_pty(&place.port(), &[5]);
    let mut bus = Running::start(&place, "", &[("a", 5, "1s")]);
    bus.until_up().await;
    let mut second = Running::start(&place, "", &[("a", 5, "1s")]);
    let error = second.until_down().await;
    assert!(error.contains("is held by another program"), "{error}");
    second.stop().await;
    assert!(bus.readout_of("a").await.frames.is_ok(), "the first is not disturbed");
    bus.stop().await;
}

#[tokio::test]
async fn the_bus_is_powered_before_the_first_byte_and_off_after_the_last() {
    let place = Folder::new("power").with_hat("0x0005");
    let (mut master, slave) = pty();
    std::os::unix::fs::symlink(slave, place.port()).expect("a link");
    let first_byte = std::thread::spawn(move || {
        let mut byte = [0];
        // A pty without a user on the other side says EIO.
        while std::io::Read::read(&mut master, &mut byte).is_err() {
            std::thread::sleep(Duration::from_millis(2));
        }
        (levels(11), master)
    });
    let bus = Running::start(&place, "hat = true\npower_gpio = 11\npower_settle = \"50ms\"", &[("a", 5, "1s")]);
    let (levels_at_first_byte, _master) =
        tokio::task::spawn_blocking(|| first_byte.join().expect("no panic")).await.expect("joined");
    assert_eq!(levels_at_first_byte, [true]);
    bus.stop().await;
    assert_eq!(levels(11), [true, false]);
}

#[tokio::test]
async fn the_bus_loses_its_power_with_its_line_and_on_demand() {
    let place = Folder::new("power-lost").with_hat("0x0005");
    let wire = Wire::on_pty(&place.port(), &[5]);
    let power = "hat = true\npower_gpio = 12\npower_settle = \"10ms\"";
    let mut bus = Running::start(&place, power, &[("a", 5, "1s")]);
    assert!(bus.readout_of("a").await.frames.is_ok());
    _ = bus.ask(BusRequest::Power(false)).await;
    until(|| levels(12) == [true, false]).await;
    assert!(!bus.health.borrow().up, "a bus without power is not up");
    _ = bus.ask(BusRequest::Power(true)).await;
    until(|| levels(12) == [true, false, true]).await;
    assert!(bus.health.borrow().up);
    drop(wire);
    bus.until_down().await;
    assert_eq!(levels(12), [true, false, true, false]);
    bus.stop().await;
}

#[tokio::test]
async fn without_a_hat_the_bus_says_what_to_check() {
    let place = Folder::new("no-hat");
    let _wire = Wire::on_pty(&place.port(), &[5]);
    let mut bus = Running::start(&place, "hat = true\npower_gpio = 13", &[("a", 5, "1s")]);
    let error = bus.until_down().await;
    assert!(error.contains("no M-Bus Master Hat") && error.contains("hat = false"), "{error}");
    bus.stop().await;
    assert!(levels(13).is_empty(), "the pin is not touched");
}

#[tokio::test]
async fn a_mini_uart_is_refused_with_the_line_that_fixes_it() {
    let place = Folder::new("mini-uart");
    std::fs::write(place.0.join("model"), "Raspberry Pi 4 Model B Rev 1.5\0").expect("a model");
    std::fs::write(place.0.join("ttyS0"), "").expect("a file");
    std::os::unix::fs::symlink(place.0.join("ttyS0"), place.port()).expect("a link");
    let mut bus = Running::start(&place, "", &[("a", 5, "1s")]);
    let error = bus.until_down().await;
    assert!(error.contains("no parity") && error.contains("dtoverlay=disable-bt"), "{error}");
    bus.stop().await;
}

/// The two meters that are known byte for byte, and what the wire does to their answers.
const KNOWN: &str =
    "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n[[meter]]\nmodel = \"eastron_sdm220\"\naddress = 1\n";

#[tokio::test]
async fn a_simulated_segment_on_a_paced_pty_is_read_at_each_meters_rate() {
    let place = Folder::new("serve");
    let segment = place.segment(KNOWN);
    let port = PtyPort::open(Baud::DEFAULT).expect("a pty");
    std::os::unix::fs::symlink(port.path(), place.port()).expect("a link");
    let served = tokio::spawn(async move { port.serve(&mut { segment }).await });
    let mut bus = Running::start(&place, "", &[("ats", 48, "1h"), ("sdm", 1, "1h")]);
    bus.until_up().await;
    let started = Instant::now();
    assert_eq!(bus.readout_of("ats").await.frames.expect("a telegram")[0].len(), 67);
    assert_eq!(bus.readout_of("sdm").await.frames.expect("a telegram")[0].len(), 99);
    // NKE, E5, REQ_UD2, telegram of both meters at 4.58 ms a byte, and four answers after 30 ms.
    let bound = Baud::DEFAULT.characters(5 + 1 + 5 + 67 + 5 + 1 + 5 + 99) + Duration::from_millis(120);
    assert!(started.elapsed() > bound, "{:?} is faster than the wire", started.elapsed());
    bus.stop().await;
    served.abort();
}

#[tokio::test]
async fn a_simulated_segment_behind_a_gateway_and_one_in_this_process_give_the_same() {
    let place = Folder::new("same");
    let mut segment = place.segment(KNOWN);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gateway = format!("port = \"tcp://{}\"", listener.local_addr().expect("an address"));
    let served = tokio::spawn(async move { serve_tcp(&listener, &mut segment).await });
    let mut telegrams = Vec::new();
    for port in [gateway, format!("port = \"sim:{}\"", place.0.join("segment.toml").display())] {
        let mut bus = Running::start(&place, &port, &[("ats", 48, "1h")]);
        telegrams.push(bus.readout_of("ats").await.frames.expect("a telegram"));
        bus.stop().await;
    }
    assert_eq!(telegrams[0], telegrams[1]);
    served.abort();
}

/// A bus task at work.
pub(crate) struct Running {
    pub(crate) events: mpsc::Receiver<BusEvent>,
    requests: mpsc::Sender<Asked>,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts a bus on the folder's port, `extra` being more lines of its table.
    pub(crate) fn start(place: &Folder, extra: &str, meters: &[(&str, u8, &str)]) -> Self {
        let (task, mut bus) = Self::prepare(place, extra, meters);
        bus.task = Some(tokio::spawn(task.run()));
        bus
    }

    /// The same, but the task is yet to run.
    pub(crate) fn prepare(place: &Folder, extra: &str, meters: &[(&str, u8, &str)]) -> (BusTask, Self) {
        let mut text = format!("[[bus]]\nname = \"bus\"\nretries = 1\n{extra}\n");
        if !extra.contains("port =") {
            text.push_str(&format!("port = {:?}\n", place.port()));
        }
        if !extra.contains("hat =") {
            text.push_str("hat = false\n");
        }
        for (name, address, interval) in meters {
            text.push_str(&format!(
                "[[meter]]\nname = \"{name}\"\naddress = {address}\ninterval = \"{interval}\"\noffline_after = 1\n"
            ));
        }
        let file = place.0.join("mbushat.toml");
        std::fs::write(&file, text).expect("a file");
        let config = mbushat::config::load(&file).expect("a good configuration");
        let (events_in, events) = mpsc::channel(16);
        let (requests, requests_out) = mpsc::channel(16);
        let (health_in, health) = watch::channel(Health::default());
        let (stop, stop_out) = watch::channel(false);
        let task = BusTask {
            index: 0,
            bus: config.buses.into_iter().next().expect("a bus"),
            meters: config.meters.into_iter().map(|meter| Metered::new(meter, None)).collect(),
            powered: true,
            timezone: TimeZone::UTC,
            machine: Machine { device_tree: place.0.clone(), open_pin: fake_pin },
            events: events_in,
            requests: requests_out,
            health: health_in,
            tape: watch::Sender::default(),
            stop: stop_out,
            others: watch::channel(Vec::new()).1,
            hunting: None,
        };
        (task, Self { events, requests, health, stop, task: None })
    }

    /// Asks for this; the answer comes by itself.
    pub(crate) async fn ask(&self, what: BusRequest) -> Response {
        let (reply, response) = reply();
        self.requests.send(Asked { what, reply }).await.expect("running");
        response
    }

    /// Reads this meter on demand.
    pub(crate) async fn read(&self, meter: &str) -> Response {
        self.ask(BusRequest::Read { meter: meter.to_owned() }).await
    }

    async fn next(&mut self) -> Happened {
        self.events.recv().await.expect("still running").what
    }

    /// The first event that is wanted, in good time.
    async fn first<T>(&mut self, wanted: impl Fn(Happened) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = wanted(self.next().await) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("it happens in time")
    }

    pub(crate) async fn next_readout(&mut self) -> MeterReadout {
        self.first(|happened| if let Happened::Read { readout, .. } = happened { Some(readout) } else { None }).await
    }

    pub(crate) async fn readout_of(&mut self, meter: &str) -> MeterReadout {
        self.first(|happened| match happened {
            Happened::Read { readout, .. } if readout.meter == meter => Some(readout),
            _ => None,
        })
        .await
    }

    pub(crate) async fn until_answered(&mut self) {
        self.first(|happened| {
            matches!(happened, Happened::Read { readout, .. } if readout.frames.is_ok()).then_some(())
        })
        .await;
    }

    pub(crate) async fn until_up(&mut self) {
        self.first(|happened| matches!(happened, Happened::Up).then_some(())).await;
    }

    pub(crate) async fn until_down(&mut self) -> String {
        self.first(|happened| if let Happened::Down { error } = happened { Some(error) } else { None }).await
    }

    pub(crate) async fn stop(mut self) {
        self.stop.send(true).expect("still running");
        while timeout(PATIENCE, self.events.recv()).await.expect("its end").is_some() {}
        if let Some(task) = self.task {
            task.await.expect("no panic");
        }
    }
}

/// A folder of its own, removed at the end: port, configuration and device tree.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mbushat-bus-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn with_hat(self, version: &str) -> Self {
        let node = self.0.join("hat");
        std::fs::create_dir_all(&node).expect("a node");
        std::fs::write(node.join("product"), "M-Bus Master\0").expect("a property");
        std::fs::write(node.join("product_ver"), format!("{version}\0")).expect("a property");
        self
    }

    /// A simulated segment, and its file beside the port.
    fn segment(&self, text: &str) -> Segment {
        let file = self.0.join("segment.toml");
        std::fs::write(&file, text).expect("a file");
        Segment::new(mbushat::config::simulation::load(&file).expect("a good file"), Instant::now())
    }

    pub(crate) fn port(&self) -> PathBuf {
        self.0.join("port")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the fake pins were set to, in order.
static LEVELS: Mutex<Vec<(u8, bool)>> = Mutex::new(Vec::new());

struct FakePin(u8);

impl PowerPin for FakePin {
    fn set(&mut self, high: bool) -> Result<(), PowerError> {
        LEVELS.lock().expect("levels").push((self.0, high));
        Ok(())
    }

    fn stays_at_exit(&self) -> bool {
        true
    }
}

fn fake_pin(gpio: u8, high: bool) -> Result<Box<dyn PowerPin>, PowerError> {
    let mut pin = FakePin(gpio);
    pin.set(high)?;
    Ok(Box::new(pin))
}

pub(crate) fn levels(gpio: u8) -> Vec<bool> {
    LEVELS.lock().expect("levels").iter().filter(|(g, _)| *g == gpio).map(|(_, high)| *high).collect()
}

pub(crate) async fn until(condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "it did not happen in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
