//! Our own telegrams, one file each in `tests/telegrams`: source, hex digits, and what is expected of
//! them in the form of `mbushat decode --format json`. `UPDATE_GOLDEN=1` writes the expectations anew;
//! read the difference before you keep it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Between a telegram and what is expected of it.
const MARK: &str = "--- expected ---\n";

#[test]
fn every_telegram_decodes_as_its_file_expects() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let files = files();
    assert!(files.len() >= 53, "{} telegrams", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let content = std::fs::read_to_string(&file).expect("a telegram");
        let (telegram, expected) = content.split_once(MARK).unwrap_or((&content, ""));
        assert!(telegram.contains("# source: "), "{} does not say where it comes from", file.display());
        let got = decode(telegram);
        if update {
            std::fs::write(&file, format!("{telegram}{MARK}{got}")).expect("written");
        } else if got != expected {
            wrong.push(format!("{}:\n{}", file.display(), first_difference(expected, &got)));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_GOLDEN=1 takes the new decoding over", wrong.join("\n"));
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telegrams");
    let entries = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    files
}

fn decode(telegram: &str) -> String {
    let file = std::env::temp_dir().join(format!("mbushat-telegram-{}", std::process::id()));
    std::fs::write(&file, telegram).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_mbushat"))
        .args(["decode", "--format", "json"])
        .arg(&file)
        .output()
        .expect("the program starts");
    std::fs::remove_file(&file).expect("removed");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn first_difference(expected: &str, got: &str) -> String {
    let lines = expected.lines().zip(got.lines()).enumerate();
    match lines.into_iter().find(|(_, (a, b))| a != b) {
        Some((n, (a, b))) => format!("  line {}: expected {}, got {}", n + 1, a.trim(), b.trim()),
        None => format!("  {} lines expected, {} got", expected.lines().count(), got.lines().count()),
    }
}
