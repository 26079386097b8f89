//! What the wire costs against the clock: cycle time over the physical bound, processor time and
//! memory, with simulated segments on real pseudo-terminals and TCP ports. Simulators and master are in
//! one process and in two threads, so that each thread's processor time is its own.
//!
//! `cargo test --release --test it -- --ignored --nocapture --test-threads=1 wall_clock::` prints all
//! tables in some eight minutes; on a loaded machine they are those of the load.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mbushat::bus::Machine;
use mbushat::bus::serve::{PtyPort, serve_tcp};
use mbushat::bus::session::{Query, Session};
use mbushat::config::{Bus, Port};
use mbushat::mbus::address::MeterAddress;
use mbushat::mbus::link::timing::{Baud, Parity};
use mbushat::mbus::master::readout::{LinkState, Turn};
use mbushat::sim::model::Model;
use mbushat::sim::plan::{MeterPlan, SegmentPlan};
use mbushat::sim::segment::Segment;
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, LocalSet};

use crate::bus_commands::{Folder, Simulated, text};
use crate::link::{Bench, at, heat};

/// What the second cycle of all buses took.
struct Figures {
    cycle: Duration,
    processor: Duration,
    read: usize,
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Meters of every kind, whose telegrams have as many lengths.
fn plan(baud: Baud, meters: u8) -> SegmentPlan {
    let kinds = Model::ALL.iter().cycle();
    let meter = |(address, (_, model)): (u8, &(&str, Model))| {
        MeterPlan::live(*model, at(address), 0x1000_0000 + u32::from(address))
    };
    SegmentPlan { baud, ..SegmentPlan::new((1..=meters).zip(kinds).map(meter).collect()) }
}

/// The TCP ports of that many segments, served forever by a thread of their own.
fn serve(count: usize, baud: Baud, meters: u8) -> Vec<Port> {
    let (ready, ports) = mpsc::channel();
    thread::spawn(move || {
        LocalSet::new().block_on(&runtime(), async move {
            let mut segments = JoinSet::new();
            for _ in 0..count {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
                let port = listener.local_addr().expect("an address").port();
                ready.send(Port::Tcp { host: "127.0.0.1".to_owned(), port }).expect("a listener");
                let mut segment = Segment::new(plan(baud, meters), Instant::now());
                segments.spawn_local(async move { serve_tcp(&listener, &mut segment).await });
            }
            drop(ready);
            segments.join_next().await
        })
    });
    ports.iter().collect()
}

/// A pseudo-terminal with a segment on it, served in the same way.
fn serve_pty(baud: Baud, meters: u8) -> Vec<Port> {
    let (ready, ports) = mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async move {
            let port = PtyPort::open(baud).expect("a pty");
            ready.send(Port::Serial(port.path().to_owned())).expect("a listener");
            drop(ready);
            port.serve(&mut Segment::new(plan(baud, meters), Instant::now())).await
        })
    });
    ports.iter().collect()
}

/// Two cycles of one bus: the first resets its meters, the second is timed.
async fn two_cycles(port: Port, baud: Baud, meters: u8) -> (Duration, usize) {
    let bus = Bus {
        name: "bus".to_owned(),
        port,
        baud,
        parity: Parity::Even,
        stop_bits: 1,
        hat: None,
        gap_timeout: None,
        wake_up: None,
        response_timeout: None,
        retries: 2,
        idle: Duration::ZERO,
        discover: false,
    };
    let mut session = Session::open(&bus, &Machine::here(), true).await.expect("a line");
    let mut links = vec![LinkState::default(); usize::from(meters)];
    let (mut start, mut read) = (Instant::now(), 0);
    for _ in 0..2 {
        (start, read) = (Instant::now(), 0);
        for (address, link) in (1..).zip(&mut links) {
            let query = Query::plain(&bus, Turn::new(MeterAddress::Primary(at(address))));
            let over = session.read(query, *link).await.expect("a line");
            *link = over.link;
            read += usize::from(over.frames.is_ok());
        }
    }
    (start.elapsed(), read)
}

fn measure(ports: Vec<Port>, baud: Baud, meters: u8) -> Figures {
    LocalSet::new().block_on(&runtime(), async move {
        let before = processor_time();
        let mut buses = JoinSet::new();
        ports.into_iter().for_each(|port| {
            buses.spawn_local(two_cycles(port, baud, meters));
        });
        let cycles = buses.join_all().await;
        let cycle = cycles.iter().map(|(cycle, _)| *cycle).max().unwrap_or_default();
        let read = cycles.iter().map(|(_, read)| read).sum();
        Figures { cycle, processor: (processor_time() - before) / 2, read }
    })
}

