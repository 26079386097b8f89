//! The commands of the bus side at the process boundary: `hat`, `simulate`, `read`.

use std::path::PathBuf;
use std::process::{Command, Output};

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
        println!("SKIPPED: this may be a Raspberry Pi, whose pin nobody wants switched");
        return;
    }
    let output = place.mbushat(&["hat", "on", "--device-tree", &place.path("")]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("GPIO 26") && error.contains("rppal says"), "{error}");
}

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mbushat-commands-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, content: &str) {
        let file = self.0.join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, content).expect("a file");
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// Runs the program with this folder's configuration.
    fn mbushat(&self, args: &[&str]) -> Output {
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
