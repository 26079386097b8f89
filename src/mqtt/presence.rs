//! Whether a meter is there, and which one it is: what its readouts in a row say. Pure.
//!
//! Not here: what a reading says (`measure`), publishing any of it (`publisher`).

use crate::mbus::address::SecondaryAddress;

/// Presence of one meter. Offline until its first good readout.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    offline_after: u8,
    failures: u8,
    online: bool,
    told_silent: bool,
    identity: Option<SecondaryAddress>,
}

/// What changed with a readout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// The first good readout since the start.
    Online,
    /// It answers again after it was told silent.
    Back,
    /// It has failed as often in a row as is allowed.
    Silent,
}

impl Presence {
    /// `offline_after` failed readouts in a row make it silent.
    #[must_use]
    pub(super) fn new(offline_after: u8) -> Self {
        Self { offline_after: offline_after.max(1), failures: 0, online: false, told_silent: false, identity: None }
    }

    /// Another number of failures is allowed from now on.
    pub(super) fn tolerate(&mut self, offline_after: u8) {
        self.offline_after = offline_after.max(1);
    }

    /// Known good from before the start, unless it was found silent since.
    pub(super) fn restore(&mut self) {
        self.online = !self.told_silent;
    }

    /// Who it was before the start.
    pub(super) fn recognise(&mut self, identity: SecondaryAddress) {
        self.identity = Some(identity);
    }

    /// Who it was the last time it said so.
    #[must_use]
    pub(super) fn identity(&self) -> Option<SecondaryAddress> {
        self.identity
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
        match (std::mem::take(&mut self.told_silent), was_online) {
            (true, _) => Change::Back,
            (false, false) => Change::Online,
            (false, true) => Change::None,
        }
    }

    /// A readout gave none.
    pub(super) fn failed(&mut self) -> Change {
        self.failures = self.failures.saturating_add(1);
        if self.failures < self.offline_after || self.told_silent {
            return Change::None;
        }
        self.online = false;
        self.told_silent = true;
        Change::Silent
    }

    /// Takes the identity of a reading; the former one where another meter answers now.
    pub(super) fn replaced_by(&mut self, identity: Option<SecondaryAddress>) -> Option<SecondaryAddress> {
        let identity = identity?;
        self.identity.replace(identity).filter(|former| *former != identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_silent_after_as_many_failures_in_a_row_and_told_once() {
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
    fn a_meter_never_heard_of_is_told_silent_too() {
        let mut meter = Presence::new(1);
        assert_eq!(meter.failed(), Change::Silent);
        assert_eq!(meter.answered(), Change::Back);
    }

    #[test]
    fn another_identity_is_another_meter() {
        let one = SecondaryAddress::parse("30137315ATS0104").expect("an address");
        let two = SecondaryAddress::parse("30137316ATS0104").expect("an address");
        let mut meter = Presence::new(2);
        assert_eq!(meter.replaced_by(Some(one)), None);
        assert_eq!(meter.replaced_by(None), None, "a short header says nothing");
        assert_eq!(meter.replaced_by(Some(one)), None);
        assert_eq!(meter.replaced_by(Some(two)), Some(one));
    }
}
