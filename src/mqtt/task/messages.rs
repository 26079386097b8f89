//! What arrives from the broker: Home Assistant's birth, and commands.
//!
//! Not here: the shapes of requests and responses (`requests`, `request_json`).

use std::time::Instant;

use serde_json::value::RawValue;

use super::super::payload::Event;
use super::super::request_json::{self, Request};
use super::super::requests::{self, Wish};
use super::super::topic;
use super::{BusEnd, OutboxTask};
use crate::bus::Command;
use crate::mbus::master::search::Found;

/// What answers a request.
enum Until {
    /// It is done.
    Now,
    /// The readout of this meter.
    Read(String),
    /// The agent, when it has read its configuration again.
    Reloaded,
    /// The end of this scan of this bus.
    Scanned(usize, Command),
}

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
        let (request, transaction) = request_json::request(payload);
        let outcome = request.and_then(|request| self.fulfil(verb, &request));
        let response = match outcome {
            Ok(Until::Read(meter)) if self.waiting.push(&meter, transaction.clone()) => return,
            Ok(Until::Read(_)) => request_json::response(Err("too many requests wait"), transaction.as_deref()),
            Ok(Until::Reloaded) => match self.channels.ask_reload.try_send(transaction) {
                Ok(()) => return,
                Err(full) => request_json::response(Err("too many requests wait"), full.into_inner().as_deref()),
            },
            Ok(Until::Scanned(bus, command)) => match self.scan(bus, command, transaction.clone()) {
                Ok(()) => return,
                Err(error) => request_json::response(Err(&error), transaction.as_deref()),
            },
            Ok(Until::Now) => request_json::response(Ok(serde_json::json!({})), transaction.as_deref()),
            Err(error) => request_json::response(Err(&error), transaction.as_deref()),
        };
        self.publisher.outbox.note(self.publisher.topics.response(verb), response.into());
    }

    /// Does what is asked, or says what will answer it.
    fn fulfil(&mut self, verb: &str, request: &Request) -> Result<Until, String> {
        match requests::wish(verb, request)? {
            Wish::Read(meter) => self.read_now(&meter).map(|()| Until::Read(meter)),
            Wish::Power { bus, on } => {
                let place = self.bus_named(bus.as_deref())?;
                if self.publisher.config.buses.get(place).is_some_and(|bus| bus.hat.is_none()) {
                    return Err("no Hat powers this bus, so it cannot be switched".to_owned());
                }
                self.command(place, Command::Power(on))?;
                if !on {
                    self.give_up(place, "bus power was switched off");
                }
                Ok(Until::Now)
            }
            Wish::Scan { bus, scan } => {
                let place = self.bus_named(bus.as_deref())?;
                self.is_up(place)?;
                Ok(Until::Scanned(place, Command::Scan(scan)))
            }
            Wish::Reload => Ok(Until::Reloaded),
        }
    }

    /// The place of a bus; without a name that of the only one.
    fn bus_named(&self, name: Option<&str>) -> Result<usize, String> {
        let buses = &self.publisher.config.buses;
        match name {
            Some(name) => buses.iter().position(|bus| bus.name == name).ok_or_else(|| "no such bus".to_owned()),
            None if buses.len() == 1 => Ok(0),
            None => Err("say which \"bus\"".to_owned()),
        }
    }

    fn scan(&mut self, bus: usize, command: Command, transaction: Option<Box<RawValue>>) -> Result<(), String> {
        if !self.waiting.push_scan(bus, transaction) {
            return Err("this bus is being scanned already".to_owned());
        }
        self.command(bus, command).inspect_err(|error| _ = self.waiting.answer_scan(bus, Err(error)))
    }

    /// A scan is over, or its line is gone: whoever waits is told, and of meters nobody configured everyone.
    pub(super) fn scanned(&mut self, bus: usize, outcome: Result<&[Found], &str>) {
        for address in self.publisher.unconfigured(bus, outcome.unwrap_or_default()) {
            let Some(name) = self.publisher.config.buses.get(bus).map(|bus| bus.name.clone()) else { continue };
            self.publisher.tell(&Event::MeterFound { bus: name, address });
        }
        if let Some(response) = self.waiting.answer_scan(bus, outcome) {
            self.publisher.outbox.note(self.publisher.topics.response("scan"), response.into());
        }
    }

    /// Whoever asked for a reload is told what came of it.
    pub(super) fn reloaded(&mut self, outcome: &Result<(), String>, transaction: Option<&RawValue>) {
        let outcome = outcome.as_ref().map(|()| serde_json::json!({})).map_err(String::as_str);
        let response = request_json::response(outcome, transaction);
        self.publisher.outbox.note(self.publisher.topics.response("reload"), response.into());
    }

    pub(super) fn read_now(&mut self, meter: &str) -> Result<(), String> {
        let bus = self.publisher.bus_of(meter).ok_or("no such meter")?;
        self.is_up(bus)?;
        self.command(bus, Command::ReadNow { meter: meter.to_owned() })
    }

    /// Whether a bus can do anything now; else why not.
    fn is_up(&self, bus: usize) -> Result<(), String> {
        let health = self.channels.buses.get(bus).ok_or("no such bus")?.health.borrow();
        let why = || health.last_error.clone().unwrap_or_else(|| "it is not open yet".to_owned());
        if health.up { Ok(()) } else { Err(format!("the bus is down: {}", why())) }
    }

    /// Nothing that waits for this bus will be done.
    pub(super) fn give_up(&mut self, bus: usize, why: &str) {
        self.scanned(bus, Err(why));
        let meters = self.publisher.config.meters.iter().filter(|meter| meter.bus == bus);
        let names: Vec<String> = meters.map(|meter| meter.name.clone()).collect();
        for name in names {
            self.answer(&name, Err(why));
        }
    }

    /// Places of the buses whose tasks have ended for those of `new`.
    pub(super) fn exchanged(&self, new: &[BusEnd]) -> Vec<usize> {
        let lives =
            |(place, old): (usize, &BusEnd)| new.get(place).is_some_and(|new| new.commands.same_channel(&old.commands));
        let old = self.channels.buses.iter().enumerate();
        old.filter(|(place, end)| !lives((*place, end))).map(|(place, _)| place).collect()
    }

    fn command(&self, bus: usize, command: Command) -> Result<(), String> {
        let bus = self.channels.buses.get(bus).ok_or("no such bus")?;
        bus.commands.try_send(command).map_err(|_| "too many requests wait for this bus".to_owned())
    }
}
