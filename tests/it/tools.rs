//! Programs that some tests need. A missing one skips the test, in so many words; where
//! `MBUSHAT_NEED_TOOLS` is set (continuous integration does) it fails the test instead.

use std::io::Write;
use std::path::PathBuf;

/// Where `name` is, looked up in `PATH` and the usual system folders; `None` after a `SKIPPED` line.
///
/// # Panics
/// Where the program is missing and `MBUSHAT_NEED_TOOLS` is set.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        missing(&format!("{name} is not installed"));
    }
    found
}

/// The same for a program that need not be there even where every other must.
pub(crate) fn optional_tool(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        skipped(&format!("{name} is not installed"));
    }
    found
}

/// Says why this test is skipped.
///
/// # Panics
/// Where `MBUSHAT_NEED_TOOLS` is set.
pub(crate) fn missing(what: &str) {
    assert!(std::env::var_os("MBUSHAT_NEED_TOOLS").is_none(), "{what}");
    skipped(what);
}

/// Says why this test is skipped. The test runner keeps what a passing test prints with `println!` or
/// `eprintln!` to itself, but not what it writes to the stream.
pub(crate) fn skipped(why: &str) {
    // the runner names a test's thread after it
    let thread = std::thread::current();
    let line = format!("SKIPPED {}: {why}\n", thread.name().unwrap_or("a test"));
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

#[test]
fn a_skipped_test_says_so_though_it_passes_and_fails_where_every_tool_is_needed() {
    let run = |needed: bool| {
        let mut runner = std::process::Command::new(std::env::current_exe().expect("this program"));
        runner.args(["--ignored", "--exact", "tools::one_that_misses_a_program"]);
        if needed {
            runner.env("MBUSHAT_NEED_TOOLS", "1")
        } else {
            runner.env_remove("MBUSHAT_NEED_TOOLS")
        };
        let output = runner.output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (passed, said) = run(false);
    assert!(passed, "{said}");
    assert_eq!(said, "SKIPPED tools::one_that_misses_a_program: no-such-program is not installed\n");
    assert!(!run(true).0);
}

#[test]
#[ignore = "run by the test above"]
fn one_that_misses_a_program() {
    assert!(tool("sh").is_some());
    assert_eq!(tool("no-such-program"), None);
}
