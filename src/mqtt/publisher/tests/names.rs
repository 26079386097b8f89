//! Names that a meter brings along in its plain texts, over its life.

use super::*;
use crate::measure::plain_text::MOST_NAMES;
use crate::spool::Memo;

/// A value under each of these names.
fn named(names: std::ops::Range<usize>) -> String {
    let record = |n: usize| {
        let characters: Vec<String> = format!("n{n:03}x").bytes().rev().map(|byte| format!("{byte:02X}")).collect();
        format!("01 7C 05 {} 07", characters.join(" "))
    };
    names.map(record).collect::<Vec<_>>().join(" ")
}

fn state(publisher: &Publisher) -> Vec<String> {
    let state = document(publisher, Class::State, "mbushat/gas/state");
    state.as_object().expect("an object").keys().filter(|key| key.starts_with('n')).cloned().collect()
}

#[test]
fn the_names_of_a_meter_are_counted_over_its_life_and_over_a_restart() {
    let place = Place::new("names");
    let config = format!("{HAT}{GAS}");
    let mut before = place.start(&config);
    for n in 0..10 {
        read(&mut before, "gas", 0x1001, &named(25 * n..25 * (n + 1)));
        assert_eq!(state(&before).len(), 25);
    }
    stop(before);
    let mut after = place.start(&config);
    read(&mut after, "gas", 0x1001, &named(245..265));
    let last = state(&after);
    assert_eq!((last.first(), last.last()), (Some(&"n245x".to_owned()), Some(&format!("n{}x", MOST_NAMES - 1))));
    read(&mut after, "gas", 0x2002, &named(300..320));
    published(&mut after);
    assert_eq!(state(&after).len(), 20, "another meter has names of its own");
    assert_eq!(after.spool.remembered(Memo::Names).map(|(_, names)| names.split(' ').count()).sum::<usize>(), 20);
    after.reconfigure(place.config(HAT));
    published(&mut after);
    after.forget_gone();
    assert_eq!(after.spool.remembered(Memo::Names).count(), 0);
}
