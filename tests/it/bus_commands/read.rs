//! `read`: what it prints of a meter, and what it says where it cannot have one.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Folder, Simulated, text};
use crate::gateway::Gateway;

const ATS: &str = "68 3D 3D 68 08 30 72 15 73 13 30 93 06 01 04 70 00 00 00 0C 06 00 00 00 00 0C 14 05 00 \
00 00 0C 22 57 83 03 00 0C 2E 01 00 00 00 0C 3B 00 00 00 00 0A 59 01 00 0A 5D 01 00 0A 61 01 00 42 6C 8F 21 DD 16\n";

#[test]
fn read_gives_the_telegram_by_primary_and_secondary_address_and_by_name() {
    let place = Folder::new("read");
    place.write("bus.toml", "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
    let simulated = Simulated::start(&[&place.path("bus.toml")]);
    let bus = format!("[[bus]]\nname = \"b\"\nport = \"{}\"\n", simulated.port);
    place.write("mbushat.toml", &format!("{bus}[[meter]]\nname = \"cold_water\"\naddress = 48\n"));
    for address in ["48", "30137315", "3013????ATS0104", "cold_water"] {
        let output = place.mbushat(&["read", address, "--format", "hex"]);
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), (ATS, Some(0)), "{address}");
    }
    let without_config = place.mbushat(&["read", "48", "--port", &simulated.port, "--format", "hex"]);
    assert_eq!(text(&without_config.stdout), ATS);
    let json = place.mbushat(&["read", "48", "--format", "json"]);
    assert!(text(&json.stdout).contains("30137315"), "{}", text(&json.stdout));
    let pymeterbus = place.mbushat(&["read", "48", "--format", "pymeterbus"]);
    let decoded = place.mbushat(&["decode", "--format", "pymeterbus", ATS.trim()]);
    assert!(!decoded.stdout.is_empty());
    assert_eq!(text(&pymeterbus.stdout), text(&decoded.stdout));
    simulated.end();
}

