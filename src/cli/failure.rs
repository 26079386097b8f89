//! How a command ends when it cannot do what it was asked.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use crate::bus::session::causes;
use crate::config::LoadError;

/// What went wrong, why, and the exit code that says so to a script.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    causes: Vec<String>,
    /// What to do about it.
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// The command could not be done: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, code: 1 }
    }

    /// The command line makes no sense: exit code 2, as clap's own.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(message) }
    }

    /// The configuration is bad: exit code 78, EX_CONFIG of sysexits.h, on which the systemd unit
    /// does not restart. Where only the disk fails it is 1, and the unit tries again.
    pub(crate) fn of_load(error: LoadError) -> Self {
        Self { code: if error.may_pass() { 1 } else { 78 }, ..Self::from(error) }
    }

    /// Adds the error and all its sources as reasons.
    #[must_use]
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        self.causes.extend(causes(error));
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn advise(mut self, advice: &str) -> Self {
        self.message = format!("{}: {advice}", self.message);
        self
    }

    /// Adds what to do about it, below the reasons.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// All was said on stdout; only the exit code is left to tell.
    pub(crate) fn said(code: u8) -> Self {
        Self { code, ..Self::new("") }
    }

    /// A failed write to stdout. A reader that closes its pipe is not a failure.
    pub(super) fn of_stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { code: 0, ..Self::new("") },
            _ => Self::new("cannot write to stdout").because(&error),
        }
    }

    /// Says it on stderr; the exit code. An empty message says nothing.
    pub(super) fn report(&self) -> ExitCode {
        let mut text = String::new();
        if !self.message.is_empty() {
            text = format!("error: {}\n", self.message);
        }
        for cause in &self.causes {
            text.push_str("  because ");
            text.push_str(cause);
            text.push('\n');
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("  -> {hint}\n"));
        }
        // With stderr closed too there is no way left to report it.
        let _ = io::Write::write_all(&mut io::stderr().lock(), text.as_bytes());
        ExitCode::from(self.code)
    }
}

/// Any error ends a command with exit code 1: it is the message, its sources are the reasons.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let failure = Self::new(error.to_string());
        match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the port")]
    struct Outer(#[source] io::Error);

    #[test]
    fn sources_become_reasons_in_order() {
        let failure = Failure::from(Outer(io::Error::other("no such device")));
        assert_eq!(failure.message, "cannot open the port");
        assert_eq!(failure.causes, ["no such device"]);
        assert_eq!(failure.code, 1);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::of_stdout(io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.message.as_str(), failure.code), ("", 0));
        assert_eq!(Failure::of_stdout(io::ErrorKind::StorageFull.into()).code, 1);
    }
}
