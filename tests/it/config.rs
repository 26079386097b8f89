//! Configuration files at the process boundary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn check(file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mbushat")).arg("check").arg(file).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A file of its own for each test, in cargo's folder for such.
fn written(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("a writable folder");
    path
}

#[test]
fn five_mistakes_are_told_at_once_with_their_lines_and_exit_78() {
    let file = written(
        "five-mistakes.toml",
        r#"[mqtt]
url = "http://homeassistant.local"
keepalive = "30s"

[[meter]]
name = "cold_water"
address = 48
interval = "7m"

[[meter]]
name = "cold_water"
address = 251
"#,
    );
    let output = check(&file);
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty());
    let reported = text(&output.stderr);
    let name = file.display();
    assert!(reported.starts_with(&format!("error: {name} has 5 problems\n")), "{reported}");
    for (line, words) in [
        ("2:7", "`url` cannot be used, expected \"mqtt://host\""),
        ("3:1", "did you mean `keep_alive`?"),
        ("8:12", "does not divide 24 h"),
        ("11:8", "of the meter of line 6 too"),
        ("12:11", "`address` is 251, expected 0 to 250, or 254 for whatever meter is alone on its bus"),
    ] {
        let found = reported.lines().any(|l| l.starts_with(&format!("{name}:{line}: ")) && l.contains(words));
        assert!(found, "{line} {words}\n{reported}");
    }
}

#[test]
fn a_missing_file_is_said_and_exit_78() {
    let output = check(Path::new("/nonexistent/mbushat.toml"));
    assert_eq!(output.status.code(), Some(78));
    let reported = text(&output.stderr);
    assert!(reported.contains("\n  because No such file"), "{reported}");
    assert!(
        reported.starts_with("error: cannot read the configuration /nonexistent/mbushat.toml: write one"),
        "{reported}"
    );
}

#[test]
fn what_is_no_text_is_said_where_and_a_device_is_not_read_for_ever() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("latin-1.toml");
    fs::write(&file, b"[[meter]]\nname = \"a\"\ntitle = \"K\xFCche\"\n").expect("a writable folder");
    let output = check(&file);
    assert_eq!(output.status.code(), Some(78));
    let reported = text(&output.stderr);
    assert!(reported.contains("latin-1.toml:3:11: this is not UTF-8 text"), "{reported}");
    let key = written("key-of-zeros.toml", "[[meter]]\nname = \"a\"\naddress = 1\nkey_file = \"/dev/zero\"\n");
    for endless in [Path::new("/dev/zero"), &key] {
        let output = check(endless);
        assert_eq!(output.status.code(), Some(78));
        assert!(text(&output.stderr).contains("more than 4 MiB"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_key_that_is_not_there_yet_may_come_and_a_pipe_is_no_file() {
    let key = written("key-missing.toml", "[[meter]]\nname = \"a\"\naddress = 1\nkey_file = \"/nonexistent/key\"\n");
    let output = check(&key);
    assert_eq!(output.status.code(), Some(1), "systemd tries again");
    assert!(text(&output.stderr).contains("key-missing.toml:4:12: cannot read `key_file` /nonexistent/key: No such"));
    let both = written("key-missing-too.toml", &(fs::read_to_string(&key).expect("it is there") + "wrong = 1\n"));
    assert_eq!(check(&both).status.code(), Some(78), "that does not pass");
    let pipe = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pipe.toml");
    _ = fs::remove_file(&pipe);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a pipe");
    let output = check(&pipe);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("it is a pipe or a socket; name a file"), "{}", text(&output.stderr));
}

#[test]
fn ten_thousand_meters_with_one_name_and_address_are_told_once_each_and_soon() {
    let file = written("many.toml", &"[[meter]]\nname = \"a\"\naddress = 1\n".repeat(10_000));
    let start = std::time::Instant::now();
    let reported = text(&check(&file).stderr);
    assert!(reported.contains("has 19998 problems\n"), "{}", reported.lines().next().unwrap_or_default());
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn every_shipped_configuration_is_good() {
    let output = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mbushat.toml"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn the_five_lines_of_the_readme_are_good() {
    let five = "[mqtt]\nurl = \"mqtt://homeassistant.local\"\n\n[[meter]]\nname = \"cold_water\"\naddress = 48\n";
    let output = check(&written("five-lines.toml", five));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let plan = text(&output.stdout);
    assert!(
        plan.lines().any(|line| line.contains("cold_water") && line.contains("hat") && line.contains("15m")),
        "{plan}"
    );
}

#[test]
fn a_simulated_bus_is_checked_too() {
    written("bad-bus.toml", "[[meter]]\nmodel = \"heet\"\naddress = 1\n");
    let file = written("with-bad-bus.toml", "[[bus]]\nname = \"b\"\nport = \"sim:bad-bus.toml\"\n");
    let output = check(&file);
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("bad-bus.toml:2:9: `model` is \"heet\""), "{}", text(&output.stderr));
}

#[test]
fn a_password_that_everybody_can_read_is_warned_of() {
    let file = written("password.toml", "[mqtt]\nurl = \"mqtt://u:hunter2@h\"\n");
    for (mode, warned) in [(0o644, true), (0o640, false)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("our file");
        let output = check(&file);
        assert_eq!(output.status.code(), Some(0));
        let reported = text(&output.stderr);
        assert_eq!(reported.contains("chmod 640"), warned, "{mode:o}: {reported}");
        assert!(!reported.contains("hunter2") && !text(&output.stdout).contains("hunter2"));
    }
}