#[test]
fn read_speaks_to_programs_and_to_the_meter_that_is_alone() {
    let place = Folder::new("read-formats");
    place.write("bus.toml", "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
    let simulated = Simulated::start(&[&place.path("bus.toml")]);
    let read = |more: &[&str]| {
        let output = place.mbushat(&[&["read", "48", "--port", &simulated.port], more].concat());
        assert_eq!(output.status.code(), Some(0), "{more:?}: {}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let (jsonl, _) = read(&["--format", "jsonl"]);
    assert_eq!(jsonl, text(&place.mbushat(&["decode", "--format", "jsonl", ATS.trim()]).stdout));
    let (reading, _) = read(&["--format", "reading"]);
    let reading: serde_json::Value = serde_json::from_str(&reading).expect("one JSON object");
    assert_eq!((&reading["meter"], &reading["due_at"], &reading["seq"]), (&().into(), &().into(), &().into()));
    assert_eq!(reading["measurements"][1]["key"], "volume");
    // libmbus tells when it has read each record; what it decodes has no such time
    let (xml, _) = read(&["--format", "xml"]);
    let decoded = text(&place.mbushat(&["decode", "--format", "xml", ATS.trim()]).stdout);
    let without: String = xml.lines().filter(|line| !line.contains("<Timestamp>")).map(|l| format!("{l}\n")).collect();
    assert!(xml.contains("Z</Timestamp>\n"), "{xml}");
    assert_eq!(without, decoded);
    let (_, frames) = read(&["--wire", "--format", "hex"]);
    assert!(frames.contains("-> 10 40 30 70 16  SND_NKE to 48\n"), "{frames}");
    assert!(
        frames.contains("<- E5  acknowledgement\n") && frames.contains("ATS 30137315, heat, 9 records\n"),
        "{frames}"
    );
    let alone = place.mbushat(&["read", "254", "--port", &simulated.port, "--format", "hex", "--retries", "0"]);
    assert_eq!((text(&alone.stdout).as_str(), text(&alone.stderr).as_str()), (ATS, ""));
    simulated.end();
}

#[test]
fn read_254_notices_that_several_meters_answer() {
    let place = Folder::new("read-254");
    place
        .write("bus.toml", "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n[[meter]]\nmodel = \"heat\"\naddress = 5\n");
    let simulated = Simulated::start(&[&place.path("bus.toml")]);
    let both = place.mbushat(&["read", "254", "--port", &simulated.port]);
    let said = text(&both.stderr);
    assert!(said.contains("254 makes all of them answer") || said.contains("more than one meter answers"), "{said}");
    assert_eq!(both.status.code(), Some(i32::from(said.starts_with("error"))));
    simulated.end();
}

#[test]
fn read_takes_the_meters_of_the_bus_that_is_named() {
    let place = Folder::new("read-bus");
    place.write("a.toml", "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
    place.write("b.toml", "[[meter]]\nmodel = \"heat\"\naddress = 5\nid = \"67200512\"\n");
    let (a, b) = (Simulated::start(&[&place.path("a.toml")]), Simulated::start(&[&place.path("b.toml")]));
    let bus = |name: &str, port: &str| format!("[[bus]]\nname = \"{name}\"\nport = \"{port}\"\nhat = false\n");
    let meter = "[[meter]]\nname = \"heating\"\nbus = \"b\"\naddress = 5\n";
    place.write("mbushat.toml", &format!("{}{}{meter}", bus("a", &a.port), bus("b", &b.port)));
    for args in
        [&["read", "heating"][..], &["read", "5"], &["read", "5", "--bus", "b"], &["read", "67200512", "--bus", "b"]]
    {
        let output = place.mbushat(&[args, &["--format", "hex"]].concat());
        assert!(text(&output.stdout).starts_with("68 "), "{args:?}: {}", text(&output.stderr));
    }
    let elsewhere = place.mbushat(&["read", "5", "--bus", "a"]);
    assert_eq!(text(&elsewhere.stderr), "error: 5: no answer\n");
    a.end();
    b.end();
}

#[test]
fn read_of_a_silent_meter_or_an_unknown_name_says_so() {
    let place = Folder::new("read-silent");
    place.write("bus.toml", "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
    let simulated = Simulated::start(&[&place.path("bus.toml")]);
    let silent = place.mbushat(&["read", "7", "48", "--port", &simulated.port, "--format", "hex"]);
    assert_eq!((text(&silent.stdout).as_str(), silent.status.code()), (ATS, Some(1)), "the other is read all the same");
    assert_eq!(text(&silent.stderr), "error: 7: no answer\n");
    let unknown = place.mbushat(&["read", "bathroom", "--port", &simulated.port]);
    assert_eq!(unknown.status.code(), Some(2));
    let no_port = place.mbushat(&["read", "48", "--port", "/nonexistent/tty"]);
    assert_eq!(no_port.status.code(), Some(1));
    assert!(text(&no_port.stderr).contains("cannot open /nonexistent/tty"), "{}", text(&no_port.stderr));
    let file = place.mbushat(&["read", "48", "--port", &place.path("bus.toml")]);
    assert!(text(&file.stderr).contains("bus.toml is not a serial device"), "{}", text(&file.stderr));
    simulated.end();
}

#[test]
fn read_while_mbushat_holds_the_port_names_the_request_that_does_the_same() {
    let place = Folder::new("read-held");
    place.write("bus.toml", "baud = 300\n");
    let simulated = Simulated::start(&[&place.path("bus.toml")]);
    let mut first = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .args(["read", "7", "--port", &simulated.port, "--baud", "300"])
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let bus = format!("[[bus]]\nname = \"b\"\nport = \"{}\"\n", simulated.port);
    let meter = "[[meter]]\nname = \"cold_water\"\naddress = 48\n";
    place.write("mbushat.toml", &format!("[mqtt]\nbase_topic = \"house\"\n{bus}{meter}"));
    let tty = std::fs::canonicalize(&simulated.port).expect("a device");
    let holds = |pid| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|target| target == tty)
    };
    while !holds(first.id()) {
        assert!(first.try_wait().expect("a state").is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = place.mbushat(&["read", "cold_water"]);
    let error = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1));
    assert!(error.contains("mosquitto_pub -t house/cold_water/read -n"), "{error}");
    assert!(error.contains(&format!("is held by mbushat (pid {})", first.id())), "{error}");
    first.kill().expect("its end");
    first.wait().expect("its end");
    simulated.end();
}

#[test]
fn a_gateway_that_the_agent_has_is_named_with_its_holder() {
    let (gateway, place) = (Gateway::start(), Folder::new("gateway-in-use"));
    let (port, store) = (gateway.port, place.path("store"));
    let quiet = "[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n";
    let bus =
        format!("[[bus]]\nname = \"far\"\nport = \"tcp://127.0.0.1:{port}\"\n[[meter]]\nname = \"m\"\naddress = 5\n");
    place.write("mbushat.toml", &format!("{quiet}[store]\ndirectory = \"{store}\"\n{bus}"));
    let mut agent = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .args(["--config", &place.path("mbushat.toml"), "run"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    while gateway.meters().served.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = place.mbushat(&["read", "m"]);
    let said = text(&output.stderr);
    agent.kill().expect("a signal");
    agent.wait().expect("its end");
    let holder = format!("while the gateway tcp://127.0.0.1:{port} is in use by mbushat (pid {})", agent.id());
    assert!(said.contains(&holder) && said.contains("mosquitto_pub"), "{said}");
}
