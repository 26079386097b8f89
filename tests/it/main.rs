//! The integration tests: one binary, one file a topic.

mod agent;
mod demo;
mod gateway;
mod broker;
mod bus;
mod bus_commands;
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod chaos;
mod circles;
mod cli;
mod command;
mod config;
mod decode;
mod doctor;
mod mqtt;
mod homeassistant_classes;
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod homeassistant_documents;
mod endurance;
mod identity;
mod keys;
mod life_cycle;
mod link;
mod maintenance;
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod mutations;
mod normalise;
mod packaging;
mod pitfalls;
mod profiles;
mod recorder;
mod records;
mod requests;
mod recovery;
mod rooms;
mod scripted;
mod search;
mod source;
mod telegrams;
mod tls;
mod tools;
mod wall_clock;
#[expect(clippy::indexing_slicing, reason = "a test's helper")]
mod wire;
