//! What is said of keys that their table does not have.

use super::super::{FILE, KINDS};
use crate::config::reader::Kind;
use crate::config::unknown_key::{HABITS, unknown_key};

/// The table that messages call so.
fn kind_of(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap_or(&&FILE)
}

#[test]
fn habits_name_tables_and_keys_that_there_are_and_none_that_is_right() {
    for (table, written, meant) in HABITS {
        let kind = kind_of(table);
        assert!(meant.iter().all(|key| kind.keys.contains(key)), "{table} {meant:?}");
        assert!(written.iter().all(|key| !kind.keys.contains(key)), "{table} {written:?}");
    }
}

#[test]
fn only_a_key_of_one_table_belongs_there() {
    let said = |table: &str, key: &str| unknown_key(kind_of(table), KINDS, key);
    let url = "put it into `url`, such as \"mqtt://homeassistant.local:1883\"";
    for (table, key, expected) in [
        ("[mqtt]", "Port", url),
        ("[mqtt]", "host", url),
        ("[mqtt]", "URL", "did you mean `url`?"),
        ("[mqtt]", "User", "did you mean `username`?"),
        ("[mqtt]", "key", "did you mean `client_key`?"),
        ("[http]", "port", "did you mean `listen`?"),
        ("[store]", "path", "did you mean `directory`?"),
        ("[[bus]]", "timeout", "did you mean `response_timeout`?"),
        ("[[meter]]", "response_timeout", "did you mean `timeout`?"),
        ("[[meter]]", "ID", "did you mean `address` or `secondary`?"),
        ("[log]", "discover", "it belongs in [[bus]]"),
        ("[log]", "baud", "expected level, format"),
    ] {
        assert!(said(table, key).ends_with(expected), "{table} {key}: {}", said(table, key));
    }
}
