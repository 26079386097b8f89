//! The file of adopted meters: `[[meter]]` as in the user's file, and `[[ignore]]`.
//!
//! A meter of the user's file wins over one of the same address here.
//!
//! Not here: writing it (`adopt`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::bus::SLUG;
use super::{Surroundings, meter, reader, together};
use crate::config::file::{Table, Value};
use crate::config::problem::Problem;
use crate::config::reader::Kind;
use crate::config::{Adopted, Bus, Config, Meter, free_name, spelling};
use crate::mbus::address::MeterAddress;

const ADOPTED: Kind = Kind { name: "the file of adopted meters", keys: &["meter", "ignore"] };
const IGNORE: Kind = Kind { name: "[[ignore]]", keys: &["bus", "address", "secondary"] };

/// Before the file was read.
pub(super) fn nothing(file: PathBuf) -> Adopted {
    Adopted {
        file,
        names: BTreeSet::new(),
        written: BTreeMap::new(),
        left_out: Vec::new(),
        ignored: Vec::new(),
        trouble: None,
    }
}

/// Adds what stands in the file to the user's configuration; only of use where `problems` stays empty.
pub(in crate::config) fn add(
    file: &Table,
    config: &mut Config,
    surroundings: &Surroundings<'_>,
    problems: &mut Vec<Problem>,
) {
    let mut keys = reader(&ADOPTED, file, problems);
    let (tables, ignored) = (keys.tables("meter", "meter"), keys.tables("ignore", "ignore"));
    let (here, elsewhere): (Vec<_>, Vec<_>) = tables.into_iter().partition(|table| is_here(table, &config.buses));
    let mut disabled = Vec::new();
    let found = meter::meters(&here, &config.buses, &config.profiles, surroundings, problems, &mut disabled);
    together::check(&found, &config.buses, problems);
    config.adopted.ignored = ignored.into_iter().filter_map(|table| self::ignored(table, problems)).collect();
    for table in elsewhere {
        let [name, bus] = ["name", "bus"].map(|key| text(table, key).unwrap_or_default().to_owned());
        config.adopted.left_out.push((name, format!("there is no bus \"{bus}\"")));
    }
    for item in here.iter().filter_map(|table| table.entries.get("name")).map(|entry| &entry.item) {
        if let (Value::Text(name), Some(written)) = (&item.value, &item.written) {
            config.adopted.written.insert(name.clone(), written.clone());
        }
    }
    let enabled = found.into_iter().map(|found| (found.meter, true));
    join(config, enabled.chain(disabled.into_iter().map(|meter| (meter, false))).collect());
}

impl Config {
    /// Has the adopted meters stay as they are in `old`, as far as their buses are still there: the file of them is
    /// broken.
    pub fn keep_adopted_of(&mut self, old: &Self) {
        let bus = |meter: &Meter| {
            let name = &old.buses.get(meter.bus)?.name;
            self.buses.iter().position(|bus| bus.name == *name)
        };
        let adopted = old.all_meters().filter(|(meter, _)| old.adopted.names.contains(&meter.name));
        let stay =
            adopted.filter_map(|(meter, is_enabled)| Some((Meter { bus: bus(meter)?, ..meter.clone() }, is_enabled)));
        let stay: Vec<_> = stay.collect();
        self.adopted.written = old.adopted.written.clone();
        self.adopted.left_out = old.adopted.left_out.clone();
        self.adopted.ignored = old.adopted.ignored.clone();
        join(self, stay);
    }
}

/// Puts adopted meters, and whether they are enabled, beside the user's. One whose name the user gave to another
/// meter gets the next free name.
fn join(config: &mut Config, meters: Vec<(Meter, bool)>) {
    let users: Vec<Meter> = config.all_meters().map(|(meter, _)| meter.clone()).collect();
    let is_taken = |name: &str| users.iter().any(|user| user.name == name);
    let mut taken: BTreeSet<String> =
        users.iter().chain(meters.iter().map(|(meter, _)| meter)).map(|meter| meter.name.clone()).collect();
    let mut renamed = BTreeMap::new();
    for (mut meter, is_enabled) in meters {
        let is_its = |user: &&Meter| user.bus == meter.bus && together::share_an_address(user.address, meter.address);
        if let Some(user) = users.iter().find(is_its) {
            config.adopted.left_out.push((meter.name, format!("your own file has it, as \"{}\"", user.name)));
            continue;
        }
        if is_taken(&meter.name) {
            let name = free_name(&meter.name, &taken);
            taken.insert(name.clone());
            let before = std::mem::replace(&mut meter.name, name.clone());
            let written = config.adopted.written.remove(&before).unwrap_or_else(|| before.clone());
            config.adopted.written.insert(name.clone(), written);
            renamed.insert(before, name);
        }
        meter.readout_of = meter.readout_of.map(|first| renamed.get(&first).cloned().unwrap_or(first));
        config.adopted.names.insert(meter.name.clone());
        if is_enabled { config.meters.push(meter) } else { config.disabled_meters.push(meter) }
    }
}

/// Whether the bus of a meter exists. One that is badly written is a problem that is noted elsewhere.
fn is_here(table: &Table, buses: &[Bus]) -> bool {
    text(table, "bus").is_none_or(|name| !spelling::is_slug(name) || buses.iter().any(|bus| bus.name == name))
}

fn text<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    match table.entries.get(key).map(|entry| &entry.item.value) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// A bus, which may be gone, and an address.
fn ignored(table: &Table, problems: &mut Vec<Problem>) -> Option<(String, MeterAddress)> {
    let mut keys = reader(&IGNORE, table, problems);
    if !keys.is_meant("bus") {
        keys.problem(table.at, "this [[ignore]] does not say its `bus`");
    }
    let bus = keys.parsed("bus", SLUG, |text| spelling::is_slug(text).then(|| text.to_owned()));
    bus.zip(meter::address(&mut keys, table.at).0)
}
