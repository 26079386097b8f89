//! The sources of the program as text: modules, and which other modules each of them names.
//!
//! Comments and test modules are left out: prose may name anything, and tests may use a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The code of each module, by its path (`mbus::link::frame`). Modules of tests are not there.
pub(crate) fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    for file in files(&root) {
        let inside = file.strip_prefix(&root).expect("below src").with_extension("");
        let names: Vec<&str> = inside.iter().filter_map(|name| name.to_str()).filter(|name| *name != "mod").collect();
        modules.insert(names.join("::"), fs::read_to_string(&file).expect("a source file"));
    }
    modules.remove("lib");
    modules.remove("main");
    let of_tests: BTreeSet<String> = modules.iter().flat_map(|(module, source)| test_modules(module, source)).collect();
    modules.retain(|module, _| !of_tests.contains(module));
    modules.into_iter().map(|(module, source)| (module, code(&source))).collect()
}

/// The modules that `module` declares for its tests alone, in files of their own.
fn test_modules(module: &str, source: &str) -> Vec<String> {
    let behind = source.split("#[cfg(test)]\n").skip(1);
    let names = behind.filter_map(|rest| rest.lines().next()?.split_once("mod ")?.1.strip_suffix(';'));
    names.map(|name| format!("{module}::{name}")).collect()
}

/// Without comments, and without the test module that ends a file.
pub(crate) fn code(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every path of this crate that the code of `module` names, in `use` or elsewhere, from the root on.
pub(crate) fn paths(module: &str, code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices("::") {
        let before = &code[..at];
        let start = before.rfind(|c: char| !is_word(c)).map_or(0, |at| at + 1);
        // further parts of a path are taken with its first one
        if matches!(&before[start..], "crate" | "super" | "self") && !before[..start].ends_with("::") {
            branches(&code[start..], "", &mut |path| paths.extend(absolute(module, path)));
        }
    }
    paths
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths of a tree such as `a::{b, c::d}`, which stands at the front of `code`.
fn branches(code: &str, stem: &str, see: &mut impl FnMut(&str)) {
    let code = code.trim_start();
    let end = code.find(|c: char| !is_word(c) && c != ':').unwrap_or(code.len());
    let path = format!("{stem}{}", &code[..end]);
    let Some(inside) = code[end..].strip_prefix('{').filter(|_| path.ends_with("::")) else { return see(&path) };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inside.char_indices() {
        match c {
            ',' | '}' if depth == 0 => {
                branches(&inside[start..at], &path, see);
                start = at + 1;
                if c == '}' {
                    return;
                }
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
}

/// From the root of the crate, without `crate`, `self` and `super`.
fn absolute(module: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = module.split("::").collect();
    for part in path.split("::").filter(|part| !part.is_empty()) {
        match part {
            "crate" => parts.clear(),
            "self" => {}
            "super" => _ = parts.pop()?,
            name => parts.push(name),
        }
    }
    Some(parts.join("::"))
}

/// Every source file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn a_path_is_found_wherever_it_is_written() {
    let code = "use crate::{a::{b, c::D}, e};\nuse super::f::{self, G};\nfn x() -> super::super::Y { crate::h::i() }";
    let found = paths("room::floor::file", code);
    let want = ["a::b", "a::c::D", "e", "h::i", "room::Y", "room::floor::f", "room::floor::f::G"];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), want);
}
