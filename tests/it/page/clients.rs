//! Clients that are slow, or send too much.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::{House, exchange};
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
