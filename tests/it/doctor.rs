//! `mbushat doctor` on prepared roots: each is a Raspberry Pi with one thing wrong, or nothing. Its
//! UART is a pseudo-terminal with a meter on it, its broker a mosquitto.
//!
//! What it must print stands in `tests/doctor/`; `UPDATE_GOLDEN=1 cargo test doctor` writes it anew.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use mbushat::config::{Durability, Store};
use mbushat::spool::Spool;

use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Folder, Received, Subscriber, publish};
use crate::bus_commands::Simulated;
use crate::tools::tool;
use crate::wire::Wire;

#[test]
fn a_good_pi_3_is_well() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    assert_eq!(ward.examine("good_pi_3"), 0);
}

#[test]
fn a_good_pi_4_is_well() {
    let pi = Pi::three().with("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0").with(
        "boot/firmware/config.txt",
        "[pi5]\ndtparam=uart0=on\n[pi4]\ndtoverlay=miniuart-bt\n[all]\ncore_freq=250\n",
    );
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("good_pi_4"), 0);
}

#[test]
fn a_good_pi_5_is_well() {
    let Some(ward) = Ward::new(&Pi::five()) else { return };
    assert_eq!(ward.examine("good_pi_5"), 0);
}

#[test]
fn a_hat_that_is_not_found_is_told_from_one_whose_eeprom_is_disabled() {
    let Some(ward) = Ward::new(&Pi::three().without("proc/device-tree/hat")) else { return };
    assert_eq!(ward.examine("no_hat"), 1);
}

#[test]
fn the_mini_uart_and_the_debug_connector_are_refused() {
    let pi =
        Pi::three().with("boot/firmware/config.txt", "dtparam=audio=on\nenable_uart=1\n").link("dev/serial0", "ttyS0");
    let Some(ward) = Ward::new(&pi) else { return };
    ward.configure("[[bus]]\nname = \"hat\"\nport = \"/dev/serial0\"\nhat = true\n");
    assert_eq!(ward.examine("wrong_uart"), 1);
    let pi = Pi::five().with("boot/firmware/config.txt", "dtparam=audio=on\n").without("dev/ttyAMA0");
    let Some(ward) = Ward::of_folder(&pi, false) else { return };
    ward.configure("[[bus]]\nname = \"hat\"\nport = \"/dev/serial0\"\nhat = true\n");
    assert_eq!(ward.examine("wrong_uart_pi_5"), 1);
}

#[test]
fn before_bookworm_the_files_are_in_boot_and_a_service_holds_the_uart_for_bluetooth() {
    let pi = Pi::three()
        .without("boot/firmware")
        .with("boot/config.txt", "enable_uart=1\n[pi4]\narm_boost=1")
        .with("boot/cmdline.txt", "console=serial0,115200 console=tty1 root=PARTUUID=1 rootwait\n")
        .with("lib/systemd/system/hciuart.service", "")
        .link("dev/serial0", "ttyS0");
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("bullseye"), 1);
    // What is told to paste does what it is told for, though the file ends in another model's section.
    let told = String::from_utf8(ward.mbushat(&[]).stdout).expect("UTF-8");
    for line in told.lines().filter_map(|line| line.strip_prefix("    sudo sed ")) {
        let here = line.replace("/boot/", &ward.path("boot/").to_string_lossy());
        assert!(Command::new("sh").args(["-c", &format!("sed {here}")]).status().expect("sh").success(), "{here}");
    }
    let mended = String::from_utf8(ward.mbushat(&[]).stdout).expect("UTF-8");
    for found in ["dtoverlay=disable-bt is in /boot/config.txt, but this", "neither console nor login is on ttyAMA0"] {
        let words: Vec<&str> = mended.split_whitespace().collect();
        assert!(words.join(" ").contains(found), "{mended}");
    }
}

#[test]
fn a_hat_without_its_eeprom_below_another_one_is_told_how_to_get_its_power() {
    let pi = Pi::three()
        .with("proc/device-tree/hat/product", "Sense HAT\0")
        .with("proc/device-tree/hat/vendor", "Raspberry Pi\0");
    let Some(ward) = Ward::new(&pi) else { return };
    ward.configure("[[bus]]\nname = \"hat\"\nhat = true\npower_gpio = 20\n");
    assert_eq!(ward.examine("other_hat"), 1);
}