/// Of this thread.
fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(spent.tv_sec).unwrap_or(0), u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// Resident memory of the whole process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The shortest time of a cycle without resets, from the simulator.
fn bound(baud: Baud, meters: u8) -> Duration {
    let mut bench = Bench::new(plan(baud, meters));
    (1..=meters).for_each(|address| assert!(bench.read(address).frames.is_ok()));
    let before = bench.segment.counts().bound;
    (1..=meters).for_each(|address| assert!(bench.read(address).frames.is_ok()));
    bench.segment.counts().bound - before
}

#[test]
#[ignore = "takes minutes, and its figures are those of the machine's load"]
fn figures_of_cycles() {
    println!(
        "{:>6} {:>6} {:>5} {:>10} {:>10} {:>7} {:>24}",
        "baud", "meters", "line", "cycle", "bound", "ratio", "processor a ten meters"
    );
    for baud in [2400, 9600].map(|rate| Baud::new(rate).expect("a rate")) {
        for meters in [1, 10, 20, 60, 250] {
            let bound = bound(baud, meters);
            let on_pty = thread::spawn(move || measure(serve_pty(baud, meters), baud, meters));
            let on_tcp = measure(serve(1, baud, meters), baud, meters);
            for (line, figures) in [("pty", on_pty.join().expect("no panic")), ("tcp", on_tcp)] {
                let Figures { cycle, processor, read } = figures;
                assert_eq!(read, usize::from(meters), "on {line}");
                let ratio = cycle.as_secs_f64() / bound.as_secs_f64();
                let ten = processor * 10 / u32::from(meters);
                println!("{baud:>6} {meters:>6} {line:>5} {cycle:>10.3?} {bound:>10.3?} {ratio:>7.3} {ten:>24.3?}");
            }
        }
    }
}

/// The middle one of nine times that the program takes to do this.
fn time_of(place: &Folder, args: &[&str]) -> Duration {
    let once = |_| {
        let start = Instant::now();
        let output = place.mbushat(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..9).map(once).collect();
    times.sort();
    times.get(4).copied().unwrap_or_default()
}

#[test]
#[ignore = "takes half a minute, and its figures are those of the machine's load"]
fn figures_of_a_single_read() {
    println!("{:>6} {:>5} {:>10} {:>10} {:>10} {:>7}", "baud", "line", "read", "start", "bound", "ratio");
    let place = Folder::new("single-read");
    for rate in [2400, 9600] {
        let baud = Baud::new(rate).expect("a rate");
        // A program that has just started does not know the frame count bit: reset and request.
        let mut bench = Bench::new(SegmentPlan { baud, ..SegmentPlan::new(vec![heat(1)]) });
        assert!(bench.read(1).frames.is_ok());
        let bound = bench.segment.counts().bound;
        place.write("bus.toml", &format!("baud = {rate}\n[[meter]]\nmodel = \"heat\"\naddress = 1\n"));
        let start = time_of(&place, &["--version"]);
        for (line, more) in [("pty", &[][..]), ("tcp", &["--tcp", "127.0.0.1:0"])] {
            let file = place.path("bus.toml");
            let simulated = Simulated::start(&[&[file.as_str()], more].concat());
            let (port, rate) = (simulated.port.as_str(), rate.to_string());
            let read = time_of(&place, &["read", "1", "--port", port, "--baud", &rate, "--format", "hex"]);
            let ratio = read.saturating_sub(start).as_secs_f64() / bound.as_secs_f64();
            println!("{baud:>6} {line:>5} {read:>10.3?} {start:>10.3?} {bound:>10.3?} {ratio:>7.3}");
            simulated.end();
        }
    }
}

#[test]
#[ignore = "takes a minute, and its figures are those of the machine's load"]
fn figures_of_many_buses() {
    println!("{:>6} {:>9} {:>10} {:>16} {:>20}", "buses", "read", "cycle", "processor a bus", "memory of all, KiB");
    for count in [10, 100, 1000] {
        let before = resident();
        let Figures { cycle, processor, read } = measure(serve(count, Baud::DEFAULT, 10), Baud::DEFAULT, 10);
        let one = processor / u32::try_from(count).unwrap_or(u32::MAX);
        let memory = resident().saturating_sub(before);
        println!("{count:>6} {read:>9} {cycle:>10.3?} {one:>16.3?} {memory:>20}");
    }
}
