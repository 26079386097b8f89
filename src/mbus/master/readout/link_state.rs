//! What a master remembers of a meter between two turns.

use std::time::Duration;

use crate::mbus::master::exchange::LATEST_ANSWER;

/// What a master remembers of a meter between two turns. The default is right for a meter never met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    /// The frame count bit of the next request; `None`: in doubt, the meter must be reset first.
    pub(super) next_fcb: Option<bool>,
    /// Whether it acknowledges SND_NKE; some meters never do. `None`: not known yet.
    pub(super) acknowledges_reset: Option<bool>,
    /// It sends its first telegram forever, whatever the frame count bit.
    pub(super) repeats_first: bool,
    /// It was waited for as long as the slowest meters take, and did not answer: once is enough.
    pub(super) waited_long: bool,
    /// The next try of [`Effort::Shortest`](super::Effort) is a reset: the last one was a request.
    pub(super) reset_is_next: bool,
    /// The longest that it took to answer in its last turn.
    pub(super) response_time: Option<Duration>,
}

impl LinkState {
    /// The meter may have been reset or asked by another: its next frame count bit is in doubt.
    pub fn doubt(&mut self) {
        self.next_fcb = None;
    }

    /// How long to wait for it: longer than it took, where that is more than `usual`.
    pub(super) fn response_timeout(self, usual: Duration) -> Duration {
        let own = self.response_time.map_or(Duration::ZERO, |time| time * 3 / 2);
        usual.max(own.min(LATEST_ANSWER))
    }
}
