//! Finds the frames in what a line delivers: bytes in any portions, noise before, inside and after,
//! frames cut short, wrong lengths.
//!
//! A start byte of noise can promise a frame that never comes (`68 F0 F0 68` asks for 246 bytes).
//! While bytes still arrive the framer waits for it; once the line is quiet, [`Framer::expire`] drops
//! the start byte and looks again, so that a good frame behind it is not lost.
//!
//! Not here: whether a frame answers the question (`exchange`), and times.

use crate::mbus::link::frame::{ACK, Frame, FrameError, LONG_OVERHEAD, LONG_START, SHORT_LEN, SHORT_START};

/// Collects the bytes that came since a request.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
    noise: usize,
}

impl Framer {
    /// Adds bytes that arrived.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A character arrived that the UART marked (parity, framing, break): no frame reaches across it.
    /// Frames that were complete before it are still found by [`next_frame`](Self::next_frame), so call that first.
    pub fn spoil(&mut self) {
        self.noise += self.bytes.len() + 1;
        self.bytes.clear();
    }

    /// The next long or short frame, whole and checked; `None`: more bytes are needed.
    ///
    /// Bytes that can never be part of a frame are dropped and counted as noise. A lone E5 is left
    /// standing, because only silence after it makes it an acknowledgement.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        let mut start = 0;
        let length = loop {
            let rest = self.bytes.get(start..).unwrap_or_default();
            match frame_length(rest) {
                Ok(None) => break None,
                Ok(Some(1)) if rest.len() == 1 => break None,
                Ok(Some(length)) if length > 1 => break Some(length),
                Ok(Some(_)) | Err(_) => start += 1,
            }
        };
        self.bytes.drain(..start);
        self.noise += start;
        length.map(|length| self.bytes.drain(..length).collect())
    }

    /// The line is quiet: what was begun will not be completed. Gives the next frame behind it, if
    /// there is one; without one, everything was noise and nothing is left.
    pub fn expire(&mut self) -> Option<Vec<u8>> {
        while !self.bytes.is_empty() {
            self.bytes.remove(0);
            self.noise += 1;
            let found = self.next_frame();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Whether E5 is all that came: an acknowledgement, if nothing follows (EN 13757-2 clause 5.6.2).
    #[must_use]
    pub fn is_lone_ack(&self) -> bool {
        self.noise == 0 && self.bytes == [ACK]
    }

    /// Whether what came last is the beginning of a long frame, as far as its first bytes tell.
    #[must_use]
    pub fn promises_more(&self) -> bool {
        self.bytes.first() == Some(&LONG_START)
    }

    /// Whether no frame has been begun.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes dropped so far.
    #[must_use]
    pub fn noise(&self) -> usize {
        self.noise
    }
}

/// The length of the frame that `bytes` begin with, checked to its stop byte. `Ok(None)`: more bytes
/// may make it one.
///
/// # Errors
/// Whatever comes, no frame begins here.
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let want = match *bytes {
        [] => return Ok(None),
        [ACK, ..] => 1,
        [SHORT_START, ..] => SHORT_LEN,
        [LONG_START] => return Ok(None),
        [LONG_START, length, ref rest @ ..] => {
            check_long_start(length, rest)?;
            usize::from(length) + LONG_OVERHEAD
        }
        [got, ..] => return Err(FrameError::Start { got }),
    };
    bytes.get(..want).map_or(Ok(None), |frame| Frame::parse(frame).map(|_| Some(want)))
}

