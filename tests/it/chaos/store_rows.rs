//! The disk fails, or what is on it is damaged.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::scene::{Answer, Scene, buses, count};
use super::{ALWAYS, ANONYMOUS, OUTAGE, Row};
use crate::broker::Broker;
use crate::tools::missing;
use mbushat::mbus::decimal::Decimal;

pub(super) fn disk_full() -> Option<Row> {
    disk("disk full, broker away for a minute", "size=128k")
}

pub(super) fn disk_read_only() -> Option<Row> {
    disk("disk read-only, broker away for a minute", "ro")
}

/// `options` of a small filesystem that the agent alone sees, in a mount namespace of its own.
fn disk(fault: &'static str, options: &str) -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, ALWAYS)?;
    let store = scene.agent.folder().join("store");
    scene.kill_agent();
    std::fs::create_dir_all(&store).expect("a folder");
    let mount = format!("mount -t tmpfs -o {options} tmpfs {}", store.display());
    let can = std::process::Command::new("unshare").args(["-rm", "sh", "-c", &mount]).status();
    if !can.is_ok_and(|status| status.success()) {
        missing("this user may not mount a small filesystem");
        return None;
    }
    scene.agent.restart_with(&["unshare", "-rm", "sh", "-c", &format!("{mount}; exec \"$@\""), "sh"]);
    scene.pause(3000, 1);
    scene.broker.kill();
    std::thread::sleep(Duration::from_secs(60));
    scene.broker.run();
    let (mut row, scene) = scene.settle(fault, 1);
    scene.excuse_the_wire(&mut row, &BTreeSet::new());
    let said = scene.agent.log().matches("readings are kept in memory until it works again").count();
    row.remark = format!("said {said} time(s)");
    row.promise(row.taken > 0, "nothing was read");
    row.promise((1..=2).contains(&said), "not said, or again and again");
    Some(row)
}

/// The broker is away for longer than `max_size` lasts.
pub(super) fn full() -> Option<Row> {
    let config = |gateways: &_| format!("[store]\nmax_size = \"1MiB\"\n{}", buses(gateways, 60));
    let mut scene = Scene::with(Broker::start_with(ANONYMOUS)?, &[], config);
    scene.pause(3000, 1);
    scene.broker.kill();
    std::thread::sleep(Duration::from_secs(90));
    let disk: u64 = readings(&scene).iter().map(|path| path.metadata().map_or(0, |data| data.len())).sum();
    scene.broker.run();
    let (mut row, scene) = scene.settle("max_size reached, broker away for 90 s", 1);
    let log = scene.agent.log();
    let totals: Vec<u64> = log.lines().filter_map(dropped).collect();
    let dropped = totals.iter().sum::<u64>();
    let (first, said) = (log.matches("the store is full").count(), totals.len());
    row.lost = row.lost.abs_diff(dropped);
    row.remark = format!("{dropped} dropped and counted, {} KiB on disk", disk >> 10);
    row.promise(row.lost == 0 && dropped > 0, "the count of the dropped is not what is missing");
    row.promise((first, said) == (1, 1), format!("said {first} and {said} times"));
    row.promise(disk <= 1 << 20, "more on disk than max_size");
    Some(row)
}

/// Somebody removes the store while the broker is away.
pub(super) fn removed() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    scene.pause(3000, 1);
    scene.broker.kill();
    std::thread::sleep(Duration::from_secs(15));
    std::fs::remove_dir_all(scene.agent.folder().join("store")).expect("it was there");
    std::thread::sleep(Duration::from_secs(15));
    scene.broker.run();
    let (mut row, scene) = scene.settle("store removed while the broker is away", 1);
    let info = crate::broker::retained(scene.broker.port, "mbushat/bridge/info").pop().expect("it was published");
    let info: serde_json::Value = serde_json::from_str(&info.payload).expect("JSON");
    let dropped = info.pointer("/readings/dropped").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let said = scene.agent.log().matches("readings lost with damaged or removed files").count();
    row.remark = format!("{dropped} counted as dropped, said {said} time(s)");
    row.lost = row.lost.abs_diff(dropped);
    row.promise(row.lost == 0, "the count of the dropped is not what is missing");
    row.promise(said >= 1 || dropped == 0, "not said");
    Some(row)
}

