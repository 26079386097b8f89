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

#[test]
fn a_closed_pipe_ends_quietly() {
    let script = format!("{{ sleep 0.5; {} completions bash; echo $? >&2; }} | true", env!("CARGO_BIN_EXE_mbushat"));
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh");
    assert_eq!(text(&output.stderr), "0\n");
}
