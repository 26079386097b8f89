//! What the packages bring along, tried as programs. What needs a Debian root or an emulated Pi is in
//! `packaging/test-roots.sh` and `packaging/test-pi.py`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::bus_commands::{Folder, text};
use crate::tools::{optional_tool, tool};

/// The package's preinst on a processor that `uname -m` calls so.
fn preinst(processor: &str, argument: &str) -> Output {
    let place = Folder::new(&format!("preinst-{processor}-{argument}"));
    place.write("uname", &format!("#!/bin/sh\necho {processor}\n"));
    let uname = place.path("uname");
    std::fs::set_permissions(&uname, std::fs::Permissions::from_mode(0o755)).expect("our file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/deb/preinst");
    let path = format!("{}:{}", place.path(""), std::env::var("PATH").expect("a PATH"));
    Command::new("sh").arg(script).arg(argument).env("PATH", path).output().expect("sh")
}

#[test]
fn the_package_refuses_an_armv6_with_a_sentence_and_nothing_else() {
    for argument in ["install", "upgrade"] {
        let refused = preinst("armv6l", argument);
        assert_eq!(refused.status.code(), Some(1));
        let said = text(&refused.stderr);
        assert!(said.starts_with("mbushat: this processor is an ARMv6") && said.contains("needs ARMv7"), "{said}");
        assert!(preinst("armv7l", argument).status.success());
        assert!(preinst("aarch64", argument).status.success(), "a 64-bit kernel runs 32-bit programs");
    }
    assert!(preinst("armv6l", "abort-upgrade").status.success(), "dpkg must be able to go back");
}

#[test]
fn each_shell_takes_its_completions() {
    let place = Folder::new("completions");
    for shell in ["bash", "zsh", "fish"] {
        let script = place.mbushat(&["completions", shell]).stdout;
        let script = String::from_utf8(script).expect("UTF-8");
        for command in ["doctor", "sync-clock", "unknown"] {
            assert!(script.contains(command), "{command} for {shell}");
        }
        place.write("script", &script);
        let Some(program) = (if shell == "bash" { tool(shell) } else { optional_tool(shell) }) else { continue };
        let parsed = Command::new(program).arg("-n").arg(place.path("script")).output().expect("the shell runs");
        assert!(parsed.status.success() && parsed.stderr.is_empty(), "{shell}: {}", text(&parsed.stderr));
    }
}

#[test]
fn man_finds_no_fault_in_the_manual_pages() {
    let Some(man) = optional_tool("man") else { return };
    let place = Folder::new("man");
    for page in ["commands", "config"] {
        place.write("page", &text(&place.mbushat(&["man", page]).stdout));
        let rendered = Command::new(&man)
            .args(["--warnings=all", "--local-file"])
            .arg(place.path("page"))
            .env("MANWIDTH", "80")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("man runs");
        assert_eq!((text(&rendered.stderr).as_str(), rendered.status.code()), ("", Some(0)), "{page}");
        let rendered = text(&rendered.stdout);
        let wide: Vec<&str> = rendered.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty() && rendered.contains("SEE ALSO"), "{page}: {wide:?}");
    }
}
