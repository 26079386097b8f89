//! The end of a file of readings is lost, and others come behind it.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::super::super::{Notice, line};
use super::super::Spool;
use super::{Folder, all, work};
use crate::config::{Durability, Store};

/// Small, so that its files are: 8 KiB each.
fn open(folder: &Folder) -> Spool {
    let store = Store { max_size_bytes: 64 << 10, ..folder.store(Durability::Always) };
    Spool::open(&store, Instant::now()).expect("not in use")
}

/// Readings whose lines have about so many bytes.
fn take(spool: &mut Spool, count: u64, bytes: usize) -> Vec<u64> {
    let now = Instant::now();
    let pad = "x".repeat(bytes);
    let payload = |seq: u64| format!("{{\"seq\":{seq},\"pad\":\"{pad}\"}}");
    let taken = (0..count).map(|_| spool.append("meter", now, |_, seq| payload(seq))).collect();
    work(spool, now);
    taken
}

fn zero_behind(file: &Path, line: usize) {
    let mut bytes = fs::read(file).expect("there");
    let from: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(line).map(<[u8]>::len).sum();
    bytes[from..].fill(0);
    fs::write(file, bytes).expect("writable");
}

#[test]
fn the_next_file_is_whole_however_many_readings_would_have_had_room_in_the_damaged_one() {
    let folder = Folder::new("damaged-end");
    let mut spool = open(&folder);
    let small = take(&mut spool, 60, 10);
    let mut large = Vec::new();
    while folder.files("readings-").len() < 2 {
        large.extend(take(&mut spool, 1, 2000));
    }
    drop(spool);
    let (last, lost) = large.split_last().expect("at least one");
    zero_behind(&folder.files("readings-")[0], small.len());
    let mut spool = open(&folder);
    let notices = spool.notices();
    assert_eq!(all(&mut spool), [small, vec![*last]].concat(), "{notices:?}");
    let count = lost.len() as u64;
    assert!(notices.contains(&Notice::Lost { count, from: lost[0], to: last - 1 }), "{notices:?}");
}

#[test]
fn a_file_begun_again_is_not_measured_by_a_guess() {
    let folder = Folder::new("begun-again");
    let mut spool = open(&folder);
    let taken = take(&mut spool, 20, 10);
    drop(spool);
    let file = folder.files("readings-").remove(0);
    let again = file.with_file_name("readings-00000000000000000001-1.log");
    let whole = fs::read(&file).expect("there");
    let ten: usize = whole.split_inclusive(|byte| *byte == b'\n').take(10).map(<[u8]>::len).sum();
    fs::write(&again, &whole[..ten]).expect("writable");
    zero_behind(&file, 3);
    assert_eq!(all(&mut open(&folder)), taken[..10]);
}

#[test]
fn a_file_inside_a_damaged_one_is_deleted_only_if_nothing_of_it_is_missing_there() {
    for is_damaged in [false, true] {
        let folder = Folder::new(&format!("inside-{is_damaged}"));
        let mut spool = open(&folder);
        let taken = take(&mut spool, 20, 10);
        drop(spool);
        let file = folder.files("readings-").remove(0);
        let whole = fs::read(&file).expect("there");
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let inner = lines[9..12].concat();
        fs::write(file.with_file_name("readings-00000000000000000010.log"), &inner).expect("writable");
        if is_damaged {
            fs::write(&file, [lines[..10].concat(), lines[11..].concat()].concat()).expect("writable");
        }
        let left = all(&mut open(&folder)).len();
        assert_eq!(left, taken.len() - usize::from(is_damaged));
        let aside: Vec<_> = folder.files(".damaged-").iter().map(|file| fs::read(file).expect("there")).collect();
        assert_eq!(aside, if is_damaged { vec![inner] } else { Vec::new() });
    }
}

#[test]
fn a_good_sum_under_a_number_far_away_costs_that_line_alone() {
    for far in [2000_u64, 1_000_000_000_000_000] {
        let folder = Folder::new(&format!("far-{far}"));
        let mut spool = open(&folder);
        let taken = take(&mut spool, 20, 10);
        drop(spool);
        let file = folder.files("readings-").remove(0);
        let mut bytes = fs::read(&file).expect("there");
        line::write(&format!("{far} 3 meter {{\"seq\":{far}}}"), &mut bytes);
        fs::write(&file, &bytes).expect("writable");
        let start = Instant::now();
        let mut spool = open(&folder);
        let notices = spool.notices();
        assert_eq!(all(&mut spool), taken, "{notices:?}");
        assert!(!notices.iter().any(|notice| matches!(notice, Notice::Lost { .. })), "{notices:?}");
        assert!(notices.iter().any(|notice| matches!(notice, Notice::Damaged { kept: 20, bad: 1, .. })), "{notices:?}");
        assert!(start.elapsed().as_secs() < 5);
    }
}

#[test]
fn an_empty_file_before_one_with_a_far_number_is_not_counted_up_to_it() {
    let folder = Folder::new("far-name");
    let mut spool = open(&folder);
    take(&mut spool, 3, 10);
    drop(spool);
    let file = folder.files("readings-").remove(0);
    let mut bytes = Vec::new();
    line::write("1000000000000000 3 meter {\"seq\":1000000000000000,\"n\":1}", &mut bytes);
    fs::write(file.with_file_name("readings-00001000000000000000.log"), bytes).expect("writable");
    fs::write(&file, [0; 100]).expect("writable");
    assert_eq!(all(&mut open(&folder)), [1_000_000_000_000_000]);
}
