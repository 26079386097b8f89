//! A meter with `enabled = false` keeps everything it has but its presence.

use super::*;

const OFF: &str = "enabled = false\n";
const STATE: &str = "mbushat/gas/state";
const AVAILABILITY: &str = "mbushat/gas/availability";

#[test]
fn a_meter_that_is_switched_off_keeps_its_device_and_its_state_but_is_unavailable() {
    for restart in [false, true] {
        let place = Place::new(if restart { "off-restart" } else { "off" });
        let (on, off) = (format!("{HAT}{GAS}"), format!("{HAT}{GAS}{OFF}"));
        let mut publisher = place.start(&on);
        read(&mut publisher, "gas", 0x1001, BOTH);
        published(&mut publisher);
        let (shown, state) = (component(&publisher, 0x1001, "volume"), document(&publisher, Class::State, STATE));
        let switch = |mut publisher: Publisher, config: &str| {
            if restart {
                stop(publisher);
                return place.start(config);
            }
            publisher.reconfigure(place.config(config));
            publisher
        };
        let mut publisher = switch(publisher, &off);
        let sent = published(&mut publisher);
        publisher.forget_gone();
        assert!(sent.contains(&(AVAILABILITY.to_owned(), "offline".to_owned())), "{sent:?}");
        assert!(!sent.iter().any(|(_, payload)| payload.is_empty()), "nothing is taken back: {sent:?}");
        assert_eq!(component(&publisher, 0x1001, "volume"), shown);
        assert_eq!(document(&publisher, Class::State, STATE), state);
        assert!(publisher.meters().is_empty(), "it is not among those that are read");
        // one that was under way is delivered, and that is all
        assert!(matches!(publisher.readout(answer("gas", 0x1001, BOTH), None), Outcome::Taken(_)));
        assert_eq!(document(&publisher, Class::State, STATE), state);
        assert_eq!(publisher.outbox.get(Class::Availability, AVAILABILITY), Some(&b"offline"[..]));

        let mut publisher = switch(publisher, &on);
        read(&mut publisher, "gas", 0x1001, BOTH);
        assert_eq!(component(&publisher, 0x1001, "volume"), shown);
        assert_eq!(publisher.outbox.get(Class::Availability, AVAILABILITY), Some(&b"online"[..]));
        stop(publisher);
    }
}

#[test]
fn a_meter_that_was_switched_off_goes_like_any_other_when_its_table_does() {
    for restart in [false, true] {
        let place = Place::new(if restart { "off-gone-restart" } else { "off-gone" });
        let mut publisher = place.start(&format!("{HAT}{GAS}"));
        read(&mut publisher, "gas", 0x1001, BOTH);
        publisher.reconfigure(place.config(&format!("{HAT}{GAS}{OFF}")));
        published(&mut publisher);
        let mut publisher = if restart {
            stop(publisher);
            place.start(HAT)
        } else {
            publisher.reconfigure(place.config(HAT));
            publisher
        };
        let sent = published(&mut publisher);
        for gone in [&topic(0x1001), STATE, AVAILABILITY] {
            assert!(sent.contains(&(gone.to_owned(), String::new())), "{gone}: {sent:?}");
        }
        stop(publisher);
    }
}
