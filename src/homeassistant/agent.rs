//! The document of the agent's own device: connection, health of each bus, scan and bus power.
//!
//! Not here: the meters (`discovery`).

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Bus;

use super::discovery::{Announcer, Document, leave_names_to_classes};
use super::document::{Availability, Component, Device, Origin, PROGRAM, Root};
use super::{event, name};

/// What can be chosen for the log; a configuration may say more.
const LOG_LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "wire"];

impl Announcer {
    /// The document of the agent itself. The switch of a bus that the Hat powers starts disabled.
    #[must_use]
    pub fn agent(&self, buses: &[Bus]) -> Document {
        let id = self.bridge_id();
        let own = [
            ("connection", self.connection(&id)),
            ("found", self.found(&id)),
            ("event", self.event(&id)),
            ("restart", self.restart(&id)),
            ("log_level", self.log_level(&id)),
        ];
        let mut components: BTreeMap<_, _> = own.map(|(key, component)| (key.to_owned(), component)).into();
        for bus in buses {
            let powered = bus.hat.is_some().then(|| self.power(&id, &bus.name));
            components.extend(self.health(&id, &bus.name));
            components.extend([self.bus_problem(&id, &bus.name), self.scan_progress(&id, &bus.name)]);
            components.extend([self.scan(&id, &bus.name)].into_iter().chain(powered));
        }
        leave_names_to_classes(&mut components, &BTreeSet::new());
        let whole = self.base_topic == PROGRAM;
        let root = Root {
            dev: Device {
                ids: [id.clone()],
                name: if whole { PROGRAM.to_owned() } else { format!("{PROGRAM} ({})", self.base_topic) },
                mf: Some(PROGRAM.to_owned()),
                mdl: Some("M-Bus agent".to_owned()),
                mdl_id: None,
                sw: Some(env!("CARGO_PKG_VERSION").to_owned()),
                hw: None,
                sn: None,
                sa: None,
                cu: self.page.as_ref().map(|page| format!("{page}/")),
                via_device: None,
            },
            o: Origin::default(),
            stat_t: None,
            avty: Vec::new(),
            avty_mode: None,
            qos: 1,
            cmps: components,
        };
        self.document(&id, root)
    }

    fn component(&self, platform: &'static str, id: &str, key: &str, title: String) -> Component<'_> {
        Component {
            uniq_id: Some(format!("{id}_{key}")),
            name: Some(title),
            def_ent_id: Some(format!("{platform}.{}_{key}", self.base).to_lowercase()),
            ..Component::of(platform)
        }
    }

    fn while_running(&self) -> Option<Vec<Availability<'_>>> {
        Some(vec![Availability { t: &self.topics.state }])
    }

