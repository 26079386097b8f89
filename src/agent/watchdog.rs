//! The service manager's watchdog is fed as long as the agent makes progress.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Interval, timeout};

use super::Agent;
use crate::mqtt::link::LinkCommand;
use crate::mqtt::task::Reload;
use crate::system;

/// How long a task may take to show that it makes progress.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Ends when the watchdog is to be fed; never, where there is none.
pub(super) async fn tick(watchdog: &mut Option<Interval>) {
    match watchdog {
        Some(interval) => _ = interval.tick().await,
        None => std::future::pending().await,
    }
}

impl Agent {
    /// Reports that the agent makes progress, if the outbox task and the link do. Bus tasks are not asked: each of
    /// their waits has a time limit or is for the outbox, and one that never yields stops this function too.
    pub(super) async fn feed_watchdog(&self) {
        match self.stuck().await {
            None => system::notify_watchdog(),
            Some(task) => tracing::error!("{task} makes no progress"),
        }
    }

    /// The task that does not answer.
    async fn stuck(&self) -> Option<&'static str> {
        if !self.outbox_answers().await {
            return Some("the outbox task");
        }
        (!self.link_answers().await).then_some("the link to the broker")
    }

    async fn link_answers(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.orders.send(LinkCommand::Ping(reply)).await.ok()?;
            answer.await.ok()
        };
        timeout(ANSWERS_WITHIN, asked).await == Ok(Some(()))
    }

    pub(super) async fn outbox_answers(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.reloads.send(Reload::Ping(reply)).await.ok()?;
            answer.await.ok()
        };
        timeout(ANSWERS_WITHIN, asked).await == Ok(Some(()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Agent, EVENTS};
    use super::super::{buses::Buses, page::Page};
    use super::{LinkCommand, Reload};
    use crate::config;
    use tokio::sync::{broadcast, mpsc, watch};

    /// An agent whose buses have not been started, and whose outbox and link answer where they are to.
    fn agent(outbox: bool, link: bool) -> Agent {
        let file = std::env::temp_dir().join(format!("mbushat-watchdog-{}-{outbox}-{link}", std::process::id()));
        std::fs::write(&file, "[[bus]]\nname = \"cellar\"\nport = \"/dev/null\"\n").expect("a file");
        let config = config::load(&file).expect("a configuration");
        std::fs::remove_file(file).expect("a file");
        let (events, _) = mpsc::channel(EVENTS);
        let (reloads, mut asked) = mpsc::channel(1);
        let answer = async move {
            while let Some(Reload::Ping(reply)) = asked.recv().await {
                if outbox {
                    reply.send(()).expect("it waits");
                }
            }
        };
        let (orders, mut for_link) = mpsc::channel(1);
        let of_link = async move {
            while let Some(LinkCommand::Ping(reply)) = for_link.recv().await {
                if link {
                    reply.send(()).expect("it waits");
                }
            }
        };
        let (ask, asked_of_agent) = mpsc::channel(1);
        Agent {
            buses: Buses::new(&config, events, mpsc::channel(1).0),
            adopt: tokio::spawn(std::future::pending()),
            pending: watch::channel(Vec::new()).1,
            ask_to_adopt: mpsc::channel(1).0,
            config,
            file: None,
            outbox: tokio::spawn(answer),
            link: tokio::spawn(of_link),
            clock: tokio::spawn(std::future::pending()),
            asked: asked_of_agent,
            ask,
            reloads,
            orders,
            page: Page::new(watch::Sender::default(), broadcast::Sender::new(1)),
            no_page: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_fed_only_while_outbox_and_link_move_on() {
        assert_eq!(agent(true, true).stuck().await, None);
        assert_eq!(agent(false, true).stuck().await, Some("the outbox task"));
        assert_eq!(agent(true, false).stuck().await, Some("the link to the broker"));
    }
}
