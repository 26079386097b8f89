//! The pages of the book that the program itself knows best: every setting, from the sample configuration, and every
//! command, from its help. `UPDATE_GOLDEN=1 cargo test --test it manual` writes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One table of the sample.
#[derive(Default)]
struct Table {
    /// `[mqtt]`, `[[meter.record]]`
    head: String,
    intro: Vec<String>,
    groups: Vec<Group>,
}

/// Settings that are explained together.
#[derive(Default)]
struct Group {
    text: Vec<String>,
    /// As written, and whether that is the default.
    settings: Vec<(String, bool)>,
}

impl Table {
    /// `mqtt`, `record` for `[[meter.record]]`.
    fn name(&self) -> &str {
        let path = self.head.trim_matches(['[', ']']);
        path.rsplit_once('.').filter(|(of, _)| *of == "meter").map_or(path, |(_, last)| last)
    }
}

/// What every `[[meter]]` needs has no default.
const EXAMPLES: [&str; 2] = ["name", "address"];

fn is_setting(text: &str) -> bool {
    let word = |key: &str| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    text.split_once(" = ").is_some_and(|(key, _)| word(key))
}

/// An empty one for what comes before the first table, and the tables.
fn tables(sample: &str) -> Vec<Table> {
    let mut all = vec![Table::default()];
    let mut group = Group::default();
    // what comes before the first table is of use in the file alone
    let lines = sample.lines().skip_while(|line| !line.trim_start_matches('#').trim_start().starts_with('['));
    for line in lines {
        let text = line.trim_start_matches('#').trim_start();
        let last = all.last_mut().expect("one");
        if text.starts_with('[') {
            if !group.settings.is_empty() {
                last.groups.push(std::mem::take(&mut group));
            }
            all.push(Table { head: text.to_owned(), intro: std::mem::take(&mut group.text), groups: Vec::new() });
        } else if is_setting(text) {
            let is_example = line.starts_with("##") || last.head == "[[meter]]" && EXAMPLES.contains(&key(text));
            group.settings.push((text.to_owned(), !is_example));
        } else {
            if !group.settings.is_empty() {
                last.groups.push(std::mem::take(&mut group));
            }
            group.text.push(text.to_owned());
        }
        if line.is_empty() && !group.settings.is_empty() {
            all.last_mut().expect("one").groups.push(std::mem::take(&mut group));
        }
    }
    all.last_mut().expect("one").groups.push(group);
    all
}

/// Prose of the sample as Markdown.
fn prose(lines: &[String]) -> String {
    let text: Vec<&str> = lines.iter().map(|line| if line.is_empty() { "\n\n" } else { line }).collect();
    let text = text.join(" ").replace(" \n\n ", "\n\n").replace('<', "&lt;").replace('*', "\\*");
    text.trim().to_owned()
}

fn key(setting: &str) -> &str {
    setting.split(" = ").next().unwrap_or_default()
}

/// A section for each group of settings that has not been named above; else it goes on.
fn sections(table: &Table, level: &str) -> String {
    let mut page = String::new();
    let mut named = BTreeSet::new();
    for Group { text, settings } in &table.groups {
        let keys: Vec<&str> = settings.iter().map(|(setting, _)| key(setting)).collect();
        let new: Vec<String> = keys.iter().filter(|key| named.insert(**key)).map(|key| format!("`{key}`")).collect();
        if !new.is_empty() {
            page += &format!("\n{level} {}\n", new.join(", "));
        }
        if !text.is_empty() {
            page += &format!("\n{}\n", prose(text));
        }
        for block in blocks(settings) {
            let lines: Vec<String> = block
                .iter()
                .map(|(setting, is_default)| format!("{setting}{}\n", if *is_default { " # the default" } else { "" }))
                .collect();
            page += &format!("\n```toml\n{}\n{}```\n", table.head, lines.concat());
        }
    }
    page
}

/// A key stands once in a block, and so does what excludes another.
fn blocks(settings: &[(String, bool)]) -> Vec<Vec<&(String, bool)>> {
    let mut blocks: Vec<Vec<&(String, bool)>> = Vec::new();
    for setting in settings {
        let it = key(&setting.0);
        let excludes = |other: &str| other == it || it == format!("{other}_file");
        match blocks.last_mut() {
            Some(block) if !block.iter().any(|(other, _)| excludes(key(other))) => block.push(setting),
            _ => blocks.push(vec![setting]),
        }
    }
    blocks
}

const WRITTEN: &str = "<!-- Written by `UPDATE_GOLDEN=1 cargo test --test it manual` from";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn holds(page: &Path, want: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(page, want).expect("written");
    }
    let is = std::fs::read_to_string(page).unwrap_or_default();
    assert_eq!(is, want, "{}: UPDATE_GOLDEN=1 writes it", page.display());
}

#[test]
fn the_pages_of_settings_are_what_the_sample_configuration_says() {
    let mut tables = tables(include_str!("../../config/mbushat.toml"));
    let of_profile = tables.pop().expect("the last");
    assert_eq!(of_profile.head, "[[profile.record]]");
    let names: Vec<&str> = tables.iter().skip(1).map(Table::name).collect();
    assert_eq!(names, ["agent", "mqtt", "homeassistant", "store", "http", "log", "bus", "meter", "record", "profile"]);
    for table in tables.iter().skip(1) {
        let mut page = format!("{WRITTEN} config/mbushat.toml -->\n\n# {}\n", table.head);
        if !prose(&table.intro).is_empty() {
            page += &format!("\n{}\n", prose(&table.intro));
        }
        page += &sections(table, "##");
        if table.name() == "profile" {
            page += &format!("\n## `{}`\n{}", of_profile.head, sections(&of_profile, "###"));
        }
        holds(&root().join(format!("docs/src/configuration/{}.md", table.name())), &page);
    }
}

/// The names of a command's subcommands, as its help lists them.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

fn help(words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbushat"));
    let output = command.args(words).arg("--help").env_remove("COLUMNS").output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_page_of_commands_is_what_their_help_says() {
    let main = help(&[]);
    let mut page = format!(
        "{WRITTEN} `--help` -->\n\n# Commands\n\nEvery command explains itself with `--help`; `mbushat man` prints all \
        of this as a manual page, `mbushat completions` a completion script for your shell.\n\n```text\n{main}```\n"
    );
    for name in subcommands(&main) {
        let text = help(&[&name]);
        page += &format!("\n## `mbushat {name}`\n\n```text\n{text}```\n");
        for nested in subcommands(&text) {
            page += &format!("\n### `mbushat {name} {nested}`\n\n```text\n{}```\n", help(&[&name, &nested]));
        }
    }
    holds(&root().join("docs/src/commands.md"), &page);
}
