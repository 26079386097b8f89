//! The integration tests: one binary, one file a topic.

mod agent;
#[cfg(feature = "demo")]
mod demo;
mod gateway;
mod broker;
mod bus;
mod bus_commands;
mod cli;
mod config;
mod decode;
mod mqtt;
mod homeassistant_classes;
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod homeassistant_documents;
mod link;
mod normalise;
mod rooms;
mod search;
mod tools;
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod wire;
