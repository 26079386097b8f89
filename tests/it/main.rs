//! The integration tests: one binary, one file a topic.

mod broker;
mod cli;
mod config;
mod mqtt;
mod rooms;
mod tools;
