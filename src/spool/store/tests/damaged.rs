//! Files with turned bits, without their end, or with numbers that cannot be.

use std::fs;
use std::time::Instant;

use super::super::super::{Memo, Notice, line};
use super::{Folder, all, take, work};
use crate::config::Durability;

#[test]
fn a_turned_bit_or_a_cut_costs_its_lines_alone_and_the_file_is_kept() {
    let folder = Folder::new("damage");
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 40).expect("small")
    };
    for round in 0..40 {
        _ = fs::remove_dir_all(&folder.0);
        let mut spool = folder.open(Durability::Always);
        take(&mut spool, 200, Instant::now());
        spool.close(Instant::now());
        let file = folder.files("readings-").remove(0);
        let mut bytes = fs::read(&file).expect("readable");
        if round % 2 == 0 {
            let at = random() % bytes.len();
            bytes[at] ^= 1 << (random() % 8);
        } else {
            bytes.truncate(bytes.len() - 1 - random() % 100);
        }
        fs::write(&file, &bytes).expect("writable");
        let mut spool = folder.open(Durability::Always);
        let kept = all(&mut spool);
        assert!(kept.len() >= 195, "round {round}: {} of 200", kept.len());
        let notices = spool.notices();
        let [Notice::Damaged { kept: good, .. }, rest @ ..] = &notices[..] else {
            panic!("round {round}: {notices:?}")
        };
        let lost = rest.iter().map(|notice| match notice {
            Notice::Lost { count, .. } => *count,
            other => panic!("round {round}: {other:?}"),
        });
        let lost: u64 = lost.sum();
        let gone = 200 - kept.len() as u64;
        assert!(lost == gone || (round % 2 == 1 && (1..=gone + 1).contains(&lost)), "round {round}: {notices:?}");
        assert_eq!(*good, kept.len() as u64);
        assert_eq!(take(&mut spool, 1, Instant::now()), [201], "round {round}: numbers go on");
        spool.ack(201, Instant::now());
        take(&mut spool, 1, Instant::now());
        spool.ack(202, Instant::now());
        let aside = folder.files(".damaged-");
        assert_eq!(fs::read(&aside[0]).expect("kept"), bytes, "nothing of a damaged file is deleted");
    }
}

#[test]
fn a_crash_and_damage_together_never_lead_to_a_number_used_before() {
    // cut before and behind what the file of numbers knows
    for (later, cut) in [(0, 2), (300, 5)] {
        let folder = Folder::new(&format!("crash-damage-{later}"));
        let mut spool = folder.open(Durability::Always);
        for count in [100, later] {
            take(&mut spool, count, Instant::now());
            work(&mut spool, Instant::now());
        }
        assert_eq!(all(&mut spool).len() as u64, 100 + later, "all are published");
        drop(spool);
        let file = folder.files("readings-").remove(0);
        let mut bytes = fs::read(&file).expect("readable");
        bytes.truncate(bytes.len() - bytes.len() / cut);
        fs::write(&file, &bytes).expect("writable");
        let mut spool = folder.open(Durability::Always);
        let next = take(&mut spool, 1, Instant::now())[0];
        assert!(next > 100 + later, "{next}");
        let notices = spool.notices();
        let [Notice::UncleanStart { from, to }, Notice::Damaged { .. }, Notice::Lost { .. }] = notices[..] else {
            panic!("{notices:?}")
        };
        assert!(from > 100 && to == next - 1, "{from}..={to}");
    }
}

#[test]
fn a_cursor_beyond_all_readings_hides_none() {
    let folder = Folder::new("cursor");
    let mut spool = folder.open(Durability::Always);
    let taken = take(&mut spool, 10, Instant::now());
    work(&mut spool, Instant::now());
    let epoch = spool.epoch().to_owned();
    drop(spool);
    let mut numbers = Vec::new();
    line::write(&format!("epoch {epoch} next 11 bound 1011 counted cursor 50"), &mut numbers);
    fs::write(folder.0.join("numbers"), numbers).expect("writable");
    let mut spool = folder.open(Durability::Always);
    assert_eq!(spool.cursor(), taken[9]);
    let more = take(&mut spool, 1, Instant::now());
    work(&mut spool, Instant::now());
    assert_eq!((more[0], all(&mut spool)), (11, more));
}

#[test]
fn damaged_numbers_never_lead_to_a_number_used_before() {
    for damage in [&b""[..], b"garbage\n", b"00000000 epoch 0123456789abcdef next 5 bound 5 reserved cursor 1\n"] {
        let folder = Folder::new("numbers");
        let mut spool = folder.open(Durability::Outage);
        let before = take(&mut spool, 500, Instant::now());
        spool.ack(*before.last().expect("some"), Instant::now());
        spool.remember(Memo::Identity, "meter", "x", Instant::now());
        let epoch = spool.epoch().to_owned();
        spool.close(Instant::now());
        fs::write(folder.0.join("numbers"), damage).expect("writable");
        let mut spool = folder.open(Durability::Outage);
        assert_ne!(spool.epoch(), epoch, "{damage:?}");
        assert!(spool.notices().contains(&Notice::NewEpoch { epoch: spool.epoch().to_owned() }));
    }
}
