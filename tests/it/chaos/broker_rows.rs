//! The broker and the connection to it fail.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::scene::{Scene, buses};
use super::{ANONYMOUS, OUTAGE, PERSISTENT, Row};
use crate::broker::Broker;
use crate::recorder::{Manner, Record};

/// The longest pause between two tries, and a moment to connect and to publish.
const BACK_WITHIN: Duration = Duration::from_secs(6);

pub(super) fn killed() -> Option<Row> {
    killed_thirty_times("broker killed, session and all else forgotten", ANONYMOUS)
}

pub(super) fn killed_with_persistence() -> Option<Row> {
    killed_thirty_times("broker killed, with persistence", PERSISTENT)
}

fn killed_thirty_times(fault: &'static str, broker: &str) -> Option<Row> {
    let mut scene = Scene::new(broker, OUTAGE)?;
    let mut slowest = Duration::ZERO;
    for _ in 0..30 {
        scene.pause(1000, 1500);
        scene.broker.kill();
        scene.pause(0, 1000);
        scene.broker.run();
        slowest = slowest.max(back_within(&scene));
    }
    let (mut row, _scene) = scene.settle(fault, 30);
    nothing_lost(&mut row);
    row.remark = format!("back {slowest:.1?} after a start at the latest");
    row.promise(slowest <= BACK_WITHIN, "it came back late");
    Some(row)
}

/// From now to the next acknowledged reading.
fn back_within(scene: &Scene) -> Duration {
    let (start, before) = (Instant::now(), scene.delivered());
    while scene.delivered() == before && start.elapsed() < 3 * BACK_WITHIN {
        std::thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

fn nothing_lost(row: &mut Row) {
    row.promise(row.lost == 0 && row.taken > 0, "readings are lost");
}

pub(super) fn frozen() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    scene.pause(2000, 1000);
    scene.broker.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(60));
    scene.broker.signal(Signal::CONT);
    let (mut row, scene) = scene.settle("broker frozen for 60 s", 1);
    nothing_lost(&mut row);
    let said = scene.agent.log().lines().filter(|line| line.contains(" WARN ") && line.contains("broker")).count();
    row.remark = format!("{said} warnings of the broker in the log");
    row.promise(said <= 10, "the log repeats itself");
    Some(row)
}

pub(super) fn connection_cut() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    let budgets: Vec<usize> = (0..101).map(|_| usize::try_from(scene.random(30_000)).expect("small") + 200).collect();
    scene.recorder.record().budgets = budgets;
    // the connection that is up already has no budget
    scene.broker.kill();
    scene.broker.run();
    let end = Instant::now() + Duration::from_secs(600);
    while scene.recorder.record().cuts < 100 && Instant::now() < end {
        scene.pause(500, 100);
    }
    let cuts = scene.recorder.record().cuts;
    scene.recorder.record().budgets.clear();
    let (mut row, scene) = scene.settle("connection cut in the middle of a packet", cuts);
    nothing_lost(&mut row);
    row.promise(cuts >= 100, "cut too seldom");
    row.remark = format!("{} connections", scene.recorder.record().connections);
    Some(row)
}

pub(super) fn topic_refused() -> Option<Row> {
    let mut broker = Broker::prepare("allow_anonymous true\nacl_file FOLDER/acl\n")?;
    broker.folder().write("acl", "topic readwrite #\ntopic deny mbushat/a_m3/reading\n");
    broker.run();
    let scene = Scene::with(broker, &[], |gateways| OUTAGE.to_owned() + &buses(gateways, 10));
    std::thread::sleep(Duration::from_secs(20));
    let refused = scene.recorder.record().refused.len();
    scene.broker.folder().write("acl", "topic readwrite #\n");
    scene.broker.signal(Signal::HUP);
    // the longest pause that has grown by then
    std::thread::sleep(Duration::from_secs(6));
    let (mut row, scene) = scene.settle("broker refuses one topic for 20 s", 1);
    let said = scene.agent.log().matches("does not take this").count();
    row.remark = format!("{refused} tries, said {said} time(s)");
    nothing_lost(&mut row);
    row.promise(said == 1, "not said once");
    row.promise(refused > 0 && refused <= 10, "it loops, or was not refused");
    let of_it = |record: &Record| -> Vec<u64> {
        record.delivered.iter().filter(|reading| reading.meter == "a_m3").map(|reading| reading.litres).collect()
    };
    row.promise(of_it(&scene.recorder.record()).is_sorted(), "out of order");
    Some(row)
}

/// For a time the broker behaves so, then it is honest again.
fn for_a_time(scene: &mut Scene, manner: Manner, time: Duration) {
    scene.recorder.record().manner = manner;
    std::thread::sleep(time);
    scene.recorder.record().manner = Manner::Honest;
}

pub(super) fn hangs_up() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    scene.pause(4000, 1);
    // announced again as the broker comes back
    scene.recorder.record().manner =
        Manner::HangsUpAt("homeassistant/device/mbushat/mbushat_a_m3_SAM_01_07/config".to_owned());
    scene.broker.kill();
    scene.broker.run();
    std::thread::sleep(Duration::from_secs(20));
    let before = scene.delivered();
    std::thread::sleep(Duration::from_secs(20));
    let meanwhile = scene.delivered() - before;
    scene.recorder.record().manner = Manner::Honest;
    let (mut row, scene) = scene.settle("broker hangs up at one announcement, 40 s", 1);
    nothing_lost(&mut row);
    let said = scene.agent.log().matches("closes the connection at this message").count();
    let connections = scene.recorder.record().connections;
    row.remark = format!("{meanwhile} delivered in its last 20 s, {connections} connections, said {said} time(s)");
    row.promise(meanwhile > 0, "one message stops the readings");
    row.promise(said == 1, "not said once");
    Some(row)
}

pub(super) fn refuses_for_a_moment() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    let codes = [0x97, 0x80, 0x83, 0x87, 0x99];
    for code in codes {
        scene.pause(2000, 1);
        for_a_time(&mut scene, Manner::Refuses(code), Duration::from_secs(8));
    }
    // the longest pause that has grown by then
    std::thread::sleep(Duration::from_secs(4));
    let (mut row, scene) = scene.settle("broker refuses readings for 8 s, each code", 5);
    let record = scene.recorder.record();
    row.remark = format!("{} refused", record.refused.len());
    nothing_lost(&mut row);
    row.promise(record.refused.len() > codes.len(), "nothing was refused");
    drop(record);
    Some(row)
}

pub(super) fn mute() -> Option<Row> {
    let config = |gateways: &_| format!("{OUTAGE}{}", buses(gateways, 10));
    let mut scene = Scene::with(Broker::start_with(ANONYMOUS)?, &[], config);
    scene.pause(3000, 1);
    let before = scene.recorder.record().connections;
    // the keep-alive is 30 s: one and a half of it, twice
    for_a_time(&mut scene, Manner::Mute, Duration::from_secs(100));
    let again = scene.recorder.record().connections - before;
    std::thread::sleep(Duration::from_secs(50));
    let (mut row, scene) = scene.settle("broker acknowledges nothing for 100 s", 1);
    nothing_lost(&mut row);
    let said = scene.agent.log().matches("does not acknowledge what it is sent").count();
    row.remark = format!("connected again {again} times, said {said} time(s)");
    row.promise(again >= 1 && said >= 1, "not noticed");
    Some(row)
}
