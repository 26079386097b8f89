//! A meter's turn against the simulated segment, in virtual time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mbushat::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use mbushat::mbus::application::header::Status;
use mbushat::mbus::application::security::Key;
use mbushat::mbus::application::telegram::Telegram;
use mbushat::mbus::link::frame::Frame;
use mbushat::mbus::link::timing::Baud;
use mbushat::mbus::master::conversation::{Conversation, LineTiming, Step};
use mbushat::mbus::master::exchange::{Exchange, LATEST_ANSWER};
use mbushat::mbus::master::readout::{Effort, LinkState, Readout, ReadoutError, Turn, TurnOver};
use mbushat::mbus::master::reply::{ExchangeError, Reply};
use mbushat::mbus::master::request::Request;
use mbushat::sim::known::{ats, sdm220};
use mbushat::sim::model::Model;
use mbushat::sim::plan::{Content, Faults, FcbHandling, MeterPlan, SegmentPlan};
use mbushat::sim::segment::Segment;

/// A segment, its clock, and what the master remembers of each meter.
pub(crate) struct Bench {
    pub(crate) segment: Segment,
    pub(crate) now: Instant,
    pub(crate) timing: LineTiming,
    links: HashMap<MeterAddress, LinkState>,
}

impl Bench {
    pub(crate) fn new(plan: SegmentPlan) -> Self {
        let now = Instant::now();
        let timing = LineTiming::new(plan.baud);
        Self { segment: Segment::new(plan, now), now, timing, links: HashMap::new() }
    }

    pub(crate) fn read(&mut self, address: u8) -> TurnOver {
        self.turn(Turn::new(MeterAddress::Primary(at(address))))
    }

    fn turn(&mut self, turn: Turn) -> TurnOver {
        let address = turn.address;
        let link = self.links.get(&address).copied().unwrap_or_default();
        let over = self.segment.converse(&mut Readout::new(turn, link, self.timing), &mut self.now);
        self.links.insert(address, over.link);
        over
    }

    fn ask(&mut self, request: Request) -> Result<Reply, ExchangeError> {
        self.segment.converse(&mut Exchange::new(request, self.timing), &mut self.now).reply
    }

    /// A turn, and what the master sends in it: how long the line was quiet before, and the frame.
    fn sent(&mut self, turn: Turn) -> (TurnOver, Vec<(Duration, Vec<u8>)>) {
        let link = self.links.get(&turn.address).copied().unwrap_or_default();
        let address = turn.address;
        let (mut readout, mut sent, mut heard) = (Readout::new(turn, link, self.timing), Vec::new(), self.now);
        loop {
            match readout.poll(self.now) {
                Step::Transmit(bytes) => {
                    self.segment.receive(&bytes, self.now);
                    sent.push((self.now - heard, bytes));
                }
                Step::WaitUntil(until) => {
                    self.now = self.segment.next_wake().map_or(until, |wake| wake.min(until)).max(self.now);
                    for byte in self.segment.poll(self.now) {
                        heard = self.now;
                        readout.receive(&[byte.byte], self.now);
                    }
                }
                Step::SetBaud(baud) => panic!("a change to {baud}"),
                Step::Done(over) => {
                    self.links.insert(address, over.link);
                    return (over, sent);
                }
            }
        }
    }

    /// How long `what` takes.
    fn time<T>(&mut self, what: impl FnOnce(&mut Self) -> T) -> (T, Duration) {
        let start = self.now;
        (what(self), self.now - start)
    }
}

pub(crate) fn at(address: u8) -> PrimaryAddress {
    PrimaryAddress::new(address).expect("0 to 250")
}

fn segment(meters: Vec<MeterPlan>) -> Bench {
    Bench::new(SegmentPlan::new(meters))
}

pub(crate) fn faulty(meters: Vec<MeterPlan>, faults: Faults, seed: u64) -> Bench {
    Bench::new(SegmentPlan { faults, seed, ..SegmentPlan::new(meters) })
}

/// A strict meter whose telegram is 74 bytes long and never twice the same.
pub(crate) fn heat(address: u8) -> MeterPlan {
    MeterPlan::live(Model::Heat, at(address), 0x1000_0000 + u32::from(address))
}

#[test]
fn the_two_published_meters_are_read() {
    let mut bench = segment(vec![ats(at(48)), sdm220(at(1))]);
    let frames = bench.read(48).frames.expect("an answer");
    assert_eq!(frames.len(), 1);
    assert_eq!((frames[0].len(), frames[0][65]), (67, 0xDD));
    let turn = Turn { requests: vec![0xB1], ..Turn::new(MeterAddress::Primary(at(1))) };
    for _ in 0..3 {
        let over = bench.turn(turn.clone());
        let lengths: Vec<usize> = over.frames.expect("an answer").iter().map(Vec::len).collect();
        assert_eq!(lengths, [99, 65]);
        assert!(over.unanswered.is_empty());
    }
}

