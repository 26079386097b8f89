//! How values are spelled in a configuration: durations, sizes, addresses of brokers and gateways,
//! names. Text in, value out; `None` where it is spelled otherwise.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use crate::mbus::link::timing::Parity;
use crate::mbus::master::wake_up::{Length, WakeUp};

use super::Broker;

/// Characters of a name, at most.
const LONGEST_NAME: usize = 64;

/// A sign, digits and a unit (`"500ms" "-30s" "15m" "1h" "1d"`) in milliseconds; `None`
/// where it is spelled otherwise.
#[must_use]
pub fn millis(text: &str) -> Option<i64> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = rest.split_at_checked(digits)?;
    let unit: i64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let millis = count.parse::<i64>().ok()?.checked_mul(unit)?;
    Some(if negative { -millis } else { millis })
}

/// The shortest spelling of a duration: `90s`, `15m`, `-500ms`.
#[must_use]
pub fn duration(millis: i64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    match units.into_iter().find(|(_, unit)| millis != 0 && millis % unit == 0) {
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// What a wake-up looks like.
pub(super) const WAKE_UP: &str =
    "a byte and how much of it, such as \"0x55 for 2.1s at 8N1\" or \"0x00 x 210\"; at most 10 s or 5000 times";

/// `0x55 for 2.1s at 8N1`, `0x00 x 210`: without `at`, with the parity of the line.
pub(super) fn wake_up(text: &str) -> Option<WakeUp> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (byte, length, parity) = match words.as_slice() {
        [byte, by, length] => (byte, (by, length), None),
        [byte, by, length, "at", character] => {
            let parity = Parity::ALL.into_iter().find(|parity| format!("8{}1", parity.letter()) == *character)?;
            (byte, (by, length), Some(parity))
        }
        _ => return None,
    };
    let byte = match hex(byte.strip_prefix("0x")?).as_deref() {
        Some([byte]) => *byte,
        _ => return None,
    };
    let length = match length {
        (&"for", time) => Length::Time(seconds(time)?),
        (&"x", count) => Length::Characters(count.parse().ok().filter(|count| (1..=5000).contains(count))?),
        _ => return None,
    };
    Some(WakeUp { byte, length, parity })
}

/// `2.1s` or `500ms`, up to ten seconds.
fn seconds(text: &str) -> Option<Duration> {
    let millis = match text.strip_suffix('s').and_then(|number| number.split_once('.')) {
        Some((whole, tenths)) if tenths.len() == 1 => {
            millis(&format!("{whole}s"))?.checked_add(tenths.parse::<u8>().ok().map(i64::from)? * 100)?
        }
        _ => millis(text)?,
    };
    u64::try_from(millis).ok().filter(|millis| (1..=10_000).contains(millis)).map(Duration::from_millis)
}

/// Digits and a binary unit (`"256MiB"`) in bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at_checked(digits)?;
    let unit: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    count.parse::<u64>().ok()?.checked_mul(unit)
}

/// Bytes of hex digits, two each, upper or lower case, nothing between them.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    if text.len() % 2 != 0 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// Whether a text can be a name: `[a-z0-9_]`, 1 to 64 characters.
pub(super) fn is_slug(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// This name, or with `_2`, `_3` … behind it where it is taken.
#[must_use]
pub fn free_name(plain: &str, taken: &BTreeSet<String>) -> String {
    let numbered = |number: u32| {
        let end = format!("_{number}");
        let room = LONGEST_NAME.saturating_sub(end.len());
        plain.chars().take(room).collect::<String>() + &end
    };
    let mut names = std::iter::once(plain.to_owned()).chain((2..).map(numbered));
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

/// A name made of a title: `cold_water` of `Cold Water`. `None` where nothing is left of it.
pub(super) fn slug(title: &str) -> Option<String> {
    let letters = title.to_lowercase();
    let words = letters.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    Some(words.collect::<Vec<_>>().join("_")).filter(|slug| is_slug(slug))
}

/// Whether a text can be published to: levels without wildcards, none empty, not the broker's own `$…`.
pub(super) fn is_topic(text: &str) -> bool {
    let level = |level: &str| !level.is_empty() && !level.contains(|c: char| matches!(c, '+' | '#') || c.is_control());
    text.len() <= 1024 && !text.starts_with('$') && text.split('/').all(level)
}

/// What the URL of a broker says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BrokerUrl {
    pub(super) tls: bool,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) broker: Broker,
}

