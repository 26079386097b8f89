//! Which entities a change of the rules takes from Home Assistant: over a restart and in a reload the same.

use super::*;
use crate::spool::Memo;

const OTHER_MAKER: &str =
    "[[profile]]\nname = \"other\"\nmanufacturer = \"ZZZ\"\n[[profile.record]]\nkey = \"x\"\nquantity = \"energy\"\n";
const HIDES_FLOW: &str = "[[profile]]\nname = \"own\"\nmanufacturer = \"KAM\"\n[[profile.record]]\nquantity = \"volume_flow\"\nhide = true\n";
const OTHER_TITLE: &str =
    "[[profile]]\nname = \"own\"\nmanufacturer = \"KAM\"\n[[profile.record]]\nquantity = \"volume\"\ntitle = \"Gas\"\n";

/// The gas meter with both values; then with more in its configuration, by a restart or a reload.
fn changed(name: &str, restart: bool, before: &str, after: &str) -> (Place, Publisher) {
    let place = Place::new(&format!("{name}-{restart}"));
    let mut publisher = place.start(&format!("{HAT}{GAS}{before}"));
    read(&mut publisher, "gas", 0x1001, BOTH);
    let config = format!("{HAT}{GAS}{after}");
    if restart {
        stop(publisher);
        publisher = place.start(&config);
    } else {
        publisher.reconfigure(place.config(&config));
    }
    (place, publisher)
}

#[test]
fn a_profile_for_other_meters_takes_no_entity_away() {
    for restart in [false, true] {
        let (_place, mut publisher) = changed("profile-other", restart, "", OTHER_MAKER);
        read(&mut publisher, "gas", 0x1001, VOLUME);
        let flow = component(&publisher, 0x1001, "volume_flow");
        assert!(flow["uniq_id"].is_string(), "restart: {restart}, {flow}");
    }
}

#[test]
fn a_profile_that_hides_a_value_takes_its_entity_at_once() {
    for restart in [false, true] {
        let (_place, publisher) = changed("profile-own", restart, OTHER_MAKER, HIDES_FLOW);
        let flow = component(&publisher, 0x1001, "volume_flow");
        assert_eq!(flow, json!({ "p": "sensor" }), "restart: {restart}");
    }
}

#[test]
fn another_title_for_one_value_takes_no_other_one_away() {
    for restart in [false, true] {
        let (_place, mut publisher) = changed("profile-title", restart, "", OTHER_TITLE);
        read(&mut publisher, "gas", 0x1001, VOLUME);
        assert_eq!(component(&publisher, 0x1001, "volume")["name"], "Gas", "restart: {restart}");
        assert!(component(&publisher, 0x1001, "volume_flow")["uniq_id"].is_string(), "restart: {restart}");
    }
}

#[test]
fn a_scale_in_the_profile_is_no_fallen_counter() {
    let scale = "[[profile]]\nname = \"own\"\nmanufacturer = \"KAM\"\n[[profile.record]]\nquantity = \"volume\"\nscale = 0.001\n";
    for restart in [false, true] {
        let (_place, mut publisher) = changed("profile-scale", restart, "", scale);
        read(&mut publisher, "gas", 0x1001, BOTH);
        let fell = published(&mut publisher).into_iter().find(|(_, text)| text.contains(r#""event":"counter_"#));
        assert_eq!(fell, None, "restart: {restart}");
    }
}

#[test]
fn the_store_of_an_older_version_takes_no_entity_away() {
    let place = Place::new("old-mark");
    let mut before = place.start(&format!("{HAT}{GAS}"));
    read(&mut before, "gas", 0x1001, BOTH);
    let text = before.spool.remembered(Memo::Announcement).find(|(name, _)| *name == "gas").expect("it").1.to_owned();
    let rules = text.lines().nth(1).expect("three lines");
    assert_eq!(rules, r#"{"rules":[]}"#);
    before.spool.remember(Memo::Announcement, "gas", &text.replace(rules, "0123456789abcdef"), Instant::now());
    stop(before);
    let mut after = place.start(&format!("{HAT}{GAS}"));
    read(&mut after, "gas", 0x1001, VOLUME);
    assert!(component(&after, 0x1001, "volume_flow")["uniq_id"].is_string());
}

#[test]
fn the_model_that_a_profile_names_stands_on_the_device_as_soon_as_it_applies() {
    let place = Place::new("product");
    let profile =
        "[[profile]]\nname = \"g\"\nmanufacturer = \"KAM\"\nmedium = \"gas\"\nmodel = \"G4\"\nmaker = \"Acme\"\n";
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    read(&mut publisher, "gas", 0x11, VOLUME);
    let device = |publisher: &Publisher| {
        let device = document(publisher, Class::Announcement, &topic(0x11))["dev"].clone();
        (device["mf"].clone(), device["mdl"].clone())
    };
    assert_eq!(device(&publisher), ("Kamstrup".into(), "Gas".into()));
    stop(publisher);
    let mut publisher = place.start(&format!("{HAT}{GAS}{profile}"));
    read(&mut publisher, "gas", 0x11, VOLUME);
    assert_eq!(device(&publisher), ("Acme".into(), "G4".into()));
    stop(publisher);
}

#[test]
fn a_meter_that_replaces_another_counts_in_its_own_units() {
    let place = Place::new("own-units");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    let energy = |publisher: &Publisher, id| {
        let unit = component(publisher, id, "energy")["unit_of_meas"].clone();
        (document(publisher, Class::State, "mbushat/gas/state")["energy"].clone(), unit)
    };
    for (id, records, shown) in [
        (0x1001, "0C 06 00 50 00 00", (json!(5000), json!("kWh"))),
        (0x2002, "0C 0E 01 36 00 00", (json!(3601), json!("MJ"))),
        (0x2002, "0C 06 01 36 00 00", (json!(12963.6), json!("MJ"))),
        (0x1001, "0C 06 01 50 00 00", (json!(5001), json!("kWh"))),
    ] {
        read(&mut publisher, "gas", id, records);
        published(&mut publisher);
        assert_eq!(energy(&publisher, id), shown, "{records}");
    }
    stop(publisher);
}
