//! The agent's own face: pages for people, a REST interface and metrics for programs.
//!
//! Readers get the snapshot (`status`, `bus::health`, `bus::tape`), what somebody asks for goes where MQTT's
//! requests go (`request`). Nothing of a bus or the store is touched here, and nothing is kept but the line of
//! the last day (`history`).
//!
//! `house` is what the routes see; `rights` decides who may see it. `router` lists every route, `server` carries
//! connections, `settings` makes both ready from `[http]`.
//!
//! Not here: when it opens and closes (`agent`), the shapes of readings and events (`mqtt::payload`).

mod house;
mod rights;
mod caller;
mod failures;
mod listeners;
mod problem;
mod part;
mod settings;
mod guard;
mod rest;
mod asks;
mod writes;
mod wire;
mod stream;
mod events;
mod health;
mod metrics;
mod history;
mod chart;
mod words;
mod pages;
mod adopting;
mod assets;
mod openapi;
mod httpd;
mod router;
mod busy;
mod server;

pub use house::{House, Sources};
pub use server::serve;
pub use settings::{Prepared, Unopened};
