//! Readings that the broker did not take, and that a person has sent again.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::super::Notice;
use super::super::Spool;
use super::failing_disk::{FOLDER, FailingDisk};
use super::{Folder, all, take, work};
use crate::config::{Durability, Store};

#[test]
fn readings_set_aside_are_kept_until_they_are_sent_again_as_they_were() {
    let folder = Folder::new("aside");
    let mut spool = folder.open(Durability::Outage);
    let now = Instant::now();
    let taken = take(&mut spool, 3, now);
    assert!(spool.set_aside(taken[0], now) && spool.set_aside(taken[1], now));
    assert!(!spool.set_aside(99, now), "there is no such reading");
    spool.ack(3, now);
    spool.close(now);
    let mut spool = folder.open(Durability::Outage);
    assert_eq!((spool.count_aside(), spool.depth()), (2, 0));
    assert_eq!(spool.resend(now).expect("a disk that works"), 2);
    assert_eq!((spool.count_aside(), spool.depth(), spool.resend(now).expect("nothing is left")), (0, 2, 0));
    drop(spool);
    let mut spool = folder.open(Durability::Outage);
    let again: Vec<_> = std::iter::successors(spool.after(0, now), |entry| spool.after(entry.seq, now)).collect();
    let payloads: Vec<_> = again.iter().map(|entry| entry.payload.as_str()).collect();
    assert_eq!(payloads, ["{\"seq\":1,\"n\":0}", "{\"seq\":2,\"n\":1}"]);
    assert!(again[0].seq > 3 && again.iter().all(|entry| entry.meter == "meter"));
}

#[test]
fn the_numbers_that_sending_again_takes_are_announced() {
    for durability in [Durability::Outage, Durability::Always] {
        let folder = Folder::new("aside_numbers");
        let (mut spool, now) = (folder.open(durability), Instant::now());
        let taken = take(&mut spool, 3, now);
        work(&mut spool, now);
        assert!(spool.set_aside(taken[0], now) && spool.set_aside(taken[1], now));
        spool.ack(3, now);
        assert_eq!(spool.notices(), []);
        spool.resend(now).expect("a disk that works");
        let next = take(&mut spool, 1, now)[0];
        assert_eq!(spool.notices(), [Notice::Requeued { from: 4, to: next - 1 }], "{durability:?}");
        assert_eq!(spool.resend(now).expect("nothing is left"), 0);
        assert_eq!(spool.notices(), []);
    }
}

#[test]
fn what_is_set_aside_has_a_limit() {
    let folder = Folder::new("aside_limit");
    let mut spool = folder.open(Durability::Outage);
    let now = Instant::now();
    let large = "x".repeat(300 << 10);
    let seqs: Vec<_> = (0..5).map(|_| spool.append("meter", now, |_, _| large.clone())).collect();
    let kept: Vec<_> = seqs.iter().map(|&seq| spool.set_aside(seq, now)).collect();
    assert_eq!(kept, [true, true, true, true, false]);
    assert_eq!(spool.count_aside(), 4);
    assert_eq!(spool.unkept(now), Some((1, seqs[4], seqs[4])));
    let more: Vec<_> = (0..3).map(|_| spool.append("meter", now, |_, _| large.clone())).collect();
    for &seq in &more {
        assert!(!spool.set_aside(seq, now));
        assert_eq!(spool.unkept(now), None, "one line for many");
    }
    assert_eq!(spool.unkept(now + Duration::from_secs(61)), Some((3, more[0], more[2])));
}

fn on(disk: &Arc<FailingDisk>) -> Spool {
    let store = Store { directory: FOLDER.into(), max_size_bytes: 1 << 20, durability: Durability::Outage };
    Spool::open_on(disk.clone(), &store, Instant::now()).expect("there is no other")
}

/// A store on it that has set two readings aside.
fn with_two(disk: &Arc<FailingDisk>) -> Spool {
    let (mut spool, now) = (on(disk), Instant::now());
    let taken = take(&mut spool, 2, now);
    assert!(taken.iter().all(|seq| spool.set_aside(*seq, now)));
    spool.ack(2, now);
    spool
}

