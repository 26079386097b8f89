//! By when a bus task will have moved on: what tells one that waits from one that hangs.
//!
//! Before each wait the task promises when it will be over at the latest; a conversation does so at
//! each of its steps. So a hanging task is known seconds after the step it hangs in, however long a
//! readout or a scan takes.
//!
//! Not here: what follows from a broken promise (`agent`).

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::mbus::master::conversation::{Conversation, Step};

/// How long a line may take to accept a request; its driver gives it up then.
pub(super) const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// What the task promises; it starts with nothing.
#[derive(Debug)]
pub struct Promise(watch::Sender<Option<Instant>>);

/// Who watches over the task.
#[derive(Clone, Debug)]
pub struct Heartbeat(watch::Receiver<Option<Instant>>);

/// Both ends.
#[must_use]
pub fn heartbeat() -> (Promise, Heartbeat) {
    let (promise, heartbeat) = watch::channel(None);
    (Promise(promise), Heartbeat(heartbeat))
}

impl Promise {
    /// The next sign of life comes within `wait`.
    pub(crate) fn within(&self, wait: Duration) {
        self.by(Instant::now().checked_add(wait));
    }

    /// The next sign of life comes by then; `None`: when somebody else wants something of the task.
    pub(super) fn by(&self, moment: Option<Instant>) {
        self.0.send_replace(moment);
    }
}

impl Heartbeat {
    /// Whether the task has kept its promise, or keeps it `late` after now at the latest.
    pub async fn beats(&self, late: Duration) -> bool {
        let kept = |promise: &Option<Instant>| promise.is_none_or(|by| Instant::now() <= by);
        // An error means that the task has ended, which is another's to notice.
        timeout(late, self.0.clone().wait_for(kept)).await.is_ok()
    }
}

/// A conversation that promises at each step when the next one comes.
pub(super) struct Watched<'a, C> {
    pub(super) conversation: &'a mut C,
    pub(super) promise: &'a Promise,
}

impl<C: Conversation> Conversation for Watched<'_, C> {
    type Outcome = C::Outcome;

    fn poll(&mut self, now: std::time::Instant) -> Step<C::Outcome> {
        let step = self.conversation.poll(now);
        match &step {
            Step::Transmit(_) => self.promise.within(WRITTEN_WITHIN),
            Step::WaitUntil(until) => self.promise.by(Some((*until).into())),
            Step::SetBaud(_) | Step::Done(_) => self.promise.by(Some(now.into())),
        }
        step
    }

    fn receive(&mut self, bytes: &[u8], now: std::time::Instant) {
        self.conversation.receive(bytes, now);
    }

    fn receive_damaged(&mut self, now: std::time::Instant) {
        self.conversation.receive_damaged(now);
    }
}
