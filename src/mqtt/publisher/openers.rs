//! What opens each meter's telegrams, kept over restarts.
//!
//! Not here: what a telegram teaches, and how that is written in a memo (`mbus::application::opener`).

use std::collections::BTreeMap;
use std::time::Instant;

use crate::config::Meter;
use crate::mbus::application::opener::Opener;
use crate::spool::{Memo, Spool};

/// By meter.
#[derive(Debug, Default)]
pub(super) struct Openers(BTreeMap<String, Opener>);

impl Openers {
    /// Those of the store.
    pub(super) fn restore(spool: &Spool) -> Self {
        let opener = |memo: &str| {
            let mut opener = Opener::default();
            opener.recall(memo);
            opener
        };
        Self(spool.remembered(Memo::Formats).map(|(meter, memo)| (meter.to_owned(), opener(memo))).collect())
    }

    /// The meter's, with the key and the selection that are configured now.
    pub(super) fn of(&mut self, meter: &Meter) -> &mut Opener {
        let opener = self.0.entry(meter.name.clone()).or_default();
        opener.set_key(meter.key);
        opener.select(meter.address.mask());
        opener
    }

    /// Keeps what the meter's has learnt.
    pub(super) fn remember(&self, meter: &str, spool: &mut Spool, now: Instant) {
        if let Some(opener) = self.0.get(meter) {
            spool.remember(Memo::Formats, meter, &opener.memo(), now);
        }
    }
}
