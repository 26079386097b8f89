//! What is allowed, and yet most likely not meant.

use std::time::Duration;

use super::{Learnt, USUAL_REPLY, here};
use crate::config::{Bus, Config, Meter};
use crate::mbus::address::MeterAddress;
use crate::mbus::application::opener::Opener;
use crate::mbus::master::wake_up::WakeUp;
use crate::measure::{medium, seen};
use crate::spool::{self, Memo};

/// A battery is made for reads this far apart.
const BATTERY_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// What is allowed, but perhaps not meant.
pub(super) fn warnings(config: &Config, learnt: &Learnt) -> Vec<String> {
    let mut warnings = Vec::new();
    let often: Vec<&str> = config
        .meters
        .iter()
        .filter(|meter| meter.interval < BATTERY_INTERVAL && may_have_battery(meter, config))
        .map(|meter| meter.name.as_str())
        .collect();
    if !often.is_empty() {
        let names = often.join(", ");
        warnings.push(format!("read more often than every 15m, which drains a battery-powered meter: {names}"));
    }
    for (place, bus) in config.buses.iter().enumerate() {
        let (_, load) = here(config, learnt, place, bus);
        if load > 1.0 {
            let percent = load * 100.0;
            warnings.push(format!(
                "bus {} cannot keep up: these intervals need {percent:.0} % of its time (estimated from past telegrams, else {USUAL_REPLY} bytes)",
                bus.name
            ));
        }
    }
    warnings.extend(idle_rules(config, learnt));
    warnings.extend(wake_ups_beside_others(config));
    warnings.extend(wake_ups_that_the_line_cannot_do(config));
    warnings
}

/// A wake-up is noise to the other meters of its bus, and takes its time from them.
fn wake_ups_beside_others(config: &Config) -> Vec<String> {
    let woken = |(place, bus): (usize, &Bus)| {
        let meters = || config.meters.iter().filter(|meter| meter.bus == place);
        let wakes = bus.wake_up.is_some() || meters().any(|meter| meter.wake_up.is_some());
        (wakes && meters().count() > 1).then(|| {
            format!("bus {} has a wake_up and several meters: all of them hear it before each readout", bus.name)
        })
    };
    config.buses.iter().enumerate().filter_map(woken).collect()
}

/// A transparent gateway keeps its parity, so the wake-up comes in another than is written.
fn wake_ups_that_the_line_cannot_do(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for (place, bus) in config.buses.iter().enumerate().filter(|(_, bus)| bus.port.keeps_its_rate()) {
        let meters = config.meters.iter().filter(|meter| meter.bus == place);
        let own = meters.filter_map(|meter| Some((meter.wake_up?, format!(" of {}", meter.name))));
        let all = bus.wake_up.map(|wake_up| (wake_up, String::new())).into_iter().chain(own);
        let differs = |wake_up: WakeUp| wake_up.parity.is_some_and(|parity| parity != bus.parity);
        warnings.extend(all.filter(|(wake_up, _)| differs(*wake_up)).map(|(_, of)| {
            format!(
                "bus {}: the wake_up{of} comes in the parity of the gateway, which {} cannot change; \
                 rfc2217://… can, where the gateway speaks it",
                bus.name, bus.port
            )
        }));
    }
    warnings
}

/// Rules that select nothing that their meter was ever seen to send.
fn idle_rules(config: &Config, learnt: &Learnt) -> Vec<String> {
    let formats = spool::peek(&config.store.directory, Memo::Formats).unwrap_or_default();
    let of_meter = |meter: &Meter| {
        let mut opener = Opener::default();
        opener.recall(formats.get(&meter.name).map_or("", String::as_str));
        let say = |place: usize| {
            let key = meter.records.get(place).and_then(|rule| rule.key.as_deref());
            let key = key.map(|key| format!(" (key = {key:?})")).unwrap_or_default();
            let (number, name) = (place + 1, &meter.name);
            format!("[[meter.record]] {number} of {name}{key} selects nothing that the meter was seen to send")
        };
        let idle = seen::idle(&meter.records, &opener, learnt.replies(meter).telegrams);
        idle.into_iter().map(say).collect::<Vec<_>>()
    };
    config.meters.iter().flat_map(of_meter).collect()
}

