//! The integration tests: one binary, one file a topic.

mod cli;
mod config;
mod rooms;
mod tools;
