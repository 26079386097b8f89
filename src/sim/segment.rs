//! A simulated segment in virtual time: the master's bytes go in with the time they were sent, and
//! the characters that its UART would read come out with theirs, paced at the baud rate both ways.
//!
//! It also counts what a master is to be judged by: what the line made possible, sends into an
//! answer, the physical bound.
//!
//! Not here: what a meter answers (`meter`), which faults strike (`fault`), bits (`wire`).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::mbus::link::frame::Frame;
use crate::mbus::link::framer::Framer;
use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::conversation::{Conversation, Step};
use crate::sim::fault::Misfortune;
use crate::sim::meter::Meter;
use crate::sim::plan::{Faults, SegmentPlan};
pub use crate::sim::wire::Heard;
use crate::sim::wire::{Transmission, character, listen_again, next_character};

/// Silence after which a meter forgets a request that was begun, beyond 33 bit times: as long as a
/// loaded system may take between two writes of one telegram.
const REQUEST_GAP: Duration = Duration::from_millis(50);
/// Answers kept for [`Segment::take_answers`].
const ANSWERS_KEPT: usize = 64;

/// A running segment.
#[derive(Clone, Debug)]
pub struct Segment {
    baud: Baud,
    /// The master's parity; `None`: a line that does not tell, where every one is right.
    parity: Option<Parity>,
    meters: Vec<Meter>,
    misfortune: Misfortune,
    plan: SegmentPlan,
    started: Instant,
    /// The master's bytes on their way to the meters, each with the end of its stop bit and its parity.
    requests: VecDeque<(Instant, u8, Option<Parity>)>,
    framer: Framer,
    last_request_byte: Option<Instant>,
    /// What meters, noise and echo put on the line, until it is read.
    senders: Vec<Transmission>,
    /// From when on the master's UART looks for the next start bit.
    listening: Instant,
    /// Read, but held back for a bunch.
    held: VecDeque<Heard>,
    /// The next character of noise without end.
    babble: Option<Instant>,
    counts: Counts,
    answers: VecDeque<Answered>,
}

/// What happened on a segment so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Whole frames of the master that reached the meters.
    pub requests: u64,
    /// Answers sent.
    pub answers: u64,
    /// Answers to an intact request that arrived as the meter sent them, within the default timeout.
    pub intact: u64,
    /// Answers that arrived altered and yet as a frame: no receiver notices.
    pub undetectable: u64,
    /// Requests begun while an answer was due or on the line.
    pub impatient: u64,
    /// The shortest time in which the answered exchanges could have been done: request, the meter's
    /// delay, answer, 11 bit times.
    pub bound: Duration,
}

/// An answer that a meter sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Index in the plan.
    pub meter: usize,
    /// As the meter sent it.
    pub frame: Vec<u8>,
    /// When the request had arrived; a strict meter's repeat of an old answer is new in time only.
    pub at: Instant,
    /// Whether it arrived as sent and in time.
    pub intact: bool,
}

impl Segment {
    /// Starts the segment at `now`.
    #[must_use]
    pub fn new(plan: SegmentPlan, now: Instant) -> Self {
        Self {
            baud: plan.baud,
            parity: None,
            meters: plan.meters.iter().map(|meter| Meter::new(meter.clone(), plan.baud)).collect(),
            misfortune: Misfortune::new(plan.faults, plan.seed),
            started: now,
            requests: VecDeque::new(),
            framer: Framer::default(),
            last_request_byte: None,
            senders: Vec::new(),
            listening: now,
            held: VecDeque::new(),
            babble: (plan.faults.babble_per_second > 0).then_some(now + plan.faults.babble_from),
            counts: Counts::default(),
            answers: VecDeque::new(),
            plan,
        }
    }

