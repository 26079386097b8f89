//! The way to each broker, step by step: name, port, TLS, login, rights; then who listens there: Home
//! Assistant and, where it runs, the agent.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::finding::{Finding, Report, Verdict};
use super::root::Root;
use super::{Patient, others, selected};
use crate::config::{Broker, Config, Mqtt, PasswordSource};
use crate::homeassistant::discovery::agent_id;
use crate::mqtt::link::probe::{Questions, Receipt, Visit, reach, visit};
use crate::mqtt::link::{Fault, Version, Will};
use crate::mqtt::payload::ONLINE;
use crate::mqtt::topic::Topics;

/// A name that takes longer will not do for telemetry either.
const PATIENCE: Duration = Duration::from_secs(5);

const NAME: &str = "broker name";
const PORT: &str = "broker port";
const TLS: &str = "broker TLS";
const LOGIN: &str = "broker login";
const RIGHTS: &str = "broker rights";
const HOME_ASSISTANT: &str = "Home Assistant";

/// Looks at each broker, then at who listens there; whether an agent is online.
pub(super) async fn examine(config: &Config, patient: &Patient, report: Report<'_>) -> bool {
    let topics = Topics::new(&config.mqtt.base_topic);
    let brokers = &config.mqtt.brokers;
    let (mut findings, mut visits) = (Vec::new(), Vec::new());
    for broker in brokers {
        let place = findings.len();
        visits.extend(look_at(config, broker, &patient.root, &topics, &mut |finding| findings.push(finding)).await);
        // The first two say which one it is as they are.
        let unnamed = |finding: &&mut Finding| brokers.len() > 1 && ![NAME, PORT].contains(&finding.check);
        for finding in findings.iter_mut().skip(place).filter(unnamed) {
            finding.found = format!("{broker}: {}", finding.found);
        }
    }
    // Where one broker does, readings come.
    let is_reachable = |finding: &Finding| finding.check == RIGHTS && finding.verdict == Verdict::Ok;
    if findings.iter().any(is_reachable) {
        findings.iter_mut().for_each(|finding| finding.verdict = finding.verdict.min(Verdict::Warning));
    }
    findings.into_iter().for_each(&mut *report);
    let is_online =
        |visit: &&Visit| visit.retained.get(&topics.bridge_state()).is_some_and(|state| state == ONLINE.as_bytes());
    let Some(visit) = visits.iter().find(is_online).or(visits.first()) else { return false };
    if config.homeassistant.enabled {
        report(home_assistant(config, visit));
    }
    report(agent(config, patient, &topics, visit));
    others::examine(config, &patient.root, &topics, visit).into_iter().for_each(&mut *report);
    is_online(&visit)
}

/// Looks at each step of the way to this broker.
async fn look_at(config: &Config, broker: &Broker, root: &Root, topics: &Topics, report: Report<'_>) -> Option<Visit> {
    let mqtt = &config.mqtt;
    for step in [resolve(broker).await, connect(broker).await] {
        let failed = step.is_err();
        report(step.unwrap_or_else(|finding| finding));
        if failed {
            report(Finding::skipped(LOGIN, "not tried: the broker cannot be reached"));
            return None;
        }
    }
    match visit(mqtt, broker, &questions(config, topics)).await {
        Err(fault) => {
            report(refused(mqtt, broker, &fault, root));
            None
        }
        Ok(visit) => {
            if mqtt.tls.is_some() {
                report(Finding::ok(TLS, "its certificate is good"));
            }
            report(logged_in(mqtt, topics, &visit));
            report(rights(config, topics, &visit));
            Some(visit)
        }
    }
}

