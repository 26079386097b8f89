//! The agent from its start to its end, where something around it is not as it should be.
//!
//! Not here: what it publishes when all is well (`messages`), the losses of long outages (`chaos`).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::agent::{Agent, SOON, litres};
use crate::broker::{Broker, Folder, Subscriber};
use crate::gateway::Gateway;

#[test]
fn a_frozen_broker_and_a_readout_on_the_wire_together_leave_the_stop_in_time_and_every_reading() {
    let Some(mut broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let slow = gateway.config("w", [1, 2], "1s").replace("port =", "response_timeout = \"30s\"\nport =");
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let mut agent = Agent::start(broker.port, &slow);
    subscriber.wait_for(SOON, |m| m.topic.ends_with("w_m2/reading")).expect("a reading");
    broker.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(1500));
    gateway.meters().silent.extend([1, 2]);
    std::thread::sleep(Duration::from_millis(1500));
    let (status, took) = agent.end(Signal::TERM);
    assert!(status.success() && took < Duration::from_secs(3), "{status} {took:?}\n{}", agent.log());

    broker.kill();
    broker.run();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let served = gateway.meters().served.clone();
    agent.restart();
    let mut missing: Vec<(String, u64)> = served.iter().map(|(meter, count)| (format!("w_m{meter}"), *count)).collect();
    subscriber.wait_for(SOON, |message| {
        let (meter, _, last) = litres(message).expect("our meters");
        missing.retain(|known| *known != (meter.clone(), last));
        missing.is_empty()
    });
    assert!(missing.is_empty(), "the last readings {missing:?} were not kept\n{}", agent.log());
}

#[test]
fn a_reading_that_comes_with_the_stop_is_sent_though_it_must_be_on_the_disk_first() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let config = format!("[store]\ndurability = \"always\"\n{}", gateway.config("w", [1], "1s"));
    let mut agent = Agent::start(broker.port, &config);
    for after_ms in [0, 2, 5, 10] {
        subscriber.wait_for(SOON, |_| true).expect("it runs");
        let served = || gateway.meters().served.get(&1).copied().unwrap_or_default();
        let before = served();
        while served() == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(after_ms)); // its telegram is on the way
        let (status, _) = agent.end(Signal::TERM);
        assert!(status.success(), "{}", agent.log());
        let last = served();
        let sent = subscriber
            .wait_for(Duration::from_secs(1), |message| litres(message).is_some_and(|(_, _, litres)| litres == last));
        assert!(sent.is_some(), "{last} litres\n{}", agent.log());
        let numbers = std::fs::read_to_string(agent.folder().join("store/numbers")).expect("the store");
        let number = |name: &str| {
            let mut words = numbers.split_whitespace().skip_while(|word| *word != name).skip(1);
            words.next().and_then(|word| word.parse::<u64>().ok()).expect("a number")
        };
        assert_eq!(number("next"), number("cursor") + 1, "its acknowledgement was waited for");
        agent.restart();
    }
}

#[test]
fn a_log_that_is_not_read_stops_neither_the_readings_nor_the_end() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let mut agent = Agent::start(broker.port, &gateway.config("w", [1], "1s"));
    let pipe = agent.folder().join("pipe");
    // a pipe holds 64 KiB
    let fill = "head -c 65000 /dev/zero >&3";
    let into_the_pipe =
        format!("mkfifo {0:?} && exec 3<>{0:?} && {fill} && exec env RUST_LOG=trace \"$@\" 2>{0:?}", pipe.display());
    agent.restart_with(&["sh", "-c", &into_the_pipe, "sh"]);
    let before = gateway.meters().served.get(&1).copied().unwrap_or_default();
    let came = subscriber.wait_for(SOON, |message| litres(message).is_some_and(|(_, _, litres)| litres > before + 6));
    assert!(came.is_some(), "{:?} readings", gateway.meters().served);
    let (status, took) = agent.end(Signal::TERM);
    assert!(status.success() && took < Duration::from_secs(3), "{status} {took:?}");
}

#[test]
fn with_too_few_file_descriptors_it_says_so_and_does_not_panic() {
    let folder = Folder::new();
    let file = folder.write("mbushat.toml", &format!("[store]\ndirectory = {:?}\n", folder.path().join("store")));
    for most in 5..9 {
        let limited = format!("ulimit -n {most}; exec \"$0\" run --config {}", file.display());
        let output = Command::new("sh").args(["-c", &limited, env!("CARGO_BIN_EXE_mbushat")]).output();
        let output = output.expect("sh is there");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("Too many open files"), "{most}: {output:?}");
    }
}

#[test]
fn with_a_prompt_broker_readings_do_not_touch_the_disk() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "3s"));
    subscriber.wait_for(SOON, |_| true).expect("a reading");
    let store = agent.folder().join("store");
    // what is known of the meter is written ten seconds after it was learnt
    for _ in 0..200 {
        if store.join("memos").exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(1));
    let changed = || store.metadata().and_then(|data| data.modified()).expect("a store");
    let (before, served) = (changed(), gateway.meters().served.get(&1).copied());
    let later = served.map(|count| count + 2);
    let came = subscriber.wait_for(SOON, |message| litres(message).map(|(_, _, litres)| litres) == later);
    assert!(came.is_some(), "{}", agent.log());
    assert_eq!(changed(), before, "a file came or went with a reading that was acknowledged at once");
}

