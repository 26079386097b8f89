//! Reads the keys of one table: each with what it takes, every problem collected, none fatal.
//!
//! Not here: which keys there are and what they mean ([`check`](super::check)), how a value is
//! spelled ([`super::spelling`]).

use std::fmt::Display;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use super::file::{Item, Table, Value, is_orphan, orphan};
use super::problem::{Place, Problem, may_pass, nearest};
use super::spelling;
pub(super) use super::unknown_key::Kind;
use super::unknown_key::{self, unknown_key};
use crate::mbus::link::timing::{Baud, Parity};

/// One table being read.
pub(super) struct Reader<'t, 'p> {
    kind: &'static Kind,
    table: &'t Table,
    /// Where problems go.
    pub(super) problems: &'p mut Vec<Problem>,
}

impl<'t, 'p> Reader<'t, 'p> {
    /// Starts with the keys that the table must not have. `others` are kinds of tables that may be
    /// meant by a key that stands in the wrong one.
    pub(super) fn new(kind: &'static Kind, others: &[&Kind], table: &'t Table, problems: &'p mut Vec<Problem>) -> Self {
        for (key, entry) in &table.entries {
            if !kind.keys.contains(&key.as_str()) {
                problems.push(Problem::new(entry.key_at, unknown_key(kind, others, key)));
            }
        }
        Self { kind, table, problems }
    }

