use super::{Conversation, Exchange, ExchangeError, Exchanged, LineTiming, Reply, Request, Step};
use crate::mbus::address::SecondaryAddress;
use crate::mbus::link::timing::Baud;
use std::time::{Duration, Instant};

const TIMING: LineTiming = LineTiming::new(Baud::DEFAULT);

fn req_ud2() -> Exchange {
    Exchange::new(Request::req_ud2(5, true, SecondaryAddress::ANY), TIMING)
}

/// Polls past the pause before the request, to the wait for its answer.
fn send(exchange: &mut Exchange, now: &mut Instant) -> Instant {
    loop {
        match exchange.poll(*now) {
            Step::Transmit(_) => match exchange.poll(*now) {
                Step::WaitUntil(until) => return until,
                other => panic!("{other:?}"),
            },
            Step::WaitUntil(until) => *now = until,
            other => panic!("{other:?}"),
        }
    }
}

/// A line on which `noise` gives the next bytes every millisecond, forever.
fn run(mut exchange: Exchange, mut noise: impl FnMut() -> Vec<u8>) -> (Exchanged, Duration) {
    let start = Instant::now();
    let mut now = start;
    loop {
        match exchange.poll(now) {
            Step::Transmit(_) => {}
            Step::WaitUntil(until) => {
                now = until.min(now + Duration::from_millis(1));
                exchange.receive(&noise(), now);
            }
            Step::SetBaud(baud) => panic!("a change to {baud}"),
            Step::Done(outcome) => return (outcome, now - start),
        }
    }
}

#[test]
fn the_reply_timeout_counts_from_the_end_of_the_request() {
    let (mut exchange, mut now) = (req_ud2(), Instant::now());
    let first_byte_by = Baud::DEFAULT.characters(5) + TIMING.response_timeout + Baud::DEFAULT.characters(1);
    assert_eq!(send(&mut exchange, &mut now) - now, first_byte_by);
    let latency = Duration::from_millis(300);
    let gateway = LineTiming { latency, ..TIMING };
    let mut far = Exchange::new(Request::req_ud2(5, true, SecondaryAddress::ANY), gateway);
    assert_eq!(send(&mut far, &mut now) - now, first_byte_by + latency);
    let (mut slow, sent) = (req_ud2(), now);
    while !matches!(slow.poll(now), Step::Transmit(_)) {
        now += Duration::from_millis(1);
    }
    now += Duration::from_secs(3); // what a driver may take to write
    let Step::WaitUntil(until) = slow.poll(now) else { panic!("it waits") };
    assert!(until >= now + TIMING.response_timeout && sent < now);
}

#[test]
fn a_line_that_never_falls_silent_ends_the_exchange() {
    for bytes in [vec![0xFF], vec![0x68, 0xF0, 0xF0, 0x68], vec![0xE5], vec![0x10]] {
        let (outcome, took) = run(req_ud2(), || bytes.clone());
        assert_eq!(outcome.reply, Err(ExchangeError::NeverQuiet));
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

#[test]
fn random_bytes_are_no_answer_and_hold_nothing_up() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 33
    };
    for _ in 0..300 {
        let pause = random() % 50 + 1;
        let (outcome, took) = run(req_ud2(), || {
            let starts = [0x68, 0x10, 0xE5, 0x16, 0x05, 0x08];
            let count = if random() % pause == 0 { random() % 9 } else { 0 };
            (0..count)
                .map(|_| {
                    starts
                        .get(usize::try_from(random() % 9).unwrap_or(9))
                        .map_or_else(|| random().to_le_bytes()[0], |b| *b)
                })
                .collect()
        });
        assert!(!matches!(outcome.reply, Ok(Reply::Data(_))), "{outcome:?}");
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
}

#[test]
fn a_broadcast_is_over_when_it_is_on_the_wire() {
    let (outcome, took) = run(Exchange::new(Request::snd_ud(255, false, 0x50, &[]), TIMING), Vec::new);
    assert_eq!((outcome.reply, outcome.traffic.sends), (Ok(Reply::None), 1));
    assert!(took < Baud::DEFAULT.characters(12), "{took:?}");
}

#[test]
fn nothing_is_sent_before_the_line_is_quiet() {
    let (mut exchange, start) = (req_ud2(), Instant::now());
    let mut now = start;
    for _ in 0..20 {
        assert!(matches!(exchange.poll(now), Step::WaitUntil(_)));
        now += Baud::DEFAULT.characters(1);
        exchange.receive(&[0x42], now); // the end of another meter's late answer
    }
    let Step::WaitUntil(until) = exchange.poll(now) else { panic!("it waits") };
    assert_eq!(until - now, Baud::DEFAULT.quiet_after_error());
    assert!(matches!(exchange.poll(until), Step::Transmit(_)));
}
