//! The adopt task: sole writer of the file of adopted meters. Takes what the buses find and what people ask for,
//! changes the file, and has the agent take it over.
//!
//! A change that cannot be written is in use all the same, and written when it can be.
//!
//! Not here: how the file is changed (`edit`, `write`), who is found (`hunt`), the requests' JSON (`mqtt`).

mod asked;
mod taking_over;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::choice::new_finds;
use super::edit::{Edit, Entry};
use super::find::Find;
use super::hunt::{Hunt, Progress, Trouble};
use super::keeping::{self, Kept, keep};
use super::{Sighting, kept, story};
use crate::config::{self, Config};
use crate::request::{AskedOfAgent, AskedToAdopt};
use crate::status::AdoptionStatus;
use taking_over::NotInUse;

/// How long what could not be done waits until it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How far the hunts are is written so often at most: an SD card wears out.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// The adopt task.
#[derive(Debug)]
pub struct AdoptTask {
    /// The user's configuration; that says where the file of adopted meters is.
    pub file: PathBuf,
    /// What the buses find.
    pub sightings: mpsc::Receiver<Sighting>,
    /// What people ask for.
    pub asked: mpsc::Receiver<AskedToAdopt>,
    /// Takes a changed file over.
    pub agent: mpsc::Sender<AskedOfAgent>,
    /// Changes that are not in the file yet. Whoever reads it makes them too.
    pub pending: watch::Sender<Vec<Edit>>,
    /// Takes what others are to see.
    pub shown: watch::Sender<AdoptionStatus>,
}

/// What it remembers.
#[derive(Debug, Default)]
struct Memory {
    /// The newest sighting of each bus.
    seen: BTreeMap<String, Sighting>,
    /// What is in the way of adopting who was found: said once.
    in_the_way: Option<String>,
    /// Why what is in the file is not in use.
    not_in_use: Option<NotInUse>,
    /// The adopted meters that were left out when the file was read last, and why.
    left_out: Option<Vec<(String, String)>>,
    /// When any of that is to be tried again.
    again_at: Option<Instant>,
    /// When the progress of the hunts is to be written.
    save_at: Option<Instant>,
}

impl Memory {
    /// Who was found, by bus.
    fn finds(&self) -> BTreeMap<String, Vec<Find>> {
        self.seen.iter().map(|(bus, sighting)| (bus.clone(), sighting.saved.finds())).collect()
    }

    /// Has what could not be done tried again, after this time at the latest.
    fn again_after(&mut self, pause: Duration) {
        let at = Instant::now() + pause;
        self.again_at = Some(self.again_at.map_or(at, |again_at| again_at.min(at)));
    }
}

impl AdoptTask {
    /// Runs until the agent ends.
    pub async fn run(mut self) {
        let mut memory = self.remember().await;
        self.show_troubles(&memory);
        self.adopt_all(&mut memory).await;
        // By then the first readings tell who answers.
        memory.again_after(AGAIN_AFTER);
        loop {
            let wake = memory.again_at.into_iter().chain(memory.save_at).min();
            tokio::select! {
                Some(sighting) = self.sightings.recv() => self.sighted(&mut memory, sighting).await,
                Some(asked) = self.asked.recv() => {
                    let outcome = self.obey(&mut memory, &asked.what).await;
                    asked.reply.answer(outcome);
                    self.write_later(&mut memory);
                }
                () = until(wake) => self.wake(&mut memory).await,
                else => return,
            }
        }
    }

    /// What is known from before: the last end may have come between a find and its adoption.
    async fn remember(&self) -> Memory {
        let Ok(config) = self.config().await else { return Memory::default() };
        let kept = kept::read(&config.adopted.file);
        let sighting = |bus: &config::Bus| {
            let (saved, progress) = (kept.hunt(bus), Progress::default());
            let troubles = Hunt::new(Vec::new(), &saved).troubles().collect();
            (bus.name.clone(), Sighting { bus: bus.name.clone(), saved, progress, troubles, scanned: false })
        };
        let seen = config.buses.iter().filter(|bus| bus.discover).map(sighting).collect();
        Memory { seen, left_out: Some(config.adopted.left_out), ..Memory::default() }
    }

    async fn sighted(&mut self, memory: &mut Memory, sighting: Sighting) {
        let before = memory.seen.get(&sighting.bus);
        tell(before, &sighting);
        let news = before.is_none_or(|before| before.saved.finds() != sighting.saved.finds());
        let (scanned, over) = (sighting.scanned, sighting.saved.is_over());
        memory.seen.insert(sighting.bus.clone(), sighting);
        if scanned || news {
            self.adopt_all(memory).await;
        }
        // A find that was adopted is not looked for again: the file may go ahead of the progress, never behind.
        let soon = if over { Duration::ZERO } else { SAVE_EVERY };
        let at = memory.save_at.unwrap_or_else(|| Instant::now() + soon);
        memory.save_at = Some(at.min(Instant::now() + soon));
        self.show_troubles(memory);
    }

    async fn wake(&mut self, memory: &mut Memory) {
        let now = Instant::now();
        if memory.again_at.is_some_and(|at| at <= now) {
            memory.again_at = None;
            self.adopt_all(memory).await;
        }
        if memory.save_at.is_some_and(|at| at <= now) {
            memory.save_at = None;
            self.save(memory).await;
            self.adopt_all(memory).await;
        }
    }

