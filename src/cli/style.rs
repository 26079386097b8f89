//! Whether to colour what people read.

use std::io::IsTerminal;

/// Whether stdout takes colours.
pub(crate) fn colours() -> bool {
    wanted(std::io::stdout().is_terminal(), |name| std::env::var(name).ok())
}

/// Whether stderr takes colours.
pub(crate) fn colours_on_stderr() -> bool {
    wanted(std::io::stderr().is_terminal(), |name| std::env::var(name).ok())
}

/// Whether stderr has a line that can be written again.
pub(crate) fn moves_on_stderr() -> bool {
    moves(std::io::stderr().is_terminal(), |name| std::env::var(name).ok())
}

fn moves(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    terminal && variable("TERM").as_deref() != Some("dumb")
}

/// Only on a terminal, not on one that knows none, and not where the user says so (no-color.org).
fn wanted(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    terminal && variable("NO_COLOR").is_none_or(|value| value.is_empty()) && variable("TERM").as_deref() != Some("dumb")
}

#[cfg(test)]
mod tests {
    use super::{moves, wanted};

    #[test]
    fn colours_are_for_terminals_that_know_them_and_users_who_like_them() {
        let with =
            |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| value.to_owned());
        assert!(wanted(true, with("TERM", "xterm")));
        assert!(!wanted(false, with("TERM", "xterm")));
        assert!(!wanted(true, with("TERM", "dumb")));
        assert!(!wanted(true, with("NO_COLOR", "1")));
        assert!(wanted(true, with("NO_COLOR", "")), "empty counts as unset");
        assert!(!moves(true, with("TERM", "dumb")) && moves(true, with("NO_COLOR", "1")));
    }
}
