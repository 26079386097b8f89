//! A broker of MQTT 3.1.1 cannot refuse a message, it can only close the connection. So a reading
//! at which connection after connection is closed, while everything else went through, must at
//! last be doubted: or it blocks all others for ever.
//!
//! Not here: refusals with a reason code (`outbox`), what becomes of the reading (the spool).

/// Closed connections after which the reading is sent alone.
const ALONE_AFTER: u32 = 3;
/// Closed connections after which it is set aside.
const CONVICTED_AFTER: u32 = 8;

/// How often in a row connections were closed with the same reading first on the way.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    suspect: Option<(u64, u32)>,
}

impl Doubt {
    /// A reading was acknowledged: connections are closed for another reason.
    pub(super) fn clear(&mut self) {
        self.suspect = None;
    }

    /// Whether the next reading is to be sent alone.
    pub(super) fn is_strong(&self) -> bool {
        self.suspect.is_some_and(|(_, closed)| closed >= ALONE_AFTER)
    }

    /// One more connection was closed with `seq` first on the way: is it enough?
    pub(super) fn convicts(&mut self, seq: u64) -> bool {
        let closed = self.suspect.filter(|(other, _)| *other == seq).map_or(1, |(_, closed)| closed + 1);
        self.suspect = (closed < CONVICTED_AFTER).then_some((seq, closed));
        closed >= CONVICTED_AFTER
    }
}
