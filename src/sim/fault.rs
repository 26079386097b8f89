//! Faults, drawn from a seeded generator.

use crate::mbus::link::frame::{ACK, Frame};
use crate::sim::plan::Faults;
use crate::sim::wire::{IDLE, character, decode};

/// E5 with a bit turned, as people have met it.
const DAMAGED_ACK: u8 = 0xA5;

/// Draws the faults of one segment.
#[derive(Clone, Debug)]
pub(super) struct Misfortune {
    faults: Faults,
    state: u64,
}

/// What became of an answer.
pub(super) struct Answer {
    /// Its characters as they go on the line.
    pub(super) characters: Vec<u16>,
    /// Whether it is what the meter said.
    pub(super) intact: bool,
    /// Whether it arrives altered by the line and yet as a frame: no receiver notices.
    pub(super) undetectable: bool,
    /// Whether it begins `late_by` after its time.
    pub(super) late: bool,
    /// Characters of noise before it.
    pub(super) noise: Vec<u16>,
}

impl Misfortune {
    pub(super) fn new(faults: Faults, seed: u64) -> Self {
        Self { faults, state: seed }
    }

    /// What becomes of an answer on its way.
    pub(super) fn answer(&mut self, bytes: &[u8]) -> Answer {
        let faults = self.faults;
        let mut bytes = bytes.to_vec();
        let mut intact = true;
        if self.strikes(faults.wrong_address_per_mille) && readdress(&mut bytes) {
            intact = false;
        }
        if self.strikes(faults.wrong_checksum_per_mille) {
            if let Some(sum) = bytes.iter_mut().rev().nth(1) {
                *sum = sum.wrapping_add(1);
                intact = false;
            }
        }
        if bytes == [ACK] && self.strikes(faults.damaged_ack_per_mille) {
            bytes = vec![DAMAGED_ACK];
            intact = false;
        }
        if bytes.len() > 1 && self.strikes(faults.truncated_per_mille) {
            let keep = 1 + self.below(bytes.len() - 1);
            bytes.truncate(keep);
            intact = false;
        }
        let mut characters: Vec<u16> = bytes.iter().map(|byte| self.character(*byte)).collect();
        let arrived: Vec<u8> = characters.iter().filter_map(|bits| decode(*bits)).collect();
        intact &= arrived == bytes;
        let undetectable = arrived != bytes && arrived.len() == bytes.len() && Frame::parse(&arrived).is_ok();
        let late = self.strikes(faults.late_per_mille);
        if self.strikes(faults.junk_per_mille) {
            characters.push(self.random_character());
        }
        let noise = if self.strikes(faults.noise_per_mille) { self.noise() } else { Vec::new() };
        Answer { characters, intact, undetectable, late, noise }
    }

    /// One character on its way: as it is, bits turned, or gone.
    pub(super) fn character(&mut self, byte: u8) -> u16 {
        if self.strikes(self.faults.drop_per_mille) {
            return IDLE;
        }
        if self.strikes(self.faults.corrupt_per_mille) {
            // any of the 8 data bits and the parity bit, at least one
            let turned = u16::try_from(1 + self.below(511)).unwrap_or(1);
            return character(byte) ^ (turned << 1);
        }
        character(byte)
    }

    /// One to eight characters; now and then such as promise a long frame.
    fn noise(&mut self) -> Vec<u16> {
        if self.below(4) == 0 {
            return [0x68, 0xF0, 0xF0, 0x68].map(character).to_vec();
        }
        let count = 1 + self.below(8);
        (0..count).map(|_| self.random_character()).collect()
    }

    /// Any character, with the right parity.
    pub(super) fn random_character(&mut self) -> u16 {
        character(self.next().to_le_bytes()[0])
    }

    fn strikes(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.below(1000) < usize::from(per_mille)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from((self.next() >> 16) % bound).unwrap_or(0)
    }

    /// SplitMix64: a published generator, small and good enough for faults.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Gives a long frame another A field and the checksum that goes with it.
fn readdress(bytes: &mut Vec<u8>) -> bool {
    let Ok(Frame::Long { c, a, ci, data }) = Frame::parse(bytes) else { return false };
    let other = Frame::Long { c, a: a.wrapping_add(1) % 251, ci, data }.to_vec();
    other.map(|other| *bytes = other).is_ok()
}
