//! Who may see and do what.

use super::{FROM_AWAY, House};

#[test]
fn who_may_only_read_sees_neither_wire_nor_telegrams_nor_doctor() {
    let Some(house) = House::new("") else { return };
    house.until("GET /", "All meters answer");
    let of = |request: &str| house.ask(request, &[FROM_AWAY]);
    let meter = of("GET /meter/w_m7");
    assert!(meter.status == 200 && !meter.body.contains("long frame") && !meter.body.contains("Read now"), "{meter:?}");
    assert!(!of("GET /bus/w").body.contains("RSP_UD"));
    for request in [
        "GET /doctor",
        "POST /doctor",
        "GET /api/v1/buses/w/wire",
        "GET /login",
        "POST /api/v1/meters/w_m7/read",
        "POST /meter/w_m7/read",
        "POST /api/v1/buses/w/scan",
        "DELETE /api/v1/buses/w/scan",
        "POST /api/v1/buses/w/power",
        "POST /api/v1/reload",
    ] {
        let answer = of(request);
        assert!(answer.status == 403 && answer.body.contains("only the machine itself may do this"), "{answer:?}");
    }
    assert_eq!(of("POST /decode\n\nhex=e5").status, 200, "that changes nothing");
}

#[test]
fn who_is_elsewhere_needs_the_password_and_ten_wrong_ones_are_enough() {
    let Some(house) = House::new("password = \"secret\"") else { return };
    let (right, wrong) = ("Authorization: Basic dTpzZWNyZXQ=", "Authorization: Basic dTp3cm9uZw==");
    let of = |path: &str, headers: &[&str]| house.ask(path, &[&[FROM_AWAY], headers].concat()).status;
    assert_eq!(house.ask("GET /api/v1/info", &[]).status, 200, "this machine");
    assert_eq!(of("GET /health", &[]), 200);
    assert_eq!((of("GET /api/v1/info", &[]), of("GET /metrics", &[])), (401, 401));
    assert_eq!(of("GET /api/v1/info", &[right]), 200);
    let refused = house.ask("GET /api/v1/info", &[FROM_AWAY]);
    assert!(refused.head.contains("www-authenticate: Basic realm"), "{refused:?}");
    let tries: Vec<u16> = (0..12).map(|_| of("GET /api/v1/info", &[wrong])).collect();
    assert_eq!(tries, [[401; 10].as_slice(), &[429, 429]].concat());
    assert_eq!((of("GET /health", &[wrong]), of("GET /health", &[])), (200, 200), "which never asks for it");
    assert_eq!(of("GET /api/v1/info", &[right]), 429, "nor the right one, which would tell it from the wrong");
    let log = house.agent.log();
    assert!(!log.contains("secret") && !house.ask("GET /api/v1/info", &[]).body.contains("secret"), "{log}");
}

#[test]
fn names_and_pages_of_others_are_refused() {
    let Some(house) = House::new("hosts = [\"meters.example.org\"]") else { return };
    for (host, status) in [
        ("meters.example.org", 200),
        ("meters.example.org.", 200),
        ("localhost.:80", 200),
        ("evil.example", 421),
        ("evil.example:80", 421),
    ] {
        assert_eq!(house.ask("GET /api/v1/info", &[&format!("Host: {host}")]).status, status, "{host}");
    }
    let cross = house.ask("POST /api/v1/reload", &["Origin: http://evil.example"]);
    assert_eq!((cross.status, cross.body.contains("another site")), (403, true), "{cross:?}");
    assert_eq!(house.ask("POST /api/v1/reload", &["Sec-Fetch-Site: cross-site"]).status, 403);
    let careful = house.ask("GET /health", &[]);
    assert!(careful.head.contains("content-security-policy: default-src 'self'"), "{careful:?}");
}

