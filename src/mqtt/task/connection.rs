//! What the link reports: a connection that comes and goes, what the broker took and what it did not.
//!
//! Not here: when to connect (`link`), what becomes of a message that was refused (`outbox`).

use std::time::Instant;

use super::super::link::{Fault, LinkEvent, Version};
use super::super::outbox::Verdict;
use super::OutboxTask;
use crate::config::Broker;

/// Different reasons for one outage that are logged.
const FAULTS: usize = 10;

impl OutboxTask {
    pub(super) fn linked(&mut self, event: LinkEvent) {
        self.turn();
        match event {
            LinkEvent::Up { connection, version, retains, broker } => self.up(connection, version, retains, &broker),
            LinkEvent::Down { broker, fault } => self.down(broker, fault),
            LinkEvent::Acked(id) => {
                if let Some(delivered) = self.publisher.outbox.acked(id) {
                    self.publisher.delivered(delivered);
                }
            }
            LinkEvent::Refused(id, refusal) => {
                if let Some(verdict) = self.publisher.outbox.refused(id, refusal, Instant::now()) {
                    self.obey(&verdict);
                }
            }
            LinkEvent::Message { topic, payload, retain } => self.message(&topic, &payload, retain),
        }
    }

    fn up(&mut self, connection: u64, version: Version, retains: bool, broker: &Broker) {
        let version = match version {
            Version::V5 => "5",
            Version::V3 => "3.1.1",
        };
        if self.flapping.change(self.publisher.now) {
            tracing::info!("connected to the broker {broker} with MQTT {version}");
            if !retains {
                tracing::warn!(
                    "this broker keeps no messages (Retain Available 0): who subscribes later sees nothing before the \
                     next reading"
                );
            }
        }
        self.faults.clear();
        self.connection = Some(connection);
        self.publisher.up();
        self.other.up(self.publisher.now);
        self.display.info_now(self.publisher.now);
    }

    fn down(&mut self, broker: Broker, fault: Fault) {
        self.ended(&fault);
        let was_up = self.connection.take().is_some();
        self.publisher.go_offline();
        if fault.is_about_the_rate() {
            self.publisher.outbox.too_fast(self.publisher.now);
        }
        let by_the_broker = fault.may_be_about_a_message();
        if let Some(verdict) = self.publisher.outbox.down(by_the_broker, Instant::now()) {
            self.obey(&verdict);
        }
        let has_line = if was_up { self.flapping.change(self.publisher.now) } else { !self.flapping.is_counting() };
        let new = (broker, fault);
        if has_line && !self.faults.contains(&new) && self.faults.len() < FAULTS {
            let (broker, fault) = &new;
            let words = fault.to_string();
            // who was let in has the right port
            let words = words.split("; if").next().filter(|_| was_up).unwrap_or(&words);
            tracing::warn!("the broker {broker} {words}");
            self.faults.push(new);
        }
    }

    /// Says how often the broker came and went, where that has no line of its own any more.
    pub(super) fn summarise(&mut self, now: Instant) {
        if let Some(changes) = self.flapping.summary(now) {
            let brokers = self.publisher.config.mqtt.places();
            let is_now = if self.connection.is_some() { "connected" } else { "not connected" };
            tracing::warn!(changes, "the connection to the broker {brokers} comes and goes; now it is {is_now}");
        }
    }

    fn obey(&mut self, verdict: &Verdict) {
        let Verdict { topic, bytes, .. } = verdict;
        match verdict.refusal {
            _ if !verdict.first => {}
            Some(why) => tracing::warn!(topic, bytes, "the broker does not take this message: {why}"),
            None => tracing::warn!(topic, bytes, "the broker closes the connection at this message"),
        }
        if let Some(seq) = verdict.set_aside {
            self.publisher.set_aside(seq);
        }
        self.publisher.settle(verdict.cursor);
    }
}