#[test]
fn a_simulated_meter_says_its_status_encrypted_or_not() {
    for key in [None, Some(Key::new([7; 16]))] {
        let mut bench = segment(vec![MeterPlan { status: 0x14, key, ..heat(1) }]);
        let frames = bench.read(1).frames.expect("an answer");
        let frame = Frame::parse(&frames[0]).expect("a frame");
        let telegram = Telegram::parse(&frame).expect("a telegram");
        assert_eq!(telegram.status(), Some(Status(0x14)));
    }
}

#[test]
fn a_plain_readout_takes_no_longer_than_the_wire_does() {
    let mut bench = segment(vec![heat(1)]);
    bench.read(1).frames.expect("an answer");
    let before = bench.segment.counts().bound;
    let (over, took) = bench.time(|bench| bench.read(1));
    assert_eq!(over.traffic.sends, 1, "the reset is not repeated");
    let bound = bench.segment.counts().bound - before;
    assert!(took <= bound + Duration::from_millis(1), "{took:?}, bound {bound:?}");
}

/// What the schedule asks of a meter that is known to be silent.
fn shortest(address: u8) -> Turn {
    Turn { effort: Effort::Shortest, ..Turn::new(MeterAddress::Primary(at(address))) }
}

#[test]
fn a_silent_meter_costs_its_own_timeouts_and_its_neighbours_nothing() {
    let silent = MeterPlan { silent: true, ..heat(2) };
    let mut bench = segment(vec![heat(1), silent, heat(3)]);
    let timeout = Baud::DEFAULT.response_timeout() + Baud::DEFAULT.characters(7);
    let (first, took) = bench.time(|bench| bench.read(2));
    assert_eq!(first.frames, Err(ReadoutError::Silence));
    assert_eq!(first.traffic.sends, 4, "three resets and one request");
    assert!(took <= 3 * timeout + LATEST_ANSWER + Baud::DEFAULT.characters(7), "{took:?}");
    let (again, took) = bench.time(|bench| bench.turn(shortest(2)));
    assert_eq!((again.frames, again.traffic.sends), (Err(ReadoutError::Silence), 1));
    assert!(took <= timeout, "{took:?}");
    for address in [1, 3] {
        let over = bench.read(address);
        assert_eq!((over.frames.map(|frames| frames.len()), over.traffic.retries), (Ok(1), 0));
    }
}

#[test]
fn a_meter_that_comes_back_is_reset_before_its_answer_counts() {
    let mut bench = segment(vec![heat(1)]);
    let over = bench.turn(shortest(1));
    assert!(over.frames.is_ok());
    assert_eq!(over.traffic.sends, 3, "a probe, the reset, the request");
    assert_eq!(bench.read(1).traffic.sends, 1);
}

#[test]
fn a_meter_that_never_acknowledges_a_reset_is_read_all_the_same() {
    for fcb in [FcbHandling::Strict, FcbHandling::Ignored] {
        let mut bench = segment(vec![MeterPlan { acknowledges_reset: false, fcb, ..heat(1) }]);
        assert!(bench.read(1).frames.is_ok());
        assert_eq!(bench.read(1).traffic.sends, 1, "learnt");
    }
}

#[test]
fn a_meter_exchanged_for_one_that_never_acknowledges_a_reset_is_read_in_its_second_turn() {
    let mut bench = segment(vec![heat(1)]);
    assert!(bench.read(1).frames.is_ok());
    for next in [MeterPlan { silent: true, ..heat(1) }, MeterPlan { acknowledges_reset: false, ..heat(1) }] {
        bench.segment = Segment::new(SegmentPlan::new(vec![next]), bench.now);
        bench.read(1);
    }
    assert!(bench.read(1).frames.is_ok());
    bench.links.values_mut().for_each(LinkState::doubt);
    assert!(bench.turn(shortest(1)).frames.is_ok());
}

