//! A meter's turn against the simulated segment, in virtual time.

mod frames;
mod long_readouts;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mbushat::mbus::address::{MeterAddress, PrimaryAddress};
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

#[test]
fn a_meter_without_data_says_so() {
    let empty = MeterPlan { content: Content::Telegrams(Vec::new()), ..heat(1) };
    let mut bench = segment(vec![empty]);
    assert_eq!(bench.read(1).frames, Err(ReadoutError::NoData));
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