/// Refuses a long frame as early as its first bytes allow.
fn check_long_start(first: u8, rest: &[u8]) -> Result<(), FrameError> {
    match *rest {
        _ if first < 3 => Err(FrameError::TooShort { got: first }),
        [second, ..] if second != first => Err(FrameError::Lengths { first, second }),
        [_, got, ..] if got != LONG_START => Err(FrameError::SecondStart { got }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Framer, frame_length};
    use crate::mbus::link::frame::FrameError;

    const REPLY: [u8; 10] = [0x68, 0x04, 0x04, 0x68, 0x08, 0x05, 0x71, 0x04, 0x82, 0x16];
    const SHORT: [u8; 5] = [0x10, 0x40, 0x05, 0x45, 0x16];

    fn framer(bytes: &[u8]) -> Framer {
        let mut framer = Framer::default();
        framer.receive(bytes);
        framer
    }

    #[test]
    fn a_frame_is_whole_with_its_stop_byte_in_whatever_portions_it_comes() {
        for portion in 1..=REPLY.len() {
            let mut framer = Framer::default();
            let mut found = Vec::new();
            for bytes in REPLY.chunks(portion) {
                assert!(found.is_empty(), "complete only with the last byte");
                framer.receive(bytes);
                found.extend(framer.next_frame());
            }
            assert_eq!(found, [REPLY], "portions of {portion}");
            assert!(framer.is_empty() && framer.noise() == 0);
        }
    }

    #[test]
    fn noise_that_promises_a_long_frame_does_not_cost_the_reply() {
        let mut framer = framer(&[0x68, 0xF0, 0xF0, 0x68]);
        framer.receive(&REPLY);
        assert_eq!(framer.next_frame(), None, "246 bytes may still come");
        assert_eq!(framer.expire().as_deref(), Some(&REPLY[..]));
        assert_eq!((framer.noise(), framer.is_empty()), (4, true));
    }

    #[test]
    fn noise_before_between_and_after_frames_is_dropped_at_once() {
        let stream = [&[0x00, 0xE5, 0x10, 0xFF, 0x16][..], &SHORT, &[0x68, 0x04, 0x03], &REPLY, &[0xAA, 0x42]].concat();
        let mut framer = framer(&stream);
        assert_eq!(framer.next_frame().as_deref(), Some(&SHORT[..]));
        assert_eq!(framer.next_frame().as_deref(), Some(&REPLY[..]));
        assert_eq!(framer.next_frame(), None);
        assert_eq!((framer.noise(), framer.is_empty()), (10, true));
    }

    #[test]
    fn e5_acknowledges_only_when_it_came_alone() {
        assert!(framer(&[0xE5]).is_lone_ack());
        let mut twice = framer(&[0xE5, 0xE5]);
        assert_eq!(twice.next_frame(), None);
        assert!(!twice.is_lone_ack());
        let mut after_noise = framer(&[0x42, 0xE5]);
        assert_eq!(after_noise.next_frame(), None);
        assert!(!after_noise.is_lone_ack());
        let mut after_damage = Framer::default();
        after_damage.spoil();
        after_damage.receive(&[0xE5]);
        assert!(!after_damage.is_lone_ack());
    }

    #[test]
    fn a_cut_frame_is_given_up_when_the_line_is_quiet() {
        for end in 1..REPLY.len() {
            let mut framer = framer(&REPLY[..end]);
            assert_eq!(framer.next_frame(), None, "{end}");
            assert_eq!(framer.expire(), None, "{end}");
            assert_eq!((framer.noise(), framer.is_empty()), (end, true));
        }
    }

    #[test]
    fn no_frame_reaches_across_a_damaged_character() {
        let mut framer = framer(&REPLY[..6]);
        assert_eq!(framer.next_frame(), None);
        framer.spoil();
        framer.receive(&REPLY[6..]);
        framer.receive(&REPLY);
        assert_eq!(framer.next_frame().as_deref(), Some(&REPLY[..]), "the next frame is found");
        assert_eq!(framer.noise(), 11);
        // its value may even have been right
        let mut framer = self::framer(&[0x10, 0x40]);
        framer.spoil();
        framer.receive(&[0x40, 0x16]);
        assert_eq!(framer.next_frame(), None);
        assert_eq!(framer.expire(), None);
    }

    #[test]
    fn a_start_that_can_never_be_a_frame_is_refused_as_early_as_it_shows() {
        assert_eq!(frame_length(&[0x68, 2]), Err(FrameError::TooShort { got: 2 }));
        assert_eq!(frame_length(&[0x68, 4, 5]), Err(FrameError::Lengths { first: 4, second: 5 }));
        assert_eq!(frame_length(&[0x68, 4, 4, 0]), Err(FrameError::SecondStart { got: 0 }));
        assert_eq!(frame_length(&[0x42]), Err(FrameError::Start { got: 0x42 }));
        assert_eq!(frame_length(&[0x68, 4, 4]), Ok(None));
        assert_eq!(frame_length(&[]), Ok(None));
        assert_eq!(frame_length(&REPLY), Ok(Some(10)));
    }
}
