//! What differs between two configurations, for a reload: the agent does what is listed and nothing else.

use std::fmt;

use super::{Config, Meter};

/// The differences. Places are those in `buses` and `meters` of the old or the new configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Buses, by name. All of them changed where the time zone did: slots move with it.
    pub buses: Vec<Change>,
    /// Meters, by name.
    pub meters: Vec<Change>,
    /// `[mqtt]`: the one reason to reconnect.
    pub mqtt: bool,
    /// `[homeassistant]`.
    pub homeassistant: bool,
    /// `[[profile]]`.
    pub profiles: bool,
    /// `[log]`.
    pub log: bool,
}

/// What became of a bus or a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added {
        /// Its place.
        new: usize,
    },
    /// It is gone.
    Removed {
        /// Its place.
        old: usize,
    },
    /// Some of its keys have other values; for a meter also: it is on another bus.
    Changed {
        /// Its place before.
        old: usize,
        /// Its place now.
        new: usize,
    },
}

/// Why a reload is refused: `[store]` differs, and the store is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedsRestart;

impl fmt::Display for NeedsRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[store] differs, which needs a restart")
    }
}

impl std::error::Error for NeedsRestart {}

/// What a reload has to do.
///
/// # Errors
/// [`NeedsRestart`]: then nothing of it may be done.
pub fn changes(old: &Config, new: &Config) -> Result<Changes, NeedsRestart> {
    if old.store != new.store {
        return Err(NeedsRestart);
    }
    let names = |config: &Config| config.buses.iter().map(|bus| bus.name.clone()).collect::<Vec<_>>();
    let same_slots = old.timezone == new.timezone;
    let buses = compare(&names(old), &names(new), |a, b| same_slots && old.buses.get(a) == new.buses.get(b));
    let names = |config: &Config| config.meters.iter().map(|meter| meter.name.clone()).collect::<Vec<_>>();
    let meters = compare(&names(old), &names(new), |a, b| on_bus(old, a) == on_bus(new, b));
    Ok(Changes {
        buses,
        meters,
        mqtt: old.mqtt != new.mqtt,
        homeassistant: old.homeassistant != new.homeassistant,
        profiles: old.profiles != new.profiles,
        log: old.log != new.log,
    })
}

/// A meter with the name of its bus instead of the place, which shifts when a bus is added.
fn on_bus(config: &Config, meter: usize) -> Option<(&str, Meter)> {
    let meter = config.meters.get(meter)?;
    let bus = config.buses.get(meter.bus)?;
    Some((&bus.name, Meter { bus: 0, ..meter.clone() }))
}

/// Removed ones in their old order, then the others in their new order.
fn compare(old: &[String], new: &[String], same: impl Fn(usize, usize) -> bool) -> Vec<Change> {
    let gone = old.iter().enumerate().filter(|(_, name)| !new.contains(name)).map(|(old, _)| Change::Removed { old });
    let now = new.iter().enumerate().filter_map(|(place, name)| match old.iter().position(|other| other == name) {
        None => Some(Change::Added { new: place }),
        Some(before) if same(before, place) => None,
        Some(before) => Some(Change::Changed { old: before, new: place }),
    });
    gone.chain(now).collect()
}

#[cfg(test)]
mod tests {
    use super::{Change, Changes, NeedsRestart, changes};
    use crate::config::load::tests::parsed as config;

    const OLD: &str = "[[bus]]\nname = \"a\"\nport = \"/dev/a\"\n[[bus]]\nname = \"b\"\nport = \"/dev/b\"\n\
        [[meter]]\nname = \"one\"\nbus = \"a\"\naddress = 1\n[[meter]]\nname = \"two\"\nbus = \"b\"\naddress = 2\n";

    fn changed(new: &str) -> Changes {
        changes(&config(OLD), &config(new)).expect("no restart")
    }

    #[test]
    fn the_same_file_changes_nothing() {
        assert_eq!(changed(OLD), Changes::default());
        assert_eq!(changed(&format!("# a comment\n{OLD}interval = \"15m\"\n")), Changes::default());
    }

    #[test]
    fn a_removed_bus_changes_no_meter_of_another() {
        let new = "[[bus]]\nname = \"b\"\nport = \"/dev/b\"\n[[meter]]\nname = \"two\"\nbus = \"b\"\naddress = 2\n";
        let expected = Changes {
            buses: vec![Change::Removed { old: 0 }],
            meters: vec![Change::Removed { old: 0 }],
            ..Changes::default()
        };
        assert_eq!(changed(new), expected);
    }

    #[test]
    fn what_changed_is_named_alone() {
        let meters = |changes| Changes { meters: changes, ..Changes::default() };
        let other_bus = OLD.replace("bus = \"a\"", "bus = \"b\"");
        assert_eq!(changed(&other_bus), meters(vec![Change::Changed { old: 0, new: 0 }]));
        let third = format!("{OLD}[[meter]]\nname = \"three\"\nbus = \"b\"\naddress = 3\n");
        assert_eq!(changed(&third), meters(vec![Change::Added { new: 2 }]));
        let off = format!("{OLD}enabled = false\n");
        assert_eq!(changed(&off), meters(vec![Change::Removed { old: 1 }]));
        let port = OLD.replace("/dev/a", "/dev/c");
        let buses = vec![Change::Changed { old: 0, new: 0 }];
        assert_eq!(changed(&port), Changes { buses, ..Changes::default() });
        let both = vec![Change::Changed { old: 0, new: 0 }, Change::Changed { old: 1, new: 1 }];
        let zone = format!("agent.timezone = \"UTC\"\n{OLD}");
        assert_eq!(changed(&zone), Changes { buses: both, ..Changes::default() });
    }

    #[test]
    fn another_password_is_another_mqtt() {
        let with = |password: &str| config(&format!("[mqtt]\nurl = \"mqtt://u:{password}@h\"\n"));
        assert_eq!(changes(&with("a"), &with("b")), Ok(Changes { mqtt: true, ..Changes::default() }));
        assert_eq!(changes(&with("a"), &with("a")), Ok(Changes::default()));
        let list = |url: &str| config(&format!("[mqtt]\nurl = {url}\n"));
        let (one, two) = (list("[\"mqtt://h\"]"), list("[\"mqtt://h\", \"mqtt://i\"]"));
        assert_eq!(changes(&one, &two), Ok(Changes { mqtt: true, ..Changes::default() }));
    }

    #[test]
    fn another_store_is_refused() {
        let new = config(&format!("store.durability = \"always\"\n{OLD}"));
        assert_eq!(changes(&config(OLD), &new), Err(NeedsRestart));
    }
}
