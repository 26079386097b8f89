//! The commands of the bus side at the process boundary: `hat`, `simulate`, `read`, `send`.

mod read;

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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
