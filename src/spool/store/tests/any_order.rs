//! The promises of the module's page, whatever fails: random operations on a disk that fails at random
//! steps, against a model of what was taken, what came out and what must still be there.
//!
//! `MBUSHAT_SPOOL_RUNS=20000 cargo test --release --lib any_order -- --nocapture` runs it for longer and
//! prints how much was tried.

mod blows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::super::disk::DiskWork;
use super::super::super::{Memo, Notice};
use super::super::{MEMORY_BYTES, Spool};
use super::failing_disk::{FOLDER, FailingDisk, Random};
use crate::config::{Durability, Store};

/// What may happen in a run.
#[derive(Clone, Copy, Debug)]
struct Kind {
    durability: Durability,
    reads_fail: bool,
    /// Files are damaged and removed.
    harm: bool,
    max_size_bytes: u64,
}

struct Run {
    kind: Kind,
    disk: Arc<FailingDisk>,
    random: Random,
    now: Instant,
    spool: Option<Spool>,
    pending: Option<DiskWork>,
    /// Epoch and number that each reading came out with.
    came_out: HashMap<(String, u64), u64>,
    identities: HashMap<u64, (String, u64)>,
    highest: HashMap<String, u64>,
    taken: u64,
    acked: BTreeSet<u64>,
    /// Must come out, whatever happens.
    promised: BTreeSet<u64>,
    /// Harm hit their lines: the store may still give them from memory, but no promise holds.
    hit: BTreeSet<u64>,
    /// Sent on this connection: the place in the store, and what it is.
    sent: u64,
    last_id: Option<u64>,
    on_the_way: Vec<(u64, u64)>,
    in_trouble: bool,
    /// Came out although a failing disk had not synced them: the disk may have them under another number.
    in_need: BTreeSet<u64>,
    /// Readings of before this start: a sync of them that failed then is not known now.
    old_below: u64,
    /// Counted as lost or dropped, over all lives.
    counted: u64,
    /// What the depth should be: exact within a life.
    depth: u64,
    harmed: BTreeMap<String, Vec<u8>>,
    damage_said: BTreeSet<String>,
    operations: BTreeMap<&'static str, u64>,
}

impl Run {
    fn new(seed: u64, kind: Kind) -> Self {
        let disk = Arc::new(FailingDisk::new(seed.wrapping_mul(77)));
        disk.state().reads_fail = kind.reads_fail;
        let mut run = Self {
            kind,
            disk,
            random: Random(seed),
            now: Instant::now(),
            spool: None,
            pending: None,
            came_out: HashMap::new(),
            identities: HashMap::new(),
            highest: HashMap::new(),
            taken: 0,
            acked: BTreeSet::new(),
            promised: BTreeSet::new(),
            hit: BTreeSet::new(),
            sent: 0,
            last_id: None,
            on_the_way: Vec::new(),
            in_trouble: false,
            in_need: BTreeSet::new(),
            old_below: 0,
            counted: 0,
            depth: 0,
            harmed: BTreeMap::new(),
            damage_said: BTreeSet::new(),
            operations: BTreeMap::new(),
        };
        run.open();
        run
    }

    fn spool(&mut self) -> &mut Spool {
        self.spool.as_mut().expect("it is open")
    }

    fn open(&mut self) {
        let Kind { durability, max_size_bytes, .. } = self.kind;
        let store = Store { directory: PathBuf::from(FOLDER), max_size_bytes, durability };
        let mut spool = Spool::open_on(self.disk.clone(), &store, self.now).expect("there is no other");
        self.in_trouble = false;
        let notices = spool.notices();
        self.spool = Some(spool);
        self.hear(notices);
        self.depth = self.spool().depth();
        self.old_below = self.spool().next;
        self.reconnect();
    }

    fn reconnect(&mut self) {
        self.sent = self.spool().cursor();
        self.last_id = None;
        self.on_the_way.clear();
    }

    fn listen(&mut self) {
        let notices = self.spool().notices();
        self.hear(notices);
    }

