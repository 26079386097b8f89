//! Changes to the text of the file of adopted meters: what a person wrote in it stays as it is, comments too.
//!
//! Each change can be made twice without harm, so that one that may not have reached the disk is made again.
//!
//! Not here: whether the outcome is a good file (`config`), writing it (`write`).

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::mbus::address::{MeterAddress, SecondaryAddress};
use crate::request::{Change, Wanted};

/// At the top of a new file.
const HEAD: &str = "\
## The meters that mbushat found and adopted, in the form of its configuration (man mbushat.toml).
## You may edit this file: `systemctl reload mbushat` takes it over. A meter that you write in
## your own configuration goes before one of the same address here.
";

/// What is said of a file that has no tables at all.
pub(super) const NOT_TOML: &str = "it is not valid TOML";

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Adopts a meter, unless one has its address; it is ignored no more.
    Add(Entry),
    /// Changes what `wanted` names.
    Change {
        /// The meter's name so far.
        name: String,
        /// What is to be otherwise.
        wanted: Wanted,
    },
    /// Takes a meter out of the file, and has searches ignore it unless another one is read at its address.
    Forget {
        /// The name that the file has for it.
        name: String,
        /// Where it is.
        place: Place,
    },
}

/// A meter to be adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Shown in Home Assistant.
    pub title: String,
    /// Where it is.
    pub place: Place,
    /// Its rate, where it is not that of its bus.
    pub baud: Option<u32>,
    /// Other addresses by which it may be ignored.
    pub also_at: Vec<MeterAddress>,
}

/// Where a meter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bus's name.
    pub bus: String,
    /// The address on it.
    pub address: MeterAddress,
}

/// The text with these changes made, one after the other.
///
/// # Errors
/// Where the text is not TOML, or not written as a meters file is.
pub fn apply<'e>(text: &str, edits: impl IntoIterator<Item = &'e Edit>) -> Result<String, String> {
    // Not the error's own text: it quotes the line, which may hold a key.
    let mut file: DocumentMut = text.parse().map_err(|_| NOT_TOML.to_owned())?;
    if file.is_empty() && text.trim().is_empty() {
        file.set_trailing(HEAD);
    }
    for edit in edits {
        match edit {
            Edit::Add(entry) => add(&mut file, entry)?,
            Edit::Change { name, wanted } => {
                if let Some(meter) = tables(&mut file, "meter")?.iter_mut().find(|meter| is_named(meter, name)) {
                    change(meter, wanted);
                }
            }
            Edit::Forget { name, place } => forget(&mut file, name, place)?,
        }
    }
    for key in ["meter", "ignore"] {
        if tables(&mut file, key)?.is_empty() {
            file.remove(key);
        }
    }
    let new = file.to_string();
    // The editor leaves out what ends lines elsewhere.
    let is_crlf = text.contains("\r\n") && text.matches('\n').count() == text.matches("\r\n").count();
    Ok(if is_crlf { new.replace("\r\n", "\n").replace('\n', "\r\n") } else { new })
}

fn add(file: &mut DocumentMut, entry: &Entry) -> Result<(), String> {
    for address in std::iter::once(&entry.place.address).chain(&entry.also_at) {
        let place = Place { bus: entry.place.bus.clone(), address: *address };
        remove(file, "ignore", |ignored| is_exactly(ignored, &place))?;
    }
    if tables(file, "meter")?.iter().any(|meter| is_at(meter, &entry.place)) {
        return Ok(());
    }
    let mut table = Table::new();
    table.insert("name", value(literal(&entry.name)));
    table.insert("title", value(literal(&entry.title)));
    table.extend(at(&entry.place));
    if let Some(baud) = entry.baud {
        table.insert("baud", value(i64::from(baud)));
    }
    push(file, "meter", table)
}

fn forget(file: &mut DocumentMut, name: &str, place: &Place) -> Result<(), String> {
    remove(file, "meter", |meter| is_named(meter, name))?;
    for key in ["meter", "ignore"] {
        if tables(file, key)?.iter().any(|table| is_at(table, place)) {
            return Ok(());
        }
    }
    push(file, "ignore", at(place))
}

fn change(meter: &mut Table, wanted: &Wanted) {
    let Wanted { name, title, interval, key } = wanted;
    if *key != Change::Stays {
        meter.remove("key_file");
    }
    set(meter, "title", title, |title| literal(title));
    set(meter, "interval", interval, |interval| literal(interval));
    // In a key nothing is expanded but one that is a `${NAME}` as a whole: who asks has made sure that it is none.
    set(meter, "key", key, |key| key.reveal().to_owned());
    set(meter, "name", &name.clone().map_or(Change::Stays, Change::Is), |name| literal(name));
}

