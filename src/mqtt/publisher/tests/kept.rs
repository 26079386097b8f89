//! A meter that is replaced where its table says `keep_entities`.

use super::*;

const KEEP: &str = "keep_entities = true\n";
const STATE: &str = "mbushat/gas/state";

/// What Home Assistant shows of the volume: the number that is published, and what the template adds.
fn volume(publisher: &Publisher) -> (Value, String) {
    let template = component(publisher, 0x1001, "volume")["val_tpl"].as_str().expect("announced").to_owned();
    let constant = template.split("(v + ").nth(1).and_then(|rest| rest.split(')').next());
    (document(publisher, Class::State, STATE)["volume"].clone(), constant.unwrap_or("0").to_owned())
}

#[test]
fn another_meter_goes_on_under_the_entities_and_where_the_totals_of_the_one_before_ended() {
    let place = Place::new("kept");
    let config = format!("{HAT}{GAS}{KEEP}");
    let mut publisher = place.start(&config);
    read(&mut publisher, "gas", 0x1001, BOTH);
    published(&mut publisher);
    let before = component(&publisher, 0x1001, "volume");
    assert_eq!(volume(&publisher), (json!(12.345), "0".to_owned()));
    read(&mut publisher, "gas", 0x2002, "0C 13 45 00 00 00 02 3B 20 00");
    assert_eq!(
        document(&publisher, Class::State, STATE)["volume"],
        Value::Null,
        "nothing is paired with the old constant"
    );
    let sent = published(&mut publisher);
    assert_eq!(volume(&publisher), (json!(0.045), "12.3".to_owned()), "state has the meter's own number");
    assert!(sent.iter().any(|(_, payload)| payload.contains("meter_replaced")), "it is reported all the same");
    assert!(!sent.iter().any(|(topic, payload)| topic.contains("00002002") || payload.is_empty()), "{sent:?}");
    let after = component(&publisher, 0x1001, "volume");
    assert_eq!((&after["uniq_id"], &after["def_ent_id"]), (&before["uniq_id"], &before["def_ent_id"]));
    let flow = component(&publisher, 0x1001, "volume_flow")["val_tpl"].clone();
    assert_eq!(flow, "{{ value_json['volume_flow'] | default('') }}", "which is not a total");
    assert_eq!(document(&publisher, Class::Announcement, &topic(0x1001))["dev"]["sn"], "00002002");
    // a third one after a restart adds to what the second one has counted
    read(&mut publisher, "gas", 0x2002, "0C 13 55 00 00 00");
    stop(publisher);
    let mut publisher = place.start(&config);
    assert_eq!(volume(&publisher), (json!(0.055), "12.3".to_owned()));
    read(&mut publisher, "gas", 0x3003, "0C 13 00 10 00 00");
    published(&mut publisher);
    assert_eq!(volume(&publisher), (json!(1), "11.355".to_owned()));
    stop(publisher);
}

#[test]
fn without_it_the_meter_gets_entities_of_its_own_and_so_it_does_when_that_is_switched_off() {
    for restart in [false, true] {
        let place = Place::new(if restart { "kept-off-restart" } else { "kept-off" });
        let mut publisher = place.start(&format!("{HAT}{GAS}{KEEP}"));
        read(&mut publisher, "gas", 0x1001, VOLUME);
        read(&mut publisher, "gas", 0x2002, VOLUME);
        published(&mut publisher);
        assert!(component(&publisher, 0x1001, "volume")["uniq_id"].is_string());
        let plain = format!("{HAT}{GAS}");
        let mut publisher = if restart {
            stop(publisher);
            place.start(&plain)
        } else {
            publisher.reconfigure(place.config(&plain));
            publisher
        };
        read(&mut publisher, "gas", 0x2002, VOLUME);
        let sent = published(&mut publisher);
        assert!(component(&publisher, 0x2002, "volume")["uniq_id"].is_string(), "restart: {restart}");
        assert!(sent.contains(&(topic(0x1001), String::new())), "restart: {restart}, {sent:?}");
        assert_eq!(publisher.spool.remembered(crate::spool::Memo::Kept).count(), 0);
        stop(publisher);
    }
}

