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
        assert!(commands.iter().any(|name| step.starts_with(&format!("{name} "))), "{step} is not a command");
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
    let files = ["/etc/mbushat.d/*.toml\n", "/var/lib/mbushat/meters.toml\n"];
    for part in [".SS check\n", ".SS hat\n", "\\-\\-config", ".SH EXIT STATUS\n.TP\n0\nsuccess\n"].iter().chain(&files)
    {
        assert!(commands.contains(part), "{part}\n{commands}");
    }
    assert!(!commands.contains("\nPrometheus\n"), "a line that was wrapped twice:\n{commands}");
    let config = text(&mbushat(&["man", "config"]).stdout);
    for part in
        [".TH mbushat.toml 5", "\nretries = 2 # the default\n", "\naddress = 48\n", "\n[[meter]]\n", "\nFiles *.toml"]
    {
        assert!(config.contains(part), "{part}\n{config}");
    }
    assert!(!config.contains("Lines with two #"), "of use only in the sample:\n{config}");
}

/// What is typed, the exit code, and what stderr begins with.
const MISTAKES: &[(&[&str], i32, &str)] = &[
    (&["decode", "nothere.hex"], 1, "error: there is no file nothere.hex\n"),
    (&["decode", "/"], 1, "error: cannot read /: it is a directory\n"),
    // one error, before anything is decoded
    (&["decode", "./nothere"], 1, "error: there is no file ./nothere\n"),
    (&["decode", "zz"], 1, "error: 1 of 1 telegrams could not be decoded whole\n"),
    (
        &["decode", "--key", "12", "E5"],
        2,
        "error: --key cannot be used, expected 32 hex digits (it is not shown here)\n",
    ),
    // nothing is simulated before the port is open
    (&["simulate", "--tcp", "192.0.2.1:1"], 1, "error: cannot serve on 192.0.2.1:1\n"),
    (&["simulate", "/nonexistent"], 78, "error: cannot read the simulated bus /nonexistent\n  because "),
    (
        &["read", "5", "--port", "/dev/null", "--retries", "10"],
        1,
        "error: cannot read 5\n  because /dev/null is not a serial",
    ),
    (&["scan", "--port", "tcp://nobody.invalid:1"], 1, "error: cannot scan\n  because cannot connect to the gateway"),
    // root may read every file, but nobody the memory at address 0
    (&["decode", "/proc/self/mem"], 1, "error: cannot read the input\n  because "),
    (
        &["--config", "/", "check"],
        78,
        "error: cannot read the configuration /\n  because it is a directory; name a file",
    ),
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
    (
        &["read", "251", "--port", "/dev/null"],
        2,
        "error: there is no meter 251: expected a configured name, 0 to 250, 254 for",
    ),
    (
        &["read", "5", "--port", "modem"],
        2,
        "error: not a port: modem (expected a serial device (/dev/ttyUSB0), tcp://HOST",
    ),
    (&["read", "5", "--port", "tcp://host"], 2, "error: not a port: tcp://host (expected "),
    (&["read", "5", "--baud", "2401"], 2, "error: invalid value '2401' for '--baud <BAUD>': expected 300, 600"),
    (
        &["read", "5", "--parity", "both"],
        2,
        "error: invalid value 'both' for '--parity <PARITY>': expected even, odd or none",
    ),
    (
        &["read", "5", "--port", "tcp://nohost.invalid:1"],
        1,
        "error: cannot read 5\n  because cannot connect to the gateway",
    ),
    (
        &["read", "5", "--port", "/nonexistent/tty"],
        1,
        "error: cannot read 5\n  because cannot open /nonexistent/tty (is the",
    ),
    (
        // a file that whoever runs the tests may open
        &["read", "5", "--port", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")],
        1,
        concat!("error: cannot read 5\n  because ", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml is not a serial device\n"),
    ),
    (
        &["read", "5", "--timeout", "2"],
        2,
        "error: invalid value '2' for '--timeout <TIME>': expected a time such as 500ms or 2s",
    ),
    (&["meter", "reset", "255", "--port", "/dev/null"], 2, "error: there is no meter 255: expected a configured"),
    (&["meter", "set-address", "255", "5", "--port", "/dev/null"], 2, "error: there is no meter 255: expected a"),
    (&["send", "zz"], 2, "error: not hex digits: `zz`\n"),
    (&["send", "40"], 2, "error: one byte is not a frame: expected C and A, or C, A, CI and data\n"),
    (&["send", "40", "5", "--port", "/nonexistent/tty"], 1, "error: cannot send\n  because cannot open /nonexistent"),
    (&["--config", "/nonexistent", "doctor", "heat"], 78, ""),
    (&["scan", "--port", "/nonexistent/tty"], 1, "error: cannot scan\n  because cannot open /nonexistent/tty (is the"),
    (&["scan", "--from", "5", "--to", "3"], 2, "error: --from 5 is greater than --to 3\n"),
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
    (&["simulate", "--tcp", "nonsense"], 2, "error: invalid value 'nonsense' for '--tcp <ADDR:PORT>': expected an"),
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
fn check_tells_programs_what_is_good_and_what_is_not() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let check = |name: &str, config: &str| {
        let file = folder.join(name);
        std::fs::write(&file, config).expect("a writable folder");
        let output = mbushat(&["check", "--format", "json", file.to_str().expect("UTF-8")]);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (json, output.status.code())
    };
    let meters = "[[meter]]\nname = \"a\"\naddress = 5\ninterval = \"1m\"\n[[meter]]\nname = \"b\"\naddress = 6\nenabled = false\n";
    let (good, code) = check("check-good.toml", meters);
    assert_eq!((&good["good"], &good["meters"][0]["name"], code), (&true.into(), &"a".into(), Some(0)));
    assert_eq!((&good["meters"][0]["interval_s"], &good["disabled_meters"][0]), (&60.0.into(), &"b".into()));
    assert_eq!((&good["buses"][0]["line"], &good["buses"][0]["meters"]), (&"2400 8E1".into(), &1.into()));
    assert!(good["warnings"][0].as_str().is_some_and(|words| words.contains("drains a battery")), "{good}");
    let missing = mbushat(&["check", "--format", "json", "/nonexistent/mbushat.toml"]);
    let missing: serde_json::Value = serde_json::from_slice(&missing.stdout).expect("JSON");
    assert_eq!((&missing["good"], &missing["problems"][0]["line"]), (&false.into(), &().into()), "{missing}");
    let (bad, code) = check("check-bad.toml", "[[meter]]\nname = \"Cold Water\"\nadress = 7\n");
    assert_eq!((&bad["good"], code), (&false.into(), Some(78)));
    let problems = bad["problems"].as_array().expect("problems");
    let words = |n: usize| problems[n]["what"].as_str().expect("words");
    assert_eq!(problems.len(), 2, "the consequence of a slip is no problem of its own: {bad}");
    assert!(words(0).contains("name = \"cold_water\" and title = \"Cold Water\""), "{bad}");
    assert_eq!((&problems[1]["line"], words(1).contains("did you mean `address`?")), (&3.into(), true));
}

#[test]
fn two_unusable_ports_are_not_the_same_one() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports.toml");
    let bus = |name: &str, port: &str| format!("[[bus]]\nname = \"{name}\"\nport = \"{port}\"\n");
    std::fs::write(&file, bus("b1", "COM3") + &bus("b2", "192.168.1.5:10001")).expect("a writable folder");
    let error = text(&mbushat(&["check", file.to_str().expect("UTF-8")]).stderr);
    assert!(error.contains("has 2 problems") && !error.contains("is that of bus"), "{error}");
}

#[test]
fn a_meter_that_is_switched_off_is_named_where_none_is_read() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("disabled.toml");
    std::fs::write(&file, "[[meter]]\nname = \"heat\"\naddress = 5\nenabled = false\n").expect("a writable folder");
    let output = text(&mbushat(&["check", file.to_str().expect("UTF-8")]).stdout);
    assert!(output.contains("No meter is enabled: heat has enabled = false.\n"), "{output}");
    assert!(output.lines().all(|line| line.chars().count() <= 80), "{output}");
}

