//! Searching a simulated segment for its meters, in virtual time.
//!
//! `cargo test --test it -- --nocapture search::` prints the figures.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mbushat::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use mbushat::mbus::link::timing::Baud;
use mbushat::mbus::master::conversation::LineTiming;
use mbushat::mbus::master::exchange::LATEST_ANSWER;
use mbushat::mbus::master::readout::{LinkState, Readout, Turn};
use mbushat::mbus::master::search::{Found, Search};
use mbushat::sim::model::Model;
use mbushat::sim::plan::{Content, Faults, FcbHandling, MeterPlan, SegmentPlan};
use mbushat::sim::segment::Segment;

/// One probe for each mask.
const TIMING: LineTiming = LineTiming { retries: 0, ..LineTiming::new(Baud::DEFAULT) };

fn at(address: u8) -> PrimaryAddress {
    PrimaryAddress::new(address).expect("0 to 250")
}

/// A meter with this identity, and an answering time of its own.
fn meter(address: u8, identity: &str) -> MeterPlan {
    let identity = SecondaryAddress::parse(identity).expect("an address");
    let delay = Duration::from_millis(20 + u64::from(identity.id() % 7) * 5);
    // Two meters never have the same values to the last bit.
    let kind = usize::from(identity.to_wire().iter().fold(0, |sum, byte| sum ^ byte) % 5);
    let (_, model) = Model::ALL.into_iter().nth(kind).expect("nine models");
    MeterPlan { identity, delay, ..MeterPlan::live(model, at(address), 0) }
}

fn run(search: &mut Search, segment: &mut Segment, now: &mut Instant) -> Vec<Found> {
    let mut findings = Vec::new();
    while !search.is_over() {
        findings.extend(segment.converse(search, now));
        assert!(search.progress().done < 20_000, "it ends");
    }
    assert_eq!(search.progress().left, 0);
    findings
}

fn search(meters: Vec<MeterPlan>, faults: Faults, mut search: Search) -> (Vec<Found>, Duration) {
    let start = Instant::now();
    let mut now = start;
    let mut segment = Segment::new(SegmentPlan { faults, ..SegmentPlan::new(meters) }, now);
    let findings = run(&mut search, &mut segment, &mut now);
    (findings, now - start)
}

fn identities(findings: &[Found]) -> BTreeSet<String> {
    let identity = |finding: &Found| match finding {
        Found::Meter { identity, .. } => identity.map(|identity| identity.to_string()),
        Found::Collision(_) => None,
    };
    findings.iter().filter_map(identity).collect()
}

/// Twenty meters of four makers; the last two share the identification number of the first.
fn twenty() -> Vec<MeterPlan> {
    let ids = ["30137315", "30137402", "20230018", "20230019", "20231177", "00012345", "67120044", "67120951"];
    let more = ["55500001", "55510001", "48210733", "91700001", "10203040", "10203055", "76543210", "81110009"];
    let mut all: Vec<MeterPlan> = ids.iter().chain(&more).map(|id| meter(0, &format!("{id}KAM0104"))).collect();
    all.extend(["44332211PAD0107", "90000000ABB0202", "30137315LUG0107", "12121212SIM0106"].map(|id| meter(0, id)));
    all
}

fn wanted(meters: &[MeterPlan]) -> BTreeSet<String> {
    meters.iter().map(|meter| meter.identity.to_string()).collect()
}

