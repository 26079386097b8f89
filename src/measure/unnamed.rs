//! Records whose meaning is not known: no rule is for them, and the telegram names a code that is
//! reserved, the manufacturer's own, or without a dimension.
//!
//! Not here: what is done about them (`cli` prints rules to complete), how a reading is made
//! (`normalise`, which publishes them under a key made of their code).

use crate::mbus::address::{Manufacturer, SecondaryAddress};
use crate::mbus::application::opener::{Buffers, Opener};
use crate::mbus::application::quantity::{Known, Quantity};
use crate::mbus::application::record::DataRecord;
use crate::mbus::decimal::Decimal;
use crate::measure::key::{self, Numbering, Place};
use crate::measure::maker;
use crate::measure::meaning::{facts, is_unnamed, what};
use crate::measure::normalise::{MeterRules, device, parse};
use crate::measure::plain_text::Words;
use crate::measure::profile::Rules;

/// A record of a readout that needs a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnamed {
    /// Place in the whole readout, from 0.
    pub index: usize,
    /// DIF and DIFEs.
    pub dib: Vec<u8>,
    /// VIF and VIFEs.
    pub vib: Vec<u8>,
    /// Whether another record of the readout has the same two blocks.
    pub repeated: bool,
    /// What it is called as long as no rule names it.
    pub key: String,
    /// Its data bytes.
    pub data: Vec<u8>,
    /// Its number, where it carries one.
    pub number: Option<Decimal>,
}

/// The unnamed records of the telegrams of one readout, in their order. What cannot be opened or
/// parsed has none: `normalise` says why.
#[must_use]
pub fn unnamed(frames: &[Vec<u8>], meter: &MeterRules<'_>, opener: &mut Opener) -> Vec<Unnamed> {
    let telegrams: Vec<_> = frames.iter().filter_map(|frame| parse(frame).ok()).collect();
    let identity = device(telegrams.iter()).identity;
    identity.into_iter().for_each(|identity| opener.identify(identity));
    let maker = identity.map(SecondaryAddress::manufacturer);
    let rules = Rules::new(meter.rules, meter.profile, meter.profiles, identity);
    let (mut found, mut blocks, mut numbering, mut before) = (Vec::new(), Vec::new(), Numbering::default(), 0);
    for telegram in &telegrams {
        let mut buffers = Buffers::default();
        let Ok(telegram) = opener.open(telegram, &mut buffers) else { continue };
        let mut count = 0;
        for record in telegram.records().inspect(|_| count += 1).flatten() {
            blocks.push((record.dib.bytes.to_vec(), record.vib.bytes.to_vec()));
            let rule = rules.rule(&facts(&record, what(&record).0, before));
            let key = match rule.and_then(|rule| rule.key.as_deref()) {
                Some(key) => numbering.next_of_rule(&key_of(&record, Some(key), maker)),
                None => numbering.next(&key_of(&record, None, maker)),
            };
            if rule.is_none() && is_unnamed(&record, maker) {
                found.push(of(&record, before, key));
            }
        }
        before += count;
    }
    for one in &mut found {
        one.repeated = blocks.iter().filter(|(dib, vib)| (dib, vib) == (&one.dib, &one.vib)).count() > 1;
    }
    found
}

fn of(record: &DataRecord<'_>, before: usize, key: String) -> Unnamed {
    Unnamed {
        index: before + record.index,
        dib: record.dib.bytes.to_vec(),
        vib: record.vib.bytes.to_vec(),
        repeated: false,
        key,
        data: record.data.to_vec(),
        number: record.number(),
    }
}

fn key_of(record: &DataRecord<'_>, of_rule: Option<&str>, maker: Option<Manufacturer>) -> String {
    let dib = &record.dib;
    let place = Place { tariff: dib.tariff, subunit: dib.subunit, storage_number: dib.storage_number };
    let quantity = what(record).0;
    let (modifiers, _) = maker::understood(maker, quantity, record.vib.modifiers());
    let words = Words::of(record).filter(|_| quantity == Quantity::Known(Known::PlainText));
    let name = words.map_or_else(|| quantity.to_string(), |words| words.key);
    match of_rule {
        Some(key) => key::of_rule(key, dib.function, place, &modifiers),
        None => key::of(name, dib.function, place, &modifiers),
    }
}
