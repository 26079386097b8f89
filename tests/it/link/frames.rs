//! Which frames a turn sends, and whose answers it takes: frame count bit, applications, selections.

use std::time::Duration;

use mbushat::mbus::address::{MeterAddress, SecondaryAddress};
use mbushat::mbus::link::timing::Baud;
use mbushat::mbus::master::readout::{ReadoutError, Turn};
use mbushat::mbus::master::reply::{ExchangeError, Reply};
use mbushat::mbus::master::request::Request;
use mbushat::sim::plan::{Faults, MeterPlan, SegmentPlan};
use mbushat::sim::segment::Segment;

use super::{Bench, at, faulty, heat, segment};

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
