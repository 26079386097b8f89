//! The bus task after the worst that can happen to a line: it is unplugged, restarted, dead behind a
//! gateway that acknowledges everything, full of noise, silent; and a program that stands still.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mbushat::mbus::master::readout::ReadoutError;
use rustix::process::Signal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Subscriber};
use crate::bus::{Folder, Running, levels};
use crate::bus_commands::{Folder as Place, Simulated};
use crate::wire::{FAULTY, Wire};

/// After the return of a port or a gateway.
const BACK_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_unplugged_adapter_is_missed_and_read_again_when_it_is_back() {
    let place = Folder::new("unplug");
    let wire = Wire::on_pty(&place.port(), &[5]);
    let mut bus = Running::start(&place, "", &[("a", 5, "1s")]);
    assert!(bus.readout_of("a").await.frames.is_ok());
    drop(wire);
    bus.until_down().await;
    assert!(!bus.health.borrow().up);
    let _wire = Wire::on_pty(&place.port(), &[5]);
    let back = Instant::now();
    bus.until_answered().await;
    assert!(back.elapsed() < BACK_WITHIN, "{:?}", back.elapsed());
    assert_eq!(bus.health.borrow().line_losses, 1);
    bus.stop().await;
}

#[tokio::test]
async fn a_gateway_that_restarts_is_read_again() {
    let place = Folder::new("gateway");
    let (wire, address) = Wire::on_tcp(SocketAddr::from(([127, 0, 0, 1], 0)), &[5]);
    let port = format!("port = \"tcp://{address}\"");
    let mut bus = Running::start(&place, &port, &[("a", 5, "1s")]);
    assert!(bus.readout_of("a").await.frames.is_ok());
    drop(wire);
    bus.until_down().await;
    let (_wire, _) = Wire::on_tcp(address, &[5]);
    let back = Instant::now();
    bus.until_answered().await;
    assert!(back.elapsed() < BACK_WITHIN, "{:?}", back.elapsed());
    bus.stop().await;
}

#[tokio::test]
async fn a_gateway_that_hangs_up_at_once_is_asked_again_after_growing_pauses() {
    let place = Folder::new("hangs-up");
    let (_wire, meters) = Wire::on_tcp(SocketAddr::from(([127, 0, 0, 1], 0)), &[5]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = format!("port = \"tcp://{}\"", listener.local_addr().expect("its address"));
    let mut bus = Running::start(&place, &port, &[("a", 5, "1h")]);
    let mut connections = 0;
    let busy = async {
        loop {
            drop(listener.accept().await);
            connections += 1;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(6), busy).await.is_err());
    assert!((3..=6).contains(&connections), "{connections}");
    assert!(!bus.health.borrow().up);
    let (mut stream, _) = listener.accept().await.expect("it tries again");
    let mut to_meters = TcpStream::connect(meters).await.expect("the meters");
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut to_meters).await });
    assert!(bus.readout_of("a").await.frames.is_ok(), "its first slot is still due");
    assert!(bus.health.borrow().up);
    bus.stop().await;
}

#[tokio::test]
async fn a_gateway_that_hangs_and_acknowledges_everything_is_connected_to_again() {
    let place = Folder::new("half-open");
    let (_wire, meters) = Wire::on_tcp(SocketAddr::from(([127, 0, 0, 1], 0)), &[5]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = format!("response_timeout = \"50ms\"\nport = \"tcp://{}\"", listener.local_addr().expect("its address"));
    let (hang, mut hung) = watch::channel(false);
    let gateway = tokio::spawn(async move {
        let mut dead = Vec::new();
        loop {
            let (mut near, _) = listener.accept().await.expect("a connection");
            let mut far = TcpStream::connect(meters).await.expect("the meters");
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = hung.wait_for(|hung| *hung), if dead.is_empty() => dead.push(near),
            }
        }
    });
    let mut bus = Running::start(&place, &port, &[("a", 5, "1s")]);
    assert!(bus.readout_of("a").await.frames.is_ok());
    hang.send(true).expect("a gateway");
    let error = bus.until_down().await;
    assert!(error.contains("no meter answers through the gateway"), "{error}");
    let connected = Instant::now();
    bus.until_answered().await;
    assert!(connected.elapsed() < BACK_WITHIN, "{:?}", connected.elapsed());
    bus.stop().await;
    gateway.abort();
}

