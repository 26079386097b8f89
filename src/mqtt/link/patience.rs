//! How long the broker may take, for an answer and for any sign of life.

use std::time::Duration;

use tokio::time::Instant;

/// For an answer, however seldom the broker wants a ping.
const ANSWER: Duration = Duration::from_secs(45);
/// A broker that wants a ping every second or two may still take this long.
const LEAST: Duration = Duration::from_millis(7500);

/// What is waited for on one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A ping goes out every keep-alive, so a living broker is never silent for longer; `None`: it wants none.
    silence: Option<Duration>,
    /// What is sent must be acknowledged within this.
    answer: Duration,
}

impl Patience {
    /// `wanted`: the interval of pings that the broker wants, of which it may have chosen 18 hours; `own`: ours.
    pub(super) fn of(wanted: Duration, own: Duration) -> Self {
        let silence = Some((wanted * 3 / 2).max(LEAST)).filter(|_| !wanted.is_zero());
        let longest = ANSWER.max(own * 3 / 2);
        Self { silence, answer: silence.map_or(ANSWER, |silence| silence.min(longest)) }
    }

    /// When the connection is given up, of which this was `heard` last and this is the oldest message `sent`.
    pub(super) fn ends(self, heard: Instant, sent: Option<Instant>) -> Option<Instant> {
        let silent = self.silence.map(|silence| heard + silence);
        sent.map(|sent| sent + self.answer).into_iter().chain(silent).min()
    }

    /// Whether nothing was heard for as long as an answer may take.
    pub(super) fn is_over(self, heard: Instant) -> bool {
        heard.elapsed() >= self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_wants_a_ping_every_eighteen_hours_is_not_waited_for_that_long() {
        let seconds = Duration::from_secs;
        for (wanted, own, silence, answer) in [
            (seconds(30), seconds(30), Some(seconds(45)), seconds(45)),
            (seconds(0), seconds(30), None, seconds(45)),
            (seconds(65_535), seconds(30), Some(seconds(98_302) + seconds(1) / 2), seconds(45)),
            (seconds(65_535), seconds(60), Some(seconds(98_302) + seconds(1) / 2), seconds(90)),
            (seconds(1), seconds(3600), Some(LEAST), LEAST),
        ] {
            let patience = Patience::of(wanted, own);
            assert_eq!((patience.silence, patience.answer), (silence, answer), "{wanted:?} {own:?}");
            let now = Instant::now();
            assert_eq!(patience.ends(now, Some(now)), Some(now + answer));
            assert_eq!(patience.ends(now, None), silence.map(|silence| now + silence));
        }
    }
}
