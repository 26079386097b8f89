//! No circle of modules inside a room: each file can be understood with those it names.
//!
//! A module and those below it are one family: a parent declares its children and passes their names
//! on, and they use what it has for all of them. What one of them names of another in the same line
//! of descent does not count; between cousins it does.

use std::collections::{BTreeMap, BTreeSet};

use super::source;

#[test]
fn no_modules_of_a_room_use_each_other_in_a_circle() {
    let circles = circles(&source::modules());
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn a_planted_circle_is_found() {
    let house = |files: &[(&str, &str)]| {
        circles(&files.iter().map(|(module, code)| ((*module).to_owned(), (*code).to_owned())).collect())
    };
    let (a, b, c) = (("r::a", "use super::b::X;"), ("r::b", "use crate::r::{c::d};"), ("r::c", "use crate::r::a;"));
    assert_eq!(house(&[("r", ""), a, b, c, ("r::c::d", "")]), [] as [&str; 0], "no way from d to c");
    assert_eq!(house(&[("r", ""), a, ("r::b", "use super::c;"), c]), ["r::a -> r::b -> r::c -> r::a"]);
    assert_eq!(house(&[("r", ""), a, ("r::b", "fn f() { crate::r::a::g() }")]), ["r::a -> r::b -> r::a"]);
    assert!(house(&[("r", "use self::a::X;"), ("r::a", "use super::Y;")]).is_empty(), "a parent and its child");
    assert!(house(&[("r::a", "use crate::s::b;"), ("s::b", "use crate::r::a;")]).is_empty(), "rooms have their table");
}

/// Each circle once, as a chain of modules.
fn circles(modules: &BTreeMap<String, String>) -> Vec<String> {
    let uses: BTreeMap<&str, BTreeSet<&str>> =
        modules.iter().map(|(module, code)| (module.as_str(), used(module, code, modules))).collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for start in uses.keys() {
        if let Some(chain) = way_back(start, &uses).filter(|chain| !chain.iter().any(|module| seen.contains(module))) {
            seen.extend(chain.iter().copied());
            circles.push(format!("{} -> {start}", chain.join(" -> ")));
        }
    }
    circles
}

/// The other modules of its room that a module uses, its line of descent left out.
fn used<'m>(module: &str, code: &str, modules: &'m BTreeMap<String, String>) -> BTreeSet<&'m str> {
    let is_below = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with("::"));
    let room = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let deepest = |path: &String| {
        let known = modules.keys().filter(|known| is_below(path, known));
        known.max_by_key(|known| known.len()).map(String::as_str)
    };
    let used = source::paths(module, code).iter().filter_map(deepest).collect::<BTreeSet<_>>();
    let counts = |other: &&str| room(other) == room(module) && !is_below(other, module) && !is_below(module, other);
    used.into_iter().filter(counts).collect()
}

/// The shortest chain of modules from `start` that leads back to it.
fn way_back<'m>(start: &'m str, uses: &BTreeMap<&'m str, BTreeSet<&'m str>>) -> Option<Vec<&'m str>> {
    let mut chains = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !chains.is_empty() {
        let mut longer = Vec::new();
        for chain in chains {
            for &next in chain.last().and_then(|last| uses.get(last)).into_iter().flatten() {
                if next == start {
                    return Some(chain);
                }
                if seen.insert(next) {
                    longer.push([chain.as_slice(), &[next]].concat());
                }
            }
        }
        chains = longer;
    }
    None
}
