//! What people ask of the adopt task: a find adopted, an adopted meter changed or forgotten.

use super::taking_over::NotInUse;
use super::{AdoptTask, Memory};
use crate::adopt::choice::{entry, is_that, names_taken, titles_taken};
use crate::adopt::edit::{Edit, Entry, Place};
use crate::adopt::find::Find;
use crate::config::{Bus, Config, Meter};
use crate::mbus::address::MeterAddress;
use crate::mbus::application::security::Key;
use crate::request::{AdoptRequest, Answer, Change, Outcome, Wanted, Which};

/// Characters of a title, at most.
const LONGEST_TITLE: usize = 100;

impl AdoptTask {
    /// Does what is asked; the outcome is its answer.
    pub(super) async fn obey(&mut self, memory: &mut Memory, what: &AdoptRequest) -> Outcome {
        let config = self.config().await?;
        if let Some(trouble) = &config.adopted.trouble {
            return Err(format!("the file of adopted meters is broken, and left as it is: {trouble}"));
        }
        let (meter, edits) = edits(&config, memory, what).map_err(|why| match &memory.not_in_use {
            // The meter that is asked for may still be read, or not be read yet.
            Some(NotInUse { why: refused, .. }) => {
                format!("as the file of adopted meters is now: {why}; but it is not in use yet: {refused}")
            }
            None => why,
        })?;
        let wanted = match what {
            AdoptRequest::Adopt { wanted, .. } => {
                usable(wanted)?;
                wanted.name.clone()
            }
            AdoptRequest::Forget { .. } => None,
        };
        wanted.iter().filter(|name| meter.as_ref() != Some(*name)).try_for_each(|name| is_free(&config, name))?;
        let kept = self.change(memory, edits).await?;
        if let Some(NotInUse { why, .. }) = &memory.not_in_use {
            let place = if kept { "is in the file of adopted meters" } else { "is noted" };
            return Err(format!("it {place}, and will be in use once the configuration can be read again: {why}"));
        }
        let Some(meter) = wanted.or(meter) else { return Ok(Answer::Done) };
        in_use(&self.config().await?, &meter)?;
        Ok(Answer::Adopted { meter, kept })
    }
}

/// An edit that changes nothing is no error of the file's.
fn in_use(config: &Config, meter: &str) -> Result<(), String> {
    let mut left_out = config.adopted.left_out.iter();
    match left_out.find(|(name, _)| name == meter) {
        _ if config.adopted.names.contains(meter) => Ok(()),
        Some((_, why)) => Err(format!("{meter} is in the file of adopted meters, but not in use: {why}")),
        None => Err("nothing is changed: the file of adopted meters has a meter at this address already".to_owned()),
    }
}

/// What is to be done to the file, and the meter that it is about.
fn edits(config: &Config, memory: &Memory, what: &AdoptRequest) -> Result<(Option<String>, Vec<Edit>), String> {
    Ok(match what {
        AdoptRequest::Forget { meter } => {
            let place = place(config, adopted(config, meter)?)?;
            (None, vec![Edit::Forget { name: config.adopted.in_file(meter).to_owned(), place }])
        }
        AdoptRequest::Adopt { which: Which::Named(name), wanted } => {
            adopted(config, name)?;
            (Some(name.clone()), changed(config.adopted.in_file(name), wanted))
        }
        AdoptRequest::Adopt { which: Which::At { bus, address }, wanted } => {
            let entry = found(config, memory, bus.as_deref(), *address)?;
            let name = entry.name.clone();
            let change = changed(&name, wanted);
            (Some(name), std::iter::once(Edit::Add(entry)).chain(change).collect())
        }
    })
}

/// What must be known before it goes into the file.
fn usable(wanted: &Wanted) -> Result<(), String> {
    let Wanted { title, key, .. } = wanted;
    match (title, key) {
        (Change::Is(title), _) if title.chars().count() > LONGEST_TITLE || title.chars().any(char::is_control) => {
            Err(format!("`title` cannot be used, expected up to {LONGEST_TITLE} characters on one line"))
        }
        // The file takes `${NAME}` for a key too, and would read it from the environment.
        (_, Change::Is(key)) if Key::from_hex(key.reveal().trim()).is_none() => {
            Err("`key` cannot be used, expected 32 hex digits (AES-128) (its value is not shown here)".to_owned())
        }
        _ => Ok(()),
    }
}

