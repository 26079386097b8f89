//! The last frames of a bus, for whoever watches its wire.
//!
//! Not here: what a frame is (`frames::describe`).

use std::collections::VecDeque;
use std::time::SystemTime;

use tokio::sync::watch;

/// Frames that are kept.
const KEPT: usize = 200;

/// The newest frames, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    frames: VecDeque<Taped>,
    /// Frames so far.
    count: u64,
}

/// A frame, or what came instead of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taped {
    /// Counts from 1.
    pub number: u64,
    /// When it was sent, or complete.
    pub at: SystemTime,
    /// Whether this agent sent it.
    pub sent: bool,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Characters beside them that the line marked as damaged.
    pub damaged: usize,
}

impl Tape {
    /// The frames after this number.
    pub fn after(&self, number: u64) -> impl DoubleEndedIterator<Item = &Taped> {
        self.frames.iter().filter(move |taped| taped.number > number)
    }

    fn push(&mut self, sent: bool, bytes: &[u8], damaged: usize) {
        self.count += 1;
        if self.frames.len() == KEPT {
            self.frames.pop_front();
        }
        let (number, at) = (self.count, SystemTime::now());
        self.frames.push_back(Taped { number, at, sent, bytes: bytes.to_vec(), damaged });
    }
}

/// Keeps a frame where somebody may want to see it.
pub(super) fn record(tape: &watch::Sender<Tape>, sent: bool, bytes: &[u8], damaged: usize) {
    if tape.receiver_count() > 0 {
        tape.send_modify(|tape| tape.push(sent, bytes, damaged));
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Tape, record};
    use tokio::sync::watch;

    #[test]
    fn the_newest_frames_are_kept_while_somebody_may_look() {
        let tape = watch::Sender::new(Tape::default());
        record(&tape, true, &[0xE5], 0);
        assert_eq!(tape.borrow().after(0).count(), 0);
        let watcher = tape.subscribe();
        (0..=KEPT).for_each(|_| record(&tape, false, &[0xE5], 0));
        let tape = watcher.borrow();
        let numbers: Vec<u64> = tape.after(0).map(|taped| taped.number).collect();
        assert_eq!((numbers.len(), numbers[0], numbers[KEPT - 1]), (KEPT, 2, 201));
        assert_eq!(tape.after(200).count(), 1);
    }
}
