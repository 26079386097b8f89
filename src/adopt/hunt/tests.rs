use super::{Find, Hunt, Saved, Trouble};
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::mbus::link::timing::Baud;
use crate::mbus::master::conversation::LineTiming;
use crate::mbus::master::search::Found;
use crate::sim::model::Model;
use crate::sim::plan::{Faults, MeterPlan, SegmentPlan};
use crate::sim::segment::Segment;
use std::time::{Duration, Instant};

fn at(address: u8) -> PrimaryAddress {
    PrimaryAddress::new(address).expect("an address")
}

fn meter(address: u8, id: u32) -> MeterPlan {
    MeterPlan::live(Model::Heat, at(address), id)
}

/// Two meters with one identity, one at address 3, whose telegrams differ in their access numbers.
fn twins(other: u8) -> Vec<MeterPlan> {
    let second = MeterPlan { access_number: 100, delay: Duration::from_millis(37), ..meter(other, 0x6720_0512) };
    vec![meter(3, 0x6720_0512), second]
}

/// The bus's own rate alone.
fn own() -> Vec<LineTiming> {
    vec![LineTiming { retries: 0, ..LineTiming::new(Baud::DEFAULT) }]
}

fn addresses(hunt: &Hunt) -> Vec<String> {
    let mut all: Vec<String> = hunt.finds().iter().map(|find| find.address.to_string()).collect();
    all.sort();
    all
}

/// Hunts to the end; `restart` says after which steps it is taken up again from what was saved.
fn hunted(plan: SegmentPlan, rates: &[LineTiming], restart: impl Fn(u32) -> bool) -> (Hunt, u32) {
    let mut now = Instant::now();
    let mut segment = Segment::new(plan, now);
    let (mut hunt, mut steps) = (Hunt::new(rates.to_vec(), &Saved::default()), 0);
    while !hunt.is_over() {
        if let Some(baud) = hunt.baud() {
            segment.set_baud(baud);
        }
        segment.converse(&mut hunt, &mut now);
        steps += 1;
        if restart(steps) {
            let saved = serde_json::to_string(&hunt.saved()).expect("JSON");
            hunt = Hunt::new(rates.to_vec(), &serde_json::from_str(&saved).expect("JSON"));
        }
        assert!(steps < 5000, "it ends");
    }
    (hunt, steps)
}

/// Two of them with one primary address, whose telegrams differ.
fn three() -> SegmentPlan {
    let second = MeterPlan { access_number: 100, delay: Duration::from_millis(37), ..meter(0, 0x6720_0513) };
    SegmentPlan::new(vec![meter(0, 0x6720_0512), second, meter(5, 0x1234_5678)])
}

fn identities(hunt: &Hunt) -> Vec<String> {
    let mut all: Vec<String> =
        hunt.finds().iter().filter_map(|find| find.identity).map(|i| format!("{:08X}", i.id())).collect();
    all.sort();
    all
}

#[test]
fn meters_are_found_once_by_their_secondary_addresses() {
    let (hunt, _) = hunted(three(), &own(), |_| false);
    assert_eq!(identities(&hunt), ["12345678", "67200512", "67200513"]);
    assert!(hunt.finds().iter().all(|find| matches!(find.address, MeterAddress::Secondary(_))), "{:?}", hunt.finds());
    assert_eq!(hunt.troubles().count(), 0, "the collision at 0 is of two that are known");
    assert!(hunt.saved().is_over() && Hunt::new(own(), &hunt.saved()).is_over());
}

#[test]
fn a_restart_after_any_step_loses_no_meter_and_repeats_next_to_nothing() {
    let (whole, steps) = hunted(three(), &own(), |_| false);
    for only in 1..=steps {
        let (restarted, again) = hunted(three(), &own(), |step| step == only);
        assert_eq!(addresses(&restarted), addresses(&whole), "after step {only}");
        assert!(again <= steps + 20, "after step {only}: {again} steps instead of {steps}");
    }
    // never twice in a row: who answers a mask, and whether there is such a meter, are one question in two steps
    for every in [2, 7] {
        let (restarted, _) = hunted(three(), &own(), |step| step % every == 0);
        assert_eq!(addresses(&restarted), addresses(&whole), "after every {every} steps");
    }
}

#[test]
fn meters_that_share_an_identity_are_read_by_their_primary_addresses() {
    let (hunt, _) = hunted(SegmentPlan::new(twins(4)), &own(), |_| false);
    assert_eq!((addresses(&hunt), hunt.troubles().count()), (vec!["3".to_owned(), "4".to_owned()], 0));
}

#[test]
fn meters_that_cannot_be_told_apart_are_named() {
    let (hunt, _) = hunted(SegmentPlan::new(twins(3)), &own(), |_| false);
    let troubles: Vec<Trouble> = hunt.troubles().collect();
    assert!(hunt.finds().is_empty(), "{:?}", hunt.finds());
    assert!(troubles.contains(&Trouble::Collision(MeterAddress::Primary(at(3)))), "{troubles:?}");
}

#[test]
fn noise_makes_no_meter_of_its_own() {
    for seed in 1..=20 {
        let faults = Faults { corrupt_per_mille: 3, ..Faults::default() };
        let (hunt, _) = hunted(SegmentPlan { faults, seed, ..three() }, &own(), |_| false);
        let known = ["12345678", "67200512", "67200513"];
        assert!(identities(&hunt).iter().all(|id| known.contains(&id.as_str())), "{seed}: {:?}", hunt.finds());
        let mut once = identities(&hunt);
        once.dedup();
        assert_eq!(once, identities(&hunt), "{seed}");
    }
}