    fn hear(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Dropped { count, .. } | Notice::Lost { count, .. } => {
                    self.counted += count;
                    self.depth = self.depth.wrapping_sub(count);
                }
                Notice::Trouble { .. } => self.in_trouble = true,
                Notice::Recovered => self.in_trouble = false,
                Notice::Opened { waiting } => {
                    self.depth = waiting;
                    self.old_below = self.spool().next;
                    self.reconnect();
                }
                Notice::Damaged { file, .. } => {
                    _ = self.damage_said.insert(file.file_name().expect("a name").to_string_lossy().into_owned());
                }
                Notice::UncleanStart { .. }
                | Notice::Requeued { .. }
                | Notice::NewEpoch { .. }
                | Notice::Gone { .. } => {}
            }
        }
    }

    fn append(&mut self, count: u64) {
        for _ in 0..count {
            let (id, now) = (self.taken, self.now);
            self.taken += 1;
            self.depth += 1;
            let mut given = None;
            let seq = self.spool().append("meter", now, |epoch, seq| {
                given = Some((epoch.to_owned(), seq));
                format!("{epoch} {seq} {id}")
            });
            let (epoch, number) = given.expect("a number");
            assert_eq!(seq, number);
            let highest = self.highest.get(&epoch).copied().unwrap_or(0);
            assert!(number > highest, "{number} of {epoch} is given after {highest} came out");
            if self.random.one_in(10) {
                let state = format!("{{\"x\":{id},\"seq\":{seq}}}");
                self.spool().remember(Memo::State, "meter", &state, now);
                self.spool().remember(Memo::Unit, &format!("meter/{}", id % 7), &format!("unit{id}"), now);
            }
        }
        self.listen();
    }

    /// Sends what may go, as the outbox does.
    fn send(&mut self, most: u64) {
        for _ in 0..most {
            let (sent, now) = (self.sent, self.now);
            let entry = self.spool().after(sent, now);
            self.listen();
            let Some(entry) = entry else { return };
            assert!(entry.seq > sent);
            let words: Vec<&str> = entry.payload.split(' ').collect();
            let [epoch, number, id] = words.as_slice() else { panic!("{entry:?}") };
            let (number, id): (u64, u64) = (number.parse().expect("a number"), id.parse().expect("a number"));
            let identity = ((*epoch).to_owned(), number);
            let other = *self.came_out.entry(identity.clone()).or_insert(id);
            assert_eq!(other, id, "{identity:?} came out as two readings");
            let before = self.identities.entry(id).or_insert_with(|| identity.clone());
            // damage may bring an older copy of it to light
            if *before != identity && (self.in_need.contains(&id) || self.kind.harm) {
                before.clone_from(&identity);
            }
            assert_eq!(*before, identity, "reading {id} came out with two numbers");
            if self.kind.durability == Durability::Always && self.in_trouble {
                self.in_need.insert(id);
            }
            assert!(self.last_id.is_none_or(|last| last < id), "{id} comes out after {:?}", self.last_id);
            self.last_id = Some(id);
            let highest = self.highest.entry(identity.0).or_default();
            *highest = number.max(*highest);
            self.sent = entry.seq;
            self.on_the_way.push((entry.seq, id));
            if self.kind.durability == Durability::Always && !self.in_trouble && entry.seq >= self.old_below {
                self.promised.insert(id);
            }
        }
    }

    fn ack(&mut self, most: usize) {
        for (seq, id) in self.on_the_way.drain(..most.min(self.on_the_way.len())).collect::<Vec<_>>() {
            let now = self.now;
            let before = self.spool().depth();
            self.spool().ack(seq, now);
            let gone = before - self.spool().depth();
            // one that cannot be read any more while it is on the way was counted as lost already
            assert!(gone == 1 || (gone == 0 && self.counted > 0), "one was acknowledged, not {gone}");
            self.depth -= gone;
            self.acked.insert(id);
            self.promised.remove(&id);
        }
        self.listen();
    }

    fn work(&mut self) {
        let now = self.now;
        let work = self.spool().work(now);
        assert!(work.is_none() || self.pending.is_none(), "one at a time");
        self.pending = self.pending.take().or(work);
        self.listen();
    }

    fn finish_work(&mut self) {
        if let Some(work) = self.pending.take() {
            let (outcome, now) = (work.run(), self.now);
            self.spool().done(outcome, now);
            self.listen();
        }
    }

    /// Everything due is done: what is in the store now must survive.
    fn settle(&mut self) {
        self.finish_work();
        self.now += Duration::from_secs(2);
        self.work();
        self.finish_work();
        let holds = self.depth;
        if self.spool().disk.is_some() {
            assert_eq!(self.spool().depth(), holds, "taken = delivered + waiting + counted");
        }
        if self.in_trouble {
            return;
        }
        let from = self.spool().cursor();
        let (mut seq, now) = (from, self.now);
        while let Some(entry) = self.spool().after(seq, now) {
            seq = entry.seq;
            if seq < self.old_below {
                continue;
            }
            let id = entry.payload.rsplit(' ').next().and_then(|id| id.parse().ok()).expect("a number");
            self.promised.insert(id);
        }
        self.listen();
        self.reconnect();
    }

    fn step(&mut self) {
        let most = self.random.below(30);
        let (name, _): (&str, ()) = match self.random.below(100) {
            0..30 => ("append", self.append(most / 6 + 1)),
            30..32 => ("append many", self.append(most * 20)),
            32..50 => ("after", self.send(most)),
            50..62 => ("ack", self.ack(usize::try_from(most).expect("small"))),
            62..72 => ("work", self.work()),
            72..82 => ("done", self.finish_work()),
            82..86 => ("settle", self.settle()),
            86..91 => ("time", self.now += Duration::from_millis(most * most * 50)),
            91..93 => ("restart", self.restart()),
            93..96 => ("crash", self.crash()),
            96..98 => ("faults", self.change_faults()),
            _ if self.kind.harm => ("harm", self.harm()),
            _ => ("reconnect", self.reconnect()),
        };
        *self.operations.entry(name).or_default() += 1;
        let bytes = self.spool().fresh_bytes;
        assert!(bytes <= MEMORY_BYTES, "{bytes} bytes in memory");
    }

    /// The disk works again: everything comes out, or is counted.
    fn end(&mut self) {
        {
            let mut state = self.disk.state();
            state.one_in = 0;
            state.is_full = false;
        }
        for _ in 0..8 {
            self.finish_work();
            self.now += Duration::from_secs(31);
            self.work();
        }
        self.finish_work();
        // the reads of before may have failed
        self.reconnect();
        loop {
            self.send(100);
            if self.on_the_way.is_empty() {
                break;
            }
            self.ack(100);
        }
        assert!(!self.in_trouble, "the disk works again");
        assert_eq!((self.spool().depth(), self.depth), (0, 0), "everything came out or was counted");
        let missing = self.promised.difference(&self.hit).count() as u64;
        let most = if self.kind.max_size_bytes < 1 << 20 { self.counted } else { 0 };
        assert!(
            missing <= most || self.kind.reads_fail,
            "{missing} of the promised are missing, {} counted: {:?}",
            self.counted,
            self.promised
        );
        self.nothing_damaged_is_deleted();
    }
}

