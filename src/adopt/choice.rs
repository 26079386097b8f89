//! Which finds are adopted, and which adopted meter a user's own takes the place of.
//!
//! Not here: changing the file (`edit`), what people ask for (`task::asked`).

use std::collections::{BTreeMap, BTreeSet};

use super::edit::{Edit, Entry, Place};
use super::find::Find;
use super::kept;
use super::remembered::Remembered;
use crate::config::{Bus, Config};
use crate::mbus::address::{MeterAddress, PrimaryAddress};
use crate::mbus::medium;

/// Adopts who was found on these buses, and is neither known nor ignored.
#[must_use]
pub fn new_finds(config: &Config, on: impl Fn(&Bus) -> bool, finds: &BTreeMap<String, Vec<Find>>) -> Vec<Edit> {
    let (mut taken, mut titles) = (names_taken(config), titles_taken(config));
    let mut edits = Vec::new();
    for (index, bus) in config.buses.iter().enumerate().filter(|(_, bus)| on(bus)) {
        let finds = finds.get(&bus.name).map(Vec::as_slice).unwrap_or_default();
        let here: Vec<MeterAddress> =
            config.all_meters().filter(|(meter, _)| meter.bus == index).map(|(meter, _)| meter.address).collect();
        let ignored = config.adopted.ignored.iter().filter(|(name, _)| *name == bus.name).map(|(_, address)| *address);
        let known: Vec<MeterAddress> = here.into_iter().chain(ignored).collect();
        for find in finds.iter().filter(|find| !known.iter().any(|address| is_that(find, finds, *address))) {
            let name = find.name(&taken);
            taken.insert(name.clone());
            let entry = entry(name, bus, find, finds, &titles);
            titles.insert(entry.title.clone());
            edits.push(Edit::Add(entry));
        }
    }
    edits
}

/// Names that no other meter may have.
pub(super) fn names_taken(config: &Config) -> BTreeSet<String> {
    let left_out = config.adopted.left_out.iter().map(|(name, _)| name.clone());
    let in_file = config.adopted.written.values().cloned();
    config.all_meters().map(|(meter, _)| meter.name.clone()).chain(left_out).chain(in_file).collect()
}

/// Titles that other meters have.
pub(super) fn titles_taken(config: &Config) -> BTreeSet<String> {
    config.all_meters().filter_map(|(meter, _)| meter.title.clone()).collect()
}

/// Meters for heat and for water of one maker may have one number.
fn title(find: &Find, taken: &BTreeSet<String>) -> String {
    let plain = find.title();
    match find.identity.filter(|_| taken.contains(&plain)) {
        Some(identity) => format!("{plain} ({})", medium::name(identity.medium()).replace('_', " ")),
        None => plain,
    }
}

/// A find as it stands in the file.
pub(super) fn entry(name: String, bus: &Bus, find: &Find, finds: &[Find], titles: &BTreeSet<String>) -> Entry {
    let baud = Some(find.baud.bits_per_second()).filter(|_| find.baud != bus.baud);
    Entry {
        name,
        title: title(find, titles),
        place: Place { bus: bus.name.clone(), address: find.address },
        baud,
        also_at: other_addresses(find, finds),
    }
}

/// By which else it answers, and no other.
fn other_addresses(find: &Find, finds: &[Find]) -> Vec<MeterAddress> {
    let identity = find.secondary().map(MeterAddress::Secondary);
    let primary = find.primary.and_then(PrimaryAddress::new).map(MeterAddress::Primary);
    let all = identity.into_iter().chain(primary);
    all.filter(|at| *at != find.address && is_that(find, finds, *at)).collect()
}

/// Whether a meter that is read by this address is the find. A primary address that several have says nothing of
/// one that is read by its secondary address.
pub(super) fn is_that(find: &Find, finds: &[Find], address: MeterAddress) -> bool {
    let of_one = |at: u8| finds.iter().filter(|find| find.primary == Some(at)).count() == 1;
    match address {
        MeterAddress::Primary(at) if find.address != address => find.is_at(address) && of_one(at.get()),
        _ => find.is_at(address),
    }
}

