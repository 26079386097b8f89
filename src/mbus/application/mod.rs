//! The application layer (EN 13757-3 and -7), from the CI field of a frame down to one value.

pub mod telegram;
pub mod header;
pub mod afl;
pub mod security;
pub mod compact;
pub mod fixed;
pub mod opener;
pub mod structure;
pub mod records;
pub mod record;
pub mod dib;
pub mod vib;
pub mod vif;
pub mod vife;
pub mod quantity;
pub mod value;
mod bcd;
pub(crate) mod lvar;
pub mod text;
pub mod calendar;
pub mod compact_profile;
