//! EN 13757-2 and -3, in wire order and pure: bytes and `now` come in, values and bytes go out.
//!
//! Encode and decode of a thing stand side by side; the master, the simulator and the
//! command line share them. Not here: tokio, logs, files, a clock, serde.

pub mod address;
pub mod decimal;
pub mod frame;
pub mod framer;
pub mod request;
pub mod telegram;
pub mod header;
pub mod maker;
pub mod medium;
pub mod security;
pub mod afl;
pub mod record;
pub mod dib;
pub mod vib;
pub mod vif;
pub mod vife;
pub mod value;
mod bcd;
pub(crate) mod lvar;
pub mod octets;
pub mod text;
pub mod calendar;
pub mod profile;
pub mod compact;
pub mod fixed;
pub mod conversation;
pub mod reply;
pub mod exchange;
pub mod quantity;
pub mod sequence;
pub mod readout;
pub mod probe;
pub mod search;
pub mod command;
pub mod timing;
