//! Who may do what: a pure decision about one request.
//!
//! This machine may do everything, and so may who was let in by a trusted peer or has the password. Others may
//! read where `public` says so, or where there is no password at all.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::caller::{self, Peers};
use super::settings::Settings;

/// What a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum May {
    /// Whether the agent is well.
    Nothing,
    /// Values, but not the wire, the telegrams or the doctor.
    Read,
    /// Everything.
    All,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It was sent to a name that is not ours: a page of another site may have had its name point here.
    WrongHost,
    /// The page of another site sent it.
    CrossSite,
    /// There is a password, and this one is wrong.
    WrongPassword,
    /// It needs the password.
    NeedsPassword,
    /// It is not for others, and there is no password by which they could be told apart.
    NotForOthers,
}

/// What it asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks<'a> {
    pub(super) peers: Peers,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
}

/// What this request may have.
pub(super) fn judge(settings: &Settings, asks: Asks<'_>) -> Result<May, Refusal> {
    let Asks { peers: Peers { peer, own }, method, headers } = asks;
    let peer = peer.to_canonical();
    let is_trusted = settings.http.trusted.contains(&peer);
    if !is_trusted && !is_our_name(settings, headers, own.to_canonical()) {
        return Err(Refusal::WrongHost);
    }
    let believe_forwarded = is_trusted || settings.http.proxies.contains(&peer);
    if !method.is_safe() && caller::is_cross_site(headers, believe_forwarded) {
        return Err(Refusal::CrossSite);
    }
    if is_trusted || is_this_machine(peer, headers) {
        return Ok(May::All);
    }
    match (&settings.password, headers.get(header::AUTHORIZATION)) {
        (None, _) => Ok(May::Read),
        (Some(password), Some(given)) => {
            let right = is_right(settings.http.username.as_deref(), password, given.as_bytes());
            if right { Ok(May::All) } else { Err(Refusal::WrongPassword) }
        }
        (Some(_), None) if settings.http.public => Ok(May::Read),
        (Some(_), None) => Ok(May::Nothing),
    }
}

/// Whether `may` is enough.
pub(super) fn demand(settings: &Settings, may: May, need: May) -> Result<(), Refusal> {
    if may >= need {
        Ok(())
    } else if settings.password.is_some() {
        Err(Refusal::NeedsPassword)
    } else {
        Err(Refusal::NotForOthers)
    }
}

fn is_our_name(settings: &Settings, headers: &HeaderMap, own: IpAddr) -> bool {
    let Some(host) = caller::host(headers) else { return false };
    match host.parse::<IpAddr>() {
        Ok(address) => address == own || address.is_loopback() || settings.http.hosts.contains(&host),
        Err(_) => host == "localhost" || settings.names.contains(&host) || settings.http.hosts.contains(&host),
    }
}

fn is_this_machine(peer: IpAddr, headers: &HeaderMap) -> bool {
    let named = caller::host(headers)
        .is_some_and(|host| host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback()));
    peer.is_loopback() && named && !caller::is_forwarded(headers)
}

