//! Many readings: at once, and over thirty days without a broker.

use std::time::{Duration, Instant};

use mbushat::config::{Durability, Store};
use mbushat::spool::{Notice, Spool};

use super::scene::{Scene, buses, count, resident_kib};
use super::{ANONYMOUS, OUTAGE, Row};
use crate::broker::{Broker, Folder};

pub(super) fn many_meters() -> Option<Row> {
    let config = |gateways: &_| OUTAGE.to_owned() + &buses(gateways, 125).replace("\"1s\"", "\"5s\"");
    let mut scene = Scene::with(Broker::start_with(ANONYMOUS)?, &[], config);
    std::thread::sleep(Duration::from_secs(20));
    let before = (scene.served().len(), scene.delivered(), Instant::now());
    std::thread::sleep(Duration::from_secs(20));
    let seconds = before.2.elapsed().as_secs();
    let taken = count(scene.served().len() - before.0) / seconds;
    let sent = count(scene.delivered() - before.1) / seconds;
    let drained = drain_rate(&mut scene);
    let memory = resident_kib(scene.agent.pid());
    let (mut row, _) = scene.settle("none but a minute's outage: 250 meters every 5 s", 1);
    row.remark = format!("{taken}/s in, {sent}/s out, backlog at {drained}/s, {memory} KiB resident");
    row.promise(row.lost == 0 && row.taken > 0, "readings are lost");
    row.promise(taken >= 45 && sent >= 45, "not every meter is read and published in time");
    Some(row)
}

/// Readings per second at which a backlog of a minute goes out.
fn drain_rate(scene: &mut Scene) -> u64 {
    scene.broker.kill();
    std::thread::sleep(Duration::from_secs(60));
    let before = scene.delivered();
    scene.broker.run();
    while scene.delivered() == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    let start = Instant::now();
    while scene.delivered() - before < 2500 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = u128::try_from(scene.delivered() - before).expect("small");
    u64::try_from(sent * 1000 / start.elapsed().as_millis().max(1)).expect("small")
}

/// Thirty days without a broker, in simulated time: the spool alone, as the outbox task drives it.
pub(super) fn thirty_days() -> Option<Row> {
    const SLOTS: u64 = 30 * 96;
    const METERS: u64 = 250;
    let folder = Folder::new();
    let max_size_bytes = 256 << 20;
    let store = Store { directory: folder.path().to_owned(), max_size_bytes, durability: Durability::Outage };
    let mut now = Instant::now();
    let mut spool = Spool::open(&store, now).expect("nobody else has it");
    let (mut dropped, mut memory) = (0, Vec::new());
    for slot in 0..SLOTS {
        for meter in 0..METERS {
            spool.append(&format!("meter_{meter}"), now, |_, seq| format!("{{\"seq\":{seq},{}}}", "x".repeat(500)));
        }
        now += Duration::from_secs(15 * 60);
        if let Some(work) = spool.work(now) {
            spool.done(work.run(), now);
        }
        for notice in spool.notices() {
            let Notice::Dropped { count, .. } = notice else { panic!("{notice:?}") };
            dropped += count;
        }
        if slot % 288 == 287 {
            memory.push(resident_kib(std::process::id()));
        }
    }
    let files = std::fs::read_dir(folder.path()).expect("a store").map(|file| file.expect("a file").path());
    let disk: u64 = files.map(|path| path.metadata().map_or(0, |data| data.len())).sum();
    let (mut seq, mut delivered) = (spool.cursor(), 0);
    while let Some(entry) = spool.after(seq, now) {
        assert!(delivered == 0 || entry.seq == seq + 1, "a gap before {}", entry.seq);
        (seq, delivered) = (entry.seq, delivered + 1);
        spool.ack(seq, now);
    }
    let (taken, fault) = (SLOTS * METERS, "broker away 30 simulated days, 250 meters");
    let lost = taken - delivered - dropped;
    let mut row = Row {
        fault,
        times: 1,
        taken,
        delivered,
        lost,
        duplicated: 0,
        disordered: 0,
        remark: String::new(),
        broken: Vec::new(),
    };
    let grown = memory.iter().max().expect("measured") - memory.iter().min().expect("measured");
    row.remark = format!("{dropped} dropped and counted, {} MiB on disk, memory +{grown} KiB", disk >> 20);
    row.promise(lost == 0, "readings are lost");
    row.promise(disk <= max_size_bytes + (1 << 20), "more on disk than max_size");
    row.promise(grown < 4096, "memory grows");
    Some(row)
}
