//! The sensor classes of Home Assistant: which units and state classes each takes, and since when.
//!
//! Generated from Home Assistant 2026.11's `sensor/const.py` (`DEVICE_CLASS_UNITS`,
//! `DEVICE_CLASS_STATE_CLASSES`), with the oldest of 16 checked releases that has a class or unit.
//! Texts are compared exactly by Home Assistant: `³` is U+00B3, `°` U+00B0, `μ` U+03BC.
//!
//! Not here: which class a measurement gets (`homeassistant::class`).

/// Year and month of a Home Assistant release.
pub(crate) type Release = (u16, u8);

/// The first release with device-based discovery: older ones are not served at all.
pub(crate) const OLDEST: Release = (2024, 11);

/// One that has every class.
pub(crate) const NEWEST: Release = (u16::MAX, u8::MAX);

/// One device class.
pub(crate) struct Class {
    /// As in a discovery document.
    pub(crate) name: &'static str,
    /// The first release that knows it; older ones refuse the entity.
    pub(crate) since: Release,
    /// With any other unit the entity is refused.
    pub(crate) units: Units,
    /// With any other state class Home Assistant warns and keeps no statistics.
    pub(crate) states: &'static [&'static str],
}

/// The units a class takes.
pub(crate) enum Units {
    /// It must have no unit: its state is not a number.
    None,
    /// Whatever text.
    Any,
    /// One of these, each with its first release; the empty text stands for no unit.
    Of(&'static [(&'static str, Release)]),
}

/// Every name of one, `""` for none.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    CLASSES.iter().map(|class| class.name).chain([""])
}

/// The state classes.
pub(crate) fn states() -> impl Iterator<Item = &'static str> + Clone {
    ["measurement", ANGLE, "total", "total_increasing"].into_iter()
}

/// Whether an entity of this state class with this unit is taken by this release.
pub(crate) fn state_takes_unit(state: &str, unit: &str, release: Release) -> bool {
    state != ANGLE || unit == "°" && release >= ANGLES_SINCE
}

const ANGLE: &str = "measurement_angle";
/// With the class of wind directions, which takes no other.
const ANGLES_SINCE: Release = (2025, 3);

impl Class {
    /// Those that take one of these units in some release.
    pub(crate) fn for_units(units: &[&str]) -> impl Iterator<Item = &'static str> {
        let takes = |class: &&Class| {
            let takes = |unit: &&str| class.takes_unit(unit, NEWEST);
            matches!(class.units, Units::Of(_)) && units.iter().any(takes)
        };
        CLASSES.iter().filter(takes).map(|class| class.name)
    }

    /// The class with this name in this release.
    pub(crate) fn find(name: &str, release: Release) -> Option<&'static Self> {
        CLASSES.iter().find(|class| class.name == name && class.since <= release)
    }

    /// Whether an entity of this class with this unit is taken by this release.
    pub(crate) fn takes_unit(&self, unit: &str, release: Release) -> bool {
        match self.units {
            Units::None => unit.is_empty(),
            Units::Any => true,
            Units::Of(units) => units.iter().any(|&(name, since)| name == unit && since <= release),
        }
    }

    /// Whether its state must be a number.
    pub(crate) fn is_numeric(&self) -> bool {
        !matches!(self.units, Units::None)
    }

    /// Whether this state class is taken without a warning; no state class always is.
    pub(crate) fn takes_state(&self, state: Option<&str>) -> bool {
        state.is_none_or(|state| self.states.contains(&state))
    }
}