#[test]
fn an_answer_that_lay_unread_while_the_program_was_stopped_is_asked_for_again() {
    for stopped_for in [Duration::from_secs(3), Duration::from_secs(600)] {
        for bytes_before in [0, 20] {
            let mut bench = segment(vec![heat(1)]);
            bench.read(1).frames.expect("an answer");
            let link = bench.links[&MeterAddress::Primary(at(1))];
            let mut readout = Readout::new(Turn::new(MeterAddress::Primary(at(1))), link, bench.timing);
            bench.segment.take_answers();
            let (segment, now) = (&mut bench.segment, &mut bench.now);
            let mut heard = 0;
            while heard < bytes_before || heard == 0 && segment.take_answers().is_empty() {
                match readout.poll(*now) {
                    Step::Transmit(bytes) => segment.receive(&bytes, *now),
                    Step::WaitUntil(until) => *now = segment.next_wake().map_or(until, |wake| wake.min(until)),
                    other => panic!("{other:?}"),
                }
                for byte in segment.poll(*now) {
                    readout.receive(&[byte.byte], *now);
                    heard += 1;
                }
            }
            *now += stopped_for;
            let old: Vec<u8> = segment.poll(*now).into_iter().map(|heard| heard.byte).collect();
            assert!(!old.is_empty());
            readout.receive(&old, *now);
            let asked_again = *now;
            let over = segment.converse(&mut readout, now);
            let frames = over.frames.expect("a fresh answer");
            let fresh = segment.take_answers().into_iter().find(|answer| answer.frame == frames[0]);
            assert!(fresh.expect("an answer").at > asked_again, "{stopped_for:?}");
        }
    }
}

/// `10 C A CS 16`.
fn short(c: u8, a: u8) -> Vec<u8> {
    vec![0x10, c, a, c.wrapping_add(a), 0x16]
}

#[test]
fn the_frame_count_bit_toggles_after_an_answer_and_a_repeat_keeps_it() {
    let mut bench = segment(vec![heat(1)]);
    let turn = Turn::new(MeterAddress::Primary(at(1)));
    let frames = |bench: &mut Bench| bench.sent(turn.clone()).1.into_iter().map(|(_, frame)| frame).collect::<Vec<_>>();
    assert_eq!(frames(&mut bench), [short(0x40, 1), short(0x7B, 1)]);
    assert_eq!(frames(&mut bench), [short(0x5B, 1)]);
    assert_eq!(frames(&mut bench), [short(0x7B, 1)]);
    let faults = Faults { wrong_checksum_per_mille: 1000, ..Faults::default() };
    let (good, bad) = (SegmentPlan::new(vec![heat(1)]), SegmentPlan { faults, ..SegmentPlan::new(vec![heat(1)]) });
    bench.segment = Segment::new(bad, bench.now);
    assert_eq!(frames(&mut bench), [short(0x5B, 1), short(0x5B, 1), short(0x5B, 1)], "the same three times");
    bench.segment = Segment::new(good, bench.now);
    assert_eq!(frames(&mut bench), [short(0x40, 1), short(0x7B, 1)], "in doubt after a failure");
}

#[test]
fn a_broken_answer_is_followed_by_33_bit_times_of_silence() {
    let faults = Faults { wrong_checksum_per_mille: 1000, ..Faults::default() };
    let mut bench = faulty(vec![heat(1)], faults, 1);
    // So short that the answer ends after it.
    bench.timing.response_timeout = Duration::from_millis(60);
    let (over, sent) = bench.sent(Turn::new(MeterAddress::Primary(at(1))));
    assert!(over.frames.is_err());
    let repeats: Vec<Duration> = sent.windows(2).filter(|two| two[0].1 == two[1].1).map(|two| two[1].0).collect();
    assert_eq!(repeats.len(), 2);
    assert!(repeats.iter().all(|quiet| *quiet >= Baud::DEFAULT.bits(33)), "{repeats:?}");
}

#[test]
fn an_application_is_selected_after_the_reset_and_before_the_data() {
    let mut bench = segment(vec![heat(1)]);
    let turn = Turn { application_select: Some(0x50), ..Turn::new(MeterAddress::Primary(at(1))) };
    for _ in 0..2 {
        let (over, sent) = bench.sent(turn.clone());
        assert!(over.frames.is_ok());
        let select = vec![0x68, 4, 4, 0x68, 0x53, 0x01, 0x50, 0x50, 0xF4, 0x16];
        let frames: Vec<Vec<u8>> = sent.into_iter().map(|(_, frame)| frame).collect();
        assert_eq!(frames, [short(0x40, 1), select, short(0x7B, 1)]);
    }
}

