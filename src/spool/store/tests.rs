//! The spool over restarts, crashes and damage. A crash is a spool that is dropped instead of closed:
//! what was written is in the file, what was not is lost.

mod again;
mod any_order;
mod aside;
mod damaged;
mod damaged_end;
mod failing_disk;
mod returning;
mod stop;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::numbers::BLOCK;
use super::super::{Memo, Notice};
use super::{MEMORY_BYTES, Spool};
use crate::config::{Durability, Store};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mbushat-spool-{}-{name}", std::process::id()));
        _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn store(&self, durability: Durability) -> Store {
        Store { directory: self.0.clone(), max_size_bytes: 64 << 20, durability }
    }

    fn open(&self, durability: Durability) -> Spool {
        Spool::open(&self.store(durability), Instant::now()).expect("not in use")
    }

    fn files(&self, part: &str) -> Vec<PathBuf> {
        let names = fs::read_dir(&self.0).expect("a folder").map(|file| file.expect("a file").path());
        let mut files: Vec<_> = names.filter(|path| path.to_string_lossy().contains(part)).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn take(spool: &mut Spool, count: u64, now: Instant) -> Vec<u64> {
    (0..count).map(|n| spool.append("meter", now, |_, seq| format!("{{\"seq\":{seq},\"n\":{n}}}"))).collect()
}

fn work(spool: &mut Spool, now: Instant) {
    if let Some(work) = spool.work(now) {
        let outcome = work.run();
        spool.done(outcome, now);
    }
}

/// Every number that comes out, without acknowledging any.
fn all(spool: &mut Spool) -> Vec<u64> {
    let mut seq = spool.cursor();
    std::iter::from_fn(|| {
        let entry = spool.after(seq, Instant::now())?;
        assert!(entry.payload.starts_with(&format!("{{\"seq\":{},", entry.seq)), "{entry:?}");
        seq = entry.seq;
        Some(seq)
    })
    .collect()
}

#[test]
fn with_outage_a_prompt_broker_costs_no_write_and_a_slow_one_does() {
    let folder = Folder::new("outage");
    let mut spool = folder.open(Durability::Outage);
    let start = Instant::now();
    let taken = take(&mut spool, 3, start);
    work(&mut spool, start + Duration::from_millis(1400));
    assert!(folder.files("readings-").is_empty());
    spool.ack(taken[1], start);
    work(&mut spool, start + Duration::from_millis(1600));
    assert_eq!(folder.files("readings-").len(), 1);
    assert_eq!(all(&mut spool), [taken[2]]);
    spool.ack(taken[2], start);
    assert!(folder.files("readings-").is_empty(), "deleted once acknowledged");
}

#[test]
fn a_slow_sync_keeps_no_reading_from_the_disk() {
    let folder = Folder::new("slow");
    let mut spool = folder.open(Durability::Outage);
    let start = Instant::now();
    take(&mut spool, 1, start);
    let first = spool.work(start + Duration::from_millis(1600)).expect("a sync");
    take(&mut spool, 1, start + Duration::from_secs(2));
    assert!(spool.work(start + Duration::from_secs(4)).is_none(), "one at a time");
    assert_eq!(spool.wake_at(), None, "nothing to do before it ends");
    drop(spool);
    assert_eq!(all(&mut folder.open(Durability::Outage)).len(), 2, "both are in the file");
    first.run().synced.expect("still there");
}

#[test]
fn with_always_nothing_comes_out_before_it_is_on_disk() {
    let folder = Folder::new("always");
    let mut spool = folder.open(Durability::Always);
    let now = Instant::now();
    let taken = take(&mut spool, 3, now);
    assert!(all(&mut spool).is_empty(), "not synced yet");
    work(&mut spool, now);
    assert_eq!(all(&mut spool), taken);
}

#[test]
fn a_clean_stop_keeps_every_reading_and_the_exact_next_number() {
    for durability in [Durability::Outage, Durability::Always] {
        let folder = Folder::new(&format!("clean-{durability:?}"));
        let mut expected = Vec::new();
        for round in 0..5 {
            let mut spool = folder.open(durability);
            assert_eq!(spool.notices(), []);
            assert_eq!(all(&mut spool), expected, "round {round}");
            expected.extend(take(&mut spool, 10, Instant::now()));
            assert_eq!(expected.last(), Some(&((round + 1) * 10)), "no gap");
            spool.ack(expected[3], Instant::now());
            expected.drain(..4);
            spool.close(Instant::now());
        }
    }
}

#[test]
fn with_always_a_crash_loses_nothing_and_leaves_no_gap() {
    let folder = Folder::new("crash-always");
    let mut expected = Vec::new();
    for round in 0..20 {
        let mut spool = folder.open(Durability::Always);
        assert_eq!(spool.notices(), []);
        // what was acknowledged may come once more, nothing else is missing
        let out = all(&mut spool);
        assert!(expected.iter().all(|seq| out.contains(seq)), "round {round}: {out:?} lacks some of {expected:?}");
        let taken = take(&mut spool, 100, Instant::now());
        assert_eq!(taken[0], round * 100 + 1);
        work(&mut spool, Instant::now());
        expected.extend(taken);
        // all of it each other time: then only the file that is kept tells the next number
        let acked = if round % 2 == 0 { expected.len() / 2 } else { expected.len() - 1 };
        spool.ack(expected[acked], Instant::now());
        expected.drain(..=acked);
    }
}

#[test]
fn with_outage_a_crash_skips_reserved_numbers_and_says_which() {
    let folder = Folder::new("crash-outage");
    let mut used = BTreeSet::new();
    for round in 0..5_u64 {
        let mut spool = folder.open(Durability::Outage);
        let notices = spool.notices();
        let taken = take(&mut spool, BLOCK / 2 + 700, Instant::now());
        if round > 0 {
            let [Notice::UncleanStart { from, to }] = notices[..] else { panic!("{notices:?}") };
            assert_eq!(to + 1, taken[0]);
            let last = *used.last().expect("used");
            assert!(to >= last && to - from < BLOCK, "{from}..={to} after {last}");
        }
        for seq in taken {
            assert!(used.last().is_none_or(|last| *last < seq), "{seq} is not above all before");
            used.insert(seq);
        }
    }
}

#[test]
fn a_backlog_on_disk_comes_out_in_order_and_is_deleted_as_it_is_acknowledged() {
    let folder = Folder::new("backlog");
    let mut spool = folder.open(Durability::Outage);
    let mut now = Instant::now();
    for _ in 0..50 {
        take(&mut spool, 1000, now);
        now += Duration::from_secs(3);
        work(&mut spool, now);
    }
    assert_eq!(spool.depth(), 50_000);
    assert!(spool.fresh.is_empty(), "memory is flat");
    let many = folder.files("readings-").len();
    assert!(many > 5, "{many}");
    drop(spool);
    let mut spool = folder.open(Durability::Outage);
    let out = all(&mut spool);
    assert_eq!(out, (1..=50_000).collect::<Vec<_>>());
    spool.ack(25_000, now);
    assert!(folder.files("readings-").len() <= many / 2 + 1);
    assert_eq!(spool.depth(), 25_000);
    spool.ack(50_000, now);
    assert_eq!((spool.depth(), folder.files("readings-").len()), (0, 0));
}

#[test]
fn a_full_store_drops_the_oldest_and_counts_them() {
    let folder = Folder::new("full");
    let store = Store { max_size_bytes: 100_000, ..folder.store(Durability::Outage) };
    let mut spool = Spool::open(&store, Instant::now()).expect("not in use");
    let mut now = Instant::now();
    for _ in 0..100 {
        take(&mut spool, 100, now);
        now += Duration::from_secs(3);
        work(&mut spool, now);
    }
    let bytes: u64 = folder.files("readings-").iter().map(|f| f.metadata().expect("a file").len()).sum();
    assert!(bytes <= 110_000, "{bytes}");
    let out = all(&mut spool);
    let mut dropped = 0;
    for notice in spool.notices() {
        let Notice::Dropped { count, from, to } = notice else { continue };
        assert_eq!((count, from), (to - from + 1, dropped + 1));
        dropped = to;
    }
    assert_eq!(out, (dropped + 1..=10_000).collect::<Vec<_>>(), "what was not dropped is there");
    assert!(out.len() > 1000);
}

#[test]
fn what_is_remembered_survives_and_an_empty_text_forgets() {
    let folder = Folder::new("memos");
    let mut spool = folder.open(Durability::Outage);
    let now = Instant::now();
    spool.remember(Memo::State, "a", "{\"x\":1}", now);
    spool.remember(Memo::Announcement, "a", "topic\n{}", now);
    spool.remember(Memo::Unit, "a/energy", "kWh", now);
    work(&mut spool, now + Duration::from_secs(11));
    drop(spool);
    let mut spool = folder.open(Durability::Outage);
    let list = |spool: &Spool, memo| spool.remembered(memo).map(|(n, t)| format!("{n}={t}")).collect::<Vec<_>>();
    assert_eq!(list(&spool, Memo::Announcement), ["a=topic\n{}"]);
    assert_eq!(list(&spool, Memo::Unit), ["a/energy=kWh"]);
    assert!(list(&spool, Memo::State).is_empty(), "states are written seldom");
    spool.remember(Memo::State, "a", "{\"x\":2}", now);
    spool.remember(Memo::Unit, "a/energy", "", now);
    spool.close(now);
    let spool = folder.open(Durability::Outage);
    assert_eq!(list(&spool, Memo::State), ["a={\"x\":2}"]);
    assert!(list(&spool, Memo::Unit).is_empty());
}

#[test]
fn who_an_agent_is_stays_with_its_store_and_is_made_at_each_start_without_one() {
    let folder = Folder::new("instance");
    let spool = folder.open(Durability::Outage);
    let instance = spool.instance().to_owned();
    assert!(instance.len() == 16 && instance.bytes().all(|digit| digit.is_ascii_hexdigit()), "{instance}");
    spool.close(Instant::now());
    assert_eq!(folder.open(Durability::Outage).instance(), instance);
    fs::remove_dir_all(&folder.0).expect("there");
    fs::write(&folder.0, "no folder").expect("writable");
    let mut spool = folder.open(Durability::Outage);
    let without = spool.instance().to_owned();
    assert!(without.len() == 16 && without != instance && folder.open(Durability::Outage).instance() != without);
    fs::remove_file(&folder.0).expect("there");
    work(&mut spool, Instant::now() + Duration::from_secs(31));
    assert_eq!(spool.instance(), without, "others know it by this one");
    spool.close(Instant::now());
    assert_eq!(folder.open(Durability::Outage).instance(), without);
}

#[test]
fn a_store_that_is_no_folder_is_said_once_and_readings_stay_in_memory() {
    let folder = Folder::new("no-folder");
    fs::create_dir_all(&folder.0).expect("a folder");
    let file = folder.0.join("file");
    fs::write(&file, "x").expect("writable");
    let store = Store { directory: file.join("store"), ..folder.store(Durability::Always) };
    let mut spool = Spool::open(&store, Instant::now()).expect("no lock");
    let taken = take(&mut spool, 100, Instant::now());
    work(&mut spool, Instant::now());
    assert_eq!(all(&mut spool), taken);
    assert!(matches!(spool.notices()[..], [Notice::Trouble { .. }]));
    take(&mut spool, 100_000, Instant::now());
    assert!(spool.fresh_bytes <= MEMORY_BYTES, "bounded: {}", spool.fresh_bytes);
    assert!(matches!(spool.notices().first(), Some(Notice::Dropped { from, .. }) if *from == taken[0]));
}

#[test]
fn two_agents_never_share_a_store() {
    let folder = Folder::new("lock");
    let _first = folder.open(Durability::Outage);
    let second = Spool::open(&folder.store(Durability::Outage), Instant::now());
    assert!(second.err().is_some_and(|error| error.to_string().contains("in use")));
}
