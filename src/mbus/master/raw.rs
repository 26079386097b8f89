//! One frame sent as it is, and whatever comes back: for what no other conversation does.

use std::time::{Duration, Instant};

use crate::mbus::link::frame::MAX_LEN;
use crate::mbus::master::conversation::{Conversation, LineTiming, Step};

/// Silence after which nothing more is waited for, beyond the standard's 33 bit times: what a loaded
/// system may take to hand the next bytes on.
const JITTER: Duration = Duration::from_millis(100);

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Characters that the line marked as damaged, which are not among the bytes.
    pub damaged: usize,
}

/// A frame on its way, and the wait for an answer. It is sent once.
#[derive(Clone, Debug)]
pub struct Raw {
    frame: Vec<u8>,
    timing: LineTiming,
    state: State,
    heard: Heard,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    Sent { at: Instant },
    Wait { until: Instant, give_up: Instant },
}

impl Raw {
    /// Sends `frame`, then waits for `timing.response_timeout`, and longer while bytes come.
    #[must_use]
    pub fn new(frame: Vec<u8>, timing: LineTiming) -> Self {
        Self { frame, timing, state: State::Start, heard: Heard::default() }
    }

    /// Something came: what follows belongs to it.
    fn extend(&mut self, now: Instant) {
        if let State::Wait { until, give_up } = self.state {
            let quiet = now + self.timing.baud.quiet_after_error() + JITTER + self.timing.latency;
            self.state = State::Wait { until: until.max(quiet), give_up };
        }
    }
}

impl Conversation for Raw {
    type Outcome = Heard;

    fn poll(&mut self, now: Instant) -> Step<Heard> {
        loop {
            match self.state {
                State::Start => {
                    self.state = State::Sent { at: now };
                    return Step::Transmit(self.frame.clone());
                }
                State::Sent { at } => {
                    let LineTiming { baud, response_timeout, latency, .. } = self.timing;
                    let end = now.max(at + baud.characters(self.frame.len()));
                    let until = end + response_timeout + latency + baud.characters(1);
                    // Several telegrams may follow each other; noise may never end.
                    self.state = State::Wait { until, give_up: until + baud.characters(4 * MAX_LEN) };
                }
                State::Wait { until, give_up } if now < until && now < give_up => {
                    return Step::WaitUntil(until.min(give_up));
                }
                State::Wait { .. } => return Step::Done(std::mem::take(&mut self.heard)),
            }
        }
    }

    fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.heard.bytes.extend_from_slice(bytes);
        self.extend(now);
    }

    fn receive_damaged(&mut self, now: Instant) {
        self.heard.damaged += 1;
        self.extend(now);
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, Raw};
    use crate::mbus::link::timing::Baud;
    use crate::mbus::master::conversation::{Conversation, LineTiming, Step};
    use std::time::{Duration, Instant};

    #[test]
    fn it_waits_for_the_timeout_and_then_for_the_end_of_what_comes() {
        let mut raw = Raw::new(vec![0x10, 0x40, 5, 0x45, 0x16], LineTiming::new(Baud::DEFAULT));
        let start = Instant::now();
        assert_eq!(raw.poll(start), Step::Transmit(vec![0x10, 0x40, 5, 0x45, 0x16]));
        let Step::WaitUntil(until) = raw.poll(start) else { panic!("a wait") };
        // five characters, the timeout of 500 ms, and one character of answer, at 4.58 ms each
        assert!(until - start > Duration::from_millis(527) && until - start < Duration::from_millis(528));
        raw.receive(&[0xE5], until);
        let Step::WaitUntil(quiet) = raw.poll(until) else { panic!("more may follow") };
        raw.receive_damaged(quiet);
        let Step::WaitUntil(end) = raw.poll(quiet) else { panic!("more may follow") };
        assert_eq!(raw.poll(end), Step::Done(Heard { bytes: vec![0xE5], damaged: 1 }));
    }

    #[test]
    fn noise_without_end_ends() {
        let mut raw = Raw::new(vec![0xE5], LineTiming::new(Baud::DEFAULT));
        let mut now = Instant::now();
        let start = now;
        while !matches!(raw.poll(now), Step::Done(_)) {
            now += Duration::from_millis(50);
            raw.receive(&[0], now);
            assert!(now < start + Duration::from_secs(10));
        }
    }
}
