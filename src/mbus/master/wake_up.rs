//! What some meters need to hear before they listen: one character again and again, then silence. Optical
//! heads of heat meters want 55 for two seconds without parity (EN 13757-2 annex, EN 1434-3), others zeros.
//!
//! Not here: how it is written in a file (`config`), what is asked then (`readout`).

use std::time::{Duration, Instant};

use crate::mbus::link::timing::{Baud, Parity};
use crate::mbus::master::conversation::{Conversation, LineTiming, Step};

/// A character and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeUp {
    /// The character.
    pub byte: u8,
    /// How much of it.
    pub length: Length,
    /// Its parity, where that is not the meter's.
    pub parity: Option<Parity>,
}

/// How long a wake-up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// As many characters as fill this time.
    Time(Duration),
    /// So many characters.
    Characters(u16),
}

impl WakeUp {
    /// Bits of one of its characters, on a line with this parity: without parity there is one less.
    fn bits(self, line: Parity) -> u32 {
        if self.parity.unwrap_or(line) == Parity::None { 10 } else { 11 }
    }

    /// So many characters, at least one.
    #[must_use]
    pub fn count(self, baud: Baud, line: Parity) -> usize {
        match self.length {
            Length::Characters(count) => usize::from(count).max(1),
            Length::Time(time) => {
                let bits_times_nanos = time.as_nanos() * u128::from(baud.bits_per_second());
                let count = bits_times_nanos.div_ceil(u128::from(self.bits(line)) * 1_000_000_000);
                usize::try_from(count).unwrap_or(1).max(1)
            }
        }
    }

    /// How long it takes, with the silence after it.
    #[must_use]
    pub fn time(self, baud: Baud, line: Parity) -> Duration {
        let count = u32::try_from(self.count(baud, line)).unwrap_or(u32::MAX);
        baud.bits(self.bits(line)).saturating_mul(count) + baud.quiet_after_error()
    }
}

/// A wake-up on its way; whatever comes back is not for us.
#[derive(Clone, Debug)]
pub struct WakingUp {
    bytes: Option<Vec<u8>>,
    takes: Duration,
    until: Option<Instant>,
}

impl WakingUp {
    /// On a line with this parity.
    #[must_use]
    pub fn new(wake_up: WakeUp, timing: LineTiming, line: Parity) -> Self {
        let bytes = vec![wake_up.byte; wake_up.count(timing.baud, line)];
        Self { bytes: Some(bytes), takes: wake_up.time(timing.baud, line) + timing.latency, until: None }
    }
}

impl Conversation for WakingUp {
    type Outcome = ();

    fn poll(&mut self, now: Instant) -> Step<()> {
        if let Some(bytes) = self.bytes.take() {
            self.until = Some(now + self.takes);
            return Step::Transmit(bytes);
        }
        match self.until {
            Some(until) if now < until => Step::WaitUntil(until),
            _ => Step::Done(()),
        }
    }

    fn receive(&mut self, _: &[u8], _: Instant) {}

    fn receive_damaged(&mut self, _: Instant) {}
}

#[cfg(test)]
mod tests {
    use super::{Length, WakeUp};
    use crate::mbus::link::timing::{Baud, Parity};
    use std::time::Duration;

    #[test]
    fn two_seconds_without_parity_are_504_characters_of_ten_bits() {
        let length = Length::Time(Duration::from_millis(2100));
        let wake_up = WakeUp { byte: 0x55, length, parity: Some(Parity::None) };
        assert_eq!(wake_up.count(Baud::DEFAULT, Parity::Even), 504);
        assert_eq!(wake_up.time(Baud::DEFAULT, Parity::Even).as_millis(), 2100 + 13);
        assert_eq!(WakeUp { parity: None, ..wake_up }.count(Baud::DEFAULT, Parity::Even), 459, "eleven bits");
        let zeros = WakeUp { byte: 0, length: Length::Characters(210), parity: None };
        assert_eq!(zeros.count(Baud::DEFAULT, Parity::Even), 210);
        assert_eq!(zeros.time(Baud::DEFAULT, Parity::Even).as_millis(), 976);
    }
}
