//! Meters that nobody wrote down: found, adopted, changed and forgotten, with a mosquitto and as files.

mod broken_file;
#[cfg(feature = "http")]
mod page;
mod refused;
mod users_file;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Folder, Subscriber, publish, retained, signal};

/// A simulated bus on which three meters answer at once: the rate is high and the search soon over.
const BUS: &str = "[[bus]]\nname = \"b\"\nport = \"sim:bus.toml\"\nbaud = 9600\nresponse_timeout = \"60ms\"\n";
const METERS: &str = "baud = 9600\n\
[[meter]]\nmodel = \"heat\"\naddress = 5\nid = \"67200512\"\ndelay = \"5ms\"\n\
[[meter]]\nmodel = \"cold_water\"\naddress = 7\nid = \"21880341\"\ndelay = \"5ms\"\n\
[[meter]]\nmodel = \"electricity\"\naddress = 7\nid = \"50003117\"\ndelay = \"5ms\"\n";

/// An agent that has found, adopted and read all three meters.
struct Home {
    broker: Broker,
    subscriber: Subscriber,
    agent: Agent,
}

impl Home {
    /// `None` where there is no mosquitto. `more` are further lines of the configuration.
    fn new(more: &str) -> Option<Self> {
        let broker = Broker::start()?;
        let subscriber = Subscriber::new(broker.port, "#")?;
        let agent = empty(&broker, more);
        all_found_and_read(&subscriber);
        Some(Self { broker, subscriber, agent })
    }
}

/// An agent whose configuration has no meter. `more` are further lines.
fn empty(broker: &Broker, more: &str) -> Agent {
    let mut agent = Agent::start(broker.port, "[[bus]]\nname = \"b\"\nport = \"sim:bus.toml\"\n");
    fs::write(agent.folder().join("bus.toml"), METERS).expect("a file");
    agent.configure(broker.port, &format!("{BUS}{more}"));
    _ = fs::remove_dir_all(agent.folder().join("store"));
    agent.restart();
    agent
}

fn meters_file(agent: &Agent) -> PathBuf {
    agent.folder().join("store/meters.toml")
}

