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
//!                outbox (pure): peek -> Publish ; PubAck -> ack
//!                           |                      ^ acked / up / down
//!                           v                      |
//!              link task: drives the rumqttc EventLoop ---> broker ---> Home Assistant, Node-RED
//!  every owner ---- watch<Status> ----> bridge/info, diagnostics (readers get a snapshot)
//! ```
//!
//! Nobody calls back up; a later stage knows an earlier one only through the value it received.
//! Wishes from MQTT (read now, scan, bus power) enter the bus task as values on a bounded channel.
//! Shutdown follows the arrows: the buses stop (each finishes the exchange on the wire, then bus
//! power off), their channels close, the outbox publishes what it can and `offline`, the link ends.
//!
//! # Rooms
//!
//! | room | what | may use | never |
//! |---|---|---|---|
//! | [`mbus`] | the protocol on three floors: link, application, master; encode beside decode | std, RustCrypto in `security` | tokio, tracing, serde, I/O, a clock |
//! | [`sim`] | the other end of the wire, same encoders | mbus | same |
//! | [`measure`] | what a reading means: units, keys, profiles | mbus | same |
//! | [`config`] | the file as written, then as meant | mbus, measure | tokio, rumqttc, GPIO |
//! | [`bus`] | I/O: line, Hat, schedule, the bus task | mbus, sim, config, status | rumqttc, spool |
//! | [`spool`] | store and forward | measure | rumqttc |
//! | [`homeassistant`] | discovery documents, class table | mbus, measure, config | tokio, rumqttc |
//! | [`mqtt`] | outbox task, link, topics, payloads | mbus, measure, spool, homeassistant, config, status, the values of bus | GPIO, serial |
//! | [`status`] | the snapshot type | - | |
//! | [`system`] | sd_notify, signals, clock state | - | decisions |
//! | [`agent`] | builds channels, spawns tasks, stops them in order | all | protocol decisions |
//! | [`doctor`] | what stands between the configuration and a reading, as findings | bus, mqtt link, config, system | printing |
//! | [`cli`] | one file a subcommand | agent and the rooms | decisions |
//! | `demo` | embedded broker and simulated meters around the agent | agent, sim, config | |
//!
//! Third-party names have one room each: GPIO crates in `bus::hat`, tokio-serial in `bus::line`,
//! rumqttc in `mqtt::link`, toml in `config::file`. A test
//! (`tests/it/rooms.rs`) reads `src/` and enforces the table.
//!
//! # Invariants
//!
//! - A meter value is an integer times a power of ten from wire to JSON; no float in between.
//! - One task owns a thing; others send it values over bounded channels.
//! - A failed *reading* (silence, checksum) never closes a port; only an I/O error does.
//! - Each failure is logged once, by the task that decides its fate.
//! - A reading is in the spool until the broker's PUBACK, and sent again from there; its number never
//!   stands for another reading, whatever happened to the process, the disk or the clock.
//!
//! # Deliberately absent
//!
//! A plugin system, a database of readings, a web interface, generic layers over serial, MQTT or
//! time: each has one user.

pub mod mbus;
pub mod sim;
pub mod measure;
pub mod config;
pub mod bus;
pub mod spool;
pub mod homeassistant;
pub mod mqtt;
pub mod status;
pub mod system;
pub mod agent;
pub mod doctor;
pub mod cli;
#[cfg(feature = "demo")]
pub mod demo;