#[test]
fn the_meter_whose_entities_are_kept_gets_others_where_it_answers_under_another_name() {
    let place = Place::new("kept-elsewhere");
    let attic = GAS.replace("\"gas\"", "\"attic\"").replace("address = 5", "address = 6");
    let mut publisher = place.start(&format!("{HAT}{GAS}{KEEP}{attic}"));
    read(&mut publisher, "gas", 0x1001, VOLUME);
    read(&mut publisher, "gas", 0x2002, VOLUME);
    for _ in 0..3 {
        read(&mut publisher, "attic", 0x1001, VOLUME);
        read(&mut publisher, "gas", 0x2002, VOLUME);
        published(&mut publisher);
        assert_eq!(document(&publisher, Class::Announcement, &topic(0x1001))["stat_t"], STATE);
        let by_name = "homeassistant/device/mbushat/mbushat_attic_KAM_1d_03/config";
        assert_eq!(document(&publisher, Class::Announcement, by_name)["stat_t"], "mbushat/attic/state");
    }
    stop(publisher);
}

#[test]
fn what_is_added_to_a_total_follows_its_unit() {
    for restart in [false, true] {
        let place = Place::new(if restart { "kept-unit-restart" } else { "kept-unit" });
        let mut publisher = place.start(&format!("{HAT}{GAS}{KEEP}"));
        read(&mut publisher, "gas", 0x1001, VOLUME);
        read(&mut publisher, "gas", 0x2002, "0C 13 45 00 00 00");
        published(&mut publisher);
        assert_eq!(volume(&publisher), (json!(0.045), "12.3".to_owned()));
        let litres = format!("{HAT}{GAS}{KEEP}[[meter.record]]\nquantity = \"volume\"\nunit = \"L\"\n");
        let mut publisher = if restart {
            stop(publisher);
            place.start(&litres)
        } else {
            publisher.reconfigure(place.config(&litres));
            publisher
        };
        published(&mut publisher);
        assert_eq!(volume(&publisher), (json!(45), "12300".to_owned()), "restart: {restart}");
        // and the next meter goes on from there
        read(&mut publisher, "gas", 0x3003, "0C 13 00 10 00 00");
        published(&mut publisher);
        assert_eq!(volume(&publisher), (json!(1000), "11345".to_owned()), "restart: {restart}");
        stop(publisher);
    }
}

#[test]
fn a_total_that_the_new_meter_gives_later_goes_on_all_the_same() {
    let invalid = "0C 13 FF FF FF FF 02 3B 20 00";
    let place = Place::new("kept-later");
    let config = format!("{HAT}{GAS}{KEEP}");
    let mut publisher = place.start(&config);
    publisher.up();
    read(&mut publisher, "gas", 0x1001, BOTH);
    go_on(&mut publisher);
    read(&mut publisher, "gas", 0x2002, invalid);
    go_on(&mut publisher);
    assert_eq!(volume(&publisher), (Value::Null, "0".to_owned()));
    stop(publisher);
    let mut publisher = place.start(&config);
    publisher.up();
    go_on(&mut publisher);
    read(&mut publisher, "gas", 0x2002, "0C 13 45 00 00 00 02 3B 20 00");
    let sent = go_on(&mut publisher);
    assert_eq!(volume(&publisher), (json!(0.045), "12.3".to_owned()));
    // the number never stands beside the document without what is added to it
    let place_of = |wanted: &dyn Fn(&Publish) -> bool| sent.iter().position(wanted).expect("sent");
    let document = place_of(&|m| m.topic == topic(0x1001) && text(m.payload.clone()).contains("12.3"));
    let number = place_of(&|m| m.topic == STATE && text(m.payload.clone()).contains("0.045"));
    assert!(document < number, "{sent:?}");
    stop(publisher);
}