#[test]
fn a_reload_that_would_change_the_store_changes_nothing_and_names_the_way() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1s"));
    subscriber.wait_for(SOON, |_| true).expect("a reading");
    let other = format!("[store]\ndurability = \"always\"\n{}", gateway.config("w", [1, 2], "1s"));
    agent.configure(broker.port, &other);
    agent.hangup();
    let new = subscriber.wait_for(Duration::from_secs(3), |m| m.topic.contains("w_m2"));
    assert_eq!(new, None, "the new meter is read");
    subscriber.wait_for(SOON, |_| true).expect("the old one still is");
    assert_eq!(agent.log().matches("needs a restart").count(), 1, "{}", agent.log());
}

/// What the first reading of an agent says of its clock, if `timedatectl` is this script.
fn clock_synced(script: Option<&str>) -> Option<String> {
    let broker = Broker::start()?;
    let gateway = Gateway::start();
    let folder = Folder::new();
    if let Some(script) = script {
        let program = folder.write("timedatectl", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let subscriber = Subscriber::new(broker.port, "mbushat/+/reading")?;
    let path = format!("PATH={}", folder.path().display());
    let mut agent = Agent::start_with(broker.port, &gateway.config("w", [1], "1h"), &["/usr/bin/env", &path]);
    let reading = subscriber.wait_for(SOON, |_| true).expect("a reading");
    let (status, took) = agent.end(Signal::TERM);
    assert!(status.success() && took < Duration::from_secs(3), "{script:?}: {status} {took:?}");
    let reading: serde_json::Value = serde_json::from_str(&reading.payload).expect("JSON");
    Some(reading.get("clock_synced").expect("said").to_string())
}

#[test]
fn the_first_reading_says_whether_the_clock_is_right_or_that_nobody_knows() {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        assert!(clock_synced(Some("echo no")).is_none_or(|said| said == "true"), "the file wins");
        return;
    }
    let scripts = [
        (Some("echo yes"), "true"),
        (Some("echo no"), "false"),
        (Some("exit 1"), "null"),
        (Some("exec /bin/sleep 100"), "null"),
        (None, "null"),
    ];
    for (script, says) in scripts {
        let Some(said) = clock_synced(script) else { return };
        assert_eq!(said, says, "{script:?}");
    }
}

#[test]
fn a_broker_that_stays_away_is_one_line_in_the_log() {
    let Some(mut broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1s"));
    subscriber.wait_for(SOON, |_| true).expect("a reading");
    // the log is written by a thread of its own
    let end = Instant::now() + SOON;
    while !agent.log().contains("w_m1 is read") && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let lines = |agent: &Agent| agent.log().lines().count();
    let before = lines(&agent);
    broker.kill();
    std::thread::sleep(Duration::from_secs(5));
    // closed first, then nobody there
    assert!(lines(&agent) - before <= 2, "{}", agent.log());
    broker.run();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("a reading");
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/state" && m.payload == "online").expect("it is back");
}

#[test]
fn a_stop_leaves_offline_said_once() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    for which in [Signal::TERM, Signal::INT] {
        let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
        let mut agent = Agent::start(broker.port, &gateway.config("w", [7], "1s"));
        subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("a reading");
        let (status, took) = agent.end(which);
        assert!(status.success() && took < Duration::from_secs(3), "{status} {took:?}");
        let last = subscriber.until_quiet(Duration::from_secs(1));
        let offline = last.iter().filter(|m| m.topic == "mbushat/bridge/state" && m.payload == "offline").count();
        assert_eq!(offline, 1, "{last:?}");
    }
}

#[test]
fn a_frozen_broker_does_not_keep_the_agent_from_ending_in_time() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let mut agent = Agent::start(broker.port, &gateway.config("w", [1], "1s"));
    subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("a reading");
    broker.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(1));
    let (status, took) = agent.end(Signal::TERM);
    broker.signal(Signal::CONT);
    assert!(status.success() && took < Duration::from_secs(3), "{status} {took:?}\n{}", agent.log());
}

#[test]
fn the_service_manager_hears_of_the_start_of_progress_and_of_the_stop() {
    let folder = Folder::new();
    let socket = folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
    manager.set_read_timeout(Some(SOON)).expect("a timeout");
    let gateway = Gateway::start();
    let mut agent = Agent::start(1, &gateway.config("w", [1], "1s"));
    let starter = format!("NOTIFY_SOCKET={}", socket.display());
    agent.restart_with(&["env", &starter, "WATCHDOG_USEC=1000000"]);
    let mut heard = Vec::new();
    let next = || {
        let mut buffer = [0; 500];
        let count = manager.recv(&mut buffer).expect("a message within 20 s");
        String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).trim().to_owned()
    };
    while heard.len() < 4 {
        heard.push(next());
    }
    assert_eq!(heard, ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    agent.end(Signal::TERM);
    assert!(std::iter::repeat_with(next).take(5).any(|message| message == "STOPPING=1"));
}

#[test]
fn the_service_manager_hears_nothing_while_a_bus_blocks() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("hat")).expect("a folder");
    // A device tree whose reading never ends.
    assert!(Command::new("mkfifo").arg(folder.path().join("hat/product")).status().expect("mkfifo").success());
    let socket = folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(3))).expect("a timeout");
    let starter = [("NOTIFY_SOCKET", &socket), ("MBUSHAT_DEVICE_TREE", &folder.path().to_path_buf())];
    let starter = starter.map(|(name, path)| format!("{name}={}", path.display()));
    let hat = "[[bus]]\nname = \"hat\"\nport = \"/dev/null\"\nhat = true\n";
    let _agent = Agent::start_with(1, hat, &["env", &starter[0], &starter[1], "WATCHDOG_USEC=1000000"]);
    let mut buffer = [0; 500];
    let beats = std::iter::from_fn(|| manager.recv(&mut buffer).ok()).take(20).count();
    assert!(beats < 4, "READY=1, and a WATCHDOG=1 before the bus came to it at most: {beats}");
}