/// The configuration without adopted meters that the user's file has under their other address: what a search
/// found, or what the store remembers, tells that both are one. Another spelling of the port changes nothing there.
#[must_use]
pub(super) fn without_doubles(mut config: Config) -> Config {
    if config.adopted.names.is_empty() || config.adopted.names.len() == config.all_meters().count() {
        return config;
    }
    let (kept, memory) = (kept::read(&config.adopted.file), Remembered::of(&config));
    let known = |(index, bus): (usize, &Bus)| together(memory.finds(&config, index), kept.finds(&bus.name));
    let finds: Vec<Vec<Find>> = config.buses.iter().enumerate().map(known).collect();
    let mut doubles = Vec::new();
    for (adopted, _) in config.all_meters().filter(|(meter, _)| config.adopted.names.contains(&meter.name)) {
        let finds = finds.get(adopted.bus).map(Vec::as_slice).unwrap_or_default();
        let Some(find) = finds.iter().find(|find| is_that(find, finds, adopted.address)) else { continue };
        let users = config.all_meters().map(|(meter, _)| meter).filter(|user| user.bus == adopted.bus);
        let mut users = users.filter(|user| !config.adopted.names.contains(&user.name));
        if let Some(user) = users.find(|user| is_that(find, finds, user.address)) {
            doubles.push((adopted.name.clone(), format!("your own file has it, as \"{}\"", user.name)));
        }
    }
    let stays = |name: &String| !doubles.iter().any(|(double, _)| double == name);
    config.meters.retain(|meter| stays(&meter.name));
    config.disabled_meters.retain(|meter| stays(&meter.name));
    config.adopted.names.retain(stays);
    config.adopted.left_out.extend(doubles);
    config
}

/// Each meter once, with what is known of its primary address.
fn together(first: Vec<Find>, more: Vec<Find>) -> Vec<Find> {
    let mut all: Vec<Find> = Vec::new();
    for find in first.into_iter().chain(more) {
        match all.iter_mut().find(|known| known.is_same(&find)) {
            Some(known) => known.primary = known.primary.or(find.primary),
            None => all.push(find),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{is_that, other_addresses, title};
    use crate::adopt::find::Find;
    use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
    use crate::mbus::link::timing::Baud;
    use std::collections::BTreeSet;

    fn find(id: &str, primary: u8) -> Find {
        let address = MeterAddress::Secondary(SecondaryAddress::parse(id).expect("an address"));
        Find { primary: Some(primary), ..Find::known(address, Baud::DEFAULT) }
    }

    #[test]
    fn a_primary_address_that_several_have_is_that_of_none() {
        let (a, b, c) = (find("67200512KAM1D04", 0), find("67200513KAM1D04", 0), find("67200514KAM1D04", 5));
        let finds = [a.clone(), b, c.clone()];
        let at = |address| MeterAddress::Primary(PrimaryAddress::new(address).expect("an address"));
        assert!(!is_that(&a, &finds, at(0)) && is_that(&c, &finds, at(5)) && !is_that(&c, &finds, at(0)));
        let primary = Find { address: at(0), ..a.clone() };
        assert!(is_that(&primary, &finds, at(0)), "one that is read by it");
        let mask = MeterAddress::Secondary(SecondaryAddress::parse("6720051?").expect("a mask"));
        assert!(is_that(&a, &finds, mask));
    }

    #[test]
    fn an_entry_knows_every_address_that_is_its_own() {
        let (a, b, c) = (find("67200512KAM1D04", 0), find("67200513KAM1D04", 0), find("67200514KAM1D04", 5));
        let others = |find: &Find| other_addresses(find, &[a.clone(), b.clone(), c.clone()]);
        let five = PrimaryAddress::new(5).map(MeterAddress::Primary).expect("an address");
        assert_eq!((others(&a), others(&c)), (vec![], vec![five]));
    }

    #[test]
    fn meters_of_one_number_have_their_medium_in_the_title() {
        let taken = BTreeSet::from([title(&find("21500107SIM0104", 1), &BTreeSet::new())]);
        assert_eq!(taken.first().map(String::as_str), Some("SIM 21500107"));
        assert_eq!(title(&find("21500107SIM0107", 2), &taken), "SIM 21500107 (water)");
    }
}
