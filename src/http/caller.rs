//! Who asks: the peer of a connection, and what its request says of where it comes from.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderMap, header};

use crate::config::Http;

/// How long whoever asks may take to send the head of a request or its body, or to take what it gets.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peers {
    /// The other one.
    pub(super) peer: IpAddr,
    /// Ours.
    pub(super) own: IpAddr,
}

/// Whether a proxy passed this on, as far as it says so.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    let only_proxies_add = |name: &str| matches!(name, "forwarded" | "via" | "x-real-ip");
    headers.keys().any(|name| only_proxies_add(name.as_str()) || name.as_str().starts_with("x-forwarded-"))
}

/// Whose wrong passwords and streams are counted: the last address that a proxy of ours did not add.
#[derive(Clone, Copy, Debug)]
pub(super) struct From(pub(super) IpAddr);

/// The same of a request.
pub(super) fn address(http: &Http, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !http.proxies.contains(&peer) && !http.trusted.contains(&peer) {
        return peer;
    }
    let lists = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let listed: Vec<IpAddr> = lists.flat_map(|list| list.split(',')).filter_map(|a| a.trim().parse().ok()).collect();
    listed.into_iter().rev().find(|address| !http.proxies.contains(address)).unwrap_or(peer)
}

/// The name or address that the request was sent to, without the port, in lower case; `None` where it is not said, or
/// said twice (RFC 9112 section 3.2).
pub(super) fn host(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = without_port(all.next()?.to_str().ok()?).filter(|_| all.next().is_none())?;
    // a full name may end in a dot
    Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
}

/// `[::1]:80` is `::1`. Nothing but a port follows an address or a name.
fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

/// Whether another site's page sent this, as far as the browser tells.
pub(super) fn is_cross_site(headers: &HeaderMap, believe_forwarded: bool) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text("origin") else { return false };
    let origin = origin.split_once("://").map_or("", |(_, host)| host);
    let forwarded = text("x-forwarded-host").filter(|_| believe_forwarded);
    text("host") != Some(origin) && forwarded != Some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rights::tests::{headers, http};

    #[test]
    fn a_host_is_told_without_its_port() {
        for (written, host) in [
            ("Pi.local:6287", "pi.local"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("10.0.0.1", "10.0.0.1"),
            ("pi.local.:80", "pi.local"),
        ] {
            assert_eq!(super::host(&headers(&[("host", written)])).as_deref(), Some(host));
        }
        for bad in ["[::1].evil.example", "[::1", "[::1]80", "localhost:evil.example"] {
            assert_eq!(super::host(&headers(&[("host", bad)])), None, "{bad}");
        }
        let mut twice = headers(&[("host", "localhost")]);
        twice.append("host", "evil.example".parse().expect("a value"));
        assert_eq!(super::host(&twice), None, "said twice");
    }

    #[test]
    fn only_a_proxy_of_ours_may_say_who_asks() {
        let http = http("proxies = [\"10.0.0.1\", \"10.0.0.2\"]");
        let said = headers(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2"), ("x-forwarded-for", "10.0.0.2")]);
        let from = |peer: &str| address(&http, peer.parse().expect("an address"), &said).to_string();
        assert_eq!((from("10.0.0.1").as_str(), from("9.9.9.9").as_str()), ("2.2.2.2", "9.9.9.9"));
    }

    #[test]
    fn another_sites_page_is_told_by_either_header() {
        for (said, cross) in [
            (&[("host", "pi:6287")][..], false),
            (&[("host", "pi:6287"), ("origin", "http://pi:6287")], false),
            (&[("host", "pi:6287"), ("origin", "http://evil.example")], true),
            (&[("host", "pi:6287"), ("origin", "null")], true),
            (&[("host", "pi:6287"), ("origin", "http://pi:80")], true),
            (&[("host", "pi"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "pi"), ("sec-fetch-site", "same-site")], true),
            (&[("host", "pi"), ("sec-fetch-site", "same-origin"), ("origin", "https://ha")], false),
        ] {
            assert_eq!(is_cross_site(&headers(said), false), cross, "{said:?}");
        }
        let proxied = headers(&[("host", "inner"), ("origin", "https://ha:8123"), ("x-forwarded-host", "ha:8123")]);
        assert!(is_cross_site(&proxied, false) && !is_cross_site(&proxied, true));
    }
}
