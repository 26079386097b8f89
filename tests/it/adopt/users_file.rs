//! Adopted meters beside those of the user's own file, which go before.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{ALL, BUS, Home, all_read, all_shown, asked, checked, file_with, meters_file};
use crate::agent::{Agent, SOON};
use crate::broker::retained;

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
