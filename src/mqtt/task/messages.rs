//! What arrives from the broker: Home Assistant's birth, and commands.
//!
//! Not here: the shapes of requests and responses (`requests`, `payload`).

use std::time::Instant;

use super::super::payload::{self, Request};
use super::super::requests::{self, Wish};
use super::super::topic;
use super::OutboxTask;
use crate::bus::Command;

impl OutboxTask {
    pub(super) fn message(&mut self, topic: &str, payload: &[u8], retain: bool) {
        if retain {
            // a command may be years old; an announcement may be one of ours
            return self.publisher.found(topic, payload);
        }
        let homeassistant = &self.publisher.config.homeassistant;
        if homeassistant.enabled && topic == homeassistant.status_topic {
            if payload == homeassistant.status_payload.as_bytes() {
                self.publisher.outbox.birth(Instant::now());
            }
            return;
        }
        match self.publisher.topics.command(topic) {
            Some(topic::Command::Read { meter }) => {
                if let Err(error) = self.read_now(meter) {
                    tracing::warn!(meter, "cannot read it now: {error}");
                }
            }
            Some(topic::Command::Request { verb }) => self.request(verb, payload),
            None => {}
        }
    }

    fn request(&mut self, verb: &str, payload: &[u8]) {
        let (outcome, transaction) = match payload::request(payload) {
            Err(error) => (Err(error.to_string()), None),
            Ok(request) => (self.fulfil(verb, &request), request.transaction),
        };
        let response = match outcome {
            Ok(Some(meter)) if self.waiting.push(&meter, transaction.clone()) => return,
            Ok(Some(_)) => payload::response(Err("too many requests wait"), transaction.as_deref()),
            Ok(None) => payload::response(Ok(serde_json::json!({})), transaction.as_deref()),
            Err(error) => payload::response(Err(&error), transaction.as_deref()),
        };
        self.publisher.outbox.note(self.publisher.topics.response(verb), response.into());
    }

    /// The meter whose readout answers the request, if one does.
    fn fulfil(&mut self, verb: &str, request: &Request) -> Result<Option<String>, String> {
        match requests::wish(verb, request)? {
            Wish::Read(meter) => self.read_now(&meter).map(|()| Some(meter)),
            Wish::Power { bus, on } => {
                let buses = &self.publisher.config.buses;
                let place = match bus {
                    Some(name) => buses.iter().position(|b| b.name == name).ok_or("no such bus")?,
                    None if buses.len() == 1 => 0,
                    None => return Err("say which \"bus\"".to_owned()),
                };
                self.command(place, Command::Power(on)).map(|()| None)
            }
            Wish::Reload => self.channels.ask_reload.try_send(()).map(|()| None).map_err(|e| e.to_string()),
        }
    }

    pub(super) fn read_now(&mut self, meter: &str) -> Result<(), String> {
        let bus = self.publisher.bus_of(meter).ok_or("no such meter")?;
        self.command(bus, Command::ReadNow { meter: meter.to_owned() })
    }

    fn command(&self, bus: usize, command: Command) -> Result<(), String> {
        let bus = self.channels.buses.get(bus).ok_or("no such bus")?;
        bus.commands.try_send(command).map_err(|_| "too many requests wait for this bus".to_owned())
    }
}
