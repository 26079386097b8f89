//! Changes to simulated meters, in virtual time.

use std::time::{Duration, Instant};

use mbushat::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use mbushat::mbus::application::calendar::{Date, DateTime, Time};
use mbushat::mbus::link::timing::Baud;
use mbushat::mbus::master::conversation::LineTiming;
use mbushat::mbus::master::exchange::Exchange;
use mbushat::mbus::master::maintenance::{Change, Effect, Maintenance, MaintenanceError};
use mbushat::mbus::master::reply::{ExchangeError, Reply};
use mbushat::mbus::master::request::Request;
use mbushat::sim::model::Model;
use mbushat::sim::plan::{Faults, MeterPlan, SegmentPlan};
use mbushat::sim::segment::Segment;

fn at(address: u8) -> PrimaryAddress {
    PrimaryAddress::new(address).expect("0 to 250")
}

fn primary(address: u8) -> MeterAddress {
    MeterAddress::Primary(at(address))
}

fn meter(address: u8) -> MeterPlan {
    MeterPlan::live(Model::Heat, at(address), 0x1000_0000 + u32::from(address))
}

struct Bench {
    segment: Segment,
    now: Instant,
}

impl Bench {
    fn new(meters: Vec<MeterPlan>, faults: Faults) -> Self {
        let now = Instant::now();
        Self { segment: Segment::new(SegmentPlan { faults, ..SegmentPlan::new(meters) }, now), now }
    }

    /// Makes the change and leaves the line at the rate of the last exchange.
    fn change(&mut self, target: MeterAddress, change: Change) -> Result<Effect, MaintenanceError> {
        let mut maintenance = Maintenance::new(target, change, LineTiming::new(Baud::DEFAULT));
        self.segment.converse(&mut maintenance, &mut self.now)
    }

    fn ping(&mut self, address: u8, baud: Baud) -> Result<Reply, ExchangeError> {
        self.segment.set_baud(baud);
        let mut ping = Exchange::new(Request::snd_nke(address), LineTiming::new(baud));
        self.segment.converse(&mut ping, &mut self.now).reply
    }
}

#[test]
fn a_new_address_is_taken_and_the_old_one_is_free() {
    let by_secondary = MeterAddress::Secondary(meter(0).identity);
    for target in [primary(0), by_secondary] {
        let mut bench = Bench::new(vec![meter(0), meter(7)], Faults::default());
        assert_eq!(bench.change(target, Change::Address(at(5))), Ok(Effect::Verified));
        assert_eq!(bench.ping(5, Baud::DEFAULT), Ok(Reply::Ack));
        assert_eq!(bench.ping(0, Baud::DEFAULT), Err(ExchangeError::Silence));
    }
}

#[test]
fn an_occupied_address_is_refused_and_nothing_is_changed() {
    let mut bench = Bench::new(vec![meter(0), meter(7)], Faults::default());
    let occupied = Err(MaintenanceError::Occupied { address: at(7) });
    assert_eq!(bench.change(primary(0), Change::Address(at(7))), occupied);
    assert_eq!(bench.ping(0, Baud::DEFAULT), Ok(Reply::Ack));
}

#[test]
fn a_meter_that_is_not_there_is_not_changed() {
    let mut bench = Bench::new(vec![meter(7)], Faults::default());
    let unreachable = Err(MaintenanceError::Unreachable(ExchangeError::Silence));
    assert_eq!(bench.change(primary(0), Change::Address(at(5))), unreachable);
    assert_eq!(bench.change(primary(0), Change::Baud(Baud::DEFAULT)), unreachable);
    let nobody = MeterAddress::Secondary(SecondaryAddress::parse("99999999").expect("an id"));
    assert_eq!(bench.change(nobody, Change::Application(None)), unreachable);
}

#[test]
fn a_new_rate_is_checked_at_that_rate_and_kept_once_confirmed() {
    let fast = Baud::new(9600).expect("a rate");
    let mut bench = Bench::new(vec![meter(1)], Faults::default());
    assert_eq!(bench.change(primary(1), Change::Baud(fast)), Ok(Effect::Verified));
    assert_eq!(bench.ping(1, fast), Ok(Reply::Ack));
    bench.now += Duration::from_secs(180);
    assert_eq!(bench.ping(1, fast), Ok(Reply::Ack), "confirmed once, it stays");
}

#[test]
fn a_new_rate_that_is_never_spoken_is_given_up() {
    let fast = Baud::new(9600).expect("a rate");
    let mut bench = Bench::new(vec![meter(1)], Faults::default());
    let mut order = Exchange::new(Change::Baud(fast).request(primary(1)), LineTiming::new(Baud::DEFAULT));
    assert_eq!(bench.segment.converse(&mut order, &mut bench.now).reply, Ok(Reply::Ack));
    bench.now += Duration::from_secs(180);
    assert_eq!(bench.ping(1, fast), Err(ExchangeError::Silence), "fallen back");
    assert_eq!(bench.ping(1, Baud::DEFAULT), Ok(Reply::Ack));
}

#[test]
fn a_clock_is_set_and_read_back() {
    let time = Time { hour: 13, minute: 37, second: None };
    let set = DateTime { date: Date { year: 2027, month: 3, day: 28 }, time, summer: false };
    let mut bench = Bench::new(vec![meter(1)], Faults::default());
    assert_eq!(bench.change(primary(1), Change::Clock(set)), Ok(Effect::Verified));
    let blind = MeterPlan { ..MeterPlan::live(Model::RoomSensor, at(2), 0x22) };
    let mut bench = Bench::new(vec![blind], Faults::default());
    assert_eq!(bench.change(primary(2), Change::Clock(set)), Ok(Effect::Acknowledged), "it shows no clock");
}

#[test]
fn a_lost_acknowledgement_does_not_make_a_command_fail() {
    // of the first, few telegrams arrive whole: then nothing is changed
    for (corrupt_per_mille, least) in [(20, 5), (2, 40)] {
        let faults = Faults { corrupt_per_mille, noise_per_mille: 200, ..Faults::default() };
        let (mut verified, mut lost) = (0, 0);
        for seed in 0..50 {
            let mut bench = Bench::new(vec![meter(0)], Faults::default());
            let plan = SegmentPlan { faults, seed, ..SegmentPlan::new(vec![meter(0)]) };
            bench.segment = Segment::new(plan, bench.now);
            let outcome = bench.change(primary(0), Change::Address(at(5)));
            // Noise at the new address looks like a meter there; that is refused, and nothing is changed.
            let is_refused =
                matches!(outcome, Err(MaintenanceError::Occupied { .. } | MaintenanceError::Several { .. }));
            verified += u32::from(outcome == Ok(Effect::Verified));
            lost += u32::from(outcome != Ok(Effect::Verified) && !is_refused);
        }
        assert!(verified >= least && lost <= 2, "{corrupt_per_mille}: {verified} of 50, lost {lost}");
    }
}