#[test]
fn other_rates_are_asked_for_three_probes_each_where_nobody_answers() {
    let rates: Vec<LineTiming> = [2400, 300, 9600]
        .into_iter()
        .filter_map(Baud::new)
        .map(|baud| LineTiming { retries: 0, ..LineTiming::new(baud) })
        .collect();
    let (_, alone) = hunted(three(), &own(), |_| false);
    let (hunt, steps) = hunted(three(), &rates, |_| false);
    assert_eq!((identities(&hunt).len(), steps), (3, alone + 6));
}

#[test]
fn where_one_answered_that_is_not_there_all_are_looked_for_once_more() {
    // telegrams of several meters may overlap to one that is whole, of a meter that is not there
    let identity = SecondaryAddress::parse("67200500SIM0104").expect("an address");
    let phantom = Found::Meter {
        address: MeterAddress::Secondary(identity),
        identity: Some(identity),
        fabrication_number: None,
        frame: Some(Vec::new()),
    };
    let mut now = Instant::now();
    let mut segment = Segment::new(three(), now);
    let mut hunt = Hunt::new(own(), &Saved::default());
    hunt.consider(&[phantom], Baud::DEFAULT, true);
    let mut steps = 0;
    while !hunt.is_over() {
        segment.converse(&mut hunt, &mut now);
        steps += 1;
    }
    let (_, usual) = hunted(three(), &own(), |_| false);
    assert_eq!(identities(&hunt).len(), 3);
    assert!((usual + 20..2 * usual).contains(&steps), "{steps} after {usual}");
}

#[test]
fn a_meter_that_answers_as_another_one_is_named_and_not_adopted() {
    let identity = SecondaryAddress::parse("88000001SIM0104").expect("an address");
    let mut hunt = Hunt::new(own(), &Saved::over());
    hunt.finds.push(Find { primary: Some(50), ..Find::known(MeterAddress::Secondary(identity), Baud::DEFAULT) });
    for (address, named) in [(50, 0), (51, 1)] {
        let address = MeterAddress::Primary(at(address));
        let (identity, frame) = (Some(identity), Some(Vec::new()));
        hunt.consider(&[Found::Meter { address, identity, fabrication_number: None, frame }], Baud::DEFAULT, true);
        assert_eq!((hunt.troubles().count(), hunt.is_over()), (named, true), "{address}");
    }
}

#[test]
fn noise_ends_no_search_which_goes_on_where_it_was_once_the_line_is_silent() {
    let mut now = Instant::now();
    let faults = Faults { babble_per_second: 100, ..Faults::default() };
    let mut noisy = Segment::new(SegmentPlan { faults, ..three() }, now);
    let mut hunt = Hunt::new(own(), &Saved::default());
    for _ in 0..3 {
        let mut steps = 0;
        while !hunt.is_over() {
            noisy.converse(&mut hunt, &mut now);
            steps += 1;
        }
        assert!(steps <= 3, "{steps}");
        assert!(hunt.rests() && !hunt.saved().is_over());
        assert_eq!(hunt.troubles().collect::<Vec<_>>(), [Trouble::Noise]);
        assert!(hunt.progress().stage.is_some());
        hunt.go_on();
    }
    let mut silent = Segment::new(three(), now);
    for mut hunt in [hunt.clone(), Hunt::new(own(), &hunt.saved())] {
        while !hunt.is_over() {
            silent.converse(&mut hunt, &mut now);
        }
        assert_eq!((identities(&hunt).len(), hunt.troubles().count()), (3, 0));
        assert!(!hunt.rests() && hunt.saved().is_over());
    }
}

#[test]
fn noise_in_the_middle_of_a_stage_passes_nobody_over() {
    let mut now = Instant::now();
    let mut hunt = Hunt::new(own(), &Saved::over());
    hunt.at = Some((0, super::Stage::Primary(0)));
    hunt.begin();
    let mut silent = Segment::new(three(), now);
    for _ in 0..4 {
        silent.converse(&mut hunt, &mut now); // one at 0 is a collision, the next three are nobody
    }
    let before = hunt.saved();
    let faults = Faults { babble_per_second: 100, ..Faults::default() };
    let mut noisy = Segment::new(SegmentPlan { faults, ..three() }, now);
    while !hunt.is_over() {
        noisy.converse(&mut hunt, &mut now);
        assert_eq!(hunt.saved().stage(&own()), before.stage(&own()));
    }
    hunt.go_on();
    let mut silent = Segment::new(three(), now);
    while !hunt.is_over() {
        silent.converse(&mut hunt, &mut now);
    }
    assert_eq!(identities(&hunt), ["12345678"], "the one at 5");
}

#[test]
fn a_rate_that_the_line_cannot_do_is_skipped_also_after_a_restart() {
    let rates: Vec<LineTiming> = [2400, 300, 9600].into_iter().filter_map(Baud::new).map(LineTiming::new).collect();
    let mut hunt = Hunt::new(rates.clone(), &Saved::over());
    hunt.at = Some((1, super::Stage::Secondary(vec![SecondaryAddress::ANY])));
    hunt.begin();
    assert_eq!(hunt.baud(), Baud::new(300));
    hunt.skip_rate();
    let restarted = Hunt::new(rates, &hunt.saved());
    assert_eq!((hunt.baud(), restarted.baud()), (Baud::new(9600), Baud::new(9600)));
    hunt.skip_rate();
    assert!(hunt.is_over() && hunt.saved().is_over());
}
