//! What is published of a meter besides its values: its telegrams, labels, area and battery,
//! and how many values have no name.

use super::*;

#[test]
fn a_reading_carries_its_telegrams_where_its_table_asks_for_them() {
    for (raw, at_end) in [("", false), ("raw = true\n", true)] {
        let place = Place::new("raw");
        let mut publisher = place.start(&format!("{HAT}{GAS}{raw}"));
        read(&mut publisher, "gas", 1, VOLUME);
        let reading = published(&mut publisher).into_iter().find(|(topic, _)| topic == "mbushat/gas/reading");
        let reading: Value = serde_json::from_str(&reading.expect("a reading").1).expect("JSON");
        let telegrams = reading.get("telegrams").and_then(Value::as_array);
        let whole = telegrams.and_then(|all| all.first()?.as_str()).unwrap_or_default();
        assert_eq!((whole.starts_with("6815156808057201000000"), whole.ends_with("16")), (at_end, at_end), "{reading}");
        stop(publisher);
    }
}

#[test]
fn a_meter_whose_values_have_no_names_is_announced_and_says_what_to_do() {
    let place = Place::new("unnamed");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 1, "04 FF 07 10 27 00 00 01 FF 08 01");
    let shown = component(&publisher, 1, "unnamed-values");
    assert_eq!(shown["val_tpl"], "2: mbushat profiles unknown gas");
    assert_eq!((&shown["p"], &shown["ent_cat"]), (&json!("sensor"), &json!("diagnostic")));
    assert_eq!(shown["uniq_id"], "mbushat_00000001_KAM_1d_03_unnamed-values");
    assert_eq!(component(&publisher, 1, "last-read")["p"], "sensor");
    stop(publisher);

    // a rule that names one of them makes it one less, and none takes the entity away
    let rule = |vif: &str| format!("[[meter.record]]\ndif = \"04\"\nvif = \"{vif}\"\nkey = \"named\"\n");
    let mut publisher = place.start(&format!("{HAT}{GAS}{}", rule("FF07")));
    read(&mut publisher, "gas", 1, "04 FF 07 10 27 00 00 01 FF 08 01");
    assert_eq!(component(&publisher, 1, "unnamed-values")["val_tpl"], "1: mbushat profiles unknown gas");
    let hide = "[[meter.record]]\nquantity = \"manufacturer_specific\"\nhide = true\n";
    publisher.reconfigure(place.config(&format!("{HAT}{GAS}{}{hide}", rule("FF07"))));
    read(&mut publisher, "gas", 1, "04 FF 07 10 27 00 00 01 FF 08 01");
    assert_eq!(component(&publisher, 1, "unnamed-values"), json!({ "p": "sensor" }));
    assert_eq!(component(&publisher, 1, "named")["p"], "sensor");
    stop(publisher);
}

#[test]
fn the_labels_of_a_meter_are_in_its_readings_and_its_area_in_its_device() {
    let place = Place::new("labels");
    let mut publisher = place.start(&format!("{HAT}{GAS}labels = {{ tenant = \"17\", flat = \"3 left\" }}\n"));
    read(&mut publisher, "gas", 1, VOLUME);
    let reading = published(&mut publisher).into_iter().find(|(topic, _)| topic == "mbushat/gas/reading");
    let reading = reading.expect("a reading").1;
    assert!(reading.contains(r#""status":[]},"labels":{"flat":"3 left","tenant":"17"},"measurements""#), "{reading}");
    assert_eq!(document(&publisher, Class::Announcement, &topic(1))["dev"].get("sa"), None);
    publisher.reconfigure(place.config(&format!("{HAT}{GAS}area = \"Cellar\"\n")));
    assert_eq!(document(&publisher, Class::Announcement, &topic(1))["dev"]["sa"], "Cellar");
    stop(publisher);
}

#[test]
fn an_electricity_meter_gets_a_battery_when_it_says_that_its_power_is_low() {
    let place = Place::new("low-power");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    let topic = "homeassistant/device/mbushat/mbushat_00000001_KAM_1d_02/config";
    for (status, has) in [(0x00_u8, false), (0x08, false), (0x04, true), (0x00, true)] {
        let mut readout = answer("gas", 1, VOLUME);
        let frame = &mut readout.frames.as_mut().expect("telegrams")[0];
        (frame[14], frame[16]) = (0x02, status);
        let end = frame.len() - 2;
        frame[end] = frame[4..end].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        assert!(matches!(publisher.readout(readout, None), Outcome::Taken(_)), "{status:02x}");
        let battery = &document(&publisher, Class::Announcement, topic)["cmps"]["battery-status"];
        assert_eq!(battery["dev_cla"] == "battery", has, "{status:02x}: {battery}");
    }
}
