//! The agent as a process: `mbushat run` between meters and a real mosquitto.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use mbushat::mbus::decimal::Decimal;
use rustix::process::Signal;

use crate::broker::{Broker, Folder, Received, Subscriber, publish, retained, signal};
use crate::gateway::Gateway;

pub(crate) const SOON: Duration = Duration::from_secs(20);
/// An agent that has heard no other one for so long is alone under its base topic.
const ALONE_AFTER: Duration = Duration::from_secs(70);

/// `mbushat run` with a configuration of its own.
pub(crate) struct Agent {
    child: Child,
    folder: Folder,
}

impl Agent {
    /// `rest` are the buses and meters, and more tables.
    pub(crate) fn start(broker_port: u16, rest: &str) -> Self {
        Self::start_with(broker_port, rest, &[])
    }

    /// The same, started by another program.
    pub(crate) fn start_with(broker_port: u16, rest: &str, starter: &[&str]) -> Self {
        let folder = Folder::new();
        configure(&folder, broker_port, rest);
        let child = spawn(&folder, starter);
        Self { child, folder }
    }

    /// Writes another configuration over the one it has.
    pub(crate) fn configure(&self, broker_port: u16, rest: &str) {
        configure(&self.folder, broker_port, rest);
    }

    /// SIGHUP.
    pub(crate) fn hangup(&self) {
        self.signal(Signal::HUP);
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Any signal.
    pub(crate) fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    /// Where its configuration, store and log are.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// Starts it again, with the same configuration and store.
    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same, started by another program.
    pub(crate) fn restart_with(&mut self, starter: &[&str]) {
        self.kill();
        self.child = spawn(&self.folder, starter);
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `mbushat check` says of its configuration.
    fn checked(&self) -> serde_json::Value {
        let mut check = Command::new(env!("CARGO_BIN_EXE_mbushat"));
        let output = check.args(["check", "--format", "json"]).arg(self.folder.path().join("mbushat.toml")).output();
        serde_json::from_slice(&output.expect("mbushat starts").stdout).expect("JSON")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Sends the signal and waits for the end; the time it took.
    pub(crate) fn end(&mut self, which: Signal) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal(which);
        (self.child.wait().expect("it ends"), start.elapsed())
    }
}

fn spawn(folder: &Folder, starter: &[&str]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log")).expect("a log");
    let program = env!("CARGO_BIN_EXE_mbushat");
    let (first, more) = starter.split_first().map_or((program, &[][..]), |(first, more)| (*first, more));
    Command::new(first)
        .args(more)
        .args(Some(program).filter(|_| !starter.is_empty()))
        .args(["run", "--config"])
        .arg(folder.path().join("mbushat.toml"))
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("mbushat starts")
}

/// `rest` may start with more lines of `[mqtt]`.
fn configure(folder: &Folder, broker_port: u16, rest: &str) {
    let store = folder.path().join("store");
    let (mqtt, rest) = rest.split_at(rest.find('[').unwrap_or_default());
    let head = format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{broker_port}\"\nkeep_alive = \"5s\"\n{mqtt}");
    let store = if rest.contains("[store]") {
        rest.replace("[store]\n", &format!("[store]\ndirectory = {store:?}\n"))
    } else {
        format!("[store]\ndirectory = {store:?}\n{rest}")
    };
    folder.write("mbushat.toml", &(head + &store));
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Litres of a `reading` message of the gateway's meters, and its number.
pub(crate) fn litres(message: &Received) -> Option<(String, u64, u64)> {
    let meter = message.topic.strip_suffix("/reading")?.rsplit('/').next()?.to_owned();
    let reading: serde_json::Value = serde_json::from_str(&message.payload).ok()?;
    let seq = reading.get("seq")?.as_u64()?;
    let cubic_metres: Decimal = reading.pointer("/measurements/0/value")?.to_string().parse().ok()?;
    Some((meter, seq, cubic_metres.shift(3)?.to_string().parse().ok()?))
}

pub(crate) fn payload_of(messages: &[Received], topic: &str) -> Option<String> {
    messages.iter().find(|m| m.topic == topic).map(|m| m.payload.clone())
}

#[test]
fn a_meter_is_published_with_state_reading_availability_and_announcement() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    gateway.meters().silent.insert(9);
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let mut agent = Agent::start(broker.port, &gateway.config("w", [7, 9], "2s"));
    let reading = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/reading").expect("a reading");
    assert!(!reading.retained);
    let (_, seq, litres) = litres(&reading).expect("our meter");
    assert_eq!((seq, litres), (1, 1));
    assert!(reading.payload.contains(r#""value":0.001,"unit":"m³""#), "{}", reading.payload);
    subscriber.wait_for(SOON, |m| m.payload.contains(r#""event":"meter_silent""#)).expect("the silent one is told");

    let kept = retained(broker.port, "#");
    assert_eq!(payload_of(&kept, "mbushat/bridge/state").as_deref(), Some("online"));
    assert_eq!(payload_of(&kept, "mbushat/w_m7/availability").as_deref(), Some("online"));
    assert_eq!(payload_of(&kept, "mbushat/w_m9/availability").as_deref(), Some("offline"));
    assert!(payload_of(&kept, "mbushat/w_m7/state").is_some_and(|p| p.contains(r#"{"volume":0."#)));
    assert!(payload_of(&kept, "homeassistant/device/mbushat/mbushat_00001007_SAM_01_07/config").is_some(), "{kept:?}");
    assert!(payload_of(&kept, "homeassistant/device/mbushat/mbushat_bridge/config").is_some());
    assert!(!kept.iter().any(|m| m.topic.ends_with("/reading") || m.topic.ends_with("/event")));

    gateway.meters().silent.clear();
    subscriber.wait_for(SOON, |m| m.payload.contains(r#""event":"meter_back""#)).expect("it is back");
    let (status, took) = agent.end(Signal::TERM);
    assert!(status.success() && took < Duration::from_secs(3), "{status} {took:?}\n{}", agent.log());
}

#[test]
fn bridge_info_says_who_it_is_when_it_was_published_and_when_each_meter_was_read() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    gateway.meters().silent.insert(9);
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let mut agent = Agent::start(broker.port, &gateway.config("w", [7, 9], "15m"));
    let info = |payload: &str| serde_json::from_str::<serde_json::Value>(payload).expect("JSON");
    let hex = |info: &serde_json::Value, field: &str| {
        let text = info[field].as_str().unwrap_or_default().to_owned();
        assert!(text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit()), "{field}: {info}");
        text
    };
    let first = subscriber.wait_for(SOON, |m| m.topic.ends_with("/info")).expect("at once");
    let first = info(&first.payload);
    let reading = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/reading").expect("a reading");
    assert!(agent.end(Signal::TERM).0.success());
    agent.restart();
    let again = subscriber.wait_for(SOON, |m| m.topic.ends_with("/info")).expect("at once");
    let again = info(&again.payload);
    assert_eq!(again["meters"]["w_m7"]["last_read"], info(&reading.payload)["read_at"], "{again}");
    assert_eq!(again["meters"]["w_m7"]["online"], true);
    assert_eq!(again["meters"]["w_m9"], serde_json::json!({ "last_read": null, "online": false }));
    for field in ["instance", "config"] {
        assert_eq!(hex(&again, field), hex(&first, field), "it stays over a restart");
    }
    assert_eq!(agent.checked()["config"], again["config"], "`check` says the same of the file");
    let at = |info: &serde_json::Value| info["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    assert!(at(&first) < at(&again) && at(&first).is_some(), "{first}");
    assert_eq!(again["other_agent"], serde_json::Value::Null);
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
fn a_restarted_broker_has_everything_again_within_ten_seconds() {
    let Some(mut broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let agent = Agent::start(broker.port, &gateway.config("w", [1, 2, 3], "1h"));
    let wanted = |port: u16| {
        let kept = retained(port, "#");
        let online = payload_of(&kept, "mbushat/bridge/state").as_deref() == Some("online");
        let all = (1..=3).all(|n| {
            payload_of(&kept, &format!("mbushat/w_m{n}/availability")).as_deref() == Some("online")
                && payload_of(&kept, &format!("mbushat/w_m{n}/state")).is_some()
                && payload_of(&kept, &format!("homeassistant/device/mbushat/mbushat_0000100{n}_SAM_01_07/config"))
                    .is_some()
        });
        online && all && payload_of(&kept, "homeassistant/device/mbushat/mbushat_bridge/config").is_some()
    };
    assert!(until_right(&broker, &wanted), "{}", agent.log());
    for _ in 0..2 {
        broker.kill();
        broker.run();
        let start = Instant::now();
        assert!(until_right(&broker, &wanted), "{}", agent.log());
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
    assert_eq!(agent.log().matches("closed the connection without a word").count(), 2, "each outage is said once");
}

fn until_right(broker: &Broker, wanted: &impl Fn(u16) -> bool) -> bool {
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if wanted(broker.port) {
            return true;
        }
    }
    false
}

#[test]
fn no_reading_is_lost_while_the_broker_is_away_and_their_numbers_have_no_gap() {
    let Some(mut broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let agent = Agent::start(broker.port, &gateway.config("w", [1, 2], "1s"));
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let mut numbers = std::collections::BTreeSet::new();
    let mut collect = |subscriber: &Subscriber, count: usize| {
        for _ in 0..count {
            let message = subscriber.wait_for(SOON, |_| true).expect("a reading");
            numbers.insert(litres(&message).expect("our meters").1);
        }
        numbers.extend(
            subscriber.until_quiet(Duration::from_millis(300)).iter().filter_map(litres).map(|(_, seq, _)| seq),
        );
    };
    // The agent stands still while the broker comes or goes, so that this subscriber misses nothing.
    subscriber.wait_for(SOON, |_| true).expect("it runs");
    agent.signal(Signal::STOP);
    collect(&subscriber, 0);
    broker.kill();
    agent.signal(Signal::CONT);
    std::thread::sleep(Duration::from_secs(4));
    agent.signal(Signal::STOP);
    broker.run();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    agent.signal(Signal::CONT);
    collect(&subscriber, 10);
    let (first, last) = (*numbers.first().expect("readings"), *numbers.last().expect("readings"));
    let missing: Vec<u64> = (first..=last).filter(|seq| !numbers.contains(seq)).collect();
    assert!(missing.is_empty(), "{missing:?} of {first}..={last}\n{}", agent.log());
    assert!(last - first >= 9);
}

#[test]
fn commands_are_obeyed_and_retained_ones_are_not() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    publish(broker.port, "mbushat/w_m1/read", "x", true);
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("the first reading");
    let more = subscriber.until_quiet(Duration::from_secs(2));
    assert!(!more.iter().any(|m| m.topic.ends_with("/reading")), "a retained command was obeyed");

    publish(broker.port, "mbushat/w_m1/read", "", false);
    let reading = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("read on demand");
    assert!(reading.payload.contains(r#""due_at":null"#), "{}", reading.payload);

    publish(broker.port, "mbushat/bridge/request/read", r#"{"meter":"w_m1","transaction":7}"#, false);
    let answer = subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/response/read").expect("a response");
    assert!(answer.payload.contains(r#""status":"ok""#) && answer.payload.contains(r#""transaction":7"#));
    publish(broker.port, "mbushat/bridge/request/read", r#"{"meter":"nobody"}"#, false);
    let answer = subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/response/read").expect("a response");
    assert!(answer.payload.contains("no such meter"), "{}", answer.payload);
}

#[test]
fn a_birth_of_home_assistant_is_answered_with_announcements_and_then_states() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/state").expect("the first state");
    subscriber.until_quiet(Duration::from_secs(1));
    publish(broker.port, "homeassistant/status", "online", false);
    publish(broker.port, "homeassistant/status", "online", false);
    let messages: Vec<_> = subscriber.until_quiet(Duration::from_secs(6)).into_iter().map(|m| m.topic).collect();
    let place = |topic: &str| messages.iter().position(|t| t == topic);
    let announced = place("homeassistant/device/mbushat/mbushat_00001001_SAM_01_07/config");
    let state = place("mbushat/w_m1/state");
    assert!(announced.is_some() && announced < state, "{messages:?}\n{}", agent.log());
    let announcements = messages.iter().filter(|t| t.starts_with("homeassistant/device/mbushat/mbushat_0000")).count();
    assert_eq!(announcements, 1, "debounced: {messages:?}");
}

#[test]
fn a_total_that_seems_to_fall_is_read_again_before_anybody_hears_of_it() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    gateway.meters().served.insert(1, 100);
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "2s"));
    subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("the first reading");
    // one bad reading is a fault …
    gateway.meters().instead.insert(1, vec![3]);
    let event = subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/event").expect("an event");
    assert!(event.payload.contains("counter_fault") && event.payload.contains(r#""read":0.003"#), "{}", event.payload);
    // … two are a meter that was set back
    gateway.meters().instead.insert(1, vec![40, 50]);
    let event = subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/event").expect("an event");
    assert!(event.payload.contains("counter_fell"), "{}", event.payload);
    let reading = subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("published then");
    assert_eq!(litres(&reading).map(|(_, _, litres)| litres), Some(50));
}

#[test]
fn a_total_that_fell_to_nothing_is_read_again_a_minute_later() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    gateway.meters().served.insert(1, 100);
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("the first reading");
    gateway.meters().instead.insert(1, vec![0, 0, 1]);
    publish(broker.port, "mbushat/w_m1/read", "", false);
    let reading = subscriber.wait_for(SOON, |m| m.topic.ends_with("/reading")).expect("a reading");
    assert!(reading.payload.contains(r#""value":null,"held":0,"#), "{}", reading.payload);
    let held = Instant::now();
    let event = subscriber.wait_for(3 * SOON + SOON, |m| m.topic == "mbushat/bridge/event").expect("an event");
    assert!(
        event.payload.contains(r#""counter_fell""#) && event.payload.contains(r#""to":0.001"#),
        "{}",
        event.payload
    );
    assert!(held.elapsed() >= Duration::from_secs(59), "{:?}", held.elapsed());
}

#[test]
fn the_agent_starts_without_a_broker_and_waits() {
    let Some(mut broker) = Broker::prepare("allow_anonymous true\n") else { return };
    let gateway = Gateway::start();
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1s"));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(agent.log().matches("cannot be reached").count(), 1, "said once: {}", agent.log());
    broker.run();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let reading = subscriber.wait_for(SOON, |_| true).expect("readings");
    assert!(litres(&reading).is_some());
}

#[test]
fn a_restart_without_a_broker_keeps_every_reading_and_a_second_agent_is_refused() {
    let Some(mut broker) = Broker::prepare("allow_anonymous true\n") else { return };
    let gateway = Gateway::start();
    let rest = gateway.config("w", [1, 2], "1s");
    let mut agent = Agent::start(broker.port, &rest);
    std::thread::sleep(Duration::from_secs(4));
    let second = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .args(["run", "--config"])
        .arg(agent.folder.path().join("mbushat.toml"))
        .output()
        .expect("mbushat runs");
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another mbushat"));
    agent.end(Signal::TERM);
    broker.run();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    agent.restart();
    let mut got = std::collections::BTreeMap::new();
    let end = Instant::now() + Duration::from_secs(8);
    while let Some(message) = subscriber.next(end.saturating_duration_since(Instant::now())) {
        let (meter, seq, litres) = litres(&message).expect("our meters");
        assert_eq!(got.insert(seq, (meter, litres)), None, "sent twice");
    }
    let numbers: Vec<u64> = got.keys().copied().collect();
    assert_eq!(numbers, (1..=u64::try_from(numbers.len()).expect("few")).collect::<Vec<_>>(), "{}", agent.log());
    for meter in ["w_m1", "w_m2"] {
        let litres: Vec<u64> = got.values().filter(|(m, _)| m == meter).map(|(_, litres)| *litres).collect();
        assert_eq!(litres, (1..=u64::try_from(litres.len()).expect("few")).collect::<Vec<_>>(), "every reading served");
    }
    assert!(!agent.log().contains("no clean one"), "{}", agent.log());
}

fn connections(broker: &Broker) -> usize {
    broker.log().matches("New client connected from 127.0.0.1").count() - broker.log().matches(" as auto-").count()
}

#[test]
fn a_reload_exchanges_meters_without_losing_a_reading_or_the_connection() {
    let Some(broker) = Broker::start() else { return };
    let (one, two) = (Gateway::start(), Gateway::start());
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let stays = one.config("a", [1], "1s");
    let first = stays.clone() + &two.config("b", [2, 3], "1s");
    let agent = Agent::start(broker.port, &first);
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/b_m3/reading").expect("the first configuration");
    let before = connections(&broker);

    agent.configure(broker.port, &first.replace("address = 3", "adress = 3"));
    agent.hangup();
    std::thread::sleep(Duration::from_millis(500));
    assert!(agent.log().contains("nothing is changed") && agent.log().contains("adress"), "{}", agent.log());
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/b_m3/reading").expect("the first configuration goes on");

    agent.configure(broker.port, &(stays + &two.config("b", [3, 4], "1s")));
    agent.hangup();
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/b_m4/reading").expect("the new meter");
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/b_m3/reading").expect("the one that stays");
    let kept = retained(broker.port, "#");
    assert_eq!(payload_of(&kept, "mbushat/b_m2/state"), None, "removed");
    assert!(!kept.iter().any(|m| m.topic.contains("00001002")), "its announcement too");
    assert_eq!(connections(&broker), before, "no reconnect: {}", broker.log());
    // the bus that did not change gave every reading
    let numbers: Vec<u64> = subscriber
        .until_quiet(Duration::from_millis(100))
        .iter()
        .filter(|m| m.topic == "mbushat/a_m1/reading")
        .filter_map(|m| litres(m).map(|(_, _, litres)| litres))
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
fn another_base_topic_reconnects_and_takes_the_old_topics_back() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1s"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("the old topic");
    let file = agent.folder.path().join("mbushat.toml");
    let text = std::fs::read_to_string(&file).expect("its configuration");
    std::fs::write(&file, text.replace("keep_alive", "base_topic = \"house/7\"\nkeep_alive")).expect("writable");
    publish(broker.port, "mbushat/bridge/request/reload", "", false);
    subscriber.wait_for(SOON, |m| m.topic == "house/7/w_m1/reading").expect("the new topic");
    // else it waits for a Home Assistant that may have lost the broker too
    publish(broker.port, "homeassistant/status", "online", false);
    let new = "homeassistant/device/house_7/house_7_bridge/config";
    subscriber.wait_for(SOON, |m| m.topic == new).expect("the new announcement");
    std::thread::sleep(Duration::from_secs(1));
    let kept: Vec<String> = retained(broker.port, "#").into_iter().map(|m| m.topic).collect();
    assert!(kept.iter().all(|t| t.starts_with("house/7/") || t.contains("/house_7_")), "{kept:?}");
    for topic in ["house/7/bridge/state", "house/7/w_m1/state", new] {
        assert!(kept.iter().any(|t| t == topic), "{topic} of {kept:?}");
    }
}

#[test]
fn announcements_that_are_not_right_are_taken_back_once_it_is_alone_though_the_store_knows_nothing() {
    let Some(broker) = Broker::start() else { return };
    let document = |id: &str, meter: &str, more: &str| {
        format!(
            r#"{{"dev":{{"ids":["{id}"],"via_device":"mbushat_bridge"}},"o":{{"name":"mbushat"}},"stat_t":"mbushat/{meter}/state","cmps":{{{more}"volume":{{"p":"sensor","uniq_id":"{id}_volume"}}}}}}"#
        )
    };
    let topic = |id: &str| format!("homeassistant/device/mbushat/{id}/config");
    let (gone, former, same, foreign) =
        ("mbushat_1_SAM_01_07", "mbushat_2_SAM_01_07", "mbushat_00001007_SAM_01_07", "other_3");
    publish(broker.port, &topic(gone), &document(gone, "removed", ""), true);
    publish(broker.port, "mbushat/removed/state", "{}", true);
    publish(broker.port, "mbushat/removed/availability", "online", true);
    publish(broker.port, &topic(former), &document(former, "w_m7", ""), true);
    let component = |key: &str| format!(r#""{key}":{{"p":"sensor","uniq_id":"{same}_{key}"}},"#);
    let vanished = component("power") + &component("old-one");
    publish(broker.port, &topic(same), &document(same, "w_m7", &vanished), true);
    let others = document(foreign, "w_m7", "").replace(r#""mbushat_bridge""#, r#""mbushat_house7_bridge""#);
    publish(broker.port, &topic(foreign), &others, true);

    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/w_m7/reading") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [7, 9], "2s"));
    subscriber.wait_for(SOON, |_| true).expect("a reading");
    // else the agent waits for one that might be on its way back
    publish(broker.port, "homeassistant/status", "online", false);
    let start = Instant::now();
    let until = |within: Duration, right: &dyn Fn(&[Received]) -> bool| {
        while !right(&retained(broker.port, "#")) {
            assert!(start.elapsed() < within, "{:#?}", retained(broker.port, "#"));
        }
    };
    until(SOON, &|kept| {
        let ours = payload_of(kept, &topic(same)).unwrap_or_default();
        // one telegram without it is not proof that it is gone
        ours.contains(r#""power":{"p":"sensor","uniq_id""#)
            && ours.contains("read-now")
            && ours.contains(r#""old-one":{"p":"sensor"}"#)
    });
    until(ALONE_AFTER + SOON, &|kept| {
        payload_of(kept, &topic(gone)).is_none()
            && payload_of(kept, &topic(former)).is_none()
            && !kept.iter().any(|m| m.topic.starts_with("mbushat/removed/"))
            && payload_of(kept, &topic(foreign)).is_some()
    });
    assert!(start.elapsed() > ALONE_AFTER - Duration::from_secs(5), "another agent might not have been heard");
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

#[test]
fn each_value_has_a_topic_of_its_own_where_that_is_asked_for() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [7], "1s"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/reading").expect("a reading");
    assert!(!retained(broker.port, "mbushat/#").iter().any(|m| m.topic.contains("/value/")), "not by itself");
    let file = agent.folder.path().join("mbushat.toml");
    let text = std::fs::read_to_string(&file).expect("its configuration");
    std::fs::write(&file, text.replace("keep_alive", "value_topics = true\nkeep_alive")).expect("writable");
    agent.hangup();
    let value = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/value/volume").expect("the value");
    let number: Decimal = value.payload.parse().expect("a plain number");
    assert!(number >= Decimal::new(1, -3), "{number}");
    assert!(payload_of(&retained(broker.port, "#"), "mbushat/w_m7/value/volume").is_some(), "retained");
    std::fs::write(&file, text).expect("writable");
    agent.hangup();
    let gone = subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/value/volume" && m.payload.is_empty());
    assert!(gone.is_some(), "taken back where it is no longer asked for");
}

#[test]
fn after_a_connect_it_is_offline_until_everything_is_there_and_its_own_word_does_not_change_that() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    let mut seen = Vec::new();
    let online = subscriber.wait_for(SOON, |m| {
        seen.push((m.topic.clone(), m.payload.clone()));
        m.topic == "mbushat/bridge/state" && m.payload == "online"
    });
    online.expect("it comes online");
    let states = seen.iter().filter(|(topic, _)| topic == "mbushat/bridge/state").map(|(_, payload)| payload.as_str());
    assert_eq!(states.collect::<Vec<_>>(), ["offline", "online"]);
    assert!(seen.iter().any(|(topic, _)| topic == "mbushat/w_m1/availability"), "{seen:?}");
    let later = subscriber.until_quiet(Duration::from_secs(6));
    assert!(!later.iter().any(|m| m.topic == "mbushat/bridge/state"), "and stays so: {later:?}");
}
