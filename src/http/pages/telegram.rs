//! Telegrams, explained as `mbushat decode` does.

use crate::explain::table::{Row, rows};
use crate::explain::{Memory, explain};
use crate::mbus::application::opener::Buffers;
use crate::mbus::application::security::Key;

/// One telegram.
pub(super) struct Explained {
    /// Its bytes, to copy.
    pub(super) hex: String,
    pub(super) rows: Vec<Row>,
}

/// Each of them.
pub(super) fn all<'a>(telegrams: impl IntoIterator<Item = &'a [u8]>, key: Option<&Key>) -> Vec<Explained> {
    let mut memory = Memory::default();
    let explained = |bytes: &[u8]| {
        let mut buffers = Buffers::default();
        let explained = explain(bytes, key, &mut memory, &mut buffers);
        Explained { hex: hex(bytes), rows: rows(bytes, &explained) }
    };
    telegrams.into_iter().map(explained).collect()
}

/// `68 1F 1F 68`.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}
