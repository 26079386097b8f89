//! What a secondary search finds on segments that are hard to search, and what that costs: found of
//! present, and its time over that of the bare tree of decimal digits. In virtual time.
//!
//! `cargo test --test it -- --nocapture search_table::` prints the table.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mbushat::mbus::address::SecondaryAddress;
use mbushat::mbus::link::timing::Baud;
use mbushat::mbus::master::conversation::LineTiming;
use mbushat::mbus::master::search::{Found, Search};
use mbushat::sim::model::Model;
use mbushat::sim::plan::{MeterPlan, SegmentPlan};
use mbushat::sim::segment::Segment;

use crate::link::at;

const TIMING: LineTiming = LineTiming { retries: 0, ..LineTiming::new(Baud::DEFAULT) };

/// A meter with this identity. Two never answer in step with the same bytes.
fn meter(number: usize, identity: &str) -> MeterPlan {
    let identity = SecondaryAddress::parse(identity).unwrap_or_else(|_| panic!("{identity} is an address"));
    let number = u64::try_from(number).expect("few");
    let (_, model) = Model::ALL[usize::try_from(number % 5).expect("few")];
    let access_number = number.to_le_bytes()[0];
    let delay = Duration::from_millis(20 + number % 13 * 4);
    MeterPlan { identity, delay, access_number, ..MeterPlan::live(model, at(0), 0) }
}

fn meters(identities: &[String]) -> Vec<MeterPlan> {
    identities.iter().enumerate().map(|(number, identity)| meter(number, identity)).collect()
}

/// Ids that differ in the last digit alone, ten of each tail.
fn sharing(tails: &[&str]) -> Vec<MeterPlan> {
    let ids = (0..10).flat_map(|digit| tails.iter().map(move |tail| format!("1234567{digit}{tail}")));
    meters(&ids.collect::<Vec<_>>())
}

/// The time of one selection for each decimal digit of each mask that several meters match, and of one
/// telegram of 100 bytes for each mask that any meter matches.
fn bound(meters: &[MeterPlan], prefix: &[u32]) -> Duration {
    let (baud, asked) = (Baud::DEFAULT, Baud::DEFAULT.characters(17));
    let digit = |meter: &MeterPlan, place: usize| meter.identity.id() >> (28 - 4 * place) & 0xF;
    let here = |meter: &&MeterPlan| prefix.iter().enumerate().all(|(place, want)| digit(meter, place) == *want);
    let count = meters.iter().filter(here).count();
    if count == 0 {
        return asked + TIMING.response_timeout;
    }
    let answered = asked + baud.characters(1 + 1 + 5 + 100 + 1) + Duration::from_millis(60);
    if count == 1 || prefix.len() == 8 {
        return answered;
    }
    answered + (0..10).map(|digit| bound(meters, &[prefix, &[digit]].concat())).sum::<Duration>()
}

struct Row {
    found: usize,
    collisions: usize,
    /// When the last meter was found, and when the search was over.
    last: Duration,
    over: Duration,
}

fn search(meters: &[MeterPlan]) -> Row {
    let start = Instant::now();
    let mut now = start;
    let mut segment = Segment::new(SegmentPlan::new(meters.to_vec()), now);
    let mut search = Search::secondary(Vec::new(), TIMING);
    let (mut found, mut collisions, mut last) = (BTreeSet::new(), 0, start);
    while !search.is_over() {
        for new in segment.converse(&mut search, &mut now) {
            match new {
                Found::Meter { identity: Some(identity), fabrication_number, .. } => {
                    assert!(found.insert((identity, fabrication_number)), "{identity} is found twice");
                    last = now;
                }
                Found::Meter { address, .. } => panic!("{address} says nothing of itself"),
                Found::Collision(_) => collisions += 1,
            }
        }
        assert!(search.progress().done < 20_000, "it ends");
    }
    Row { found: found.len(), collisions, last: last - start, over: now - start }
}

/// A segment: its name, its meters, how many can be found, and how many collisions are left.
fn segments() -> Vec<(&'static str, Vec<MeterPlan>, usize, usize)> {
    let of = |identities: &[&str]| meters(&identities.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
    let stays = |every: usize, meters: Vec<MeterPlan>| -> Vec<MeterPlan> {
        let stays = |(number, meter)| MeterPlan { stays_selected: number % every == 0, ..meter };
        meters.into_iter().enumerate().map(stays).collect()
    };
    let twelve = || meters(&(0..12).map(|n| format!("{:08}KAM0104", 7_654_321 * (n + 1))).collect::<Vec<_>>());
    let numbered = |numbers: [Option<u32>; 3]| -> Vec<MeterPlan> {
        let twins = of(&["30137315KAM0104"; 3]).into_iter().zip(numbers);
        twins.map(|(meter, fabrication_number)| MeterPlan { fabrication_number, ..meter }).collect()
    };
    vec![
        ("12 random ids", twelve(), 12, 0),
        ("50 sharing 7 digits, 5 makers", sharing(&["KAM0104", "LUG0104", "ELS0104", "SIE0104", "ZRI0104"]), 50, 0),
        ("50 sharing 7 digits, 5 versions", sharing(&["KAM0104", "KAM0304", "KAM0504", "KAM1104", "KAM2F04"]), 50, 0),
        ("50 sharing 7 digits, 5 media", sharing(&["KAM0104", "KAM0107", "KAM0106", "KAM0102", "KAM010A"]), 50, 0),
        (
            "hex ids",
            of(&["A0000001KAM0104", "1234ABCDKAM0107", "12345678LUG0104", "1B34ABCDELS0104", "1A000001KAM0104"]),
            5,
            0,
        ),
        ("FFFFFFFF beside another", of(&["FFFFFFFFKAM0107", "1234ABCDLUG0104"]), 2, 0),
        ("heat and cooling part, a third", of(&["21500107KAM0104", "21500107KAM010A", "2150010ALUG0104"]), 3, 0),
        ("equal ids of two known makers", of(&["30137315KAM0104", "30137315LUG0104", "12345678ELS0107"]), 3, 0),
        ("equal ids of two unknown makers", of(&["30137315ZZX0104", "30137315ZZY0104", "12345678ELS0107"]), 1, 1),
        ("equal ids of one maker, numbered", numbered([Some(0x1234_5678), Some(0x2234_5678), Some(0x1234_0000)]), 3, 0),
        ("equal ids of one maker, no numbers", numbered([None; 3]), 0, 1),
        ("a third of 12 stay selected", stays(3, twelve()), 12, 0),
        ("all of 12 stay selected", stays(1, twelve()), 12, 0),
    ]
}

#[test]
fn every_meter_that_can_be_told_apart_is_found_and_the_others_are_named() {
    println!("{:36} {:>7} {:>10} {:>9} {:>9} {:>7}", "segment", "found", "collisions", "last at", "over at", "bound");
    for (name, meters, can_be_found, left) in segments() {
        let Row { found, collisions, last, over } = search(&meters);
        let (of, bound) = (meters.len(), bound(&meters, &[]));
        let times = |time: Duration| format!("{:.2} x", time.as_secs_f64() / bound.as_secs_f64());
        let bound_s = format!("{:.0} s", bound.as_secs_f64());
        println!("{name:36} {found:>3}/{of:<3} {collisions:>10} {:>9} {:>9} {bound_s:>7}", times(last), times(over));
        assert_eq!((found, collisions), (can_be_found, left), "{name}");
    }
}