/// The echo goes below the agent's own base topic, where it may publish and subscribe, and where no
/// agent listens. The empty message is one for a sensor that never was: Home Assistant, which listens on
/// that form of topic, has nothing to remove and says nothing of it; agents, which look for their old
/// documents, do not listen there.
fn questions(config: &Config, topics: &Topics) -> Questions {
    let announced = &config.homeassistant;
    let id = agent_id(topics.base());
    let mut retained = vec![topics.bridge_state(), topics.bridge_info()];
    retained.extend(config.meters.iter().map(|meter| topics.availability(&meter.name)));
    if announced.enabled {
        retained.push(announced.status_topic.clone());
    }
    Questions {
        client_id: format!("mbushat-doctor-{}", std::process::id()),
        echo_topic: topics.response("doctor"),
        listener_topic: announced.enabled.then(|| format!("{}/sensor/{id}/doctor/config", announced.discovery_prefix)),
        retained,
    }
}

async fn resolve(broker: &Broker) -> Result<Finding, Finding> {
    let Broker { host, port } = broker;
    if host.parse::<IpAddr>().is_ok() {
        return Ok(Finding::ok(NAME, format!("{host} is an address, no name to look up")));
    }
    let looked_up = timeout(PATIENCE, lookup_host((host.as_str(), *port))).await;
    let first = looked_up.map(|found| found.ok().and_then(|mut addresses| addresses.next()));
    let why = match first {
        Ok(Some(address)) => return Ok(Finding::ok(NAME, format!("{host} is {}", address.ip()))),
        Ok(None) => "unknown host name",
        Err(_) => "the name service does not answer",
    };
    let finding = Finding::failure(NAME, format!("{host}: {why}"));
    let finding = if host.ends_with(".local") {
        let say = "Names in .local are asked for on the network itself; that needs:";
        finding.fix(say, ["sudo apt install avahi-daemon libnss-mdns"])
    } else {
        finding.fix("Ask the name service by hand:", [format!("getent hosts {host}")])
    };
    Err(finding.fix("Or give the broker's address in [mqtt] of /etc/mbushat.toml:", ["url = \"mqtt://192.168.1.10\""]))
}

async fn connect(broker: &Broker) -> Result<Finding, Finding> {
    let Broker { host, port } = broker;
    let why = match reach(broker).await {
        Ok(()) => return Ok(Finding::ok(PORT, format!("{host} port {port} accepts connections"))),
        Err(Fault::Unreachable(why)) => why,
        Err(fault) => fault.to_string(),
    };
    let finding = Finding::failure(PORT, format!("{host} port {port}: {why}"));
    if host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
        return Err(finding
            .fix(
                "See whether a broker runs here, or install one:",
                ["systemctl status mosquitto", "sudo apt install mosquitto"],
            )
            .advise("If Home Assistant runs one elsewhere, name that machine in [mqtt] url."));
    }
    Err(finding.fix("See whether the broker runs, on its machine:", ["systemctl status mosquitto"]).fix(
        "A mosquitto without any listener serves only its own machine; on that machine:",
        [
            format!("echo listener {port} | sudo tee /etc/mosquitto/conf.d/listener.conf"),
            "sudo systemctl restart mosquitto".to_owned(),
        ],
    ))
}