/// A name that another meter has. One of the user's file would have the adopted meter read under yet another.
fn is_free(config: &Config, name: &str) -> Result<(), String> {
    let is_adopted =
        config.adopted.names.contains(name) || config.adopted.left_out.iter().any(|(left_out, _)| left_out == name);
    match config.all_meters().any(|(meter, _)| meter.name == name) {
        _ if is_adopted => Err(format!("another adopted meter has the name {name}")),
        true => Err(format!("your own configuration gives the name {name} to another meter")),
        false => Ok(()),
    }
}

/// The change, if there is one.
fn changed(name: &str, wanted: &Wanted) -> Vec<Edit> {
    let change = Edit::Change { name: name.to_owned(), wanted: wanted.clone() };
    if *wanted == Wanted::default() { Vec::new() } else { vec![change] }
}

/// The adopted meter of this name.
fn adopted<'c>(config: &'c Config, name: &str) -> Result<&'c Meter, String> {
    let meter = config.all_meters().map(|(meter, _)| meter).find(|meter| meter.name == name);
    match (meter, config.adopted.left_out.iter().find(|(left_out, _)| left_out == name)) {
        (Some(meter), _) if config.adopted.names.contains(name) => Ok(meter),
        (Some(_), _) => Err(format!("{name} stands in your own configuration: change it there")),
        (None, Some((_, why))) => Err(format!("{name} is not in use: {why}")),
        (None, None) => Err(format!("no such meter: {name}")),
    }
}

fn place(config: &Config, meter: &Meter) -> Result<Place, String> {
    let bus = config.buses.get(meter.bus).ok_or("its bus is gone")?;
    Ok(Place { bus: bus.name.clone(), address: meter.address })
}

/// The find at this address, as it is to stand in the file.
fn found(config: &Config, memory: &Memory, bus: Option<&str>, address: MeterAddress) -> Result<Entry, String> {
    let (index, bus) = self::bus(config, bus)?;
    let finds = memory.seen.get(&bus.name).map(|sighting| sighting.saved.finds()).unwrap_or_default();
    let here: Vec<&Find> = finds.iter().filter(|find| find.is_at(address)).collect();
    let find = match here.as_slice() {
        [find] => (*find).clone(),
        [] => forgotten(config, bus, address)
            .ok_or_else(|| format!("no search has found a meter at {address} of bus {}: scan first", bus.name))?,
        _ => return Err(format!("{} meters were found at {address}: say the secondary address", here.len())),
    };
    let mut here = config.all_meters().filter(|(meter, _)| meter.bus == index);
    match here.find(|(meter, _)| is_that(&find, &finds, meter.address)) {
        Some((meter, true)) => return Err(format!("the meter at {address} is read already, as {}", meter.name)),
        Some((meter, false)) => {
            let name = &meter.name;
            return Err(format!("the meter at {address} stands in the configuration as {name}, switched off"));
        }
        None => {}
    }
    Ok(entry(find.name(&names_taken(config)), bus, &find, &finds, &titles_taken(config)))
}

/// What is known of a meter that is ignored.
fn forgotten(config: &Config, bus: &Bus, address: MeterAddress) -> Option<Find> {
    let ignored = config.adopted.ignored.iter().find(|(name, ignored)| *name == bus.name && *ignored == address);
    ignored.map(|(_, address)| Find::known(*address, bus.baud))
}

fn bus<'c>(config: &'c Config, name: Option<&str>) -> Result<(usize, &'c Bus), String> {
    let names = || config.buses.iter().map(|bus| bus.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut buses = config.buses.iter().enumerate();
    match name {
        Some(name) => {
            buses.find(|(_, bus)| bus.name == name).ok_or_else(|| format!("no such bus: {name}; there is {}", names()))
        }
        None => {
            buses.next().filter(|_| config.buses.len() == 1).ok_or_else(|| format!("say which \"bus\": {}", names()))
        }
    }
}