#[test]
fn an_alarm_is_asked_for_and_a_broadcast_is_obeyed_unanswered() {
    let mut bench = segment(vec![heat(1)]);
    assert_eq!(bench.ask(Request::req_ud1(1)), Ok(Reply::Ack), "no alarm");
    assert!(
        matches!(bench.ask(Request::req_ud2(254, true, SecondaryAddress::ANY)), Ok(Reply::Data(frame)) if frame[5] == 1)
    );
    let (reply, took) = bench.time(|bench| bench.ask(Request::snd_ud(255, false, 0x51, &[0x01, 0x7A, 9])));
    assert_eq!(reply, Ok(Reply::None));
    assert!(took < Duration::from_millis(100), "nobody is waited for: {took:?}");
    assert_eq!(bench.ask(Request::snd_nke(9)), Ok(Reply::Ack), "its new address");
    let mut two = segment(vec![heat(1), MeterPlan { delay: Duration::from_millis(50), ..heat(2) }]);
    assert!(matches!(two.ask(Request::req_ud2(254, true, SecondaryAddress::ANY)), Err(ExchangeError::Garbled { .. })));
}

#[test]
fn a_meter_without_data_says_so() {
    let empty = MeterPlan { content: Content::Telegrams(Vec::new()), ..heat(1) };
    let mut bench = segment(vec![empty]);
    assert_eq!(bench.read(1).frames, Err(ReadoutError::NoData));
}

#[test]
fn a_selected_meter_is_read_and_released() {
    let (mine, other) = (heat(1), heat(1)); // one primary address, as delivered
    let other = MeterPlan { identity: SecondaryAddress::parse("20000001SIM0104").expect("an address"), ..other };
    let mut bench = segment(vec![mine.clone(), other.clone()]);
    for identity in [mine.identity, other.identity, mine.identity] {
        let over = bench.turn(Turn::new(MeterAddress::Secondary(identity)));
        let frames = over.frames.expect("an answer");
        assert_eq!(frames[0][7..15], identity.to_wire());
        assert_eq!(over.traffic.sends, 3, "selection, request, release");
        assert_eq!(bench.ask(Request::snd_nke(253)), Err(ExchangeError::Silence), "nobody is selected");
    }
    let mask = SecondaryAddress::parse("2???????").expect("a mask");
    assert!(bench.turn(Turn::new(MeterAddress::Secondary(mask))).frames.is_ok());
    let nobody = SecondaryAddress::parse("30000000").expect("an id");
    assert_eq!(bench.turn(Turn::new(MeterAddress::Secondary(nobody))).frames, Err(ReadoutError::Silence));
    let both = bench.turn(Turn::new(MeterAddress::Secondary(SecondaryAddress::ANY)));
    assert!(matches!(both.frames, Err(ReadoutError::NoAnswer(ExchangeError::Garbled { .. }))), "{:?}", both.frames);
}

#[test]
fn a_fabrication_number_tells_twins_apart() {
    let twin = |number| MeterPlan { fabrication_number: Some(number), ..heat(1) };
    let mut bench = segment(vec![twin(0x0000_0001), twin(0x0000_0002), heat(1)]);
    let identity = heat(1).identity;
    assert_eq!(bench.ask(Request::select_fabrication(identity, 0xFFFF_FFF2)), Ok(Reply::Ack));
    assert!(matches!(bench.ask(Request::req_ud2(253, true, identity)), Ok(Reply::Data(_))), "one alone answers");
    assert_eq!(bench.ask(Request::select_fabrication(identity, 0x0000_0003)), Err(ExchangeError::Silence));
}

#[test]
fn the_answer_of_another_meter_is_refused() {
    let faults = Faults { wrong_address_per_mille: 1000, ..Faults::default() };
    let mut bench = faulty(vec![heat(5)], faults, 1);
    let want = ExchangeError::WrongAddress { got: 6, want: 5 };
    assert_eq!(bench.ask(Request::req_ud2(5, true, SecondaryAddress::ANY)), Err(want));
    assert_eq!(bench.segment.counts().requests, 3, "three sends in all");
}

#[test]
fn a_meter_that_was_not_selected_is_refused() {
    let mut bench = segment(vec![heat(5)]);
    assert_eq!(bench.ask(Request::select(SecondaryAddress::ANY)), Ok(Reply::Ack));
    let want = SecondaryAddress::parse("20000001").expect("an id");
    let refused = ExchangeError::WrongIdentity { got: heat(5).identity, want };
    assert_eq!(bench.ask(Request::req_ud2(253, true, want)), Err(refused));
}

#[test]
fn nothing_is_sent_into_a_late_answer() {
    // later than the master waits: its repeat is answered twice
    let faults = Faults { late_per_mille: 300, late_by: Duration::from_millis(600), ..Faults::default() };
    let mut bench = faulty(vec![heat(1), heat(2)], faults, 3);
    for round in 0..200 {
        for address in [1, 2] {
            let over = bench.read(address);
            for frame in over.frames.iter().flatten() {
                assert_eq!(frame[5], address, "round {round}");
            }
        }
    }
    let counts = bench.segment.counts();
    assert!(counts.answers > counts.intact, "some were late");
    // A repeat must be sent while a meter is silent for longer than allowed; a new question must not.
    assert!(counts.impatient <= counts.answers - counts.intact, "{counts:?}");
}

