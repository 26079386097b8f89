//! Home Assistant: discovery documents that it takes without a warning. Pure.
//!
//! `measure::device_class` holds Home Assistant's own rules, `class` chooses class, unit and state class of a
//! measurement within them, `discovery` makes the meters' documents and `agent` the agent's own, in the
//! shapes of `document` with the names of `name` and the icons of `icon`; `event` is an entity of both. `announcements` decides when
//! which document is due, is changed or is taken back; `rules` is how a change of a meter's rules is noticed.
//!
//! Not here: publishing, its order and its timing (`mqtt`).

pub mod class;
pub mod name;
mod icon;
pub mod event;
mod document;
pub mod discovery;
mod agent;
pub mod rules;
pub mod announcements;
