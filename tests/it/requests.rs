//! Requests over MQTT that cannot be fulfilled: each is answered, with why and with its transaction.

use crate::agent::{Agent, SOON};
use crate::broker::{Broker, Subscriber, free_port, publish};
use crate::gateway::Gateway;

/// The answer to this request.
fn answer(broker: &Broker, subscriber: &Subscriber, verb: &str, request: &str) -> String {
    publish(broker.port, &format!("mbushat/bridge/request/{verb}"), request, false);
    let topic = format!("mbushat/bridge/response/{verb}");
    subscriber.wait_for(SOON, |m| m.topic == topic).expect("a response").payload
}

#[test]
fn a_reload_is_answered_with_what_came_of_it() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let meters = gateway.config("w", [1], "1h");
    let agent = Agent::start(broker.port, &meters);
    let asked = r#"{"transaction":7}"#;
    let fine = r#"{"status":"ok","data":{},"error":null,"transaction":7}"#;
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    assert_eq!(answer(&broker, &subscriber, "reload", asked), fine);

    agent.configure(broker.port, &format!("{meters}\nintervall = \"1h\"\n"));
    let bad = answer(&broker, &subscriber, "reload", asked);
    assert!(bad.contains(r#""status":"error""#) && bad.contains(r#""transaction":7"#), "{bad}");
    assert!(bad.contains("did you mean `interval`?"), "{bad}");

    agent.configure(broker.port, &format!("[store]\nmax_size = \"64MiB\"\n{meters}"));
    let refused = answer(&broker, &subscriber, "reload", asked);
    assert!(refused.contains(r#""status":"error""#) && refused.contains("needs a restart"), "{refused}");

    agent.configure(broker.port, &meters);
    assert_eq!(answer(&broker, &subscriber, "reload", asked), fine);
}

#[test]
fn a_request_that_makes_no_sense_is_answered_with_why() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let _agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    for (verb, request, why) in [
        ("power", r#"{"on":true,"transaction":"t"}"#, "no Hat powers this bus"),
        ("power", r#"{"on":1,"transaction":"t"}"#, r#"\"on\" is 1, want true or false"#),
        ("read", r#"{"meter":1,"transaction":"t"}"#, r#"\"meter\" is 1, want a text"#),
        ("scan", r#"{"bus":"nowhere","transaction":"t"}"#, "no such bus"),
        ("format", r#"{"transaction":"t"}"#, "no such request"),
    ] {
        let answer = answer(&broker, &subscriber, verb, request);
        assert!(answer.contains(r#""status":"error""#) && answer.contains(why), "{verb} {request}: {answer}");
        assert!(answer.contains(r#""transaction":"t""#), "{verb} {request}: {answer}");
    }
}

#[test]
fn a_request_that_its_bus_cannot_fulfil_is_answered_at_once() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let gone = format!("[[bus]]\nname = \"gone\"\nport = \"tcp://127.0.0.1:{}\"\n", free_port());
    let meter = "[[meter]]\nname = \"nobody\"\naddress = 1\nbus = \"gone\"\n";
    let _agent = Agent::start(broker.port, &(gateway.config("w", [1], "1h") + &gone + meter));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    for (verb, request) in [("read", r#"{"meter":"nobody"}"#), ("scan", r#"{"bus":"gone"}"#)] {
        let answer = answer(&broker, &subscriber, verb, request);
        assert!(answer.contains("the bus is down: cannot connect to the gateway"), "{verb}: {answer}");
    }
}

#[test]
fn a_reload_gives_up_a_scan_at_once_and_says_so() {
    let Some(broker) = Broker::start() else { return };
    let gateway = Gateway::start();
    let Some(subscriber) = Subscriber::new(broker.port, "mbushat/#") else { return };
    let agent = Agent::start(broker.port, &gateway.config("w", [1], "1h"));
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m1/reading").expect("it runs");
    let scan = |transaction: u8| {
        let request = format!(r#"{{"transaction":{transaction}}}"#);
        publish(broker.port, "mbushat/bridge/request/scan", &request, false);
    };
    scan(1);
    scan(2);
    let answered = |text: &str| {
        subscriber.wait_for(SOON, |m| m.topic.ends_with("response/scan")).is_some_and(|m| m.payload.contains(text))
    };
    assert!(answered("is being scanned already"));
    agent.configure(broker.port, &gateway.config("w", [1, 2], "1h"));
    agent.hangup();
    assert!(answered("the configuration was changed"), "{}", agent.log());
    subscriber.wait_for(SOON, |m| m.topic == "mbushat/w_m2/reading").expect("the new meter is read");
    assert!(!agent.log().contains("does not end in time"), "{}", agent.log());
    scan(3);
    scan(4);
    assert!(answered("is being scanned already"), "another scan can be asked for");
}
