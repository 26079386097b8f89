//! The kernel's marks (PARMRK) among the bytes of a serial port: `FF 00 x` is a character `x` with a
//! wrong parity or stop bit, `FF FF` is an intact FF.

use std::collections::VecDeque;

use super::Arrived;

/// Bytes as the kernel gave them, marks included, not read yet.
#[derive(Debug, Default)]
pub(super) struct Marked {
    raw: VecDeque<u8>,
}

impl Marked {
    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.raw.extend(bytes);
    }

    /// Forgets what was read.
    pub(super) fn clear(&mut self) {
        self.raw.clear();
    }

    /// The next characters, as far as they are there: intact ones up to the next mark, or one damaged.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> Option<Arrived> {
        let mut count = 0;
        for place in buffer {
            let byte = match (self.raw.front(), self.raw.get(1), self.raw.get(2)) {
                (Some(0xFF), Some(0xFF), _) => {
                    self.raw.pop_front();
                    0xFF
                }
                (Some(0xFF), Some(0x00), Some(_)) if count == 0 => {
                    self.raw.drain(..3);
                    return Some(Arrived::Damaged);
                }
                (Some(0xFF), Some(0x00), _) | (Some(0xFF), None, _) | (None, ..) => break,
                // No mark: a driver that does not double FF.
                (Some(byte), ..) => *byte,
            };
            self.raw.pop_front();
            *place = byte;
            count += 1;
        }
        (count > 0).then_some(Arrived::Bytes(count))
    }
}

#[cfg(test)]
mod tests {
    use super::Marked;
    use crate::bus::line::Arrived;

    /// What comes out when the bytes come in portions of this size: `None` is a damaged character.
    fn read(raw: &[u8], portion: usize) -> Vec<Option<u8>> {
        let (mut marked, mut buffer, mut out) = (Marked::default(), [0; 4], Vec::new());
        for bytes in raw.chunks(portion) {
            marked.push(bytes);
            while let Some(arrived) = marked.take(&mut buffer) {
                match arrived {
                    Arrived::Damaged => out.push(None),
                    Arrived::Bytes(count) => out.extend(buffer[..count].iter().map(|b| Some(*b))),
                }
            }
        }
        out
    }

    #[test]
    fn marks_are_taken_out_in_whatever_portions_they_come() {
        let raw = [0x68, 0xFF, 0xFF, 0x00, 0xFF, 0x00, 0x31, 0x16, 0xFF, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2];
        let want =
            [Some(0x68), Some(0xFF), Some(0x00), None, Some(0x16), None, Some(0xFF), Some(0xFF), Some(1), Some(2)];
        for portion in 1..=raw.len() {
            assert_eq!(read(&raw, portion), want, "{portion} at a time");
        }
    }
}