#[test]
fn a_console_on_the_uart_is_found_with_the_line_that_takes_it_away() {
    let pi =
        Pi::three().with("boot/firmware/cmdline.txt", "console=serial0,115200 console=tty1 root=PARTUUID=1 rootwait\n");
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("console_on"), 1);
}

#[test]
fn a_user_without_the_group_may_not_use_the_port() {
    let unit = "[Service]\nUser=mbushat\nSupplementaryGroups=gpio\n";
    let Some(ward) = Ward::new(&Pi::three().with("lib/systemd/system/mbushat.service", unit)) else { return };
    assert_eq!(ward.examine("no_permission"), 1);
}

#[test]
fn another_program_on_the_port_is_named() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    ward.hold_port("minicom");
    assert_eq!(ward.examine("other_holder"), 1);
}

#[test]
fn an_agent_that_has_the_port_and_does_not_answer_is_a_failure_and_what_it_last_said_is_told() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    ward.hold_port("mbushat");
    publish(ward.port(), "mbushat/cold_water/availability", "offline", true);
    assert_eq!(ward.examine("agent_runs"), 1);
}

#[test]
fn a_broker_that_is_not_there_is_told() {
    let Some(mut ward) = Ward::new(&Pi::three()) else { return };
    ward.broker.kill();
    assert_eq!(ward.examine("no_broker"), 1);
    ward.write(
        "etc/mbushat.toml",
        "[mqtt]\nurl = \"mqtt://no-such-host.invalid\"\n[[meter]]\nname = \"cold_water\"\naddress = 48\n",
    );
    assert_eq!(ward.examine("no_broker_name"), 1);
}

#[test]
fn one_broker_of_two_that_is_not_there_is_a_warning() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    // a port that nobody can have
    ward.append(
        &format!("\"mqtt://127.0.0.1:{}\"", ward.port()),
        &format!("[\"mqtt://127.0.0.1:1\", \"mqtt://127.0.0.1:{}\"]", ward.port()),
    );
    assert_eq!(ward.examine("one_of_two_brokers"), 0);
}

#[test]
fn a_bad_password_is_told() {
    let Some(broker) = guarded("user mbushat\ntopic readwrite #\n") else { return };
    let Some(ward) = Ward::with_broker(&Pi::three(), broker) else { return };
    ward.log_in("mbushat", "wrong");
    assert_eq!(ward.examine("bad_password"), 1);
}

#[test]
fn what_the_acl_does_not_allow_is_told() {
    let Some(broker) = guarded("user mbushat\ntopic readwrite other/#\n") else { return };
    let Some(ward) = Ward::with_broker(&Pi::three(), broker) else { return };
    ward.log_in("mbushat", "right");
    assert_eq!(ward.examine("acl"), 1);
    ward.append("[mqtt]\n", "[mqtt]\nprotocol = 3\n");
    assert_eq!(ward.examine("acl_mqtt_3"), 1);
}

#[test]
fn a_broker_without_home_assistant_and_an_agent_that_was_never_there_are_warnings() {
    let Some(mut ward) = Ward::new(&Pi::three()) else { return };
    // What an agent subscribes to does not make it Home Assistant.
    ward.listener = Subscriber::new(ward.port(), "homeassistant/device/+/config");
    publish(ward.port(), "mbushat/bridge/state", "", true);
    assert_eq!(ward.examine("no_home_assistant"), 0);
}

#[test]
fn an_unsynchronised_clock_is_a_warning() {
    let pi = Pi::three().without("run/systemd/timesync/synchronized").with("run/systemd/timesync/clock", "");
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("clock"), 0);
}

#[test]
fn gpio_poweroff_on_the_pin_of_the_bus_is_told() {
    let pi = Pi::three().with("boot/firmware/config.txt", "dtoverlay=disable-bt\ndtoverlay=gpio-poweroff,active_low\n");
    let Some(ward) = Ward::new(&pi) else { return };
    assert_eq!(ward.examine("gpio_poweroff"), 1);
}

#[test]
fn a_silent_meter_is_tried_in_other_ways_and_another_one_on_the_wire_is_noticed() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    ward.append("address = 48", "address = 7");
    assert_eq!(ward.examine("silent_meter"), 1);
    ward.append("address = 7", "address = 252");
    assert_eq!(ward.examine("bad_config"), 78);
}