#[test]
fn on_a_full_disk_they_stay_set_aside_and_are_not_queued_however_often_it_is_tried() {
    let disk = Arc::new(FailingDisk::new(1));
    let (mut spool, mut now) = (on(&disk), Instant::now());
    let taken = take(&mut spool, 3, now);
    assert!(spool.set_aside(taken[0], now) && spool.set_aside(taken[1], now));
    spool.ack(2, now);
    disk.state().is_full = true;
    for _ in 0..3 {
        spool.resend(now).expect_err("there is no room");
        assert_eq!((spool.count_aside(), spool.depth(), all(&mut spool)), (2, 1, vec![3]));
        now += Duration::from_secs(60);
    }
    disk.state().is_full = false;
    assert_eq!(spool.resend(now).expect("there is room"), 2);
    assert_eq!((spool.count_aside(), spool.depth()), (0, 3));
}

#[test]
fn what_was_set_aside_is_there_after_a_power_cut() {
    for seed in 0..50 {
        let disk = Arc::new(FailingDisk::new(seed));
        let _spool = with_two(&disk);
        disk.state().cut_power();
        assert_eq!(on(&disk).count_aside(), 2, "{seed}");
    }
}

#[test]
fn what_could_not_be_synced_is_not_set_aside() {
    let disk = Arc::new(FailingDisk::new(1));
    let (mut spool, now) = (on(&disk), Instant::now());
    let taken = take(&mut spool, 1, now);
    disk.state().sync_fails = true;
    assert!(!spool.set_aside(taken[0], now));
    disk.state().sync_fails = false;
    assert_eq!(spool.count_aside(), 0);
}

#[test]
fn a_power_cut_right_after_loses_none() {
    for seed in 0..50 {
        let disk = Arc::new(FailingDisk::new(seed));
        let mut spool = with_two(&disk);
        assert_eq!(spool.resend(Instant::now()).expect("a disk that works"), 2);
        disk.state().cut_power();
        let spool = on(&disk);
        assert!(spool.count_aside() + spool.depth() >= 2, "{seed}");
    }
}

#[test]
fn a_line_that_is_not_understood_stays_under_another_name() {
    let folder = Folder::new("aside_damaged");
    let (mut spool, now) = (folder.open(Durability::Outage), Instant::now());
    let taken = take(&mut spool, 2, now);
    assert!(taken.iter().all(|seq| spool.set_aside(*seq, now)));
    spool.ack(2, now);
    let file = &folder.files("aside.log")[0];
    let mut bytes = fs::read(file).expect("there");
    bytes[12] ^= 1;
    fs::write(file, &bytes).expect("writable");
    assert_eq!(spool.resend(now).expect("a disk that works"), 1);
    work(&mut spool, now);
    assert_eq!(folder.files("aside.log").len(), 1);
    assert_eq!(fs::read(&folder.files("aside.log.damaged-1")[0]).expect("kept"), bytes);
    assert_eq!(spool.count_aside(), 0);
}

#[test]
fn numbers_given_back_count_as_lost_in_no_file() {
    let disk = Arc::new(FailingDisk::new(1));
    let (mut spool, mut now) = (on(&disk), Instant::now());
    let mut taken = take(&mut spool, 1, now);
    assert!(spool.set_aside(taken[0], now));
    spool.ack(1, now);
    taken = take(&mut spool, 1, now);
    disk.state().is_full = true;
    spool.resend(now).expect_err("there is no room");
    disk.state().is_full = false;
    taken.extend(take(&mut spool, 1, now));
    assert!(taken[1] > taken[0] + 1, "there is a gap");
    now += Duration::from_secs(60);
    work(&mut spool, now);
    drop(spool);
    let mut spool = on(&disk);
    let said = spool.notices();
    assert_eq!(all(&mut spool), taken);
    assert!(!said.iter().any(|notice| matches!(notice, Notice::Lost { .. } | Notice::Damaged { .. })), "{said:?}");
}
