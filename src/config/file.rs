//! The file as written: TOML to a tree in which every key and value knows its line and column.
//!
//! Not here: what a key means ([`check`](super::check)). The tree is our own instead of a serde
//! model, because serde stops at the first wrong key and a user wants to hear of all of them; and
//! because numbers keep their digits: `0.1` is never a binary float.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{LINE, Place, Problem};

/// A TOML table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    /// Its header, or its opening brace.
    pub(super) at: Place,
    /// By key.
    pub(super) entries: BTreeMap<String, Entry>,
}

impl Table {
    /// Adds what stands in another file: tables of which there may be several are put one after another, every other
    /// key may stand once.
    pub(super) fn add(&mut self, other: Table, problems: &mut Vec<Problem>) {
        for (key, entry) in other.entries {
            let Some(known) = self.entries.get_mut(&key) else {
                self.entries.insert(key, entry);
                continue;
            };
            // What it has to do with the tables of another file cannot be meant.
            if is_orphan(&entry.item.value) {
                problems.push(Problem::new(entry.item.at, orphan(&key)));
                continue;
            }
            if is_orphan(&known.item.value) {
                continue;
            }
            match (&mut known.item.value, entry.item.value) {
                (Value::Array(known), Value::Array(more)) => known.extend(more),
                _ => {
                    let what = format!("`{key}` stands in {LINE} too, and may stand in one file only");
                    problems.push(Problem::beside(known.key_at, entry.key_at, what));
                }
            }
        }
    }
}

/// Whether this is what `[[key.record]]` makes of a key that has no table yet.
pub(super) fn is_orphan(value: &Value) -> bool {
    let Value::Table(table) = value else { return false };
    matches!(table.entries.get("record").map(|entry| &entry.item.value), Some(Value::Array(_)))
        && table.entries.len() == 1
}

/// What is said of it.
pub(super) fn orphan(path: &str) -> String {
    format!("this [[{path}.record]] has no [[{path}]] above it, in the same file")
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Where the key stands.
    pub(super) key_at: Place,
    /// What it is set to.
    pub(super) item: Item,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// Where it starts.
    pub(super) at: Place,
    /// The value.
    pub(super) value: Value,
    /// The text before what the environment gave was put in, where it gave anything.
    pub(super) written: Option<String>,
}

impl Item {
    /// How a message repeats it: what the environment gave may be a secret.
    pub(super) fn spelled(&self) -> String {
        self.written.as_ref().map_or_else(|| self.value.spelled(), |text| Value::Text(text.clone()).spelled())
    }
}

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A string, without its quotes.
    Text(String),
    /// The digits of an integer or a float, without `_`; an integer's radix is resolved.
    Number(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or a time; no key takes one.
    Time(String),
    /// `[…]`, or the tables of `[[…]]`.
    Array(Vec<Item>),
    /// `{…}` or `[…]` header.
    Table(Table),
}

impl Value {
    /// How a message repeats it: short, on one line.
    pub(super) fn spelled(&self) -> String {
        match self {
            Self::Text(text) if text.chars().count() > 60 => {
                format!("{:?}", text.chars().take(60).chain(['…']).collect::<String>())
            }
            Self::Text(text) => format!("{text:?}"),
            Self::Number(text) | Self::Time(text) => text.chars().take(60).collect(),
            Self::Boolean(value) => value.to_string(),
            Self::Array(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// Reads TOML; syntax errors are problems, and what could be read around them is still returned.
pub(super) fn read(text: &str) -> (Table, Vec<Problem>) {
    read_one_of(text, 0)
}

/// The same of one of several files: the number stands in each [`Place`].
pub(super) fn read_one_of(text: &str, file: usize) -> (Table, Vec<Problem>) {
    let lines = Lines::new(text, file);
    let (document, errors) = DeTable::parse_recoverable(text);
    let problems = errors.iter().map(|error| {
        let at = lines.place(error.span().map_or(0, |span| span.start));
        // Only the message: the error's Display quotes the line, which may hold a password.
        Problem::new(at, format!("not valid TOML: {}", error.message().replace('\n', ", ")))
    });
    (table(&lines, document.span().start, document.get_ref()), problems.collect())
}

fn table(lines: &Lines<'_>, start: usize, table: &DeTable<'_>) -> Table {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.to_string(), Entry { key_at: lines.place(key.span().start), item: item(lines, value) })
    };
    Table { at: lines.place(start), entries: table.iter().map(entry).collect() }
}

fn item(lines: &Lines<'_>, value: &Spanned<DeValue<'_>>) -> Item {
    let start = value.span().start;
    let as_written = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Number(number.to_string()),
            Err(_) => Value::Number(integer.as_str().to_owned()),
        },
        DeValue::Float(float) => Value::Number(float.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(time) => Value::Time(time.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|value| item(lines, value)).collect()),
        DeValue::Table(inner) => Value::Table(table(lines, start, inner)),
    };
    Item { at: lines.place(start), value: as_written, written: None }
}

/// Where each line of a text starts.
struct Lines<'t> {
    file: usize,
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str, file: usize) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|before| self.starts.get(before)).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(1, |before| before.chars().count() + 1);
        Place { file: self.file, line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, read};
    use crate::config::problem::Place;

    #[test]
    fn every_key_and_value_knows_its_place() {
        let (table, problems) = read("a = 1\n\n[[meter]]\n  \"größe\" = 0.1_0 # x\n[[meter]]\nb = 0x1_F\n");
        assert!(problems.is_empty());
        assert_eq!(table.entries["a"].key_at, Place { file: 0, line: 1, column: 1 });
        assert_eq!(table.entries["a"].item.at, Place { file: 0, line: 1, column: 5 });
        let Value::Array(meters) = &table.entries["meter"].item.value else { panic!("a list of tables") };
        let Value::Table(first) = &meters[0].value else { panic!("a table") };
        assert_eq!(first.at, Place { file: 0, line: 3, column: 1 });
        assert_eq!(first.entries["größe"].item.at, Place { file: 0, line: 4, column: 13 });
        assert_eq!(first.entries["größe"].item.value, Value::Number("0.10".into()));
        let Value::Table(second) = &meters[1].value else { panic!("a table") };
        assert_eq!(second.at, Place { file: 0, line: 5, column: 1 });
        assert_eq!(second.entries["b"].item.value, Value::Number("31".into()));
    }

    #[test]
    fn syntax_errors_do_not_hide_each_other_nor_show_the_line() {
        let (table, problems) = read("[mqtt]\npassword = hunter2\nurl = \"mqtt://x\"\nclient_id = \n");
        let lines: Vec<usize> = problems.iter().map(|p| p.at.line).collect();
        assert_eq!(lines, [2, 4], "{problems:?}");
        assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
        let Value::Table(mqtt) = &table.entries["mqtt"].item.value else { panic!("a table") };
        assert_eq!(mqtt.entries["url"].item.value, Value::Text("mqtt://x".into()));
    }
}