#[test]
fn a_meter_at_another_rate_is_found_and_the_rate_to_set_is_told() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let _bus = ward.simulate("baud = 300\n[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
    assert_eq!(ward.examine("meter_at_300_baud"), 1);
}

#[test]
fn a_meter_that_is_not_there_is_told_from_a_dead_wire() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let _bus = ward.simulate("[[meter]]\nmodel = \"ats_ec20\"\naddress = 5\n");
    assert_eq!(ward.examine("meter_elsewhere"), 1);
}

/// Three meters, of which one is at another address than configured and one needs a key.
const THREE: &str = r#"
    [[meter]]
    model = "ats_ec20"
    address = 48
    [[meter]]
    model = "heat"
    address = 5
    id = "67200512"
    key = "000102030405060708090A0B0C0D0E0F"
    [[meter]]
    model = "cold_water"
    address = 7
    id = "21880341"
"#;
const TWO_WRONG: &str = "[[meter]]\nname = \"heating\"\naddress = 5\n[[meter]]\nname = \"warm_water\"\naddress = 8\n";

#[test]
fn each_meter_is_asked_and_each_wrong_one_is_named_with_its_cause() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let _bus = ward.simulate(THREE);
    ward.append("address = 48\n", &format!("address = 48\n{TWO_WRONG}"));
    assert_eq!(ward.examine("two_of_three"), 1);
    // a meter by name, and no other
    let one = ward.mbushat(&["cold_water"]);
    let text = String::from_utf8(one.stdout).expect("UTF-8");
    assert!(one.status.success() && text.contains("cold_water (address 48) answers"), "{text}");
    assert!(!text.contains("heating"), "{text}");
    let unknown = ward.mbushat(&["bathroom"]);
    assert_eq!(unknown.status.code(), Some(2));
    let error = String::from_utf8(unknown.stderr).expect("UTF-8");
    assert!(error.contains("there is no meter bathroom") && error.contains("cold_water, heating"), "{error}");
}

#[test]
fn a_running_agent_is_asked_for_its_meters_and_hears_nothing_else() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let bus = ward.simulate(THREE);
    ward.append("address = 48\n", &format!("address = 48\n{TWO_WRONG}"));
    let text = fs::read_to_string(ward.path("etc/mbushat.toml")).expect("the configuration");
    // a machine that builds and tests at once may answer late
    let patient = "hat = false\nresponse_timeout = \"2s\"\n";
    let port = format!("[[bus]]\nname = \"hat\"\nport = \"{}\"\n{patient}", bus.port);
    let meters = &text[text.find("[[meter]]").expect("meters")..];
    let Some(all) = Subscriber::new(ward.port(), "#") else { return };
    let agent = Agent::start(ward.port(), &format!("{port}{meters}"));
    let online = until_online(&all);
    online.expect("the good one is read");
    ward.hold_port("mbushat");
    assert_eq!(ward.examine("agent_reads_two_of_three"), 1);
    let log = fs::read_to_string(agent.folder().join("log")).expect("its log");
    assert!(!log.contains("doctor"), "{log}");
}

/// The agent and the meter `cold_water` are online.
fn until_online(all: &Subscriber) -> Option<Received> {
    let mut missing = BTreeSet::from(["mbushat/cold_water/availability", "mbushat/bridge/state"]);
    all.wait_for(SOON, |m| {
        if m.payload == "online" {
            missing.remove(m.topic.as_str());
        }
        missing.is_empty()
    })
}

