//! What the agent says became of its readings, by the outbox task and a real mosquitto.
//!
//! Not here: the order and the repetition of what is sent (`outages`, `chaos`).

use std::time::{Duration, Instant, SystemTime};

use mbushat::bus::{BusEvent, Happened, MeterReadout};
use mbushat::config::{self, Config};
use mbushat::mbus::address::{MeterAddress, PrimaryAddress};
use mbushat::mqtt::link::{self, Credentials};
use mbushat::mqtt::task::{Channels, OutboxTask};
use mbushat::request::Desk;
use mbushat::spool::Spool;
use mbushat::status::{AdoptionStatus, Readings, Status};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::broker::{Broker, Folder, Subscriber, free_port};

/// Volume.
const RECORD: &[u8] = &[0x0C, 0x13, 0x45, 0x23, 0x01, 0x00];
const SOON: Duration = Duration::from_secs(20);

/// The outbox task and its link, with the bus in the test's hands.
struct Running {
    events: mpsc::Sender<BusEvent>,
    status: watch::Receiver<Status>,
    outbox: JoinHandle<()>,
    link: JoinHandle<()>,
    /// Open as long as the task may use them.
    _kept: Vec<Box<dyn std::any::Any>>,
}

fn configure(folder: &Folder, port: u16, store: &str) -> Config {
    let directory = folder.path().join("store");
    let text = format!(
        "[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\n[store]\ndirectory = {directory:?}\n{store}[[bus]]\nname = \"hat\"\n\
         port = \"sim:none\"\n[[meter]]\nname = \"small\"\naddress = 1\n[[meter]]\nname = \"large\"\naddress = 2\n"
    );
    config::load(&folder.write("mbushat.toml", &text)).unwrap_or_else(|error| panic!("{error}"))
}

impl Running {
    fn start(config: &Config) -> Self {
        let (events, happened) = mpsc::channel(100);
        let (orders, for_link) = mpsc::channel(100);
        let (from_link, link_events) = mpsc::channel(100);
        let (clock, clock_synced) = watch::channel(None);
        let (reloads, reload) = mpsc::channel(1);
        let (ask_reload, asked) = mpsc::channel(1);
        let (commands, taken) = mpsc::channel(1);
        let (health, seen) = watch::channel(mbushat::bus::health::Health::default());
        let (desk, health_seen) = (Desk::new(config, [commands], ask_reload, mpsc::channel(1).0), vec![seen]);
        let (level, log_level) = watch::channel("info".to_owned());
        let channels = Channels {
            happened,
            health: health_seen,
            desk,
            orders,
            link: link_events,
            clock_synced,
            adoption: watch::channel(AdoptionStatus::default()).1,
            log_level,
            reload,
        };
        let spool = Spool::open(&config.store, Instant::now()).expect("it is not in use");
        let who = Credentials { client_id: "counting".to_owned(), will_topic: "mbushat/bridge/state".to_owned() };
        let task = OutboxTask::new(config.clone(), spool, who.clone(), channels);
        let status = task.watched().subscribe();
        let (outbox, link) =
            (tokio::spawn(task.run()), tokio::spawn(link::run(config.mqtt.clone(), who, for_link, from_link)));
        let kept: Vec<Box<dyn std::any::Any>> = vec![
            Box::new(clock),
            Box::new(reloads),
            Box::new(asked),
            Box::new(taken),
            Box::new(health),
            Box::new(level),
        ];
        Self { events, status, outbox, link, _kept: kept }
    }

    /// A meter answers with so many records.
    async fn read(&self, meter: &str, records: usize) {
        let (meter, frame) = (meter.to_owned(), frame(records));
        let place =
            (0, MeterAddress::Primary(PrimaryAddress::new(if meter == "large" { 2 } else { 1 }).expect("an address")));
        let readout = MeterReadout { meter, place, due_at: None, read_at: SystemTime::now(), frames: Ok(vec![frame]) };
        self.events
            .send(BusEvent { bus: 0, what: Happened::Read { readout, asked: Vec::new() } })
            .await
            .expect("it runs");
    }

