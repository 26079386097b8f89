//! What cellars do to a bus: damaged acknowledgements, late answers, telegrams in pieces, noise without
//! end. A readout and both kinds of search see the same meters, in virtual time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mbushat::mbus::address::MeterAddress;
use mbushat::mbus::link::timing::Baud;
use mbushat::mbus::master::conversation::{Conversation, LineTiming, Step};
use mbushat::mbus::master::exchange::Exchange;
use mbushat::mbus::master::readout::{Effort, LinkState, Readout, ReadoutError, Turn, TurnOver};
use mbushat::mbus::master::reply::{ExchangeError, Reply};
use mbushat::mbus::master::request::Request;
use mbushat::mbus::master::search::{Found, Search};
use mbushat::sim::plan::{Faults, FcbHandling, MeterPlan, SegmentPlan};
use mbushat::sim::segment::Segment;

use crate::link::{at, heat};

const TIMING: LineTiming = LineTiming::new(Baud::DEFAULT);

struct Bench {
    segment: Segment,
    now: Instant,
    links: HashMap<MeterAddress, LinkState>,
}

impl Bench {
    fn new(meters: Vec<MeterPlan>, faults: Faults) -> Self {
        let now = Instant::now();
        let segment = Segment::new(SegmentPlan { faults, ..SegmentPlan::new(meters) }, now);
        Self { segment, now, links: HashMap::new() }
    }

    fn read(&mut self, address: MeterAddress, timing: LineTiming) -> TurnOver {
        self.turn(Turn::new(address), timing)
    }

    fn turn(&mut self, turn: Turn, timing: LineTiming) -> TurnOver {
        let address = turn.address;
        let link = self.links.get(&address).copied().unwrap_or_default();
        let over = self.segment.converse(&mut Readout::new(turn, link, timing), &mut self.now);
        self.links.insert(address, over.link);
        self.now += Duration::from_secs(10);
        over
    }

    /// Addresses of the meters that a search finds.
    fn search(&mut self, mut search: Search) -> Vec<String> {
        let mut found = Vec::new();
        while !search.is_over() {
            for new in self.segment.converse(&mut search, &mut self.now) {
                match new {
                    Found::Meter { address, frame: Some(_), .. } => found.push(address.to_string()),
                    other => found.push(format!("{other:?}")),
                }
            }
        }
        self.now += Duration::from_secs(10);
        found
    }
}

/// A meter at address 2 is read in each of three turns by both addresses, and found by both searches.
fn is_seen_by_all(name: &str, meter: &MeterPlan, faults: Faults) {
    let one_probe = LineTiming { retries: 0, ..TIMING };
    let secondary = MeterAddress::Secondary(meter.identity);
    let primary = MeterAddress::Primary(at(2));
    for target in [primary, secondary] {
        let mut bench = Bench::new(vec![meter.clone()], faults);
        for turn in 0..3 {
            let over = bench.read(target, TIMING);
            assert_eq!(over.frames.as_ref().map(Vec::len), Ok(1), "{name}: turn {turn} of {target}: {over:?}");
        }
    }
    let mut bench = Bench::new(vec![meter.clone()], faults);
    for last in [2, 6] {
        let found = bench.search(Search::primary(at(0), at(last), one_probe));
        assert_eq!(found, ["2"], "{name}: addresses to {last}");
    }
    assert_eq!(bench.search(Search::secondary(Vec::new(), one_probe)), [secondary.to_string()], "{name}");
}

#[test]
fn a_damaged_acknowledgement_is_no_worse_than_none() {
    let none = Faults::default();
    is_seen_by_all("A5 for E5", &heat(2), Faults { damaged_ack_per_mille: 1000, ..none });
    is_seen_by_all("junk behind each answer", &heat(2), Faults { junk_per_mille: 1000, ..none });
    let mute = MeterPlan { acknowledges_reset: false, ..heat(2) };
    is_seen_by_all("junk, no acknowledgement of a reset", &mute, Faults { junk_per_mille: 1000, ..none });
    let simple = MeterPlan { fcb: FcbHandling::Ignored, ..heat(2) };
    let both = Faults { damaged_ack_per_mille: 1000, junk_per_mille: 1000, ..none };
    is_seen_by_all("both, no frame count bit", &simple, both);
}

#[test]
fn a_late_answer_is_waited_for() {
    for millis in [400, 700, 900, 1200, 1700, 2500] {
        let late = MeterPlan { delay: Duration::from_millis(millis), ..heat(2) };
        is_seen_by_all(&format!("{millis} ms"), &late, Faults::default());
        let mute = MeterPlan { acknowledges_reset: false, ..late };
        is_seen_by_all(&format!("{millis} ms, no acknowledgement of a reset"), &mute, Faults::default());
    }
}

