//! `mbushat demo` as a stranger starts it. Its broker speaks only MQTT 3.1.1, so this is also the
//! test of the fall-back.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::broker::{Folder, Subscriber, signal};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn the_demo_prints_readings_that_a_subscriber_gets_and_ends_without_a_trace() {
    let temporary = Folder::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .arg("demo")
        .env("RUST_LOG", "info,rumqttd=off")
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mbushat starts");
    let (sender, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let next = |wanted: &str| {
        let end = Instant::now() + SOON;
        loop {
            let line = lines.recv_timeout(end.saturating_duration_since(Instant::now())).expect(wanted);
            if line.contains(wanted) {
                return line;
            }
        }
    };

    let paste = next("mosquitto_sub");
    let port = paste.split("-p ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|p| p.parse().ok());
    let port: u16 = port.expect("a port in the line to paste");
    let reading = next("heat_meter");
    assert!(reading.contains(" kWh"), "{reading}");
    if let Some(subscriber) = Subscriber::new(port, "mbushat/+/reading") {
        assert!(subscriber.wait_for(SOON, |m| m.topic == "mbushat/electricity/reading").is_some());
    }

    let start = Instant::now();
    signal(&child, Signal::INT);
    let status = child.wait().expect("it ends");
    assert!(status.success() && start.elapsed() < Duration::from_secs(4), "{status} {:?}", start.elapsed());
    let mut log = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("a pipe"), &mut log).expect("text");
    assert!(log.contains("MQTT 3.1.1"), "{log}");
    let left: Vec<_> = std::fs::read_dir(temporary.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}