#[test]
fn two_agents_below_one_base_topic_and_a_strange_one_are_failures() {
    let Some(ward) = Ward::new(&Pi::three()) else { return };
    let (one, two) = ("0123456789abcdef", "fedcba9876543210");
    let info = |other: &str| format!("{{\"version\":\"0.1.0\",\"instance\":\"{one}\",\"other_agent\":{other}}}");
    let find = |info: &str| {
        publish(ward.port(), "mbushat/bridge/info", info, true);
        let output = ward.mbushat(&[]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = words.split_once("failure base topic ").map(|(_, found)| found.to_owned());
        assert!(found.is_none() || text.contains("base_topic = \"mbushat/house2\""), "{text}");
        found.unwrap_or_default()
    };
    assert_eq!(find(&info("null")), "", "this machine has no store to compare it with");
    let found = find(&info(&format!("{two:?}")));
    assert!(found.contains(&format!("two agents publish below the base_topic mbushat: {one} and {two}")), "{found}");
    let directory = ward.path("var/lib/mbushat");
    let store = Store { directory, max_size_bytes: 1 << 20, durability: Durability::Outage };
    let spool = Spool::open(&store, Instant::now()).expect("not in use");
    let own = spool.instance().to_owned();
    spool.close(Instant::now());
    let found = find(&info("null"));
    assert!(found.contains(&format!("is {one}, and not this machine's, which is {own}")), "{found}");
    assert_eq!(find(&info("null").replace(one, &own)), "", "it is this machine's own");
    publish(ward.port(), "mbushat/bridge/state", "offline", true);
    assert_eq!(find(&info(&format!("{two:?}"))), "", "nobody is there");
}

#[test]
fn values_without_a_name_are_told_also_where_the_agent_reads_them() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let telegram = "68 1A 1A 68 08 30 72 78 56 34 12 24 40 01 07 01 00 00 00 04 FF 07 10 27 00 00 01 FF 08 01 75 16";
    let bus = ward.simulate(&format!("[[meter]]\naddress = 48\ntelegrams = [\"{telegram}\"]\n"));
    let says_so = || {
        let output = ward.mbushat(&[]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success() && text.contains("2 of its values have no name."), "{text}");
        assert!(text.contains("profiles unknown cold_water"), "{text}");
        text
    };
    assert!(says_so().contains("cold_water (address 48) answers"));
    let port = format!("[[bus]]\nname = \"hat\"\nport = \"{}\"\nhat = false\nresponse_timeout = \"2s\"\n", bus.port);
    let Some(all) = Subscriber::new(ward.port(), "#") else { return };
    let _agent = Agent::start(ward.port(), &format!("{port}[[meter]]\nname = \"cold_water\"\naddress = 48\n"));
    let online = until_online(&all);
    online.expect("it is read");
    ward.hold_port("mbushat");
    assert!(says_so().contains("is read by the agent"));
}

#[test]
fn a_meter_on_another_bus_is_found_there() {
    let Some(ward) = Ward::of_folder(&Pi::three(), false) else { return };
    let other = Simulated::start(&[&{
        ward.write("other.toml", "[[meter]]\nmodel = \"ats_ec20\"\naddress = 48\n");
        ward.path("other.toml").to_string_lossy().into_owned()
    }]);
    symlink(&other.port, ward.path("dev/ttyUSB0")).expect("a link");
    fs::set_permissions(&other.port, fs::Permissions::from_mode(0o660)).expect("our pseudo-terminal");
    let _bus = ward.simulate("[[meter]]\nmodel = \"heat\"\naddress = 5\n");
    ward.configure("[[bus]]\nname = \"hat\"\n[[bus]]\nname = \"cellar\"\nport = \"/dev/ttyUSB0\"\nhat = false\n");
    ward.append("address = 48\n", "address = 48\nbus = \"hat\"\n");
    let output = ward.mbushat(&["--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = document["findings"].as_array().expect("findings");
    let meter = findings.iter().find(|f| f["check"] == "meter" && f["verdict"] == "failure").expect("the meter");
    assert!(meter["found"].as_str().expect("words").contains("it answers on cellar, at 2400 8E1"), "{meter}");
    assert_eq!((&meter["bus"], &meter["remedies"][0]["paste"][0]), (&"hat".into(), &"bus = \"cellar\"".into()));
    assert_eq!(output.status.code(), Some(1));
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

/// A mosquitto with one user, `mbushat` with the password `right`, and these rules.
fn guarded(acl: &str) -> Option<Broker> {
    let passwd = tool("mosquitto_passwd")?;
    let lines = "allow_anonymous false\npassword_file FOLDER/passwd\nacl_file FOLDER/acl\n";
    let mut broker = Broker::prepare(lines)?;
    let file = broker.folder().path().join("passwd");
    let made = Command::new(passwd).args(["-b", "-c"]).arg(&file).args(["mbushat", "right"]).status();
    assert!(made.expect("mosquitto_passwd runs").success());
    broker.folder().write("acl", acl);
    broker.run();
    Some(broker)
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