#[test]
fn a_meter_slower_than_any_is_read_though_its_late_acknowledgements_come_first() {
    for millis in [3050, 3100, 3500, 4000] {
        let late = Duration::from_millis(millis);
        for repeats in [1, 2] {
            let timing = LineTiming { retries: repeats, ..TIMING };
            let mut bench = Bench::new(vec![MeterPlan { delay: late, ..heat(2) }], Faults::default());
            let over = bench.read(MeterAddress::Primary(at(2)), timing);
            assert_eq!(over.frames.as_ref().map(Vec::len), Ok(1), "{late:?}: {over:?}");
            let took = over.response_time.expect("it answered");
            assert!(took.abs_diff(late) < Duration::from_millis(60), "{late:?}: {took:?}");
        }
    }
}

#[test]
fn without_repeats_a_late_meter_is_read_all_the_same() {
    let once = LineTiming { retries: 0, ..TIMING };
    for millis in [400, 900, 1200, 2500] {
        let late = MeterPlan { delay: Duration::from_millis(millis), ..heat(2) };
        for target in [MeterAddress::Primary(at(2)), MeterAddress::Secondary(late.identity)] {
            let mut bench = Bench::new(vec![late.clone()], Faults::default());
            for turn in 0..3 {
                let over = bench.read(target, once);
                assert_eq!(over.frames.as_ref().map(Vec::len), Ok(1), "{millis} ms, turn {turn} of {target}: {over:?}");
            }
        }
    }
}

#[test]
fn a_meter_that_may_be_dead_is_found_again_by_a_request_or_a_reset_and_each_try_costs_one_timeout() {
    let power_cut = Faults { dead_for: Duration::from_secs(60), ..Faults::default() };
    let turn = |effort| Turn { effort, ..Turn::new(MeterAddress::Primary(at(2))) };
    for (wants_reset, acknowledges_reset) in [(false, true), (false, false), (true, true), (true, false)] {
        let meter = MeterPlan { wants_reset, acknowledges_reset, ..heat(2) };
        for effort in [Effort::Shortest, Effort::Short] {
            let mut bench = Bench::new(vec![meter.clone()], power_cut);
            let start = bench.now;
            assert_eq!(bench.turn(turn(Effort::Full), TIMING).frames, Err(ReadoutError::Silence));
            while bench.now < start + power_cut.dead_for {
                let over = bench.turn(turn(effort), TIMING);
                assert_eq!(over.traffic.sends, if effort == Effort::Short { 2 } else { 1 }, "{over:?}");
            }
            let tries = if effort == Effort::Short { 1 } else { 2 };
            let found = (0..tries).any(|_| bench.turn(turn(effort), TIMING).frames.is_ok());
            assert!(found, "{effort:?}: wants a reset {wants_reset}, acknowledges it {acknowledges_reset}");
        }
    }
}

#[test]
fn how_late_an_answer_was_is_known_and_the_next_turn_waits_so_long() {
    for millis in [900, 1200] {
        let mut bench =
            Bench::new(vec![MeterPlan { delay: Duration::from_millis(millis), ..heat(2) }], Faults::default());
        let primary = MeterAddress::Primary(at(2));
        let first = bench.read(primary, TIMING).response_time.expect("it answered");
        assert!(first.abs_diff(Duration::from_millis(millis)) < Duration::from_millis(60), "{first:?}");
        let second = bench.read(primary, TIMING);
        assert_eq!((second.traffic.sends, second.traffic.retries), (1, 0), "{second:?}");
    }
}

#[test]
fn a_neighbour_does_not_hide_a_late_meter_from_a_scan() {
    let late = MeterPlan { delay: Duration::from_millis(900), ..heat(2) };
    for neighbours in [vec![3], vec![1, 3], vec![3, 4, 5]] {
        let meters = neighbours.iter().map(|address| heat(*address)).chain([late.clone()]).collect();
        let one_probe = LineTiming { retries: 0, ..TIMING };
        let mut found = Bench::new(meters, Faults::default()).search(Search::primary(at(0), at(8), one_probe));
        found.sort();
        let mut all: Vec<String> = neighbours.iter().chain(&[2]).map(u8::to_string).collect();
        all.sort();
        assert_eq!(found, all);
    }
}

#[test]
fn a_late_acknowledgement_is_not_taken_for_a_meter() {
    for millis in [400, 600, 900, 1200, 1700, 2500] {
        let acknowledges_after = Some(Duration::from_millis(millis));
        let one_probe = LineTiming { retries: 0, ..TIMING };
        for timing in [one_probe, LineTiming { latency: Duration::from_millis(100), ..one_probe }] {
            let meters = vec![MeterPlan { acknowledges_after, ..heat(2) }, heat(5)];
            let found = Bench::new(meters, Faults::default()).search(Search::primary(at(0), at(9), timing));
            assert_eq!(found, ["2", "5"], "{millis} ms");
        }
    }
}

