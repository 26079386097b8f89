//! What a restart and a reload publish, and what they do not.

use super::*;

/// Whether it subscribes to these topics now.
fn subscribes_to(publisher: &mut Publisher, topics: &[&str]) -> bool {
    let asks = publisher.outbox.next(publisher.now) == Next::Subscribe;
    asks && topics.iter().all(|topic| publisher.filters().iter().any(|filter| filter == topic))
}

#[test]
fn another_home_assistant_is_listened_to_without_another_connection() {
    let place = Place::new("filters");
    let off = "[homeassistant]\nenabled = false\n";
    let mut publisher = place.start(&format!("{off}{HAT}{GAS}"));
    publisher.up();
    assert!(subscribes_to(&mut publisher, &[]));
    publisher.reconfigure(place.config(&format!("{off}{HAT}")));
    assert!(!subscribes_to(&mut publisher, &[]), "nothing else is listened to");
    for (status, prefix) in [("homeassistant/status", "homeassistant"), ("home/status", "hass")] {
        let other = format!("[homeassistant]\nstatus_topic = {status:?}\ndiscovery_prefix = {prefix:?}\n{HAT}");
        publisher.reconfigure(place.config(&other));
        assert!(subscribes_to(&mut publisher, &[status, &format!("{prefix}/device/mbushat/+/config")]), "{status}");
    }
}

#[test]
fn a_restart_publishes_each_document_once() {
    let place = Place::new("once");
    let mut before = place.start(&format!("{HAT}{GAS}"));
    read(&mut before, "gas", 0x1001, BOTH);
    stop(before);
    let mut after = place.start(&format!("{HAT}{GAS}"));
    let announced = |sent: Vec<(String, String)>| sent.into_iter().filter(|(t, _)| *t == topic(0x1001)).count();
    assert_eq!(announced(published(&mut after)), 1);
    read(&mut after, "gas", 0x1001, BOTH);
    let sent = messages(&mut after, Instant::now());
    assert_eq!(announced(sent.into_iter().map(|m| (m.topic, text(m.payload))).collect()), 0);
}

#[test]
fn another_base_topic_takes_everything_back_and_announces_it_once_the_connection_is_the_new_one() {
    let place = Place::new("base");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    published(&mut publisher);
    publisher.reconfigure(place.config(&format!("[mqtt]\nbase_topic = \"house\"\n{HAT}{GAS}")));
    read(&mut publisher, "gas", 0x1001, BOTH);
    let old = |publisher: &Publisher| publisher.outbox.get(Class::Announcement, &topic(0x1001)).map(<[u8]>::to_vec);
    assert_eq!(old(&publisher), Some(Vec::new()));
    publisher.follow_base_topic();
    assert_eq!(old(&publisher), Some(Vec::new()), "it has not arrived yet");
    let new = topic(0x1001).replace("/mbushat/mbushat_", "/house/house_");
    assert_eq!(document(&publisher, Class::Announcement, &new), Value::Null, "the former devices go first");
    let sent = published(&mut publisher);
    assert_eq!(document(&publisher, Class::Announcement, &new)["stat_t"], "house/gas/state");
    for topic in [topic(0x1001), "homeassistant/device/mbushat/mbushat_bridge/config".to_owned()] {
        assert!(sent.contains(&(topic.clone(), String::new())), "{topic}");
    }
}

#[test]
fn another_base_topic_after_a_restart_leaves_nothing_under_the_old_one() {
    const OLD: [&str; 5] = [
        "mbushat/gas/state",
        "mbushat/gas/availability",
        "mbushat/gas/value/volume",
        "mbushat/bridge/state",
        "mbushat/bridge/info",
    ];
    let place = Place::new("base-restart");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    published(&mut publisher);
    publisher.forget_gone();
    stop(publisher);
    let moved = format!("{HAT}{GAS}[mqtt]\nbase_topic = \"house\"\n");
    // the broker is away at first, and the agent is restarted meanwhile
    stop(place.start(&moved));
    let mut publisher = place.start(&moved);
    publisher.forget_gone();
    let sent = published(&mut publisher);
    for topic in OLD.into_iter().chain([topic(0x1001).as_str()]) {
        assert!(sent.contains(&(topic.to_owned(), String::new())), "{topic}: {sent:?}");
    }
    assert!(sent.iter().any(|(topic, payload)| topic == "house/gas/state" && payload.contains("12.345")), "{sent:?}");
    publisher.forget_gone();
    stop(publisher);
    let sent = published(&mut place.start(&moved));
    assert!(!sent.iter().any(|(topic, _)| topic.starts_with("mbushat/")), "it is done once: {sent:?}");
}
