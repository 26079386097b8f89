//! Rate and parity through a real ser2net (RFC 2217), with simulated meters on the port behind it.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bus_commands::{Folder, Simulated, text};
use crate::tools::tool;

/// Two meters at 9600 baud.
const BUS: &str = "baud = 9600\n[[meter]]\nmodel = \"ats_ec20\"\naddress = 3\n\
    [[meter]]\nmodel = \"heat\"\naddress = 5\nid = \"67200512\"\n";

/// A running ser2net, ended when dropped.
struct Ser2net {
    program: Child,
    port: u16,
}

impl Ser2net {
    /// In front of a serial port, with this accepter; `None` where it is not installed.
    fn start(place: &Folder, accepter: &str, serial: &str) -> Option<Self> {
        let ser2net = tool("ser2net")?;
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
        let config = format!(
            "connection: &bus\n    accepter: {accepter},127.0.0.1,{port}\n    connector: serialdev,{serial},2400e81,local\n"
        );
        place.write("ser2net.yaml", &config);
        let program = Command::new(ser2net)
            .args(["-n", "-d", "-c", &place.path("ser2net.yaml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ser2net starts");
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "ser2net listens");
            std::thread::sleep(Duration::from_millis(50));
        }
        // it serves one program at a time, and notices after a moment that this one is gone
        std::thread::sleep(Duration::from_millis(500));
        Some(Self { program, port })
    }
}

impl Drop for Ser2net {
    fn drop(&mut self) {
        _ = self.program.kill();
        _ = self.program.wait();
    }
}

#[test]
fn meters_at_two_rates_are_read_on_one_line_through_ser2net() {
    let place = Folder::new("ser2net");
    place.write("bus.toml", BUS);
    let bus = Simulated::start(&[&place.path("bus.toml")]);
    let Some(gateway) = Ser2net::start(&place, "telnet(rfc2217),tcp", &bus.port) else { return };
    let port = format!("rfc2217://127.0.0.1:{}", gateway.port);
    let run = |args: &[&str]| {
        let output = place.mbushat(args);
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    let (done, error, _) = run(&["meter", "set-baud", "3", "2400", "--port", &port, "--baud", "9600", "--yes"]);
    assert!(done.contains("Done: it answers at 2400 baud."), "{done}{error}");
    let meters = "[[meter]]\nname = \"slow\"\naddress = 3\nbaud = 2400\n[[meter]]\nname = \"fast\"\naddress = 5\n\
        parity = \"none\"\n";
    let bus_table = format!("[[bus]]\nname = \"far\"\nport = \"{port}\"\nbaud = 9600\nresponse_timeout = \"1s\"\n");
    place.write("mbushat.toml", &format!("{bus_table}{meters}"));
    let (read, error, code) = run(&["read", "slow", "fast", "slow", "--format", "hex"]);
    let telegrams: Vec<&str> = read.lines().map(|line| &line[..17]).collect();
    assert_eq!(telegrams, ["68 3D 3D 68 08 03", "68 4D 4D 68 08 05", "68 3D 3D 68 08 03"], "{error}");
    assert_eq!(code, Some(0));
}

#[test]
fn a_gateway_that_does_not_speak_rfc_2217_is_named() {
    let place = Folder::new("ser2net-raw");
    place.write("bus.toml", BUS);
    let bus = Simulated::start(&[&place.path("bus.toml")]);
    let Some(gateway) = Ser2net::start(&place, "tcp", &bus.port) else { return };
    let port = format!("rfc2217://127.0.0.1:{}", gateway.port);
    let output = place.mbushat(&["read", "5", "--port", &port]);
    let said = text(&output.stderr);
    assert!(said.contains("does not answer as RFC 2217 requires; use tcp://"), "{said}");
}
