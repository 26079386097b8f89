//! The agent is killed or given another configuration.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use super::scene::{Scene, buses};
use super::{ALWAYS, ANONYMOUS, OUTAGE, Row};

/// With `outage`: what was taken this long before the kill, and is unacknowledged, may be lost.
const MAY_BE_LOST: Duration = Duration::from_secs(2);

pub(super) fn killed_always() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, ALWAYS)?;
    kill_a_hundred_times(&mut scene);
    let (mut row, scene) = scene.settle("agent killed, durability always", 100);
    let wire = scene.excuse_the_wire(&mut row, &BTreeSet::new());
    let gaps = scene.gaps();
    row.remark = format!("{gaps} gaps in the numbers; {wire} answers died with the agent on the wire");
    row.promise(row.taken > 0, "nothing was read");
    row.promise(gaps == 0, "the numbers have gaps");
    Some(row)
}

/// Every other time the broker is frozen before, so that nothing is acknowledged.
fn kill_a_hundred_times(scene: &mut Scene) {
    for round in 0..100 {
        scene.pause(300, 1500);
        if round % 2 == 0 {
            scene.broker.signal(Signal::STOP);
            scene.pause(0, 4000);
        }
        scene.kill_agent();
        scene.broker.signal(Signal::CONT);
        scene.agent.restart();
    }
}

pub(super) fn killed_outage() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    kill_a_hundred_times(&mut scene);
    let (mut row, scene) = scene.settle("agent killed, durability outage", 100);
    let missing = scene.missing();
    let oldest = missing.values().map(|lived| lived.unwrap_or(Duration::MAX)).max().unwrap_or_default();
    row.remark = format!("the oldest lost one was taken {oldest:.2?} before the kill");
    let early: Vec<_> = missing.iter().filter(|(_, lived)| lived.is_none_or(|l| l > MAY_BE_LOST)).collect();
    row.promise(early.is_empty(), format!("lost, though taken so long before the kill: {early:?}"));
    row.promise(row.lost > 0, "no kill came within two seconds of an unacknowledged reading");
    Some(row)
}

pub(super) fn reloads() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    scene.pause(3000, 1);
    let connections = scene.recorder.record().connections;
    for round in 0..20_u8 {
        let good = OUTAGE.to_owned() + &buses(&scene.gateways, 5 + round % 6);
        scene.agent.configure(scene.recorder.port, &good.replace("address = 2\n", "adress = 2\n"));
        scene.agent.hangup();
        scene.pause(300, 700);
        // meters change with every round, a bus comes and goes with every other one
        let good = if round % 2 == 0 { good.replace("idle = \"0s\"", "idle = \"1ms\"") } else { good };
        scene.agent.configure(scene.recorder.port, &good);
        scene.agent.hangup();
        scene.pause(300, 700);
    }
    let reconnects = scene.recorder.record().connections - connections;
    let (mut row, scene) = scene.settle("reload, a bad file and a good one", 40);
    let log = scene.agent.log();
    let (good, bad) = (log.matches("reloaded ").count(), log.matches("nothing is changed").count());
    row.remark = format!("{good} reloaded, {bad} refused, {reconnects} reconnects");
    row.promise(row.lost == 0 && row.taken > 0, "readings are lost");
    row.promise((good, bad, reconnects) == (20, 20, 0), "not every file was judged right without a reconnect");
    Some(row)
}
