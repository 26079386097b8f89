//! What happens to readings when things break: real processes, a real mosquitto, a fixed seed.
//!
//! `cargo test --release --test it -- --ignored chaos --nocapture` runs all of it and prints a table;
//! `MBUSHAT_CHAOS=frozen` runs the rows whose name holds that word. It takes about a quarter of an hour.
//!
//! Taken are the readings that the meters gave; delivered those of which the broker's PUBACK passed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use mbushat::config::{Durability, Store};
use mbushat::spool::{Notice, Spool};

use crate::agent::Agent;
use crate::broker::{Broker, Folder};
use crate::gateway::Gateway;
use crate::recorder::Recorder;

const ANONYMOUS: &str = "allow_anonymous true\n";
const PERSISTENT: &str = "allow_anonymous true\npersistence true\npersistence_location FOLDER/\nautosave_interval 1\n";
const ALWAYS: &str = "[store]\ndurability = \"always\"\n";
const OUTAGE: &str = "[store]\ndurability = \"outage\"\n";

/// One line of the table.
struct Row {
    fault: &'static str,
    times: u64,
    taken: u64,
    delivered: u64,
    lost: u64,
    duplicated: u64,
    remark: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, times, taken, delivered, lost, duplicated, remark } = self;
        write!(f, "{fault:<44} | {times:>5} | {taken:>6} | {delivered:>9} | {lost:>4} | {duplicated:>10} | {remark}")
    }
}

/// A broker, the recorder before it, two buses of meters, and an agent.
struct Scene {
    broker: Broker,
    recorder: Recorder,
    gateways: [Gateway; 2],
    agent: Agent,
    random: u64,
}

impl Scene {
    /// Twenty meters, each read every second.
    fn new(broker: &str, tables: &str) -> Option<Self> {
        let broker = Broker::start_with(broker)?;
        let recorder = Recorder::start(broker.port);
        let gateways = [Gateway::start(), Gateway::start()];
        let agent = Agent::start(recorder.port, &(tables.to_owned() + &buses(&gateways, 10)));
        Some(Self { broker, recorder, gateways, agent, random: 20_260_101 })
    }

    /// Below `most`.
    fn random(&mut self, most: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % most
    }

    fn pause(&mut self, least_ms: u64, more_ms: u64) {
        let more = self.random(more_ms);
        std::thread::sleep(Duration::from_millis(least_ms + more));
    }

    /// Every answer that the meters gave.
    fn served(&self) -> BTreeSet<(String, u64)> {
        let mut served = BTreeSet::new();
        for (name, gateway) in ["a", "b"].iter().zip(&self.gateways) {
            for (address, count) in &gateway.meters().served {
                served.extend((1..=*count).map(|litres| (format!("{name}_m{address}"), litres)));
            }
        }
        served
    }

    fn delivered(&self) -> usize {
        self.recorder.record().delivered.len()
    }

