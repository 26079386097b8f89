//! What is there for other programs: events, metrics, the routes of mbus-httpd, a description of all routes.

use std::io::Write;
use std::process::Command;

use super::{House, JSON};
use crate::tools::optional_tool;

#[test]
fn readings_arrive_as_they_are_taken() {
    let Some(house) = House::new("") else { return };
    let mut events = house.listen("/api/v1/events", &[]);
    events.until("event: info\ndata: {\"at\":");
    assert!(events.heard.contains("content-type: text/event-stream"), "{}", events.heard);
    crate::broker::publish(house.broker.port, "mbushat/w_m7/read", "", false);
    events.until("event: reading\ndata: {\"meter\":\"w_m7\",");
}

#[test]
fn metrics_tell_every_number_in_both_formats() {
    let label = "labels = { flat = \"3 \\\"left\\\"\\n\\\\\" }\n";
    let Some(house) = House::with("", label) else { return };
    let plain = house.until("GET /metrics", "mbushat_measurement{");
    assert!(plain.head.contains("content-type: text/plain; version=0.0.4"), "{plain:?}");
    for line in [
        "mbushat_measurement{meter=\"w_m7\",key=\"volume\",unit=\"m³\",flat=\"3 \\\"left\\\"\\n\\\\\"} ",
        "mbushat_meter_up{meter=\"w_m7\",flat=\"3 \\\"left\\\"\\n\\\\\"} 1\n",
        "mbushat_meter_last_read_timestamp_seconds{meter=\"w_m7\",flat=\"3 ",
        "mbushat_bus_up{bus=\"w\"} 1\n",
        "# TYPE mbushat_readings_delivered_total counter\n",
        "mbushat_bus_errors_total{bus=\"w\",kind=\"silent\"} 0\n",
        "mbushat_broker_connected 1\n",
    ] {
        assert!(plain.body.contains(line), "{line}: {}", plain.body);
    }
    assert!(!plain.body.contains("EOF"));
    let open = house.ask("GET /metrics", &["Accept: application/openmetrics-text; version=1.0.0"]);
    assert!(open.head.contains("application/openmetrics-text") && open.body.ends_with("# EOF\n"), "{open:?}");
    let Some(promtool) = optional_tool("promtool") else { return };
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool runs");
    child.stdin.take().expect("a pipe").write_all(plain.body.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_was_made_for_mbus_httpd_finds_its_routes() {
    let Some(house) = House::new("") else { return };
    for (request, status, kind, words) in [
        ("GET /mbus/api", 200, "text/x-yaml", "/mbus/getMulti/{device}/{baudrate}/{address}/{maxframes}:"),
        ("POST /mbus/get/w/2400/77", 200, "application/xml", "<Id>1077</Id>"),
        ("POST /mbus/getMulti/w/2400/77/5", 200, "application/xml", "<MBusData>"),
        ("POST /mbus/getMulti/w/2400/77/251", 400, "text/plain", "maxframes"),
        ("POST /mbus/get/w/2400/xyz", 400, "text/plain", "Not a valid primary or secondary address"),
        ("POST /mbus/get/w/1234/7", 400, "text/plain", "Not a baud rate"),
        ("POST /mbus/get/nowhere/2400/7", 404, "text/plain", "No bus in the configuration"),
        ("POST /mbus/get/w/9600/7", 404, "text/plain", "Bus w runs at 2400 baud"),
        ("POST /mbus/hat/on", 404, "text/plain", "M-Bus Master Hat not installed"),
        ("GET /mbus/hat", 404, "text/plain", "Hat not present"),
        ("POST /mbus/get/w/2400/251", 404, "text/plain", "Failed to query M-Bus"),
        ("POST /mbus/get/w/2400/255", 404, "text/plain", "Failed to query M-Bus"),
        ("POST /mbus/get/w/2400/256", 400, "text/plain", "Not a valid primary or secondary address"),
        ("POST /mbus/getMulti/w/2400/77/+3", 400, "text/plain", "maxframes"),
        ("POST /mbus/get/%ff/2400/77", 400, "text/plain", "not UTF-8"),
        ("GET /mbus/hat/on", 405, "text/plain", ""),
        ("DELETE /mbus/get/w/2400/7", 405, "text/plain", ""),
        ("GET /mbus/nothing", 404, "text/plain", ""),
    ] {
        let answer = house.ask(request, &[]);
        assert!(answer.status == status && answer.body.contains(words), "{request}: {answer:?}");
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{request}: {answer:?}");
        assert!(answer.head.contains("x-span-id: "), "{request}: {answer:?}");
    }
    let cross = house.ask("POST /mbus/hat/on", &["Origin: http://evil.example"]);
    assert!(cross.status == 403 && cross.head.contains("x-span-id: "), "{cross:?}");
}

#[test]
fn every_described_route_is_there_and_every_route_is_described() {
    let Some(house) = House::new("") else { return };
    let description = house.ask("GET /api/v1/openapi.json", &[]);
    let description: serde_json::Value = serde_json::from_str(&description.body).expect("JSON");
    let paths = description["paths"].as_object().expect("paths");
    for (path, methods) in paths.iter().filter(|(path, _)| !path.ends_with("/events") && !path.ends_with("/wire")) {
        for method in methods.as_object().expect("methods").keys() {
            let place = path.replace("{name}", "w_m7").replace("{bus}", "w");
            let answer = house.ask(&format!("{} {place}", method.to_uppercase()), &[JSON]);
            let known = methods[method]["responses"].get(answer.status.to_string());
            assert!(known.is_some(), "{method} {place}: {answer:?}");
            let content = known.and_then(|known| known["content"].as_object()).into_iter().flatten();
            let kinds: Vec<&String> = content.map(|(kind, _)| kind).collect();
            let fits = |kind: &&&String| answer.head.contains(&format!("content-type: {kind}"));
            assert!(kinds.is_empty() || kinds.iter().any(|kind| fits(&kind)), "{method} {place}: {answer:?}");
        }
    }
    let has = |path: &str, status: &str| !description["paths"][path]["get"]["responses"][status].is_null();
    for (path, statuses) in [
        ("/health", &["200", "421", "503"][..]),
        ("/api/v1/openapi.json", &["401", "403", "421", "429"]),
        ("/api/v1/events", &["503"]),
        ("/api/v1/buses/{bus}/wire", &["503"]),
    ] {
        for status in statuses {
            assert!(has(path, status), "{path} lacks {status}");
        }
    }
    let metrics = &description["paths"]["/metrics"]["get"]["responses"]["200"]["content"];
    assert!(metrics["text/plain"].is_object() && metrics["application/openmetrics-text"].is_object(), "{metrics}");
    let router = include_str!("../../../src/http/router.rs");
    let routes = router.split("\"/api/v1").skip(1).filter_map(|rest| rest.split('"').next());
    let missing: Vec<&str> = routes.filter(|route| !paths.contains_key(&format!("/api/v1{route}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