/// What is in the file, once it says so.
fn file_with(agent: &Agent, text: &str) -> String {
    let end = Instant::now() + SOON;
    loop {
        let file = fs::read_to_string(meters_file(agent)).unwrap_or_default();
        if file.contains(text) {
            return file;
        }
        assert!(Instant::now() < end, "no {text} in: {file}\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn asked(broker: &Broker, subscriber: &Subscriber, verb: &str, request: &Value) -> Value {
    publish(broker.port, &format!("mbushat/bridge/request/{verb}"), &request.to_string(), false);
    let topic = format!("mbushat/bridge/response/{verb}");
    let answer = subscriber.wait_for(SOON, |m| m.topic == topic);
    let answer = answer.unwrap_or_else(|| panic!("no response to {verb} {request}")).payload;
    serde_json::from_str(&answer).expect("JSON")
}

/// Waits until everyone has heard of all three meters, once, and each has been read.
fn all_found_and_read(subscriber: &Subscriber) {
    let (mut found, mut read) = (Vec::<String>::new(), std::collections::BTreeSet::<&str>::new());
    let done = subscriber.wait_for(SOON, |m| {
        if m.topic == "mbushat/bridge/event" && m.payload.contains("meter_found") {
            found.push(m.payload.clone());
        }
        read.extend(ALL.iter().filter(|meter| m.topic == format!("mbushat/{meter}/reading")));
        read.len() == ALL.len()
    });
    assert!(done.is_some(), "read: {read:?}");
    let times = |id: &str| found.iter().filter(|event| event.contains(id)).count();
    assert_eq!(["67200512", "21880341", "50003117"].map(times), [1, 1, 1], "{found:?}");
}

/// Waits until each of these meters has been read.
fn all_read(subscriber: &Subscriber, meters: &[&str]) {
    let mut left: Vec<String> = meters.iter().map(|meter| format!("mbushat/{meter}/reading")).collect();
    let done = subscriber.wait_for(SOON, |m| {
        left.retain(|topic| *topic != m.topic);
        left.is_empty()
    });
    assert!(done.is_some(), "not read: {left:?}");
}

/// Waits until each of these meters has a state: its reading may have come before the answer to a request.
fn all_shown(broker: &Broker, meters: &[&str]) {
    let end = Instant::now() + SOON;
    let is_shown = |meter: &&str| !retained(broker.port, &format!("mbushat/{meter}/state")).is_empty();
    while !meters.iter().all(is_shown) {
        assert!(Instant::now() < end, "no state of one of {meters:?}");
    }
}

const ALL: [&str; 3] = ["sim_67200512", "sim_21880341", "sim_50003117"];

#[test]
fn an_empty_file_is_enough() {
    let Some(Home { broker: _broker, subscriber, mut agent }) = Home::new("") else { return };
    let file = fs::read_to_string(meters_file(&agent)).expect("a file");
    assert_eq!(file.matches("[[meter]]").count(), 3, "{file}");
    assert!(file.contains("title = \"SIM 67200512\"") && file.contains("secondary = \"67200512"), "{file}");
    // it goes on with what it knows, and finds no one twice
    agent.restart();
    let primary = "looking at 9600 baud at primary addresses\",";
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/info" && m.payload.contains(primary)).expect("a story");
    assert_eq!(fs::read_to_string(meters_file(&agent)).expect("a file"), file, "{}", agent.log());
    assert!(agent.log().contains("looking at 9600 baud for secondary addresses"), "{}", agent.log());
}

#[test]
fn an_adopted_meter_is_renamed_changed_and_forgotten_over_mqtt() {
    let Some(Home { broker, subscriber, agent }) = Home::new("") else { return };
    let wanted = json!({"meter": ALL[0], "name": "heat", "title": "Heat", "interval": "30m", "transaction": 1});
    let done = asked(&broker, &subscriber, "adopt", &wanted);
    assert_eq!((&done["status"], &done["data"]), (&json!("ok"), &json!({"meter": "heat", "kept": true})), "{done}");
    all_shown(&broker, &["heat"]);
    let file = file_with(&agent, "interval = \"30m\"");
    assert!(file.contains("name = \"heat\"") && !file.contains(ALL[0]), "{file}");

    let key = "00112233445566778899AABBCCDDEEFF";
    let keyed = asked(&broker, &subscriber, "adopt", &json!({"meter": "heat", "key": key}));
    assert!(keyed["status"] == "ok" && !keyed.to_string().contains(&key[..16]), "{keyed}");
    file_with(&agent, key);
    assert!(!agent.log().contains(&key[..16]), "{}", agent.log());

    for (request, why) in [
        (json!({"meter": "heat", "key": "secret"}), "expected 32 hex digits"),
        (json!({"meter": "heat", "key": "${MBUSHAT_TEST_KEY}"}), "expected 32 hex digits"),
        (json!({"meter": "heat", "interval": "${HOME}"}), "`interval` is \"${HOME}\", expected"),
        (json!({"meter": "heat", "name": "${HOSTNAME}"}), "`name` is \"${HOSTNAME}\", expected"),
        (json!({"meter": "heat", "interval": "7m"}), "does not divide 24 h"),
        (json!({"meter": "heat", "name": ALL[1]}), "another adopted meter has the name sim_21880341"),
        (json!({"meter": "heat", "title": "a\u{1b}b"}), "up to 100 characters on one line"),
        (json!({"meter": "heat", "title": "a".repeat(101)}), "up to 100 characters on one line"),
        (json!({"meter": "nobody"}), "no such meter: nobody"),
        (json!({"address": 99}), "no search has found a meter at 99"),
        (json!({}), "say which"),
    ] {
        let refused = asked(&broker, &subscriber, "adopt", &request);
        let error = refused["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(why) && !error.contains("secret"), "{request}: {refused}");
        assert!(!error.contains("align"), "adopt takes none: {refused}");
    }

    // a title is what was asked for, and nothing of the environment
    let signs = "${HOME} $${HOME} ${";
    assert_eq!(asked(&broker, &subscriber, "adopt", &json!({"meter": "heat", "title": signs}))["status"], "ok");
    file_with(&agent, "title = \"$${HOME} $$${HOME} $${\"");

    assert_eq!(asked(&broker, &subscriber, "forget", &json!({"meter": "heat"}))["status"], "ok");
    let file = file_with(&agent, "[[ignore]]");
    assert!(!file.contains("heat") && !file.contains(key), "{file}");
    assert_eq!(asked(&broker, &subscriber, "scan", &json!({"secondary": "????????"}))["status"], "ok");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(fs::read_to_string(meters_file(&agent)).expect("a file"), file, "a scan does not take it again");
    let again = asked(&broker, &subscriber, "adopt", &json!({"address": 5}));
    assert_eq!(again["data"], json!({"meter": ALL[0], "kept": true}), "{again}");
    assert!(!file_with(&agent, ALL[0]).contains("[[ignore]]"));
}

/// What `mbushat check` prints of this file on a machine without a Hat, and what it warns of.
fn checked(file: &Path) -> (String, String) {
    let mut check = Command::new(env!("CARGO_BIN_EXE_mbushat"));
    check.env("MBUSHAT_DEVICE_TREE", "/nowhere").arg("check").arg(file);
    let output = check.output().expect("mbushat starts");
    assert!(output.status.success(), "{output:?}");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_says_what_the_agent_does_without_a_hat_and_with_a_broken_file() {
    let folder = Folder::new();
    let store = folder.path().join("store");
    folder.write("bus.toml", METERS);
    let file = folder.write("mbushat.toml", &format!("[store]\ndirectory = {store:?}\n"));
    let (plan, _) = checked(&file);
    assert!(plan.contains("no port is opened") && !plan.contains("ttyAMA0"), "{plan}");
    fs::create_dir(&store).expect("a folder");
    fs::write(store.join("meters.toml"), "[").expect("a file");
    fs::write(&file, format!("{BUS}[store]\ndirectory = {store:?}\n")).expect("a file");
    let (plan, warnings) = checked(&file);
    assert!(plan.contains("is broken") && !plan.contains("looks for meters"), "{plan}");
    assert!(warnings.contains("no adopted meter is read") && warnings.contains("meters.toml:1:"), "{warnings}");
}

#[test]
fn a_scan_on_the_command_line_adopts_what_it_found_also_where_it_is_interrupted() {
    let folder = Folder::new();
    folder.write("bus.toml", METERS);
    let store = folder.path().join("store");
    let file = folder.write("mbushat.toml", &format!("{BUS}[store]\ndirectory = {store:?}\n"));
    let scan = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mbushat"));
        command.args(["scan", "--adopt", "--config"]).arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let said = BufReader::new(child.stderr.take().expect("a pipe"));
        said.lines().map_while(Result::ok).find(|line| line.contains("at primary addresses")).expect("it goes on");
        signal(&child, Signal::INT);
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, adopted) = scan();
    assert!(ALL.iter().all(|name| adopted.contains(name)) && code == Some(1), "{adopted}");
    assert_eq!(fs::read_to_string(store.join("meters.toml")).expect("a file").matches("[[meter]]").count(), 3);
    let search = fs::read_to_string(store.join("meters.toml.search")).expect("the agent goes on there");
    assert!(search.contains("67200512"), "{search}");
    assert_eq!(scan().1, "3 found, none of them new.\n");
}

#[test]
fn without_a_hat_and_a_bus_nothing_is_opened_and_what_to_write_is_said() {
    let Some(broker) = Broker::start() else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let agent = Agent::start(broker.port, "[log]\nlevel = \"info\"\n");
    let info = subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/info").expect("it is connected");
    assert!(info.payload.contains("\"buses\":{}"), "{}", info.payload);
    assert!(agent.log().contains("[[bus]] name = \"usb\""), "{}", agent.log());
    let refused = asked(&broker, &subscriber, "scan", &json!({}));
    assert!(refused["error"].to_string().contains("there is no bus"), "{refused}");
}
