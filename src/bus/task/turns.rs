//! What the bus task does on the wire: a meter's turn, a step of a scan, the last resort.
//!
//! Not here: in which order (`task`).

use std::time::SystemTime;

use tokio::time::Instant;

use super::{BusTask, FINISH_WITHIN, Interrupt, ReadAt, Running, Stop, now, stopped_for};
use crate::bus::last_resort::OFF_FOR;
use crate::bus::metered::Application;
use crate::bus::power::Remedy;
use crate::bus::schedule::Due;
use crate::bus::session::{Outage, Query, Session};
use crate::bus::{Happened, MeterReadout, Metered};
use crate::mbus::address::MeterAddress;
use crate::mbus::master::readout::{LinkState, ReadoutError, Turn, TurnOver};
use crate::mbus::master::reply::ExchangeError;
use crate::mbus::master::search::Found;
use crate::request::{Answer, Reply};

impl Running {
    /// The turn of a configured meter.
    pub(super) async fn read(&mut self, session: &mut Session, due: Due) -> Result<(), Interrupt> {
        let Some(metered) = self.task.meters.get(due.meter) else { return Ok(()) };
        let mut query = Query::new(&self.task.bus, &metered.meter);
        query.turn.effort = due.effort;
        query.turn.application_reset = self.must_reset_application(due.meter);
        let timing = session.timing_of(&query);
        let over = match self.converse(session, query, metered.link).await {
            Ok(over) => over,
            Err(interrupt) => {
                self.schedule.interrupted(due, now());
                return Err(interrupt);
            }
        };
        let read_at = SystemTime::now();
        let (answered, alive) = (over.frames.is_ok(), is_alive(&over.frames));
        let was_asked = !matches!(over.frames, Err(ReadoutError::Unsupported { .. }));
        self.schedule.finished(due, answered, now());
        self.note_application(due.meter, answered);
        let Some(metered) = self.task.meters.get_mut(due.meter) else { return Ok(()) };
        metered.record(&over, timing);
        let asked = metered.take_asked();
        let (meter, place) = (metered.meter.name.clone(), (self.task.index, metered.meter.address));
        self.task.health.send_modify(|health| {
            health.readouts_ok += u64::from(answered);
            health.readouts_failed += u64::from(!answered);
            if let Err(error) = &over.frames {
                health.last_error = Some(format!("{meter}: {error}"));
                health.failures.count(error);
            }
        });
        self.show_schedule();
        let due_at = due.due_at.map(SystemTime::from);
        let readout = MeterReadout { meter, place, due_at, read_at, frames: over.frames };
        self.emit(Happened::Read { readout, asked }).await?;
        // One that was not asked tells nothing of the bus.
        match was_asked.then(|| self.power.after(alive, Instant::now().into_std())).flatten() {
            None => Ok(()),
            Some(Remedy::PowerCycle) => self.cycle_power(session).await,
            Some(Remedy::Reconnect) => Err(Outage::Unanswered.into()),
        }
    }

    /// Whether its plain telegram must be asked for: another `[[meter]]` at its address selects one of its own.
    fn must_reset_application(&self, index: usize) -> bool {
        let Some(metered) = self.task.meters.get(index) else { return false };
        let selects =
            |other: &Metered| other.meter.address == metered.meter.address && other.meter.application_select.is_some();
        let may_be_another = match metered.application {
            Application::Unknown => self.task.meters.iter().any(selects),
            Application::Own => false,
            Application::Another => true,
        };
        may_be_another && metered.meter.application_select.is_none()
    }

    /// A meter had its turn: another `[[meter]]` at its address finds its frame count bit and application changed.
    fn note_application(&mut self, index: usize, answered: bool) {
        let Some(address) = self.task.meters.get(index).map(|metered| metered.meter.address) else { return };
        for (other, metered) in self.task.meters.iter_mut().enumerate() {
            if other == index && answered {
                metered.application = Application::Own;
            } else if other != index && metered.meter.address == address {
                metered.application = Application::Another;
                metered.link.doubt();
            }
        }
    }

    /// One readout of whatever meter is at the first address that waits, for who asked alone. That it
    /// fails says nothing of the bus: there may be no such meter.
    pub(super) async fn read_at(&mut self, session: &mut Session, address: MeterAddress) -> Result<(), Interrupt> {
        let index = self.task.meters.iter().position(|metered| metered.meter.address == address);
        let known = index.and_then(|index| self.task.meters.get(index));
        let (mut query, link) = match known {
            Some(metered) => (Query::new(&self.task.bus, &metered.meter), metered.link),
            None => (Query::plain(&self.task.bus, Turn::new(address)), LinkState::default()),
        };
        let meter = known.map(|metered| metered.meter.name.clone());
        query.turn.application_reset = index.is_some_and(|index| self.must_reset_application(index));
        let over = self.converse(session, query, link).await?;
        if let Some(index) = index {
            self.note_application(index, over.frames.is_ok());
        }
        match index.and_then(|index| self.task.meters.get_mut(index)) {
            Some(metered) => metered.link = over.link,
            // It may be a configured one under another address.
            None => self.doubt(),
        }
        if is_alive(&over.frames) {
            _ = self.power.after(true, Instant::now().into_std());
        }
        let Some(ReadAt { plain, reply, .. }) = self.reads_at.pop_front() else { return Ok(()) };
        match over.frames {
            Ok(frames) if plain => {
                reply.answer(Ok(Answer::Telegrams(frames)));
                Ok(())
            }
            Ok(frames) => Ok(self.emit(Happened::ReadAt { meter, read_at: SystemTime::now(), frames, reply }).await?),
            Err(error) => {
                reply.refuse(error.to_string());
                Ok(())
            }
        }
    }

