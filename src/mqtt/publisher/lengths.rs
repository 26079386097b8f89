//! How long the meters' telegrams are, and whether their buses have the time for them.
//!
//! Not here: what is known of that before a meter was read (`config::check`, `mbushat check`).

use std::collections::BTreeMap;

use crate::config::{Config, Replies, bus_load};

/// The most that each meter answered in one turn since the start.
#[derive(Debug, Default)]
pub(super) struct Lengths(BTreeMap<String, Replies>);

impl Lengths {
    /// Learns from a readout. Where with it the bus of the meter has no time any more for all of its
    /// meters: the bus' name, and how often the time that there is they would need.
    pub(super) fn learn(&mut self, config: &Config, name: &str, frames: &[Vec<u8>]) -> Option<(String, f64)> {
        let meter = config.meters.iter().find(|meter| meter.name == name)?;
        let now = Replies::of(frames);
        let before = self.load(config, meter.bus);
        let known = self.0.entry(name.to_owned()).or_insert(now);
        if now.characters > known.characters {
            *known = now;
        }
        let after = self.load(config, meter.bus);
        let bus = config.buses.get(meter.bus)?;
        (before <= 1.0 && after > 1.0).then(|| (bus.name.clone(), after))
    }

    /// What is known of this meter.
    pub(super) fn of(&self, name: &str) -> Option<Replies> {
        self.0.get(name).copied()
    }

    /// Meters that have not been read yet need no time.
    fn load(&self, config: &Config, bus: usize) -> f64 {
        let Some(segment) = config.buses.get(bus) else { return 0.0 };
        let here = config.meters.iter().filter(|meter| meter.bus == bus);
        here.filter_map(|meter| self.0.get(&meter.name).map(|replies| bus_load(meter, segment, *replies))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Lengths;
    use crate::config;

    #[test]
    fn a_bus_without_time_for_the_telegrams_of_its_meters_is_named_once() {
        let file = std::env::temp_dir().join(format!("mbushat-lengths-{}.toml", std::process::id()));
        let meter = |name: &str| format!("[[meter]]\nname = \"{name}\"\naddress = {}\ninterval = \"1s\"\n", name.len());
        std::fs::write(&file, meter("a") + &meter("bb")).expect("written");
        let config = config::load(&file).expect("short telegrams have the time");
        std::fs::remove_file(&file).expect("removed");
        let mut lengths = Lengths::default();
        // 100 characters are 458 ms at 2400 baud, 5 more of each request 23 ms, a pause 5 ms
        assert_eq!(lengths.learn(&config, "a", &[vec![0; 40], vec![0; 60]]), None);
        assert_eq!(lengths.learn(&config, "unknown", &[vec![0; 250]]), None);
        assert_eq!(lengths.learn(&config, "bb", &[vec![0; 100]]), None, "99.9 %");
        let logged = lengths.learn(&config, "bb", &[vec![0; 110]]);
        assert_eq!(logged.map(|(bus, load)| format!("{bus} {load:.2}")), Some("hat 1.04".to_owned()));
        assert_eq!(lengths.learn(&config, "a", &[vec![0; 110]]), None, "it was logged");
    }
}