/// The broker did not let us in.
fn refused(mqtt: &Mqtt, broker: &Broker, fault: &Fault, root: &Root) -> Finding {
    let words = root.localise(&fault.to_string());
    // A fault is said as "what; what to do": here the second half is a remedy of its own.
    let (what, advice) = words.split_once("; ").map_or((words.as_str(), None), |(what, advice)| (what, Some(advice)));
    let check = if matches!(fault, Fault::Tls(_) | Fault::Certificate(_)) { TLS } else { LOGIN };
    let finding = Finding::failure(check, format!("the broker {what}"));
    match fault {
        Fault::Credentials | Fault::NotAuthorized => {
            let (say, found) = match &mqtt.username {
                Some(user) => ("Correct", format!("the broker refuses user {user} or the password")),
                None => ("Set", "the broker requires a user name and password".to_owned()),
            };
            let finding = Finding::failure(check, found);
            let user = mqtt.username.as_deref().unwrap_or("mbushat");
            let password = match &mqtt.password {
                Some(PasswordSource::File(file)) => format!("password_file = {:?}", file.display().to_string()),
                _ => "password = \"…\"".to_owned(),
            };
            let finding = finding
                .fix(
                    format!("{say} user and password in [mqtt] of /etc/mbushat.toml:"),
                    [format!("username = {user:?}"), password],
                )
                .advise(format!(
                    "Home Assistant's own broker (the Mosquitto add-on) knows the users of Home Assistant: add one \
                     named {user} there, in Settings, People, Users; it needs no administrator's rights.",
                ));
            if is_home_assistants(&broker.host) {
                return finding;
            }
            finding.fix(
                "Another mosquitto has a password file; set the password on its machine:",
                [
                    format!("sudo mosquitto_passwd /etc/mosquitto/passwd {user}"),
                    "sudo systemctl reload mosquitto".to_owned(),
                ],
            )
        }
        Fault::Certificate(_) => {
            let trust = if advice.is_some() { "Or trust" } else { "Trust" };
            let finding = advice.into_iter().fold(finding, |finding, advice| finding.advise(sentence(advice)));
            finding.fix(
                format!("{trust} exactly the certificate that the broker shows now, if it is really yours: fetch it once …"),
                [format!("openssl s_client -connect {broker} </dev/null | openssl x509 -out /etc/mbushat-broker.pem")],
            )
            .fix("… and name it in [mqtt] of /etc/mbushat.toml:", ["ca_file = \"/etc/mbushat-broker.pem\""])
        }
        Fault::PasswordFile(_) => finding.fix(
            "The agent's user must be able to read it, and no other user:",
            ["sudo chown root:mbushat FILE && sudo chmod 640 FILE"],
        ),
        _ => match advice {
            Some(advice) => finding.advise(sentence(advice)),
            None => finding,
        },
    }
}

/// Whether the name is one under which Home Assistant's machine or its add-on is met.
fn is_home_assistants(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    ["homeassistant", "home-assistant", "hassio", "core-mosquitto"].iter().any(|name| host.starts_with(name))
}

/// With a capital and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn logged_in(mqtt: &Mqtt, topics: &Topics, visit: &Visit) -> Finding {
    let version = match visit.version {
        Version::V5 => "MQTT 5",
        Version::V3 => "MQTT 3.1.1",
    };
    let user = mqtt.username.as_ref().map_or_else(|| "without user name".to_owned(), |user| format!("as {user}"));
    let found = format!("connected {user} ({version})");
    match visit.will {
        Will::Retained => Finding::ok(LOGIN, found),
        Will::Unretained => Finding::warning(LOGIN, format!("{found}, but this broker keeps no messages")).advise(
            "Who subscribes later sees nothing before the next reading. Let the broker keep messages (mosquitto: \
             retain_available true).",
        ),
        Will::Absent => {
            let fix = mqtt.username.iter().map(|user| format!("user {user}"));
            let fix = fix.chain([format!("topic write {}", topics.bridge_state())]);
            Finding::warning(LOGIN, format!("{found}, but only without a last will: its topic is not allowed"))
                .fix("Allow it in the broker's ACL file (mosquitto: acl_file), then reload the broker:", fix)
        }
    }
}

/// A publish and a subscription that come back.
fn rights(config: &Config, topics: &Topics, visit: &Visit) -> Finding {
    let base = topics.base();
    let echo = topics.response("doctor");
    let found = match (visit.subscribed, visit.published, visit.echoed) {
        (_, _, true) => {
            return Finding::ok(RIGHTS, format!("may publish and subscribe below {base}/: a message came back"));
        }
        (Some(false), ..) => format!("the broker does not allow subscribing to {echo}"),
        (_, Receipt::Refused(refusal), _) => format!("publishing to {echo}: {refusal}"),
        (None, ..) => format!("the broker does not answer a subscription to {echo}"),
        (_, Receipt::Unanswered, _) if visit.cut.is_some() => {
            format!("the broker closed the connection when asked to publish to {echo}")
        }
        _ => format!("a message to {echo} does not come back: publishing or subscribing is not allowed"),
    };
    let mut lines: Vec<String> = config.mqtt.username.iter().map(|user| format!("user {user}")).collect();
    lines.push(format!("topic readwrite {base}/#"));
    if config.homeassistant.enabled {
        lines.extend(announcing(config));
    }
    let say = "Allow it in the broker's ACL file (mosquitto: acl_file), then reload the broker:";
    Finding::failure(RIGHTS, found).fix(say, lines)
}

