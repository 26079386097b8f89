//! A clean stop says what is lost with it.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use super::super::Spool;
use super::failing_disk::{FOLDER, FailingDisk};
use super::{Folder, take};
use crate::config::{Durability, Store};
use crate::spool::test_log::said;

/// What is logged while the spool is closed.
fn said_at_close(spool: Spool) -> String {
    said(|| spool.close(Instant::now()))
}

#[test]
fn what_was_never_written_because_the_store_never_opened_is_counted() {
    for (count, expected) in [(0, None), (7, Some("7 readings are lost"))] {
        let folder = Folder::new(&format!("stop-{count}"));
        fs::write(&folder.0, "no folder").expect("writable");
        let mut spool = folder.open(Durability::Outage);
        take(&mut spool, count, Instant::now());
        let said = said_at_close(spool);
        assert!(expected.map_or(said.is_empty(), |words| said.contains(words)), "{said}");
        fs::remove_file(&folder.0).expect("there");
    }
}

#[test]
fn so_is_what_a_full_disk_no_longer_takes() {
    let disk = Arc::new(FailingDisk::new(1));
    let store = Store { directory: FOLDER.into(), max_size_bytes: 1 << 20, durability: Durability::Outage };
    let mut spool = Spool::open_on(disk.clone(), &store, Instant::now()).expect("there is no other");
    take(&mut spool, 5, Instant::now());
    disk.state().is_full = true;
    let said = said_at_close(spool);
    assert!(said.contains("5 readings are lost"), "{said}");
}
