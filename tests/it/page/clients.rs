//! Clients that are slow, or send too much.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{FROM_AWAY, House, Listening, exchange};
use crate::agent::SOON;

#[test]
fn a_client_that_reads_nothing_is_dropped() {
    let Some(house) = House::new("") else { return };
    let mut stream = TcpStream::connect(("127.0.0.1", house.port)).expect("it listens");
    stream.set_write_timeout(Some(SOON)).expect("a socket");
    // answers pile up until the socket takes no more, then requests do
    let request = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let error = std::iter::repeat_with(|| stream.write_all(request)).find_map(Result::err).expect("an end");
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

#[test]
fn a_client_that_sends_half_a_head_or_an_endless_one_is_dropped() {
    let Some(house) = House::new("") else { return };
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", house.port)).expect("it listens");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: lo").expect("sent");
            stream
        })
        .collect();
    let endless = exchange(house.port, &format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)));
    assert!(endless.is_empty() || endless.starts_with("HTTP/1.1 431"), "{endless}");
    assert_eq!(house.ask("GET /health", &[]).status, 200, "the slow ones have been dropped");
    drop(slow);
}

#[test]
fn a_client_that_sends_half_a_body_is_told_and_dropped() {
    let Some(house) = House::new("") else { return };
    let mut stream = TcpStream::connect(("127.0.0.1", house.port)).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    let head = "POST /decode HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n";
    write!(stream, "{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nhex=").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it hangs up");
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not come in time"), "{answer}");
}

#[test]
fn a_connection_on_which_nothing_more_is_asked_is_closed() {
    let Some(house) = House::new("") else { return };
    let mut stream = TcpStream::connect(("127.0.0.1", house.port)).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a socket");
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it hangs up");
    assert!(answer.ends_with("ok\n"), "{answer}");
}

/// So many streams, each of which has begun.
fn streams(house: &House, count: usize, headers: &[&str]) -> Vec<Listening> {
    let begun = |_| {
        let mut stream = house.listen("/api/v1/events", headers);
        stream.until("event: info");
        stream
    };
    (0..count).map(begun).collect()
}

#[test]
fn streams_of_events_leave_room_for_others() {
    let Some(house) = House::new("proxies = [\"127.0.0.1\"]") else { return };
    let mine = streams(&house, 8, &[]);
    let ninth = house.ask("GET /api/v1/events", &[]);
    assert!(ninth.status == 503 && ninth.body.contains("8 streams"), "{ninth:?}");
    assert!(ninth.head.contains("content-type: application/problem+json"), "{ninth:?}");
    assert_eq!(house.ask("GET /api/v1/buses/w/wire", &[]).status, 503);
    let others: Vec<String> = (1..=5).map(|last| format!("X-Forwarded-For: 203.0.113.{last}")).collect();
    let all: Vec<Listening> = others.iter().flat_map(|from| streams(&house, 8, &[from])).collect();
    assert_eq!(all.len(), 40);
    let more = house.ask("GET /api/v1/events", &[FROM_AWAY]);
    assert!(more.status == 503 && more.body.contains("48 streams"), "{more:?}");
    assert_eq!(house.ask("GET /health", &[FROM_AWAY]).status, 200);
    drop(mine);
    // what is gone is noticed when something happens
    let end = Instant::now() + SOON;
    loop {
        crate::broker::publish(house.broker.port, "mbushat/w_m7/read", "", false);
        let mut again = house.listen("/api/v1/events", &[]);
        again.until("\r\n\r\n");
        if again.heard.contains("200 OK") {
            break;
        }
        assert!(Instant::now() < end, "{}", again.heard);
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn connections_on_which_nothing_is_asked_keep_nobody_out() {
    let Some(house) = House::new("") else { return };
    let idle: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", house.port)).expect("it listens");
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
            let mut answer = [0; 15];
            stream.read_exact(&mut answer).expect("an answer");
            stream
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(house.ask("GET /health", &[]).status, 200);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    drop(idle);
}
