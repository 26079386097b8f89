//! Whether a meter is there: what its readouts in a row say. Pure.
//!
//! Not here: which meter it is (`homeassistant::announcements`), publishing any of it (`publisher`).

/// Presence of one meter. Offline until its first good readout.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    offline_after: u8,
    failures: u8,
    online: bool,
    silent: bool,
}

/// What changed with a readout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// The first good readout since the start.
    Online,
    /// It answers again after it was silent.
    Back,
    /// It has failed as often in a row as is allowed.
    Silent,
}

impl Presence {
    /// `offline_after` failed readouts in a row make it silent.
    #[must_use]
    pub(super) fn new(offline_after: u8) -> Self {
        Self { offline_after: offline_after.max(1), failures: 0, online: false, silent: false }
    }

    /// Another number of failures is allowed from now on.
    pub(super) fn tolerate(&mut self, offline_after: u8) {
        self.offline_after = offline_after.max(1);
    }

    /// Known good from before the start, unless it was found silent since.
    pub(super) fn restore(&mut self) {
        self.online = !self.silent;
    }

    /// Whether it counts as there.
    #[must_use]
    pub(super) fn is_online(&self) -> bool {
        self.online
    }

    /// A readout gave a reading.
    pub(super) fn answered(&mut self) -> Change {
        self.failures = 0;
        let was_online = std::mem::replace(&mut self.online, true);
        match (std::mem::take(&mut self.silent), was_online) {
            (true, _) => Change::Back,
            (false, false) => Change::Online,
            (false, true) => Change::None,
        }
    }

    /// A readout gave none.
    pub(super) fn failed(&mut self) -> Change {
        self.failures = self.failures.saturating_add(1);
        if self.failures < self.offline_after || self.silent {
            return Change::None;
        }
        self.online = false;
        self.silent = true;
        Change::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_silent_after_as_many_failures_in_a_row_and_says_so_once() {
        let mut meter = Presence::new(2);
        assert!(!meter.is_online());
        assert_eq!(meter.answered(), Change::Online);
        assert_eq!(meter.failed(), Change::None);
        assert_eq!(meter.answered(), Change::None, "one failure is forgiven");
        assert_eq!(meter.failed(), Change::None);
        assert!(meter.is_online());
        assert_eq!(meter.failed(), Change::Silent);
        assert!(!meter.is_online());
        for _ in 0..600 {
            assert_eq!(meter.failed(), Change::None);
        }
        assert_eq!(meter.answered(), Change::Back);
        assert!(meter.is_online());
    }

    #[test]
    fn a_meter_never_heard_of_is_silent_too() {
        let mut meter = Presence::new(1);
        assert_eq!(meter.failed(), Change::Silent);
        assert_eq!(meter.answered(), Change::Back);
    }

    #[test]
    fn what_the_store_knows_brings_no_meter_back_that_was_found_silent() {
        let mut meter = Presence::new(1);
        meter.restore();
        assert!(meter.is_online());
        assert_eq!(meter.answered(), Change::None, "it was online all the time");
        meter.failed();
        meter.restore();
        assert!(!meter.is_online());
    }
}
