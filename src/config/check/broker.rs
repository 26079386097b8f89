//! `[mqtt]`: the broker, who we are to it, and TLS.

use std::time::Duration;

use super::{Surroundings, TOPIC, reader};
use crate::config::file::{Table, Value};
use crate::config::problem::Problem;
use crate::config::reader::{Kind, Reader};
use crate::config::spelling::{self, BrokerUrl};
use crate::config::{Broker, Mqtt, PasswordSource, Protocol, Tls};

pub(super) const MQTT: Kind = Kind {
    name: "[mqtt]",
    keys: &[
        "url",
        "username",
        "password",
        "password_file",
        "client_id",
        "base_topic",
        "ca_file",
        "client_cert",
        "client_key",
        "protocol",
        "keep_alive",
        "retain_state",
        "value_topics",
    ],
};

/// MQTT writes their length in two bytes.
const LONGEST: usize = 65_535;

const URL: &str = "\"mqtt://host\", \"mqtts://host:port\" or \"mqtt://user:password@host\", an IPv6 address in [ ]; \
                   or a list of such, without users";

pub(super) fn mqtt(table: &Table, surroundings: &Surroundings<'_>, problems: &mut Vec<Problem>) -> Mqtt {
    let mut keys = reader(&MQTT, table, problems);
    let urls = urls(&mut keys);
    // A bad URL gives no reason to complain of TLS keys without mqtts://.
    let wants_tls = urls.first().map_or(keys.has("url"), |url| url.tls);
    let brokers: Vec<Broker> = urls.iter().map(|url| url.broker.clone()).collect();
    let (in_url, password_in_url) =
        urls.into_iter().next().map_or((None, None), |first| (first.username, first.password));
    let username = username(&mut keys, in_url);
    let password = password(&mut keys, password_in_url, username.is_some(), surroundings);
    let topic = keys.parsed("base_topic", TOPIC, |text| spelling::is_topic(text).then(|| text.to_owned()));
    let client_id = keys.parsed("client_id", "1 to 256 printable characters", |text| {
        ((1..=256).contains(&text.chars().count()) && !text.chars().any(char::is_control)).then(|| text.to_owned())
    });
    let keep_alive = keys.millis("keep_alive", 5_000..=3_600_000).unwrap_or(30_000);
    Mqtt {
        brokers: if brokers.is_empty() { vec![Broker::default()] } else { brokers },
        tls: tls(&mut keys, wants_tls, surroundings),
        username,
        password,
        client_id,
        base_topic: topic.unwrap_or_else(|| "mbushat".to_owned()),
        protocol: keys.read("protocol", "\"auto\", 5 or 3", protocol).unwrap_or(Protocol::Auto),
        keep_alive: Duration::from_millis(keep_alive.unsigned_abs()),
        retain_state: keys.boolean("retain_state").unwrap_or(true),
        value_topics: keys.boolean("value_topics").unwrap_or(false),
    }
}

/// The brokers of a list are asked as one user and with one set of TLS files.
fn urls(keys: &mut Reader<'_, '_>) -> Vec<BrokerUrl> {
    // A URL may hold a password, so a wrong one is not repeated.
    let mut urls = keys.secrets("url", URL, spelling::broker_url);
    let (is_list, tls) = (urls.len() > 1, urls.first().is_some_and(|(_, first)| first.tls));
    for (at, url) in &mut urls {
        if url.tls != tls {
            keys.problem(*at, "`url` mixes mqtt:// and mqtts://; use one of them for all brokers of the list");
        }
        if is_list && url.username.take().is_some() {
            url.password = None;
            keys.problem(*at, "a user in a list of brokers; use `username` and `password`, which are for all of them");
        }
    }
    urls.into_iter().map(|(_, url)| url).collect()
}

fn protocol(value: &Value) -> Option<Protocol> {
    match value {
        Value::Text(text) if text == "auto" => Some(Protocol::Auto),
        Value::Number(digits) if digits == "5" => Some(Protocol::V5),
        Value::Number(digits) if digits == "3" => Some(Protocol::V3),
        _ => None,
    }
}

fn username(keys: &mut Reader<'_, '_>, in_url: Option<String>) -> Option<String> {
    if in_url.is_some() && keys.has("username") {
        keys.problem(keys.at("username"), "`username` is also in `url`; keep one of them");
    }
    let username = keys.text("username").or(in_url);
    check_length(keys, "username", username.as_deref());
    username
}

/// rumqttc panics at more.
fn check_length(keys: &mut Reader<'_, '_>, key: &str, text: Option<&str>) {
    if text.is_some_and(|text| text.len() > LONGEST) {
        let place = if keys.has(key) { key } else { "url" };
        keys.problem(keys.at(place), format!("the {key} has more than the {LONGEST} bytes that MQTT can carry"));
    }
}

/// One password at most; a credential of the service manager counts where the file names none.
fn password(
    keys: &mut Reader<'_, '_>,
    in_url: Option<String>,
    username: bool,
    surroundings: &Surroundings<'_>,
) -> Option<PasswordSource> {
    let places = [in_url.is_some(), keys.has("password"), keys.has("password_file")];
    if places.into_iter().filter(|there| *there).count() > 1 {
        let key = if keys.has("password") { "password" } else { "password_file" };
        keys.problem(
            keys.at(key),
            format!("`{key}` is one password too many; keep one of url, password, password_file"),
        );
    }
    let password =
        keys.secret("password", "a text in quotes, not empty", |text| (!text.is_empty()).then(|| text.to_owned()));
    let file = surroundings.file(keys, "password_file", "the path of a file");
    let password = password.or(in_url);
    check_length(keys, "password", password.as_deref());
    let given = password.map(PasswordSource::Inline).or(file.map(PasswordSource::File));
    if given.is_some() && !username && !keys.has("username") {
        let key = if keys.has("password_file") { "password_file" } else { "password" };
        keys.problem(keys.at(key), "a password without a user; set `username` too");
    }
    // A credential without a user is not a mistake in this file: another instance may use it.
    given.or_else(|| surroundings.password_credential.clone().filter(|_| username).map(PasswordSource::File))
}

fn tls(keys: &mut Reader<'_, '_>, wanted: bool, surroundings: &Surroundings<'_>) -> Option<Tls> {
    let files = ["ca_file", "client_cert", "client_key"];
    let [ca_file, cert, key] = files.map(|key| surroundings.file(keys, key, "the path of a PEM file"));
    for file in files.into_iter().filter(|_| !wanted) {
        if keys.has(file) {
            keys.problem(keys.at(file), format!("`{file}` has no effect without TLS; it needs an mqtts:// `url`"));
        }
    }
    for (there, missing) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
        if keys.has(there) && !keys.has(missing) {
            keys.problem(keys.at(there), format!("`{there}` is set without `{missing}`: set both"));
        }
    }
    wanted.then(|| Tls { ca_file, client: cert.zip(key) })
}
