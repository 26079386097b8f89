//! What is asked of a running bus: taken up, refused, or given up when the bus is down.
//!
//! Not here: doing it (`turns`), who may ask (`request`).

use super::{Interrupt, ReadAt, Running, down};
use crate::bus::metered::Metered;
use crate::bus::scanning::Scanning;
use crate::bus::session::Session;
use crate::request::{Answer, Asked, BusRequest, Reply};

/// Requests to read an address that wait at most.
const READS_AT: usize = 32;

/// What a request is answered with that needs power.
const SWITCHED_OFF: &str = "bus power was switched off";

impl Running {
    /// Answers every request that waits: it will not be done.
    pub(super) fn give_up(&mut self, why: &str) {
        let reads = self.task.meters.iter_mut().flat_map(Metered::take_asked);
        let reads_at = self.reads_at.drain(..).map(|read| read.reply);
        let scan = self.scan.take().map(|(_, reply)| reply);
        self.task.health.send_modify(|health| health.scan = None);
        reads.chain(reads_at).chain(scan).for_each(|reply| reply.refuse(why));
    }

    /// Does what is asked, or puts it where its turn comes.
    pub(super) async fn obey(&mut self, asked: Asked, session: &Session) -> Result<(), Interrupt> {
        let Asked { what, reply } = asked;
        match what {
            BusRequest::Power(on) => return self.switch(on, reply, session).await,
            _ if !self.power.is_on() => reply.refuse(down(SWITCHED_OFF)),
            BusRequest::Read { meter } => {
                let found = self.task.meters.iter_mut().enumerate().find(|(_, metered)| metered.meter.name == meter);
                let Some((index, metered)) = found else { return Ok(()) }; // of a configuration that is gone
                metered.ask(reply);
                self.schedule.read_soon(index);
            }
            BusRequest::ReadAt(_) | BusRequest::TelegramsAt(_) if self.reads_at.len() >= READS_AT => {
                reply.refuse("too many requests wait for this bus");
            }
            BusRequest::ReadAt(address) => self.reads_at.push_back(ReadAt { address, plain: false, reply }),
            BusRequest::TelegramsAt(address) => self.reads_at.push_back(ReadAt { address, plain: true, reply }),
            BusRequest::EndScan => self.end_scan(reply).await?,
            BusRequest::Scan(_) if self.scan.is_some() => reply.refuse("this bus is being scanned already"),
            BusRequest::Scan(scan) => {
                self.scan = Scanning::new(scan, &self.task.bus, session).map(|scanning| (scanning, reply));
            }
        }
        Ok(())
    }

    /// Shows whether the bus was switched off on request.
    pub(super) fn show_power(&self) {
        let off = !self.power.is_on();
        self.task.health.send_modify(|health| {
            health.switched_off = off;
            health.last_error = off.then(|| SWITCHED_OFF.to_owned());
        });
    }

    /// Switches bus power on request.
    async fn switch(&mut self, on: bool, reply: Reply, session: &Session) -> Result<(), Interrupt> {
        if !self.power.can_switch() {
            reply.refuse("no Hat powers this bus, so it cannot be switched");
            return Ok(());
        }
        if let Err(outage) = self.power.set(session, on) {
            reply.refuse(outage.in_one_line());
            return Err(outage.into());
        }
        self.task.health.send_modify(|health| health.up = on);
        self.show_power();
        tracing::info!(bus = self.task.bus.name, "bus power {}", if on { "on" } else { "off" });
        reply.answer(Ok(Answer::Done));
        self.doubt();
        if on {
            self.pause(self.power.settle()).await?;
        } else {
            self.give_up(&down(SWITCHED_OFF));
        }
        Ok(())
    }
}
