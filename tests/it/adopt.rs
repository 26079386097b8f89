//! Meters that nobody wrote down: found, adopted, changed and forgotten, with a mosquitto and as files.

#[cfg(feature = "http")]
mod page;
mod refused;

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

#[test]
fn a_file_edited_by_hand_is_taken_over_and_a_broken_one_left_as_it_is() {
    let Some(Home { broker, subscriber, agent }) = Home::new("") else { return };
    let file = fs::read_to_string(meters_file(&agent)).expect("a file");
    let by_hand = format!("# mine\n{}", file.replace("name = \"sim_67200512\"", "name = \"cellar\" # heat"));
    fs::write(meters_file(&agent), &by_hand).expect("a file");
    assert_eq!(asked(&broker, &subscriber, "reload", &json!({}))["status"], "ok");
    all_shown(&broker, &["cellar"]);

    let broken = by_hand.replace("title", "titel");
    fs::write(meters_file(&agent), &broken).expect("a file");
    for (verb, request) in [("reload", json!({})), ("adopt", json!({"meter": "cellar", "title": "x"}))] {
        let refused = asked(&broker, &subscriber, verb, &request);
        assert!(refused["error"].to_string().contains("did you mean `title`?"), "{verb}: {refused}");
    }
    assert_eq!(fs::read_to_string(meters_file(&agent)).expect("a file"), broken);

    fs::write(meters_file(&agent), &by_hand).expect("a file");
    assert_eq!(asked(&broker, &subscriber, "adopt", &json!({"meter": "cellar", "title": "Heat"}))["status"], "ok");
    let file = file_with(&agent, "title = \"Heat\"");
    assert!(file.starts_with("# mine\n") && file.contains("name = \"cellar\" # heat"), "{file}");
}

#[test]
fn a_meter_of_the_users_file_goes_before_an_adopted_one_and_is_one_device() {
    let Some(Home { broker, subscriber, agent }) = Home::new("") else { return };
    let document =
        |m: &crate::broker::Received| m.topic.starts_with("homeassistant/") && m.payload.contains("67200512");
    subscriber.until_quiet(Duration::from_secs(2));
    let mine = "[[meter]]\nname = \"mine\"\nsecondary = \"67200512\"\n";
    agent.configure(broker.port, &format!("{BUS}{mine}"));
    assert_eq!(asked(&broker, &subscriber, "reload", &json!({}))["status"], "ok");
    all_shown(&broker, &["mine"]);
    subscriber.until_quiet(Duration::from_secs(2));
    let retained = retained(broker.port, "#");
    let documents: Vec<_> = retained.iter().filter(|m| document(m)).collect();
    let topics: Vec<_> = retained.iter().map(|m| &m.topic).collect();
    assert_eq!(documents.len(), 1, "{topics:?}\n{}", agent.log());
    assert!(documents[0].payload.contains("mbushat/mine/state"), "{documents:?}");
    assert!(!retained.iter().any(|m| m.topic.starts_with("mbushat/sim_67200512/")), "{retained:?}");
    let refused = asked(&broker, &subscriber, "forget", &json!({"meter": "mine"}));
    assert!(refused["error"].to_string().contains("stands in your own configuration"), "{refused}");
}