#[test]
fn an_echo_is_found_out_and_dropped() {
    let mut bench = faulty(vec![heat(1)], Faults { echo: true, ..Faults::default() }, 1);
    for _ in 0..20 {
        let over = bench.read(1);
        assert!(over.frames.is_ok());
        assert_eq!((over.traffic.retries, over.traffic.noise), (0, 0));
    }
    assert_eq!(bench.ask(Request::snd_nke(1)), Ok(Reply::Ack));
    assert_eq!(bench.ask(Request::snd_nke(9)), Err(ExchangeError::Silence), "an echo is not an answer");
}

/// Telegram `n` of a long readout: the energy of storage number `n`.
fn part(n: u8) -> Vec<u8> {
    vec![0x8C, n >> 1, 0x06, n, 0, 0, 0]
}

fn parts(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|n| part(2 * n)).collect()
}

#[test]
fn every_telegram_of_a_long_readout_is_read_in_every_turn() {
    for fcb in [FcbHandling::Strict, FcbHandling::Simple, FcbHandling::Advancing] {
        for count in [2, 3, 16] {
            let content = Content::Telegrams(parts(count));
            let mut bench = segment(vec![MeterPlan { content, fcb, ..heat(1) }]);
            for _ in 0..3 {
                let frames = bench.read(1).frames.expect("an answer");
                let values: Vec<u8> = frames.iter().map(|frame| frame[22]).collect();
                assert_eq!(values, (0..count).map(|n| 2 * n).collect::<Vec<_>>(), "{fcb:?}");
            }
        }
    }
}

#[test]
fn the_last_record_of_an_encrypted_telegram_is_seen_with_the_key_alone() {
    let key = Some(Key::new([7; 16]));
    let mut bench = segment(vec![MeterPlan { content: Content::Telegrams(parts(3)), key, ..heat(1) }]);
    let turn = Turn::new(MeterAddress::Primary(at(1)));
    let mut read = |key| bench.turn(Turn { key, ..turn.clone() }).frames.map(|frames| frames.len());
    assert_eq!(read(key), Ok(3));
    assert_eq!(read(key), Ok(3));
    assert_eq!(read(None), Ok(1), "nobody can tell that there is more");
}

#[test]
fn a_lost_telegram_is_asked_again_not_skipped() {
    let content = Content::Telegrams(parts(5));
    let faults = Faults { corrupt_per_mille: 5, drop_per_mille: 2, noise_per_mille: 200, ..Faults::default() };
    let late = Faults { late_per_mille: 150, late_by: Duration::from_millis(600), ..Faults::default() };
    for (fcb, faults) in [(FcbHandling::Strict, faults), (FcbHandling::Simple, faults), (FcbHandling::Strict, late)] {
        let mut bench = faulty(vec![MeterPlan { content: content.clone(), fcb, ..heat(1) }], faults, 11);
        let (mut whole, mut retries) = (0, 0);
        for _ in 0..100 {
            let over = bench.read(1);
            retries += over.traffic.retries;
            let Ok(frames) = over.frames else { continue };
            let values: Vec<u8> = frames.iter().map(|frame| frame[22]).collect();
            assert_eq!(values, [0, 2, 4, 6, 8], "{fcb:?}");
            whole += 1;
        }
        assert!(whole > 80 && retries > 20, "{whole} whole readouts, {retries} repeats");
    }
}

#[test]
fn a_meter_that_ignores_the_frame_count_bit_does_not_hold_up_the_bus() {
    let content = Content::Telegrams(parts(3));
    let mut bench = segment(vec![MeterPlan { content, fcb: FcbHandling::Ignored, ..heat(1) }]);
    let over = bench.read(1);
    assert_eq!(over.frames.map(|frames| frames.len()), Ok(1));
    assert_eq!(bench.read(1).traffic.sends, 1, "learnt");
}

#[test]
fn a_meter_that_never_ends_is_ended() {
    let ring = MeterPlan { content: Content::Endless(parts(3)), ..heat(1) };
    let mut bench = segment(vec![ring]);
    for _ in 0..2 {
        assert_eq!(bench.read(1).frames.map(|frames| frames.len()), Ok(3), "once round");
    }
    let many = MeterPlan { content: Content::Endless(parts(60)), ..heat(1) };
    assert_eq!(segment(vec![many]).read(1).frames.map(|frames| frames.len()), Ok(16));
}
