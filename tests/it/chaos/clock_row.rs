//! The wall clock is set, by libfaketime (Debian: `libfaketime`), which moves it under the agent
//! alone and leaves the monotonic clock as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::scene::{Answer, Scene, buses};
use super::{ANONYMOUS, OUTAGE, Row};
use crate::broker::{Broker, Folder};
use crate::tools::missing;

const DAY_S: i64 = 86_400;
/// Of every meter here.
const INTERVAL: Duration = Duration::from_secs(4);
/// What a busy machine may add to or take from the time between two reads.
const JITTER: Duration = Duration::from_millis(250);

/// Aligned meters on bus a, others on bus b. The clock starts in 1970, is set right, back and forth
/// by a day, and ten years ahead.
pub(super) fn clock_set() -> Option<Row> {
    let library = library()?;
    let folder = Folder::new();
    let offset = folder.path().join("offset");
    set(&offset, 120 - Timestamp::now().as_second());
    let preload = format!("LD_PRELOAD={}", library.display());
    let file = format!("FAKETIME_TIMESTAMP_FILE={}", offset.display());
    let starter = ["env", &preload, &file, "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1"];
    let mut scene = Scene::with(Broker::start_with(ANONYMOUS)?, &starter, |gateways| {
        let text = buses(gateways, 10).replace("\"1s\"", "\"4s\"");
        let (a, b) = text.split_once("[[bus]]\nname = \"b\"").expect("two buses");
        format!("{OUTAGE}{a}[[bus]]\nname = \"b\"{}", b.replace("\"4s\"", "\"4s\"\nalign = false"))
    });
    scene.pause(10_000, 4000);
    set(&offset, 0);
    scene.pause(10_000, 4000);
    // whole days are whole intervals: no slot may be missed or doubled
    let days = Instant::now();
    for round in 0..20 {
        set(&offset, if round % 4 == 1 { -DAY_S } else { DAY_S * (i64::from(round) % 2) });
        scene.pause(2000, 6000);
    }
    let days = days..Instant::now();
    set(&offset, 3653 * DAY_S + 1);
    scene.pause(10_000, 4000);
    let (mut row, scene) = scene.settle("clock set: 1970, now, 20 times by a day, 10 years", 22);
    row.promise(row.lost == 0 && row.taken > 0, "readings are lost");
    judge(&mut row, &scene, |at| days.contains(&at));
    Some(row)
}

/// Takes effect at once: the agent's clock is the true one and this.
fn set(file: &Path, offset_s: i64) {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{offset_s:+}\n")).expect("writable");
    std::fs::rename(new, file).expect("writable");
}

/// The time between two reads of each meter, and the slots they are for.
fn judge(row: &mut Row, scene: &Scene, steps_are_whole_days: impl Fn(Instant) -> bool) {
    let mut times: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    scene.served().into_iter().for_each(|((meter, _), at)| times.entry(meter).or_default().push(at));
    let gaps: Vec<(Instant, Duration)> =
        times.values().flat_map(|times| times.windows(2).map(|pair| (pair[0], pair[1] - pair[0]))).collect();
    let (shortest, longest) = (gaps.iter().map(|gap| gap.1).min(), gaps.iter().map(|gap| gap.1).max());
    let (shortest, longest) = (shortest.unwrap_or_default(), longest.unwrap_or(Duration::MAX));
    row.promise(shortest + JITTER >= INTERVAL / 2, "two reads are closer than half an interval");
    row.promise(longest <= INTERVAL * 3 / 2 + JITTER, "two reads are further apart than one and a half intervals");
    let whole: Vec<Duration> = gaps.iter().filter(|gap| steps_are_whole_days(gap.0)).map(|gap| gap.1).collect();
    let in_time = whole.iter().filter(|gap| **gap >= INTERVAL * 3 / 4 && **gap <= INTERVAL * 5 / 4).count();
    row.promise(in_time == whole.len() && in_time > 300, "a slot is missed or doubled");
    let (named, wrong) = slots(scene);
    row.promise(wrong.is_empty(), format!("slots named twice or wrongly: {wrong:?}"));
    row.remark = format!("{shortest:.2?} to {longest:.2?} between two reads every 4 s; {named} slots, each once");
}

/// How many slots were named, and the readings that name a slot of this meter again or one that is
/// further from its time than half an interval, or where the meter is aligned no slot at all.
fn slots(scene: &Scene) -> (usize, Vec<Answer>) {
    let (mut named, mut wrong) = (BTreeSet::new(), Vec::new());
    for reading in &scene.recorder.record().delivered {
        let due_at = reading.due_at.expect("no wish");
        let late = reading.read_at.duration_since(due_at);
        let near = late.unsigned_abs() <= INTERVAL / 2 + JITTER;
        // the first read of all is at once, for no slot
        let free = reading.litres == 1 || reading.meter.starts_with("b_");
        let on_grid = due_at.as_millisecond() % 4000 == 0 || free;
        let first = reading.litres == 1 || named.insert((reading.meter.clone(), due_at));
        if !(near && on_grid && first && late > SignedDuration::from_secs(-4)) {
            wrong.push((reading.meter.clone(), reading.litres));
        }
    }
    (named.len(), wrong)
}

/// Where the library is; `None` after a `SKIPPED` line.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
    let found = folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file());
    if found.is_none() {
        missing("libfaketime is not installed");
    }
    found
}
