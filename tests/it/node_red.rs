//! The functions of the example flow for Node-RED, run by Node.js as Node-RED runs them. What a real
//! Node-RED makes of the whole flow: `tests/acceptance/node_red.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

use mbushat::demo::Demo;
use serde_json::{Value, json};

use crate::broker::Folder;
use crate::tools::tool;

/// Gives each payload of a file to a node's function; what it lets pass, and what it remembers then.
const RUNNER: &str = r#"
const fs = require("fs"), [flow, id, payloads] = process.argv.slice(2).map((name, i) => i === 1 ? name : JSON.parse(fs.readFileSync(name)));
const kept = {}, context = { get: key => kept[key], set: (key, value) => { kept[key] = JSON.parse(JSON.stringify(value)); } };
const run = new Function("msg", "context", flow.find(node => node.id === id).func);
const passed = payloads.map(payload => run({ payload }, context)).filter(msg => msg).map(msg => msg.payload);
console.log(JSON.stringify({ passed, kept }));
"#;

fn flow_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/node-red-flow.json")
}

fn node(id: &str) -> Value {
    let flow: Vec<Value> = serde_json::from_slice(&std::fs::read(flow_file()).expect("the flow")).expect("JSON");
    flow.into_iter().find(|node| node["id"] == id).unwrap_or_else(|| panic!("no node {id}"))
}

/// `None` where Node.js is missing.
fn run(id: &str, payloads: &[Value]) -> Option<(Vec<Value>, Value)> {
    let node = tool("node")?;
    let folder = Folder::new();
    let script = folder.write("run.js", RUNNER);
    let payloads = folder.write("payloads.json", &json!(payloads).to_string());
    let output = Command::new(node).arg(script).arg(flow_file()).arg(id).arg(payloads).output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    Some((result["passed"].as_array().expect("a list").clone(), result["kept"]["seen"].clone()))
}

fn reading(agent: &str, epoch: &str, seq: u64) -> Value {
    json!({ "agent": agent, "epoch": epoch, "seq": seq, "read_at": "2026-11-22T19:15:00Z" })
}

fn passed(seqs: &[u64]) -> Option<Vec<u64>> {
    let payloads: Vec<Value> = seqs.iter().map(|seq| reading("mbushat", "e", *seq)).collect();
    let (passed, _) = run("mbushat_once", &payloads)?;
    Some(passed.iter().map(|reading| reading["seq"].as_u64().expect("a number")).collect())
}

#[test]
fn a_reading_passes_once_and_one_that_comes_late_passes_too() {
    let Some(seqs) = passed(&[1, 2, 5, 6, 3, 3, 4, 4, 2, 6, 9, 8, 7, 9, 1, 10]) else { return };
    assert_eq!(seqs, [1, 2, 5, 6, 3, 4, 9, 8, 7, 10]);
}

#[test]
fn each_agent_and_each_epoch_has_numbers_of_its_own() {
    let readings = [("a", "1", 5), ("b", "1", 5), ("a", "2", 5), ("a", "1", 5), ("a", "2", 4), ("b", "1", 5)];
    let readings = readings.map(|(agent, epoch, seq)| reading(agent, epoch, seq));
    let Some((passed, _)) = run("mbushat_once", &readings) else { return };
    assert_eq!(passed, [&readings[..3], &readings[4..5]].concat());
}

#[test]
fn whatever_the_order_each_passes_once_and_little_is_remembered() {
    // a generator of 2,003 places visits each once
    let order: Vec<u64> = (0..2003).map(|n| n * 1234 % 2003 + 1).collect();
    let twice: Vec<Value> = order.iter().flat_map(|seq| [seq, seq]).map(|seq| reading("a", "1", *seq)).collect();
    let Some((passed, kept)) = run("mbushat_once", &[&twice[..], &twice[..]].concat()) else { return };
    let seqs: Vec<u64> = passed.iter().map(|reading| reading["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seqs, order);
    assert_eq!(kept, json!({ "a 1": [[1, 2003]] }));
}

#[test]
fn what_it_remembers_is_bounded_and_the_newest_is_kept() {
    let every_other: Vec<Value> = (1..12_000).step_by(2).map(|seq| reading("a", "1", seq)).collect();
    let last = every_other.last().expect("some").clone();
    let Some((passed, kept)) = run("mbushat_once", &[&every_other[..], &[last]].concat()) else { return };
    assert_eq!((passed.len(), kept["a 1"].as_array().expect("ranges").len()), (6000, 5000));
    let epochs: Vec<Value> = (0..1500).map(|n| reading("a", &n.to_string(), 1)).collect();
    let Some((passed, kept)) = run("mbushat_once", &epochs) else { return };
    assert_eq!((passed.len(), kept.as_object().expect("keys").len()), (1500, 1000));
    assert!(kept.get("a 1499").is_some());
}

#[test]
fn what_is_no_numbered_reading_does_not_pass() {
    let Some((passed, _)) = run("mbushat_once", &[json!({ "seq": null }), json!({}), json!("online")]) else { return };
    assert_eq!(passed, Vec::<Value>::new());
}

#[test]
fn the_flow_keeps_its_session_and_fits_the_meters_of_the_demo() {
    let broker = node("mbushat_broker");
    assert_eq!((&broker["cleansession"], &broker["autoConnect"]), (&json!(false), &json!(true)));
    assert!(broker["clientid"].as_str().is_some_and(|id| !id.is_empty()), "no session without an id");
    assert_eq!(node("mbushat_readings")["qos"], "1");
    let meters =
        Demo::new().expect("a demo").config().meters.iter().map(|meter| meter.name.clone()).collect::<Vec<_>>();
    let topic = node("mbushat_read")["topic"].as_str().expect("a topic").to_owned();
    let meter = topic.strip_prefix("mbushat/").and_then(|rest| rest.strip_suffix("/read")).expect("a meter's");
    assert!(meters.contains(&meter.to_owned()), "{meter} {meters:?}");
    let measurements = json!([{ "key": "power", "value": 7, "unit": "W" }]);
    let readings = meters.iter().map(|meter| json!({ "meter": meter, "measurements": measurements }));
    let Some((passed, _)) = run("mbushat_which", &readings.collect::<Vec<_>>()) else { return };
    assert_eq!(passed, [json!(7)], "of one of them");
}
