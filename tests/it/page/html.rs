//! What meters and people write is shown as it is written, and never taken for HTML or for an event.

use super::{JSON, Listening, ask};
use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Subscriber, free_port, publish};

const SCRIPT: &str = "<script>alert(1)</script>";
const EVENT: &str = "\n\nevent: evil\ndata: x\n\n";

/// A telegram of meter 5 that says what somebody wishes.
fn telegram() -> String {
    let text = |vife: u8, text: &str| {
        let reversed: Vec<u8> = text.bytes().rev().collect();
        [&[0x0D, 0xFD, vife, u8::try_from(text.len()).expect("short")], reversed.as_slice()].concat()
    };
    let unit: Vec<u8> = "<img src=x>".bytes().rev().collect();
    let own_unit = [&[0x04, 0x7C, u8::try_from(unit.len()).expect("short")], unit.as_slice(), &[1, 0, 0, 0]].concat();
    let records = [text(0x11, SCRIPT), text(0x10, EVENT), own_unit, vec![0x0C, 0x13, 1, 0, 0, 0]].concat();
    // id 12345678, maker SIM, version 1, water
    let head = [0x08, 5, 0x72, 0x78, 0x56, 0x34, 0x12, 0x2D, 0x4D, 0x01, 0x07, 1, 0, 0, 0];
    let body = [&head[..], &records].concat();
    let length = u8::try_from(body.len()).expect("short");
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let frame = [&[0x68, length, length, 0x68], body.as_slice(), &[sum, 0x16]].concat();
    frame.iter().map(|byte| format!("{byte:02X}")).collect()
}

const METER: &str = r#"
[[meter]]
name = "m"
title = "<b title='t'>\"Attic\"</b>"
address = 5
labels = { flat = "<u>3</u>" }
interval = "1h"
[[meter.record]]
quantity = "volume"
title = "<i>Cold</i>"
"#;

/// What must not stand in any page.
const HTML: [&str; 7] = ["<script>alert", "<img src=x", "<b title", "</b>\"", "<u>3", "<i>Cold", "<s>"];

#[test]
fn nothing_that_a_meter_or_a_user_wrote_is_taken_for_html() {
    let Some(broker) = Broker::start() else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let port = free_port();
    let agent = Agent::start(broker.port, "[[bus]]\nname = \"b\"\nport = \"sim:bus.toml\"\n");
    std::fs::write(agent.folder().join("bus.toml"), format!("[[meter]]\ntelegrams = [\"{}\"]\n", telegram()))
        .expect("a file");
    let (bus, page) =
        ("[[bus]]\nname = \"b\"\nport = \"sim:bus.toml\"\n", format!("[http]\nlisten = \"127.0.0.1:{port}\"\n"));
    agent.configure(broker.port, &format!("base_topic = \"<s>\"\n{page}{bus}{METER}"));
    let mut agent = agent;
    agent.restart();
    subscriber.wait_for(SOON, |m| m.topic == "<s>/m/reading").expect("it reads");
    let mut events = Listening::new(port, "/api/v1/events", &[]);
    events.until("event: info");
    publish(broker.port, "<s>/m/read", "", false);
    events.until("event: reading");
    events.until("\"errors\":");
    assert!(events.heard.contains("alert(1)") && !events.heard.contains("\nevent: evil"), "{}", events.heard);
    let mut wire = Listening::new(port, "/api/v1/buses/b/wire", &[]);
    wire.until("RSP_UD");

    let scan = ask(port, "POST /api/v1/buses/b/scan\n\n{\"secondary\":\"1234????\"}", &[JSON]);
    assert_eq!(scan.status, 202, "{scan:?}");
    let form = "Content-Type: application/x-www-form-urlencoded";
    let pasted = format!("POST /decode\n\nhex={}", telegram());
    for (request, shown) in [
        ("GET /", "&#60;b title=&#39;t&#39;&#62;&#34;Attic&#34;"),
        ("GET /meter/m", "&#60;script&#62;alert(1)"),
        ("GET /meter/m", "&#60;u&#62;3"),
        ("GET /meter/m", "&#60;i&#62;Cold"),
        ("GET /meter/m?key=%22%3E%3Cscript%3Ealert(1)", "Attic"),
        ("GET /bus/b", "12345678"),
        (&pasted, "&#60;script&#62;alert(1)"),
        ("POST /decode\n\nhex=%3C/textarea%3E%3Cscript%3Ealert(1)", "&#60;/textarea&#62;"),
        ("POST /doctor", ""),
        ("GET /doctor", "findings"),
        ("GET /%3Cscript%3Ealert(1)", "nothing at this address"),
        ("POST /bus/b/scan\n\nby=secondary&secondary=%3Cscript%3Ealert(1)", "expected a mask"),
        ("POST /bus/b/adopt\n\naddress=%3Cscript%3Ealert(1)", "not the address"),
    ] {
        let page = ask(port, request, &["Accept: text/html", form]);
        assert!(page.body.contains(shown), "{request}: {shown}: {}", page.body);
        for html in HTML {
            assert!(!page.body.contains(html), "{request}: {html}: {}", page.body);
        }
    }
}
