//! What the disk refuses at the moment: said once, tried again after a pause, without stopping the rest.

use std::io;
use std::time::{Duration, Instant};

use super::super::Notice;
use super::Spool;

/// How often a failing disk is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// What may fail for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Readings are kept in memory.
    Write,
    /// Readings on disk wait.
    Read,
    /// Files of readings that are done with stay.
    Delete,
}

/// When each is tried again, where it failed.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    write: Option<Instant>,
    read: Option<Instant>,
    delete: Option<Instant>,
}

impl Trouble {
    fn of(&mut self, step: Step) -> &mut Option<Instant> {
        match step {
            Step::Write => &mut self.write,
            Step::Read => &mut self.read,
            Step::Delete => &mut self.delete,
        }
    }

    pub(super) fn again_at(&self, step: Step) -> Option<Instant> {
        match step {
            Step::Write => self.write,
            Step::Read => self.read,
            Step::Delete => self.delete,
        }
    }

    /// It failed, and did not succeed since.
    pub(super) fn is(&self, step: Step) -> bool {
        self.again_at(step).is_some()
    }

    pub(super) fn is_due(&self, step: Step, now: Instant) -> bool {
        self.again_at(step).is_none_or(|again| again <= now)
    }

    fn any(&self) -> bool {
        self.write.or(self.read).or(self.delete).is_some()
    }
}

impl Spool {
    pub(super) fn fail(&mut self, step: Step, error: &io::Error, now: Instant) {
        let was_well = !self.trouble.any();
        let first = self.trouble.of(step).replace(now + TRY_AGAIN).is_none();
        if was_well {
            let meanwhile = match step {
                Step::Write => "readings are kept in memory until it works again",
                Step::Read => "readings on disk wait until it works again",
                Step::Delete => "files that are done with stay until it works again",
            };
            self.notices.push(Notice::Trouble { error: format!("{error}; {meanwhile}") });
        }
        if step == Step::Write && first && self.always() && self.disk.is_some() {
            // from now on readings come out that are on no disk, which cannot tell their numbers then
            self.begin_epoch();
        }
    }

    pub(super) fn recover(&mut self, step: Step) {
        if self.trouble.of(step).take().is_none() {
            return;
        }
        self.numbers_due |= step == Step::Write;
        if !self.trouble.any() {
            self.notices.push(Notice::Recovered);
        }
    }
}
