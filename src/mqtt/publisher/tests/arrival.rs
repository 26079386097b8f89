//! When the agent is `online` after a connect.

use super::super::super::payload::{OFFLINE, ONLINE};
use super::*;

/// What goes to the broker now; all of it is acknowledged but for what is `kept` on the way.
fn send(publisher: &mut Publisher, kept: impl Fn(&Publish) -> bool) -> Vec<Publish> {
    publisher.advance();
    let mut on_the_way = Vec::new();
    loop {
        match publisher.outbox.next(publisher.now) {
            Next::Publish(message) if kept(&message) => on_the_way.push(message),
            Next::Publish(message) => _ = publisher.outbox.acked(message.id),
            Next::Subscribe => {}
            _ => return on_the_way,
        }
    }
}

#[test]
fn it_is_online_once_everything_has_arrived_and_home_assistant_had_a_moment_for_it() {
    let place = Place::new("arrival");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    let said =
        |publisher: &Publisher| publisher.outbox.get(Class::BridgeState, "mbushat/bridge/state").map(<[u8]>::to_vec);
    publisher.up();
    let is_slow = |message: &Publish| message.topic == "mbushat/gas/availability";
    let slow = send(&mut publisher, is_slow);
    assert_eq!(slow.len(), 1);
    publisher.now += Duration::from_secs(30);
    send(&mut publisher, |_| false);
    assert_eq!(said(&publisher).as_deref(), Some(OFFLINE.as_bytes()), "not everything has arrived");
    publisher.outbox.acked(slow[0].id);
    publisher.advance();
    assert_eq!(said(&publisher).as_deref(), Some(OFFLINE.as_bytes()));
    let at = publisher.wake_at().expect("it waits for a moment");
    assert_eq!(at - publisher.now, Duration::from_secs(2));
    publisher.now = at;
    publisher.advance();
    assert_eq!(said(&publisher).as_deref(), Some(ONLINE.as_bytes()));
}

#[test]
fn a_slow_broker_keeps_it_offline_for_a_minute_at_most() {
    let place = Place::new("arrival-slow");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    publisher.up();
    send(&mut publisher, |message| message.topic == "mbushat/gas/availability");
    publisher.now += Duration::from_secs(60);
    publisher.advance();
    let said = publisher.outbox.get(Class::BridgeState, "mbushat/bridge/state");
    assert_eq!(said, Some(ONLINE.as_bytes()));
}
