//! What is said of a key that its table does not have: what was most likely meant.

use super::problem::nearest;

/// A kind of table: its name in messages, and the keys it may have.
pub(super) struct Kind {
    /// As in a file: `[mqtt]`, `[[meter]]`.
    pub(super) name: &'static str,
    /// Every key.
    pub(super) keys: &'static [&'static str],
}

/// What people write out of habit, by table, and the key that says it here.
pub(super) const HABITS: &[(&str, &[&str], &[&str])] = &[
    ("[mqtt]", &["port", "host", "hostname", "broker", "server"], &["url"]),
    ("[mqtt]", &["user"], &["username"]),
    ("[mqtt]", &["key"], &["client_key"]),
    ("[http]", &["port", "address", "bind"], &["listen"]),
    ("[http]", &["user"], &["username"]),
    ("[store]", &["path"], &["directory"]),
    ("[[bus]]", &["timeout"], &["response_timeout"]),
    ("[[bus]]", &["device"], &["port"]),
    ("[[bus]]", &["baudrate", "baud_rate"], &["baud"]),
    ("[[meter]]", &["response_timeout"], &["timeout"]),
    (
        "[[meter]]",
        &["id", "addr", "serial", "primary", "primary_address", "secondary_address"],
        &["address", "secondary"],
    ),
];

/// The keys of the table that may be meant by one that it does not have; none where that is not known.
pub(super) fn meant<'k>(kind: &Kind, key: &str) -> Vec<&'k str>
where
    'static: 'k,
{
    let key = key.to_lowercase();
    let habit = HABITS.iter().find(|(table, written, _)| *table == kind.name && written.contains(&key.as_str()));
    match habit {
        Some((_, _, meant)) => meant.to_vec(),
        None => nearest(&key, kind.keys.iter().copied()).into_iter().collect(),
    }
}

/// Answers a key in the wrong table with its place, a misspelled one with the nearest.
pub(super) fn unknown_key(kind: &Kind, others: &[&Kind], key: &str) -> String {
    // a terminal would obey control characters
    let shown: String = key.chars().take(60).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    let unknown = format!("unknown key `{shown}` in {}", kind.name);
    let meant = meant(kind, key);
    if meant == ["url"] && !key.eq_ignore_ascii_case("url") && nearest(key, ["url"]).is_none() {
        return format!("{unknown}, put it into `url`, such as \"mqtt://homeassistant.local:1883\"");
    }
    if !meant.is_empty() {
        return format!("{unknown}, did you mean `{}`?", meant.join("` or `"));
    }
    // A key that several tables have may mean something else in each.
    let mut homes = others.iter().filter(|other| other.keys.contains(&key));
    match (homes.next(), homes.next()) {
        (Some(home), None) if home.name == "the file" => format!("{unknown}, it belongs in your own configuration"),
        (Some(home), None) => format!("{unknown}, it belongs in {}", home.name),
        _ => format!("{unknown}, expected {}", kind.keys.join(", ")),
    }
}
