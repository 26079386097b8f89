//! The pages: what they show is collected here, how it looks is in `templates/` (HTML) and `assets/` (style and
//! scripts). All of it works without scripts but what is live.

pub(super) mod actions;
pub(super) mod bus;
pub(super) mod decode;
pub(super) mod doctor;
mod frame;
pub(super) mod meter;
pub(super) mod meters;
pub(super) mod refused;
mod story;
mod telegram;
mod values;
mod when;
