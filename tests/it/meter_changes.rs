//! Changes to meters that acknowledge badly, late or never, in virtual time.

use std::time::{Duration, Instant};

use mbushat::mbus::address::{MeterAddress, SecondaryAddress};
use mbushat::mbus::application::calendar::DateTime;
use mbushat::mbus::link::timing::Baud;
use mbushat::mbus::master::conversation::{Conversation, LineTiming, Step};
use mbushat::mbus::master::maintenance::{Change, Effect, Maintenance, MaintenanceError};
use mbushat::mbus::master::reply::ExchangeError;
use mbushat::mbus::master::wake_up::{Length, WakeUp};
use mbushat::sim::plan::{Faults, MeterPlan, SegmentPlan};
use mbushat::sim::segment::Segment;

use crate::link::{at, heat};

const TIMING: LineTiming = LineTiming::new(Baud::DEFAULT);

fn change(
    meters: Vec<MeterPlan>,
    faults: Faults,
    target: MeterAddress,
    change: Change,
) -> Result<Effect, MaintenanceError> {
    let mut now = Instant::now();
    let mut segment = Segment::new(SegmentPlan { faults, ..SegmentPlan::new(meters) }, now);
    segment.converse(&mut Maintenance::new(target, change, TIMING), &mut now)
}

fn number(meter: &MeterPlan) -> MeterAddress {
    MeterAddress::Secondary(meter.identity)
}

#[test]
fn an_address_whose_meter_acknowledges_no_reset_is_taken() {
    for delay in [30, 1200, 2500].map(Duration::from_millis) {
        let there = MeterPlan { acknowledges_reset: false, delay, ..heat(9) };
        for target in [MeterAddress::Primary(at(5)), number(&heat(5))] {
            let moved = change(vec![heat(5), there.clone()], Faults::default(), target, Change::Address(at(9)));
            assert_eq!(moved, Err(MaintenanceError::Occupied { address: at(9) }), "{delay:?}, {target}");
        }
    }
}

#[test]
fn meters_that_garble_each_other_at_the_new_address_are_no_proof_of_a_move() {
    // deaf while it sleeps, so that the address seems free, and awake for the check
    let vif_of_the_change = WakeUp { byte: 0x7A, length: Length::Characters(1), parity: None };
    let delay = Duration::from_millis(32); // its acknowledgement overlaps with the other's
    let sleeper = MeterPlan { wakes_by: Some(vif_of_the_change), delay, ..heat(9) };
    let moved = change(vec![heat(5), sleeper], Faults::default(), MeterAddress::Primary(at(5)), Change::Address(at(9)));
    assert_eq!(moved, Err(MaintenanceError::Shared { address: at(9) }));
}

#[test]
fn a_change_needs_no_acknowledgement() {
    let damaged = Faults { damaged_ack_per_mille: 1000, ..Faults::default() };
    let clock = DateTime::from_seconds(1_767_225_600);
    let mute = MeterPlan { acknowledges_reset: false, ..heat(5) };
    let late = MeterPlan { acknowledges_after: Some(Duration::from_millis(1200)), ..heat(5) };
    let cases =
        [("A5 for E5", heat(5), damaged), ("no E5", mute, Faults::default()), ("late E5", late, Faults::default())];
    for (name, meter, faults) in cases {
        for target in [MeterAddress::Primary(at(5)), number(&meter)] {
            let done = |what| change(vec![meter.clone(), heat(6)], faults, target, what);
            assert_eq!(done(Change::Address(at(9))), Ok(Effect::Verified), "{name}: {target}");
            let baud = Baud::new(9600).expect("a rate");
            assert_eq!(done(Change::Baud(baud)), Ok(Effect::Verified), "{name}: {target}");
            assert_eq!(done(Change::Clock(clock)), Ok(Effect::Verified), "{name}: {target}");
            assert_eq!(done(Change::Application(None)), Ok(Effect::Acknowledged), "{name}: {target}");
        }
    }
}

#[test]
fn who_is_not_there_or_not_alone_is_not_changed() {
    let nobody = MeterAddress::Secondary(SecondaryAddress::parse("99999999").expect("a mask"));
    for target in [MeterAddress::Primary(at(200)), nobody] {
        let silent = Err(MaintenanceError::Unreachable(ExchangeError::Silence));
        assert_eq!(change(vec![heat(5)], Faults::default(), target, Change::Application(None)), silent);
    }
    let two = MeterAddress::Secondary(SecondaryAddress::ANY);
    let moved = change(vec![heat(5), heat(6)], Faults::default(), two, Change::Address(at(9)));
    assert_eq!(moved, Err(MaintenanceError::Several { address: two }));
}

/// A change that the meters do not obey: each order goes out as a reset of this address instead.
struct Disobeyed(Maintenance, u8);

impl Conversation for Disobeyed {
    type Outcome = Result<Effect, MaintenanceError>;

    fn poll(&mut self, now: Instant) -> Step<Self::Outcome> {
        let step = self.0.poll(now);
        // SND_UD, but no selection
        let is_order = |bytes: &[u8]| matches!(bytes, [0x68, _, _, 0x68, 0x53 | 0x73, _, ci, ..] if *ci != 0x52);
        if matches!(&step, Step::Transmit(bytes) if is_order(bytes)) {
            return Step::Transmit(vec![0x10, 0x40, self.1, 0x40_u8.wrapping_add(self.1), 0x16]);
        }
        step
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.0.receive(bytes, now);
    }

    fn receive_damaged(&mut self, now: Instant) {
        self.0.receive_damaged(now);
    }
}

#[test]
fn a_change_that_was_not_obeyed_is_told_from_one_that_cannot_be_seen() {
    let clock = DateTime::from_seconds(1_767_225_600 + 86_400);
    let baud = Baud::new(9600).expect("a rate");
    let done = |target, what, asked: u8| {
        let mut now = Instant::now();
        let mut segment = Segment::new(SegmentPlan::new(vec![heat(5)]), now);
        segment.converse(&mut Disobeyed(Maintenance::new(target, what, TIMING), asked), &mut now)
    };
    let not_there = Err(MaintenanceError::NotThere { address: at(9) });
    for (asked, application) in [(5, Effect::Acknowledged), (200, Effect::Unanswered)] {
        for target in [MeterAddress::Primary(at(5)), number(&heat(5))] {
            let is_primary = matches!(target, MeterAddress::Primary(_));
            let refused = Err(MaintenanceError::Refused);
            let moved = if is_primary { refused } else { not_there };
            assert_eq!(done(target, Change::Address(at(9)), asked), moved, "{target}");
            assert_eq!(done(target, Change::Baud(baud), asked), refused, "{target}");
            assert_eq!(done(target, Change::Clock(clock), asked), refused, "{target}");
            assert_eq!(done(target, Change::Application(None), asked), Ok(application), "{target}, order to {asked}");
        }
    }
}
