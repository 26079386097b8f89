//! The table of rooms in `src/lib.rs`, enforced: which names may appear in which folder.
//!
//! It reads the sources as text. Comments and `#[cfg(test)]` modules are left out: prose may name
//! anything, and tests may use a clock.

use std::fs;
use std::path::{Path, PathBuf};

/// Names that only these rooms may use.
const OWNED: &[(&[&str], &[&str])] = &[
    (&["rppal", "gpiocdev"], &["bus/hat.rs"]),
    (&["tokio_serial"], &["bus/line"]),
    (&["rumqttc"], &["mqtt/link"]),
    (&["toml"], &["config/file"]),
    (&["rusqlite"], &["spool/"]),
    (&["aes", "cbc", "cmac"], &["mbus/application/security.rs"]),
];

/// Names that these rooms must not use.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (
        &["mbus/", "sim/", "measure/"],
        &[
            "tokio",
            "tracing",
            "serde",
            "serde_json",
            "jiff",
            "rustix",
            "std::io",
            "std::fs",
            "std::net",
            "Instant::now",
            "SystemTime::now",
            "async fn",
            "println!",
            "std::env",
        ],
    ),
    (&["homeassistant/"], &["tokio", "rumqttc", "std::fs", "std::net", "Instant::now", "SystemTime::now"]),
    (&["config/"], &["tokio", "rumqttc"]),
    (&["bus/"], &["rumqttc", "crate::spool", "crate::mqtt", "crate::homeassistant"]),
    (&["spool/"], &["rumqttc", "crate::bus", "crate::mqtt", "crate::homeassistant"]),
    (&["doctor/"], &["println!", "crate::cli", "crate::agent", "crate::spool"]),
    (&["mqtt/"], &["rppal", "gpiocdev", "tokio_serial"]),
    (&["mbus/"], &["crate::sim", "crate::measure", "crate::config", "crate::bus", "crate::mqtt", "crate::status"]),
    (&["mbus/link"], &["crate::mbus::application", "crate::mbus::master"]),
    (&["mbus/application"], &["crate::mbus::master"]),
    (&["measure/"], &["crate::sim", "crate::config", "crate::bus", "crate::mqtt", "crate::status"]),
    (&["sim/"], &["crate::measure", "crate::config", "crate::bus", "crate::mqtt", "crate::status"]),
];

#[test]
fn every_name_stays_in_its_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for file in sources(&root).into_iter().filter(|file| !file.ends_with("tests.rs")) {
        let place = file.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        let code = code_of(&fs::read_to_string(&file).expect("a source file"));
        faults.extend(faults_of(&place, &code));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_planted_violation_is_found() {
    let found = |place: &str, code: &str| !faults_of(place, &code_of(code)).is_empty();
    assert!(found("mbus/frame.rs", "use tokio::time;"));
    assert!(found("mbus/frame.rs", "let t = Instant::now();"));
    assert!(found("mbus/link/frame.rs", "use crate::mbus::master::exchange;"));
    assert!(found("mqtt/outbox.rs", "let c = rumqttc::Client;"));
    assert!(found("bus/task.rs", "use rppal::gpio::Gpio;"));
    assert!(!found("bus/hat.rs", "use rppal::gpio::Gpio;"));
    assert!(!found("mbus/frame.rs", "// tokio would be wrong here\nlet tokio_like = 1;"));
    assert!(!found("mbus/frame.rs", "#[cfg(test)]\nmod tests { use std::fs; }"));
}

/// rustfmt gives every part of a let chain a line of its own, but for the shortest.
#[test]
fn no_source_has_a_let_chain_which_rust_1_85_does_not_compile() {
    let chained = |code: &str| {
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        lines.iter().any(|line| line.contains("&& let "))
            || lines.windows(2).any(|two| two[0].contains("if let ") && two[1].starts_with("&& "))
    };
    assert!(chained("if let Some(a) = b\n    && c"));
    assert!(chained("if a && let Some(b) = c {"));
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let found: Vec<PathBuf> =
        sources.into_iter().filter(|f| chained(&fs::read_to_string(f).expect("a file"))).collect();
    assert!(found.is_empty(), "{found:?}");
}

fn faults_of(place: &str, code: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (names, rooms) in OWNED {
        for name in *names {
            if uses(code, name) && !rooms.iter().any(|r| place.starts_with(r)) {
                faults.push(format!("src/{place} uses {name}, which belongs in {rooms:?}"));
            }
        }
    }
    for (rooms, names) in FORBIDDEN {
        for name in *names {
            if uses(code, name) && rooms.iter().any(|r| place.starts_with(r)) {
                faults.push(format!("src/{place} uses {name}"));
            }
        }
    }
    faults
}

/// Whether `name` stands in `code` as a whole word, as a path or a macro.
fn uses(code: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + name.len()..].chars().next();
        let path = name.contains([':', '!', ' ']) || code[at + name.len()..].starts_with("::");
        path && !before.is_some_and(|c| word(c) || c == '.') && !after.is_some_and(word)
    })
}

/// The source without comments and without what follows `#[cfg(test)]`, which ends a file here.
fn code_of(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
