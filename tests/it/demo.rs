//! `mbushat demo` as a stranger starts it, and its broker as mosquitto's programs find it.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::broker::{Folder, Subscriber, publish, signal};
use crate::tools::tool;

const SOON: Duration = Duration::from_secs(30);

/// A demonstration that runs.
struct Demo {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// Where it puts its own folder.
    temporary: Folder,
    /// Its broker's.
    port: u16,
    /// The first line that it printed: where the page is.
    #[cfg_attr(not(feature = "http"), allow(dead_code))]
    first: String,
}

impl Demo {
    fn start() -> Self {
        let temporary = Folder::new();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mbushat"))
            .arg("demo")
            .env("RUST_LOG", "info")
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mbushat starts");
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let first = lines.recv_timeout(SOON).expect("a line");
        let mut demo = Self { child, lines, temporary, port: 0, first };
        let paste = demo.next("mosquitto_sub");
        let port = paste.split("-p ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|p| p.parse().ok());
        demo.port = port.expect("a port in the line to paste");
        demo
    }

    /// The next line that has `wanted` in it.
    fn next(&self, wanted: &str) -> String {
        let end = Instant::now() + SOON;
        loop {
            let line = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())).expect(wanted);
            if line.contains(wanted) {
                return line;
            }
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn the_demo_prints_readings_that_a_subscriber_gets_and_ends_without_a_trace() {
    let mut demo = Demo::start();
    let reading = demo.next("heat_meter");
    assert!(reading.contains(" kWh"), "{reading}");
    if let Some(subscriber) = Subscriber::new(demo.port, "mbushat/+/reading") {
        assert!(subscriber.wait_for(SOON, |m| m.topic == "mbushat/electricity/reading").is_some());
    }

    let start = Instant::now();
    signal(&demo.child, Signal::INT);
    let status = demo.child.wait().expect("it ends");
    assert!(status.success() && start.elapsed() < Duration::from_secs(4), "{status} {:?}", start.elapsed());
    let mut log = String::new();
    demo.child.stderr.take().expect("a pipe").read_to_string(&mut log).expect("text");
    assert!(log.contains("MQTT 5") && !log.contains("WARN"), "{log}");
    let left: Vec<_> = std::fs::read_dir(demo.temporary.path()).expect("the folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(feature = "http")]
#[test]
fn its_first_line_says_where_its_page_is() {
    let demo = Demo::start();
    let port = demo.first.strip_prefix("Open http://127.0.0.1:").and_then(|rest| rest.split('/').next());
    let port = port.and_then(|port| port.parse().ok()).expect("an address");
    demo.next("heat_meter");
    assert!(crate::page::ask(port, "GET /", &[]).body.contains("Heat meter"), "{}", demo.first);
}

#[test]
fn its_meters_clocks_run_with_the_wall_clock() {
    let demo = Demo::start();
    demo.next("cold_water");
    let Some(subscriber) = Subscriber::new(demo.port, "mbushat/cold_water/state") else { return };
    let state = subscriber.wait_for(SOON, |m| m.topic.ends_with("/state")).expect("a state").payload;
    let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
    let shown: jiff::civil::DateTime = state["date_time"].as_str().expect("a time").parse().expect("a time");
    let behind = jiff::Zoned::now().datetime().duration_since(shown);
    assert!((0..150).contains(&behind.as_secs()), "the last whole minute: {state}");
}

#[test]
fn its_agent_starts_again_where_a_restart_is_asked_for() {
    let demo = Demo::start();
    let Some(subscriber) = Subscriber::new(demo.port, "mbushat/bridge/state") else { return };
    demo.next("cold_water");
    publish(demo.port, "mbushat/bridge/request/restart", "{}", false);
    for state in ["offline", "online"] {
        subscriber.wait_for(SOON, |message| message.payload == state).expect(state);
    }
    demo.next("cold_water");
}

#[test]
fn another_broker_on_the_usual_port_does_not_stop_it() {
    // where this fails, another has it already
    let _taken = TcpListener::bind("127.0.0.1:1883");
    let demo = Demo::start();
    assert_ne!(demo.port, 1883);
    demo.next("electricity");
}

#[test]
fn programs_of_both_mqtt_versions_talk_through_its_broker() {
    let (Some(publisher), Some(subscriber)) = (tool("mosquitto_pub"), tool("mosquitto_sub")) else { return };
    let demo = Demo::start();
    let port = demo.port.to_string();
    let mosquitto = |program, version: &str, more: &str| {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &port, "-V", version]).args(more.split(' '));
        command
    };
    let run = |mut command: Command| {
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    for (version, other) in [("mqttv311", "mqttv5"), ("mqttv5", "mqttv311")] {
        let heard = Subscriber::with(demo.port, "test/#", &["-V", version]).expect("it is installed");
        for qos in [0, 1, 2] {
            run(mosquitto(&publisher, other, &format!("-t test/{qos} -q {qos} -m from-{other}")));
            let message = heard.wait_for(SOON, |m| m.topic.starts_with("test/")).expect("a message");
            assert_eq!((message.topic, message.payload), (format!("test/{qos}"), format!("from-{other}")));
        }
        run(mosquitto(&publisher, version, "-t alive -r -m yes"));
        let mut dying = mosquitto(&subscriber, other, "-t alive --will-topic test/will --will-payload gone");
        let mut dying = dying.stdout(Stdio::piped()).spawn().expect("it runs");
        let mut said = String::new();
        BufReader::new(dying.stdout.take().expect("a pipe")).read_line(&mut said).expect("text");
        assert_eq!(said, "yes\n", "it is connected");
        dying.kill().expect("a process of ours");
        dying.wait().expect("it ends");
        assert_eq!(heard.wait_for(SOON, |m| m.topic == "test/will").expect("the will").payload, "gone");
    }
    run(mosquitto(&publisher, "mqttv5", "-t kept -r -q 1 -m on -D publish user-property unit kWh"));
    assert_eq!(run(mosquitto(&subscriber, "mqttv5", "-t kept -C 1 -W 10 -F %r|%P|%p")), "1|unit:kWh|on\n");
    assert_eq!(run(mosquitto(&subscriber, "mqttv311", "-t kept -C 1 -W 10 -F %r|%p")), "1|on\n");
    let refused = mosquitto(&subscriber, "mqttv31", "-t kept -C 1 -W 10").output().expect("it runs");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("protocol version"), "{refused:?}");
    demo.next("electricity");
}
