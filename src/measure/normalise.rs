//! From the frames of one readout to a [`Reading`]: every record with a key, a unit and an exact value.
//!
//! One bad record never costs the others, nor their keys: invalid and erroneous records are counted
//! where keys are numbered. What could not be understood is reported with its bytes.
//!
//! Not here: what a record means (`meaning`), its number's unit (`scale`), how a key is made (`key`), which
//! rule applies (`profile`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::SystemTime;

use crate::mbus::address::{Manufacturer, SecondaryAddress};
use crate::mbus::application::dib::Coding;
use crate::mbus::application::opener::{Buffers, Opener};
use crate::mbus::application::quantity::{Function, Known, Quantity, Unit};
use crate::mbus::application::record::{DataRecord, Part};
use crate::mbus::application::structure::Cut;
use crate::mbus::application::telegram::{Content, Telegram};
use crate::mbus::application::value::{RecordError, Value};
use crate::mbus::application::vife::Modifier;
use crate::mbus::link::frame::Frame;
use crate::measure::key::{self, Numbering, Place};
use crate::measure::maker;
use crate::measure::meaning::{
    facts, is_all_ones, is_secret, is_unnamed, left_open, measured, number_by_rule, presentation, unused_storages, what,
};
use crate::measure::plain_text::Words;
use crate::measure::profile::{Facts, Profile, RecordRule, Rules};
use crate::measure::quantities::{Sort, of_unit, row};
use crate::measure::scale::Scale;
use crate::measure::{Device, Measured, Measurement, Reading, RecordFault};

/// What decides how the records of a meter are published.
#[derive(Clone, Copy, Debug)]
pub struct MeterRules<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its own rules; they come before the profile's.
    pub rules: &'a [RecordRule],
    /// A named profile instead of the one that matches.
    pub profile: Option<&'a str>,
    /// All profiles; the first that matches is used.
    pub profiles: &'a [Profile],
    /// Whether its totals are doubted where no rule says.
    pub plausible: bool,
    /// Publish only these keys; `None`: every sensible record.
    pub only: Option<&'a [String]>,
    /// The unit in which each key was first published.
    pub units: &'a BTreeMap<String, Unit>,
}

impl<'a> MeterRules<'a> {
    /// Of a meter that no table describes: the profile that matches, and nothing else.
    #[must_use]
    pub fn of_profiles(name: &'a str, profiles: &'a [Profile]) -> Self {
        const NO_UNITS: &BTreeMap<String, Unit> = &BTreeMap::new();
        Self { name, rules: &[], profile: None, profiles, plausible: true, only: None, units: NO_UNITS }
    }
}

/// When a readout was due and done.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    /// Slot it was read for; `None` on demand.
    pub due_at: Option<SystemTime>,
    /// Wall clock when the last telegram was complete.
    pub read_at: SystemTime,
    /// Whether that clock could be trusted; `None`: not known.
    pub clock_synced: Option<bool>,
}

/// Makes the reading of the telegrams of one readout, in the order in which they came. The header
/// of the first one that has a field counts.
///
/// # Errors
/// Why nothing at all could be understood: the first thing that is wrong.
pub fn reading(
    frames: &[Vec<u8>],
    meter: &MeterRules<'_>,
    opener: &mut Opener,
    when: Occasion,
) -> Result<Reading, RecordFault> {
    let telegrams: Vec<_> = frames.iter().map(|frame| parse(frame)).collect();
    let device = device(telegrams.iter().flatten());
    device.identity.into_iter().for_each(|identity| opener.identify(identity));
    let mut collector = Collector::new(meter, device.identity);
    for (frame, telegram) in frames.iter().zip(&telegrams) {
        match telegram {
            Ok(telegram) => collector.telegram(telegram, opener),
            Err(error) => collector.unreadable(frame, error),
        }
    }
    collector.parts();
    let Collector { measurements, errors, manufacturer_data, unnamed, .. } = collector;
    match errors.first() {
        Some(first) if measurements.is_empty() => Err(first.clone()),
        _ => Ok(Reading {
            meter: meter.name.to_owned(),
            due_at: when.due_at,
            read_at: when.read_at,
            clock_synced: when.clock_synced,
            device,
            measurements,
            errors,
            manufacturer_data,
            unnamed,
            telegrams: Vec::new(),
            labels: BTreeMap::new(),
        }),
    }
}

/// The telegram of a frame, not opened yet.
pub(super) fn parse(frame: &[u8]) -> Result<Telegram<'_>, String> {
    let frame = Frame::parse(frame).map_err(|error| error.to_string())?;
    let telegram = Telegram::parse(&frame).map_err(|error| error.to_string())?;
    match telegram.content {
        Content::ApplicationError(error) => Err(error.to_string()),
        Content::Records(_) | Content::Encrypted(_) | Content::Fixed(_) | Content::Compact(_) => Ok(telegram),
        Content::Format(_) => Ok(telegram),
        _ => Err(format!("no meter data behind CI {:02X}", telegram.ci)),
    }
}