/// Whether this is `Basic` and the right password, and name where one is set. How long it takes tells the length of
/// either, and nothing else.
fn is_right(username: Option<&str>, password: &str, given: &[u8]) -> bool {
    let encoded = given.split_at_checked(6).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic "));
    let Some(Ok(given)) = encoded.map(|(_, encoded)| STANDARD.decode(encoded.trim_ascii())) else { return false };
    let Some(colon) = given.iter().position(|byte| *byte == b':') else { return false };
    let (name, rest) = given.split_at(colon);
    let right_name = username.is_none_or(|username| username.as_bytes().ct_eq(name).into());
    let right_password: bool = password.as_bytes().ct_eq(rest.get(1..).unwrap_or_default()).into();
    right_name & right_password
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::Http;
    use axum::http::{HeaderName, HeaderValue};
    use std::sync::atomic::{AtomicU32, Ordering};

    pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        let mut headers = HeaderMap::new();
        pairs.iter().map(pair).for_each(|(name, value)| _ = headers.append(name, value));
        headers
    }

    /// `[http]` with these lines.
    pub(crate) fn http(lines: &str) -> Http {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mbushat-http-{}-{}.toml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, format!("[http]\n{lines}\n")).expect("a file");
        let config = crate::config::load(&file).expect("a configuration");
        std::fs::remove_file(file).expect("a file");
        config.http.expect("a page")
    }

    fn settings(lines: &str, password: Option<&str>) -> Settings {
        let names = vec!["pi".to_owned(), "pi.local".to_owned()];
        Settings { http: http(lines), password: password.map(str::to_owned), names, tls: None }
    }

    fn ask(settings: &Settings, peer: &str, method: Method, said: &[(&'static str, &str)]) -> Result<May, Refusal> {
        let peers = Peers { peer: peer.parse().expect("an address"), own: "192.168.1.5".parse().expect("an address") };
        judge(settings, Asks { peers, method: &method, headers: &headers(said) })
    }

    const OPEN: &str = "";

    #[test]
    fn this_machine_may_do_everything_unless_a_proxy_or_another_name_stands_between() {
        let settings = settings(OPEN, None);
        let of = |peer: &str, said: &[(&'static str, &str)]| ask(&settings, peer, Method::POST, said);
        for host in ["localhost:6287", "127.0.0.1", "[::1]:6287"] {
            assert_eq!(of("127.0.0.1", &[("host", host)]), Ok(May::All), "{host}");
        }
        assert_eq!(of("::ffff:127.0.0.1", &[("host", "localhost")]), Ok(May::All));
        assert_eq!(of("127.0.0.1", &[("host", "pi.local")]), Ok(May::Read));
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-server", "x-real-ip", "via"] {
            assert_eq!(of("127.0.0.1", &[("host", "localhost"), (name, "8.8.8.8")]), Ok(May::Read), "{name}");
        }
        assert_eq!(of("192.168.1.9", &[("host", "localhost")]), Ok(May::Read));
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused() {
        let settings = settings("hosts = [\"meters.example.org\"]", None);
        let of = |host: &str| ask(&settings, "192.168.1.9", Method::GET, &[("host", host)]);
        for host in ["pi:6287", "PI.local", "192.168.1.5:6287", "meters.example.org"] {
            assert_eq!(of(host), Ok(May::Read), "{host}");
        }
        for host in ["evil.example", "192.168.1.6", "pi.local.evil.example", ""] {
            assert_eq!(of(host), Err(Refusal::WrongHost), "{host}");
        }
        assert_eq!(ask(&settings, "127.0.0.1", Method::GET, &[("host", "evil.example")]), Err(Refusal::WrongHost));
        assert_eq!(ask(&settings, "127.0.0.1", Method::GET, &[]), Err(Refusal::WrongHost));
    }

    #[test]
    fn a_password_opens_everything_and_public_only_reading() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (lines, given, may) in [
            (OPEN, None, Ok(May::Nothing)),
            ("public = true", None, Ok(May::Read)),
            (OPEN, Some(basic("anyone:secret")), Ok(May::All)),
            (OPEN, Some(basic("anyone:secret").replace("Basic", "basic")), Ok(May::All)),
            ("public = true", Some(basic("anyone:secre")), Err(Refusal::WrongPassword)),
            (OPEN, Some(basic("anyone:secret:")), Err(Refusal::WrongPassword)),
            (OPEN, Some(basic("secret")), Err(Refusal::WrongPassword)),
            (OPEN, Some("Bearer secret".to_owned()), Err(Refusal::WrongPassword)),
            ("username = \"me\"\npassword = \"x\"", Some(basic("me:secret")), Ok(May::All)),
            ("username = \"me\"\npassword = \"x\"", Some(basic("you:secret")), Err(Refusal::WrongPassword)),
        ] {
            let settings = settings(lines, Some("secret"));
            let mut said = vec![("host", "pi")];
            said.extend(given.as_deref().map(|given| ("authorization", given)));
            assert_eq!(ask(&settings, "192.168.1.9", Method::GET, &said), may, "{lines} {given:?}");
        }
    }

    #[test]
    fn a_trusted_peer_may_do_everything_under_any_name_but_not_for_another_site() {
        let settings = settings("trusted = [\"172.30.32.2\"]", Some("secret"));
        let said = [("host", "ha:8123"), ("x-forwarded-for", "10.0.0.9")];
        assert_eq!(ask(&settings, "172.30.32.2", Method::POST, &said), Ok(May::All));
        let said = [("host", "ha:8123"), ("origin", "http://evil.example")];
        assert_eq!(ask(&settings, "172.30.32.2", Method::POST, &said), Err(Refusal::CrossSite));
        assert_eq!(ask(&settings, "172.30.32.3", Method::GET, &said), Err(Refusal::WrongHost));
    }

    #[test]
    fn what_is_not_enough_is_asked_for_where_it_can_be_given() {
        assert_eq!(demand(&settings(OPEN, None), May::Read, May::Read), Ok(()));
        assert_eq!(demand(&settings(OPEN, None), May::Read, May::All), Err(Refusal::NotForOthers));
        assert_eq!(demand(&settings(OPEN, Some("p")), May::Nothing, May::Read), Err(Refusal::NeedsPassword));
    }
}
