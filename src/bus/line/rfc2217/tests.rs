//! A gateway in this process that has one rate.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::telnet::{Said, Telnet, set};
use super::super::{Character, Line, LineError};
use crate::config::Port;
use crate::mbus::link::timing::{Baud, Parity};

/// What comes before the command of an answer.
const ANSWER: u8 = 100;
const SET_BAUD_RATE: u8 = 1;
const SET_PARITY: u8 = 3;

/// Answers to each setting; to a rate always with its own. What it was told as parity, in order.
async fn gateway(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let (mut raw, mut parities) = ([0; 512], Vec::new());
    let (mut telnet, mut data) = (Telnet::default(), Vec::new());
    while let Ok(count @ 1..) = stream.read(&mut raw).await {
        // a client's command is an answer's less that much
        let bytes: Vec<u8> = settings_as_answers(&raw[..count]);
        for said in telnet.take(&bytes, &mut data) {
            let Said::Set(command, mut value) = said else { continue };
            if command == SET_BAUD_RATE {
                value = 2400_u32.to_be_bytes().to_vec();
            }
            if command == SET_PARITY {
                parities.extend(&value);
            }
            stream.write_all(&set(command + ANSWER, &value)).await.expect("it listens");
        }
    }
    parities
}

fn settings_as_answers(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(3) {
        if bytes[at..].starts_with(&[255, 250, 44]) {
            bytes[at + 3] += ANSWER;
        }
    }
    bytes
}

#[tokio::test]
async fn a_rate_that_the_gateway_does_not_take_costs_no_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let number = listener.local_addr().expect("its address").port();
    let gateway = tokio::spawn(gateway(listener));
    let own = Character { baud: Baud::DEFAULT, parity: Parity::Even, stop_bits: 1 };
    let port = Port::Rfc2217 { host: "127.0.0.1".to_owned(), port: number };
    let mut line = Line::open(&port, own, "/".as_ref()).await.expect("it takes its own rate");
    let other = Character { baud: Baud::new(300).expect("a rate"), parity: Parity::None, stop_bits: 1 };
    let refused = line.set_character(other).await.expect_err("it has one rate");
    assert!(matches!(refused, LineError::Unsupported(character) if character == other), "{refused:?}");
    assert_eq!(refused.to_string(), "the gateway does not take 300 8N1");
    line.set_character(own).await.expect("nothing to change");
    line.set_character(Character { parity: Parity::None, ..own }).await.expect("another parity alone");
    drop(line);
    // even; none, taken with the rate that is not, so even again; none
    assert_eq!(gateway.await.expect("no panic"), [3, 1, 3, 1]);
}