/// `mqtt[s]://[user[:password]@]host[:port][/]`, user and password percent-encoded.
pub(super) fn broker_url(url: &str) -> Option<BrokerUrl> {
    let (scheme, rest) = url.split_once("://")?;
    let tls = match scheme {
        "mqtt" => false,
        "mqtts" => true,
        _ => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
    let (username, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
        None => (None, None),
        Some(Ok((user, password))) => (Some(percent_decoded(user)?), Some(percent_decoded(password)?)),
        Some(Err(user)) => (Some(percent_decoded(user)?), None),
    };
    if username.as_deref() == Some("") {
        return None;
    }
    let (host, port) = host_and_port(place)?;
    let port = port.unwrap_or(if tls { 8883 } else { 1883 });
    Some(BrokerUrl { tls, username, password, broker: Broker { host, port } })
}

/// `host`, `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`; the brackets are left out.
pub(super) fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let number = address.split('%').next().unwrap_or(address);
            number.parse::<Ipv6Addr>().ok()?;
            (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
            if host.is_empty() || !host.bytes().all(letter) {
                return None;
            }
            (host, port)
        }
    };
    let port = match port {
        Some(digits) if digits.bytes().all(|c| c.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port > 0)?)
        }
        Some(_) => return None,
        None => None,
    };
    Some((host.to_owned(), port))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.extend(hex(part.get(..2)?)?);
        bytes.extend(part.get(2..)?.bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Broker, BrokerUrl, broker_url, bytes, duration, hex, host_and_port, is_slug, is_topic, millis, slug};

    #[test]
    fn durations() {
        for (text, expected) in [("500ms", 500), ("-30s", -30_000), ("15m", 900_000), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(millis(text), Some(expected), "{text}");
            assert_eq!(duration(expected), text);
        }
        for wrong in ["", "15", "m", "-", "1.5s", "1 s", "1H", "+1s", "--1s", "9223372036854775807h", "1é"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_and_hex() {
        assert_eq!(bytes("256MiB"), Some(256 << 20));
        assert_eq!((bytes("256MB"), bytes("MiB"), bytes("99999999999GiB"), bytes("-1B")), (None, None, None, None));
        assert_eq!(hex("0cFd3A"), Some(vec![0x0C, 0xFD, 0x3A]));
        assert_eq!((hex("0"), hex("+1"), hex("é")), (None, None, None));
    }

    #[test]
    fn names_and_topics() {
        assert_eq!(slug("Cold Water (cellar)").as_deref(), Some("cold_water_cellar"));
        assert_eq!((slug("…"), slug(&"a".repeat(65))), (None, None));
        assert!(is_slug("cold_water_2") && !is_slug("") && !is_slug("Cold") && !is_slug(&"a".repeat(65)));
        assert!(is_topic("mbushat/house7") && is_topic("a b"));
        for wrong in ["", "/a", "a/", "a//b", "a/+", "#", "$SYS/a", "a\0", "a\nb", "a\u{7F}"] {
            assert!(!is_topic(wrong), "{wrong}");
        }
    }

    #[test]
    fn brokers() {
        let at = |host: &str, port| Broker { host: host.into(), port };
        let plain = |host, port| BrokerUrl { tls: false, username: None, password: None, broker: at(host, port) };
        assert_eq!(broker_url("mqtt://homeassistant.local"), Some(plain("homeassistant.local", 1883)));
        assert_eq!(broker_url("mqtt://[2001:db8::1]:1884/"), Some(plain("2001:db8::1", 1884)));
        assert_eq!(broker_url("mqtt://[fe80::1%eth0]"), Some(plain("fe80::1%eth0", 1883)));
        assert_eq!(
            broker_url("mqtts://us%40er:p%3Ass:w@10.0.0.1"),
            Some(BrokerUrl {
                tls: true,
                username: Some("us@er".into()),
                password: Some("p:ss:w".into()),
                broker: at("10.0.0.1", 8883)
            })
        );
        for wrong in [
            "",
            "homeassistant.local",
            "http://x",
            "mqtt://",
            "mqtt://a:",
            "mqtt://a:0",
            "mqtt://a:+1",
            "mqtt://a:65536",
            "mqtt://a/b",
            "mqtt://2001:db8::1",
            "mqtt://[1.2.3.4]",
            "mqtt://[::1",
            "mqtt://@a",
            "mqtt://%zz@a",
            "mqtt://%é@a",
        ] {
            assert_eq!(broker_url(wrong), None, "{wrong}");
        }
        assert_eq!(host_and_port("gateway:10001"), Some(("gateway".into(), Some(10001))));
    }
}
