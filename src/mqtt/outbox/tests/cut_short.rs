//! Brokers that end each connection early, or want messages more slowly.

use super::*;

const DOCUMENTS: usize = 100;

fn with_many_documents(readings: u64) -> Bench {
    let mut bench = Bench::new(readings);
    for n in 0..DOCUMENTS {
        bench.outbox.set(Class::State, &format!("m/{n}/state"), b"1".to_vec(), true);
    }
    bench.outbox.set(Class::BridgeState, "m/bridge/state", b"online".to_vec(), true);
    bench
}

/// A connection that is over after a second and so many acknowledgements: what was acknowledged.
fn connection(bench: &mut Bench, most: usize) -> Vec<String> {
    bench.outbox.up();
    let mut acknowledged = Vec::new();
    loop {
        let sent = bench.drain();
        for message in &sent {
            if acknowledged.len() == most {
                bench.pass(Duration::from_secs(1));
                bench.outbox.down(false, bench.now);
                bench.pass(Duration::from_secs(4));
                return acknowledged;
            }
            bench.ack(message);
            acknowledged.push(message.topic.clone());
        }
        if sent.is_empty() {
            return acknowledged;
        }
    }
}

#[test]
fn documents_leave_room_for_readings_where_no_connection_lasts() {
    let mut bench = with_many_documents(200);
    let mut connections = 0;
    while bench.cursor < 200 && connections < 30 {
        let acknowledged = connection(&mut bench, 30);
        assert_eq!(acknowledged[0], "m/bridge/state", "the last will was sent meanwhile");
        connections += 1;
    }
    assert_eq!(bench.cursor, 200, "{connections} connections");
    assert!(connections <= 15, "{connections} connections");
}

#[test]
fn what_waited_for_a_connection_that_lasts_is_published_on_it() {
    let mut bench = with_many_documents(0);
    for _ in 0..2 {
        connection(&mut bench, 60);
    }
    bench.outbox.set(Class::State, "m/7/state", b"2".to_vec(), true);
    let sent = connection(&mut bench, 1000);
    assert!(sent.len() < DOCUMENTS && sent.contains(&"m/7/state".to_owned()), "{sent:?}");
    let wake = bench.outbox.wake_at().expect("some wait");
    bench.now = wake;
    let late = bench.drain();
    assert_eq!(sent.len() + late.len(), DOCUMENTS + 1, "each of them once");
    late.iter().for_each(|message| bench.ack(message));
    assert!(bench.drain().is_empty() && bench.outbox.is_quiet() && bench.outbox.wake_at().is_none());
}

#[test]
fn one_restart_of_a_broker_is_no_reason_to_wait_with_documents() {
    let mut bench = with_many_documents(0);
    connection(&mut bench, 60);
    assert_eq!(connection(&mut bench, 1000).len(), DOCUMENTS + 1);
}

#[test]
fn messages_that_come_too_fast_are_sent_one_by_one_with_pauses() {
    let mut bench = with_many_documents(10);
    connection(&mut bench, 30);
    bench.outbox.too_fast(bench.now);
    bench.outbox.too_fast(bench.now);
    bench.outbox.up();
    let start = bench.now;
    for n in 0..20 {
        let sent = bench.drain();
        assert_eq!(sent.len(), 1, "{n}");
        bench.ack(&sent[0]);
        bench.now = bench.outbox.wake_at().expect("there is more");
    }
    assert_eq!(bench.now - start, Duration::from_millis(20 * 16));
    bench.drain();
    bench.outbox.set(Class::BridgeState, "m/bridge/state", b"offline".to_vec(), true);
    assert_eq!(topics(&bench.drain()), ["m/bridge/state"], "a stop does not wait");
    bench.pass(Duration::from_secs(1));
    while !bench.drain().is_empty() {
        bench.pass(Duration::from_secs(1));
    }
    assert!(bench.outbox.wake_at().is_none_or(|at| at > bench.now), "a full window wakes nobody");
}

#[test]
fn states_that_change_all_the_time_leave_room_for_readings_where_messages_go_one_by_one() {
    let mut bench = Bench::new(5);
    bench.outbox.set(Class::State, "m/1/state", b"0".to_vec(), true);
    for _ in 0..2 {
        bench.outbox.up();
        assert!(bench.drain().len() > 1);
        bench.outbox.down(true, bench.now);
    }
    bench.outbox.up();
    let mut states = 0_u32;
    for _ in 0..10 {
        let sent = bench.drain();
        assert_eq!(sent.len(), 1, "one at a time");
        states += u32::from(sent[0].topic == "m/1/state");
        bench.outbox.set(Class::State, "m/1/state", states.to_string().into_bytes(), true);
        bench.ack(&sent[0]);
    }
    assert_eq!((bench.cursor, states), (5, 5));
    assert_eq!(topics(&bench.drain()), ["m/1/state"]);
}
