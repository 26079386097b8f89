//! The other end of the wire: a simulated segment with meters, speaking through the same encoders as
//! the master. Tests run it in virtual time; `sim:FILE` ports, `mbushat simulate` and `mbushat demo`
//! run it against the clock.
//!
//! A [`plan::SegmentPlan`] says what there is; [`segment::Segment`] takes the master's bytes with the
//! time they were sent and gives the characters a UART would have read, with theirs. Everything that
//! happens is a function of the plan, its seed and those bytes.
//!
//! Not here: ports and sleeping (`bus::serve`), reading the plan from a file (`config::simulation`).

pub mod plan;
pub mod known;
pub mod model;
pub mod meter;
mod fault;
mod wire;
pub mod segment;
