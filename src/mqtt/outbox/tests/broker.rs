//! Brokers that refuse, and brokers that close the connection: what still arrives, in which order, after
//! how long.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What the broker does with a message.
#[derive(Clone, Copy, PartialEq)]
enum Taken {
    Yes,
    No,
    /// The connection is closed.
    Closed,
}

/// An outbox, a spool in which number `n` belongs to meter `n % METERS`, and a broker that answers messages
/// in order.
struct Bed {
    outbox: Outbox,
    last: u64,
    start: Instant,
    now: Instant,
    /// What arrived, in order: topic and payload.
    arrived: Vec<(String, Vec<u8>)>,
    set_aside: Vec<u64>,
    verdicts: Vec<Verdict>,
    connections: u32,
}

const METERS: u64 = 5;

fn of_meter(seq: u64) -> String {
    format!("m{}/reading", seq % METERS)
}

impl Bed {
    fn new(readings: u64) -> Self {
        let now = Instant::now();
        let outbox = Outbox::new(0);
        let (arrived, set_aside, verdicts) = (Vec::new(), Vec::new(), Vec::new());
        Self { outbox, last: readings, start: now, now, arrived, set_aside, verdicts, connections: 0 }
    }

    fn drain(&mut self) -> Vec<Publish> {
        let mut sent = Vec::new();
        for _ in 0..100_000 {
            let payload = |seq: u64| seq.to_string().into_bytes();
            match self.outbox.next(self.now) {
                Next::Subscribe | Next::Birth(_) => {}
                Next::Publish(message) => sent.push(message),
                Next::ReadingAfter(seq) if seq >= self.last => return sent,
                Next::ReadingAfter(seq) => {
                    sent.extend(self.outbox.reading(seq + 1, of_meter(seq + 1), payload(seq + 1)));
                }
                Next::ReadingAgain(seq) => sent.extend(self.outbox.reading(seq, of_meter(seq), payload(seq))),
                Next::Wait => return sent,
            }
        }
        panic!("the outbox never waits");
    }

    fn judged(&mut self, verdict: Option<Verdict>) {
        if let Some(verdict) = verdict {
            self.set_aside.extend(verdict.set_aside);
            self.verdicts.push(verdict);
        }
    }

    /// Runs until `seconds` have passed. A lost connection is made again after four seconds.
    fn run(&mut self, seconds: u64, mut takes: impl FnMut(&Publish) -> Taken) {
        let end = self.now + Duration::from_secs(seconds);
        self.outbox.up();
        self.connections += 1;
        while self.now < end {
            let sent = self.drain();
            if sent.is_empty() {
                self.now = self.outbox.wake_at().unwrap_or(end).max(self.now + Duration::from_millis(1));
            }
            for message in sent {
                match takes(&message) {
                    Taken::Yes => {
                        self.arrived.push((message.topic.clone(), message.payload.clone()));
                        self.outbox.acked(message.id);
                    }
                    Taken::No => {
                        let verdict = self.outbox.refused(message.id, Refusal::Quota, self.now);
                        self.judged(verdict);
                    }
                    Taken::Closed => {
                        let verdict = self.outbox.down(true, self.now);
                        self.judged(verdict);
                        self.now += Duration::from_secs(4);
                        self.outbox.up();
                        self.connections += 1;
                        break;
                    }
                }
            }
        }
    }

    /// Numbers of the readings of one meter, as they arrived first.
    fn numbers(&self, meter: u64) -> Vec<u64> {
        let topic = of_meter(meter);
        let payload = |payload: &[u8]| String::from_utf8_lossy(payload).parse().expect("a number");
        let mut seen = BTreeSet::new();
        let of_it = self.arrived.iter().filter(|(other, _)| *other == topic).map(|(_, p)| payload(p));
        of_it.filter(|seq| seen.insert(*seq)).collect()
    }

    fn assert_in_order(&self) {
        for meter in 0..METERS {
            let numbers = self.numbers(meter);
            assert!(numbers.is_sorted(), "meter {meter}: {numbers:?}");
        }
    }

    fn count(&self) -> usize {
        (0..METERS).map(|meter| self.numbers(meter).len()).sum()
    }
}

#[test]
fn refused_for_a_time_is_delivered_in_order_and_others_go_on() {
    let mut bed = Bed::new(500);
    bed.run(60, |message| if message.topic == of_meter(2) { Taken::No } else { Taken::Yes });
    assert_eq!((bed.count(), bed.numbers(2).len()), (400, 0));
    assert_eq!(bed.outbox.done_above_the_cursor(), 399);
    bed.run(120, |_| Taken::Yes);
    assert_eq!(bed.count(), 500);
    assert_eq!(bed.arrived.len(), 500, "none twice");
    bed.assert_in_order();
    assert_eq!((bed.set_aside.len(), bed.outbox.done_above_the_cursor()), (0, 0));
    assert_eq!(bed.verdicts.iter().filter(|verdict| verdict.first).count(), 1);
}

#[test]
fn a_broker_that_takes_twenty_a_second_gets_everything_in_order() {
    let mut bed = Bed::new(600);
    let mut taken = BTreeMap::new();
    let start = bed.start;
    for second in 0..300 {
        let now = bed.now.max(start + Duration::from_secs(second));
        bed.now = now;
        bed.run(1, |_| {
            let count = taken.entry(second).or_insert(0);
            *count += 1;
            if *count <= 20 { Taken::Yes } else { Taken::No }
        });
    }
    assert_eq!(bed.count(), 600);
    bed.assert_in_order();
}

