//! `mbushat doctor` on prepared roots: each is a Raspberry Pi with one thing wrong, or nothing. Its
//! UART is a pseudo-terminal with a meter on it, its broker a mosquitto.
//!
//! What it must print stands in `tests/doctor/`; `UPDATE_GOLDEN=1 cargo test doctor` writes it anew.

mod brokers;
mod machine;
mod meters;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::broker::{Broker, Folder, Subscriber, publish};
use crate::bus_commands::Simulated;
use crate::wire::Wire;

#[test]
fn an_agent_that_has_the_port_and_does_not_answer_is_a_failure_and_what_it_last_said_is_told() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    ward.hold_port("mbushat");
    publish(ward.port(), "mbushat/cold_water/availability", "offline", true);
    assert_eq!(ward.examine("agent_runs"), 1);
}

#[test]
fn lines_to_paste_name_the_configuration_that_was_looked_at() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    fs::rename(ward.path("etc/mbushat.toml"), ward.path("etc/house.toml")).expect("our file");
    let looked = |words: &str| {
        let text = fs::read_to_string(ward.path("etc/house.toml")).expect("our file").replace("address = 48", words);
        ward.write("etc/house.toml", &text);
        let program = Command::new(env!("CARGO_BIN_EXE_mbushat"))
            .args(["--config".as_ref(), ward.path("etc/house.toml").as_os_str()])
            .args(["doctor".as_ref(), "--root".as_ref(), ward.folder.path().as_os_str()])
            .output();
        String::from_utf8(program.expect("the program starts").stdout).expect("UTF-8")
    };
    let silent = looked("address = 7");
    assert!(silent.contains("\n    mbushat --config /etc/house.toml scan --baud all\n"), "{silent}");
    ward.write("etc/house.toml", "nonsense = 1\n");
    let bad = looked("");
    assert!(bad.contains("\n    mbushat --config /etc/house.toml check\n"), "{bad}");
}