#[test]
fn a_meter_that_says_another_address_is_found_where_it_answers() {
    for said in [0, 9, 253] {
        let odd = MeterPlan { says_address: Some(said), ..heat(5) };
        for retries in [0, 1] {
            let timing = LineTiming { retries, ..TIMING };
            let mut bench = Bench::new(vec![heat(2), odd.clone(), heat(6)], Faults::default());
            assert_eq!(bench.search(Search::primary(at(0), at(8), timing)), ["2", "5", "6"], "{said}");
        }
        let over = Bench::new(vec![odd], Faults::default()).read(MeterAddress::Primary(at(5)), TIMING);
        let wrong = ExchangeError::WrongAddress { got: said, want: 5 };
        assert_eq!(over.frames, Err(ReadoutError::NoAnswer(wrong)));
    }
    for millis in [900, 1200, 1700] {
        let late = MeterPlan { delay: Duration::from_millis(millis), ..heat(2) };
        let timing = LineTiming { retries: 1, ..TIMING };
        let found = Bench::new(vec![late], Faults::default()).search(Search::primary(at(0), at(8), timing));
        assert_eq!(found, ["2"], "a late telegram is none of another address: {millis} ms");
    }
}

/// What comes of a request for data whose answer is handed on in pieces with pauses between them.
fn in_pieces(piece: usize, pause: Duration, timing: LineTiming) -> Result<Reply, ExchangeError> {
    let mut bench = Bench::new(vec![heat(2)], Faults::default());
    let frame = bench.read(MeterAddress::Primary(at(2)), TIMING).frames.expect("an answer").remove(0);
    let request = Request::req_ud2(2, true, mbushat::mbus::address::SecondaryAddress::ANY);
    let (mut exchange, mut now) = (Exchange::new(request, timing), bench.now);
    let mut pieces = frame.chunks(piece).collect::<std::collections::VecDeque<_>>();
    let mut at = None;
    loop {
        match exchange.poll(now) {
            Step::Transmit(_) => at = at.or(Some(now + Duration::from_millis(80))),
            Step::WaitUntil(until) => {
                now = at.filter(|_| !pieces.is_empty()).map_or(until, |at: Instant| at.min(until)).max(now);
                if at.is_some_and(|at| at <= now) && !pieces.is_empty() {
                    exchange.receive(pieces.pop_front().expect("not empty"), now);
                    at = Some(now + pause);
                }
            }
            Step::SetBaud(baud) => panic!("a change to {baud}"),
            Step::Done(outcome) => return outcome.reply,
        }
    }
}

#[test]
fn a_telegram_in_pieces_is_waited_for_where_its_length_says_that_more_is_coming() {
    let once = LineTiming { retries: 0, ..TIMING };
    let gateway = LineTiming { gap_timeout: Duration::from_millis(1500), latency: Duration::from_millis(100), ..once };
    for millis in [50, 200, 300, 700, 1000] {
        for piece in [4, 8, 24, 60] {
            let reply = in_pieces(piece, Duration::from_millis(millis), gateway);
            assert!(matches!(reply, Ok(Reply::Data(_))), "{piece} bytes every {millis} ms: {reply:?}");
        }
    }
    let reply = in_pieces(60, Duration::from_millis(1600), LineTiming { retries: 2, ..gateway });
    assert!(
        matches!(reply, Err(ExchangeError::InPieces { .. })),
        "what came is a whole telegram, but for its pauses: {reply:?}"
    );
    let reply = in_pieces(24, Duration::from_millis(300), once);
    assert!(
        matches!(reply, Err(ExchangeError::Garbled { .. })),
        "on a serial line the standard's 33 bits hold: {reply:?}"
    );
}

#[test]
fn noise_that_never_ends_ends_a_search_at_the_third_probe_and_a_turn() {
    let noise = Faults { babble_per_second: 100, ..Faults::default() };
    let mut bench = Bench::new(vec![heat(2)], noise);
    let started = bench.now;
    let mut search = Search::primary(at(0), at(250), LineTiming { retries: 0, ..TIMING });
    while !search.is_over() {
        assert_eq!(bench.segment.converse(&mut search, &mut bench.now), []);
    }
    assert!(search.was_never_quiet() && search.progress().done == 3, "{:?}", search.progress());
    assert!(bench.now - started < Duration::from_secs(20), "{:?}", bench.now - started);
    let over = bench.read(MeterAddress::Primary(at(2)), TIMING);
    assert_eq!(over.frames, Err(ReadoutError::NoAnswer(ExchangeError::NeverQuiet)));
}

#[test]
fn the_pause_between_two_meters_begins_with_the_last_byte_of_the_first() {
    let eleven_bits = Baud::DEFAULT.bits(11);
    let request = || Request::req_ud2(2, true, mbushat::mbus::address::SecondaryAddress::ANY);
    let start = Instant::now();
    let waits = |busy: Option<Duration>| {
        let mut exchange = Exchange::new(request(), TIMING);
        let now = start + Duration::from_secs(1);
        if let Some(busy) = busy {
            exchange.quiet_since(now.checked_sub(busy).expect("after the start"));
        }
        match exchange.poll(now) {
            Step::WaitUntil(until) => until - now,
            Step::Transmit(_) => Duration::ZERO,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(waits(None), eleven_bits, "not known: it waits");
    assert_eq!(waits(Some(Duration::ZERO)), eleven_bits);
    assert_eq!(waits(Some(Duration::from_millis(3))), eleven_bits - Duration::from_millis(3));
    assert_eq!(waits(Some(Duration::from_millis(5))), Duration::ZERO);
}