    /// The master sends `bytes`, handed to its UART at `now`; they go on the line one after another.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        let one = if self.parity == Some(Parity::None) { self.baud.bits(10) } else { self.baud.characters(1) };
        let mut end = self.requests.back().map_or(now, |(end, ..)| now.max(*end));
        let busy = self.senders.iter().any(|sender| sender.end(self.baud) > now);
        self.counts.impatient += u64::from(busy && !bytes.is_empty());
        if self.plan.faults.echo && !bytes.is_empty() {
            self.send(end, bytes.iter().map(|byte| character(*byte)).collect());
        }
        for byte in bytes {
            end += one;
            self.requests.push_back((end, *byte, self.parity));
        }
    }

    /// The characters that the master's UART has read by `now`, in order.
    pub fn poll(&mut self, now: Instant) -> Vec<Heard> {
        let mut ready = Vec::new();
        self.babble(now);
        loop {
            let request = self.requests.front().map(|(at, ..)| *at).filter(|at| *at <= now);
            let character = next_character(&self.senders, self.listening, self.baud).filter(|heard| heard.at <= now);
            match (request, character) {
                (Some(at), heard) if heard.is_none_or(|heard| at <= heard.at) => self.take_request_byte(),
                (_, Some(heard)) => {
                    self.listening = listen_again(heard, self.baud);
                    self.held.push_back(heard);
                }
                _ => break,
            }
        }
        self.senders.retain(|sender| sender.end(self.baud) > self.listening);
        while let Some(heard) = self.held.front().filter(|heard| self.release(**heard) <= now) {
            ready.push(*heard);
            self.held.pop_front();
        }
        ready
    }

    /// When something happens next without a further byte of the master; `None`: nothing will.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let request = self.requests.front().map(|(at, ..)| *at);
        let character = next_character(&self.senders, self.listening, self.baud).map(|heard| heard.at);
        let held = self.held.front().map(|heard| self.release(*heard));
        [request, character, held, self.babble].into_iter().flatten().min()
    }

    /// Runs a conversation to its end in virtual time; `now` moves on with it.
    pub fn converse<C: Conversation>(&mut self, conversation: &mut C, now: &mut Instant) -> C::Outcome {
        loop {
            match conversation.poll(*now) {
                Step::Transmit(bytes) => {
                    self.poll(*now);
                    self.receive(&bytes, *now);
                }
                Step::WaitUntil(until) => {
                    *now = self.next_wake().map_or(until, |wake| wake.min(until)).max(*now);
                    for heard in self.poll(*now) {
                        if heard.damaged {
                            conversation.receive_damaged(*now);
                        } else {
                            conversation.receive(&[heard.byte], *now);
                        }
                    }
                }
                Step::SetBaud(baud) => self.set_baud(baud),
                Step::Done(outcome) => return outcome,
            }
        }
    }

    /// The master changes its rate; meters at another rate do not hear it.
    pub fn set_baud(&mut self, baud: Baud) {
        self.baud = baud;
    }

    /// The master changes its parity; all meters have even parity, but for what wakes them.
    pub fn set_parity(&mut self, parity: Parity) {
        self.parity = Some(parity);
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The answers sent since the last call, oldest first; only the last 64 are kept.
    pub fn take_answers(&mut self) -> Vec<Answered> {
        self.answers.drain(..).collect()
    }

    /// When a character is handed on: bunches are released together.
    fn release(&self, heard: Heard) -> Instant {
        let bunch = self.plan.faults.bunch.as_nanos();
        let since = heard.at.saturating_duration_since(self.started).as_nanos();
        let wait = since.checked_rem(bunch).map_or(0, |into| (bunch - into) % bunch);
        heard.at + Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
    }

    /// Noise that never ends, up to `now`; what was not listened to is cut to its last second.
    fn babble(&mut self, now: Instant) {
        let Some(mut at) = self.babble else { return };
        let pause = Duration::from_secs(1) / u32::from(self.plan.faults.babble_per_second.max(1));
        at = now.checked_sub(Duration::from_secs(1)).map_or(at, |second_ago| at.max(second_ago));
        while at <= now {
            let noise = self.misfortune.random_character();
            self.send(at, vec![noise]);
            at += pause;
        }
        self.babble = Some(at);
    }

    /// One byte of the master reaches the meters.
    fn take_request_byte(&mut self) {
        let Some((at, byte, parity)) = self.requests.pop_front() else { return };
        let gap = self.last_request_byte.is_some_and(|last| at > last + self.baud.bits(33) + REQUEST_GAP);
        if gap {
            self.framer = Framer::default();
        }
        self.last_request_byte = Some(at);
        self.meters.iter_mut().for_each(|meter| meter.overhear(byte, self.baud, parity, at));
        let arrived = self.misfortune.character(byte);
        if arrived == character(byte) && parity.is_none_or(|parity| parity == Parity::Even) {
            self.framer.receive(&[byte]);
        } else {
            // Meters check parity too; a turned character with right parity is caught by the checksum.
            self.framer.spoil();
        }
        while let Some(frame) = self.framer.next_frame() {
            self.deliver(&frame, at);
        }
    }

    /// Every meter hears a whole frame; those it is meant for answer.
    fn deliver(&mut self, bytes: &[u8], at: Instant) {
        self.counts.requests += 1;
        let since = at.saturating_duration_since(self.started);
        let Faults { dead_from, dead_for, .. } = self.plan.faults;
        if since >= dead_from && since < dead_from + dead_for {
            self.meters.iter_mut().for_each(Meter::lose_power);
            return;
        }
        let clock = self.plan.clock + since.as_secs();
        let (baud, request) = (self.baud, bytes.len());
        let Ok(frame) = Frame::parse(bytes) else { return };
        for index in 0..self.meters.len() {
            let Some(meter) = self.meters.get_mut(index) else { continue };
            let heard = meter.hears(baud, since, at);
            let Some(answer) = heard.then(|| meter.answer(frame, since, clock)).flatten() else { continue };
            if answer.is_empty() {
                continue; // the plan has more records than a telegram holds
            }
            self.counts.bound += baud.characters(request + answer.len() + 1) + meter.delay(&answer);
            self.answer(index, answer, at);
        }
    }

    fn answer(&mut self, index: usize, frame: Vec<u8>, at: Instant) {
        let Some(meter) = self.meters.get_mut(index) else { return };
        let fate = self.misfortune.answer(&frame);
        let late = if fate.late { self.plan.faults.late_by } else { Duration::ZERO };
        let delay = meter.delay(&frame) + late;
        // A meter that still owes an answer sends this one after it.
        let start = meter.free_at().map_or(at + delay, |free| free.max(at + delay));
        meter.set_busy(start, start + self.baud.characters(fate.characters.len() + 1));
        let timely = delay <= self.baud.response_timeout();
        let intact = fate.intact && timely;
        self.counts.answers += 1;
        self.counts.intact += u64::from(intact);
        self.counts.undetectable += u64::from(fate.undetectable);
        let mut noise = fate.noise;
        // as much as there is room for: noise over the answer would be damage
        while at + self.baud.characters(noise.len()) > start {
            noise.pop();
        }
        if let Some(begin) = start.checked_sub(self.baud.characters(noise.len())) {
            self.send(begin, noise);
        }
        self.send(start, fate.characters);
        if self.answers.len() == ANSWERS_KEPT {
            self.answers.pop_front();
        }
        self.answers.push_back(Answered { meter: index, frame, at, intact });
    }

    fn send(&mut self, start: Instant, characters: Vec<u16>) {
        self.senders.push(Transmission { start, characters });
    }
}
