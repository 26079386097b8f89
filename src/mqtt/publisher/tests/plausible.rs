//! What becomes of a total that cannot be, for those who are subscribed.

use super::*;

/// Cubic metres in eight digits, so 10 steps of the last digit are 0.01.
fn volume(litres: u32) -> String {
    let digits: String = format!("{litres:08}");
    let bytes: Vec<&str> = (0..4).rev().filter_map(|n| digits.get(2 * n..2 * n + 2)).collect();
    format!("0C 13 {}", bytes.join(" "))
}

/// The next readout, so many seconds later: the reading's measurement, and the value in the state.
fn says(publisher: &mut Publisher, litres: u32, after: u64) -> Option<(Value, Value)> {
    publisher.now += Duration::from_secs(after);
    let Outcome::Taken(reading) = publisher.readout(answer("gas", 0x1001, &volume(litres)), None) else { return None };
    let reading: Value = serde_json::from_str(&reading).expect("JSON");
    let state = document(publisher, Class::State, "mbushat/gas/state");
    let of = |field: &str| reading["measurements"][0][field].clone();
    Some((json!([of("value"), of("held")]), state["volume"].clone()))
}

fn events(publisher: &mut Publisher) -> Vec<String> {
    let events = published(publisher).into_iter().filter(|(topic, _)| topic == "mbushat/bridge/event");
    events.map(|(_, event)| event.split(r#","at""#).next().unwrap_or_default().to_owned()).collect()
}

const FELL: &str = r#"{"event":"counter_fell","meter":"gas","key":"volume","from":100,"to":0.001,"unit":"m³""#;

#[test]
fn a_deep_fall_is_held_and_asked_for_once_more_a_minute_later() {
    let place = Place::new("held");
    let mut publisher = place.start(&format!("[mqtt]\nvalue_topics = true\n{HAT}{GAS}"));
    assert_eq!(says(&mut publisher, 100_000, 0), Some((json!([100, null]), json!(100))));
    assert_eq!(says(&mut publisher, 0, 900), None, "read again at once");
    assert_eq!(says(&mut publisher, 0, 1), Some((json!([null, 0]), json!(100))));
    assert_eq!(publisher.outbox.get(Class::State, "mbushat/gas/value/volume"), Some(&b"100"[..]));
    assert_eq!(publisher.confirm_at(), Some(publisher.now + Duration::from_secs(60)));
    assert_eq!(publisher.due_to_confirm(), [""; 0]);
    publisher.now += Duration::from_secs(60);
    assert_eq!((publisher.due_to_confirm(), publisher.confirm_at()), (vec!["gas".to_owned()], None), "once");
    assert_eq!(events(&mut publisher), [""; 0]);
    assert_eq!(says(&mut publisher, 1, 1), Some((json!([0.001, null]), json!(0.001))));
    assert_eq!(events(&mut publisher), [FELL]);
}

#[test]
fn what_is_read_again_is_still_for_the_slot_of_the_first_reading() {
    let place = Place::new("slot");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    assert!(says(&mut publisher, 100_000, 0).is_some());
    let slot = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_781_700);
    let first = MeterReadout { due_at: Some(slot), ..answer("gas", 0x1001, &volume(1)) };
    assert_eq!(publisher.readout(first, None), Outcome::ReadAgain);
    let Outcome::Taken(reading) = publisher.readout(answer("gas", 0x1001, &volume(1)), None) else { panic!("taken") };
    assert!(reading.contains(r#""due_at":"2026-11-27T12:15:00Z""#), "{reading}");
}

#[test]
fn a_restart_while_a_value_is_held_holds_it_again() {
    let place = Place::new("held-restart");
    let config = format!("{HAT}{GAS}");
    for (to, event) in [(1, FELL.to_owned()), (99_999_999, FELL.replace("fell", "leapt").replace("0.001", "99999.999"))]
    {
        let mut before = place.start(&config);
        for n in 0..=10 {
            assert!(says(&mut before, 99_900 + 10 * n, 900).is_some());
        }
        assert_eq!(says(&mut before, to, 5), None);
        assert_eq!(says(&mut before, to, 1).expect("held").1, json!(100));
        stop(before);
        let mut after = place.start(&config);
        assert_eq!(document(&after, Class::State, "mbushat/gas/state")["volume"], json!(100), "{to}");
        assert_eq!(says(&mut after, to, 5), None);
        assert_eq!(says(&mut after, to, 1).expect("held").1, json!(100));
        assert!(says(&mut after, to, 60).is_some());
        assert_eq!(events(&mut after), [event]);
        stop(after);
        place.lose_the_store();
    }
}

#[test]
fn a_meter_or_a_rule_switches_it_off() {
    let rule = |plausible| format!("[[meter.record]]\nquantity = \"volume\"\nplausible = {plausible}\n");
    let off = "plausible = false\n";
    for (name, more, doubts) in [
        ("off-meter", off.to_owned(), false),
        ("off-rule", rule(false), false),
        ("on-rule", format!("{off}{}", rule(true)), true),
    ] {
        let place = Place::new(name);
        let mut publisher = place.start(&format!("{HAT}{GAS}{more}"));
        assert!(says(&mut publisher, 100_000, 0).is_some());
        assert_eq!(says(&mut publisher, 0, 900).is_none(), doubts, "{name}");
        assert_eq!(events(&mut publisher), [""; 0]);
    }
}

#[test]
fn what_is_known_of_the_rises_goes_with_the_meter() {
    let place = Place::new("held-swap");
    let mut publisher = place.start(&format!("{HAT}{GAS}"));
    let known = |publisher: &Publisher| publisher.spool.remembered(crate::spool::Memo::Rises).count();
    assert!(says(&mut publisher, 1, 0).is_some());
    assert!(says(&mut publisher, 2, 900).is_some());
    assert_eq!(known(&publisher), 1);
    read(&mut publisher, "gas", 0x2002, VOLUME);
    assert_eq!(known(&publisher), 0, "another one");
    assert!(says(&mut publisher, 3, 900).is_none(), "the first again, which is believed the second time");
    assert!(says(&mut publisher, 3, 1).is_some());
    assert!(says(&mut publisher, 4, 900).is_some());
    assert_eq!(known(&publisher), 1);
    publisher.reconfigure(place.config(HAT));
    published(&mut publisher);
    publisher.forget_gone();
    assert_eq!(known(&publisher), 0, "no longer configured");
}
