//! EN 13757 in wire order and pure: bytes and `now` come in, values and bytes go out.
//!
//! Three floors, each of which knows only those above it in this list:
//!
//! | module | what | standard |
//! |---|---|---|
//! | [`link`] | frames, how they are found in a stream of bytes, what the wire's rate means | EN 13757-2 |
//! | [`application`] | what a frame carries: header, security, records, values | EN 13757-3, -7 |
//! | [`master`] | who asks whom and when: exchange, readout, search, maintenance | EN 13757-2 clause 5 |
//!
//! Beside them stands what all share: [`address`], [`decimal`], [`octets`], [`maker`], [`medium`].
//! Encode and decode of a thing stand in one file; the master, the simulator and the command line
//! share them. Not here: tokio, logs, files, a clock, serde.

pub mod address;
pub mod decimal;
pub mod octets;
pub mod maker;
pub mod medium;
pub mod link;
pub mod application;
pub mod master;
