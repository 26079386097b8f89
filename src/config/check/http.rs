//! `[http]`: where the page is, and who may see it.

use std::net::{IpAddr, SocketAddr};

use super::{Surroundings, reader};
use crate::config::file::Table;
use crate::config::problem::Problem;
use crate::config::reader::{Kind, Reader};
use crate::config::{Http, PasswordSource};

pub(super) const HTTP: Kind = Kind {
    name: "[http]",
    keys: &[
        "listen",
        "username",
        "password",
        "password_file",
        "public",
        "trusted",
        "proxies",
        "hosts",
        "path",
        "cert",
        "key",
    ],
};

/// Under these the agent has pages of its own: a prefix of that name would hide them.
const TAKEN: [&str; 10] = ["api", "assets", "bus", "decode", "doctor", "health", "login", "mbus", "meter", "metrics"];

/// Port 6287 is free in the lists of the system and of IANA.
const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 6287);

pub(super) fn http(table: &Table, surroundings: &Surroundings<'_>, problems: &mut Vec<Problem>) -> Http {
    let mut keys = reader(&HTTP, table, problems);
    let listen = keys.parsed(
        "listen",
        "an address and a port such as \"127.0.0.1:6287\", \"0.0.0.0:6287\" or \"[::]:6287\"",
        |text| text.parse().ok(),
    );
    let password = password(&mut keys, surroundings);
    let username = keys.parsed("username", "a text without a colon, not empty", |text| {
        (!text.is_empty() && !text.contains(':')).then(|| text.to_owned())
    });
    if username.is_some() && !keys.has("password") && !keys.has("password_file") {
        keys.problem(keys.at("username"), "`username` without a password; set `password` or `password_file` too");
    }
    let listen = listen.unwrap_or_else(|| SocketAddr::from(LISTEN));
    let hosts = keys.list("hosts", "names such as \"meters.example.org\", without a port", host).unwrap_or_default();
    let path =
        keys.parsed("path", "a path such as \"/meters-page\", without a slash at its end", path).unwrap_or_default();
    let taken = path.split('/').nth(1).unwrap_or_default();
    if TAKEN.contains(&taken) {
        let what = format!(
            "`path` begins with /{taken}, where the agent has pages of its own: choose another name, such as \"/meters-page\""
        );
        keys.problem(keys.at("path"), what);
    }
    let tls = tls(&mut keys, surroundings);
    let named =
        hosts.first().cloned().or_else(|| (surroundings.variable)("HOSTNAME").map(|name| format!("{name}.local")));
    let scheme = if tls.is_some() { "https" } else { "http" };
    Http {
        url: address_for_others(listen, named).map(|address| format!("{scheme}://{address}{path}")),
        listen,
        username,
        password,
        public: keys.boolean("public").unwrap_or(false),
        trusted: addresses(&mut keys, "trusted"),
        proxies: addresses(&mut keys, "proxies"),
        hosts,
        path,
        tls,
    }
}

/// Address and port by which another machine reaches what listens here.
fn address_for_others(listen: SocketAddr, named: Option<String>) -> Option<String> {
    match listen.ip() {
        ip if ip.is_loopback() => None,
        ip if ip.is_unspecified() => named.map(|name| format!("{name}:{}", listen.port())),
        _ => Some(listen.to_string()),
    }
}

fn password(keys: &mut Reader<'_, '_>, surroundings: &Surroundings<'_>) -> Option<PasswordSource> {
    if keys.has("password") && keys.has("password_file") {
        keys.problem(keys.at("password_file"), "`password_file` is one password too many; keep one of both");
    }
    let inline =
        keys.secret("password", "a text in quotes, not empty", |text| (!text.is_empty()).then(|| text.to_owned()));
    let file = surroundings.file(keys, "password_file", "the path of a file");
    inline.map(PasswordSource::Inline).or(file.map(PasswordSource::File))
}

fn addresses(keys: &mut Reader<'_, '_>, key: &str) -> Vec<IpAddr> {
    keys.list(key, "addresses such as \"172.30.32.2\"", |text| text.parse().ok()).unwrap_or_default()
}

fn host(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (!text.is_empty() && text.chars().all(plain)).then(|| text.to_ascii_lowercase())
}

fn path(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~');
    let parts = text.strip_prefix('/')?.split('/');
    let is_name = |part: &str| !part.is_empty() && part.chars().all(plain) && !part.chars().all(|c| c == '.');
    parts.into_iter().all(is_name).then(|| text.to_owned())
}

fn tls(keys: &mut Reader<'_, '_>, surroundings: &Surroundings<'_>) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    let [cert, key] = ["cert", "key"].map(|key| surroundings.file(keys, key, "the path of a PEM file"));
    for (there, missing) in [("cert", "key"), ("key", "cert")] {
        if keys.has(there) && !keys.has(missing) {
            keys.problem(keys.at(there), format!("`{there}` is set without `{missing}`: set both"));
        }
    }
    cert.zip(key)
}
