//! A file of adopted meters that a person has edited or broken, or that cannot be written.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::{ALL, BUS, Home, all_read, all_shown, asked, file_with, meters_file};
use crate::agent::{Agent, SOON};
use crate::broker::{publish, retained};

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
