//! What every row has: a broker, the recorder before it, two buses of meters, an agent, and the
//! count of what became of each answer of a meter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Row;
use crate::agent::Agent;
use crate::broker::{Broker, retained};
use crate::gateway::Gateway;
use crate::recorder::Recorder;

/// How long before a kill an answer may have come that the agent had no time to take.
const ON_THE_WIRE: Duration = Duration::from_millis(500);

/// An answer that a meter gave: its name, and the litres that only this one says.
pub(super) type Answer = (String, u64);

pub(super) struct Scene {
    pub(super) broker: Broker,
    pub(super) recorder: Recorder,
    pub(super) gateways: [Gateway; 2],
    pub(super) agent: Agent,
    random: u64,
    /// When the agent was killed.
    kills: Vec<Instant>,
}

impl Scene {
    /// Twenty meters, each read every second.
    pub(super) fn new(broker: &str, tables: &str) -> Option<Self> {
        Some(Self::with(Broker::start_with(broker)?, &[], |gateways| tables.to_owned() + &buses(gateways, 10)))
    }

    /// A broker that runs, what starts the agent, and its configuration.
    pub(super) fn with(broker: Broker, starter: &[&str], tables: impl Fn(&[Gateway; 2]) -> String) -> Self {
        let recorder = Recorder::start(broker.port);
        let gateways = [Gateway::start(), Gateway::start()];
        let agent = Agent::start_with(recorder.port, &tables(&gateways), starter);
        Self { broker, recorder, gateways, agent, random: 20_260_101, kills: Vec::new() }
    }

    /// Below `most`.
    pub(super) fn random(&mut self, most: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % most
    }

    pub(super) fn pause(&mut self, least_ms: u64, more_ms: u64) {
        let more = self.random(more_ms);
        std::thread::sleep(Duration::from_millis(least_ms + more));
    }

    /// SIGKILL for the agent.
    pub(super) fn kill_agent(&mut self) {
        self.kills.push(Instant::now());
        self.agent.kill();
    }

    /// Every answer that the meters gave, and when.
    pub(super) fn served(&self) -> BTreeMap<Answer, Instant> {
        let mut served = BTreeMap::new();
        for (name, gateway) in ["a", "b"].iter().zip(&self.gateways) {
            for (address, times) in &gateway.meters().times {
                served.extend((1..).zip(times).map(|(litres, at)| ((format!("{name}_m{address}"), litres), *at)));
            }
        }
        served
    }

    pub(super) fn delivered(&self) -> usize {
        self.recorder.record().delivered.len()
    }

    /// Every answer that was published and acknowledged.
    pub(super) fn delivered_answers(&self) -> BTreeSet<Answer> {
        self.recorder.record().delivered.iter().map(|reading| (reading.meter.clone(), reading.litres)).collect()
    }

    /// The answers nobody heard of, and for how long the agent still lived after each of them;
    /// `None`: it was never killed after that one.
    pub(super) fn missing(&self) -> BTreeMap<Answer, Option<Duration>> {
        let delivered = self.delivered_answers();
        let lived = |at: Instant| self.kills.iter().filter_map(|kill| kill.checked_duration_since(at)).min();
        let missing = self.served().into_iter().filter(|(answer, _)| !delivered.contains(answer));
        missing.map(|(answer, at)| (answer, lived(at))).collect()
    }

