//! A move to another base topic: the former devices go before the new ones come.

use super::*;
use crate::mqtt::link::Refusal;

const NEW: &str = "homeassistant/device/house/house_00001001_KAM_1d_03/config";
const NEW_AGENT: &str = "homeassistant/device/house/house_bridge/config";

fn moved() -> String {
    format!("{HAT}{GAS}[mqtt]\nbase_topic = \"house\"\n")
}

/// An agent that has announced its meter stops; it starts again with another base topic.
fn restarted(place: &Place) -> Publisher {
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    published(&mut publisher);
    publisher.forget_gone();
    stop(publisher);
    place.start(&moved())
}

/// Serves it for so many seconds and lets the broker refuse what has `refused` in its topic: when each topic was published
/// and whether something stands there then.
fn serve(publisher: &mut Publisher, refused: &str, seconds: u64) -> Vec<(u64, String, bool)> {
    let (mut all, begin) = (Vec::new(), publisher.now);
    for second in 0..seconds {
        publisher.now = begin + Duration::from_secs(second);
        publisher.advance();
        publisher.forget_gone();
        loop {
            match publisher.outbox.next(publisher.now) {
                Next::Publish(message) if message.topic.contains(refused) => {
                    publisher.outbox.refused(message.id, Refusal::NotAuthorized, publisher.now);
                }
                Next::Publish(message) => {
                    publisher.outbox.acked(message.id);
                    all.push((second, message.topic, !message.payload.is_empty()));
                }
                Next::Birth(phase) => publisher.born(phase),
                Next::Subscribe => {}
                _ => break,
            }
        }
    }
    all
}

/// When each of these topics was published last with or without something.
fn when(seen: &[(u64, String, bool)], topic: &str, stands: bool) -> Option<u64> {
    seen.iter().filter(|(_, t, s)| t == topic && *s == stands).map(|(second, ..)| *second).next_back()
}

#[test]
fn after_a_restart_nothing_is_announced_before_home_assistant_has_lost_the_former_devices() {
    let place = Place::new("move-restart");
    // stopped once more before anything could be done
    stop(restarted(&place));
    let mut publisher = place.start(&moved());
    publisher.up();
    let mut seen = serve(&mut publisher, "nothing", 10);
    // and while the former devices go
    stop(publisher);
    let mut publisher = place.start(&moved());
    publisher.up();
    seen.extend(serve(&mut publisher, "nothing", 60));
    let left = [topic(0x1001), "homeassistant/device/mbushat/mbushat_bridge/config".to_owned()];
    let left = left.map(|topic| when(&seen, &topic, false));
    let came = [NEW, NEW_AGENT].map(|topic| when(&seen, topic, true));
    assert!(left.iter().all(|at| at.is_some_and(|at| at < 2)), "{seen:?}");
    // a Home Assistant that lost the broker too is waited for
    assert!(came.iter().all(|at| at.is_some_and(|at| (22..26).contains(&at))), "{came:?}");
    stop(publisher);
    let mut publisher = place.start(&moved());
    publisher.up();
    let seen = serve(&mut publisher, "nothing", 60);
    assert!([NEW, NEW_AGENT].iter().all(|topic| when(&seen, topic, true) < Some(2)), "the move is over: {seen:?}");
    assert!(!seen.iter().any(|(_, topic, _)| topic.starts_with("mbushat/")), "{seen:?}");
}

#[test]
fn one_that_was_just_born_loses_the_former_devices_first() {
    let place = Place::new("move-born");
    let mut publisher = restarted(&place);
    publisher.up();
    publisher.heard_listener(true, publisher.now);
    let seen = serve(&mut publisher, "nothing", 60);
    let (shown, gone) = (when(&seen, &topic(0x1001), true), when(&seen, &topic(0x1001), false));
    assert!(shown.is_some() && shown < gone, "{seen:?}");
    assert!(gone.zip(when(&seen, NEW, true)).is_some_and(|(gone, came)| gone + 2 <= came), "{seen:?}");
}

#[test]
fn the_devices_of_the_base_topic_that_it_moves_to_are_not_shown_beside_those_that_it_leaves() {
    let place = Place::new("move-to-and-fro");
    let mut publisher = restarted(&place);
    publisher.up();
    serve(&mut publisher, "nothing", 60);
    stop(publisher);
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    publisher.up();
    publisher.heard_listener(true, publisher.now);
    let seen = serve(&mut publisher, "nothing", 60);
    let gone = when(&seen, NEW, false).expect("it goes");
    let came: Vec<u64> =
        seen.iter().filter(|(_, t, stands)| *t == topic(0x1001) && *stands).map(|(at, ..)| *at).collect();
    assert!(!came.is_empty() && came.iter().all(|at| gone + 2 <= *at), "{gone} {came:?}");
}

