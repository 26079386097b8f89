//! Names that a meter brings along in its plain texts, and its keys, over its life.

use super::super::memory::MOST_KEYS;
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

/// A volume, and 25 of storages that no readout had before.
fn in_new_storages(readout: usize) -> String {
    let record = |n: usize| {
        let storage = 25 * readout + n + 1;
        // DIF with the lowest bit, then four bits in each DIFE
        let nibble = |place: usize| (storage >> (4 * place + 1)) & 0x0F;
        let difes: Vec<String> = (0..3).map(|place| format!("{:02X}", 0x80 | nibble(place))).collect();
        format!("{:02X} {} {:02X} 13 05", 0x81 | (storage & 1) << 6, difes.join(" "), nibble(3))
    };
    format!("{VOLUME} {}", (0..25).map(record).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_meter_whose_keys_are_new_each_time_is_kept_within_bounds_and_what_is_known_goes_on() {
    let place = Place::new("keys");
    let config = format!("{HAT}{GAS}");
    let mut publisher = place.start(&config);
    for readout in 0..MOST_KEYS / 25 + 3 {
        read(&mut publisher, "gas", 0x1001, &in_new_storages(readout));
    }
    assert_eq!(publisher.meters["gas"].units.len(), MOST_KEYS);
    let values = |publisher: &Publisher| publisher.meters["gas"].newest.as_ref().map(|newest| newest.values.len());
    assert_eq!(values(&publisher), Some(1), "the volume alone");
    stop(publisher);
    let mut after = place.start(&config);
    read(&mut after, "gas", 0x1001, &in_new_storages(500));
    assert_eq!((after.meters["gas"].units.len(), values(&after)), (MOST_KEYS, Some(1)), "over a restart too");
}