/// The text as the file writes it: `${NAME}` there is the environment's, which holds secrets.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

fn set<T>(meter: &mut Table, key: &str, change: &Change<T>, text: impl Fn(&T) -> String) {
    let new = match change {
        Change::Stays => return,
        Change::Gone => {
            meter.remove(key);
            return;
        }
        Change::Is(new) => text(new),
    };
    match meter.get_mut(key).and_then(Item::as_value_mut) {
        // what stands behind it on its line stays
        Some(old) => {
            let decor = old.decor().clone();
            *old = new.into();
            *old.decor_mut() = decor;
        }
        None => _ = meter.insert(key, value(new)),
    }
}

/// The keys that say where a meter is.
fn at(place: &Place) -> Table {
    let mut table = Table::new();
    table.insert("bus", value(&place.bus));
    match place.address {
        MeterAddress::Primary(address) => table.insert("address", value(i64::from(address.get()))),
        MeterAddress::Secondary(address) => table.insert("secondary", value(address.to_string())),
    };
    table
}

fn is_named(meter: &Table, name: &str) -> bool {
    meter.get("name").and_then(Item::as_str) == Some(name)
}

/// Whether a table says this address and no other. What a person left open in part may be meant for others too.
fn is_exactly(table: &Table, place: &Place) -> bool {
    let written = table.get("secondary").and_then(Item::as_str).map(SecondaryAddress::parse);
    is_at(table, place) && written.is_none_or(|written| Ok(place.address) == written.map(MeterAddress::Secondary))
}

/// Whether a table says this place; a person may have spelled the address otherwise, or left it open in part.
fn is_at(table: &Table, place: &Place) -> bool {
    if table.get("bus").and_then(Item::as_str).is_some_and(|bus| bus != place.bus) {
        return false;
    }
    match place.address {
        MeterAddress::Primary(address) => {
            table.get("address").and_then(Item::as_integer) == Some(i64::from(address.get()))
        }
        MeterAddress::Secondary(address) => {
            let written = table.get("secondary").and_then(Item::as_str);
            written.and_then(|text| SecondaryAddress::parse(text).ok()).is_some_and(|mask| mask.matches(address))
        }
    }
}

/// `[[key]]`, which may be empty. A list on one line is made such tables, unless that would cost a comment.
fn tables<'f>(file: &'f mut DocumentMut, key: &str) -> Result<&'f mut ArrayOfTables, String> {
    let list = file.get(key).and_then(Item::as_array).filter(|list| !list.to_string().contains('#'));
    let tables = list.and_then(|list| match list.is_empty() {
        true => Some(ArrayOfTables::new()),
        false => Item::from(list.clone()).into_array_of_tables().ok(),
    });
    if let Some(tables) = tables {
        // the key anew: it has a space behind it
        file.remove(key);
        file.insert(key, Item::ArrayOfTables(tables));
    }
    let item = file.entry(key).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    item.as_array_of_tables_mut().ok_or_else(|| format!("write each {key} as a table of its own, below [[{key}]]"))
}

/// Adds a table at the end, with an empty line before it.
fn push(file: &mut DocumentMut, key: &str, mut table: Table) -> Result<(), String> {
    // What stands in a file without tables, or below the last one, stays above the new one.
    let above = file.trailing().as_str().unwrap_or_default().to_owned();
    file.set_trailing("");
    let gap = if above.is_empty() || above.ends_with('\n') { "\n" } else { "\n\n" };
    table.decor_mut().set_prefix(above + gap);
    tables(file, key)?.push(table);
    Ok(())
}

/// Removes these tables, and the comments that stand right above them; not what an empty line
/// parts from them.
fn remove(file: &mut DocumentMut, key: &str, is_it: impl Fn(&Table) -> bool) -> Result<(), String> {
    loop {
        let all = tables(file, key)?;
        let Some(index) = all.iter().position(&is_it) else { return Ok(()) };
        let above = all.get(index).map(prefix).unwrap_or_default();
        let kept = above_the_last_empty_line(&above);
        all.remove(index);
        match all.get_mut(index) {
            Some(next) => {
                let below = prefix(next);
                next.decor_mut().set_prefix(kept + &below);
            }
            None => {
                let below = file.trailing().as_str().unwrap_or_default().to_owned();
                file.set_trailing(kept + &below);
            }
        }
    }
}

/// Nothing, where that is empty too. An empty line may have spaces.
fn above_the_last_empty_line(text: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let empty = lines.iter().rposition(|line| line.ends_with('\n') && line.trim().is_empty());
    let kept = empty.and_then(|empty| lines.get(..empty)).unwrap_or_default().concat();
    if kept.trim().is_empty() { String::new() } else { kept }
}

fn prefix(table: &Table) -> String {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