    /// A readout on the wire. When the task is stopped it is given up unless it finishes soon.
    async fn converse(&mut self, session: &mut Session, query: Query, link: LinkState) -> Result<TurnOver, Interrupt> {
        let started = Instant::now();
        let over = tokio::select! {
            biased;
            over = session.read(query, link) => over?,
            () = stopped_for(&mut self.task.stop, FINISH_WITHIN) => return Err(Interrupt::Stop),
        };
        let busy = started.elapsed();
        let load_permille = self.load.add(busy, Instant::now().into_std());
        self.task.health.send_modify(|health| {
            health.traffic += over.traffic;
            health.busy += busy;
            health.load_permille = load_permille;
        });
        self.losses = 0;
        self.show_up().await?;
        Ok(over)
    }

    /// One step of the scan; at its end who asked gets what it found.
    pub(super) async fn probe(&mut self, session: &mut Session) -> Result<(), Interrupt> {
        let Some((scan, _)) = &mut self.scan else { return Ok(()) };
        let goes_on = tokio::select! {
            biased;
            probed = scan.probe(session, &self.task.bus) => probed?,
            () = stopped_for(&mut self.task.stop, FINISH_WITHIN) => return Err(Interrupt::Stop),
        };
        let (progress, found) = (Some(scan.progress()).filter(|_| goes_on), scan.found().to_vec());
        if let Some(hunting) = &mut self.task.hunting {
            hunting.consider(scan.new_found(), &self.task.bus, !goes_on);
        }
        // A probe resets the meter it finds.
        self.doubt();
        self.task.health.send_modify(|health| {
            health.scan = progress;
            health.found = found;
        });
        if goes_on {
            return Ok(self.emit(Happened::Scanning).await?);
        }
        Ok(self.scanned().await?)
    }

    /// Ends the scan on request.
    pub(super) async fn end_scan(&mut self, reply: Reply) -> Result<(), Stop> {
        if self.scan.is_none() {
            reply.refuse("this bus is not being scanned");
            return Ok(());
        }
        self.task.health.send_modify(|health| health.scan = None);
        self.scanned().await?;
        reply.answer(Ok(Answer::Done));
        Ok(())
    }

    /// The scan is over: who asked for it gets what it has found.
    async fn scanned(&mut self) -> Result<(), Stop> {
        let Some((scan, reply)) = self.scan.take() else { return Ok(()) };
        let (found, fault) = (scan.found().to_vec(), scan.fault());
        let bus = &self.task.bus.name;
        match &fault {
            Some(why) => tracing::warn!(bus, "the scan has ended early: {why}"),
            None => {
                let collisions = found.iter().filter(|found| matches!(found, Found::Collision(_))).count();
                let meters = counted(found.len() - collisions, "meter");
                tracing::info!(bus, "a scan has found {meters} and {}", counted(collisions, "collision"));
            }
        }
        self.emit(Happened::Scanned { found: found.clone() }).await?;
        match fault {
            Some(why) if found.is_empty() => reply.refuse(why),
            Some(warning) => reply.answer(Ok(Answer::FoundSome { found, warning })),
            None => reply.answer(Ok(Answer::Found(found))),
        }
        Ok(())
    }

    /// One step of the search for meters that nobody wrote down.
    pub(super) async fn hunt(&mut self, session: &mut Session) -> Result<(), Interrupt> {
        let BusTask { hunting: Some(hunting), bus, stop, .. } = &mut self.task else { return Ok(()) };
        tokio::select! {
            biased;
            stepped = hunting.step(session, bus) => stepped?,
            () = stopped_for(stop, FINISH_WITHIN) => return Err(Interrupt::Stop),
        }
        let (progress, finds) = (hunting.progress(), hunting.news());
        // A probe resets the meter it finds.
        self.doubt();
        self.task.health.send_modify(|health| health.hunt = progress);
        if !finds.is_empty() {
            self.emit(Happened::Found { finds }).await?;
        }
        Ok(self.emit(Happened::Scanning).await?)
    }

    /// No meter answers: takes the power of the bus away and gives it back.
    async fn cycle_power(&mut self, session: &Session) -> Result<(), Interrupt> {
        tracing::warn!(bus = self.task.bus.name, "no meter answers: bus power goes off for {OFF_FOR:?}");
        self.power.interrupt(session, false)?;
        self.pause(OFF_FOR).await?;
        self.power.interrupt(session, true)?;
        self.doubt();
        Ok(self.pause(self.power.settle()).await?)
    }
}

/// Whether a meter answered, and be it that it has nothing to give, or is another one.
pub(super) fn is_alive(frames: &Result<Vec<Vec<u8>>, ReadoutError>) -> bool {
    use ExchangeError::{InPieces, NotAReply, WrongAddress, WrongIdentity};
    match frames {
        Ok(_) | Err(ReadoutError::NoData | ReadoutError::Application(_)) => true,
        Err(ReadoutError::NoAnswer(error)) => {
            matches!(error, WrongAddress { .. } | WrongIdentity { .. } | NotAReply { .. } | InPieces { .. })
        }
        Err(ReadoutError::Silence | ReadoutError::Unsupported { .. }) => false,
    }
}

/// `1 meter`, `2 meters`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