/// What a meter repeats at the head of each of its telegrams: the first of them counts.
fn is_repeated(quantity: Quantity, function: Function, place: Place) -> bool {
    let now = function == Function::Instantaneous && place == Place::default();
    let is_label = |known| matches!(row(known).sort, Sort::Label | Sort::Secret);
    let head = |known| is_label(known) || matches!(known, Known::Date | Known::DateTime | Known::DeviceType);
    now && matches!(quantity, Quantity::Known(known) if head(known))
}

pub(super) fn device<'t, 'a: 't>(telegrams: impl Iterator<Item = &'t Telegram<'a>> + Clone) -> Device {
    let find = |field: fn(&Telegram<'a>) -> Option<u8>| telegrams.clone().find_map(field).unwrap_or(0);
    let by_header = telegrams.clone().find_map(|telegram| telegram.header.identity);
    Device {
        identity: by_header.or_else(|| telegrams.clone().find_map(Telegram::identity)),
        address: find(|telegram| Some(telegram.a)),
        access_number: find(Telegram::access_number),
        status: telegrams.clone().find_map(Telegram::status).map(|s| s.names().collect()).unwrap_or_default(),
    }
}

/// Gathers measurements over the telegrams of a readout.
struct Collector<'a> {
    meter: &'a MeterRules<'a>,
    rules: Rules<'a>,
    maker: Option<Manufacturer>,
    numbering: Numbering,
    /// Records of the telegrams before this one.
    before: usize,
    /// What the telegrams before this one had of what is repeated in each.
    repeated: BTreeSet<String>,
    measurements: Vec<Measurement>,
    errors: Vec<RecordFault>,
    /// The manufacturer's blocks of the telegrams, one after the other.
    manufacturer_data: Vec<u8>,
    /// Records without a name, unless the meter's table says which keys it wants.
    unnamed: usize,
    /// A block may be missing: a telegram could not be read to its end.
    is_cut: bool,
}

impl<'a> Collector<'a> {
    fn new(meter: &'a MeterRules<'a>, identity: Option<SecondaryAddress>) -> Self {
        Self {
            meter,
            rules: Rules::new(meter.rules, meter.profile, meter.profiles, identity),
            maker: identity.map(SecondaryAddress::manufacturer),
            numbering: Numbering::default(),
            before: 0,
            repeated: BTreeSet::new(),
            measurements: Vec::new(),
            errors: Vec::new(),
            manufacturer_data: Vec::new(),
            unnamed: 0,
            is_cut: false,
        }
    }

    fn telegram(&mut self, telegram: &Telegram<'_>, opener: &mut Opener) {
        let mut buffers = Buffers::default();
        let mut records = match opener.open(telegram, &mut buffers) {
            Ok(open) => open.records(),
            Err(error) => return self.unreadable(closed_bytes(telegram), &error),
        };
        let (mut count, mut head) = (0, BTreeSet::new());
        let unused = unused_storages(records.clone());
        for record in &mut records {
            count += 1;
            match record {
                Ok(record) if unused.contains(&record.dib.storage_number) && is_all_ones(&record) => {
                    self.record(&DataRecord { value: Ok(Value::Invalid), ..record }, None, &mut head);
                }
                Ok(record) => self.record(&record, None, &mut head),
                Err(cut) => self.cut(&cut),
            }
        }
        self.before += count;
        self.repeated.append(&mut head);
        self.manufacturer_data.extend_from_slice(records.manufacturer_data());
    }

