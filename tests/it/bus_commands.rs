//! The commands of the bus side at the process boundary: `hat`, `simulate`, `read`.

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::gateway::Gateway;
use crate::tools::skipped;

#[test]
fn hat_prints_the_version_without_the_nul_or_says_what_to_check() {
    let place = Folder::new("hat");
    place.write("hat/product", "M-Bus Master\0");
    place.write("hat/product_ver", "0x0005\0");
    let found = place.mbushat(&["hat", "--device-tree", &place.path("")]);
    assert_eq!(
        (text(&found.stdout).as_str(), found.status.code()),
        ("Found M-Bus Master Hat version 0x0005\n", Some(0))
    );
    place.write("other/hat/product", "Sense HAT\0");
    let other = place.mbushat(&["hat", "--device-tree", &place.path("other")]);
    assert_eq!(other.status.code(), Some(1));
    let error = text(&other.stderr);
    assert!(error.starts_with("error: no M-Bus Master Hat") && error.contains("Sense HAT"), "{error}");
}

#[test]
fn hat_off_succeeds_where_there_is_nothing_to_switch_off() {
    let place = Folder::new("hat-off");
    place.write("mbushat.toml", "[[bus]]\nname = \"b\"\nport = \"tcp://gateway:10001\"\n");
    let none = place.mbushat(&["hat", "off"]);
    assert_eq!((text(&none.stdout).as_str(), none.status.code()), ("No bus uses the Hat\n", Some(0)));
    place.write("mbushat.toml", "[[bus]]\nname = \"b\"\n");
    let no_hat = place.mbushat(&["hat", "off", "--device-tree", &place.path("")]);
    assert_eq!(no_hat.status.code(), Some(0));
    assert!(text(&no_hat.stdout).starts_with("Nothing to switch off: no M-Bus Master Hat"));
}

#[test]
fn hat_on_without_a_pi_says_what_both_ways_to_the_pin_say() {
    let place = Folder::new("hat-on");
    place.write("hat/product", "M-Bus Master\0");
    place.write("mbushat.toml", "");
    if std::path::Path::new("/proc/device-tree/model").exists() {
        skipped("this may be a Raspberry Pi, whose pin must not be switched");
        return;
    }
    let output = place.mbushat(&["hat", "on", "--device-tree", &place.path("")]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("GPIO 26") && error.contains("rppal says"), "{error}");
}

#[test]
fn simulate_prints_its_port_serves_it_and_removes_its_link_at_the_end() {
    let place = Folder::new("simulate");
    let link = place.0.join("bus");
    let simulated = Simulated::start(&["--link", &link.to_string_lossy()]);
    assert_eq!(simulated.port, link.to_string_lossy());
    assert!(std::fs::metadata(&link).is_ok(), "the link leads to the pseudo-terminal");
    simulated.end();
    assert!(!link.is_symlink());
}

#[test]
fn simulate_behind_a_tcp_port_acknowledges_a_reset_at_wire_speed() {
    let simulated = Simulated::start(&["--tcp", "127.0.0.1:0", "--baud", "300"]);
    let address = simulated.port.strip_prefix("tcp://").expect("a URL").to_owned();
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    let asked = Instant::now();
    stream.write_all(&[0x10, 0x40, 0x05, 0x45, 0x16]).expect("sent");
    let mut answer = [0];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, [0xE5]);
    assert!(asked.elapsed() >= Duration::from_millis(6 * 36), "{:?} is faster than 300 baud", asked.elapsed());
    simulated.end();
}

