//! Adopting over REST and with the buttons of the page, and what the page tells of it.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{all_read, empty, file_with, meters_file};
use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Subscriber, free_port};
use crate::page::ask;

const JSON: &str = "Content-Type: application/json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// An agent with a page, and the page's port. `more` are further lines.
fn with_page(broker: &Broker, more: &str) -> (Agent, u16) {
    let port = free_port();
    let agent = empty(broker, &format!("{more}[http]\nlisten = \"127.0.0.1:{port}\"\n"));
    let end = Instant::now() + SOON;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "{}", agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    (agent, port)
}

/// Until a page shows this.
fn until(port: u16, request: &str, shown: &str) -> String {
    let end = Instant::now() + SOON;
    loop {
        let page = ask(port, request, &[]).body;
        if page.contains(shown) {
            return page;
        }
        assert!(Instant::now() < end, "{request}: no {shown} in {page}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Searches the whole bus, to the end.
fn scan(port: u16) {
    assert_eq!(ask(port, "POST /api/v1/buses/b/scan\n\n{\"secondary\":\"????????\"}", &[JSON]).status, 202);
    until(port, "GET /api/v1/buses/b/scan", "{\"scan\":null");
}

#[test]
fn a_find_is_adopted_and_forgotten_over_rest_and_with_a_button() {
    let Some(broker) = Broker::start() else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let (agent, port) = with_page(&broker, "discover = false\n");
    let adopt = "POST /api/v1/meters\n\n{\"bus\":\"b\",\"address\":\"21880341\"}";
    assert_eq!(ask(port, adopt, &[JSON]).status, 422, "it was not found yet");
    scan(port);
    let page = ask(port, "GET /bus/b", &[]).body;
    assert_eq!(page.matches("action=\"b/adopt\"").count(), 3, "{page}");

    let form = "POST /bus/b/adopt\n\naddress=21880341&name=water&title=&interval=2h";
    let done = ask(port, form, &[FORM]);
    assert!(done.status == 303 && done.head.contains("../../meter/water"), "{done:?}");
    all_read(&subscriber, &["water"]);
    let file = file_with(&agent, "interval = \"2h\"");
    assert!(file.contains("title = \"SIM 21880341\""), "an empty field changes nothing: {file}");
    assert_eq!(ask(port, "GET /bus/b", &[]).body.matches("action=\"b/adopt\"").count(), 2);
    assert!(ask(port, "GET /meter/water", &[]).body.contains("action=\"water/forget\""));
    assert_eq!(ask(port, adopt, &[JSON]).status, 422, "it is read already");

    assert_eq!(ask(port, "DELETE /api/v1/meters/water", &[]).status, 204);
    let file = file_with(&agent, "[[ignore]]");
    assert!(!file.contains("\"water\""), "{file}");
    let again = ask(port, adopt, &[JSON]);
    assert_eq!((again.status, again.body.as_str()), (201, r#"{"meter":"sim_21880341","kept":true}"#), "{again:?}");
    let forgotten = ask(port, "POST /meter/sim_21880341/forget", &[FORM]);
    assert!(forgotten.status == 303 && forgotten.head.contains("location: ../../"), "{forgotten:?}");
    file_with(&agent, "[[ignore]]");
}

#[test]
fn an_adopted_meter_is_changed_over_rest_and_with_a_button() {
    let Some(broker) = Broker::start() else { return };
    let (agent, port) = with_page(&broker, "discover = false\n");
    scan(port);
    let adopted = ask(port, "POST /api/v1/meters\n\n{\"address\":\"21880341\",\"name\":\"water\"}", &[JSON]);
    assert_eq!(adopted.status, 201, "{adopted:?}");
    let changed = ask(port, "PATCH /api/v1/meters/water\n\n{\"title\":\"Cold & clear\"}", &[JSON]);
    assert_eq!((changed.status, changed.body.as_str()), (200, r#"{"meter":"water","kept":true}"#), "{changed:?}");
    file_with(&agent, "title = \"Cold & clear\"");
    let key = "00112233445566778899AABBCCDDEEFF";
    let keyed = format!("PATCH /api/v1/meters/water\n\n{{\"key\":\"{key}\",\"interval\":\"1h\"}}");
    let keyed = ask(port, &keyed, &[JSON]);
    assert!(keyed.status == 200 && !keyed.body.contains(&key[..16]), "{keyed:?}");
    file_with(&agent, key);
    let page = ask(port, "GET /meter/water", &[]).body;
    for shown in ["value=\"Cold &#38; clear\"", "value=\"1h\"", "name=\"no_key\""] {
        assert!(page.contains(shown) && !page.contains(&key[..16]), "{shown}: {page}");
    }

    // an empty field of the form takes away, but for the key, which the form does not show
    let renamed = ask(port, "POST /meter/water/change\n\nname=cold&title=Cold&interval=&key=", &[FORM]);
    assert!(renamed.status == 303 && renamed.head.contains("../cold"), "{renamed:?}");
    let file = file_with(&agent, "title = \"Cold\"");
    assert!(!file.contains("interval") && file.contains(key), "{file}");
    assert_eq!(ask(port, "POST /meter/cold/change\n\nname=cold&no_key=on", &[FORM]).status, 303);
    let file = fs::read_to_string(meters_file(&agent)).expect("a file");
    assert!(!file.contains(key) && file.contains("title = \"Cold\""), "{file}");
    assert_eq!(ask(port, "PATCH /api/v1/meters/cold\n\n{\"title\":null}", &[JSON]).status, 200);
    let file = fs::read_to_string(meters_file(&agent)).expect("a file");
    assert!(!file.contains("title") && file.contains("name = \"cold\""), "{file}");
}

/// The fields of the first form with this action, with what the page fills in.
fn fields(page: &str, action: &str) -> Vec<(String, String)> {
    let form = page.split(&format!("action=\"{action}\"")).nth(1).expect("a form");
    let form = form.split("</form>").next().expect("its end");
    let part = |input: &str, name: &str| {
        let value = input.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
        Some(value.replace("&#34;", "\"").replace("&#38;", "&"))
    };
    let inputs = form.split("<input").skip(1).map(|input| input.split('>').next().expect("its end"));
    let inputs = inputs.filter(|input| !input.contains("checkbox"));
    inputs.filter_map(|input| Some((part(input, "name")?, part(input, "value").unwrap_or_default()))).collect()
}

#[test]
fn what_the_form_shows_and_nobody_changes_stays_as_a_person_wrote_it() {
    let Some(broker) = Broker::start() else { return };
    let (agent, port) = with_page(&broker, "discover = false\n");
    scan(port);
    let adopted = ask(port, "POST /api/v1/meters\n\n{\"address\":\"21880341\",\"name\":\"water\"}", &[JSON]);
    assert_eq!(adopted.status, 201, "{adopted:?}");
    let file = file_with(&agent, "title = \"SIM 21880341\"");
    let by_hand = "title = \"Gas ${HOSTNAME}\"\ninterval = \"15m\" # as the others";
    fs::write(meters_file(&agent), file.replace("title = \"SIM 21880341\"", by_hand)).expect("a file");
    assert_eq!(ask(port, "POST /api/v1/reload", &[]).status, 204);
    let page = until(port, "GET /meter/water", "value=\"Gas ");
    let save = |page: &str, from: &str, changed: (&str, &str)| {
        let fields = fields(page, &format!("{from}/change"));
        let field = |(name, value): (String, String)| {
            let value = if name == changed.0 { changed.1.to_owned() } else { value };
            format!("{name}={}", value.replace(' ', "+"))
        };
        let body = fields.into_iter().map(field).collect::<Vec<_>>().join("&");
        let saved = ask(port, &format!("POST /meter/{from}/change\n\n{body}"), &[FORM]);
        assert_eq!(saved.status, 303, "{body}: {saved:?}");
    };
    save(&page, "water", ("name", "gas"));
    let file = file_with(&agent, "name = \"gas\"");
    assert!(file.contains(by_hand), "{file}");
    let page = until(port, "GET /meter/gas", "value=\"Gas ");
    save(&page, "gas", ("title", ""));
    let file = file_with(&agent, "# as the others");
    assert!(!file.contains("title"), "what is emptied is taken away: {file}");
}

#[test]
fn what_is_not_well_is_not_called_well() {
    let Some(broker) = Broker::start() else { return };
    let (mut agent, port) = with_page(&broker, "discover = false\n");
    fs::write(meters_file(&agent), "[[meter]]\nname = 5\n").expect("a file");
    agent.restart();
    let end = Instant::now() + SOON;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "{}", agent.log());
    }
    let page = until(port, "GET /", "The file of adopted meters is broken");
    assert!(page.contains("class=\"summary silent\"") && !page.contains("No meter is configured yet"), "{page}");
}

#[test]
fn an_adopted_meter_that_is_not_kept_is_marked() {
    let Some(broker) = Broker::start() else { return };
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let (_agent, port) = with_page(&broker, "[agent]\nmeters_file = \"/proc/meters.toml\"\n");
    all_read(&subscriber, &["sim_21880341"]);
    let page = until(port, "GET /", "What was adopted is read, but not kept");
    assert!(page.contains("class=\"summary silent\"") && !page.contains("All meters answer<"), "{page}");
    until(port, "GET /", "<p class=\"flag\">not kept</p>");
    until(port, "GET /meter/sim_21880341", "<p class=\"flag\">not kept</p>");
    let told = ask(port, "GET /api/v1/meters/sim_21880341", &[]);
    assert!(told.body.contains("\"kept\":false"), "{told:?}");
}

#[test]
fn a_find_that_the_user_has_switched_off_is_not_offered() {
    let Some(broker) = Broker::start() else { return };
    let off = "[[meter]]\nname = \"off\"\nsecondary = \"21880341\"\nenabled = false\n";
    let (_agent, port) = with_page(&broker, &format!("discover = false\n{off}"));
    scan(port);
    let page = ask(port, "GET /bus/b", &[]).body;
    assert_eq!(page.matches("action=\"b/adopt\"").count(), 2, "{page}");
    assert!(page.contains("stands in the configuration as off, switched off"), "{page}");
    let adopt = "POST /api/v1/meters\n\n{\"bus\":\"b\",\"address\":\"21880341\"}";
    let answer = ask(port, adopt, &[JSON]);
    assert!(answer.status == 422 && answer.body.contains("as off, switched off"), "{answer:?}");
}

#[test]
fn without_a_hat_the_doctor_of_the_page_says_what_to_do() {
    let Some(broker) = Broker::start() else { return };
    let port = free_port();
    let _agent = Agent::start(broker.port, &format!("[http]\nlisten = \"127.0.0.1:{port}\"\n"));
    let end = Instant::now() + SOON;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ask(port, "POST /doctor", &[]).status, 303);
    let page = ask(port, "GET /doctor", &[]).body;
    assert!(page.contains("[[bus]]") && page.contains("Hat"), "{page}");
    assert!(!page.contains("scan --toml"), "{page}");
}

#[test]
fn what_cannot_be_adopted_or_changed_is_said_and_changes_nothing() {
    let Some(broker) = Broker::start() else { return };
    let users = "[[meter]]\nname = \"users\"\nsecondary = \"67200512\"\n";
    let (agent, port) = with_page(&broker, &format!("discover = false\n{users}"));
    scan(port);
    assert_eq!(ask(port, "POST /api/v1/meters\n\n{\"address\":\"21880341\"}", &[JSON]).status, 201);
    let file = file_with(&agent, "sim_21880341");
    let patch = "PATCH /api/v1/meters/sim_21880341\n\n";
    for (request, status, words) in [
        ("PATCH /api/v1/meters/nothing\n\n{\"title\":\"x\"}", 404, "no such adopted meter: nothing"),
        ("PATCH /api/v1/meters/users\n\n{\"title\":\"x\"}", 404, "is changed there"),
        ("DELETE /api/v1/meters/users", 404, "is changed there"),
        (&format!("{patch}{{\"address\":\"1\"}}"), 422, "no such key: address; expected name, title"),
        (&format!("{patch}{{\"titel\":\"x\"}}"), 422, "no such key: titel"),
        (&format!("{patch}{{\"interval\":\"soon\"}}"), 422, "interval"),
        (&format!("{patch}{{\"name\":\"users\"}}"), 422, "gives the name users to another meter"),
        (&format!("{patch}[]"), 422, "expected a JSON object"),
        ("POST /api/v1/meters\n\n{\"meter\":\"sim_21880341\",\"title\":\"x\"}", 422, "no such key: meter"),
        ("POST /api/v1/meters\n\n{\"title\":\"x\"}", 422, "address"),
        ("POST /api/v1/meters\n\n{\"address\":7}", 422, "say the secondary address"),
        ("POST /api/v1/meters\n\n{\"address\":\"67200512\"}", 422, "is read already, as users"),
        ("POST /bus/b/adopt\n\naddress=nowhere", 422, "not the address of a meter"),
        ("POST /bus/c/adopt\n\naddress=7", 404, "no such bus"),
    ] {
        let kind = if request.starts_with("POST /bus") { FORM } else { JSON };
        let answer = ask(port, request, &[kind]);
        assert!(answer.status == status && answer.body.contains(words), "{request}: {answer:?}");
    }
    assert_eq!(fs::read_to_string(meters_file(&agent)).expect("a file"), file);

    fs::write(meters_file(&agent), "[").expect("a file");
    assert_ne!(ask(port, "POST /api/v1/reload", &[]).status, 200);
    for request in [&format!("{patch}{{\"title\":\"x\"}}"), "DELETE /api/v1/meters/nothing"] {
        let answer = ask(port, request, &[JSON]);
        assert!(answer.status == 422 && answer.body.contains("adopted meters is broken"), "{request}: {answer:?}");
    }
}

#[test]
fn the_page_tells_how_far_the_search_is_and_what_is_in_the_way() {
    let Some(broker) = Broker::start() else { return };
    let (_agent, port) = with_page(&broker, "[agent]\nmeters_file = \"/proc/meters.toml\"\n");
    until(port, "GET /", "What was adopted is read, but not kept: cannot write /proc/meters.toml");
    let page = until(port, "GET /", "looking at 9600 baud at primary addresses");
    for shown in ["Looking for meters: Bus b", "<progress max=\"100\"", "; 3 found."] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    until(port, "GET /bus/b", "looking at 9600 baud at primary addresses");
}