#[rustfmt::skip]
const CLASSES: &[Class] = &[
    Class { name: "absolute_humidity", since: (2025, 9), units: Units::Of(&[("g/m³", OLDEST), ("mg/m³", OLDEST)]), states: &["measurement"] },
    Class { name: "apparent_power", since: OLDEST, units: Units::Of(&[("VA", OLDEST), ("kVA", (2025, 10)), ("mVA", (2025, 9))]), states: &["measurement"] },
    Class { name: "aqi", since: OLDEST, units: Units::Of(&[("", OLDEST)]), states: &["measurement"] },
    Class { name: "area", since: (2025, 1), units: Units::Of(&[("ac", OLDEST), ("cm²", OLDEST), ("ft²", OLDEST), ("ha", OLDEST), ("in²", OLDEST), ("km²", OLDEST), ("mi²", OLDEST), ("mm²", OLDEST), ("m²", OLDEST), ("yd²", OLDEST)]), states: &["measurement", "measurement_angle", "total", "total_increasing"] },
    Class { name: "atmospheric_pressure", since: OLDEST, units: Units::Of(&[("Pa", OLDEST), ("atm", (2026, 10)), ("bar", OLDEST), ("cbar", OLDEST), ("hPa", OLDEST), ("inHg", OLDEST), ("inH₂O", (2025, 10)), ("kPa", OLDEST), ("mPa", (2025, 12)), ("mbar", OLDEST), ("mmHg", OLDEST), ("psi", OLDEST)]), states: &["measurement"] },
    Class { name: "battery", since: OLDEST, units: Units::Of(&[("%", OLDEST)]), states: &["measurement"] },
    Class { name: "blood_glucose_concentration", since: (2025, 1), units: Units::Of(&[("mg/dL", OLDEST), ("mmol/L", OLDEST)]), states: &["measurement"] },
    Class { name: "carbon_dioxide", since: OLDEST, units: Units::Of(&[("ppm", OLDEST)]), states: &["measurement"] },
    Class { name: "carbon_monoxide", since: OLDEST, units: Units::Of(&[("mg/m³", (2025, 12)), ("ppb", (2026, 2)), ("ppm", OLDEST), ("μg/m³", (2025, 12))]), states: &["measurement"] },
    Class { name: "conductivity", since: OLDEST, units: Units::Of(&[("S/cm", OLDEST), ("mS/cm", OLDEST), ("μS/cm", (2025, 9))]), states: &["measurement"] },
    Class { name: "current", since: OLDEST, units: Units::Of(&[("A", OLDEST), ("mA", OLDEST), ("μA", (2026, 7))]), states: &["measurement"] },
    Class { name: "data_rate", since: OLDEST, units: Units::Of(&[("B/s", OLDEST), ("GB/s", OLDEST), ("Gbit/s", OLDEST), ("GiB/s", OLDEST), ("KiB/s", OLDEST), ("MB/s", OLDEST), ("Mbit/s", OLDEST), ("MiB/s", OLDEST), ("bit/s", OLDEST), ("kB/s", OLDEST), ("kbit/s", OLDEST)]), states: &["measurement"] },
    Class { name: "data_size", since: OLDEST, units: Units::Of(&[("B", OLDEST), ("EB", OLDEST), ("EiB", OLDEST), ("GB", OLDEST), ("Gbit", OLDEST), ("GiB", OLDEST), ("KiB", OLDEST), ("MB", OLDEST), ("Mbit", OLDEST), ("MiB", OLDEST), ("PB", OLDEST), ("PiB", OLDEST), ("TB", OLDEST), ("TiB", OLDEST), ("YB", OLDEST), ("YiB", OLDEST), ("ZB", OLDEST), ("ZiB", OLDEST), ("bit", OLDEST), ("kB", OLDEST), ("kbit", OLDEST)]), states: &["measurement", "measurement_angle", "total", "total_increasing"] },
    Class { name: "date", since: OLDEST, units: Units::None, states: &[] },
    Class { name: "distance", since: OLDEST, units: Units::Of(&[("cm", OLDEST), ("ft", OLDEST), ("in", OLDEST), ("km", OLDEST), ("m", OLDEST), ("mi", OLDEST), ("mm", OLDEST), ("nmi", OLDEST), ("yd", OLDEST)]), states: &["measurement", "measurement_angle", "total", "total_increasing"] },
    Class { name: "duration", since: OLDEST, units: Units::Of(&[("d", OLDEST), ("h", OLDEST), ("min", OLDEST), ("ms", OLDEST), ("s", OLDEST), ("μs", (2025, 6))]), states: &["measurement", "measurement_angle", "total", "total_increasing"] },
    Class { name: "energy", since: OLDEST, units: Units::Of(&[("GJ", OLDEST), ("GWh", (2025, 1)), ("Gcal", OLDEST), ("J", OLDEST), ("MJ", OLDEST), ("MWh", OLDEST), ("Mcal", OLDEST), ("TWh", (2025, 1)), ("Wh", OLDEST), ("cal", OLDEST), ("kJ", OLDEST), ("kWh", OLDEST), ("kcal", OLDEST), ("mWh", (2025, 1)), ("thm", (2026, 10))]), states: &["total", "total_increasing"] },
    Class { name: "energy_distance", since: (2025, 3), units: Units::Of(&[("Wh/km", (2025, 6)), ("kWh/100km", OLDEST), ("km/kWh", OLDEST), ("mi/kWh", OLDEST)]), states: &["measurement"] },
    Class { name: "energy_storage", since: OLDEST, units: Units::Of(&[("GJ", OLDEST), ("GWh", (2025, 1)), ("Gcal", OLDEST), ("J", OLDEST), ("MJ", OLDEST), ("MWh", OLDEST), ("Mcal", OLDEST), ("TWh", (2025, 1)), ("Wh", OLDEST), ("cal", OLDEST), ("kJ", OLDEST), ("kWh", OLDEST), ("kcal", OLDEST), ("mWh", (2025, 1)), ("thm", (2026, 10))]), states: &["measurement"] },
    Class { name: "enum", since: OLDEST, units: Units::None, states: &[] },
    Class { name: "frequency", since: OLDEST, units: Units::Of(&[("GHz", OLDEST), ("Hz", OLDEST), ("MHz", OLDEST), ("kHz", OLDEST), ("mHz", (2026, 7))]), states: &["measurement"] },
    Class { name: "gas", since: OLDEST, units: Units::Of(&[("CCF", OLDEST), ("L", (2025, 6)), ("MCF", (2025, 10)), ("ft³", OLDEST), ("m³", OLDEST)]), states: &["total", "total_increasing"] },
    Class { name: "humidity", since: OLDEST, units: Units::Of(&[("%", OLDEST)]), states: &["measurement"] },
    Class { name: "illuminance", since: OLDEST, units: Units::Of(&[("lx", OLDEST)]), states: &["measurement"] },
    Class { name: "irradiance", since: OLDEST, units: Units::Of(&[("BTU/(h⋅ft²)", OLDEST), ("W/m²", OLDEST)]), states: &["measurement"] },
    Class { name: "moisture", since: OLDEST, units: Units::Of(&[("%", OLDEST)]), states: &["measurement"] },
    Class { name: "monetary", since: OLDEST, units: Units::Any, states: &["total"] },
    Class { name: "nitrogen_dioxide", since: OLDEST, units: Units::Of(&[("ppb", (2026, 2)), ("ppm", (2026, 4)), ("μg/m³", (2025, 9))]), states: &["measurement"] },
    Class { name: "nitrogen_monoxide", since: OLDEST, units: Units::Of(&[("ppb", (2026, 2)), ("μg/m³", (2025, 9))]), states: &["measurement"] },
    Class { name: "nitrous_oxide", since: OLDEST, units: Units::Of(&[("μg/m³", (2025, 9))]), states: &["measurement"] },
    Class { name: "ozone", since: OLDEST, units: Units::Of(&[("ppb", (2026, 2)), ("ppm", (2026, 4)), ("μg/m³", (2025, 9))]), states: &["measurement"] },
    Class { name: "ph", since: OLDEST, units: Units::Of(&[("", OLDEST)]), states: &["measurement"] },
    Class { name: "pm1", since: OLDEST, units: Units::Of(&[("μg/m³", (2025, 9))]), states: &["measurement"] },
    Class { name: "pm10", since: OLDEST, units: Units::Of(&[("μg/m³", (2025, 9))]), states: &["measurement"] },
    Class { name: "pm25", since: OLDEST, units: Units::Of(&[("μg/m³", (2025, 9))]), states: &["measurement"] },
    Class { name: "pm4", since: (2025, 10), units: Units::Of(&[("μg/m³", OLDEST)]), states: &["measurement"] },
    Class { name: "power", since: OLDEST, units: Units::Of(&[("GW", (2025, 1)), ("MW", (2025, 1)), ("TW", (2025, 1)), ("W", OLDEST), ("kW", OLDEST), ("mW", (2025, 6))]), states: &["measurement"] },
    Class { name: "power_factor", since: OLDEST, units: Units::Of(&[("%", OLDEST), ("", OLDEST)]), states: &["measurement"] },
    Class { name: "precipitation", since: OLDEST, units: Units::Of(&[("cm", OLDEST), ("in", OLDEST), ("mm", OLDEST)]), states: &["measurement", "measurement_angle", "total", "total_increasing"] },
    Class { name: "precipitation_intensity", since: OLDEST, units: Units::Of(&[("in/d", OLDEST), ("in/h", OLDEST), ("mm/d", OLDEST), ("mm/h", OLDEST)]), states: &["measurement"] },
    Class { name: "pressure", since: OLDEST, units: Units::Of(&[("Pa", OLDEST), ("atm", (2026, 10)), ("bar", OLDEST), ("cbar", OLDEST), ("hPa", OLDEST), ("inHg", OLDEST), ("inH₂O", (2025, 10)), ("kPa", OLDEST), ("mPa", (2025, 12)), ("mbar", OLDEST), ("mmHg", OLDEST), ("psi", OLDEST)]), states: &["measurement"] },
    Class { name: "radon", since: (2026, 9), units: Units::Of(&[("Bq/m³", OLDEST), ("pCi/L", OLDEST)]), states: &["measurement"] },
    Class { name: "reactive_energy", since: (2025, 6), units: Units::Of(&[("kvarh", OLDEST), ("varh", OLDEST)]), states: &["total", "total_increasing"] },
    Class { name: "reactive_power", since: OLDEST, units: Units::Of(&[("kvar", (2025, 6)), ("mvar", (2025, 9)), ("var", OLDEST)]), states: &["measurement"] },
    Class { name: "signal_strength", since: OLDEST, units: Units::Of(&[("dB", OLDEST), ("dBm", OLDEST)]), states: &["measurement"] },
    Class { name: "sound_pressure", since: OLDEST, units: Units::Of(&[("dB", OLDEST), ("dBA", OLDEST)]), states: &["measurement"] },
    Class { name: "speed", since: OLDEST, units: Units::Of(&[("Beaufort", OLDEST), ("ft/s", OLDEST), ("in/d", OLDEST), ("in/h", OLDEST), ("in/s", OLDEST), ("km/h", OLDEST), ("kn", OLDEST), ("m/min", (2025, 10)), ("m/s", OLDEST), ("mm/d", OLDEST), ("mm/h", OLDEST), ("mm/s", OLDEST), ("mph", OLDEST)]), states: &["measurement"] },
    Class { name: "sulphur_dioxide", since: OLDEST, units: Units::Of(&[("ppb", (2026, 2)), ("μg/m³", (2025, 9))]), states: &["measurement"] },
    Class { name: "temperature", since: OLDEST, units: Units::Of(&[("K", OLDEST), ("°C", OLDEST), ("°F", OLDEST)]), states: &["measurement"] },
    Class { name: "temperature_delta", since: (2025, 12), units: Units::Of(&[("K", OLDEST), ("°C", OLDEST), ("°F", OLDEST)]), states: &["measurement"] },
    Class { name: "timestamp", since: OLDEST, units: Units::None, states: &[] },
    Class { name: "uptime", since: (2026, 7), units: Units::None, states: &[] },
    Class { name: "volatile_organic_compounds", since: OLDEST, units: Units::Of(&[("mg/m³", (2025, 6)), ("μg/m³", (2025, 9))]), states: &["measurement"] },
    Class { name: "volatile_organic_compounds_parts", since: OLDEST, units: Units::Of(&[("ppb", OLDEST), ("ppm", OLDEST)]), states: &["measurement"] },
    Class { name: "voltage", since: OLDEST, units: Units::Of(&[("MV", (2025, 3)), ("V", OLDEST), ("kV", (2025, 3)), ("mV", OLDEST), ("μV", (2025, 9))]), states: &["measurement"] },
    Class { name: "volume", since: OLDEST, units: Units::Of(&[("CCF", OLDEST), ("L", OLDEST), ("MCF", (2025, 10)), ("fl. oz.", OLDEST), ("ft³", OLDEST), ("gal", OLDEST), ("mL", OLDEST), ("m³", OLDEST)]), states: &["total", "total_increasing"] },
    Class { name: "volume_flow_rate", since: OLDEST, units: Units::Of(&[("L/h", (2025, 6)), ("L/min", OLDEST), ("L/s", (2025, 6)), ("ft³/min", OLDEST), ("gal/d", (2026, 1)), ("gal/h", (2025, 12)), ("gal/min", OLDEST), ("mL/s", (2025, 1)), ("m³/h", OLDEST), ("m³/min", (2025, 9)), ("m³/s", (2025, 6))]), states: &["measurement"] },
    Class { name: "volume_storage", since: OLDEST, units: Units::Of(&[("CCF", OLDEST), ("L", OLDEST), ("MCF", (2025, 10)), ("fl. oz.", OLDEST), ("ft³", OLDEST), ("gal", OLDEST), ("mL", OLDEST), ("m³", OLDEST)]), states: &["measurement"] },
    Class { name: "water", since: OLDEST, units: Units::Of(&[("CCF", OLDEST), ("L", OLDEST), ("MCF", (2025, 10)), ("ft³", OLDEST), ("gal", OLDEST), ("m³", OLDEST)]), states: &["total", "total_increasing"] },
    Class { name: "weight", since: OLDEST, units: Units::Of(&[("g", OLDEST), ("kg", OLDEST), ("lb", OLDEST), ("mg", OLDEST), ("oz", OLDEST), ("st", OLDEST), ("μg", (2025, 9))]), states: &["measurement", "total", "total_increasing"] },
    Class { name: "wind_direction", since: (2025, 3), units: Units::Of(&[("°", OLDEST)]), states: &["measurement_angle"] },
    Class { name: "wind_speed", since: OLDEST, units: Units::Of(&[("Beaufort", OLDEST), ("ft/s", OLDEST), ("in/s", OLDEST), ("km/h", OLDEST), ("kn", OLDEST), ("m/min", (2025, 10)), ("m/s", OLDEST), ("mm/s", OLDEST), ("mph", OLDEST)]), states: &["measurement"] },
];