    /// Adopts who was found on buses where that is wanted, and is not known or ignored.
    async fn adopt_all(&mut self, memory: &mut Memory) {
        let outcome = match self.config().await {
            Ok(config) => {
                let trouble = config.adopted.trouble.clone();
                let trouble = trouble.or(memory.not_in_use.as_ref().map(NotInUse::to_string));
                self.shown.send_modify(|shown| shown.trouble = trouble);
                let before = memory.left_out.replace(config.adopted.left_out.clone());
                let others_left_out = before.is_some_and(|before| before != config.adopted.left_out);
                let edits = new_finds(&config, |bus| bus.discover, &memory.finds());
                if edits.is_empty() && self.pending.borrow().is_empty() && memory.not_in_use.is_none() {
                    // What was found, or read, tells of a meter that is one of the user's.
                    if others_left_out {
                        self.have_taken_over(memory).await;
                    }
                    return;
                }
                self.change(memory, edits).await
            }
            Err(why) => Err(why),
        };
        let in_the_way = outcome.err();
        if let Some(why) = &in_the_way {
            if memory.in_the_way.as_ref() != Some(why) {
                tracing::warn!("what was found cannot be adopted yet: {why}");
            }
            memory.again_after(AGAIN_AFTER);
        }
        memory.in_the_way = in_the_way;
        self.write_later(memory);
    }

    /// Has what is not in the file tried again.
    fn write_later(&self, memory: &mut Memory) {
        if !self.pending.borrow().is_empty() {
            memory.again_after(AGAIN_AFTER);
        }
    }

    /// Makes these changes, and has the agent take them over; whether they are in the file. That the agent does not
    /// is in `memory`.
    async fn change(&mut self, memory: &mut Memory, edits: Vec<Edit>) -> Result<bool, String> {
        let (file, pending) = (self.file.clone(), self.pending.borrow().clone());
        let new = edits.clone();
        let kept = spawn_blocking(move || keep(&file, &pending, &new)).await.map_err(|error| error.to_string())??;
        let not_kept = self.note(kept, &edits);
        let is_kept = not_kept.is_none();
        self.shown.send_modify(|shown| shown.not_kept = not_kept);
        if edits.is_empty() && memory.not_in_use.is_none() {
            return Ok(is_kept);
        }
        for edit in &edits {
            tracing::info!("{}", in_words(edit));
        }
        self.have_taken_over(memory).await;
        Ok(is_kept)
    }

    /// Remembers what is not in the file; why it is not.
    fn note(&self, kept: Kept, edits: &[Edit]) -> Option<String> {
        let was_kept = self.pending.borrow().is_empty();
        match kept {
            Kept::InFile => {
                if !was_kept {
                    tracing::info!("what was adopted is in the file now");
                    self.pending.send_replace(Vec::new());
                }
                None
            }
            Kept::Not(why) => {
                if was_kept {
                    tracing::error!("what is adopted is not kept, only read: {why}");
                }
                self.pending.send_modify(|pending| pending.extend(edits.iter().cloned()));
                Some(why)
            }
        }
    }

    /// The configuration as it is, with what is not in the file yet.
    async fn config(&self) -> Result<Config, String> {
        let (file, pending) = (self.file.clone(), self.pending.borrow().clone());
        let loaded = spawn_blocking(move || keeping::load(&file, &pending)).await;
        loaded.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Writes how far the hunts are.
    async fn save(&mut self, memory: &Memory) {
        let (file, seen) = (self.file.clone(), memory.seen.clone());
        let saved = spawn_blocking(move || -> Result<(), String> {
            let config = config::load(&file).map_err(|error| error.to_string())?;
            let mut kept = kept::read(&config.adopted.file);
            for bus in config.buses.iter().filter(|bus| bus.discover) {
                if let Some(sighting) = seen.get(&bus.name) {
                    kept.set(bus, sighting.saved.clone());
                }
            }
            kept.write(&config.adopted.file).map_err(|error| error.to_string())
        });
        if let Ok(Err(why)) = saved.await {
            tracing::debug!("how far the search is cannot be kept: {why}");
        }
    }

    fn show_troubles(&self, memory: &Memory) {
        let all = memory.seen.values().map(|sighting| {
            let advice = sighting.troubles.iter().map(|trouble| story::advice(*trouble)).collect::<Vec<_>>();
            (sighting.bus.clone(), advice)
        });
        let troubles = all.filter(|(_, troubles)| !troubles.is_empty()).collect();
        self.shown.send_if_modified(|shown| {
            let changed = shown.not_adopted != troubles;
            shown.not_adopted = troubles;
            changed
        });
    }
}

/// Tells the story of a hunt in the log.
fn tell(before: Option<&Sighting>, now: &Sighting) {
    let bus = &now.bus;
    // It does not wait for the end, which the noise keeps from coming.
    let is_noisy = |sighting: &Sighting| sighting.troubles.contains(&Trouble::Noise);
    if is_noisy(now) && !before.is_some_and(is_noisy) {
        tracing::warn!(bus, "{}", story::advice(Trouble::Noise));
    }
    let old =
        before.and_then(|before| story::doing(&before.progress).map(|doing| (doing, story::fifth(&before.progress))));
    let new = story::doing(&now.progress).map(|doing| (doing, story::fifth(&now.progress)));
    if old == new {
        return;
    }
    match new {
        Some((doing, _)) => tracing::info!(bus, "{doing}: {}", story::so_far(&now.progress)),
        None => {
            tracing::info!(bus, "the search for meters is over: {} found", now.progress.found);
            for trouble in &now.troubles {
                tracing::warn!(bus, "{}", story::advice(*trouble));
            }
        }
    }
}

fn in_words(edit: &Edit) -> String {
    match edit {
        Edit::Add(Entry { name, title, place, .. }) => {
            format!("adopted {title} as {name}: bus {}, address {}", place.bus, place.address)
        }
        Edit::Change { name, .. } => format!("changed the adopted meter {name}"),
        Edit::Forget { name, place } => format!("forgot {name}: bus {}, address {}", place.bus, place.address),
    }
}

/// Never, where there is no time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
