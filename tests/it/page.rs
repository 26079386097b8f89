//! What the agent serves over HTTP, over real sockets: values as MQTT has them, and nothing to who may not see it.

mod clients;
mod html;
mod programs;
mod reload;
mod rights;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Subscriber, free_port};
use crate::gateway::Gateway;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends these bytes and reads until the other end closes.
fn exchange(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    // it may have hung up before it has read everything
    _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// `request` is `GET /path`, or with a body behind an empty line; `headers` come on top of Host.
pub(crate) fn ask(port: u16, request: &str, headers: &[&str]) -> Answer {
    let (line, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut head = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        head += &format!("Host: localhost:{port}\r\n");
    }
    headers.iter().for_each(|header| head += &format!("{header}\r\n"));
    if line.starts_with("POST") && body.contains("hex=") && !headers.iter().any(|h| h.starts_with("Content-Type")) {
        head += "Content-Type: application/x-www-form-urlencoded\r\n";
    }
    if line.starts_with("POST") || line.starts_with("PATCH") {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let answer = exchange(port, &format!("{head}\r\n{body}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap_or_default();
        whole += rest.get(..length).unwrap_or(rest);
        body = rest.get(length + 2..).unwrap_or_default();
    }
    whole
}

/// Server-sent events as they come.
struct Listening {
    stream: TcpStream,
    heard: String,
}

impl Listening {
    fn new(port: u16, path: &str, headers: &[&str]) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(SOON)).expect("a socket");
        let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").expect("sent");
        Self { stream, heard: String::new() }
    }

    /// Until this is heard.
    fn until(&mut self, wanted: &str) {
        self.until_it(|heard| heard.contains(wanted));
    }

    /// Until there is no more.
    fn until_end(&mut self) {
        self.until_it(|heard| heard.ends_with("\r\n0\r\n\r\n"));
    }

    fn until_it(&mut self, is_it: impl Fn(&str) -> bool) {
        let (end, mut buffer) = (Instant::now() + SOON, [0; 4096]);
        while !is_it(&self.heard) {
            let count = self.stream.read(&mut buffer).expect("more");
            assert!(count > 0 && Instant::now() < end, "{}", self.heard);
            self.heard += &String::from_utf8_lossy(buffer.get(..count).expect("as many"));
        }
    }
}

/// A header that only a proxy adds: whoever is behind it is not on this machine.
const FROM_AWAY: &str = "X-Forwarded-For: 203.0.113.9";

/// A broker, meters and an agent with a page that has these lines.
pub(crate) struct House {
    pub(crate) port: u16,
    pub(crate) broker: Broker,
    pub(crate) gateway: Gateway,
    pub(crate) agent: Agent,
}

impl House {
    /// `None` where there is no mosquitto.
    pub(crate) fn new(lines: &str) -> Option<Self> {
        Self::with(lines, "")
    }

    /// The same with these lines of the meter.
    fn with(lines: &str, meter: &str) -> Option<Self> {
        let (broker, gateway, port) = (Broker::start()?, Gateway::start(), free_port());
        let subscriber = Subscriber::new(broker.port, "#")?;
        let agent = Agent::start(broker.port, &(Self::table(port, lines, &gateway) + meter));
        subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m7/reading").expect("it reads");
        Some(Self { port, broker, gateway, agent })
    }

    fn table(port: u16, lines: &str, gateway: &Gateway) -> String {
        let meters = gateway.config("w", [7], "1h");
        format!("[http]\nlisten = \"127.0.0.1:{port}\"\n{lines}\n{meters}")
    }

    /// Another configuration, taken over.
    fn reload(&self, port: u16, lines: &str) {
        let before = self.agent.log().matches("reloaded").count();
        self.agent.configure(self.broker.port, &Self::table(port, lines, &self.gateway));
        self.agent.hangup();
        let end = Instant::now() + SOON;
        while self.agent.log().matches("reloaded").count() == before {
            assert!(Instant::now() < end, "{}", self.agent.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn ask(&self, request: &str, headers: &[&str]) -> Answer {
        ask(self.port, request, headers)
    }

    fn listen(&self, path: &str, headers: &[&str]) -> Listening {
        Listening::new(self.port, path, headers)
    }

    /// Until it answers so; values are shown within a second.
    fn until(&self, request: &str, wanted: &str) -> Answer {
        let end = Instant::now() + SOON;
        loop {
            let answer = self.ask(request, &[]);
            if answer.body.contains(wanted) {
                return answer;
            }
            assert!(Instant::now() < end, "{answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn values_are_told_as_mqtt_has_them() {
    let Some(house) = House::new("") else { return };
    let answer = house.until("GET /api/v1/meters/w_m7", r#""reading":{"#);
    assert!(answer.head.contains("content-type: application/json"), "{answer:?}");
    house.agent.hangup(); // a reload must not take the reading away
    let told: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((&told["name"], &told["online"]), (&"w_m7".into(), &true.into()), "{told}");
    assert_eq!(told["reading"]["measurements"][0]["value"], told["values"]["volume"]["value"]);
    assert_eq!((&told["values"]["volume"]["unit"], &told["error"]), (&"m³".into(), &serde_json::Value::Null));
    let list: serde_json::Value = serde_json::from_str(&house.ask("GET /api/v1/meters", &[]).body).expect("JSON");
    assert_eq!((list[0]["name"].as_str(), list.as_array().map(Vec::len)), (Some("w_m7"), Some(1)));
    let info: serde_json::Value = serde_json::from_str(&house.ask("GET /api/v1/info", &[]).body).expect("JSON");
    assert_eq!((info["agent"].as_str(), info["meters"]["w_m7"]["online"].as_bool()), (Some("mbushat"), Some(true)));
    let buses = house.ask("GET /api/v1/buses", &[]).body;
    assert!(buses.starts_with(r#"{"w":{"port":"tcp://127.0.0.1:"#), "{buses}");
    assert_eq!(house.ask("GET /health", &[]).body, "ok\n");
}

#[test]
fn what_is_not_there_is_a_problem_in_words() {
    let Some(house) = House::new("") else { return };
    for (request, status, words) in [
        ("GET /api/v1/meters/nobody", 404, "no such meter: nobody"),
        ("GET /nowhere", 404, "there is nothing at this address"),
        ("GET /../../etc/passwd", 404, "there is nothing at this address"),
        ("GET /api/v1/meters/..%2f..%2fetc%2fpasswd", 404, "no such meter: ../../etc/passwd"),
        ("GET /api/v1/meters/%ff", 404, "not UTF-8"),
        ("POST /api/v1/buses", 405, "another method"),
        ("GET /meter/w_m7?key=a&key=b", 400, "duplicate field `key`"),
        ("POST /bus/w/power\n\nhex=", 422, "missing field `on`"),
        ("POST /bus/w/adopt\n\nhex=&address=1&address=2", 422, "duplicate field `address`"),
    ] {
        let answer = house.ask(request, &[]);
        assert_eq!(answer.status, status, "{request} {answer:?}");
        assert!(answer.body.contains(words), "{request} {answer:?}");
        assert!(answer.head.contains("content-type: application/problem+json"), "{answer:?}");
    }
}

#[test]
fn what_is_wrong_with_a_body_is_said_in_our_words() {
    let Some(house) = House::new("") else { return };
    let list = house.ask("POST /api/v1/decode\n\n[]", &[JSON]);
    assert!(list.status == 422 && list.body.contains("expected {") && !list.body.contains("struct"), "{list:?}");
    let long = house.ask(&format!("POST /api/v1/decode\n\n{}", " ".repeat(70_000)), &[JSON]);
    assert!(long.status == 413 && long.body.contains("more than 64 KiB"), "{long:?}");
}

#[test]
fn pages_show_every_meter_and_take_no_html_from_names() {
    let Some(house) = House::new("") else { return };
    let page = house.until("GET /", "All meters answer");
    for part in ["<a href=\"meter/w_m7\">W M7</a>", "<dt>Volume</dt>", "href=\"bus/w\"", "data-live"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(page.head.contains("content-type: text/html"), "{page:?}");
    let meter = house.ask("GET /meter/w_m7", &[]);
    for part in ["<td class=\"hex\">volume</td>", "00001007", "Telegram 1", "<td>long frame</td>", "Read now"] {
        assert!(meter.body.contains(part), "{part}: {}", meter.body);
    }
    let bus = house.ask("GET /bus/w", &[]);
    assert!(bus.body.contains("RSP_UD from 7") && bus.body.contains("REQ_UD2 to 7"), "{bus:?}");
    let live = house.ask("GET /bus/w", &["X-Only-Live: 1"]);
    assert!(live.body.contains("id=\"health\" data-live") && !live.body.contains("RSP_UD"), "{live:?}");
    assert!(!house.ask("GET /meter/w_m7", &["X-Only-Live: 1"]).body.contains("long frame"), "telegrams are not live");
    let german = house.ask("GET /", &["Accept-Language: de-CH"]);
    assert!(german.body.contains("<html lang=\"de\">") && german.body.contains("Alle Zähler antworten"), "{german:?}");
    let nasty = house.ask("GET /meter/%3Cscript%3Ealert(1)%3C%2Fscript%3E", &["Accept: text/html"]);
    assert_eq!(nasty.status, 404);
    for nothing in ["GET /meter/nope", "GET /bus/nope", "GET /meter/%ff"] {
        let page = house.ask(nothing, &["Accept: text/html,application/xhtml+xml,*/*;q=0.8"]);
        assert!(page.head.contains("content-type: text/html") && page.body.contains("</html>"), "{nothing}: {page:?}");
    }
    assert!(nasty.body.contains("no such meter") && !nasty.body.contains("<script>alert"), "{nasty:?}");
    for asset in ["style.css", "live.js", "wire.js", "icon.svg"] {
        assert_eq!(house.ask(&format!("GET /assets/{asset}"), &[]).status, 200, "{asset}");
    }
}

const JSON: &str = "Content-Type: application/json";

#[test]
fn what_is_asked_for_is_done() {
    let Some(house) = House::new("") else { return };
    let read = house.ask("POST /api/v1/meters/w_m7/read", &[]);
    assert!(read.status == 200 && read.body.starts_with(r#"{"meter":"w_m7","agent":"mbushat","#), "{read:?}");
    let read_at = house.ask("POST /api/v1/buses/w/read\n\n{\"address\":77}", &[JSON]);
    assert!(read_at.status == 200 && read_at.body.starts_with(r#"{"meter":null,"#), "{read_at:?}");
    let pressed = house.ask("POST /meter/w_m7/read", &[]);
    assert!(pressed.status == 303 && pressed.head.contains("location: ../w_m7"), "{pressed:?}");
    assert_eq!(house.ask("POST /api/v1/reload", &[]).status, 204);
    for (request, status, words) in [
        ("POST /api/v1/meters/nobody/read", 404, "no such meter"),
        ("POST /api/v1/buses/nowhere/scan", 404, "no such bus"),
        ("POST /api/v1/buses/w/power\n\n{\"on\":true}", 409, "no Hat powers this bus"),
        ("POST /api/v1/buses/w/power\n\n{\"on\":1}", 422, "expected true or false"),
        ("POST /api/v1/buses/w/read\n\n{\"address\":300}", 422, "expected 0 to 250"),
        ("POST /api/v1/buses/w/read\n\n{", 422, "expected a JSON object"),
        ("POST /api/v1/buses/w/read\n\n{\"adress\":7}", 422, "no such key: adress; expected address"),
        ("POST /api/v1/buses/w/power\n\n{\"on\":true,\"off\":1}", 422, "no such key: off"),
        ("POST /api/v1/buses/w/scan\n\n{\"secondry\":\"3013????\"}", 422, "no such key: secondry"),
        ("DELETE /api/v1/buses/w/scan", 409, "this bus is not being scanned"),
    ] {
        let answer = house.ask(request, &[JSON]);
        assert!(answer.status == status && answer.body.contains(words), "{request}: {answer:?}");
    }
    let form = house.ask("POST /api/v1/buses/w/read\n\n{\"address\":7}", &["Content-Type: text/plain"]);
    assert_eq!(form.status, 415, "as a form of another site could send it");
    let large = house.ask(&format!("POST /api/v1/decode\n\n{}", "x".repeat(70_000)), &[JSON]);
    assert_eq!(large.status, 413);
}

#[test]
fn a_scan_shows_what_it_finds_until_it_is_ended() {
    let Some(house) = House::new("") else { return };
    let started = house.ask("POST /api/v1/buses/w/scan", &[JSON]);
    assert!(started.status == 202 && started.body.contains(r#""percent":"#), "{started:?}");
    assert_eq!(house.ask("POST /api/v1/buses/w/scan", &[JSON]).status, 409, "one at a time");
    house.until("GET /api/v1/buses/w/scan", r#""address":"7""#);
    house.until("GET /bus/w", "<progress");
    assert_eq!(house.ask("DELETE /api/v1/buses/w/scan", &[]).status, 200);
    let over = house.ask("GET /api/v1/buses/w/scan", &[]);
    assert!(over.body.contains(r#""scan":null"#) && over.body.contains("00001007"), "{over:?}");
}

#[test]
fn a_telegram_is_explained_as_on_the_command_line() {
    let Some(house) = House::new("") else { return };
    let hex = "68 03 03 68 53 05 50 A8 16";
    let told = house.ask(&format!("POST /api/v1/decode\n\n{{\"hex\":\"{hex}\"}}"), &[JSON]);
    let output = Command::new(env!("CARGO_BIN_EXE_mbushat")).args(["decode", "--format", "jsonl", hex]).output();
    let printed = String::from_utf8(output.expect("it runs").stdout).expect("text");
    assert_eq!(told.body, printed.trim_end());
    let page =
        house.ask("POST /decode\n\nhex=68030368530550A816", &["Content-Type: application/x-www-form-urlencoded"]);
    assert!(page.body.contains("<td>application reset</td>"), "{page:?}");
}
