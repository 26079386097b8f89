//! Home Assistant: discovery documents that it takes without a warning. Pure.
//!
//! `table` holds Home Assistant's own rules, `class` chooses class, unit and state class of a
//! measurement within them, `discovery` makes the documents, `name` the names in them.
//!
//! Not here: publishing, its order and its timing (`mqtt`).

mod table;
pub mod class;
mod name;
pub mod discovery;