#[test]
fn topics_that_may_not_be_taken_back_hold_nothing_up_and_the_move_is_made_once() {
    for (n, refused) in ["mbushat/", "mbushat/gas/"].into_iter().enumerate() {
        let place = Place::new(&format!("move-refused-{n}"));
        let mut publisher = restarted(&place);
        for begin in [22, 0] {
            publisher.up();
            let seen = serve(&mut publisher, refused, 90);
            assert!(when(&seen, NEW, true).is_some_and(|at| at >= begin), "{seen:?}");
            assert_eq!([NEW, NEW_AGENT].map(|topic| when(&seen, topic, false)), [None; 2], "{seen:?}");
            let bases: Vec<&str> = publisher.spool.bases().collect();
            assert_eq!(bases, ["house", "mbushat"], "what it may not take back yet is not forgotten");
            stop(publisher);
            publisher = place.start(&moved());
        }
    }
}

#[test]
fn one_that_moves_back_before_it_has_arrived_leaves_nothing_there() {
    let agent = "homeassistant/device/mbushat/mbushat_bridge/config";
    for there in [0, 1, 10, 60] {
        let place = Place::new(&format!("move-back-{there}"));
        let mut publisher = restarted(&place);
        publisher.up();
        let mut seen = serve(&mut publisher, "nothing", there);
        stop(publisher);
        let mut publisher = place.start(&format!("{HAT}{GAS}"));
        publisher.up();
        seen.extend(serve(&mut publisher, "nothing", 60));
        let last = |topic: &str| seen.iter().rfind(|(_, t, _)| t == topic).map(|(.., stands)| *stands);
        for topic in [NEW, NEW_AGENT, "house/gas/state", "house/bridge/state"] {
            assert!(last(topic) != Some(true), "{topic} after {there} s: {seen:?}");
        }
        for topic in [topic(0x1001).as_str(), agent, "mbushat/gas/state", "mbushat/bridge/state"] {
            assert_eq!(last(topic), Some(true), "{topic} after {there} s: {seen:?}");
        }
        assert_eq!(publisher.spool.bases().collect::<Vec<_>>(), ["mbushat"], "after {there} s");
        stop(publisher);
    }
}

#[test]
fn one_that_changes_its_mind_before_the_connection_is_the_new_one_has_everything_again() {
    let place = Place::new("move-not");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    publisher.up();
    read(&mut publisher, "gas", 0x1001, BOTH);
    go_on(&mut publisher);
    let own = ["mbushat/gas/availability".to_owned(), "mbushat/gas/state".to_owned(), topic(0x1001)];
    publisher.reconfigure(place.config(&moved()));
    let mut sent = go_on(&mut publisher);
    publisher.reconfigure(place.config(&format!("{HAT}{GAS}")));
    assert!(!publisher.follow_base_topic());
    publisher.up();
    sent.extend(go_on(&mut publisher));
    for topic in own {
        let last = sent.iter().rfind(|message| message.topic == topic).map(|message| message.payload.is_empty());
        assert_eq!(last, Some(false), "{topic}");
    }
}

#[test]
fn the_agents_own_device_stays_after_a_move_that_was_taken_back() {
    let agent = "homeassistant/device/mbushat/mbushat_bridge/config";
    let place = Place::new("move-agent");
    // the other one was started without a broker
    stop(restarted(&place));
    for start in 0..3 {
        let mut publisher = place.start(&format!("{HAT}{GAS}"));
        publisher.up();
        publisher.heard_listener(true, publisher.now);
        let seen = serve(&mut publisher, "nothing", 90);
        assert_eq!(when(&seen, agent, false), None, "start {start}: {seen:?}");
        assert!(when(&seen, agent, true).is_some(), "start {start}: {seen:?}");
        stop(publisher);
    }
}

#[test]
fn nothing_appears_again_under_a_base_topic_that_is_being_left() {
    let place = Place::new("move-late");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    publisher.up();
    read(&mut publisher, "gas", 0x1001, BOTH);
    let now = publisher.now;
    let mut sent = messages(&mut publisher, now);
    // the agent is not online yet, and the meter is on the wire
    publisher.reconfigure(place.config(&moved()));
    read(&mut publisher, "gas", 0x1001, BOTH);
    sent.extend(go_on(&mut publisher));
    for topic in ["mbushat/bridge/state", "mbushat/gas/state", "mbushat/gas/availability"] {
        let last = sent.iter().rfind(|message| message.topic == topic).map(|message| message.payload.is_empty());
        assert_eq!(last, Some(true), "{topic}: {sent:?}");
    }
    stop(publisher);
}