#[test]
fn one_document_at_which_the_broker_closes_does_not_stop_the_readings() {
    for topic in ["ha/device/a/config", "m/a/state", "m/bridge/state"] {
        let mut bed = Bed::new(100);
        for (class, topic) in [
            (Class::State, "m/a/state"),
            (Class::Announcement, "ha/device/a/config"),
            (Class::Announcement, "ha/device/b/config"),
            (Class::Availability, "m/a/availability"),
            (Class::BridgeState, "m/bridge/state"),
        ] {
            bed.outbox.set(class, topic, b"1".to_vec(), true);
        }
        bed.run(20, |message| if message.topic == topic { Taken::Closed } else { Taken::Yes });
        assert_eq!(bed.count(), 100, "{topic}");
        assert!(bed.arrived.iter().any(|(arrived, _)| arrived == "ha/device/b/config"), "{topic}");
        let said: Vec<_> = bed.verdicts.iter().filter(|v| v.first).map(|v| (v.topic.as_str(), v.bytes)).collect();
        assert_eq!(said, [(topic, 1)]);
        let before = bed.connections;
        bed.run(600, |message| if message.topic == topic { Taken::Closed } else { Taken::Yes });
        assert!(bed.connections - before < 10, "{} connections in ten minutes", bed.connections - before);
        bed.run(3700, |_| Taken::Yes);
        assert!(bed.outbox.is_quiet(), "allowed again, it arrives: {topic}");
    }
}

#[test]
fn once_all_has_arrived_messages_go_together_again() {
    let mut bed = Bed::new(10);
    bed.outbox.up();
    for _ in 0..3 {
        bed.drain();
        bed.outbox.down(true, bed.now);
        bed.outbox.up();
    }
    assert_eq!(bed.drain().len(), 1, "one at a time, to find out which one it is");
    bed.outbox.down(false, bed.now);
    bed.run(30, |_| Taken::Yes);
    assert_eq!(bed.count(), 10);
    bed.last = 15;
    assert_eq!(bed.drain().len(), 5);
}

#[test]
fn a_hundred_forbidden_announcements_cost_a_few_connections() {
    let mut bed = Bed::new(100);
    for meter in 0..100 {
        bed.outbox.set(Class::Announcement, &format!("ha/{meter}/config"), b"{}".to_vec(), true);
        bed.outbox.set(Class::State, &format!("{meter}/state"), b"{}".to_vec(), true);
    }
    bed.run(60, |message| if message.topic.starts_with("ha/") { Taken::Closed } else { Taken::Yes });
    assert_eq!(bed.count(), 100);
    assert!(bed.connections < 10, "{}", bed.connections);
    assert_eq!(
        bed.arrived
            .iter()
            .filter(|(topic, _)| topic.ends_with("/state"))
            .map(|(t, _)| t)
            .collect::<BTreeSet<_>>()
            .len(),
        100
    );
}

#[test]
fn a_note_at_which_the_broker_closes_is_lost_alone() {
    let mut bed = Bed::new(20);
    bed.outbox.note("response/yyy".to_owned(), b"{}".to_vec());
    bed.outbox.note("event".to_owned(), b"{}".to_vec());
    bed.run(60, |message| if message.topic == "response/yyy" { Taken::Closed } else { Taken::Yes });
    assert_eq!((bed.count(), bed.outbox.notes_dropped()), (20, 1));
    assert!(bed.arrived.iter().any(|(topic, _)| topic == "event"));
}

#[test]
fn a_reading_at_which_the_broker_always_closes_is_set_aside_in_the_end() {
    let mut bed = Bed::new(50);
    let takes = |message: &Publish| if message.payload == b"7" { Taken::Closed } else { Taken::Yes };
    bed.run(47 * 3600, takes);
    assert_eq!((bed.count(), bed.set_aside.len()), (41, 0), "the later ones of its meter wait for it");
    bed.run(3 * 3600, takes);
    assert_eq!((bed.count(), bed.set_aside.as_slice()), (49, &[7][..]));
    assert!(bed.verdicts.len() < 70, "{}", bed.verdicts.len());
    assert!(bed.start + CLOSED_AT_A_READING <= bed.now);
    bed.assert_in_order();
}

#[test]
fn a_broker_that_hangs_up_at_more_than_ten_a_second_is_sent_fewer() {
    let mut bed = Bed::new(3000);
    let (mut taken, mut closings) = (Vec::new(), 0);
    bed.outbox.up();
    let end = bed.start + Duration::from_secs(1200);
    while bed.now < end {
        let sent = bed.drain();
        if sent.is_empty() {
            bed.now = bed.outbox.wake_at().unwrap_or(end).max(bed.now + Duration::from_millis(1));
        }
        for message in sent {
            bed.now += Duration::from_millis(1);
            taken.retain(|at| *at + Duration::from_secs(1) > bed.now);
            if taken.len() >= 10 {
                let verdict = bed.outbox.down(true, bed.now);
                bed.judged(verdict);
                closings += 1;
                bed.now += Duration::from_secs(4);
                bed.outbox.up();
                break;
            }
            taken.push(bed.now);
            bed.arrived.push((message.topic.clone(), message.payload.clone()));
            bed.outbox.acked(message.id);
        }
    }
    assert_eq!((bed.count(), bed.set_aside.len()), (3000, 0), "{closings} closings");
    bed.assert_in_order();
    assert!(closings < 30, "{closings}");
}

#[test]
fn a_broker_that_restarts_again_and_again_costs_nothing() {
    let mut bed = Bed::new(2000);
    let mut random = 7_u64;
    bed.run(3600, |_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if (random >> 33) % 30 == 0 { Taken::Closed } else { Taken::Yes }
    });
    assert_eq!((bed.count(), bed.set_aside.len()), (2000, 0));
    bed.assert_in_order();
}
