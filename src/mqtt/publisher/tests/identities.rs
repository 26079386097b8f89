//! Another meter under the same name, and the same meter under another name.

use super::*;

#[test]
fn another_meter_after_a_restart_is_another_device_with_entity_ids_of_its_own() {
    for store_is_lost in [false, true] {
        let place = Place::new(if store_is_lost { "swap-lost" } else { "swap" });
        let config = format!("{HAT}{GAS}");
        let mut before = place.start(&config);
        read(&mut before, "gas", 0x1001, BOTH);
        let old = document(&before, Class::Announcement, &topic(0x1001)).to_string();
        stop(before);
        if store_is_lost {
            place.lose_the_store();
        }
        let mut after = place.start(&config);
        if store_is_lost {
            after.found(&topic(0x1001), old.as_bytes());
        }
        read(&mut after, "gas", 0x2002, BOTH);
        let sent = published(&mut after);
        let place_of = |wanted: &dyn Fn(&str, &str) -> bool| sent.iter().rposition(|(t, payload)| wanted(t, payload));
        let taken_back = place_of(&|t, payload| t == topic(0x1001) && payload.is_empty()).expect("it is taken back");
        let is_value = |t: &str, payload: &str| t == "mbushat/gas/state" && payload.contains("12.345");
        assert!(taken_back < place_of(&is_value).expect("published"), "before it could take the new meter's values");
        let from_then_on = sent.get(taken_back..).expect("the rest");
        assert!(!from_then_on.iter().any(|(t, payload)| t == "mbushat/gas/state" && payload.contains("null")));
        assert_eq!(component(&after, 0x2002, "volume")["def_ent_id"], "sensor.gas_volume_00002002");
        let replaced = sent.iter().any(|(_, text)| text.starts_with(r#"{"event":"meter_replaced","meter":"gas""#));
        assert_eq!(replaced, !store_is_lost, "whom it replaces only the store knows");
        let fell = sent.iter().any(|(_, text)| text.contains(r#""event":"counter_fell""#));
        assert!(!fell, "another meter's total is not a fall");
        stop(after);
        // and remains one
        let mut again = place.start(&config);
        read(&mut again, "gas", 0x2002, BOTH);
        assert_eq!(component(&again, 0x2002, "volume")["def_ent_id"], "sensor.gas_volume_00002002");
    }
}

#[test]
fn a_renamed_meter_keeps_its_device_though_the_broker_shows_the_old_name_late() {
    for store_is_lost in [false, true] {
        let place = Place::new(if store_is_lost { "name-lost" } else { "name" });
        let mut before = place.start(&format!("{HAT}{GAS}"));
        read(&mut before, "gas", 0x1001, BOTH);
        let old = document(&before, Class::Announcement, &topic(0x1001)).to_string();
        stop(before);
        if store_is_lost {
            place.lose_the_store();
        }
        let mut after = place.start(&format!("{HAT}{}", GAS.replace("\"gas\"", "\"cellar\"")));
        let cleared = (topic(0x1001), String::new());
        assert!(!published(&mut after).contains(&cleared), "it may be the one with a new name");
        read(&mut after, "cellar", 0x1001, VOLUME);
        assert!(store_is_lost || component(&after, 0x1001, "volume_flow")["uniq_id"].is_string());
        after.found(&topic(0x1001), old.as_bytes());
        let now = document(&after, Class::Announcement, &topic(0x1001));
        assert_eq!(now["stat_t"], "mbushat/cellar/state", "store lost: {store_is_lost}");
        assert!(now["cmps"]["volume_flow"].is_object(), "the device is as whole as before");
        let sent = published(&mut after);
        assert!(!sent.contains(&cleared), "store lost: {store_is_lost}");
        for gone in ["mbushat/gas/state", "mbushat/gas/availability"] {
            assert!(sent.contains(&(gone.to_owned(), String::new())), "{gone}, store lost: {store_is_lost}");
        }
    }
}

#[test]
fn another_identity_is_believed_the_second_time_in_a_row() {
    let place = Place::new("stranger");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    let mut answers = |ids: &[u32]| -> Vec<&'static str> {
        let outcome = |id: &u32| match publisher.readout(answer("gas", *id, BOTH), None) {
            Outcome::Taken(_) => "taken",
            Outcome::ReadAgain => "read again",
            Outcome::Failed(_) => "failed",
        };
        ids.iter().map(outcome).collect()
    };
    assert_eq!(answers(&[0x1003, 0x1001, 0x1003, 0x1001]), ["read again", "taken", "read again", "taken"]);
    assert_eq!(answers(&[0x1003, 0x1005, 0x1001]), ["read again", "failed", "taken"], "it does not go on forever");
    assert_eq!(answers(&[0x1003, 0x1003, 0x1003]), ["read again", "taken", "taken"]);
    assert!(document(&publisher, Class::Announcement, &topic(0x1003)).is_object());
}
