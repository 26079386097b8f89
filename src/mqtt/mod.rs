//! The broker side: what is published, when, and in which shape.

pub mod topic;
pub mod payload;
