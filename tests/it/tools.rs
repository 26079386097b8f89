//! Programs that some tests need. A missing one skips the test, in so many words; where
//! `MBUSHAT_NEED_TOOLS` is set (continuous integration does) it fails the test instead.

use std::path::PathBuf;

/// Where `name` is, looked up in `PATH` and the usual system folders; `None` after a `SKIPPED` line.
///
/// # Panics
/// Where the program is missing and `MBUSHAT_NEED_TOOLS` is set.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("MBUSHAT_NEED_TOOLS").is_none(), "{name} is not installed");
        println!("SKIPPED: {name} is not installed");
    }
    found
}

#[test]
fn a_missing_program_is_reported_not_found() {
    if std::env::var_os("MBUSHAT_NEED_TOOLS").is_none() {
        assert_eq!(tool("no-such-program-anywhere"), None);
    }
    assert!(tool("sh").is_some());
}