    /// Readings per second at which a backlog of a minute goes out.
    fn drain_rate(&mut self) -> u64 {
        self.broker.kill();
        std::thread::sleep(Duration::from_secs(60));
        let before = self.delivered();
        self.broker.run();
        while self.delivered() == before {
            std::thread::sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        while self.delivered() - before < 2500 && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let count = u128::try_from(self.delivered() - before).expect("small");
        u64::try_from(count * 1000 / start.elapsed().as_millis().max(1)).expect("small")
    }

    /// Waits until everything served is delivered, or nothing more comes; then the row.
    fn settle(mut self, fault: &'static str, times: u64) -> (Row, Self) {
        for gateway in &self.gateways {
            gateway.meters().silent.extend(1..=250);
        }
        let mut quiet_since = Instant::now();
        let mut last = 0;
        while quiet_since.elapsed() < Duration::from_secs(12) {
            let count = self.delivered();
            if count != last {
                (last, quiet_since) = (count, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        self.agent.end("TERM");
        let row = self.row(fault, times);
        (row, self)
    }

    fn row(&self, fault: &'static str, times: u64) -> Row {
        let record = self.recorder.record();
        let mut numbers: BTreeMap<u64, (String, u64)> = BTreeMap::new();
        let mut duplicated = 0;
        for reading in &record.delivered {
            let what = (reading.meter.clone(), reading.litres);
            if let Some(before) = numbers.insert(reading.seq, what.clone()) {
                assert_eq!(before, what, "{fault}: number {} was given twice", reading.seq);
                duplicated += 1;
            }
        }
        let served = self.served();
        let delivered: BTreeSet<_> = numbers.values().cloned().collect();
        assert!(delivered.is_subset(&served), "{fault}: a reading that no meter gave");
        assert_eq!(delivered.len(), numbers.len(), "{fault}: a reading under two numbers");
        let length = |set: &BTreeSet<_>| u64::try_from(set.len()).expect("small");
        Row {
            fault,
            times,
            taken: length(&served),
            delivered: length(&delivered),
            lost: length(&served) - length(&delivered),
            duplicated,
            remark: String::new(),
        }
    }

    /// Numbers missing between the first and the last one delivered.
    fn gaps(&self) -> u64 {
        let numbers: BTreeSet<u64> = self.recorder.record().delivered.iter().map(|reading| reading.seq).collect();
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return 0 };
        last - first + 1 - u64::try_from(numbers.len()).expect("small")
    }
}

fn buses(gateways: &[Gateway; 2], each: u8) -> String {
    let [a, b] = gateways;
    let text = a.config("a", 1..=each, "1s") + &b.config("b", 1..=each, "1s");
    text.replace("port = \"tcp", "baud = 38400\nidle = \"0s\"\nport = \"tcp")
}

fn broker_killed(fault: &'static str, broker: &str) -> Option<Row> {
    let mut scene = Scene::new(broker, OUTAGE)?;
    for _ in 0..30 {
        scene.pause(1000, 1500);
        scene.broker.kill();
        scene.pause(0, 1000);
        scene.broker.run();
    }
    Some(scene.settle(fault, 30).0)
}

fn broker_frozen() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    scene.pause(2000, 1000);
    scene.broker.signal("STOP");
    std::thread::sleep(Duration::from_secs(60));
    scene.broker.signal("CONT");
    Some(scene.settle("broker frozen for 60 s", 1).0)
}

fn connection_cut() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    let budgets: Vec<usize> = (0..100).map(|_| usize::try_from(scene.random(30_000)).expect("small") + 200).collect();
    scene.recorder.record().budgets = budgets;
    let end = Instant::now() + Duration::from_secs(400);
    while !scene.recorder.record().budgets.is_empty() && Instant::now() < end {
        scene.pause(500, 100);
    }
    // the connection that was up before the budgets were set is never cut
    let cuts = scene.recorder.record().cuts;
    let (mut row, scene) = scene.settle("connection cut in the middle of a packet", cuts);
    row.remark = format!("{} connections", scene.recorder.record().connections);
    Some(row)
}

fn topic_refused() -> Option<Row> {
    let lines = "allow_anonymous true\nacl_file FOLDER/acl\n";
    let mut broker = Broker::prepare(lines)?;
    broker.folder().write("acl", "topic readwrite #\ntopic deny mbushat/a_m3/reading\n");
    broker.run();
    let recorder = Recorder::start(broker.port);
    let gateways = [Gateway::start(), Gateway::start()];
    let agent = Agent::start(recorder.port, &(OUTAGE.to_owned() + &buses(&gateways, 10)));
    let scene = Scene { broker, recorder, gateways, agent, random: 1 };
    std::thread::sleep(Duration::from_secs(20));
    let (mut row, scene) = scene.settle("broker refuses one topic", 1);
    let aside = std::fs::read_to_string(scene.agent.folder().join("store/aside.log")).unwrap_or_default();
    let kept = u64::try_from(aside.lines().count()).expect("small");
    let said = scene.agent.log().matches("does not take this").count();
    row.remark = format!("{kept} set aside, said {said} time(s)");
    row.lost -= kept;
    Some(row)
}

fn agent_killed(fault: &'static str, tables: &str) -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, tables)?;
    for _ in 0..100 {
        scene.pause(300, 1500);
        scene.agent.restart();
    }
    let (mut row, scene) = scene.settle(fault, 100);
    let gaps = scene.gaps();
    row.remark = format!("{gaps} numbers skipped");
    if tables == ALWAYS {
        // what a meter said while the agent died was not taken: it never got a number
        row.taken -= row.lost;
        row.remark = format!("no gap in the numbers; {} answers died with the agent on the wire", row.lost);
        row.lost = gaps;
    }
    Some(row)
}

/// `options` of a small filesystem that the agent alone sees, in a mount namespace of its own.
fn disk(fault: &'static str, options: &str) -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, ALWAYS)?;
    let store = scene.agent.folder().join("store");
    scene.agent.kill();
    std::fs::create_dir_all(&store).expect("a folder");
    let mount = format!("mount -t tmpfs -o {options} tmpfs {}", store.display());
    let can = std::process::Command::new("unshare").args(["-rm", "sh", "-c", &mount]).status();
    if !can.is_ok_and(|status| status.success()) {
        println!("SKIPPED: this user may not mount a small filesystem");
        return None;
    }
    scene.agent.restart_with(&["unshare", "-rm", "sh", "-c", &format!("{mount}; exec \"$@\""), "sh"]);
    scene.pause(3000, 1);
    scene.broker.kill();
    std::thread::sleep(Duration::from_secs(60));
    scene.broker.run();
    let (mut row, scene) = scene.settle(fault, 1);
    row.remark = format!("said {} time(s)", scene.agent.log().matches("the store fails").count());
    Some(row)
}

fn store_damaged() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, ALWAYS)?;
    let (mut times, mut bad_lines) = (0, 0);
    for round in 0..20 {
        scene.broker.kill();
        scene.pause(3000, 1000);
        scene.agent.kill();
        let store = scene.agent.folder().join("store");
        let names = std::fs::read_dir(&store).expect("a store").map(|file| file.expect("a file").path());
        let newest = names.filter(|path| path.extension().is_some_and(|e| e == "log")).max();
        if let Some(path) = newest.filter(|path| path.metadata().is_ok_and(|m| m.len() > 0)) {
            let mut bytes = std::fs::read(&path).expect("readable");
            let at = usize::try_from(scene.random(u64::try_from(bytes.len()).expect("small"))).expect("small");
            if round % 2 == 0 {
                bytes[at] ^= 0x10;
                bad_lines += 2;
            } else {
                bad_lines += bytes[at..].iter().filter(|byte| **byte == b'\n').count() + 1;
                bytes.truncate(at);
            }
            std::fs::write(&path, bytes).expect("writable");
            times += 1;
        }
        scene.broker.run();
        scene.agent.restart();
        scene.pause(1500, 500);
    }
    let (mut row, scene) = scene.settle("store files truncated and bit-flipped", times);
    let said = scene.agent.log().matches("the store was damaged").count();
    // an answer on the wire may die with the agent, too
    assert!(row.lost <= u64::try_from(bad_lines).expect("small") + 2 * 20, "{} lost of {bad_lines}", row.lost);
    row.remark = format!("at most {bad_lines} lines hit, said {said} time(s)");
    Some(row)
}