/// The rights that announcing takes, and asking whether Home Assistant listens.
fn announcing(config: &Config) -> [String; 3] {
    let (prefix, id) = (&config.homeassistant.discovery_prefix, agent_id(&config.mqtt.base_topic));
    [
        format!("topic readwrite {prefix}/device/{id}/#"),
        format!("topic write {prefix}/sensor/{id}/doctor/config"),
        format!("topic read {}", config.homeassistant.status_topic),
    ]
}

fn home_assistant(config: &Config, visit: &Visit) -> Finding {
    let announced = &config.homeassistant;
    let (topic, prefix) = (&announced.status_topic, &announced.discovery_prefix);
    let said = visit.retained.get(topic).map(|payload| String::from_utf8_lossy(payload).into_owned());
    if let Receipt::Refused(refusal) = visit.listener {
        return Finding::failure(HOME_ASSISTANT, format!("meters cannot be announced below {prefix}/: {refusal}"))
            .fix("Allow it in the broker's ACL file:", announcing(config));
    }
    match (visit.listener, said) {
        (_, Some(said)) if said == announced.status_payload => {
            Finding::ok(HOME_ASSISTANT, format!("{said}, it says on {topic}"))
        }
        (Receipt::Unheard, _) => {
            not_listening(format!("Home Assistant is not listening: no subscription to {prefix}/# on this broker"))
        }
        (_, Some(said)) => not_listening(format!("{said}, it says on {topic}")),
        (Receipt::Taken, None) if visit.version == Version::V5 => {
            Finding::ok(HOME_ASSISTANT, format!("there is a subscription to {prefix}/#"))
        }
        _ => Finding::skipped(HOME_ASSISTANT, "this broker cannot tell who listens (that takes MQTT 5)"),
    }
}

fn not_listening(found: String) -> Finding {
    Finding::warning(HOME_ASSISTANT, found)
        .advise(
            "In Home Assistant: Settings, Devices & services, MQTT must be there, connected to this broker, and its \
             discovery switched on with the prefix of [homeassistant] discovery_prefix.",
        )
        .fix("Without Home Assistant say so in /etc/mbushat.toml:", ["[homeassistant]", "enabled = false"])
}

/// What the agent has left at the broker, which tells of a bus that this program cannot ask itself.
fn agent(config: &Config, patient: &Patient, topics: &Topics, visit: &Visit) -> Finding {
    const CHECK: &str = "agent";
    let said = |topic: &str| visit.retained.get(topic).map(|payload| String::from_utf8_lossy(payload).into_owned());
    let start = |finding: Finding| finding.fix("Start it:", ["sudo systemctl enable --now mbushat"]);
    match said(&topics.bridge_state()).as_deref() {
        None if !visit.echoed => return Finding::skipped(CHECK, "not known without these rights"),
        None => return start(Finding::warning(CHECK, "the agent has never connected to this broker")),
        Some("online") => {}
        Some(_) => return start(Finding::warning(CHECK, "the agent is not connected to this broker now")),
    }
    let silent = selected(config, patient).filter(|m| said(&topics.availability(&m.name)).as_deref() != Some("online"));
    let silent: Vec<&str> = silent.map(|meter| meter.name.as_str()).collect();
    if silent.is_empty() {
        return Finding::ok(CHECK, "it is online, and so are its meters");
    }
    Finding::warning(CHECK, format!("it is online, but has no reading of {}", silent.join(", ")))
        .fix("See what it says of them:", ["journalctl -u mbushat -n 50"])
}