    fn connection(&self, id: &str) -> Component<'_> {
        Component {
            dev_cla: Some("connectivity"),
            ent_cat: Some("diagnostic"),
            stat_t: Some(&self.topics.state),
            pl_on: Some("online".to_owned()),
            pl_off: Some("offline".to_owned()),
            ..self.component("binary_sensor", id, "connection", "Connectivity".to_owned())
        }
    }

    fn event(&self, id: &str) -> Component<'_> {
        let component = event::component(&self.topics.event, &event::OF_AGENT, None);
        Component {
            uniq_id: Some(format!("{id}_event")),
            def_ent_id: Some(format!("event.{}_event", self.base).to_lowercase()),
            avty: self.while_running(),
            ..component
        }
    }

    fn restart(&self, id: &str) -> Component<'_> {
        Component {
            dev_cla: Some("restart"),
            ent_cat: Some("config"),
            cmd_t: Some(&self.topics.restart),
            pl_prs: Some("{}".to_owned()),
            avty: self.while_running(),
            ..self.component("button", id, "restart", "Restart".to_owned())
        }
    }

    /// What the log shows. A list of levels is none of the options, and Home Assistant would log an error for it.
    fn log_level(&self, id: &str) -> Component<'_> {
        let options = LOG_LEVELS.map(|level| format!("'{level}'")).join(", ");
        let level = "value_json['log_level']";
        let shown = format!("{{{{ {level} if value_json is mapping and {level} in [{options}] else none }}}}");
        Component {
            ent_cat: Some("config"),
            ic: Some("mdi:text-box-search-outline"),
            stat_t: Some(&self.topics.info),
            val_tpl: Some(shown),
            cmd_t: Some(&self.topics.log_level),
            cmd_tpl: Some("{{ {'level': value} | tojson }}"),
            ops: Some(&LOG_LEVELS),
            avty: self.while_running(),
            ..self.component("select", id, "log_level", "Log level".to_owned())
        }
    }

    /// How many meters the last scan found; which ones is in its attributes.
    fn found(&self, id: &str) -> Component<'_> {
        Component {
            sug_dsp_prc: Some(0),
            ent_cat: Some("diagnostic"),
            ic: Some("mdi:magnify"),
            stat_t: Some(&self.topics.scanned),
            val_tpl: Some(
                "{{ (value_json['meters'] | count) + value_json['more'] if value_json is mapping and not \
                 value_json['error'] else '' }}"
                    .to_owned(),
            ),
            json_attr_t: Some(&self.topics.scanned),
            json_attr_tpl: Some("{{ (value_json if value_json is mapping else {}) | tojson }}".to_owned()),
            avty: self.while_running(),
            ..self.component("sensor", id, "found", "Meters found".to_owned())
        }
    }

    fn health(&self, id: &str, bus: &str) -> [(String, Component<'_>); 2] {
        [("error_rate", "error rate", "mdi:percent-outline"), ("load", "load", "mdi:gauge")].map(
            |(field, title, icon)| {
                let key = format!("{}_{field}", name::id(bus));
                let component = Component {
                    unit_of_meas: Some("%"),
                    stat_cla: Some("measurement"),
                    sug_dsp_prc: Some(1),
                    ent_cat: Some("diagnostic"),
                    ic: Some(icon),
                    stat_t: Some(&self.topics.info),
                    val_tpl: Some(format!("{{{{ value_json['buses']['{bus}']['{field}'] | default('') }}}}")),
                    avty: self.while_running(),
                    ..self.component("sensor", id, &key, format!("Bus {bus} {title}"))
                };
                (key, component)
            },
        )
    }

    /// On while the bus is down; its attributes say what went wrong last.
    fn bus_problem(&self, id: &str, bus: &str) -> (String, Component<'_>) {
        let key = format!("{}_problem", name::id(bus));
        let (is_said, of_bus) = of_bus(bus);
        // at a start, before its line was opened, nothing is wrong yet
        let down = format!("'ON' if {of_bus}['last_error'] else ''");
        let component = Component {
            dev_cla: Some("problem"),
            ent_cat: Some("diagnostic"),
            stat_t: Some(&self.topics.info),
            val_tpl: Some(format!("{{{{ ('OFF' if {of_bus}['up'] else {down}) if {is_said} else '' }}}}")),
            json_attr_t: Some(&self.topics.info),
            json_attr_tpl: Some(format!(
                "{{{{ ({{'last_error': {of_bus}['last_error']}} if {is_said} else {{}}) | tojson }}}}"
            )),
            avty: self.while_running(),
            ..self.component("binary_sensor", id, &key, format!("Bus {bus} problem"))
        };
        (key, component)
    }

    /// How far a scan is; unknown where none goes on.
    fn scan_progress(&self, id: &str, bus: &str) -> (String, Component<'_>) {
        let key = format!("{}_scan_progress", name::id(bus));
        let (is_said, of_bus) = of_bus(bus);
        let scans = format!("{is_said} and {of_bus}['scan']");
        let component = Component {
            unit_of_meas: Some("%"),
            sug_dsp_prc: Some(0),
            ent_cat: Some("diagnostic"),
            ic: Some("mdi:progress-clock"),
            stat_t: Some(&self.topics.info),
            val_tpl: Some(format!("{{{{ {of_bus}['scan']['percent'] if {scans} else none }}}}")),
            json_attr_t: Some(&self.topics.info),
            json_attr_tpl: Some(format!("{{{{ ({of_bus}['scan'] if {scans} else {{}}) | tojson }}}}")),
            avty: self.while_running(),
            ..self.component("sensor", id, &key, format!("Bus {bus} scan progress"))
        };
        (key, component)
    }

    fn scan(&self, id: &str, bus: &str) -> (String, Component<'_>) {
        let key = format!("{}_scan", name::id(bus));
        let component = Component {
            ent_cat: Some("config"),
            ic: Some("mdi:magnify-scan"),
            cmd_t: Some(&self.topics.scan),
            pl_prs: Some(serde_json::json!({ "bus": bus }).to_string()),
            avty: self.while_running(),
            ..self.component("button", id, &key, format!("Scan bus {bus}"))
        };
        (key, component)
    }

    fn power(&self, id: &str, bus: &str) -> (String, Component<'_>) {
        let key = format!("{}_power", name::id(bus));
        let payload = |on: bool| Some(serde_json::json!({ "bus": bus, "on": on }).to_string());
        let component = Component {
            ent_cat: Some("config"),
            en: Some(false),
            ic: Some("mdi:power"),
            cmd_t: Some(&self.topics.power),
            pl_on: payload(true),
            pl_off: payload(false),
            avty: self.while_running(),
            ..self.component("switch", id, &key, format!("Bus {bus} power"))
        };
        (key, component)
    }
}

/// Whether `bridge/info` says something of a bus, and what it says.
fn of_bus(bus: &str) -> (String, String) {
    let of_bus = format!("value_json['buses']['{bus}']");
    (format!("value_json is mapping and {of_bus} is defined"), of_bus)
}