fn reloads() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    scene.pause(3000, 1);
    let connections = scene.recorder.record().connections;
    for round in 0..20_u8 {
        let good = OUTAGE.to_owned() + &buses(&scene.gateways, 5 + round % 6);
        scene.agent.configure(scene.recorder.port, &good.replace("address = 2\n", "adress = 2\n"));
        scene.agent.hangup();
        scene.pause(300, 700);
        scene.agent.configure(scene.recorder.port, &good);
        scene.agent.hangup();
        scene.pause(300, 700);
    }
    let reconnects = scene.recorder.record().connections - connections;
    let (mut row, scene) = scene.settle("reload, a bad file and a good one", 40);
    let log = scene.agent.log();
    let (good, bad) = (log.matches("reloaded ").count(), log.matches("nothing is changed").count());
    row.remark = format!("{good} reloaded, {bad} refused, {reconnects} reconnects");
    Some(row)
}

fn many_meters() -> Option<Row> {
    let broker = Broker::start_with(ANONYMOUS)?;
    let recorder = Recorder::start(broker.port);
    let gateways = [Gateway::start(), Gateway::start()];
    let agent = Agent::start(recorder.port, &(OUTAGE.to_owned() + &buses(&gateways, 125).replace("\"1s\"", "\"5s\"")));
    let mut scene = Scene { broker, recorder, gateways, agent, random: 1 };
    std::thread::sleep(Duration::from_secs(20));
    let before = (scene.served().len(), scene.delivered(), Instant::now());
    std::thread::sleep(Duration::from_secs(20));
    let seconds = before.2.elapsed().as_secs();
    let taken = u64::try_from(scene.served().len() - before.0).expect("small") / seconds;
    let sent = u64::try_from(scene.delivered() - before.1).expect("small") / seconds;
    let drained = scene.drain_rate();
    let memory = resident_kib(scene.agent.pid());
    let (mut row, _) = scene.settle("none but a minute's outage: 250 meters every 5 s", 1);
    row.remark = format!("{taken}/s in, {sent}/s out, backlog at {drained}/s, {memory} KiB resident");
    Some(row)
}