#[test]
fn a_meter_of_the_users_file_under_its_other_address_is_the_same_one() {
    let Some(Home { broker, subscriber, mut agent }) = Home::new("") else { return };
    file_beside_with(&agent, "67200512");
    let mine = "[[meter]]\nname = \"mine\"\naddress = 5\n";
    agent.configure(broker.port, &format!("{BUS}discover = true\n{mine}"));
    agent.restart();
    all_read(&subscriber, &["mine"]);
    assert!(agent.log().contains("sim_67200512 is not read: your own file has it, as \"mine\""), "{}", agent.log());
    assert!(!agent.log().contains("sim_67200512_2"), "{}", agent.log());

    // another spelling of the port, and a search that is forgotten, do not make it two
    let again = |agent: &mut Agent, bus: &str| {
        agent.configure(broker.port, &format!("{bus}{mine}"));
        agent.restart();
        all_read(&subscriber, &[ALL[1]]);
        assert!(agent.log().contains("sim_67200512 is not read: your own file has it"), "{}", agent.log());
    };
    again(&mut agent, &BUS.replace("sim:bus.toml", "sim:./bus.toml"));
    fs::remove_file(agent.folder().join("store/meters.toml.search")).expect("a file");
    again(&mut agent, BUS);
    let (plan, warnings) = checked(&agent.folder().join("mbushat.toml"));
    assert!(plan.contains("mine") && !plan.contains("sim_67200512"), "{plan}");
    assert!(warnings.contains("sim_67200512 is not read: your own file has it, as \"mine\""), "{warnings}");
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
fn a_reload_with_a_broken_file_keeps_its_meters_and_takes_the_rest() {
    let Some(Home { broker, subscriber, agent }) = Home::new("") else { return };
    let file = fs::read_to_string(meters_file(&agent)).expect("a file");
    fs::write(meters_file(&agent), file.clone() + "[").expect("a file");
    let users = format!("{BUS}discover = true\n[[meter]]\nname = \"mine\"\naddress = 5\ninterval = \"30s\"\n");
    agent.configure(broker.port, &users);
    let reloaded = asked(&broker, &subscriber, "reload", &json!({}));
    let error = reloaded["error"].as_str().unwrap_or_default();
    assert!(error.starts_with("the file of adopted meters is broken, and they stay as they were"), "{reloaded}");
    all_shown(&broker, &["mine"]);
    let trouble =
        |m: &crate::broker::Received| m.topic == "mbushat/bridge/info" && m.payload.contains("not valid TOML");
    assert!(subscriber.wait_for(SOON, trouble).is_some(), "{}", agent.log());
    publish(broker.port, &format!("mbushat/{}/read", ALL[1]), "", false);
    all_read(&subscriber, &[ALL[1]]);
    fs::write(meters_file(&agent), file).expect("a file");
    assert_eq!(asked(&broker, &subscriber, "reload", &json!({}))["status"], "ok");
}

#[test]
fn an_adopted_meter_whose_name_the_user_gave_to_another_is_read_and_can_be_renamed_and_forgotten() {
    let Some(Home { broker, subscriber, mut agent }) = Home::new("") else { return };
    let file = fs::read_to_string(meters_file(&agent)).expect("a file");
    file_beside_with(&agent, "67200512");
    let users =
        |name: &str, address: u8| format!("{BUS}discover = true\n[[meter]]\nname = \"{name}\"\naddress = {address}\n");
    agent.configure(broker.port, &users(ALL[2], 99));
    agent.restart();
    all_read(&subscriber, &["sim_50003117_2"]);
    assert_eq!(fs::read_to_string(meters_file(&agent)).expect("a file"), file);
    let read = asked(&broker, &subscriber, "adopt", &json!({"address": "50003117", "name": "strom"}));
    assert!(read["error"].to_string().contains("is read already, as sim_50003117_2"), "{read}");
    let renamed = asked(&broker, &subscriber, "adopt", &json!({"meter": "sim_50003117_2", "name": "strom"}));
    assert_eq!(renamed["data"], json!({"meter": "strom", "kept": true}), "{renamed}");
    all_shown(&broker, &["strom"]);
    assert_eq!(file_with(&agent, "strom"), file.replace(ALL[2], "strom"));

    agent.configure(broker.port, &users("strom", 99));
    assert_eq!(asked(&broker, &subscriber, "reload", &json!({}))["status"], "ok");
    all_shown(&broker, &["strom_2"]);
    assert_eq!(asked(&broker, &subscriber, "forget", &json!({"meter": "strom_2"}))["status"], "ok");
    assert!(!file_with(&agent, "[[ignore]]").contains("strom"));

    // one that stands in the file and is not read is shown
    agent.configure(broker.port, &users("heat", 5));
    assert_eq!(asked(&broker, &subscriber, "reload", &json!({}))["status"], "ok");
    let why = "\"left_out\":{\"sim_67200512\":\"your own file has it, as \\\"heat\\\"\"}";
    let shown = |m: &crate::broker::Received| m.topic == "mbushat/bridge/info" && m.payload.contains(why);
    assert!(subscriber.wait_for(SOON, shown).is_some(), "{}", agent.log());
}

/// Waits until the progress of the search is written with this in it.
fn file_beside_with(agent: &Agent, text: &str) {
    let (file, end) = (agent.folder().join("store/meters.toml.search"), Instant::now() + SOON);
    while !fs::read_to_string(&file).unwrap_or_default().contains(text) {
        assert!(Instant::now() < end, "{}", agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn finds_that_cannot_be_written_are_read_and_said_not_to_be_kept() {
    let Some(Home { broker, subscriber, mut agent }) = Home::new("[agent]\nmeters_file = \"/proc/meters.toml\"\n")
    else {
        return;
    };
    let not_kept = |m: &crate::broker::Received| m.payload.contains("\"not_kept\":\"cannot write /proc/meters.toml");
    assert!(subscriber.wait_for(SOON, |m| m.topic == "mbushat/bridge/info" && not_kept(m)).is_some());
    let renamed = asked(&broker, &subscriber, "adopt", &json!({"meter": ALL[0], "name": "heat"}));
    assert_eq!(renamed["data"], json!({"meter": "heat", "kept": false}), "{renamed}");
    all_shown(&broker, &["heat"]);
    assert_eq!(agent.log().matches("is not kept, only read").count(), 1, "{}", agent.log());
    agent.kill();
}

#[test]
fn a_broken_file_takes_no_device_from_home_assistant() {
    let Some(Home { broker, subscriber, mut agent }) = Home::new("") else { return };
    // three meters and the agent
    let four_devices = |agent: &Agent| {
        let end = Instant::now() + SOON;
        loop {
            let topics: Vec<_> = retained(broker.port, "homeassistant/#").into_iter().map(|m| m.topic).collect();
            if topics.len() == 4 {
                return;
            }
            assert!(Instant::now() < end, "{topics:?}\n{}", agent.log());
        }
    };
    four_devices(&agent);
    let file = fs::read_to_string(meters_file(&agent)).expect("a file");
    fs::write(meters_file(&agent), file.clone() + "[").expect("a file");
    agent.end(Signal::TERM); // the store knows every device now
    agent.restart();
    subscriber
        .wait_for(SOON, |m| m.topic == "mbushat/bridge/info" && m.payload.contains("not valid TOML"))
        .expect("said");
    std::thread::sleep(Duration::from_secs(2));
    four_devices(&agent);
    assert_eq!(fs::read_to_string(meters_file(&agent)).expect("a file"), file.clone() + "[");
    fs::write(meters_file(&agent), file).expect("a file");
    assert_eq!(asked(&broker, &subscriber, "reload", &json!({}))["status"], "ok");
    std::thread::sleep(Duration::from_secs(2));
    four_devices(&agent);
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
