//! A gateway that speaks RFC 2217 and keeps its one rate, with meters behind it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Subscriber};
use crate::gateway::Gateway;

/// Its port; data goes to `behind` and back.
fn one_rate(behind: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream, behind));
        }
    });
    port
}

fn serve(mut client: TcpStream, behind: u16) {
    let mut meters = TcpStream::connect(("127.0.0.1", behind)).expect("it listens");
    let (mut from_meters, mut to_client) = (meters.try_clone().expect("one"), client.try_clone().expect("one"));
    thread::spawn(move || std::io::copy(&mut from_meters, &mut to_client));
    let mut byte = [0];
    let mut next = move |client: &mut TcpStream| client.read_exact(&mut byte).is_ok().then_some(byte[0]);
    while let Some(first) = next(&mut client) {
        if first != 255 {
            _ = meters.write_all(&[first]);
            continue;
        }
        match next(&mut client) {
            Some(255) => _ = meters.write_all(&[255]),
            Some(250) => {
                let mut sub = Vec::new();
                while !sub.ends_with(&[255, 240]) {
                    let Some(byte) = next(&mut client) else { return };
                    sub.push(byte);
                }
                sub[1] += 100;
                if sub[1] == 101 {
                    sub.splice(2..6, 2400_u32.to_be_bytes());
                }
                _ = client.write_all(&[&[255, 250], sub.as_slice()].concat());
            }
            _ => _ = next(&mut client),
        }
    }
}

#[test]
fn a_rate_that_a_gateway_refuses_costs_its_meter_alone_and_no_search() {
    let Some(broker) = Broker::start() else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "#") else { return };
    let gateway = Gateway::start();
    gateway.meters().silent.extend(250..=255); // a search is to find nobody
    let port = one_rate(gateway.port);
    let bus = format!("[[bus]]\nname = \"b\"\nport = \"rfc2217://127.0.0.1:{port}\"\ndiscover = true\n");
    let meters: String = [("slow", 5, "baud = 300\n"), ("fast", 7, "")]
        .into_iter()
        .map(|(name, address, more)| {
            format!("[[meter]]\nname = \"{name}\"\naddress = {address}\ninterval = \"2s\"\n{more}")
        })
        .collect();
    let mut agent = Agent::start(broker.port, &(bus + &meters));
    agent.kill();
    // a search that is nearly over at the bus's own rate
    let at = r#"{"begun":true,"at":{"baud":2400,"what":{"primary":250}}}"#;
    let kept = format!(r#"{{"b":{{"port":"rfc2217://127.0.0.1:{port}","baud":2400,"hunt":{at}}}}}"#);
    fs::create_dir_all(agent.folder().join("store")).expect("a folder");
    fs::write(agent.folder().join("store/meters.toml.search"), kept).expect("a file");
    subscriber.until_quiet(Duration::from_secs(1));
    agent.restart();
    let told = |text: &str| {
        let end = std::time::Instant::now() + SOON;
        while !agent.log().contains(text) {
            assert!(std::time::Instant::now() < end, "no {text}: {}", agent.log());
            thread::sleep(Duration::from_millis(50));
        }
    };
    told("no reading: the gateway does not take 300 8E1");
    told("no meter is looked for at 9600 baud: the gateway does not take 9600 8E1");
    told("the search for meters is over");
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/fast/reading").expect("the other one is read");
    assert!(!agent.log().contains("bus is down"), "{}", agent.log());
}

#[test]
fn a_scan_of_every_rate_goes_on_behind_such_a_gateway() {
    let gateway = Gateway::start();
    let port = format!("rfc2217://127.0.0.1:{}", one_rate(gateway.port));
    let program = env!("CARGO_BIN_EXE_mbushat");
    let args = ["scan", "--port", &port, "--baud", "all", "--retries", "0", "--timeout", "50ms"];
    let range = ["--from", "5", "--to", "6"];
    let output = std::process::Command::new(program).args(args).args(range).output().expect("it runs");
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("no meter is looked for at 300 baud: the gateway does not take 300 8E1"), "{said}");
    assert_eq!(out.lines().filter(|line| line.contains("2400")).count(), 2, "{out}");
}
