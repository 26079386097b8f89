//! A broker of MQTT 3.1.1 cannot refuse a message, it can only close the connection. So a reading
//! at which connection after connection is closed, while everything else went through, must at
//! last be doubted: or it blocks all others forever.
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

#[cfg(test)]
mod tests {
    use super::{ALONE_AFTER, CONVICTED_AFTER, Doubt};

    #[test]
    fn only_connections_closed_in_a_row_at_the_same_reading_count() {
        let mut doubt = Doubt::default();
        for seq in 0..4 * u64::from(CONVICTED_AFTER) {
            assert!(!doubt.convicts(seq) && !doubt.is_strong(), "each at another one");
        }
        for closed in 1..CONVICTED_AFTER {
            assert!(!doubt.convicts(7));
            assert_eq!(doubt.is_strong(), closed >= ALONE_AFTER, "{closed}");
        }
        doubt.clear();
        assert!(!doubt.is_strong());
        assert!((1..CONVICTED_AFTER).all(|_| !doubt.convicts(7)) && doubt.convicts(7));
        assert!(!doubt.is_strong(), "the next reading is not suspect");
    }
}