#[test]
fn a_dump_of_bytes_is_decoded_telegram_by_telegram() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("dump.bin");
    let busy = [0x68, 4, 4, 0x68, 0x08, 0x05, 0x70, 0x08, 0x85, 0x16];
    std::fs::write(&file, [&busy[..], &busy, &[0xE5], &busy[..7]].concat()).expect("a writable folder");
    let output = mbushat(&["decode", "--format", "jsonl", file.to_str().expect("UTF-8")]);
    let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[1].contains("\"application_error\":{\"code\":8") && lines[3].contains("\"error\":\""), "{lines:?}");
    assert_eq!(text(&output.stderr), "error: 1 of 4 telegrams could not be decoded whole\n");
}

#[test]
fn a_gateway_with_an_ipv6_address_is_written_with_brackets_everywhere() {
    let plan = mbushat(&["meter", "reset", "48", "--dry-run", "--port", "tcp://[::1]:1"]);
    assert!(text(&plan.stdout).contains("tcp://[::1]:1, 2400 8E1"), "{}", text(&plan.stdout));
    let refused = text(&mbushat(&["read", "48", "--port", "tcp://[::1]:1"]).stderr);
    assert!(refused.contains("cannot connect to the gateway tcp://[::1]:1\n"), "{refused}");
    assert!(
        refused.ends_with("  -> many gateways serve one program at a time: end the other, the agent too\n"),
        "{refused}"
    );
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
    assert!(
        text(&output.stderr).starts_with("error: RUST_LOG = \"a=loud\" is not a log filter, expected a level such as")
    );
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

#[test]
fn the_journal_gets_a_priority_for_each_line_and_no_second_time() {
    use std::os::unix::fs::MetadataExt;
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("journal");
    _ = std::fs::remove_dir_all(&folder); // a store of an earlier run would have its own lines
    std::fs::create_dir_all(&folder).expect("a writable folder");
    let (config, log) = (folder.join("mbushat.toml"), folder.join("log"));
    let text = "[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n[store]\ndirectory = \"store\"\n\
                [[bus]]\nname = \"b\"\nport = \"/nonexistent/tty\"\n";
    std::fs::write(&config, text).expect("a writable folder");
    let file = std::fs::File::create(&log).expect("a log");
    let about = file.metadata().expect("our file");
    let mut agent = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .args(["run".as_ref(), "--config".as_ref(), config.as_os_str()])
        .env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino()))
        .env_remove("RUST_LOG")
        .stderr(file)
        .spawn()
        .expect("the program starts");
    let started = std::time::Instant::now();
    let logged = loop {
        let logged = std::fs::read_to_string(&log).expect("the log");
        if (logged.contains("bus is down") && logged.contains("the broker ")) || started.elapsed().as_secs() > 20 {
            break logged;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    agent.kill().expect("its end");
    agent.wait().expect("its end");
    let priority = |words: &str| logged.lines().find(|line| line.contains(words)).map(|line| line[..3].to_owned());
    assert_eq!(priority("bus is down"), Some("<3>".to_owned()), "{logged}");
    assert_eq!(priority("the broker "), Some("<4>".to_owned()), "{logged}");
    assert!(!logged.contains("ERROR") && !logged.contains("WARN"), "{logged}");
    let dated = |line: &str| line.trim_start_matches(['<', '>', '3', '4', '6']).starts_with("2");
    assert!(!logged.lines().any(dated), "{logged}");
}

#[test]
fn only_a_gateway_that_refuses_may_serve_somebody_else() {
    let hint = "many gateways serve one program";
    for (port, served) in [("tcp://nobody.invalid:1", false), ("tcp://127.0.0.1:1", true)] {
        let error = text(&mbushat(&["scan", "--port", port]).stderr);
        assert_eq!(error.contains(hint), served, "{error}");
    }
}
