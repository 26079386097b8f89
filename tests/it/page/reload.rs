//! What a reload changes.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::{FROM_AWAY, House, ask};
use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Folder, free_port};
use crate::gateway::Gateway;
use crate::tools::{optional_tool, tool};

#[test]
fn a_reload_takes_over_password_port_and_path_and_keeps_the_page_where_it_cannot() {
    let Some(house) = House::new("") else { return };
    assert_eq!(house.ask("GET /api/v1/info", &[FROM_AWAY]).status, 200);
    house.reload(house.port, "password = \"secret\"\npath = \"/meters-page\"");
    assert_eq!(house.ask("GET /api/v1/info", &[FROM_AWAY]).status, 401);
    assert_eq!(house.ask("GET /meters-page/api/v1/info", &[]).status, 200);
    let folder = house.ask("GET /meters-page", &[]);
    assert!(folder.status == 308 && folder.head.contains("location: meters-page/"), "{folder:?}");
    let other = free_port();
    house.reload(other, "");
    assert_eq!(ask(other, "GET /api/v1/info", &[FROM_AWAY]).status, 200);
    assert!(TcpStream::connect(("127.0.0.1", house.port)).is_err(), "the old port is closed");

    house.agent.configure(house.broker.port, &House::table(house.broker.port, "", &house.gateway));
    house.agent.hangup();
    let end = Instant::now() + SOON;
    while !house.agent.log().contains("nothing is changed: [http] cannot listen on 127.0.0.1:") {
        assert!(Instant::now() < end, "{}", house.agent.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(ask(other, "GET /api/v1/info", &[]).status, 200);
}

#[test]
fn a_certificate_is_shown_and_a_renewed_one_after_a_reload() {
    let (Some(openssl), Some(curl)) = (tool("openssl"), optional_tool("curl")) else { return };
    let folder = Folder::new();
    let certificate = |name: &str| {
        let made = Command::new(&openssl)
            .args(format!("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout page.key -out page.pem -addext subjectAltName=DNS:localhost").split(' '))
            .current_dir(folder.path())
            .output();
        assert!(made.expect("openssl runs").status.success());
    };
    certificate("first");
    let files = ["page.pem", "page.key"].map(|name| folder.path().join(name));
    let lines = format!("cert = {:?}\nkey = {:?}", files[0], files[1]);
    let Some(house) = House::new(&lines) else { return };
    let subject = || {
        let url = format!("https://localhost:{}/health", house.port);
        let output = Command::new(&curl).args(["-sv", "--cacert"]).arg(&files[0]).arg(url).output();
        let output = output.expect("curl runs");
        assert_eq!(output.stdout, b"ok\n", "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(subject().contains("CN=first"));
    certificate("second");
    house.reload(house.port, &lines);
    assert!(subject().contains("CN=second"));
}

#[test]
fn the_same_port_at_another_address_wants_a_restart() {
    let Some(house) = House::new("password = \"secret\"") else { return };
    let everywhere = |table: String| table.replace("listen = \"127.0.0.1:", "listen = \"0.0.0.0:");
    let table = everywhere(House::table(house.port, "password = \"secret\"", &house.gateway));
    house.agent.configure(house.broker.port, &table);
    house.agent.hangup();
    let end = Instant::now() + SOON;
    while !house.agent.log().contains("the page has this port already, at another address: restart the agent") {
        assert!(Instant::now() < end, "{}", house.agent.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(house.ask("GET /health", &[]).status, 200);
}

#[test]
fn a_request_in_progress_is_answered_by_the_page_that_a_reload_closes() {
    let Some(house) = House::new("") else { return };
    let mut events = house.listen("/api/v1/events", &[]);
    events.until("event: info");
    house.gateway.meters().silent.insert(7); // so that a reading takes its time
    let port = house.port;
    let read = thread::spawn(move || ask(port, "POST /api/v1/meters/w_m7/read", &[]));
    thread::sleep(Duration::from_millis(200));
    let other = free_port();
    house.agent.configure(house.broker.port, &House::table(other, "", &house.gateway));
    assert_eq!(house.ask("POST /api/v1/reload", &[]).status, 204);
    assert_eq!(ask(other, "GET /health", &[]).status, 200);
    let answer = read.join().expect("no panic");
    assert!(answer.body.contains("no answer"), "{answer:?}");
    // what never ends is given up
    let given_up = Instant::now();
    let mut rest = Vec::new();
    _ = std::io::Read::read_to_end(&mut events.stream, &mut rest);
    assert!(given_up.elapsed() < Duration::from_secs(10), "{:?}", given_up.elapsed());
    assert_eq!(ask(other, "GET /health", &[]).status, 200);
}

#[test]
fn a_page_whose_port_is_taken_at_the_start_opens_once_it_is_free() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let agent = Agent::start(broker.port, &House::table(port, "", &gateway));
    let until = |words: &str, patience: Duration| {
        let end = Instant::now() + patience;
        while !agent.log().contains(words) {
            assert!(Instant::now() < end, "{}", agent.log());
            thread::sleep(Duration::from_millis(50));
        }
    };
    until("there is no page", SOON);
    thread::sleep(Duration::from_secs(31));
    drop(taken);
    until("the page is at http://127.0.0.1:", Duration::from_secs(31) + SOON);
    assert_eq!(ask(port, "GET /health", &[]).status, 200);
    assert_eq!(agent.log().matches("there is no page").count(), 1, "{}", agent.log());
}
