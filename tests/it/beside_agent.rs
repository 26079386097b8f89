//! `read` and `scan` beside the running agent, which has the gateway: the agent reads and scans for them.

use std::process::{Command, Output};

use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Subscriber};
use crate::bus_commands::text;
use crate::gateway::Gateway;

/// A command with the agent's own configuration.
fn mbushat(agent: &Agent, arguments: &[&str]) -> Output {
    let config = agent.folder().join("mbushat.toml");
    let program = Command::new(env!("CARGO_BIN_EXE_mbushat")).arg("--config").arg(config).args(arguments).output();
    program.expect("the program starts")
}

#[test]
fn a_meter_is_read_by_the_agent_and_shown_as_if_the_bus_were_free() {
    let (Some(broker), gateway) = (Broker::start(), Gateway::start()) else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [7], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/reading").expect("it runs");
    for name in ["w_m7", "7"] {
        let output = mbushat(&agent, &["read", name, "--format", "reading"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let holder = format!("in use by mbushat (pid {}): the agent is asked to read {name}", agent.pid());
        assert!(said.contains(&holder) && said.contains("mbushat/bridge/request/read"), "{said}");
        let reading: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(reading["device"]["id"], "00001007", "{name}");
        let litres = gateway.meters().served[&7];
        assert_eq!(reading["measurements"][0]["value"].to_string(), format!("0.{litres:03}"), "{name}: a new reading");
    }
    gateway.meters().silent.insert(9);
    let output = mbushat(&agent, &["read", "9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("9: no answer, says the agent"), "{}", text(&output.stderr));
    let output = mbushat(&agent, &["read", "7", "--port", &format!("tcp://127.0.0.1:{}", gateway.port)]);
    assert!(text(&output.stderr).contains("\n  -> leave out --port: the configuration"), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("mosquitto_pub"), "a line that cannot work: {}", text(&output.stderr));
    let own = mbushat(&agent, &["read", "7", "--timeout", "2s", "--retries", "1"]);
    assert!(text(&own.stderr).contains("leave out --retries and --timeout"), "{}", text(&own.stderr));
    let silent = (0..=250).filter(|address| *address != 7).collect();
    gateway.meters().silent = silent;
    let only = mbushat(&agent, &["read", "254", "--format", "hex"]);
    assert!(!text(&only.stderr).contains("expected 0 to 250"), "{}", text(&only.stderr));
}

#[test]
fn a_bus_is_scanned_by_the_agent() {
    let (Some(broker), gateway) = (Broker::start(), Gateway::start()) else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    gateway.meters().silent = (0..=250).filter(|address| *address != 7).collect();
    let config = gateway.config("w", [7], "1h").replace("[[meter]]", "response_timeout = \"10ms\"\n[[meter]]");
    let agent = Agent::start(broker.port, &config);
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/reading").expect("it runs");
    let output = mbushat(&agent, &["scan", "--format", "json"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("the agent is asked to scan"), "{said}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let meter = &found["meters"][0];
    assert_eq!(
        (&meter["address"], &meter["id"], &meter["configured"]),
        (&"7".into(), &"00001007".into(), &"w_m7".into())
    );
    assert_eq!(found["meters"].as_array().map(Vec::len), Some(1));
    let output = mbushat(&agent, &["scan", "--adopt"]);
    assert_eq!(text(&output.stdout), "", "nothing was looked at");
    assert!(text(&output.stderr).contains("`discover = true`"), "{}", text(&output.stderr));
    for own in [["scan", "--to", "20"], ["scan", "--timeout", "1s"]] {
        let output = mbushat(&agent, &own);
        assert!(text(&output.stderr).contains("leave out what says otherwise"), "{}", text(&output.stderr));
    }
}