#[test]
fn json_says_the_same() {
    let Some(ward) = Ward::new(&Pi::three().without("proc/device-tree/hat")) else { return };
    let output = ward.mbushat(&["--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["result"], "failure");
    let findings = document["findings"].as_array().expect("findings");
    let hat = findings.iter().find(|finding| finding["check"] == "Hat").expect("the Hat");
    assert_eq!((&hat["verdict"], &hat["remedies"][0]["paste"][0]), (&"failure".into(), &"sudo poweroff".into()));
    let text = String::from_utf8(ward.mbushat(&[]).stdout).expect("UTF-8");
    assert!(!text.contains('\x1b'), "colours only on a terminal");
    let lines =
        text.lines().filter(|line| ["ok ", "failure ", "warning ", "skipped "].iter().any(|v| line.starts_with(v)));
    assert_eq!(lines.count(), findings.len());
}

/// Files of a root: what is written, linked and left out.
#[derive(Clone)]
struct Pi {
    files: Vec<(String, String)>,
    links: Vec<(String, String)>,
}

impl Pi {
    /// A Pi 3 with the Hat on which everything is as it should be.
    fn three() -> Self {
        let files = [
            ("proc/device-tree/model", "Raspberry Pi 3 Model B Rev 1.2\0"),
            ("proc/device-tree/hat/product", "M-Bus Master\0"),
            ("proc/device-tree/hat/product_ver", "0x0005\0"),
            ("proc/cmdline", "console=tty1 root=PARTUUID=1 rootwait\n"),
            ("boot/firmware/config.txt", "dtparam=audio=on\n[all]\nenable_uart=1\ndtoverlay=disable-bt\n"),
            ("boot/firmware/cmdline.txt", "console=tty1 root=PARTUUID=1 rootwait\n"),
            ("lib/systemd/system/mbushat.service", "[Service]\nUser=mbushat\nSupplementaryGroups=dialout gpio\n"),
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\nmbushat:x:990:990::/nonexistent:/usr/sbin/nologin\n"),
            ("run/systemd/timesync/synchronized", ""),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec();
        Self { files, links: vec![("dev/serial0".to_owned(), "ttyAMA0".to_owned())] }
    }

    fn five() -> Self {
        Self::three()
            .with("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
            .with("boot/firmware/config.txt", "dtparam=uart0=on\n")
            .with("boot/firmware/cmdline.txt", "console=serial0,115200 console=tty1 root=PARTUUID=1\n")
            .link("dev/serial0", "ttyAMA10")
    }

    fn with(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    fn without(mut self, path: &str) -> Self {
        self.files.retain(|(file, _)| !file.starts_with(path));
        self
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        self.links.retain(|(link, _)| link != path);
        self.links.push((path.to_owned(), target.to_owned()));
        self
    }
}

/// A prepared root with a meter at address 48 on its UART, a broker, and somebody who listens as
/// Home Assistant does.
struct Ward {
    folder: Folder,
    broker: Broker,
    /// Kept for as long as the ward is.
    listener: Option<Subscriber>,
    _wire: Option<Wire>,
}

impl Ward {
    fn new(pi: &Pi) -> Option<Self> {
        Self::with_broker(pi, Broker::start()?)
    }

    fn of_folder(pi: &Pi, uart: bool) -> Option<Self> {
        Self::build(pi, Broker::start()?, uart)
    }

    fn with_broker(pi: &Pi, broker: Broker) -> Option<Self> {
        Self::build(pi, broker, true)
    }

    fn build(pi: &Pi, broker: Broker, uart: bool) -> Option<Self> {
        let mut ward = Self { folder: Folder::new(), broker, listener: None, _wire: None };
        for (path, text) in &pi.files {
            ward.write(path, text);
        }
        fs::create_dir_all(ward.path("dev")).expect("a folder");
        for (path, target) in &pi.links {
            symlink(target, ward.path(path)).expect("a link");
        }
        let mut group = 20;
        if uart {
            let port = ward.path("dev/ttyAMA0");
            ward._wire = Some(Wire::on_pty(&port, &[48]));
            fs::set_permissions(&port, fs::Permissions::from_mode(0o660)).expect("our pseudo-terminal");
            group = fs::metadata(&port).expect("the port").gid();
        }
        ward.write("etc/group", &groups(group));
        ward.configure("");
        let open = !ward.broker.folder().path().join("acl").exists();
        if open {
            ward.listener = Some(Subscriber::new(ward.port(), "homeassistant/#")?);
            publish(ward.port(), "mbushat/bridge/state", "online", true);
            publish(ward.port(), "mbushat/cold_water/availability", "online", true);
        }
        Some(ward)
    }

    fn port(&self) -> u16 {
        self.broker.port
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.path(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    }

    /// The shortest configuration for this broker and meter, and these lines.
    fn configure(&self, lines: &str) {
        let url = format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", self.port());
        self.write("etc/mbushat.toml", &format!("{url}{lines}[[meter]]\nname = \"cold_water\"\naddress = 48\n"));
    }

    fn append(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("etc/mbushat.toml")).expect("the configuration");
        assert!(text.contains(old));
        self.write("etc/mbushat.toml", &text.replace(old, new));
    }

    fn log_in(&self, user: &str, password: &str) {
        self.append("[mqtt]\n", &format!("[mqtt]\nusername = \"{user}\"\npassword = \"{password}\"\n"));
    }

    /// Another program, with process id 1234, has the port open.
    fn hold_port(&self, name: &str) {
        self.write("proc/1234/comm", &format!("{name}\n"));
        fs::create_dir_all(self.path("proc/1234/fd")).expect("a folder");
        symlink(fs::canonicalize(self.path("dev/ttyAMA0")).expect("the port"), self.path("proc/1234/fd/7"))
            .expect("a link");
    }

    /// A bus as this file says, on the UART.
    fn simulate(&self, bus: &str) -> Simulated {
        self.write("bus.toml", bus);
        let simulated = Simulated::start(&[&self.path("bus.toml").to_string_lossy()]);
        symlink(&simulated.port, self.path("dev/ttyAMA0")).expect("a link");
        let port = fs::metadata(&simulated.port).expect("the port");
        fs::set_permissions(&simulated.port, fs::Permissions::from_mode(0o660)).expect("our pseudo-terminal");
        self.write("etc/group", &groups(port.gid()));
        simulated
    }

    fn mbushat(&self, args: &[&str]) -> Output {
        let program = Command::new(env!("CARGO_BIN_EXE_mbushat"))
            .arg("--config")
            .arg(self.path("etc/mbushat.toml"))
            .args(["doctor", "--root"])
            .arg(self.folder.path())
            .args(args)
            .output();
        program.expect("the program starts")
    }

    /// Compares what is printed with the golden file of that name; the exit code.
    fn examine(&self, name: &str) -> i32 {
        let output = self.mbushat(&[]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing on stderr");
        // a port alone could be part of a meter's id
        let text = text
            .replace(&format!("port {}", self.port()), "port PPPPP")
            .replace(&format!("127.0.0.1:{}", self.port()), "127.0.0.1:PPPPP")
            .replace(&format!("listener {}", self.port()), "listener PPPPP")
            .replace(&*self.folder.path().to_string_lossy(), "");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
        golden(name, &text);
        output.status.code().expect("no signal")
    }
}

/// `/etc/group` where the port belongs to `dialout`.
fn groups(dialout: u32) -> String {
    format!("root:x:0:\ndialout:x:{dialout}:pi\ngpio:x:997:pi\nmbushat:x:990:\n")
}

fn golden(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/doctor/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, text).expect("the golden file");
    }
    let want = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(text == want, "{name} differs.\n--- want\n{want}\n--- got\n{text}");
}
