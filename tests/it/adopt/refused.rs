//! What is adopted while the agent refuses to take the configuration over.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::{ALL, BUS, Home, asked, file_with};
use crate::agent::SOON;
use crate::broker::Received;

#[cfg(feature = "http")]
#[test]
fn a_page_that_could_not_be_opened_at_the_start_keeps_no_meter_from_being_read() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("its address");
    // the home is one where all three were adopted and read
    let Some(Home { agent, .. }) = Home::new(&format!("[http]\nlisten = \"{listen}\"\n")) else { return };
    assert!(agent.log().contains("there is no page: [http] cannot listen on"), "{}", agent.log());
    assert!(!agent.log().contains("not reloaded"), "{}", agent.log());
}

#[test]
fn what_is_in_the_file_and_refused_is_said_and_taken_over_later() {
    let Some(Home { broker, subscriber, agent }) = Home::new("") else { return };
    let not_in_use = "what is in the file of adopted meters is not in use yet: [store] differs";
    let trouble = |m: &Received| m.topic == "mbushat/bridge/info" && m.payload.contains(not_in_use);
    agent.configure(broker.port, &format!("{BUS}[store]\nmax_size = \"30MiB\"\n"));
    let renamed = asked(&broker, &subscriber, "adopt", &json!({"meter": ALL[0], "name": "heat"}));
    let error = renamed["error"].as_str().unwrap_or_default();
    assert!(error.starts_with("it is in the file of adopted meters, and will be in use once"), "{renamed}");
    assert!(error.ends_with("[store] differs, which needs a restart"), "{renamed}");
    file_with(&agent, "name = \"heat\"");
    assert!(subscriber.wait_for(SOON, trouble).is_some(), "{}", agent.log());

    let forgotten = asked(&broker, &subscriber, "forget", &json!({"meter": "heat"}));
    assert!(forgotten["error"].to_string().contains("it is in the file of adopted meters"), "{forgotten}");
    file_with(&agent, "[[ignore]]");
    let again = asked(&broker, &subscriber, "forget", &json!({"meter": "heat"}));
    let error = again["error"].as_str().unwrap_or_default();
    assert!(error.contains("no such meter: heat; but it is not in use yet: [store] differs"), "{again}");

    // nobody asks for a reload
    agent.configure(broker.port, BUS);
    let gone = |m: &Received| m.topic == "mbushat/bridge/info" && m.payload.contains("\"trouble\":null");
    subscriber.until_quiet(Duration::from_millis(500));
    assert!(subscriber.wait_for(SOON * 7, gone).is_some(), "{}", agent.log());
    assert!(agent.log().contains("what is in the file of adopted meters is in use now"), "{}", agent.log());
    assert!(!fs::read_to_string(agent.folder().join("store/meters.toml")).expect("a file").contains("heat"));
}