/// The shortest time of a tree search with one probe for each mask: silence costs the timeout, an
/// answer the selection, its acknowledgement, a request and its telegram of 100 bytes.
fn ideal(meters: &[MeterPlan], mask: SecondaryAddress) -> Duration {
    let baud = Baud::DEFAULT;
    let matching: Vec<MeterPlan> = meters.iter().filter(|m| mask.matches(m.identity)).cloned().collect();
    let Some(first) = matching.first() else { return baud.characters(17) + TIMING.response_timeout };
    let answered = baud.characters(17 + 1 + 1 + 5 + 100 + 1) + 2 * first.delay;
    if matching.len() == 1 {
        return answered;
    }
    let wire = mask.to_wire();
    let digit = (0..8).find(|digit| (mask.id() >> (28 - 4 * digit)) & 0xF == 0xF);
    let children: Vec<SecondaryAddress> = match digit {
        Some(digit) => (0..10)
            .map(|value| {
                let shift = 28 - 4 * digit;
                let [a, b, c, d] = (mask.id() & !(0xF << shift) | value << shift).to_le_bytes();
                let [_, _, _, _, m, n, version, medium] = wire;
                SecondaryAddress::from_wire([a, b, c, d, m, n, version, medium])
            })
            .collect(),
        None => (0..0x40)
            .map(|medium| {
                let [a, b, c, d, m, n, version, _] = wire;
                SecondaryAddress::from_wire([a, b, c, d, m, n, version, medium])
            })
            .collect(),
    };
    answered + children.into_iter().map(|child| ideal(&matching, child)).sum::<Duration>()
}

#[test]
fn twenty_meters_are_found_though_two_share_an_id() {
    let meters = twenty();
    let (findings, took) = search(meters.clone(), Faults::default(), Search::secondary(Vec::new(), TIMING));
    assert_eq!(identities(&findings), wanted(&meters));
    assert_eq!(findings.len(), 20, "each once");
    let bound = ideal(&meters, SecondaryAddress::ANY);
    println!("secondary search of 20 meters at 2400 baud: {took:?}, ideal tree {bound:?}");
    assert!(took <= bound.mul_f64(1.15), "{took:?}, ideal {bound:?}");
}

