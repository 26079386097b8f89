//! Drives a conversation over a line: moves bytes and time, decides nothing.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::frames::Frames;
use super::line::{Arrived, Character, Line, LineError};
use crate::mbus::master::conversation::{Conversation, Step};

/// How long a line may take to accept a request, beyond its time on the wire; it counts as gone then.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// More than any telegram, so that one read takes all there is.
const BUFFER: usize = 512;

/// Runs a conversation to its end, with characters like these to start with. `quiet_since` is when the line
/// was last busy, before and after: the pause between two meters begins there.
///
/// # Errors
/// [`LineError`] where the line is gone, or cannot have such characters; what went wrong on a line that works is in
/// the outcome.
pub(super) async fn drive<C: Conversation>(
    line: &mut Line,
    character: Character,
    conversation: &mut C,
    frames: &mut Frames,
    quiet_since: &mut Option<Instant>,
) -> Result<C::Outcome, LineError> {
    line.set_character(character).await?;
    let mut buffer = [0; BUFFER];
    tokio::select! {
        biased;
        unasked = line.read(&mut buffer) => {
            unasked?;
            *quiet_since = None;
        }
        () = std::future::ready(()) => {}
    }
    if let Some(since) = *quiet_since {
        conversation.quiet_since(since.into_std());
    }
    loop {
        match conversation.poll(Instant::now().into_std()) {
            Step::Transmit(bytes) => {
                frames.sent(&bytes);
                *quiet_since = None;
                // a wake-up is more than the system's buffer holds
                let within = character.baud.characters(bytes.len()) + WRITTEN_WITHIN;
                timeout(within, line.transmit(&bytes)).await.unwrap_or_else(|_| Err(LineError::stuck()))?;
            }
            Step::WaitUntil(until) => {
                let Ok(arrived) = timeout_at(until.into(), line.read(&mut buffer)).await else { continue };
                *quiet_since = Some(Instant::now());
                let now = Instant::now().into_std();
                match arrived? {
                    Arrived::Bytes(count) => {
                        let bytes = buffer.get(..count).unwrap_or_default();
                        frames.heard(bytes);
                        conversation.receive(bytes, now);
                    }
                    Arrived::Damaged => {
                        frames.damaged();
                        conversation.receive_damaged(now);
                    }
                }
            }
            Step::SetBaud(baud) => line.set_character(Character { baud, ..character }).await?,
            Step::Done(outcome) => {
                frames.flush();
                return Ok(outcome);
            }
        }
    }
}
