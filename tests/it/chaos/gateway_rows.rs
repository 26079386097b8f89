//! A gateway fails.

use std::time::Duration;

use super::scene::Scene;
use super::{ANONYMOUS, OUTAGE, Row};
use crate::broker::Subscriber;

/// As one that serves a single client, which is another one just now.
pub(super) fn hangs_up() -> Option<Row> {
    let mut scene = Scene::new(ANONYMOUS, OUTAGE)?;
    let events = Subscriber::new(scene.broker.port, "mbushat/bridge/event")?;
    scene.pause(3000, 1);
    let before = scene.gateways[0].meters().connections;
    scene.gateways[0].meters().hangs_up = true;
    std::thread::sleep(Duration::from_secs(60));
    let tries = scene.gateways[0].meters().connections - before;
    let served = |scene: &Scene| scene.gateways[0].meters().times.values().map(Vec::len).sum::<usize>();
    let meanwhile = served(&scene);
    scene.gateways[0].meters().hangs_up = false;
    // the longest pause between two tries
    std::thread::sleep(Duration::from_secs(35));
    let after = served(&scene) - meanwhile;
    let (mut row, _scene) = scene.settle("gateway hangs up at each connection, 60 s", 1);
    let told = events.until_quiet(Duration::from_secs(1)).iter().filter(|m| m.payload.contains("bus_")).count();
    row.remark = format!("{tries} tries, {told} events, {after} reads after it");
    row.promise(row.lost == 0 && row.taken > 0, "readings are lost");
    row.promise((2..=20).contains(&tries), "it tries without a pause, or gave up");
    row.promise(told <= 6, "an event for each try");
    row.promise(after > 0, "it did not come back");
    Some(row)
}
