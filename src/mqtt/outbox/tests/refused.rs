//! What the broker refuses and what the store lost: tried again, set aside, or counted as lost.

use super::*;

#[test]
fn a_refused_topic_is_logged_once_and_tried_again_after_growing_pauses() {
    let mut bench = Bench::new(0);
    bench.outbox.up();
    bench.outbox.set(Class::State, "s", b"1".to_vec(), true);
    let refuse = |bench: &mut Bench| {
        let sent = bench.drain();
        assert_eq!(topics(&sent), ["s"]);
        bench.outbox.refused(sent[0].id, Refusal::NotAuthorized, bench.now).expect("ours").first
    };
    assert!(refuse(&mut bench), "worth a line");
    bench.outbox.set(Class::State, "s", b"2".to_vec(), true);
    let mut pauses = Vec::new();
    for _ in 0..15 {
        assert!(bench.drain().is_empty(), "not at once");
        let until = bench.outbox.wake_at().expect("it is tried again");
        pauses.push(until.duration_since(bench.now).as_millis());
        bench.now = until;
        assert!(!refuse(&mut bench));
    }
    assert_eq!(pauses[..4], [1000, 1250, 1562, 1953], "a quarter longer each time");
    assert_eq!(pauses[12..], [14551, 15000, 15000]);
    bench.outbox.up();
    assert!(refuse(&mut bench), "rights may be others on the next connection");
    bench.pass(Duration::from_secs(2));
    let sent = bench.drain();
    assert_eq!(sent[0].payload, b"2");
    bench.ack(&sent[0]);
    assert!(bench.outbox.is_quiet());
}

#[test]
fn after_a_reconnect_a_refusal_no_longer_slows_the_readings() {
    let mut bench = Bench::new(1000);
    bench.outbox.up();
    let sent = bench.drain();
    assert!(bench.outbox.refused(sent[0].id, Refusal::Quota, bench.now).is_some());
    bench.outbox.down(false, bench.now);
    bench.outbox.up();
    assert_eq!(bench.drain().len(), READINGS);
}

#[test]
fn what_can_never_be_taken_is_not_tried_again_and_its_topic_logged_once() {
    for refusal in [Refusal::TooLarge, Refusal::Topic] {
        let mut outbox = Outbox::new(0);
        outbox.up();
        for seq in 1..4 {
            let message = outbox.reading(seq, "m/reading".to_owned(), vec![0; 10]).expect("it may go");
            let verdict = outbox.refused(message.id, refusal, Instant::now()).expect("ours");
            assert_eq!((verdict.set_aside, verdict.cursor, verdict.first), (Some(seq), Some(seq), seq == 1));
            assert_eq!(verdict.bytes, 10);
        }
    }
    let mut bench = Bench::new(0);
    bench.outbox.up();
    bench.outbox.set(Class::State, "s", vec![0; 10], true);
    let sent = bench.drain();
    assert!(bench.outbox.refused(sent[0].id, Refusal::TooLarge, bench.now).is_some());
    bench.pass(Duration::from_secs(3600));
    assert!(bench.drain().is_empty() && bench.outbox.wake_at().is_none());
}

#[test]
fn a_reading_refused_as_far_as_the_reach_goes_is_set_aside() {
    let mut bench = Bench::new(REACH + 2);
    bench.outbox.up();
    let mut first = bench.drain().remove(0);
    let refuse = |bench: &mut Bench, message: &Publish| {
        bench.outbox.refused(message.id, Refusal::Quota, bench.now).expect("ours")
    };
    assert_eq!(refuse(&mut bench, &first).set_aside, None);
    for seq in 2..=READINGS as u64 {
        bench.outbox.acked(seq);
    }
    while bench.outbox.done_above_the_cursor() < REACH {
        for message in bench.drain() {
            assert_ne!(message.topic, topic(1));
            bench.outbox.acked(message.id);
        }
    }
    bench.pass(Duration::from_secs(2));
    first = bench.drain().remove(0);
    assert_eq!(first.topic, topic(1));
    let verdict = refuse(&mut bench, &first);
    assert_eq!((verdict.set_aside, verdict.cursor), (Some(1), Some(REACH + 2)));
}

#[test]
fn a_reading_that_waits_for_another_of_its_meter_is_not_sent_once_it_counts_as_lost() {
    let mut bench = Bench::new(3);
    bench.outbox.up();
    let [first, second] = [1, 2].map(|seq| bench.outbox.reading(seq, "m/a/reading".to_owned(), vec![1]));
    assert_eq!(second, None, "one at a time");
    assert_eq!(bench.outbox.readings_are_lost(2, 2, |_| false), (0, None));
    assert_eq!(bench.outbox.acked(first.expect("sent").id), Some(Delivered { cursor: Some(2) }));
    assert_eq!(topics(&bench.drain()), [topic(3)]);
}

#[test]
fn readings_that_the_store_lost_are_not_waited_for() {
    let mut bench = Bench::new(6);
    bench.outbox.up();
    let sent = bench.drain();
    bench.ack(&sent[1]);
    assert!(bench.outbox.refused(sent[2].id, Refusal::Quota, bench.now).is_some());
    assert_eq!(bench.outbox.done_above_the_cursor(), 1);
    assert_eq!(bench.outbox.readings_are_lost(1, 4, |_| false), (1, Some(4)), "2 was delivered");
    assert_eq!(bench.outbox.acked(sent[3].id), None, "it counts as lost");
    assert_eq!(bench.outbox.acked(sent[4].id), Some(Delivered { cursor: Some(5) }));
}

#[test]
fn what_lies_between_lost_readings_is_still_delivered_and_counted() {
    let mut bench = Bench::new(6);
    bench.outbox.up();
    let sent = bench.drain();
    bench.ack(&sent[1]);
    assert!(bench.outbox.refused(sent[2].id, Refusal::Quota, bench.now).is_some());
    let there = |seq| (2..5).contains(&seq);
    assert_eq!(bench.outbox.readings_are_lost(1, 5, there), (0, Some(2)), "1 and 5");
    assert_eq!(bench.outbox.acked(sent[3].id), Some(Delivered { cursor: None }));
    bench.pass(Duration::from_secs(2));
    let again = bench.drain();
    assert_eq!(topics(&again), [topic(3)]);
    assert_eq!(bench.outbox.acked(again[0].id), Some(Delivered { cursor: Some(5) }));
}

#[test]
fn a_lost_reading_that_the_broker_refuses_for_good_is_not_set_aside_too() {
    let mut bench = Bench::new(2);
    bench.outbox.up();
    let sent = bench.drain();
    assert_eq!(bench.outbox.readings_are_lost(2, 2, |_| false), (0, None));
    let verdict = bench.outbox.refused(sent[1].id, Refusal::TooLarge, bench.now).expect("ours");
    assert_eq!((verdict.set_aside, verdict.cursor), (None, None));
    assert_eq!(bench.outbox.acked(sent[0].id), Some(Delivered { cursor: Some(2) }));
    assert_eq!(bench.outbox.done_above_the_cursor(), 0);
}

#[test]
fn readings_of_a_topic_that_was_just_tried_again_go_on_after_a_rewind() {
    let mut bench = Bench::new(1);
    bench.outbox.up();
    let sent = bench.drain();
    assert!(bench.outbox.refused(sent[0].id, Refusal::Quota, bench.now).is_some());
    bench.pass(Duration::from_secs(2));
    assert_eq!(topics(&bench.drain()), [topic(1)]);
    bench.outbox.rewind(0);
    assert_eq!(topics(&bench.drain()), [topic(1)]);
}
