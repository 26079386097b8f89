//! What becomes of a meter or bus that is taken out of the configuration.

use super::*;

#[test]
fn a_removed_meter_is_taken_back_at_once_or_when_no_new_one_can_be_it() {
    let cleared = (topic(0x1001), String::new());
    for with_a_new_one in [false, true] {
        let place = Place::new(if with_a_new_one { "gone-new" } else { "gone" });
        let mut before = place.start(&format!("{HAT}{GAS}"));
        read(&mut before, "gas", 0x1001, BOTH);
        stop(before);
        let other = "[[meter]]\nname = \"other\"\nbus = \"hat\"\naddress = 6\n";
        let mut after = place.start(&format!("{HAT}{}", if with_a_new_one { other } else { "" }));
        assert_eq!(published(&mut after).contains(&cleared), !with_a_new_one);
        if with_a_new_one {
            read(&mut after, "other", 0x2002, BOTH);
            assert!(published(&mut after).contains(&cleared));
        }
        after.forget_gone();
        stop(after);
        let mut again = place.start(&format!("{HAT}{}", if with_a_new_one { other } else { "" }));
        assert!(!published(&mut again).contains(&cleared), "Home Assistant warns of a second time");
    }
}

#[test]
fn a_removed_meter_is_announced_and_taken_back_once_at_the_next_birth() {
    for store_is_lost in [false, true] {
        let place = Place::new(if store_is_lost { "farewell-lost" } else { "farewell" });
        let mut before = place.start(&format!("{HAT}{GAS}"));
        read(&mut before, "gas", 0x1001, BOTH);
        let old = document(&before, Class::Announcement, &topic(0x1001));
        stop(before);
        if store_is_lost {
            place.lose_the_store();
        }
        let mut after = place.start(HAT);
        after.found(&topic(0x1001), old.to_string().as_bytes());
        assert!(published(&mut after).contains(&(topic(0x1001), String::new())));
        after.forget_gone();
        stop(after);
        let mut again = place.start(HAT);
        published(&mut again);
        let sent = published_at_birth(&mut again, 0x1001);
        let [(announced, false), (taken_back, true)] = &sent[..] else { panic!("{sent:?}") };
        let announced: Value = serde_json::from_str(announced).expect("JSON");
        let entities = |document: &Value| {
            let components = document["cmps"].as_object().expect("components").iter();
            components.map(|(key, component)| (key.clone(), component["uniq_id"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(entities(&announced), entities(&old), "the whole device");
        assert_eq!(announced["dev"]["ids"], old["dev"]["ids"]);
        assert_eq!(taken_back, "");
        assert_eq!(published_at_birth(&mut again, 0x1001), [], "once");
        stop(again);
        let mut at_last = place.start(HAT);
        published(&mut at_last);
        assert_eq!(published_at_birth(&mut at_last, 0x1001), [], "and not after a restart");
    }
}

/// Whoever may write to one of the topics that an agent listens to could else have it empty that topic.
#[test]
fn an_announcement_on_another_topic_than_one_for_announcements_is_nobodys() {
    let place = Place::new("elsewhere");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    let own = document(&publisher, Class::Announcement, &topic(0x1001)).to_string();
    let forged = own.replace("mbushat/gas/", "mbushat/water/");
    assert_ne!(own, forged);
    published(&mut publisher);
    for topic in
        ["homeassistant/status", "mbushat/water/read", "mbushat/bridge/request/read", "homeassistant/device/x/config"]
    {
        publisher.found(topic, own.as_bytes());
        publisher.found(topic, forged.as_bytes());
        assert_eq!(go_on(&mut publisher), [], "{topic}");
    }
    publisher.found(&topic(0x2002), forged.as_bytes());
    assert!(go_on(&mut publisher).iter().any(|message| message.topic == topic(0x2002) && message.payload.is_empty()));
}

#[test]
fn an_announcement_that_may_be_of_an_adopted_meter_is_taken_back_only_once_their_file_is_whole() {
    let place = Place::new("broken");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    let own = document(&publisher, Class::Announcement, &topic(0x1001)).to_string();
    published(&mut publisher);
    publisher.config.adopted.trouble = Some("line 1 is no TOML".to_owned());
    publisher.hold_back(false);
    publisher.found(&topic(0x2002), own.replace("mbushat/gas/", "mbushat/kam_2002/").as_bytes());
    assert_eq!(go_on(&mut publisher), []);
    publisher.config.adopted.trouble = None;
    publisher.hold_back(false);
    assert!(go_on(&mut publisher).iter().any(|message| message.topic == topic(0x2002) && message.payload.is_empty()));
}

#[test]
fn the_farewell_of_a_replaced_meter_does_not_take_the_values_of_the_new_one() {
    let place = Place::new("farewell-swap");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    read(&mut publisher, "gas", 0x2002, BOTH);
    published(&mut publisher);
    let sent = published_at_birth(&mut publisher, 0x1001);
    let [(announced, false), (taken_back, true)] = &sent[..] else { panic!("{sent:?}") };
    assert!(announced.contains("mbushat_00001001_KAM_1d_03_volume_flow"), "{announced}");
    assert!(!announced.contains("mbushat/gas/state") && !announced.contains("bridge/event"), "{announced}");
    assert_eq!(taken_back, "");
}

#[test]
fn a_meter_put_back_before_the_next_birth_gets_no_farewell() {
    let place = Place::new("put-back");
    let config = format!("{HAT}{GAS}");
    let mut swapped = place.start(&config);
    for id in [0x1001, 0x2002, 0x1001] {
        read(&mut swapped, "gas", id, BOTH);
    }
    published(&mut swapped);
    let live = swapped.outbox.get(Class::Announcement, &topic(0x1001)).expect("announced").to_vec();
    let live = text(live);
    assert_eq!(published_at_birth(&mut swapped, 0x1001), [(live.clone(), true)], "swapped back");
    stop(swapped);
    let mut removed = place.start(HAT);
    published(&mut removed);
    stop(removed);
    let mut back = place.start(&config);
    published(&mut back);
    assert_eq!(published_at_birth(&mut back, 0x1001), [(live, true)], "configured again");
}

#[test]
fn the_values_of_a_removed_meter_are_taken_back_too() {
    let place = Place::new("values");
    let values = "[mqtt]\nvalue_topics = true\n";
    let mut before = place.start(&format!("{values}{HAT}{GAS}"));
    read(&mut before, "gas", 0x1001, BOTH);
    let value = |text: &str| ("mbushat/gas/value/volume".to_owned(), text.to_owned());
    assert!(published(&mut before).contains(&value("12.345")));
    stop(before);
    let mut after = place.start(&format!("{values}{HAT}"));
    assert!(published(&mut after).contains(&value("")));
}

#[test]
fn what_was_being_read_when_its_meter_was_taken_out_or_disabled_is_still_delivered() {
    let elsewhere = format!("{HAT}{GAS}").replace("address = 5", "address = 7");
    for (case, after) in
        [("out", HAT.to_owned()), ("off", format!("{HAT}{GAS}enabled = false\n")), ("elsewhere", elsewhere)]
    {
        let place = Place::new(&format!("under-way-{case}"));
        let mut publisher = place.start(&format!("{HAT}{GAS}"));
        read(&mut publisher, "gas", 0x1001, VOLUME);
        published(&mut publisher);
        // the second one, perhaps of an adopted meter, changes nothing
        publisher.reconfigure(place.config(&after));
        publisher.reconfigure(place.config(&after));
        go_on(&mut publisher);
        let Outcome::Taken(reading) = publisher.readout(answer("gas", 0x1001, BOTH), None) else { panic!("{case}") };
        let sent: Vec<(String, String)> =
            go_on(&mut publisher).into_iter().map(|m| (m.topic, text(m.payload))).collect();
        assert_eq!(sent, [("mbushat/gas/reading".to_owned(), reading)], "nothing else, {case}");
        assert_eq!(publisher.readings().taken, 2);
    }
}

#[test]
fn a_meter_that_is_elsewhere_now_was_not_read_there_yet() {
    let place = Place::new("elsewhere-now");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    publisher.reconfigure(place.config(&format!("{HAT}{GAS}title = \"Gas\"\n")));
    assert_eq!(publisher.last_good().len(), 1);
    let elsewhere = format!("{HAT}{GAS}").replace("address = 5", "address = 7");
    publisher.reconfigure(place.config(&elsewhere));
    assert!(publisher.last_good().is_empty(), "so it is read at once");
    stop(publisher);
    // a restart after such a change is not different
    assert_eq!(place.start(&format!("{HAT}{GAS}")).last_good().len(), 1);
    assert!(place.start(&elsewhere).last_good().is_empty());
}

#[test]
fn a_meter_that_is_put_back_while_it_is_taken_back_keeps_what_is_known_of_it() {
    let place = Place::new("back-soon");
    let (with, without) = (format!("{HAT}{GAS}"), HAT.to_owned());
    let mut publisher = place.start(&with);
    read(&mut publisher, "gas", 0x1001, BOTH);
    published(&mut publisher);
    publisher.reconfigure(place.config(&without));
    publisher.reconfigure(place.config(&with));
    go_on(&mut publisher);
    publisher.forget_gone();
    assert!(publisher.spool.telegrams_of("gas").is_some() && publisher.spool.state_of("gas").is_some());
}

#[test]
fn a_removed_bus_takes_its_entities_off_the_agents_device() {
    let agent = "homeassistant/device/mbushat/mbushat_bridge/config";
    for store_is_lost in [false, true] {
        let place = Place::new(if store_is_lost { "bus-lost" } else { "bus" });
        let before = place.start(&format!("{HAT}[[bus]]\nname = \"attic\"\nport = \"sim:b\"\n{GAS}"));
        let old = document(&before, Class::AgentAnnouncement, agent);
        assert!(old["cmps"]["attic_scan"]["uniq_id"].is_string());
        stop(before);
        if store_is_lost {
            place.lose_the_store();
        }
        let mut after = place.start(&format!("{HAT}{GAS}"));
        if store_is_lost {
            after.found(agent, old.to_string().as_bytes());
        }
        let now = document(&after, Class::AgentAnnouncement, agent);
        assert_eq!(now["cmps"]["attic_scan"], json!({ "p": "button" }), "store lost: {store_is_lost}");
        assert_eq!(now["cmps"]["attic_load"], json!({ "p": "sensor" }));
        assert!(now["cmps"]["hat_scan"]["uniq_id"].is_string());
    }
}

#[test]
fn what_a_damaged_store_lost_before_the_start_is_counted_as_taken_and_dropped() {
    let place = Place::new("counted");
    let config = format!("{HAT}{GAS}");
    let mut publisher = place.start(&config);
    for _ in 0..3 {
        read(&mut publisher, "gas", 0x1001, VOLUME);
    }
    stop(publisher);
    let files = fs::read_dir(place.0.join("store")).expect("a store").filter_map(Result::ok).map(|file| file.path());
    let path = files.into_iter().find(|path| path.to_string_lossy().contains("/readings-")).expect("one of readings");
    let text = fs::read_to_string(&path).expect("lines");
    let second = text.lines().nth(1).expect("a line");
    fs::write(&path, text.replace(second, "gone")).expect("written");
    let mut after = place.start(&config);
    let now = after.readings();
    assert_eq!((now.taken, now.waiting, now.dropped), (3, 2, 1));
    read(&mut after, "gas", 0x1001, VOLUME);
    assert_eq!(after.readings().taken, 4);
}