    /// The first snapshot with such counts. In each the parts must add up.
    async fn counts(&mut self, are_so: impl Fn(&Readings) -> bool) -> Readings {
        let found = timeout(SOON, async {
            loop {
                let counts = self.status.borrow_and_update().agent.readings;
                let Readings { taken, delivered, waiting, dropped, set_aside, faulty: _ } = counts;
                assert_eq!(taken, delivered + waiting + dropped + set_aside, "{counts:?}");
                if are_so(&counts) {
                    return counts;
                }
                self.status.changed().await.expect("it runs");
            }
        });
        let last = found.await;
        last.unwrap_or_else(|_| panic!("never so: {:?}", self.status.borrow().agent.readings))
    }

    async fn stop(self) {
        drop(self.events);
        self.outbox.await.expect("it ends");
        self.link.await.expect("it ends");
    }
}

/// A gas meter's telegram with the volume of so many months.
fn frame(records: usize) -> Vec<u8> {
    let mut body = vec![0x08, 0x01, 0x72, 0x01, 0x10, 0, 0, 0x2D, 0x2C, 0x1D, 0x03, 1, 0, 0, 0];
    for _ in 0..records {
        body.extend(RECORD);
    }
    let length = u8::try_from(body.len()).expect("one frame");
    let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    [&[0x68, length, length, 0x68][..], &body, &[sum, 0x16]].concat()
}

#[tokio::test]
async fn what_the_broker_refuses_is_set_aside_and_not_delivered() {
    let Some(broker) = Broker::start_with("allow_anonymous true\nmax_packet_size 1200\n") else { return };
    let Some(readings) = Subscriber::new(broker.port, "mbushat/+/reading") else { return };
    let folder = Folder::new();
    let mut agent = Running::start(&configure(&folder, broker.port, ""));
    for _ in 0..12 {
        agent.read("small", 1).await;
        agent.read("large", 12).await;
    }
    let counts = agent.counts(|counts| counts.taken == 24 && counts.waiting == 0).await;
    let expected = Readings { taken: 24, delivered: 12, set_aside: 12, ..Readings::default() };
    assert_eq!(counts, expected);
    let newest = agent.status.borrow().meters["small"].newest.clone().expect("it was read");
    assert_eq!((newest.values["volume"].value.get(), newest.values["volume"].unit), ("12.345", Some("m³")));
    agent.stop().await;
    let mut topics: Vec<String> = readings.until_quiet(Duration::from_secs(1)).into_iter().map(|m| m.topic).collect();
    topics.retain(|topic| !topic.starts_with("probe/"));
    assert_eq!(topics, ["mbushat/small/reading"; 12]);
    let aside = std::fs::read_to_string(folder.path().join("store/aside.log")).expect("it was written");
    assert_eq!(aside.lines().count(), 12);
}

#[tokio::test]
async fn what_waits_from_the_last_run_is_counted_as_taken() {
    let folder = Folder::new();
    let mut before = Running::start(&configure(&folder, free_port(), ""));
    for _ in 0..5 {
        before.read("small", 1).await;
    }
    before.counts(|counts| counts.taken == 5 && counts.waiting == 5).await;
    before.stop().await;
    let Some(broker) = Broker::start() else { return };
    let mut after = Running::start(&configure(&folder, broker.port, ""));
    after.read("small", 1).await;
    let counts = after.counts(|counts| counts.taken == 6 && counts.waiting == 0).await;
    assert_eq!(counts, Readings { taken: 6, delivered: 6, ..Readings::default() });
    after.stop().await;
}

#[tokio::test]
async fn what_a_full_store_drops_is_counted_as_dropped() {
    let folder = Folder::new();
    let mut agent = Running::start(&configure(&folder, free_port(), "max_size = \"1MiB\"\n"));
    for _ in 0..600 {
        agent.read("large", 35).await;
    }
    let counts = agent.counts(|counts| counts.taken == 600).await;
    assert!(counts.dropped > 0 && counts.delivered + counts.set_aside == 0, "{counts:?}");
    agent.stop().await;
}
