//! mbushat reads wired M-Bus meters (EN 13757) and publishes them over MQTT with Home Assistant
//! discovery. This page is the architecture of the whole program.
//!
//! # The flow, one way only
//!
//! ```text
//! config/*.toml -> file (as written) -> check (as meant) -> Config, read-only from here on
//!                                                 |
//!  meters ~~wire~~ Hat/UART/TCP                   v
//!    |  bytes  +------------------ bus task, one per segment -----------------+
//!    +-------->| Line <-> driver <-> Readout (pure, `now` is passed)          |
//!  sim::Segment|            ^ schedule.next(now)                              |
//!  (same place)+------------|-------------------------------------------------+
//!                           | BusEvent            bounded channel, many -> one
//!                           v
//!              outbox task: sole owner of the spool
//!                normalise (pure) -> Reading -> spool.append
//!                announcements (pure): which document Home Assistant gets, what is remembered of it
//!                outbox (pure): peek -> Publish ; PubAck -> ack
//!                           |                      ^ acked / up / down
//!                           v                      |
//!              link task: drives rumqttc's EventLoop ---> broker ---> Home Assistant, Node-RED
//!  each bus -- watch<Health> --> outbox task -- watch<Status> --> http; part of it is bridge/info
//!  each bus -- Sighting --> adopt task: sole writer of the file of adopted meters -- Reload --> agent
//!  MQTT, http -- Request --> Desk --bounded channels--> bus task, adopt task, agent ; the Reply travels with it
//! ```
//!
//! Nothing calls back up; a later stage knows an earlier one only through the value it received.
//! Requests (read, scan, bus power, reload) go the other way, as values on bounded channels; each
//! carries where its answer goes, so that whoever holds it answers.
//! Shutdown follows the arrows: the buses stop (each finishes the exchange on the wire, then bus
//! power off), their channels close, the outbox publishes what it can and `offline`, the link ends.
//!
//! # Rooms
//!
//! *Outside*: `tokio`, `tracing`, `serde`, `serde_json`, `jiff`, `rustix`, `std::io`, `std::fs`, `std::net`, `std::env`, `Instant::now`, `SystemTime::now`, `async fn`, `println!`
//!
//! | room | what | may use | never |
//! |---|---|---|---|
//! | [`mbus`] | the protocol on three floors: link, application, master; encode beside decode | - | outside |
//! | [`mbus::link`] | frames, and how they are found in a stream of bytes | - | `mbus::application`, `mbus::master` |
//! | [`mbus::application`] | what a frame carries | - | `mbus::master` |
//! | [`sim`] | the other end of the wire: its frames, records and dates are written by the encoders of mbus | `mbus` | outside |
//! | [`measure`] | what a reading means: quantities, units, keys, profiles | `mbus` | outside |
//! | [`config`] | the file as written, then as meant | `mbus`, `measure`, `sim` | `tokio` |
//! | [`request`] | what a user may ask of a running agent, and the answers | `mbus`, `config` | `serde`, `serde_json`, `std::fs`, `std::net` |
//! | [`adopt`] | meters that nobody wrote down: found, adopted, kept in a file of the agent's own | `mbus`, `config`, `request`, `status`, `spool` | - |
//! | [`bus`] | I/O: line, Hat, schedule, the bus task | `mbus`, `sim`, `config`, `request`, `adopt` | - |
//! | [`spool`] | store and forward, and what is remembered over a restart | `mbus`, `measure`, `config` | - |
//! | [`homeassistant`] | discovery documents, class table, announcements | `mbus`, `measure`, `config`, `spool` | `tokio`, `std::fs`, `std::net`, `Instant::now`, `SystemTime::now` |
//! | [`mqtt`] | outbox task, link, topics, payloads | `mbus`, `measure`, `spool`, `homeassistant`, `config`, `status`, `request`, `adopt`, `bus` | - |
//! | [`status`] | the snapshot type | `measure` | `tokio` |
//! | [`system`] | sd_notify, clock state | - | - |
//! | `http` | pages, REST interface and metrics: readers of the snapshot (feature `http`) | `mbus`, `measure`, `config`, `request`, `bus`, `homeassistant`, `mqtt`, `status`, `explain`, `doctor` | `spool` |
//! | [`agent`] | builds channels, spawns tasks, stops them in order | `bus`, `config`, `http`, `mqtt`, `request`, `adopt`, `spool`, `status`, `system` | `mbus` |
//! | `explain` | what is shown of one telegram, byte by byte | `mbus` | `tokio`, `tracing`, `std::fs`, `std::net`, `println!` |
//! | [`doctor`] | what stands between the configuration and a reading, as findings | `mbus`, `measure`, `bus`, `mqtt`, `homeassistant`, `config`, `spool`, `system` | `println!` |
//! | [`cli`] | one file a subcommand | all | - |
//! | `demo` | embedded broker and simulated meters around the agent | `agent`, `config` | - |
//!
//! Some names of other crates have a home, and are used nowhere else:
//!
//! | names | home |
//! |---|---|
//! | `rppal`, `gpiocdev` | `bus::hat` |
//! | `tokio_serial` | `bus::line` |
//! | `rumqttc3`, `rumqttc5`, `tokio_util` | `mqtt::link` |
//! | `tokio_rustls` | `mqtt::link`, `http` |
//! | `toml` | `config::file` |
//! | `toml_edit` | `adopt::edit` |
//! | `aes`, `cbc`, `cmac` | `mbus::application::security` |
//! | `crc32fast` | `spool::line` |
//! | `axum`, `hyper`, `tower`, `askama`, `prometheus_client` | `http` |
//!
//! `tests/it/rooms.rs` reads both tables from this page and holds `src/` to them; `tests/it/circles.rs`
//! looks for circles of modules inside a room.
//!
//! The one table of quantities is in [`measure::quantities`]: a row says what sort of value a quantity
//! has and what Home Assistant calls it. That name is a text there: `mbus` knows nothing of it, and
//! `homeassistant` decides whether a release takes it.
//!
//! # Invariants
//!
//! - A meter value is an integer times a power of ten from wire to JSON; no float in between.
//! - One task owns a thing; others send it values over bounded channels.
//! - Each meter has one opener of its telegrams, which keeps what they teach (`mbus::application::opener`).
//! - A failed *reading* (silence, checksum) never closes a port; only an I/O error does.
//! - Each failure is logged once, by the task that decides its fate.
//! - A reading is in the spool until the broker's PUBACK, and sent again from there; its number never
//!   stands for another reading, whatever happened to the process, the disk or the clock.
//! - A meter is adopted once it answered twice, and never twice; whoever reads the file of adopted meters finds it
//!   whole, and what a person wrote in it stays (`adopt`).
//! - A number never stands beside a unit, or under a device, that is not its own: nothing, then the
//!   announcement, then the value (`mqtt::publisher::transition`).
//! - What may be another agent's is left alone: on the broker, an agent takes back only what its store
//!   remembers, until it is known that no other one lives under its base topic (`mqtt::other_agent`).
//!
//! # Deliberately absent
//!
//! A plugin system, a database of readings, generic layers over serial, MQTT or
//! time: each has one user.

pub mod mbus;
pub mod sim;
pub mod measure;
pub mod config;
pub mod request;
pub mod adopt;
pub mod bus;
pub mod spool;
pub mod homeassistant;
pub mod mqtt;
pub mod status;
pub mod system;
#[cfg(feature = "http")]
pub mod http;
pub mod agent;
pub(crate) mod explain;
pub mod doctor;
pub mod cli;
pub mod demo;
