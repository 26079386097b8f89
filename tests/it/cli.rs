//! The command line at the process boundary: messages, streams and exit codes.

use std::process::{Command, Output};

fn mbushat(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mbushat")).args(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn wrong_usage_is_exit_2_and_says_so_on_stderr() {
    let output = mbushat(&["frobnicate"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).contains("unrecognized subcommand 'frobnicate'"));
}

#[test]
fn version_is_the_packages() {
    let output = mbushat(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), concat!("mbushat ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn every_help_fits_80_columns_and_every_command_has_an_example() {
    let (help, commands) = help_of(&[]);
    assert!(commands.iter().any(|name| name == "completions"), "{help}");
    for step in help.lines().filter_map(|line| line.strip_prefix("  mbushat ")) {
        assert!(commands.iter().any(|name| step.starts_with(&format!("{name} "))), "{step} is no command");
    }
    let mut nested = 0;
    for name in commands {
        let (_, below) = help_of(&[&name]);
        for verb in below {
            help_of(&[&name, &verb]);
            nested += 1;
        }
    }
    assert_eq!(nested, 8, "five orders to a meter, three verbs of profiles");
}

/// The help of a command, looked through, and the commands below it.
fn help_of(words: &[&str]) -> (String, Vec<String>) {
    let output = mbushat(&[words, &["--help"]].concat());
    assert_eq!(output.status.code(), Some(0), "{words:?}");
    let help = text(&output.stdout);
    for line in help.lines() {
        assert!(line.chars().count() <= 80, "{words:?}: {line}");
    }
    let example = format!("  mbushat {}", words.join(" "));
    assert!(help.contains(&example), "{words:?} has no example:\n{help}");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    (help.clone(), names.map(str::to_owned).collect())
}

#[test]
fn the_manual_is_made_of_the_definitions() {
    let commands = text(&mbushat(&["man"]).stdout);
    assert!(commands.starts_with(".ie") || commands.contains(".TH mbushat 8"), "{commands}");
    for part in [".SS check\n", ".SS hat\n", "\\-\\-config", ".SH EXIT STATUS"] {
        assert!(commands.contains(part), "{part}\n{commands}");
    }
    let config = text(&mbushat(&["man", "config"]).stdout);
    assert!(config.contains(".TH mbushat.toml 5") && config.contains("# retries = 2\n"), "{config}");
}

/// What is typed, the exit code, and what stderr begins with.
const MISTAKES: &[(&[&str], i32, &str)] = &[
    (&["decode", "nothere.hex"], 1, "error: there is no file nothere.hex\n"),
    (&["decode", "/"], 1, "error: cannot read the input\n  because Is a directory"),
    (&["decode", "zz"], 1, "error: 1 of 1 telegrams could not be decoded whole\n"),
    (&["decode", "--key", "12", "E5"], 2, "error: invalid value '12' for '--key <HEX>': a key is 32 hex digits\n"),
    // root may read every file, but nobody the memory at address 0
    (&["decode", "/proc/self/mem"], 1, "error: cannot read the input\n  because "),
    (&["--config", "/", "check"], 78, "error: cannot read the configuration /\n  because Is a directory"),
    (&["--config", "/nonexistent", "run"], 78, "error: cannot read the configuration /nonexistent: write one "),
    (&["--config", "/nonexistent", "read", "5"], 78, "error: cannot read the configuration /nonexistent: write one "),
    (&["--config", "/nonexistent", "scan"], 78, "error: cannot read the configuration /nonexistent: write one "),
    (
        &["--config", "/nonexistent", "meter", "reset", "5"],
        78,
        "error: cannot read the configuration /nonexistent: write one ",
    ),
    (
        &["--config", "/nonexistent", "profiles", "unknown", "a"],
        78,
        "error: cannot read the configuration /nonexistent: write one ",
    ),
    (&["read"], 2, "error: the following required arguments were not provided:\n  <ADDRESS>..."),
    (&["read", "251", "--port", "/dev/null"], 2, "error: there is no meter 251, want a configured name, 0 to 250, or"),
    (
        &["read", "5", "--port", "modem"],
        2,
        "error: modem is no port, want a serial device (/dev/ttyUSB0) or tcp://HOST",
    ),
    (&["read", "5", "--port", "tcp://host"], 2, "error: tcp://host is no port, want "),
    (&["read", "5", "--baud", "2401"], 2, "error: invalid value '2401' for '--baud <BAUD>': want 300, 600"),
    (
        &["read", "5", "--parity", "both"],
        2,
        "error: invalid value 'both' for '--parity <PARITY>': want even, odd or none",
    ),
    (
        &["read", "5", "--port", "tcp://nohost.invalid:1"],
        1,
        "error: cannot read 5\n  because cannot connect to the gateway",
    ),
    (
        &["read", "5", "--port", "/nonexistent/tty"],
        1,
        "error: cannot read 5\n  because cannot open /nonexistent/tty: is the",
    ),
    (&["scan", "--port", "/nonexistent/tty"], 1, "error: cannot scan\n  because cannot open /nonexistent/tty: is the"),
    (&["scan", "--from", "5", "--to", "3"], 2, "error: --from 5 is behind --to 3: there is nothing between\n"),
    (
        &["meter", "reset", "5", "-y", "--port", "/nonexistent/tty"],
        1,
        "error: cannot change a meter\n  because cannot open",
    ),
    (&["hat", "up"], 2, "error: invalid value 'up' for '[SWITCH]'\n  [possible values: on, off]"),
    (&["hat", "--device-tree", "/nonexistent"], 1, "error: no M-Bus Master Hat: "),
    (&["man", "page"], 2, "error: invalid value 'page' for '[PAGE]'\n  [possible values: commands, config]"),
    (&["completions", "cmd"], 2, "error: invalid value 'cmd' for '<SHELL>'\n  [possible values: "),
    (&["simulate", "/nonexistent"], 78, "error: cannot read "),
    (&["simulate", "--tcp", "nonsense"], 2, "error: invalid value 'nonsense' for '--tcp <ADDR:PORT>': invalid socket"),
];

#[test]
fn every_mistake_is_told_on_stderr_with_its_exit_code() {
    for (words, code, told) in MISTAKES {
        let output = mbushat(words);
        let stderr = text(&output.stderr);
        assert!(
            stderr.starts_with(told) && output.status.code() == Some(*code),
            "{words:?}: {:?} {stderr}",
            output.status
        );
    }
}

#[test]
fn a_port_or_a_place_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("a port").to_string();
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-link");
    std::fs::write(&file, "mine").expect("a writable folder");
    for (option, value, told) in [
        ("--tcp", address.as_str(), "error: cannot serve on 127.0.0.1:"),
        ("--link", file.to_str().expect("UTF-8"), "error: cannot make the link "),
    ] {
        let output = mbushat(&["simulate", option, value]);
        let stderr = text(&output.stderr);
        assert!(stderr.contains(told) && output.status.code() == Some(1), "{option}: {stderr}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), "mine");
}

#[test]
fn a_full_disk_is_a_failure_and_a_bad_log_level_is_named() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    for words in [&["man"][..], &["decode", "E5"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_mbushat"))
            .args(words)
            .stdout(full.try_clone().expect("a file"))
            .stderr(std::process::Stdio::piped())
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).starts_with("error: cannot write to stdout\n  because No space left"));
    }
    let output = Command::new(env!("CARGO_BIN_EXE_mbushat")).args(["read", "5"]).env("RUST_LOG", "a=loud").output();
    let output = output.expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: RUST_LOG = \"a=loud\" is no log filter, want a level such as"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let program = env!("CARGO_BIN_EXE_mbushat");
    for command in ["completions bash", "decode --format jsonl -", "man", "profiles", "--help"] {
        let script = format!("yes E5 | head -n 5000 | {{ sleep 0.2; {program} {command}; echo $? >&2; }} | true");
        let output = Command::new("sh").args(["-c", &script]).output().expect("sh");
        assert_eq!(text(&output.stderr), "0\n", "{command}");
    }
}