/// The files of readings in the agent's store.
fn readings(scene: &Scene) -> Vec<PathBuf> {
    let files = std::fs::read_dir(scene.agent.folder().join("store")).expect("a store").filter_map(Result::ok);
    let is_one = |path: &PathBuf| path.to_string_lossy().contains("/readings-");
    files.map(|file| file.path()).filter(is_one).filter(|path| path.extension().is_some_and(|e| e == "log")).collect()
}

/// The number in `… WARN 4711 readings were dropped, numbers 1 to 4711`.
fn dropped(line: &str) -> Option<u64> {
    line.split_once(" readings were dropped")?.0.rsplit(' ').next()?.parse().ok()
}

/// What the damage of one file left whole, and what it hit.
#[derive(Default)]
struct Damage {
    whole: BTreeSet<Answer>,
    hit: BTreeSet<Answer>,
}

pub(super) fn damaged() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, ALWAYS)?;
    let (mut times, mut all) = (0, Damage::default());
    for round in 0..20 {
        scene.broker.kill();
        scene.pause(3000, 1000);
        scene.kill_agent();
        if let Some(path) = readings(&scene).into_iter().max() {
            let mut bytes = std::fs::read(&path).expect("readable");
            let at = usize::try_from(scene.random(count(bytes.len().max(1)))).expect("small");
            let damage = damage(&mut bytes, at, round % 2 == 1);
            std::fs::write(&path, bytes).expect("writable");
            all.whole.extend(damage.whole);
            all.hit.extend(damage.hit);
            times += 1;
        }
        scene.broker.run();
        scene.agent.restart();
        scene.pause(1500, 500);
    }
    let (mut row, scene) = scene.settle("store files truncated and bit-flipped", times);
    let said = scene.agent.log().matches("the store was damaged").count();
    let wire = scene.excuse_the_wire(&mut row, &all.hit);
    let delivered = scene.delivered_answers();
    let (kept, whole) = (all.whole.intersection(&delivered).count(), all.whole.len());
    let gone = count(all.hit.difference(&delivered).count());
    row.remark = format!(
        "{kept} of {whole} whole readings of damaged files delivered; {gone} hit and not sent before; {wire} died on \
         the wire; damage said {said} time(s)"
    );
    row.promise(times == 20, "a store was not there to damage");
    row.promise(kept == whole && whole > 0, "whole readings are lost");
    row.promise(row.lost == gone, "what is lost is not what was hit");
    Some(row)
}

/// Turns a bit at this place, or cuts the file there. A line is whole as long as its text is.
fn damage(bytes: &mut Vec<u8>, at: usize, cut: bool) -> Damage {
    let (mut damage, mut start) = (Damage::default(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = start..start + line.len() - 1;
        let is_hit = if cut { at < text.end } else { text.contains(&at) };
        start += line.len();
        let answer = answer(line).expect("a line of the store");
        if is_hit {
            damage.hit.insert(answer)
        } else {
            damage.whole.insert(answer)
        };
    }
    if cut {
        bytes.truncate(at);
    } else if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x10;
    }
    damage
}

/// The reading in a line of the store.
fn answer(line: &[u8]) -> Option<Answer> {
    let payload = line.get(line.iter().position(|byte| *byte == b'{')?..)?;
    let json: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let cubic_metres: Decimal = json.pointer("/measurements/0/value")?.to_string().parse().ok()?;
    Some((json.get("meter")?.as_str()?.to_owned(), cubic_metres.shift(3)?.to_string().parse().ok()?))
}