#[tokio::test]
async fn an_adapter_that_sends_noise_without_end_is_waited_out() {
    let (place, on_tcp) = (Folder::new("noise-without-end"), Folder::new("flood"));
    let (gateway, address) = Wire::on_tcp(SocketAddr::from(([127, 0, 0, 1], 0)), &[5]);
    let port = format!("baud = 38400\nport = \"tcp://{address}\"");
    let wire = Wire::on_pty(&place.port(), &[5]);
    for (place, extra, wire) in [(&place, "baud = 38400", wire), (&on_tcp, port.as_str(), gateway)] {
        let mut bus = Running::start(place, extra, &[("a", 5, "1s")]);
        assert!(bus.readout_of("a").await.frames.is_ok());
        wire.babble(true);
        while bus.readout_of("a").await.frames.is_ok() {}
        assert!(bus.health.borrow().up, "noise closes no port");
        wire.babble(false);
        let quiet = Instant::now();
        bus.until_answered().await;
        assert!(quiet.elapsed() < BACK_WITHIN, "{:?}", quiet.elapsed());
        wire.babble(true);
        while bus.readout_of("a").await.frames.is_ok() {}
        bus.stop().await;
    }
}

#[tokio::test]
async fn a_bus_whose_meters_answer_with_errors_keeps_its_power() {
    let place = Folder::new("power-kept").with_hat("0x0005");
    let _wire = Wire::on_pty(&place.port(), &[FAULTY]);
    let power = "hat = true\npower_gpio = 14\npower_settle = \"10ms\"\nresponse_timeout = \"1s\"\nbaud = 38400";
    let mut bus = Running::start(&place, power, &[("faulty", FAULTY, "1h")]);
    for _ in 0..12 {
        let readout = bus.readout_of("faulty").await;
        assert!(matches!(readout.frames, Err(ReadoutError::Application(_))), "{readout:?}");
        _ = bus.read("faulty").await;
    }
    assert_eq!(levels(14), [true], "ten failures in a row of a meter that is silent would have switched it");
    bus.stop().await;
}

#[test]
fn an_agent_that_was_stopped_for_a_while_reads_on_and_makes_no_slot_up() {
    let Some(broker) = Broker::start() else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/water/reading") else { return };
    let place = Place::new("stopped");
    place.write("bus.toml", "baud = 9600\n[[meter]]\nmodel = \"cold_water\"\naddress = 5\nid = \"21880341\"\n");
    let simulated = Simulated::start(&[&place.path("bus.toml")]);
    let bus = format!("[[bus]]\nname = \"cellar\"\nport = \"{}\"\nbaud = 9600\nhat = false\n", simulated.port);
    let meter = "[[meter]]\nname = \"water\"\naddress = 5\ninterval = \"1s\"\n";
    let agent = Agent::start(broker.port, &format!("{bus}{meter}"));
    for _ in 0..2 {
        subscriber.wait_for(SOON, |_| true).expect("a reading");
    }
    agent.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(4));
    subscriber.until_quiet(Duration::from_millis(100));
    let stopped_until = jiff::Timestamp::now();
    agent.signal(Signal::CONT);
    let mut slots = Vec::new();
    while slots.len() < 4 {
        let reading = subscriber.wait_for(SOON, |_| true).expect("a reading").payload;
        let reading: serde_json::Value = serde_json::from_str(&reading).expect("JSON");
        let time = |key: &str| reading[key].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
        assert!(time("read_at") >= stopped_until, "{reading}");
        slots.push(time("due_at"));
    }
    let past = slots.iter().filter(|due| **due < stopped_until).count();
    assert!(past <= 2, "the one that was due, and the latest: {slots:?}, stopped until {stopped_until}");
    assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "{slots:?}");
    simulated.end();
}
