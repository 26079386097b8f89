//! The outbox against an imagined broker.

mod broker;
mod cut_short;
mod refused;

use std::time::{Duration, Instant};

use super::readings::{REACH, READINGS};
use super::verdict::CLOSED_AT_A_READING;
use super::{BirthPhase, Class, Delivered, NOTES, Next, Outbox, Verdict, WINDOW};
use crate::mqtt::link::{Publish, Refusal};

/// A spool of readings 1..=n and what the outbox asks to send.
struct Bench {
    outbox: Outbox,
    last: u64,
    now: Instant,
    cursor: u64,
}

impl Bench {
    fn new(readings: u64) -> Self {
        Self { outbox: Outbox::new(0), last: readings, now: Instant::now(), cursor: 0 }
    }

    /// Everything the outbox wants to send now.
    fn drain(&mut self) -> Vec<Publish> {
        let mut sent = Vec::new();
        for _ in 0..10_000 {
            match self.outbox.next(self.now) {
                Next::Subscribe | Next::Birth(_) => {}
                Next::Publish(message) => sent.push(message),
                Next::ReadingAfter(seq) if seq >= self.last => return sent,
                Next::ReadingAfter(seq) => sent.extend(self.outbox.reading(seq + 1, topic(seq + 1), vec![1])),
                Next::ReadingAgain(seq) => sent.extend(self.outbox.reading(seq, topic(seq), vec![1])),
                Next::Wait => return sent,
            }
        }
        panic!("the outbox never waits");
    }

