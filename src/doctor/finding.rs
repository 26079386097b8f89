//! What a check found, as values: printed by the command line as text or JSON.

/// Takes findings as they are made.
pub(super) type Report<'a> = &'a mut dyn FnMut(Finding);

/// The configuration that remedies name, where no other is used.
const DEFAULT_CONFIG: &str = "/etc/mbushat.toml";

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not looked at, because an earlier check failed or there is nothing to look at.
    Skipped,
    /// Readings come, but something is not as it should be, or could not be told.
    Warning,
    /// No readings until this is fixed.
    Failure,
}

impl Verdict {
    /// `ok`, `skipped`, `warning`, `failure`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: one lower-case word or two, always the same for a check.
    pub check: &'static str,
    /// The bus it is about, where there are several.
    pub bus: Option<String>,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// How to fix it, in order; empty where there is nothing to fix.
    pub remedies: Vec<Remedy>,
}

/// A sentence and the lines to paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// What to do, and where.
    pub say: String,
    /// Commands of a shell, or lines of the file that `say` names; may be empty.
    pub paste: Vec<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, check, found.into())
    }

    pub(super) fn skipped(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Skipped, check, found.into())
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Warning, check, found.into())
    }

    pub(super) fn failure(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Verdict::Failure, check, found.into())
    }

    fn new(verdict: Verdict, check: &'static str, found: String) -> Self {
        Self { check, bus: None, verdict, found, remedies: Vec::new() }
    }

    /// Adds a way to fix it.
    #[must_use]
    pub(super) fn fix<L: Into<String>>(mut self, say: impl Into<String>, paste: impl IntoIterator<Item = L>) -> Self {
        let paste = paste.into_iter().map(Into::into).collect();
        self.remedies.push(Remedy { say: say.into(), paste });
        self
    }

    /// With the configuration that is really used, in words and in the commands to paste.
    #[must_use]
    pub(super) fn naming(mut self, file: &str) -> Self {
        if file == DEFAULT_CONFIG {
            return self;
        }
        let command = format!("mbushat --config {file} ");
        for remedy in &mut self.remedies {
            remedy.say = remedy.say.replace(DEFAULT_CONFIG, file).replace("`mbushat ", &format!("`{command}"));
            for line in &mut remedy.paste {
                if let Some(rest) = line.strip_prefix("mbushat ") {
                    *line = format!("{command}{rest}");
                } else if let Some(rest) = line.strip_prefix("sudo mbushat ") {
                    *line = format!("sudo {command}{rest}");
                }
            }
        }
        self
    }

    /// Adds a sentence without anything to paste.
    #[must_use]
    pub(super) fn advise(self, say: impl Into<String>) -> Self {
        self.fix(say, [""; 0])
    }
}
