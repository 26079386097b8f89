//! A search for meters that nobody wrote down, beside the readings of a bus, in virtual time.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::Hunting;
use crate::adopt::Sighting;
use crate::adopt::hunt::{Saved, Trouble};
use crate::bus::Happened;
use crate::bus::bench::{Bench, at, meter};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::link::timing::Baud;
use crate::request::{Answer, BusRequest, Scan};

/// So many meters that are not configured, their identification numbers all over the place.
fn unknown(count: u32) -> String {
    let one = |number: u32| {
        let (id, address) = (10_000_000 + (number * 7_919_353) % 90_000_000, 100 + number % 100);
        // in step, two telegrams of one model may overlap to one that is whole, of a meter that is not there
        let delay = 20 + number * 37 % 101;
        format!("[[meter]]\nmodel = \"cold_water\"\naddress = {address}\nid = \"{id:08}\"\ndelay = \"{delay}ms\"\n")
    };
    (1..=count).map(one).collect()
}

/// The bus with a hunt, and what it tells.
fn hunting(segment: &str, configured: &str) -> (Bench, mpsc::Receiver<Sighting>) {
    let (sightings, seen) = mpsc::channel(64);
    let start = move |bus: &_| Hunting::new(bus, &Saved::default(), sightings.clone());
    (Bench::hunting(segment, "discover = true", configured, start), seen)
}

/// Waits until so many meters are found.
async fn found(seen: &mut mpsc::Receiver<Sighting>, meters: usize) {
    while seen.recv().await.expect("it goes on").saved.finds().len() < meters {}
}

#[tokio::test(start_paused = true)]
async fn a_search_tells_of_each_meter_and_comes_to_its_end() {
    let (mut bench, mut seen) = hunting(&(at(1) + &at(2)), &meter("a", 1, "1h", ""));
    let last = loop {
        tokio::select! {
            Some(sighting) = seen.recv() => if sighting.saved.is_over() { break sighting },
            _ = bench.next() => {}
        }
    };
    assert_eq!(last.saved.finds().len(), 2);
    assert!(bench.health.borrow().hunt.is_none() && last.troubles.is_empty());
    // it is over: the next readings come in their time
    let (next, at) = bench.readout_of("a").await;
    assert!(next.due_at.is_some() && at > 3599.0, "{at}");
}

#[tokio::test(start_paused = true)]
async fn a_meter_of_another_rate_and_one_without_secondary_address_are_found() {
    let segment = at(1) + &at(2) + "baud = 9600\n" + &at(3) + "selectable = false\n";
    let (bench, mut seen) = hunting(&segment, "");
    let mut events = bench.events;
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    let finds = loop {
        let sighting = seen.recv().await.expect("it goes on");
        if sighting.saved.is_over() {
            break sighting.saved.finds();
        }
    };
    let shown = finds.iter().map(|find| (find.address.to_string(), find.baud.bits_per_second()));
    let mut shown: Vec<_> = shown.collect();
    shown.sort();
    let expected = [("3", 2400), ("672005012D4D0104", 2400), ("672005022D4D0104", 9600)];
    assert_eq!(shown, expected.map(|(address, baud)| (address.to_owned(), baud)));
}

#[tokio::test(start_paused = true)]
async fn a_search_on_a_noisy_line_rests_and_is_tried_again_with_nothing_else_to_do() {
    let (bench, mut seen) = hunting(&("[faults]\nbabble_per_second = 100\n".to_owned() + &at(1)), "");
    let mut events = bench.events;
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    let mut last = Instant::now();
    let pause = loop {
        let next = timeout(Duration::from_secs(700), seen.recv()).await.expect("it is tried again");
        let Sighting { saved, troubles, .. } = next.expect("it goes on");
        assert!(!saved.is_over());
        if last.elapsed() > Duration::from_secs(60) {
            assert_eq!(troubles, [Trouble::Noise]);
            assert!(bench.health.borrow().hunt.is_none());
            break last.elapsed();
        }
        last = Instant::now();
    };
    assert!((595..=660).contains(&pause.as_secs()), "{pause:?}");
}

/// The figures of 250 meters: `cargo test --lib hunting -- --ignored --nocapture`.
#[tokio::test(start_paused = true)]
#[ignore = "a figure: a quarter of an hour of a bus, several times"]
async fn beside_a_search_among_250_meters_no_reading_is_late_by_more_than_a_probe() {
    let configured: String = (1..=10).map(|n| meter(&format!("c{n}"), n, "30s", "")).collect();
    let segment: String = (1..=10).map(at).collect::<String>() + &unknown(240);
    // the bound: the same search as a scan, on a bus that has nothing else to do
    let mut alone = Bench::start(&segment, "", "");
    assert!(matches!(alone.next().await, Happened::Up));
    let begin = Instant::now();
    let answer = alone.ask(BusRequest::Scan(Scan::Secondary(SecondaryAddress::ANY))).await;
    while !matches!(alone.next().await, Happened::Scanned { .. }) {}
    let bound = begin.elapsed();
    let Ok(Answer::Found(scanned)) = answer.await else { panic!("a scan") };
    assert_eq!(scanned.len(), 250);

    let (mut bench, mut seen) = hunting(&segment, &configured);
    let begin = Instant::now();
    let (mut ends, mut slots) = (Vec::new(), std::collections::BTreeMap::<String, Instant>::new());
    {
        let over = found(&mut seen, 250);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => break,
                happened = bench.next() => if let Happened::Read { readout, .. } = happened {
                    ends.push((readout.meter, Instant::now()));
                }
            }
        }
    }
    let (took, busy) = (begin.elapsed(), bench.health.borrow().busy);
    // A meter that is not aligned is due 30 s after its read began, which its last reading's end tells to a turn.
    let (mut late, mut worst) = (0, Duration::ZERO);
    for (meter, end) in &ends {
        if let Some(before) = slots.insert(meter.clone(), *end) {
            let behind = (*end - before).saturating_sub(Duration::from_secs(30));
            worst = worst.max(behind);
            late += u32::from(behind > probe());
        }
    }
    println!(
        "a scan takes {bound:?}; a search {took:?}, of which {} readings took {busy:?}; {late} late, worst {worst:?}",
        ends.len()
    );
    assert_eq!(late, 0);
}

/// The longest probe: a selection and its silence, or a selection, its answer, a request and a telegram.
fn probe() -> Duration {
    let baud = Baud::DEFAULT;
    baud.response_timeout() + baud.characters(17 + 1 + 5 + 255)
}