#[test]
fn whoever_may_not_read_learns_nothing_from_the_page_that_says_so() {
    let Some(house) = House::new("password = \"secret\"") else { return };
    let page = |headers: &[&str]| house.ask("GET /meter/nobody", &[&["Accept: text/html"], headers].concat());
    for (refused, status) in [(page(&[FROM_AWAY]), 401), (page(&["Host: evil.example"]), 421)] {
        assert_eq!(refused.status, status, "{refused:?}");
        for told in ["bus/w", "connected", "doctor", ">mbushat</span>"] {
            assert!(!refused.body.contains(told), "{told}: {refused:?}");
        }
    }
    let missing = page(&[]);
    assert_eq!(missing.status, 404);
    for link in ["../bus/w", "../doctor"] {
        assert!(missing.body.contains(link) && !missing.body.contains("login"), "{link}: {missing:?}");
    }
}

#[test]
fn the_telegrams_of_a_raw_meter_are_for_owners_alone() {
    let label = "labels = { telegrams = \"mine\" }\nraw = true\n";
    let Some(house) = House::with("", label) else { return };
    let telegrams = "\"telegrams\":[\"68";
    house.until("GET /api/v1/meters/w_m7", telegrams);
    let told = house.ask("GET /api/v1/meters/w_m7", &[FROM_AWAY]);
    let told: serde_json::Value = serde_json::from_str(&told.body).expect("JSON");
    assert_eq!(told["reading"]["labels"]["telegrams"], "mine", "{told}");
    assert!(told["reading"].get("telegrams").is_none() && told["reading"]["measurements"].is_array(), "{told}");
    for (headers, sees) in [(&[FROM_AWAY][..], false), (&[], true)] {
        let mut stream = house.listen("/api/v1/events", headers);
        stream.until("event: info");
        crate::broker::publish(house.broker.port, "mbushat/w_m7/read", "", false);
        stream.until("event: reading");
        stream.until("\"errors\":");
        assert_eq!(stream.heard.contains(telegrams), sees, "{}", stream.heard);
    }
}

#[test]
fn what_is_listened_to_ends_where_a_password_is_set() {
    let Some(house) = House::new("") else { return };
    let (mut events, mut mine) = (house.listen("/api/v1/events", &[FROM_AWAY]), house.listen("/api/v1/events", &[]));
    events.until("event: info");
    house.reload(house.port, "");
    mine.until("event: info");
    crate::broker::publish(house.broker.port, "mbushat/w_m7/read", "", false);
    events.until("event: reading");
    house.reload(house.port, "password = \"secret\"");
    events.until_end();
    mine.until_end();
}

#[test]
fn behind_home_assistants_ingress_every_link_and_form_stays_below_its_path() {
    let Some(house) = House::new("trusted = [\"127.0.0.1\"]\npassword = \"secret\"") else { return };
    let ingress = ["Host: ha.local:8123", "X-Forwarded-For: 10.0.0.9", "X-Ingress-Path: /api/hassio_ingress/token"];
    let of = |request: &str, more: &[&str]| house.ask(request, &[&ingress, more].concat());
    for path in ["/", "/meter/w_m7", "/bus/w", "/decode", "/doctor", "/nothing/here"] {
        let page = of(&format!("GET {path}"), &["Accept: text/html"]).body;
        let links = ["href=\"", "src=\"", "action=\"", "data-source=\""].map(|start| page.split(start).skip(1));
        let links: Vec<&str> = links.into_iter().flatten().filter_map(|rest| rest.split('"').next()).collect();
        let away: Vec<_> = links.iter().filter(|link| link.starts_with('/') || link.contains("://")).collect();
        assert!(links.len() > 5 && away.is_empty(), "{path}: {away:?} of {links:?}");
    }
    let mine = of("POST /meter/w_m7/read", &["Origin: http://ha.local:8123"]);
    assert!(mine.status == 303 && mine.head.contains("location: ../w_m7"), "{mine:?}");
    assert_eq!(of("POST /meter/w_m7/read", &["Origin: http://evil.example"]).status, 403);
}