/// A meter whose medium the configuration does not say may have a battery.
fn may_have_battery(meter: &Meter, config: &Config) -> bool {
    let of_profile = || {
        let profile = config.profiles.iter().find(|profile| Some(&profile.name) == meter.profile.as_ref());
        profile.and_then(|profile| profile.medium.first().copied())
    };
    let of_address = match meter.address {
        MeterAddress::Secondary(address) => Some(address.medium()).filter(|medium| *medium != 0xFF),
        MeterAddress::Primary(_) => None,
    };
    of_address.or_else(of_profile).is_none_or(medium::may_have_battery)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::Learnt;
    use super::super::tests::{TWO_BUSES, config};
    use super::warnings;
    use crate::spool::{Memo, Spool};

    #[test]
    fn short_intervals_of_what_may_have_a_battery_and_full_buses_are_warned_of() {
        let warnings = warnings(&config("warnings", &TWO_BUSES.replace("\"10s\"", "\"3s\"")), &Learnt([].into()));
        let [battery, load] = warnings.as_slice() else { panic!("two: {warnings:?}") };
        assert!(battery.ends_with(": gas"), "{battery}");
        assert!(load.starts_with("bus cellar cannot keep up: these intervals need 13"), "{load}");
    }

    #[test]
    fn a_rule_for_what_the_meter_never_sent_is_told_once_the_store_knows_the_meter() {
        let folder = std::env::temp_dir().join(format!("mbushat-{}-idle", std::process::id()));
        let rules = "[[meter.record]]\nquantity = \"energy\"\nunit = \"GJ\"\n\
                     [[meter.record]]\nquantity = \"pressure\"\nkey = \"mains\"\n";
        let meter = format!("[[meter]]\nname = \"gas\"\naddress = 5\n{rules}");
        let config = config("idle", &format!("[store]\ndirectory = {folder:?}\n{meter}"));
        let idle = || warnings(&config, &Learnt::of(&config)).into_iter().filter(|w| w.contains("record")).collect();
        assert_eq!(idle(), [""; 0].map(str::to_owned).to_vec(), "it was never read");
        let now = Instant::now();
        let mut store = Spool::open(&config.store, now).expect("a store");
        store.remember(Memo::Formats, "gas", "- 04060413", now);
        store.close(now);
        let told: Vec<String> = idle();
        std::fs::remove_dir_all(&folder).expect("our folder");
        let want = "[[meter.record]] 2 of gas (key = \"mains\") selects nothing that the meter was seen to send";
        assert_eq!(told, [want]);
    }

    #[test]
    fn a_wake_up_in_a_parity_that_the_gateway_cannot_have_is_warned_of() {
        let woken = |port: &str, parity: &str| {
            let text = format!(
                "[[bus]]\nname = \"eye\"\nport = \"{port}\"\n[[meter]]\nname = \"heat\"\naddress = 1\n\
                 wake_up = \"0x55 for 2.1s at 8{parity}1\"\n"
            );
            warnings(&config("woken", &text), &Learnt([].into()))
        };
        let [one] = woken("tcp://10.0.0.1:10001", "N").try_into().expect("one warning");
        assert!(one.starts_with("bus eye: the wake_up of heat comes in the parity of the gateway"), "{one}");
        for (port, parity) in [("tcp://10.0.0.1:10001", "E"), ("rfc2217://10.0.0.1:10001", "N"), ("/dev/ttyUSB0", "N")]
        {
            assert_eq!(woken(port, parity), [""; 0], "{port} {parity}");
        }
    }
}
