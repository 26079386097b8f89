//! Readouts of several telegrams: all of them, none twice, and an end.

use std::time::Duration;

use mbushat::mbus::address::MeterAddress;
use mbushat::mbus::application::security::Key;
use mbushat::mbus::master::readout::Turn;
use mbushat::sim::plan::{Content, Faults, FcbHandling, MeterPlan};

use super::{at, faulty, heat, segment};

/// Telegram `n` of a long readout: the energy of storage number `n`.
fn part(n: u8) -> Vec<u8> {
    vec![0x8C, n >> 1, 0x06, n, 0, 0, 0]
}

fn parts(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|n| part(2 * n)).collect()
}

#[test]
fn every_telegram_of_a_long_readout_is_read_in_every_turn() {
    for fcb in [FcbHandling::Strict, FcbHandling::Simple, FcbHandling::Advancing] {
        for count in [2, 3, 16] {
            let content = Content::Telegrams(parts(count));
            let mut bench = segment(vec![MeterPlan { content, fcb, ..heat(1) }]);
            for _ in 0..3 {
                let frames = bench.read(1).frames.expect("an answer");
                let values: Vec<u8> = frames.iter().map(|frame| frame[22]).collect();
                assert_eq!(values, (0..count).map(|n| 2 * n).collect::<Vec<_>>(), "{fcb:?}");
            }
        }
    }
}

#[test]
fn the_last_record_of_an_encrypted_telegram_is_seen_with_the_key_alone() {
    let key = Some(Key::new([7; 16]));
    let mut bench = segment(vec![MeterPlan { content: Content::Telegrams(parts(3)), key, ..heat(1) }]);
    let turn = Turn::new(MeterAddress::Primary(at(1)));
    let mut read = |key| bench.turn(Turn { key, ..turn.clone() }).frames.map(|frames| frames.len());
    assert_eq!(read(key), Ok(3));
    assert_eq!(read(key), Ok(3));
    assert_eq!(read(None), Ok(1), "nobody can tell that there is more");
}

#[test]
fn a_lost_telegram_is_asked_again_not_skipped() {
    let content = Content::Telegrams(parts(5));
    let faults = Faults { corrupt_per_mille: 5, drop_per_mille: 2, noise_per_mille: 200, ..Faults::default() };
    let late = Faults { late_per_mille: 150, late_by: Duration::from_millis(600), ..Faults::default() };
    for (fcb, faults) in [(FcbHandling::Strict, faults), (FcbHandling::Simple, faults), (FcbHandling::Strict, late)] {
        let mut bench = faulty(vec![MeterPlan { content: content.clone(), fcb, ..heat(1) }], faults, 11);
        let (mut whole, mut retries) = (0, 0);
        for _ in 0..100 {
            let over = bench.read(1);
            retries += over.traffic.retries;
            let Ok(frames) = over.frames else { continue };
            let values: Vec<u8> = frames.iter().map(|frame| frame[22]).collect();
            assert_eq!(values, [0, 2, 4, 6, 8], "{fcb:?}");
            whole += 1;
        }
        assert!(whole > 80 && retries > 20, "{whole} whole readouts, {retries} repeats");
    }
}

#[test]
fn a_meter_that_ignores_the_frame_count_bit_does_not_hold_up_the_bus() {
    let content = Content::Telegrams(parts(3));
    let mut bench = segment(vec![MeterPlan { content, fcb: FcbHandling::Ignored, ..heat(1) }]);
    let over = bench.read(1);
    assert_eq!(over.frames.map(|frames| frames.len()), Ok(1));
    assert_eq!(bench.read(1).traffic.sends, 1, "learnt");
}

#[test]
fn a_meter_that_never_ends_is_ended() {
    let ring = MeterPlan { content: Content::Endless(parts(3)), ..heat(1) };
    let mut bench = segment(vec![ring]);
    for _ in 0..2 {
        assert_eq!(bench.read(1).frames.map(|frames| frames.len()), Ok(3), "once round");
    }
    let many = MeterPlan { content: Content::Endless(parts(60)), ..heat(1) };
    assert_eq!(segment(vec![many]).read(1).frames.map(|frames| frames.len()), Ok(16));
}