#[test]
fn noise_costs_a_search_time_but_no_meter() {
    let meters = twenty();
    let faults = Faults { noise_per_mille: 100, corrupt_per_mille: 1, echo: true, ..Faults::default() };
    let (findings, _) =
        search(meters.clone(), faults, Search::secondary(Vec::new(), LineTiming { retries: 2, ..TIMING }));
    let missing: Vec<_> = wanted(&meters).difference(&identities(&findings)).cloned().collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn ids_with_hexadecimal_digits_are_found_where_decimal_ones_do_not_explain_the_answer() {
    for ids in [["1A000001KAM0104", "1B000001KAM0104"], ["1A000001KAM0104", "10000001KAM0104"]] {
        let meters = ids.map(|id| meter(0, id)).to_vec();
        let (findings, _) = search(meters.clone(), Faults::default(), Search::secondary(Vec::new(), TIMING));
        assert_eq!(identities(&findings), wanted(&meters));
    }
}

#[test]
fn equal_ids_are_told_apart_by_type_version_and_maker() {
    for other in ["30137315KAM0107", "30137315KAM0304", "30137315LUG0104"] {
        let meters = vec![meter(0, "30137315KAM0104"), meter(0, other), meter(0, "00000001LUG0104")];
        let (findings, _) = search(meters.clone(), Faults::default(), Search::secondary(Vec::new(), TIMING));
        assert_eq!(identities(&findings), wanted(&meters), "{other}");
    }
}

#[test]
fn slow_meters_are_found_beside_fast_ones_and_beside_each_other() {
    let slow = |id: &str, millis| MeterPlan { delay: Duration::from_millis(millis), ..meter(0, id) };
    for millis in [900, 1200, 2500] {
        for ids in [["30137315KAM0104", "67120044KAM0104"], ["30137315KAM0104", "30137402LUG0107"]] {
            let [fast, late] = ids;
            for meters in [
                vec![meter(0, fast), slow(late, millis)],
                vec![slow(fast, millis), slow(late, millis + 100)],
                vec![meter(0, fast), slow(late, millis), meter(0, "30999999KAM0104")],
            ] {
                let (findings, took) = search(meters.clone(), Faults::default(), Search::secondary(Vec::new(), TIMING));
                assert_eq!(identities(&findings), wanted(&meters), "{millis} ms, {ids:?}");
                assert_eq!(findings.len(), meters.len(), "each once: {findings:?}");
                println!("{} meters, slow ones of {millis} ms among them: {took:?}", meters.len());
            }
        }
    }
}

#[test]
fn versions_that_no_other_meter_has_are_tried_too() {
    let ids = ["30137315KAM0104", "30137315KAM0204", "30137315KAM0704", "00000001LUG0104", "00000002LUG0204"];
    let meters = ids.map(|id| meter(0, id)).to_vec();
    let (findings, _) = search(meters.clone(), Faults::default(), Search::secondary(Vec::new(), TIMING));
    assert_eq!(identities(&findings), wanted(&meters));
}

#[test]
fn a_collision_is_named_once_by_the_narrowest_mask() {
    for id in ["11111111ZZY0104", "11111111KAM0104", "1A111111ZZY0104"] {
        for alone in [true, false] {
            let mut twins = vec![meter(1, id), MeterPlan { access_number: 9, ..meter(2, id) }];
            twins.extend((!alone).then(|| meter(3, "20000001KAM0104")));
            let (findings, _) = search(twins, Faults::default(), Search::secondary(Vec::new(), TIMING));
            let collisions = findings.iter().filter(|found| matches!(found, Found::Collision(_)));
            assert_eq!(collisions.count(), 1, "{findings:?}");
        }
    }
}

#[test]
fn meters_that_nothing_tells_apart_are_named_as_a_collision() {
    let twins = vec![meter(1, "30137315KAM0104"), MeterPlan { access_number: 9, ..meter(2, "30137315KAM0104") }];
    let mask = vec![SecondaryAddress::parse("30137315").expect("a mask")];
    let (findings, _) = search(twins, Faults::default(), Search::secondary(mask, TIMING));
    assert!(matches!(findings.as_slice(), [Found::Collision(MeterAddress::Secondary(_))]), "{findings:?}");
}

/// Meters with the very same identity and these fabrication numbers, and what a search makes of them.
fn fabricated(numbers: &[Option<u32>], looks: bool) -> (BTreeSet<String>, usize) {
    let twin = |(address, number): (u8, &Option<u32>)| {
        let delay = Duration::from_millis(20 + 7 * u64::from(address));
        MeterPlan {
            fabrication_number: *number,
            heeds_fabrication_number: looks,
            access_number: address,
            delay,
            ..meter(address, "30137315KAM0104")
        }
    };
    let mask = vec![SecondaryAddress::parse("30137315KAM0104").expect("a mask")];
    let meters: Vec<MeterPlan> = (1..).zip(numbers).map(twin).collect();
    let mut search = Search::secondary(mask, TIMING);
    let mut now = Instant::now();
    let findings = run(&mut search, &mut Segment::new(SegmentPlan::new(meters), now), &mut now);
    assert!(search.progress().done < 100, "{:?}", search.progress());
    let numbers = findings.iter().filter_map(|finding| match finding {
        Found::Meter { fabrication_number, .. } => fabrication_number.map(|number| format!("{number:08X}")),
        Found::Collision(_) => None,
    });
    let collisions = findings.iter().filter(|finding| matches!(finding, Found::Collision(_))).count();
    (numbers.collect(), collisions)
}

#[test]
fn meters_with_one_identity_are_told_apart_by_their_fabrication_numbers() {
    let set = |numbers: &[&str]| numbers.iter().map(|number| (*number).to_owned()).collect::<BTreeSet<_>>();
    let some = |numbers: &[u32]| numbers.iter().copied().map(Some).collect::<Vec<_>>();
    let far = fabricated(&some(&[0x1234_5678, 0x0234_5678]), true);
    assert_eq!(far, (set(&["1FFFFFFF", "0FFFFFFF"]), 0));
    let near = fabricated(&some(&[0x1234_5678, 0x1234_5679, 0x9000_0000]), true);
    assert_eq!(near, (set(&["12345678", "12345679", "9FFFFFFF"]), 0));
}

#[test]
fn a_sum_of_three_meters_that_is_the_telegram_of_one_is_no_fourth_meter() {
    // the telegrams of the first two, which differ in their addresses alone, add up to that of the third
    let triplet = |(address, number): (u8, u32)| {
        let delay = Duration::from_millis(30);
        MeterPlan { fabrication_number: Some(number), delay, ..meter(address, "12345678SIM0104") }
    };
    let meters = (1..).zip([0x1000_0001, 0x1000_0002, 0x2000_0002]).map(triplet).collect();
    let mask = vec![SecondaryAddress::parse("12345678").expect("a mask")];
    let (found, _) = search(meters, Faults::default(), Search::secondary(mask, TIMING));
    let hidden = |earlier: &&Found| found.iter().any(|other| other.was_hidden_by(earlier));
    assert_eq!((found.len(), found.iter().filter(hidden).count()), (4, 1), "{found:?}");
}

#[test]
fn meters_that_no_fabrication_number_tells_apart_are_a_duplicate_id() {
    let one = Some(0x1234_5678);
    assert_eq!(fabricated(&[one, one], true).1, 1, "the same number");
    assert_eq!(fabricated(&[None, None], true), (BTreeSet::new(), 1), "no number");
    assert_eq!(fabricated(&[one, None], true).1, 1, "one without");
    assert_eq!(fabricated(&[one, Some(1)], false), (BTreeSet::new(), 1), "they do not look at it");
}

#[test]
fn twins_of_makers_that_nobody_knows_are_not_passed_over() {
    let twins = ["30137315ZZY0104", "30137315ZZX0104"].map(|id| meter(0, id)).to_vec();
    let (findings, _) = search(twins, Faults::default(), Search::secondary(Vec::new(), TIMING));
    assert!(matches!(findings.as_slice(), [Found::Collision(MeterAddress::Secondary(_))]), "{findings:?}");
}

#[test]
fn new_meters_that_answer_in_step_are_not_taken_for_one_that_is_not_there() {
    for volume in 0..=u8::MAX {
        let content = Content::Telegrams(vec![vec![0x01, 0x13, volume]]);
        let delay = Duration::from_millis(30);
        let new = |id: &str| MeterPlan { content: content.clone(), delay, ..meter(0, id) };
        let meters: Vec<MeterPlan> = ["67200501SIM0107", "67200502SIM0107", "67200503SIM0107"].map(new).to_vec();
        let (findings, _) = search(meters.clone(), Faults::default(), Search::secondary(Vec::new(), TIMING));
        assert_eq!(identities(&findings), wanted(&meters), "volume {volume}");
    }
}

#[test]
fn a_moment_of_noise_does_not_divide_the_tree() {
    let faults = Faults { noise_per_mille: 100, ..Faults::default() };
    let mut probes = 0;
    for seed in 0..50 {
        let mut now = Instant::now();
        let plan = SegmentPlan { faults, seed, ..SegmentPlan::new(vec![meter(0, "12345678KAM0104")]) };
        let (mut segment, mut search) = (Segment::new(plan, now), Search::secondary(Vec::new(), TIMING));
        assert_eq!(run(&mut search, &mut segment, &mut now).len(), 1);
        probes += search.progress().done;
    }
    assert!(probes < 165, "{probes} probes to find one meter 50 times, each with one for the digits that it says");
}

#[test]
fn a_hint_spares_the_rest_of_the_tree() {
    let hint = vec![SecondaryAddress::parse("2023????").expect("a mask")];
    let (findings, took) = search(twenty(), Faults::default(), Search::secondary(hint, TIMING));
    assert_eq!(identities(&findings).len(), 3);
    // nine masks with one decimal digit more for each of two digits, twenty with A to E
    assert!(took < Duration::from_secs(42), "{took:?}");
}

#[test]
fn every_primary_address_is_probed_once_and_shared_ones_are_named() {
    let mut meters: Vec<MeterPlan> = [1, 48, 100, 200].map(|a| meter(a, &format!("{:08}KAM0104", a))).to_vec();
    meters.push(meter(77, "00000077KAM0104"));
    let (findings, took) = search(meters.clone(), Faults::default(), Search::primary(at(0), at(250), TIMING));
    let addresses: Vec<String> = findings
        .iter()
        .map(|finding| match finding {
            Found::Meter { address, frame: Some(_), .. } => address.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(addresses, ["1", "48", "77", "100", "200"]);
    let baud = Baud::DEFAULT;
    // the last one is waited for as long as the slowest meters take
    let bound = (baud.characters(5) + TIMING.response_timeout) * 245
        + LATEST_ANSWER
        + meters.iter().map(|meter| baud.characters(5 + 1 + 1) + meter.delay).sum::<Duration>();
    println!("primary scan of 251 addresses with 5 meters at 2400 baud: {took:?}, bound {bound:?}");
    assert!(took <= bound.mul_f64(1.05), "{took:?}, bound {bound:?}");

    meters.push(meter(77, "99000077KAM0104"));
    let (findings, _) = search(meters, Faults::default(), Search::primary(at(70), at(80), TIMING));
    assert_eq!(findings, [Found::Collision(MeterAddress::Primary(at(77)))]);
}

#[test]
fn meters_that_never_acknowledge_a_reset_and_such_without_data_are_found_at_their_addresses() {
    let deaf = |address: u8, fcb| {
        let meter = meter(address, &format!("{address:08}KAM0104"));
        MeterPlan { acknowledges_reset: false, fcb, ..meter }
    };
    let empty = MeterPlan { content: Content::Telegrams(Vec::new()), ..meter(9, "00000009KAM0104") };
    let meters = vec![deaf(3, FcbHandling::Strict), deaf(5, FcbHandling::Ignored), empty];
    let start = Instant::now();
    let (mut now, mut found) = (start, Vec::new());
    let mut segment = Segment::new(SegmentPlan::new(meters), now);
    // The second time round the meters have been asked before.
    for _ in 0..2 {
        let findings = run(&mut Search::primary(at(0), at(10), TIMING), &mut segment, &mut now);
        found.extend(findings.into_iter().map(|finding| match finding {
            Found::Meter { address, frame, .. } => (address.to_string(), frame.is_some()),
            Found::Collision(address) => panic!("a collision at {address}"),
        }));
    }
    let once = [("3", true), ("5", true), ("9", false)].map(|(address, data)| (address.to_owned(), data));
    assert_eq!(found, [once.clone(), once].concat());
}

#[test]
fn readouts_between_two_probes_stay_fresh_and_the_search_stays_whole() {
    let mut now = Instant::now();
    let meters: Vec<MeterPlan> = twenty().into_iter().enumerate().map(|(n, meter)| numbered(n, meter)).collect();
    let mut segment = Segment::new(SegmentPlan::new(meters.clone()), now);
    let (mut link, mut earlier, mut found) = (LinkState::default(), BTreeSet::new(), Vec::new());
    // Both ways round, so that the meter's frame count bit is once this and once that when it is probed.
    let searches = [(0, 30), (4, 4), (3, 30)].map(|(first, last)| Search::primary(at(first), at(last), TIMING));
    for mut search in searches.into_iter().chain([Search::secondary(Vec::new(), TIMING)]) {
        while !search.is_over() {
            for new in segment.converse(&mut search, &mut now) {
                if let Found::Meter { frame: Some(frame), .. } = &new {
                    earlier.insert(frame.clone());
                }
                found.push(new);
            }
            let mut readout = Readout::new(Turn::new(MeterAddress::Primary(at(3))), link, TIMING);
            let over = segment.converse(&mut readout, &mut now);
            link = over.link;
            for frame in over.frames.expect("an answer") {
                assert!(earlier.insert(frame), "an old answer");
            }
            now += Duration::from_secs(1);
        }
    }
    assert_eq!(identities(&found), wanted(&meters));
    assert_eq!(found.len(), 20 + 1 + 17 + 20, "each by both addresses");
}

fn numbered(n: usize, meter: MeterPlan) -> MeterPlan {
    MeterPlan { address: at(u8::try_from(n).expect("20 meters")), ..meter }
}