#[test]
fn in_any_order_of_operations_and_faults_the_promises_hold() {
    let runs = std::env::var("MBUSHAT_SPOOL_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(64);
    let first = std::env::var("MBUSHAT_SPOOL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let (mut operations, mut faults, mut steps) = (BTreeMap::new(), BTreeMap::new(), 0);
    for seed in first..first + runs {
        let kind = Kind {
            durability: if seed % 2 == 0 { Durability::Outage } else { Durability::Always },
            reads_fail: seed / 2 % 2 == 1,
            harm: seed / 4 % 2 == 1,
            max_size_bytes: if seed / 8 % 4 == 3 { 60_000 } else { 64 << 20 },
        };
        if runs == 1 {
            println!("{kind:?}");
        }
        let outcome = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed, kind);
            (0..400).for_each(|_| run.step());
            run.end();
            run
        });
        let run = outcome.unwrap_or_else(|_| panic!("MBUSHAT_SPOOL_SEED={seed} MBUSHAT_SPOOL_RUNS=1 {kind:?}"));
        run.operations.into_iter().for_each(|(name, count)| *operations.entry(name).or_insert(0) += count);
        let state = run.disk.state();
        state.faults.iter().for_each(|(name, count)| *faults.entry(*name).or_insert(0) += count);
        steps += state.steps;
    }
    println!("{runs} runs; operations {operations:?}; {steps} steps of the disk, of which failed {faults:?}");
}