    fn ack(&mut self, message: &Publish) {
        if let Some(cursor) = self.outbox.acked(message.id).and_then(|delivered| delivered.cursor) {
            assert!(cursor > self.cursor);
            self.cursor = cursor;
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

fn topic(seq: u64) -> String {
    format!("m/{}/reading/{seq}", seq % 3)
}

fn topics(messages: &[Publish]) -> Vec<&str> {
    messages.iter().map(|m| m.topic.as_str()).collect()
}

fn with_documents(bench: &mut Bench) {
    bench.outbox.set(Class::State, "m/a/state", b"1".to_vec(), true);
    bench.outbox.set(Class::Announcement, "ha/device/a/config", b"{}".to_vec(), true);
    bench.outbox.set(Class::AgentAnnouncement, "ha/device/z/config", b"{}".to_vec(), true);
    bench.outbox.set(Class::Availability, "m/a/availability", b"online".to_vec(), true);
    bench.outbox.set(Class::BridgeState, "m/bridge/state", b"online".to_vec(), true);
}

const ORDER: [&str; 5] =
    ["m/bridge/state", "m/a/availability", "ha/device/z/config", "ha/device/a/config", "m/a/state"];

#[test]
fn every_connect_publishes_all_documents_in_order_and_then_the_readings() {
    let mut bench = Bench::new(2);
    with_documents(&mut bench);
    assert!(bench.drain().is_empty(), "nothing is sent without a connection");
    for _ in 0..3 {
        bench.outbox.up();
        assert_eq!(bench.outbox.next(bench.now), Next::Subscribe);
        let sent = bench.drain();
        assert_eq!(topics(&sent)[..5], ORDER);
        assert_eq!(topics(&sent)[5..], [topic(1), topic(2)]);
        assert!(sent[..5].iter().all(|m| m.retain) && sent[5..].iter().all(|m| !m.retain));
        sent[..5].iter().for_each(|m| bench.ack(m));
        assert!(bench.drain().is_empty(), "nothing twice on one connection");
        bench.pass(Duration::from_secs(10));
        bench.outbox.down(false, bench.now);
    }
}

#[test]
fn the_cursor_moves_on_acknowledgements_only_and_never_over_a_gap() {
    let mut bench = Bench::new(5);
    bench.outbox.up();
    let sent = bench.drain();
    bench.ack(&sent[1]);
    bench.ack(&sent[2]);
    assert_eq!(bench.cursor, 0);
    bench.ack(&sent[0]);
    assert_eq!(bench.cursor, 3);
    bench.outbox.down(false, bench.now);
    bench.outbox.up();
    assert_eq!(topics(&bench.drain()), [topic(4), topic(5)]);
    assert_eq!(bench.outbox.acked(sent[3].id), None, "an acknowledgement of the old connection means nothing");
}

#[test]
fn whatever_the_broker_loses_each_reading_is_sent_in_order_until_acknowledged() {
    let mut bench = Bench::new(500);
    let mut random = 42_u64;
    let mut acknowledged = Vec::new();
    for _ in 0..10_000 {
        if bench.cursor == 500 {
            break;
        }
        bench.outbox.up();
        let mut on_the_way = bench.drain();
        let numbers: Vec<u64> =
            on_the_way.iter().map(|m| m.topic.rsplit('/').next().unwrap().parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        assert_eq!(numbers[0], bench.cursor + 1);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        on_the_way.truncate((random >> 33) as usize % 20);
        for message in &on_the_way {
            acknowledged.push(message.topic.clone());
            bench.ack(message);
        }
        bench.outbox.down(false, bench.now);
    }
    assert_eq!(bench.cursor, 500);
    acknowledged.sort();
    acknowledged.dedup();
    assert_eq!(acknowledged.len(), 500);
}

#[test]
fn a_backlog_leaves_room_for_live_documents() {
    let mut bench = Bench::new(10_000);
    bench.outbox.up();
    assert_eq!(bench.drain().len(), READINGS);
    with_documents(&mut bench);
    assert_eq!(topics(&bench.drain()), ORDER);
    for n in 0..100 {
        bench.outbox.note(format!("note/{n}"), Vec::new());
    }
    assert_eq!(bench.drain().len(), WINDOW - READINGS - 5);
}

#[test]
fn a_document_carries_only_its_newest_payload() {
    let mut bench = Bench::new(0);
    bench.outbox.up();
    bench.outbox.set(Class::State, "s", b"1".to_vec(), true);
    let first = bench.drain();
    for payload in [b"2", b"3", b"4"] {
        bench.outbox.set(Class::State, "s", payload.to_vec(), true);
        assert!(bench.drain().is_empty(), "one of a kind is on the way");
    }
    assert!(!bench.outbox.has_arrived(Class::State, "s"));
    bench.ack(&first[0]);
    let second = bench.drain();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].payload, b"4");
    bench.ack(&second[0]);
    assert!(bench.outbox.has_arrived(Class::State, "s") && bench.outbox.is_quiet());
}

#[test]
fn a_removed_document_is_published_empty_and_forgotten() {
    let mut bench = Bench::new(0);
    bench.outbox.set(Class::Availability, "a", b"online".to_vec(), true);
    bench.outbox.set(Class::Availability, "a", Vec::new(), true);
    bench.outbox.up();
    let sent = bench.drain();
    assert!(sent[0].payload.is_empty() && sent[0].retain);
    bench.ack(&sent[0]);
    bench.outbox.down(false, bench.now);
    bench.outbox.up();
    assert!(bench.drain().is_empty());
}

#[test]
fn notes_wait_for_a_broker_in_order_and_the_oldest_give_way() {
    let mut bench = Bench::new(0);
    for n in 0..NOTES + 2 {
        bench.outbox.note("event".to_owned(), n.to_string().into_bytes());
    }
    assert_eq!(bench.outbox.notes_dropped(), 2);
    bench.outbox.up();
    let sent = bench.drain();
    bench.ack(&sent[0]);
    bench.outbox.down(false, bench.now);
    bench.outbox.up();
    let again = bench.drain();
    assert_eq!((again[0].payload.as_slice(), again[1].payload.as_slice()), (&b"3"[..], &b"4"[..]));
}

#[test]
fn many_readings_of_one_meter_that_wait_hold_up_no_other_meter() {
    let (mut outbox, now) = (Outbox::new(0), Instant::now());
    let next = |outbox: &mut Outbox| loop {
        let topic = |seq| if seq < 4 { "slow" } else { "other" }.to_owned();
        let offered = match outbox.next(now) {
            Next::Subscribe => continue,
            Next::ReadingAfter(seq) if seq < 4 => outbox.reading(seq + 1, topic(seq + 1), Vec::new()),
            Next::ReadingAgain(seq) => outbox.reading(seq, topic(seq), Vec::new()),
            _ => return None,
        };
        if offered.is_some() {
            return offered.map(|message| message.topic);
        }
    };
    outbox.up();
    assert_eq!(next(&mut outbox).as_deref(), Some("slow"));
    assert_eq!(next(&mut outbox), None, "the second one waits for the first");
    outbox.down(false, now);
    outbox.up();
    assert_eq!((next(&mut outbox).as_deref(), next(&mut outbox).as_deref()), (Some("slow"), Some("other")));
}

#[test]
fn a_birth_is_answered_once_with_announcements_first_and_states_later() {
    let mut bench = Bench::new(0);
    with_documents(&mut bench);
    bench.outbox.up();
    for message in bench.drain() {
        bench.ack(&message);
    }
    bench.outbox.birth(bench.now);
    bench.pass(Duration::from_secs(1));
    bench.outbox.birth(bench.now);
    bench.pass(Duration::from_millis(1900));
    assert!(bench.drain().is_empty(), "debounced");
    bench.pass(Duration::from_millis(200));
    let announced = bench.drain();
    assert_eq!(topics(&announced), ORDER[2..4]);
    announced.iter().for_each(|m| bench.ack(m));
    assert!(bench.drain().is_empty());
    bench.now = bench.outbox.wake_at().expect("states are due");
    assert_eq!(topics(&bench.drain()), ["m/bridge/state", "m/a/availability", "m/a/state"]);
    assert_eq!(bench.outbox.wake_at(), None);
}

#[test]
fn a_connection_lost_after_a_birth_begins_its_answer_again() {
    let mut bench = Bench::new(0);
    with_documents(&mut bench);
    bench.outbox.up();
    bench.outbox.birth(bench.now);
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.outbox.next(bench.now), Next::Subscribe);
    assert_eq!(bench.outbox.next(bench.now), Next::Birth(BirthPhase::Announce));
    assert_eq!(bench.outbox.down(false, bench.now), None);
    bench.pass(Duration::from_secs(60));
    bench.outbox.up();
    for step in [BirthPhase::Announce, BirthPhase::States] {
        let mut next = std::iter::from_fn(|| Some(bench.outbox.next(bench.now)).filter(|next| *next != Next::Wait));
        assert!(next.by_ref().take(20).any(|next| next == Next::Birth(step)), "{step:?}");
        bench.pass(Duration::from_secs(5));
    }
}

#[test]
fn a_reading_that_left_the_spool_does_not_stop_the_cursor() {
    let mut outbox = Outbox::new(7);
    outbox.up();
    assert_eq!(outbox.next(Instant::now()), Next::Subscribe);
    assert_eq!(outbox.next(Instant::now()), Next::ReadingAfter(7));
    let message = outbox.reading(9, "r".to_owned(), Vec::new()).expect("it may go");
    assert_eq!(outbox.acked(message.id), Some(Delivered { cursor: Some(9) }));
    assert_eq!(outbox.next(Instant::now()), Next::ReadingAfter(9));
}