#[test]
fn a_bad_simulation_file_is_exit_78_and_a_bad_rate_exit_2() {
    let place = Folder::new("bad-simulation");
    place.write("bad.toml", "[[meter]]\nmodel = \"spoon\"\naddress = 5\n");
    let bad = place.mbushat(&["simulate", &place.path("bad.toml")]);
    assert_eq!(bad.status.code(), Some(78));
    assert!(text(&bad.stderr).contains("spoon"), "{}", text(&bad.stderr));
    assert_eq!(place.mbushat(&["simulate", "--baud", "2401"]).status.code(), Some(2));
}

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
fn send_completes_a_frame_and_prints_what_comes_back() {
    let place = Folder::new("send");
    place.write("bus.toml", "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
    let simulated = Simulated::start(&[&place.path("bus.toml")]);
    let send = |hex: &[&str]| {
        let output = place.mbushat(&[&["send"], hex, &["--port", &simulated.port]].concat());
        (text(&output.stdout), output.status.code(), text(&output.stderr))
    };
    let (reset, code, _) = send(&["40", "30"]);
    assert_eq!(reset, "-> 10 40 30 70 16  SND_NKE to 48\n<- E5  acknowledgement\n");
    assert_eq!(code, Some(0));
    let (data, code, _) = send(&["10", "7B", "30"]);
    assert!(data.contains("\n<- 68 3D 3D 68 08 30 72 ") && data.ends_with("ATS 30137315, heat, 9 records\n"), "{data}");
    assert_eq!(code, Some(0));
    let (_, code, error) = send(&["10", "7B", "30", "00", "16"]);
    assert_eq!((error.as_str(), code), ("error: no answer\n", Some(1)), "a wrong checksum is sent as it is");
    simulated.end();
}

#[test]
fn hat_tells_programs_what_it_is() {
    let place = Folder::new("hat-json");
    for (file, value) in
        [("product", "M-Bus Master"), ("vendor", "packom.net"), ("product_ver", "0x0005"), ("uuid", "1-2")]
    {
        place.write(&format!("hat/{file}"), &format!("{value}\0"));
    }
    let json = |root: &str| {
        let output = place.mbushat(&["hat", "--format", "json", "--device-tree", &place.path(root)]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (json, output.status.code())
    };
    let (hat, code) = json("");
    assert_eq!(
        (&hat["found"], &hat["product"], &hat["vendor"]),
        (&true.into(), &"M-Bus Master".into(), &"packom.net".into())
    );
    assert_eq!((&hat["version"], &hat["uuid"], code), (&"0x0005".into(), &"1-2".into(), Some(0)));
    let (none, code) = json("nothing");
    assert!(
        none["found"] == false && none["error"].as_str().is_some_and(|e| e.contains("no M-Bus Master Hat")),
        "{none}"
    );
    assert_eq!(code, Some(1));
}

#[test]
fn simulate_prints_a_file_that_it_takes() {
    let place = Folder::new("sample");
    let sample = text(&place.mbushat(&["simulate", "--sample"]).stdout);
    place.write("bus.toml", &sample);
    let simulated = Simulated::start(&[&place.path("bus.toml")]);
    let read = place.mbushat(&["read", "5", "--port", &simulated.port, "--format", "jsonl"]);
    assert!(text(&read.stdout).contains("\"id\":\"67200512\""), "{}", text(&read.stderr));
    simulated.end();
}

#[test]
fn simulate_serves_hundreds_of_meters_on_a_pty_and_behind_tcp() {
    let place = Folder::new("hundreds");
    let meter =
        |address| format!("[[meter]]\nmodel = \"heat\"\naddress = {address}\nid = \"{:08}\"\n", 67_000_000 + address);
    place.write("bus.toml", &format!("baud = 38400\n{}", (1..=250).map(meter).collect::<String>()));
    for more in [&[][..], &["--tcp", "127.0.0.1:0"]] {
        let file = place.path("bus.toml");
        let simulated = Simulated::start(&[&[file.as_str()], more].concat());
        let args = ["read", "1", "125", "250", "--port", &simulated.port, "--baud", "38400", "--format", "hex"];
        let output = place.mbushat(&args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let addresses: Vec<String> = text(&output.stdout).lines().map(|line| line[15..17].to_owned()).collect();
        assert_eq!(addresses, ["01", "7D", "FA"]);
        simulated.end();
    }
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

/// `mbushat simulate` at work.
pub(crate) struct Simulated {
    program: Child,
    pub(crate) port: String,
}

impl Simulated {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mbushat"))
            .arg("simulate")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut port = String::new();
        let stdout = program.stdout.take().expect("a pipe");
        std::io::BufReader::new(stdout).read_line(&mut port).expect("its port");
        Self { program, port: port.trim_end().to_owned() }
    }

    /// Ctrl-C.
    pub(crate) fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.program);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
        assert_eq!(self.program.wait().expect("its end").code(), Some(0));
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// A folder of its own, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mbushat-commands-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let file = self.0.join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, content).expect("a file");
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// Runs the program with this folder's configuration.
    pub(crate) fn mbushat(&self, args: &[&str]) -> Output {
        let program = Command::new(env!("CARGO_BIN_EXE_mbushat"))
            .args(["--config", &self.path("mbushat.toml")])
            .args(args)
            .output();
        program.expect("the program starts")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
