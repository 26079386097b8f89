//! What the log says of what Home Assistant gets.

use super::*;
use crate::spool::test_log::said;

fn rule(lines: &str) -> String {
    format!("[[meter.record]]\n{lines}\n")
}

#[test]
fn a_class_that_does_not_fit_what_is_read_is_said_once() {
    let place = Place::new("class");
    // what stands at a place is known from the telegram alone
    let wrong = rule("index = 0\ndevice_class = \"power\"") + &rule("index = 1\nstate_class = \"total\"");
    let mut publisher = place.start(&format!("{HAT}{GAS}{wrong}"));
    let log = said(|| {
        read(&mut publisher, "gas", 0x1001, BOTH);
        read(&mut publisher, "gas", 0x1001, BOTH);
    });
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("is not used")).collect();
    let [volume, flow] = lines.as_slice() else { panic!("two lines: {log}") };
    assert!(volume.contains("WARN") && volume.contains("meter=\"gas\" key=\"volume\""), "{volume}");
    assert!(volume.contains("the rule's device_class \"power\" is not used: it does not fit m³"), "{volume}");
    assert!(flow.contains("key=\"volume_flow\"") && flow.contains("state_class \"total\" is not used"), "{flow}");
}

#[test]
fn a_class_that_fits_is_not_mentioned() {
    let place = Place::new("class-good");
    let good =
        rule("index = 0\ndevice_class = \"water\"\nstate_class = \"total\"") + &rule("index = 1\ndevice_class = \"\"");
    let mut publisher = place.start(&format!("{HAT}{GAS}{good}"));
    let log = said(|| read(&mut publisher, "gas", 0x1001, BOTH));
    assert!(log.contains("is read") && !log.contains("is not used"), "{log}");
}

#[test]
fn an_announcement_that_goes_is_not_said_to_be_of_a_meter_that_is_not_configured() {
    let place = Place::new("unused");
    let mut before = place.start(&format!("{HAT}{GAS}"));
    read(&mut before, "gas", 0x1001, BOTH);
    let old = document(&before, Class::Announcement, &topic(0x1001));
    stop(before);
    place.lose_the_store();
    let log = said(|| {
        let mut after = place.start(HAT);
        after.found(&topic(0x1001), old.to_string().as_bytes());
        published(&mut after);
    });
    let line = log.lines().find(|line| line.contains(&topic(0x1001))).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("removes an announcement that is not used any more"), "{line}");
}
