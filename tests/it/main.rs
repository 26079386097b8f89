//! The integration tests: one binary, one file a topic.

mod cli;
mod rooms;
mod tools;
