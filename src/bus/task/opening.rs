//! The line of a bus task that is down: it is opened again, as often as it takes, and others hear of it once.
//!
//! Not here: what is done while it is open (`task`).

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::{Running, Shown, Stop, down, stopped};
use crate::bus::Happened;
use crate::bus::session::Session;
use crate::request::Asked;

/// Pauses between two tries to open a line. The last one is repeated: a line that came back is read
/// again within five seconds, the time to power the bus or to give a connection up included.
const REOPEN_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// A line that is lost again before anything could be read waits longer from time to time, up to this.
const LOST_AGAIN_AFTER: Duration = Duration::from_secs(30);

impl Running {
    /// The first loss costs no time; a gateway that hangs up whenever it is asked is not asked without end.
    pub(super) async fn pause_after_losses(&mut self) -> Result<(), Stop> {
        // agents that share a gateway do not all come back at once
        let chance = RandomState::new().hash_one(self.losses);
        let Some(pause) = pause_after(self.losses, chance) else { return Ok(()) };
        let why = "it was lost again and again";
        refusing(&mut self.task.requests, &mut self.task.stop, why, sleep(pause)).await
    }

    /// Opens line and power, however long it takes. Each different reason is shown once.
    pub(super) async fn open(&mut self) -> Result<Session, Stop> {
        let mut why = "it is not open yet".to_owned();
        let mut pauses = REOPEN_AFTER.into_iter();
        let mut pause = REOPEN_AFTER[0];
        loop {
            let task = &mut self.task;
            let opening = Session::open(&task.bus, &task.machine, self.power.is_on());
            match refusing(&mut task.requests, &mut task.stop, &why, opening).await? {
                Ok(mut opened) => {
                    opened.record(task.tape.clone());
                    return Ok(opened);
                }
                Err(outage) => why = outage.in_one_line(),
            }
            self.show_down(&why).await?;
            pause = pauses.next().unwrap_or(pause);
            refusing(&mut self.task.requests, &mut self.task.stop, &why, sleep(pause)).await?;
        }
    }

    pub(super) async fn show_up(&mut self) -> Result<(), Stop> {
        if self.shown == Shown::Up {
            return Ok(());
        }
        self.shown = Shown::Up;
        self.task.health.send_modify(|health| health.up = self.power.is_on());
        tracing::info!(bus = self.task.bus.name, "bus is up");
        self.emit(Happened::Up).await
    }

    pub(super) async fn show_down(&mut self, error: &str) -> Result<(), Stop> {
        self.give_up(&down(error));
        let down = Shown::Down(error.to_owned());
        if self.shown == down {
            return Ok(());
        }
        self.shown = down;
        tracing::error!(bus = self.task.bus.name, "bus is down: {error}");
        self.task.health.send_modify(|health| {
            health.up = false;
            health.last_error = Some(error.to_owned());
        });
        self.emit(Happened::Down { error: error.to_owned() }).await
    }
}

/// The pause before the next opening after so many losses in a row, doubled with each, less up to a quarter.
fn pause_after(losses: u32, chance: u64) -> Option<Duration> {
    let doublings = losses.checked_sub(2)?;
    let full = REOPEN_AFTER[0].saturating_mul(1 << doublings.min(8)).min(LOST_AGAIN_AFTER);
    let percent = u32::try_from(chance % 26).unwrap_or(0);
    Some(full - full * percent / 100)
}

/// Waits for `done` on a bus that is down for this reason: requests that come meanwhile are refused.
async fn refusing<T>(
    requests: &mut mpsc::Receiver<Asked>,
    stop: &mut watch::Receiver<bool>,
    why: &str,
    done: impl Future<Output = T>,
) -> Result<T, Stop> {
    tokio::pin!(done);
    loop {
        tokio::select! {
            done = &mut done => return Ok(done),
            () = stopped(stop) => return Err(Stop),
            Some(asked) = requests.recv() => asked.reply.refuse(down(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pause_after;
    use std::time::Duration;

    #[test]
    fn a_line_that_is_lost_again_and_again_is_opened_after_growing_pauses() {
        let full = |losses| pause_after(losses, 0).map(|pause| pause.as_secs());
        let pauses: Vec<_> = (0..=9).chain([u32::MAX]).map(full).collect();
        let seconds = [1, 2, 4, 8, 16, 30, 30, 30, 30].map(Some);
        assert_eq!(pauses, [&[None, None][..], &seconds].concat());
        assert_eq!(pause_after(7, 25), Some(Duration::from_millis(22_500)), "a quarter less at the most");
        assert_eq!(pause_after(2, 26 + 10), Some(Duration::from_millis(900)));
    }
}