    /// Waits until everything served is delivered, or nothing more comes; then the row.
    pub(super) fn settle(mut self, fault: &'static str, times: u64) -> (Row, Self) {
        for gateway in &self.gateways {
            gateway.meters().silent.extend(1..=250);
        }
        let mut quiet_since = Instant::now();
        let mut last = 0;
        while quiet_since.elapsed() < Duration::from_secs(12) {
            let count = self.delivered();
            if count != last {
                (last, quiet_since) = (count, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let sums = self.sums();
        let (_, took) = self.agent.end(Signal::TERM);
        let mut row = self.row(fault, times);
        row.promise(row.disordered == 0, "out of order");
        row.promise(sums.is_empty(), sums);
        row.promise(took < Duration::from_secs(3), format!("the agent took {took:?} to stop"));
        (row, self)
    }

    /// What does not add up in `bridge/info`: every reading taken is delivered, waits, is aside or was dropped.
    fn sums(&self) -> String {
        let info = retained(self.broker.port, "mbushat/bridge/info").pop();
        let Some(info) = info.and_then(|m| serde_json::from_str::<serde_json::Value>(&m.payload).ok()) else {
            return "no bridge/info".to_owned();
        };
        let of = |name: &str| info.pointer(&format!("/readings/{name}")).and_then(serde_json::Value::as_u64);
        let became: Option<u64> = ["delivered", "waiting", "set_aside", "dropped"].into_iter().map(of).sum();
        if of("taken").is_some() && of("taken") == became {
            String::new()
        } else {
            format!("it does not add up: {info}")
        }
    }

    fn row(&self, fault: &'static str, times: u64) -> Row {
        let record = self.recorder.record();
        let mut numbers: BTreeMap<u64, Answer> = BTreeMap::new();
        let (mut duplicated, mut disordered) = (0, 0);
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        for reading in &record.delivered {
            let last = newest.entry(&reading.meter).or_default();
            disordered += u64::from(reading.seq < *last && !numbers.contains_key(&reading.seq));
            *last = reading.seq.max(*last);
            let what = (reading.meter.clone(), reading.litres);
            if let Some(before) = numbers.insert(reading.seq, what.clone()) {
                assert_eq!(before, what, "{fault}: number {} was given twice", reading.seq);
                duplicated += 1;
            }
        }
        let served = self.served();
        let delivered: BTreeSet<_> = numbers.values().cloned().collect();
        assert!(delivered.iter().all(|answer| served.contains_key(answer)), "{fault}: a reading that no meter gave");
        assert_eq!(delivered.len(), numbers.len(), "{fault}: a reading under two numbers");
        let (taken, delivered) = (count(served.len()), count(delivered.len()));
        let (lost, remark, broken) = (taken - delivered, String::new(), Vec::new());
        Row { fault, times, taken, delivered, lost, duplicated, disordered, remark, broken }
    }

    /// Takes the answers out of the row's losses that were on the wire when the agent was killed:
    /// not in `known` to have reached the store, and followed by a kill at once. How many; the row's
    /// promise that no others are missing is checked.
    pub(super) fn excuse_the_wire(&self, row: &mut Row, known: &BTreeSet<Answer>) -> u64 {
        let at_once = |lived: &Option<Duration>| lived.is_some_and(|lived| lived < ON_THE_WIRE);
        let mut missing = self.missing();
        missing.retain(|answer, _| !known.contains(answer));
        let all = missing.len();
        missing.retain(|_, lived| !at_once(lived));
        let wire = count(all - missing.len());
        row.taken -= wire;
        row.lost -= wire;
        row.promise(missing.is_empty(), format!("readings are lost, so long before a kill: {missing:?}"));
        wire
    }

    /// Numbers missing between the first and the last one delivered.
    pub(super) fn gaps(&self) -> u64 {
        let numbers: BTreeSet<u64> = self.recorder.record().delivered.iter().map(|reading| reading.seq).collect();
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return 0 };
        last - first + 1 - count(numbers.len())
    }
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).expect("small")
}

pub(super) fn buses(gateways: &[Gateway; 2], each: u8) -> String {
    let [a, b] = gateways;
    let text = a.config("a", 1..=each, "1s") + &b.config("b", 1..=each, "1s");
    // an answer that a busy machine brings late is not an answer, and not the fault that is tested
    text.replace("port = \"tcp", "baud = 38400\nidle = \"0s\"\nresponse_timeout = \"3s\"\nport = \"tcp")
}

pub(super) fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
