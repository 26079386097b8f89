//! The disk is gone, or was, or is not what it should be.

use std::fs;
use std::time::{Duration, Instant};

use super::super::super::{Memo, Notice};
use super::super::Spool;
use super::failing_disk::{FOLDER, FailingDisk};
use super::{Folder, all, take, work};
use crate::config::{Durability, Store};

#[test]
fn a_store_that_cannot_be_opened_is_tried_again_and_what_was_in_memory_comes_behind_what_it_holds() {
    let folder = Folder::new("late");
    let mut spool = folder.open(Durability::Outage);
    let old = take(&mut spool, 10, Instant::now());
    spool.remember(Memo::Unit, "a/energy", "Wh", Instant::now());
    spool.remember(Memo::Unit, "a/volume", "m³", Instant::now());
    spool.close(Instant::now());
    let elsewhere = folder.0.with_extension("elsewhere");
    fs::rename(&folder.0, &elsewhere).expect("there");
    fs::write(&folder.0, "no folder").expect("writable");
    let mut now = Instant::now();
    let mut spool = folder.open(Durability::Outage);
    assert!(matches!(spool.notices()[..], [Notice::Trouble { .. }]));
    spool.remember(Memo::Unit, "a/energy", "kWh", now);
    let epoch = spool.epoch().to_owned();
    let in_memory = take(&mut spool, 3, now);
    assert_eq!(all(&mut spool), in_memory, "nothing is stopped");
    spool.ack(in_memory[0], now);
    work(&mut spool, now + Duration::from_secs(29));
    assert!(spool.notices().is_empty(), "it is too early");
    fs::remove_file(&folder.0).expect("there");
    fs::rename(&elsewhere, &folder.0).expect("there");
    now += Duration::from_secs(31);
    assert!(spool.wake_at().is_some_and(|at| at <= now));
    work(&mut spool, now);
    let notices = spool.notices();
    assert!(notices.contains(&Notice::Opened { waiting: 12 }) && notices.contains(&Notice::Recovered), "{notices:?}");
    assert_ne!(spool.epoch(), epoch);
    let units: Vec<_> = spool.remembered(Memo::Unit).collect();
    assert_eq!(units, [("a/energy", "kWh"), ("a/volume", "m³")], "what was remembered meanwhile is newer");
    let mut seq = spool.cursor();
    let out: Vec<String> = std::iter::from_fn(|| {
        let entry = spool.after(seq, now)?;
        seq = entry.seq;
        Some(entry.payload)
    })
    .collect();
    assert!(out[0].contains("\"seq\":1,") && out[10].contains("\"seq\":2,"), "the old ones first: {out:?}");
    assert_eq!(out.len(), old.len() + 2);
    drop(spool);
    let mut spool = folder.open(Durability::Outage);
    assert_eq!(spool.depth(), 12, "all of it is on disk now");
    assert!(take(&mut spool, 1, now)[0] > seq);
}

#[test]
fn a_store_that_is_removed_while_the_agent_runs_is_made_again_and_what_is_gone_is_counted() {
    let folder = Folder::new("removed");
    let mut spool = folder.open(Durability::Outage);
    let mut now = Instant::now();
    let taken = take(&mut spool, 100, now);
    spool.ack(taken[9], now);
    now += Duration::from_secs(2);
    work(&mut spool, now);
    fs::remove_dir_all(&folder.0).expect("there");
    let later = take(&mut spool, 5, now);
    now += Duration::from_secs(2);
    work(&mut spool, now);
    let said = [Notice::Gone { files: 1 }, Notice::Lost { count: 90, from: taken[10], to: taken[99] }];
    assert_eq!(spool.notices(), said);
    assert_eq!(all(&mut spool), later);
    assert_eq!((folder.files("readings-").len(), folder.files("numbers").len()), (1, 1), "made again");
    let second = Spool::open(&folder.store(Durability::Outage), now);
    assert!(second.is_err(), "and locked again");
}

#[test]
fn what_another_program_adds_to_a_file_of_readings_stays_and_costs_none() {
    let folder = Folder::new("added");
    let (mut spool, mut now) = (folder.open(Durability::Outage), Instant::now());
    let mut taken = take(&mut spool, 5, now);
    now += Duration::from_secs(2);
    work(&mut spool, now);
    let file = folder.files("readings-").remove(0);
    let with_note = [fs::read(&file).expect("there"), b"a note\n".to_vec()].concat();
    fs::write(&file, &with_note).expect("writable");
    taken.extend(take(&mut spool, 5, now));
    now += Duration::from_secs(2);
    work(&mut spool, now);
    assert_eq!(all(&mut spool), taken);
    assert_eq!(fs::read(&file).expect("there"), with_note);
}

#[test]
fn a_disk_works_again_only_when_it_has_what_came_out_in_need() {
    let disk = std::sync::Arc::new(FailingDisk::new(1));
    let store = Store { directory: FOLDER.into(), max_size_bytes: 1 << 20, durability: Durability::Always };
    let mut spool = Spool::open_on(disk.clone(), &store, Instant::now()).expect("there is no other");
    let mut now = Instant::now();
    disk.state().one_in = 1;
    let mut taken = take(&mut spool, 1, now);
    assert_eq!(all(&mut spool), taken, "in need");
    disk.state().one_in = 0;
    now += Duration::from_secs(31);
    let syncing = spool.work(now).expect("something to sync");
    taken.extend(take(&mut spool, 1, now));
    assert_eq!(all(&mut spool), taken, "in need still");
    spool.notices();
    spool.done(syncing.run(), now);
    assert_eq!(spool.notices(), [], "the second one is not synced");
    work(&mut spool, now);
    assert_eq!(spool.notices(), [Notice::Recovered]);
}

#[test]
fn a_pipe_in_the_place_of_a_file_keeps_nothing_waiting() {
    for name in ["numbers", "memos", "lock", "aside.log", "readings-00000000000000000001.log"] {
        let folder = Folder::new(&format!("pipe-{name}"));
        fs::create_dir_all(&folder.0).expect("a folder");
        // without a child process, which would hold other tests' locks for a moment
        let mode = rustix::fs::Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(rustix::fs::CWD, folder.0.join(name), rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
        let mut spool = folder.open(Durability::Always);
        let taken = take(&mut spool, 2, Instant::now());
        work(&mut spool, Instant::now());
        _ = spool.set_aside(taken[0], Instant::now());
        assert_eq!(all(&mut spool), taken, "{name}");
        spool.close(Instant::now());
    }
}

#[test]
fn what_a_killed_process_wrote_is_synced_before_it_counts() {
    let disk = std::sync::Arc::new(FailingDisk::new(1));
    let store = Store { directory: FOLDER.into(), max_size_bytes: 1 << 20, durability: Durability::Outage };
    let open = || Spool::open_on(disk.clone(), &store, Instant::now()).expect("there is no other");
    let (mut spool, now) = (open(), Instant::now());
    let taken = take(&mut spool, 20, now);
    assert!(spool.work(now + Duration::from_secs(2)).is_some(), "written, and killed before it is synced");
    drop(spool);
    drop(open());
    disk.state().cut_power();
    assert_eq!(all(&mut open()), taken);
}
