//! Bits on the wire: characters with start, parity and stop bit, and what a UART reads where several
//! senders speak at once. A slave's space is a current, and currents add up: a 0 of anyone wins.

use std::time::{Duration, Instant};

use crate::mbus::link::timing::{BITS_PER_CHARACTER, Baud};

/// The eleven bits of an idle line.
pub(super) const IDLE: u16 = 0x7FF;

/// The eleven bits of a character, first bit lowest: start 0, eight data, even parity, stop 1.
pub(super) fn character(byte: u8) -> u16 {
    let parity = u16::from(byte.count_ones() % 2 == 1);
    (u16::from(byte) << 1) | (parity << 9) | (1 << 10)
}

/// What a UART makes of a lone character; `None` where parity or stop bit are wrong or nothing is sent.
pub(super) fn decode(bits: u16) -> Option<u8> {
    let byte = (bits >> 1).to_le_bytes()[0];
    (character(byte) == bits).then_some(byte)
}

/// A character as a UART reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When its stop bit ended.
    pub at: Instant,
    /// Its eight data bits.
    pub byte: u8,
    /// Whether parity or stop bit were wrong.
    pub damaged: bool,
}

/// One sender's characters, without gaps.
#[derive(Clone, Debug)]
pub(super) struct Transmission {
    pub(super) start: Instant,
    pub(super) characters: Vec<u16>,
}

impl Transmission {
    pub(super) fn end(&self, baud: Baud) -> Instant {
        self.start + baud.characters(self.characters.len())
    }

    /// The bit with this index since the start; 1 where there is none.
    fn bit(&self, index: u64) -> bool {
        let per_character = u64::from(BITS_PER_CHARACTER);
        let character = usize::try_from(index / per_character).ok().and_then(|at| self.characters.get(at));
        character.is_none_or(|bits| bits >> (index % per_character) & 1 == 1)
    }

    /// Whether the sender leaves the line at 1.
    fn is_mark(&self, at: Instant, baud: Baud) -> bool {
        at.checked_duration_since(self.start).is_none_or(|since| self.bit(bit_at(since, baud)))
    }

    /// When it first pulls the line to 0, from `from` on.
    fn next_space(&self, from: Instant, baud: Baud) -> Option<Instant> {
        let first = bit_at(from.saturating_duration_since(self.start), baud);
        let count = u64::try_from(self.characters.len()).unwrap_or(0) * u64::from(BITS_PER_CHARACTER);
        let index = (first..count).find(|index| !self.bit(*index))?;
        Some(from.max(self.start + bits(index, baud)))
    }
}

/// The first character that a UART reads from these senders if it listens from `from` on.
pub(super) fn next_character(senders: &[Transmission], from: Instant, baud: Baud) -> Option<Heard> {
    let edge = senders.iter().filter_map(|sender| sender.next_space(from, baud)).min()?;
    let sample = |index: u32| {
        let middle = edge + baud.bits(2 * index + 1) / 2;
        senders.iter().all(|sender| sender.is_mark(middle, baud))
    };
    let byte = (0..8).fold(0_u8, |byte, bit| byte | (u8::from(sample(bit + 1)) << bit));
    let read = (0..BITS_PER_CHARACTER).fold(0_u16, |read, bit| read | (u16::from(sample(bit)) << bit));
    Some(Heard { at: edge + baud.characters(1), byte, damaged: read != character(byte) })
}

/// Where a UART listens for the next start bit after it read a character: from the middle of the stop bit.
pub(super) fn listen_again(heard: Heard, baud: Baud) -> Instant {
    heard.at.checked_sub(baud.bits(1) / 2).unwrap_or(heard.at)
}

fn bit_at(since: Duration, baud: Baud) -> u64 {
    let bits = since.as_nanos() * u128::from(baud.bits_per_second()) / 1_000_000_000;
    u64::try_from(bits).unwrap_or(u64::MAX)
}

/// The start of a bit, rounded up so that [`bit_at`] finds it again.
fn bits(index: u64, baud: Baud) -> Duration {
    Duration::from_nanos((index * 1_000_000_000).div_ceil(u64::from(baud.bits_per_second())))
}

#[cfg(test)]
mod tests {
    use super::{Transmission, character, listen_again, next_character};
    use crate::mbus::link::timing::Baud;
    use std::time::{Duration, Instant};

    fn heard(senders: &[(Duration, &[u8])]) -> Vec<(u8, bool)> {
        let (baud, start) = (Baud::DEFAULT, Instant::now());
        let senders: Vec<Transmission> = senders
            .iter()
            .map(|(after, bytes)| Transmission {
                start: start + *after,
                characters: bytes.iter().map(|b| character(*b)).collect(),
            })
            .collect();
        let (mut from, mut found) = (start, Vec::new());
        while let Some(heard) = next_character(&senders, from, baud) {
            found.push((heard.byte, heard.damaged));
            from = listen_again(heard, baud);
        }
        found
    }

    #[test]
    fn one_sender_is_read_as_sent() {
        let all: Vec<u8> = (0..=255).collect();
        let want: Vec<(u8, bool)> = all.iter().map(|b| (*b, false)).collect();
        assert_eq!(heard(&[(Duration::from_millis(3), &all)]), want);
    }

    #[test]
    fn two_equal_acknowledgements_look_like_one() {
        assert_eq!(heard(&[(Duration::ZERO, &[0xE5]), (Duration::ZERO, &[0xE5])]), [(0xE5, false)]);
    }

    #[test]
    fn a_zero_of_anyone_wins() {
        assert_eq!(heard(&[(Duration::ZERO, &[0b1010_0000]), (Duration::ZERO, &[0b1100_0000])]), [(0b1000_0000, true)]);
        let apart = heard(&[(Duration::ZERO, &[0xE5]), (Duration::from_millis(1), &[0xE5])]);
        assert_ne!(apart, [(0xE5, false)], "not bit by bit at the same time");
    }
}