/// Thirty days without a broker, in simulated time: the spool alone, as the outbox task drives it.
fn thirty_days() -> Option<Row> {
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
            spool.append(&format!("meter_{meter}"), now, |seq| format!("{{\"seq\":{seq},{}}}", "x".repeat(500)));
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
    assert!(disk <= max_size_bytes + (1 << 20), "{disk} bytes on disk");
    let (first, last) = (memory.iter().min().expect("measured"), memory.iter().max().expect("measured"));
    assert!(last - first < 4096, "memory grows: {memory:?} KiB");
    let (mut seq, mut delivered) = (spool.cursor(), 0);
    while let Some(entry) = spool.after(seq, now) {
        assert!(delivered == 0 || entry.seq == seq + 1, "a gap before {}", entry.seq);
        (seq, delivered) = (entry.seq, delivered + 1);
        spool.ack(seq, now);
    }
    let remark = format!("{dropped} dropped and counted, {} MiB on disk, memory +{} KiB", disk >> 20, last - first);
    let fault = "broker away 30 simulated days, 250 meters";
    let taken = SLOTS * METERS;
    Some(Row { fault, times: 1, taken, delivered, lost: taken - delivered - dropped, duplicated: 0, remark })
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

#[test]
#[ignore = "takes a quarter of an hour"]
fn chaos() {
    let faults: [(&str, &dyn Fn() -> Option<Row>); 13] = [
        ("killed broker", &|| broker_killed("broker killed, nothing persistent", ANONYMOUS)),
        ("killed broker persistent", &|| broker_killed("broker killed, with persistence", PERSISTENT)),
        ("frozen broker", &broker_frozen),
        ("cut connection", &connection_cut),
        ("refused topic", &topic_refused),
        ("killed agent always", &|| agent_killed("agent killed, durability always", ALWAYS)),
        ("killed agent outage", &|| agent_killed("agent killed, durability outage", OUTAGE)),
        ("full disk", &|| disk("disk full, broker away for a minute", "size=128k")),
        ("read-only disk", &|| disk("disk read-only, broker away for a minute", "ro")),
        ("damaged store", &store_damaged),
        ("reload", &reloads),
        ("many meters", &many_meters),
        ("thirty days", &thirty_days),
    ];
    let wanted = std::env::var("MBUSHAT_CHAOS").unwrap_or_default();
    let mut rows = Vec::new();
    for (name, run) in faults {
        if name.contains(&wanted) {
            rows.extend(run());
            rows.iter().last().inspect(|row| println!("{row}"));
        }
    }
    println!("\n{:<44} | times |  taken | delivered | lost | duplicated | remark", "fault");
    rows.iter().for_each(|row| println!("{row}"));
    let excused = |row: &Row| row.fault.contains("durability outage") || row.fault.contains("truncated");
    for row in rows.iter().filter(|row| !excused(row)) {
        assert_eq!(row.lost, 0, "{row}");
    }
}
