//! What arrives from the broker: Home Assistant's birth, and requests; and the responses.
//!
//! Not here: the shapes of requests and responses (`request_json`), doing what is asked (`request`).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Instant, SystemTime};

use serde_json::value::RawValue;

use super::super::payload::Event;
use super::super::publisher::Outcome as Became;
use super::super::request_json;
use super::OutboxTask;
use crate::adopt::find::Find;
use crate::bus::MeterReadout;
use crate::mbus::link::timing::Baud;
use crate::mbus::master::search::Found;
use crate::request::{Answer, BusRequest, Outcome, Reply, Request, Response};

/// Requests that wait for their outcome, at most.
const WAITING: usize = 100;

/// A request that waits for its outcome.
#[derive(Debug)]
pub(super) struct Waiting {
    response: Response,
    respond: Option<Respond>,
}

/// Where a response is published, and what is given back in it.
#[derive(Debug)]
pub(super) struct Respond {
    verb: String,
    transaction: Option<Box<RawValue>>,
}

impl OutboxTask {
    pub(super) fn message(&mut self, topic: &str, payload: &[u8], retain: bool) {
        if self.heard_of_others(topic, payload, retain) {
            return;
        }
        if retain {
            // a request may be years old; an announcement may be one of ours
            return self.publisher.found(topic, payload);
        }
        if payload.is_empty() {
            self.publisher.gone(topic);
        }
        let homeassistant = &self.publisher.config.homeassistant;
        if homeassistant.enabled && topic == homeassistant.status_topic {
            let is_born = payload == homeassistant.status_payload.as_bytes();
            return self.publisher.heard_listener(is_born, Instant::now());
        }
        if let Some(verb) = self.publisher.topics.verb(topic) {
            let (request, transaction) = request_json::request(verb, payload);
            self.ask(request, Some(Respond { verb: verb.to_owned(), transaction }));
        } else if let Some(meter) = self.publisher.topics.meter_to_read(topic) {
            let what = BusRequest::Read { meter: meter.to_owned() };
            self.ask(Ok(Request::Bus { name: None, what }), None);
        }
    }

    fn ask(&mut self, request: Result<Request, String>, respond: Option<Respond>) {
        match request {
            Ok(Request::Resend) => {
                let outcome = self.publisher.resend().map(Answer::Resent);
                self.respond(respond, &outcome);
            }
            Ok(_) if self.waiting.len() >= WAITING => self.respond(respond, &Err("too many requests wait".to_owned())),
            Ok(request) => self.waiting.push(Waiting { response: self.channels.desk.ask(request), respond }),
            Err(why) => self.respond(respond, &Err(why)),
        }
    }

    pub(super) fn respond(&mut self, respond: Option<Respond>, outcome: &Outcome) {
        if let Err(why) = outcome {
            tracing::debug!("a request is answered with: {why}");
        }
        let Some(Respond { verb, transaction }) = respond else { return };
        self.display.hurry();
        if let (Err(why), "scan") = (outcome, verb.as_str()) {
            self.publisher.set_last_scan(None, Err(why));
        }
        let response = request_json::response(outcome, transaction.as_deref());
        self.publisher.outbox.note(self.publisher.topics.response(&verb), response.into());
    }

    /// A configured meter's turn is over: whoever asked for the reading gets what is published.
    pub(super) fn read(&mut self, readout: MeterReadout, asked: Vec<Reply>) {
        let meter = readout.meter.clone();
        let synced = *self.channels.clock_synced.borrow();
        match self.publisher.readout(readout, synced) {
            Became::ReadAgain => self.channels.desk.read_again(&meter, asked),
            Became::Taken(reading) => {
                asked.into_iter().for_each(|reply| reply.answer(Ok(Answer::Reading(reading.clone()))));
            }
            Became::Failed(why) => asked.into_iter().for_each(|reply| reply.refuse(why.as_str())),
        }
    }

    /// A meter was read for who asked alone.
    pub(super) fn read_at(&mut self, meter: Option<&str>, read_at: SystemTime, frames: &[Vec<u8>], reply: Reply) {
        let synced = *self.channels.clock_synced.borrow();
        reply.answer(self.publisher.reading_aside(meter, read_at, frames, synced).map(Answer::Reading));
    }

    /// A scan is over.
    pub(super) fn scanned(&mut self, bus: usize, found: &[Found]) {
        self.publisher.set_last_scan(Some(bus), Ok(found));
        let baud = self.publisher.config.buses.get(bus).map_or(Baud::DEFAULT, |bus| bus.baud);
        self.found(bus, found.iter().filter_map(|found| Find::new(found, baud)));
    }

    /// Of meters that are not configured everyone hears.
    pub(super) fn found(&mut self, bus: usize, finds: impl Iterator<Item = Find>) {
        let Some(name) = self.publisher.config.buses.get(bus).map(|bus| bus.name.clone()) else { return };
        for address in self.publisher.unconfigured(bus, finds) {
            self.publisher.tell(&Event::MeterFound { bus: name.clone(), address });
        }
    }
}

/// The next request of these that has its outcome; never, where none waits.
pub(super) async fn next_outcome(waiting: &mut Vec<Waiting>) -> (Option<Respond>, Outcome) {
    poll_fn(|cx| {
        for index in 0..waiting.len() {
            let Some(Waiting { response, .. }) = waiting.get_mut(index) else { break };
            if let Poll::Ready(outcome) = Pin::new(response).poll(cx) {
                return Poll::Ready((waiting.swap_remove(index).respond, outcome));
            }
        }
        Poll::Pending
    })
    .await
}
