//! The snapshot of the agent's health: written by its owners on a `watch` channel, read by
//! `bridge/info`, diagnostics and the watchdog. Readers get a copy and nobody waits for them.
