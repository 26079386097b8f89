//! The tables of `src/lib.rs`, read from its page and enforced: which room may use which, and which
//! names have a home.

use std::fs;
use std::path::{Path, PathBuf};

use super::source;

/// What the page says.
#[derive(Debug, Default)]
struct Page {
    rooms: Vec<Room>,
    /// Names of other crates, and where alone they may be used.
    homes: Vec<(Vec<String>, Vec<String>)>,
}

/// A row of the first table.
#[derive(Debug)]
struct Room {
    /// `mbus`, or a part of a room: `mbus::link`.
    module: String,
    /// `None`: every room.
    may_use: Option<Vec<String>>,
    never: Vec<String>,
}

impl Page {
    fn read() -> Self {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
        let mut page = Self::default();
        let outside = text.lines().find_map(|line| line.strip_prefix("//! *Outside*: ")).expect("what is outside");
        let outside = quoted(outside);
        for line in text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
            let cells: Vec<&str> = line.trim_end_matches(" |").split(" | ").collect();
            match cells[..] {
                [module, _, may_use, never] if module.contains('`') => page.rooms.push(Room {
                    module: quoted(module).concat(),
                    may_use: (may_use != "all").then(|| quoted(may_use)),
                    never: if never.contains("outside") {
                        [quoted(never), outside.clone()].concat()
                    } else {
                        quoted(never)
                    },
                }),
                [names, homes] if names.contains('`') => page.homes.push((quoted(names), quoted(homes))),
                _ => {}
            }
        }
        page
    }

    fn faults(&self, module: &str, code: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for (names, homes) in &self.homes {
            let away = names.iter().filter(|name| uses(code, name) && !homes.iter().any(|home| is_in(module, home)));
            faults.extend(away.map(|name| format!("{module} uses {name}, whose home is {homes:?}")));
        }
        let paths = source::paths(module, code);
        for room in self.rooms.iter().filter(|room| is_in(module, &room.module)) {
            let own = room.module.split("::").next().unwrap_or_default();
            let rooms = paths.iter().filter_map(|path| path.split("::").next()).filter(|other| self.has(other));
            let allowed = |other: &&str| room.may_use.as_ref().is_none_or(|may| may.iter().any(|may| may == other));
            let wrong = rooms.filter(|other| *other != own && !allowed(other));
            faults.extend(wrong.map(|other| format!("{module} uses {other}: {} may not", room.module)));
            let named = room.never.iter().filter(|name| uses(code, name) || paths.iter().any(|path| is_in(path, name)));
            faults.extend(named.map(|name| format!("{module} uses {name}: {} never does", room.module)));
        }
        faults
    }

    fn has(&self, module: &str) -> bool {
        self.rooms.iter().any(|room| room.module == module)
    }
}

/// What stands between back quotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a module is this one or below it.
fn is_in(module: &str, other: &str) -> bool {
    module.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
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

#[test]
fn every_name_stays_in_its_room() {
    let page = Page::read();
    let faults: Vec<String> = source::modules().iter().flat_map(|(module, code)| page.faults(module, code)).collect();
    assert!(faults.is_empty(), "{}\n(the table of rooms is in src/lib.rs)", faults.join("\n"));
}

#[test]
fn every_room_has_its_row_and_every_name_in_a_row_exists() {
    let (page, modules) = (Page::read(), source::modules());
    let top: Vec<&String> = modules.keys().filter(|module| !module.contains("::")).collect();
    let missing: Vec<_> = top.iter().filter(|module| !page.has(module)).collect();
    assert!(missing.is_empty(), "no row in src/lib.rs: {missing:?}");
    let named = page.rooms.iter().flat_map(|room| [&room.module].into_iter().chain(room.may_use.iter().flatten()));
    let named = named.chain(page.homes.iter().flat_map(|(_, homes)| homes));
    let unknown: Vec<_> = named.filter(|name| !modules.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "no such module: {unknown:?}");
    let idle = |room: &&Room| {
        let inside = || modules.iter().filter(|(module, _)| is_in(module, &room.module));
        let used = |other: &String| {
            inside().any(|(module, code)| source::paths(module, code).iter().any(|path| is_in(path, other)))
        };
        room.may_use.iter().flatten().any(|other| !used(other))
    };
    let idle: Vec<_> = page.rooms.iter().filter(idle).collect();
    assert!(idle.is_empty(), "they may use what they do not: {idle:?}");
}

#[test]
fn a_planted_violation_is_found() {
    let page = Page::read();
    let found = |module: &str, code: &str| !page.faults(module, &source::code(code)).is_empty();
    assert!(found("mbus::link::frame", "use tokio::time;"));
    assert!(found("mbus::link::frame", "let t = Instant::now();"));
    assert!(found("mbus::link::frame", "use crate::mbus::master::exchange;"));
    assert!(found("mbus::application::vib", "use crate::mbus::{link::frame, master};"));
    assert!(found("measure::unit", "use crate::homeassistant::class;"));
    assert!(found("measure::unit", "println!(\"x\")"));
    assert!(found("sim::meter", "fn f() -> crate::measure::Reading {}"));
    assert!(found("mqtt::outbox", "let c = rumqttc5::Client;"));
    assert!(found("bus::task", "use rppal::gpio::Gpio;"));
    assert!(found("bus::task", "use crate::{config::Bus, spool::Spool};"));
    assert!(!found("bus::task", "use crate::config::Bus;"));
    assert!(!found("bus::hat", "use rppal::gpio::Gpio;"));
    assert!(!found("mbus::link::frame", "// tokio would be wrong here\nlet tokio_like = 1;"));
    assert!(!found("mbus::link::frame", "#[cfg(test)]\nmod tests {\n use std::fs; }"));
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
    let sources = source::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let found: Vec<PathBuf> =
        sources.into_iter().filter(|f| chained(&fs::read_to_string(f).expect("a file"))).collect();
    assert!(found.is_empty(), "{found:?}");
}