    /// What the rules take out of the manufacturer's block.
    fn parts(&mut self) {
        // where a part of it may be missing, the rest stands in another place
        let block = std::mem::take(&mut self.manufacturer_data);
        let of_rules = self.rules.iter().filter_map(|rule| rule.select.bytes);
        let mut parts: Vec<Part> = Vec::new();
        for part in of_rules.filter(|_| !block.is_empty() && !self.is_cut) {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        for part in parts {
            self.record(&part.of(0, &block), Some(part), &mut BTreeSet::new());
        }
        self.manufacturer_data = block;
    }

    /// A telegram of which nothing is known but its bytes.
    fn unreadable(&mut self, data: &[u8], error: &dyn Display) {
        self.is_cut = true;
        let (index, data, error) = (self.before, data.to_vec(), error.to_string());
        self.errors.push(RecordFault { index, dib: Vec::new(), vib: Vec::new(), data, error });
    }

    fn cut(&mut self, cut: &Cut<'_>) {
        self.is_cut = true;
        let (index, data, error) = (self.before + cut.index, cut.rest.to_vec(), cut.error.to_string());
        self.errors.push(RecordFault { index, dib: Vec::new(), vib: Vec::new(), data, error });
    }

    fn fault(&mut self, record: &DataRecord<'_>, error: &dyn Display) {
        self.errors.push(RecordFault {
            index: self.before + record.index,
            dib: record.dib.bytes.to_vec(),
            vib: record.vib.bytes.to_vec(),
            data: record.data.to_vec(),
            error: error.to_string(),
        });
    }

    /// A record of a telegram, or a part of a manufacturer's block as one.
    fn record(&mut self, record: &DataRecord<'_>, part: Option<Part>, head: &mut BTreeSet<String>) {
        let (quantity, unit) = what(record);
        let words = Words::of(record).filter(|_| quantity == Quantity::Known(Known::PlainText));
        let (mut modifiers, reported) = maker::understood(self.maker, quantity, record.vib.modifiers());
        modifiers.retain(|modifier| modifier.name().is_some());
        let record =
            &DataRecord { value: reported.map_or(record.value, |error| Err(RecordError::Reported(error))), ..*record };
        let rule = self.rules.rule(&Facts { part, ..facts(record, quantity, self.before) });
        let name = words.as_ref().map_or_else(|| quantity.to_string(), |words| words.key.clone());
        let Some(key) = self.key(record, (quantity, name), &modifiers, rule, head) else { return };
        self.unnamed += usize::from(rule.is_none() && self.meter.only.is_none() && is_unnamed(record, self.maker));
        if rule.is_some_and(|rule| rule.hide) || record.dib.function == Function::Error && record.value.is_ok() {
            return;
        }
        let is_wanted = self.is_wanted(&key, quantity, words.as_ref(), rule);
        if !is_wanted && is_secret(quantity, words.as_ref()) {
            return; // its bytes do not belong among the errors either
        }
        if let Err(error) = record.value {
            self.fault(record, &error);
            if record.dib.function == Function::Error {
                return;
            }
        }
        let said = words.as_ref().and_then(|words| words.number(record));
        let value = number_by_rule(record, rule).or_else(|| measured(record, quantity, &modifiers));
        let value = value.or(said.map(Measured::Number));
        let Some(value) = value.filter(|_| is_wanted) else { return };
        let scale = Scale::new(quantity, unit, &modifiers, rule, self.meter.units.get(&key).copied());
        let value = self.scaled(record, value, &scale);
        let has_steps = record.dib.coding != Coding::Real && said.is_none();
        let digits = matches!(value, Measured::Number(_)).then(|| scale.digits(record.vib.exponent)).flatten();
        let mut presentation = rule.map(|rule| presentation(rule, record)).unwrap_or_default();
        if let Some(words) = words.filter(|_| rule.is_none_or(|rule| rule.key.is_none())) {
            presentation.title.get_or_insert_with(|| words.title_of(&key));
        }
        let quantity = scale.relabels().and_then(of_unit).map_or(quantity, Quantity::Known);
        self.measurements.push(Measurement {
            key,
            quantity,
            value,
            unit: scale.label,
            function: record.dib.function,
            storage_number: record.dib.storage_number,
            tariff: record.dib.tariff,
            subunit: record.dib.subunit,
            modifiers: left_open(modifiers, rule),
            digits: digits.filter(|_| has_steps),
            plausible: rule.and_then(|rule| rule.plausible).unwrap_or(self.meter.plausible),
            presentation,
        });
    }

    fn scaled(&mut self, record: &DataRecord<'_>, value: Measured, scale: &Scale) -> Measured {
        let Measured::Number(number) = value else { return value };
        let scaled = scale.apply(number).map(Measured::Number);
        scaled.unwrap_or_else(|| {
            self.fault(record, &"number too large");
            Measured::Invalid
        })
    }

    /// The record's key, counted; `None` for what an earlier telegram of this readout already gave.
    fn key(
        &mut self,
        record: &DataRecord<'_>,
        (quantity, name): (Quantity, String),
        modifiers: &[Modifier],
        rule: Option<&RecordRule>,
        head: &mut BTreeSet<String>,
    ) -> Option<String> {
        let dib = &record.dib;
        let place = Place { tariff: dib.tariff, subunit: dib.subunit, storage_number: dib.storage_number };
        let base = key::of(name, dib.function, place, modifiers);
        if is_repeated(quantity, dib.function, place) {
            if self.repeated.contains(&base) {
                return None;
            }
            head.insert(base.clone());
        }
        Some(match rule.and_then(|rule| rule.key.as_deref()) {
            Some(key) => self.numbering.next_of_rule(&key::of_rule(key, dib.function, place, modifiers)),
            None => self.numbering.next(&base),
        })
    }

    /// Whether it is to be published: by name, or because it is sensible or a rule
    /// is for it.
    fn is_wanted(&self, key: &str, quantity: Quantity, words: Option<&Words>, rule: Option<&RecordRule>) -> bool {
        match self.meter.only {
            Some(keys) => keys.iter().any(|wanted| wanted == key),
            None => {
                let is_sensible = |known| row(known).is_sensible();
                // a rule for all plain texts does not mean the one that is a key
                let means_it = |rule: &RecordRule| rule.select.vif.is_some() || rule.select.index.is_some();
                if words.is_some_and(Words::is_secret) {
                    return rule.is_some_and(means_it);
                }
                rule.is_some() || !matches!(quantity, Quantity::Known(known) if !is_sensible(known))
            }
        }
    }
}

fn closed_bytes<'a>(telegram: &Telegram<'a>) -> &'a [u8] {
    match telegram.content {
        Content::Encrypted(encrypted) => encrypted.bytes(),
        Content::Compact(compact) => compact.values,
        _ => &[],
    }
}
