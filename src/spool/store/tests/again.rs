//! What failed is tried again when it is due: until then the spool wakes nobody for it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::super::Notice;
use super::super::{Spool, Step};
use super::failing_disk::{FOLDER, FailingDisk};
use super::{all, take, work};
use crate::config::{Durability, Store};

const DUE: Duration = Duration::from_secs(31);

fn on(disk: &Arc<FailingDisk>) -> Spool {
    let store = Store { directory: FOLDER.into(), max_size_bytes: 1 << 20, durability: Durability::Always };
    Spool::open_on(disk.clone(), &store, Instant::now()).expect("there is no other")
}

/// When it wakes next, after it has worked.
fn wakes(spool: &mut Spool, now: Instant) -> Option<Instant> {
    work(spool, now);
    spool.wake_at()
}

#[test]
fn reading_is_tried_again_though_nobody_asks_for_a_reading() {
    let disk = Arc::new(FailingDisk::new(1));
    let (mut spool, mut now) = (on(&disk), Instant::now());
    let taken = take(&mut spool, 3, now);
    work(&mut spool, now);
    disk.state().no_memory = true;
    assert_eq!(spool.after(0, now), None);
    now += DUE;
    let next = wakes(&mut spool, now);
    assert!(next.is_some_and(|at| at > now), "it would wake at once, for ever");
    spool.notices();
    disk.state().no_memory = false;
    now += DUE;
    assert!(wakes(&mut spool, now).is_none_or(|at| at > now));
    assert_eq!((spool.notices(), all(&mut spool)), (vec![Notice::Recovered], taken));
}

#[test]
fn deleting_is_tried_again_while_writing_must_wait() {
    let disk = Arc::new(FailingDisk::new(1));
    let (mut spool, mut now) = (on(&disk), Instant::now());
    spool.fail(Step::Delete, &io::ErrorKind::Other.into(), now);
    now += DUE / 2;
    spool.fail(Step::Write, &io::ErrorKind::Other.into(), now);
    now += DUE / 2;
    let next = wakes(&mut spool, now);
    assert!(next.is_some_and(|at| at > now), "it would wake at once until writing is due");
}
