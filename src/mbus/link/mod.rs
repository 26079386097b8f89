//! The link layer (EN 13757-2): bytes on the wire, the frames among them, and their timing.

pub mod frame;
pub mod framer;
pub mod timing;