    /// What the table is called in messages.
    pub(super) fn kind(&self) -> &'static str {
        self.kind.name
    }

    /// Notes a problem that does not belong to one value.
    pub(super) fn problem(&mut self, at: Place, what: impl Into<String>) {
        self.problems.push(Problem::new(at, what));
    }

    /// The file that a key names cannot be read.
    pub(super) fn unreadable(&mut self, key: &str, file: &Path, error: &io::Error) {
        let problem = Problem::new(self.at(key), format!("cannot read `{key}` {}: {error}", file.display()));
        self.problems.push(Problem { may_pass: may_pass(error), ..problem });
    }

    /// Whether the key is there, well or badly written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.item(key).is_some()
    }

    /// Whether the key is there, or another that is most likely a slip for it: that has a problem of its own.
    pub(super) fn is_meant(&self, key: &str) -> bool {
        let mut unknown = self.table.entries.keys().filter(|written| !self.kind.keys.contains(&written.as_str()));
        self.has(key) || unknown.any(|written| unknown_key::meant(self.kind, written).contains(&key))
    }

    /// Where the key's value is, or else the table.
    pub(super) fn at(&self, key: &str) -> Place {
        self.item(key).map_or(self.table.at, |item| item.at)
    }

    /// The value of a key; `None` where it is absent or (noted) not what `parse` accepts.
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        expected: impl Display,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let item = self.item(key)?;
        let value = parse(&item.value);
        if value.is_none() {
            let what = format!("`{key}` is {}, expected {expected}", item.spelled());
            self.problem(item.at, what);
        }
        value
    }

    /// Like [`read`](Self::read), but the message does not repeat the value.
    pub(super) fn secret<T>(&mut self, key: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.secret_of(self.item(key)?, key, expected, parse)
    }

    /// Like [`secret`](Self::secret), of a text or of each of a list, with its place.
    pub(super) fn secrets<T>(
        &mut self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<(Place, T)> {
        let Some(item) = self.item(key) else { return Vec::new() };
        let items = match &item.value {
            Value::Array(items) if items.is_empty() => {
                self.problem(item.at, format!("`{key}` is an empty list, expected {expected}"));
                return Vec::new();
            }
            Value::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(item),
        };
        items.iter().filter_map(|item| Some((item.at, self.secret_of(item, key, expected, &parse)?))).collect()
    }

    fn secret_of<T>(
        &mut self,
        item: &Item,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = text_of(&item.value).and_then(parse);
        if value.is_none() {
            self.problem(item.at, format!("`{key}` cannot be used, expected {expected} (its value is not shown here)"));
        }
        value
    }

    /// Whether the key is set to `[]`.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        matches!(self.item(key).map(|item| &item.value), Some(Value::Array(items)) if items.is_empty())
    }

    /// A string as it is written, whatever it must look like.
    pub(super) fn peek_text(&self, key: &str) -> Option<&'t str> {
        let item = self.item(key)?;
        item.written.as_deref().or_else(|| text_of(&item.value))
    }

    /// A string that is not empty.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.parsed(key, "a text in quotes, not empty", |text| (!text.is_empty()).then(|| text.to_owned()))
    }

    /// A string that `parse` understands.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        expected: impl Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.read(key, expected, |value| text_of(value).and_then(parse))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false, without quotes", |value| match value {
            Value::Boolean(value) => Some(*value),
            _ => None,
        })
    }

    /// A whole number within a range.
    pub(super) fn whole<T>(&mut self, key: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: std::str::FromStr + PartialOrd + Display,
    {
        let expected = format!("a whole number from {} to {}, without quotes", range.start(), range.end());
        self.read(key, expected, |value| match value {
            Value::Number(digits) => digits.parse().ok().filter(|number| range.contains(number)),
            _ => None,
        })
    }

    /// A duration within a range, in milliseconds.
    pub(super) fn millis(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let (least, most) = (spelling::duration(*range.start()), spelling::duration(*range.end()));
        let expected = format!("a duration such as \"500ms\", \"30s\", \"15m\" or \"1h\", from {least} to {most}");
        self.parsed(key, expected, |text| spelling::millis(text).filter(|millis| range.contains(millis)))
    }

    /// One of the standard's baud rates.
    pub(super) fn baud(&mut self, key: &str) -> Option<Baud> {
        self.read(key, "300, 600, 1200, 2400, 4800, 9600, 19200 or 38400, without quotes", |value| match value {
            Value::Number(digits) => digits.parse().ok().and_then(Baud::new),
            _ => None,
        })
    }

    /// A parity.
    pub(super) fn parity(&mut self, key: &str) -> Option<Parity> {
        self.word(key, &Parity::ALL.map(|parity| (parity.word(), parity)))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let spelled: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        self.parsed(key, one_of(&spelled), |text| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value))
    }

    /// A name of a long list: a wrong one is answered with the nearest, or with all where none is near.
    pub(super) fn named<'n, T>(
        &mut self,
        key: &str,
        what: &str,
        names: impl Iterator<Item = &'n str> + Clone,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.item(key).and_then(|item| text_of(&item.value));
        if let Some(value) = text.and_then(&parse) {
            return Some(value);
        }
        // A short name has no letter to spare, but people forget which of them is a capital.
        let same = |text: &str| names.clone().find(|name| name.eq_ignore_ascii_case(text));
        let near = text.and_then(|text| same(text).or_else(|| nearest(text, names.clone())));
        let expected = match near {
            Some(near) => format!("{what}, did you mean {near:?}?"),
            None => format!("{what}: {}", names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")),
        };
        self.parsed(key, expected, parse)
    }

    /// A list whose every element `parse` accepts.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        expected: impl Display,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let item = self.item(key)?;
        let Value::Array(items) = &item.value else {
            self.problem(item.at, format!("`{key}` is {}, expected a list of {expected}", item.spelled()));
            return None;
        };
        let mut values = Vec::new();
        for item in items {
            match text_of(&item.value).and_then(&parse) {
                Some(value) => values.push(value),
                None => self.problem(item.at, format!("`{key}` contains {}, expected {expected}", item.spelled())),
            }
        }
        Some(values)
    }

    /// The table `[key]`.
    pub(super) fn table(&mut self, key: &str) -> Option<&'t Table> {
        let item = self.item(key)?;
        match &item.value {
            Value::Table(table) => Some(table),
            other => {
                let what = format!("`{key}` is {}, expected one table [{key}]", other.spelled());
                self.problem(item.at, what);
                None
            }
        }
    }

    /// The table that `key` is set to on its own line, as the example shows.
    pub(super) fn inline_table(&mut self, key: &str, example: &str) -> Option<&'t Table> {
        let item = self.item(key)?;
        let Value::Table(table) = &item.value else {
            let expected = format!("an inline table such as {key} = {example}");
            self.problem(item.at, format!("`{key}` is {}, expected {expected}", item.spelled()));
            return None;
        };
        Some(table)
    }

    /// The tables `[[key]]`, in the order of the file. `path` is how their headers are spelled.
    pub(super) fn tables(&mut self, key: &str, path: &str) -> Vec<&'t Table> {
        let Some(item) = self.item(key) else { return Vec::new() };
        if is_orphan(&item.value) {
            self.problem(item.at, orphan(path));
            return Vec::new();
        }
        let Value::Array(items) = &item.value else {
            self.problem(
                item.at,
                format!("`{key}` is {}, expected tables [[{path}]]: double brackets", item.spelled()),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match &item.value {
                Value::Table(table) => tables.push(table),
                other => {
                    self.problem(item.at, format!("`{key}` contains {}, expected tables [[{path}]]", other.spelled()))
                }
            }
        }
        tables
    }

    fn item(&self, key: &str) -> Option<&'t Item> {
        debug_assert!(self.kind.keys.contains(&key), "{} reads {key}, which it does not list", self.kind.name);
        self.table.entries.get(key).map(|entry| &entry.item)
    }
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// `a`, `a or b`, `a, b or c`.
fn one_of(words: &[String]) -> String {
    match words {
        [head @ .., last] if !head.is_empty() => format!("{} or {last}", head.join(", ")),
        _ => words.concat(),
    }
}
