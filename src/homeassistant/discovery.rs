//! The discovery documents: one device for each meter and one for the agent.
//!
//! Facts these documents rest on, each seen on a real Home Assistant: one component without a
//! `unique_id` loses the whole document, one bad class loses its entity alone; leaving a component
//! out does not remove it, sending only its platform does; a root availability also greys out the
//! button that would wake a silent meter, so that one and the diagnostics bring their own; a template
//! that meets the empty payload of a topic taken back logs an error for `value_json.x`, none for
//! `value_json['x']` of a sensor.
//!
//! Not here: a measurement's own component (`measured`), what every meter has besides (`own`), the agent's own
//! document (`agent`), classes (`class`), when documents are published, retained and debounced (`mqtt`).

pub(super) mod device;
mod measured;
mod own;

pub use measured::zoned_key;
pub(super) use own::BATTERY;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::config::HomeAssistant;
use crate::mbus::address::SecondaryAddress;
use crate::mbus::decimal::Decimal;
use crate::measure::Measurement;
use crate::measure::profile::Product;
use crate::spool::memo::Kept;

use super::document::{Availability, Component, Origin, PROGRAM, Root, sorted, text};
use super::name;

/// Most bytes of a document: what every broker takes. Past it, entities that start disabled are
/// left out, the last first.
const MAX_BYTES: usize = 60_000;

/// Where a component listens besides the root's topic, and how.
const OWN_SOURCES: [&str; 3] = ["stat_t", "json_attr_t", "json_attr_tpl"];

/// Makes the documents of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcer {
    /// The base topic as it stands in ids.
    pub(super) base: String,
    pub(super) base_topic: String,
    prefix: String,
    release: (u16, u8),
    pub(super) topics: AgentTopics,
    /// The address of the agent's own page, where Home Assistant's users reach it.
    pub(super) page: Option<String>,
}

/// Topics of the agent itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentTopics {
    /// `online` or `offline`.
    pub state: String,
    /// Health of the agent and its buses.
    pub info: String,
    /// What happens.
    pub event: String,
    /// Where a scan is asked for.
    pub scan: String,
    /// What came of the last one.
    pub scanned: String,
    /// Where a restart is asked for.
    pub restart: String,
    /// Where the level of the log is set.
    pub log_level: String,
    /// Where bus power is switched.
    pub power: String,
}

/// A meter as its document shows it.
#[derive(Clone, Copy, Debug)]
pub struct MeterDevice<'a> {
    /// Configured name.
    pub name: &'a str,
    /// Configured title; `None`: made from the name.
    pub title: Option<&'a str>,
    /// Where Home Assistant may put it.
    pub area: Option<&'a str>,
    /// Who answers.
    pub identity: Option<SecondaryAddress>,
    /// What its profile says of it.
    pub product: Option<&'a Product>,
    /// Under whose entities it goes on, if not under its own.
    pub keeps: Option<&'a Kept>,
    /// Whether two configured meters have this identity.
    pub shares_identity: bool,
    /// It is the same meter as an earlier one, read in another way.
    pub is_another_readout: bool,
    /// The device that it belongs to besides the agent's: that of the earlier one.
    pub first_device: Option<&'a str>,
    /// Whether another meter answered under this name before: entity ids then end in the new id, so
    /// that the two histories are not mixed.
    pub replaces_another: bool,
    /// Where its values are.
    pub state_topic: &'a str,
    /// Where its availability is.
    pub availability_topic: &'a str,
    /// Where a message makes it be read.
    pub read_topic: &'a str,
    /// Everything it was seen to measure, with any value.
    pub measurements: &'a [Measurement],
    /// How many more values it sends without a name.
    pub unnamed: usize,
    /// It has said that its power is low.
    pub said_low_power: bool,
}

/// A document ready to be published, retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Discovery topic; an empty retained message on it removes the device.
    pub topic: String,
    /// JSON.
    pub payload: String,
    /// JSON of the device.
    pub device: String,
    /// Every component's JSON, its keys sorted.
    pub components: BTreeMap<String, String>,
    /// Components left out for the size of the document.
    pub left_out: usize,
}

/// What a document announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// State topic of the meter; `None`: the agent itself.
    pub state_topic: Option<String>,
    /// The meter's identification.
    pub serial: Option<String>,
    /// JSON of the device.
    pub device: String,
    /// Every component's JSON, its keys sorted, without those that the document removes.
    pub components: BTreeMap<String, String>,
}

/// The agent of this base topic, as a part of discovery topics and ids.
#[must_use]
pub fn agent_id(base_topic: &str) -> String {
    name::id(base_topic)
}

impl Announcer {
    /// `topics` are those of the agent below `base_topic`, `page` the address of its own page.
    #[must_use]
    pub fn new(config: &HomeAssistant, base_topic: &str, topics: AgentTopics, page: Option<String>) -> Self {
        Self {
            base: agent_id(base_topic),
            base_topic: base_topic.to_owned(),
            prefix: config.discovery_prefix.clone(),
            release: config.version,
            topics,
            page,
        }
    }

    /// The topic filter on which this agent's device documents arrive, and no others: what agents hear of
    /// each other would grow with the square of their number, and the right to write here needs to be no wider.
    #[must_use]
    pub fn filter(&self) -> String {
        self.topic("+")
    }

    /// Whether this is the discovery topic of one of this agent's devices.
    #[must_use]
    pub fn is_own_topic(&self, topic: &str) -> bool {
        let id = topic.strip_prefix(&format!("{}/device/{}/", self.prefix, self.base));
        id.and_then(|id| id.strip_suffix("/config")).is_some_and(|id| !id.is_empty() && !id.contains('/'))
    }

    /// Reads a retained document if it is one of this agent's: so that what is no longer right can be
    /// taken back although our own list of it is lost. One that names a topic of somebody else is none.
    #[must_use]
    pub fn recognise(&self, payload: &[u8]) -> Option<Announced> {
        let document: Value = serde_json::from_slice(payload).ok()?;
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
        let device = format!("{}_", self.base);
        let ours = text("/dev/ids/0").is_some_and(|id| id.starts_with(&device));
        let is_below = |topic: &str| topic.strip_prefix(&self.base_topic).is_some_and(|rest| rest.starts_with('/'));
        if !ours || text("/o/name") != Some(PROGRAM) || !text("/stat_t").is_none_or(is_below) {
            return None;
        }
        let is_live = |component: &Value| component.get("uniq_id").is_some() && component.get("p").is_some();
        let components = document.get("cmps")?.as_object()?.iter().filter(|(_, component)| is_live(component));
        Some(Announced {
            state_topic: text("/stat_t").map(str::to_owned),
            serial: text("/dev/sn").map(str::to_owned),
            device: document.get("dev").map(Value::to_string).unwrap_or_default(),
            components: components.map(|(id, component)| (id.clone(), component.to_string())).collect(),
        })
    }

    /// The document of a meter.
    #[must_use]
    pub fn meter(&self, meter: &MeterDevice<'_>) -> Document {
        let id = self.meter_id(meter);
        let mut components = self.own_components(meter, &id);
        for measurement in meter.measurements {
            components.insert(measurement.key.clone(), self.measured(meter, measurement, &id));
        }
        let titled = meter.measurements.iter().filter(|measurement| measurement.presentation.title.is_some());
        let titled: BTreeSet<&str> = titled.map(|measurement| measurement.key.as_str()).collect();
        leave_names_to_classes(&mut components, &titled);
        let root = Root {
            dev: device::of_meter(meter, id.clone(), self.bridge_id(), self.page.as_deref()),
            o: Origin::default(),
            stat_t: Some(meter.state_topic),
            avty: vec![Availability { t: &self.topics.state }, Availability { t: meter.availability_topic }],
            avty_mode: Some("all"),
            qos: 1,
            cmps: components,
        };
        self.document(&id, root)
    }

    /// The id of the device and the first part of its entities' `unique_id`: base topic, then
    /// identification, manufacturer, version and medium. An identification of no use is replaced by
    /// the meter's name, which otherwise comes last where this is another readout of the same meter.
    #[must_use]
    pub fn meter_id(&self, meter: &MeterDevice<'_>) -> String {
        let Some(identity) = meter.known_as() else { return format!("{}_{}", self.base, name::id(meter.name)) };
        let id = if meter.is_known_by_name() { name::id(meter.name) } else { format!("{:08X}", identity.id()) };
        let manufacturer = match identity.is_anonymous() {
            true => "unknown".to_owned(),
            false => name::id(&identity.manufacturer().to_string()),
        };
        let readout = match meter.is_another_readout && !meter.is_known_by_name() {
            true => format!("_{}", name::id(meter.name)),
            false => String::new(),
        };
        format!("{}_{id}_{manufacturer}_{:02x}_{:02x}{readout}", self.base, identity.version(), identity.medium())
    }

    /// The device `id` with these components once more, to be taken back: for a Home Assistant that did
    /// not hear of it the first time. It listens where nothing is published, because the topics of its values
    /// may be another meter's by now.
    #[must_use]
    pub fn farewell(&self, id: &str, device: &str, components: &BTreeMap<String, String>) -> String {
        let deaf = |component: &String| {
            let mut component = parsed(component);
            let fields = component.as_object_mut();
            fields.into_iter().for_each(|fields| fields.retain(|key, _| !OWN_SOURCES.contains(&key.as_str())));
            component
        };
        let components: BTreeMap<_, _> = components.iter().map(|(id, component)| (id, deaf(component))).collect();
        let nowhere = self.nowhere();
        let unknown = || json!({ "ids": [id], "name": id, "via_device": self.bridge_id() });
        let device: Value = serde_json::from_str(device).unwrap_or_else(|_| unknown());
        let origin = json!({ "name": PROGRAM });
        json!({ "dev": device, "o": origin, "stat_t": nowhere, "avty": [{ "t": nowhere }], "cmps": components })
            .to_string()
    }

    /// Where nothing is published.
    pub(super) fn nowhere(&self) -> String {
        format!("{}/bridge/nowhere", self.base_topic)
    }

    /// Whether the other one speaks for an agent of another base topic: nothing of its devices is ours.
    pub(super) fn is_of_another_agent(&self, other: &Self) -> bool {
        self.base_topic != other.base_topic
    }

    /// The discovery topic of the device `id`.
    pub(super) fn topic(&self, id: &str) -> String {
        format!("{}/device/{}/{id}/config", self.prefix, self.base)
    }

    pub(super) fn bridge_id(&self) -> String {
        format!("{}_bridge", self.base)
    }

    pub(super) fn document(&self, id: &str, mut root: Root<'_>) -> Document {
        let mut payload = text(&root);
        let left_out = give_up(&mut root, payload.len());
        if left_out > 0 {
            payload = text(&root);
        }
        let components = root.cmps.iter().map(|(key, component)| (key.clone(), sorted(component))).collect();
        let device = serde_json::to_string(&root.dev).unwrap_or_default();
        Document { topic: self.topic(id), payload, device, components, left_out }
    }
}

/// Takes components out of a document of so many bytes until it is small enough, the last ones first, and
/// before all others those that start disabled; how many.
fn give_up(root: &mut Root<'_>, mut bytes: usize) -> usize {
    if bytes <= MAX_BYTES {
        return 0;
    }
    let (disabled, others): (Vec<_>, Vec<_>) =
        root.cmps.iter().rev().partition(|(_, component)| component.en == Some(false));
    let order: Vec<String> = disabled.into_iter().chain(others).map(|(key, _)| key.clone()).collect();
    let whole = order.len();
    for key in order {
        if bytes <= MAX_BYTES {
            break;
        }
        let Some(component) = root.cmps.remove(&key) else { continue };
        // there are braces around it here, and a comma behind it there
        bytes -= serde_json::to_string(&BTreeMap::from([(&key, &component)])).unwrap_or_default().len() - 1;
    }
    whole - root.cmps.len()
}

impl Document {
    /// This document where `before` was announced on the same topic. Of what it lacks it keeps the
    /// components that `keeps` names, as far as its size allows, and names the others with their
    /// platform alone, which removes them. The next document need not name those again.
    #[must_use]
    pub fn after(self, before: &BTreeMap<String, String>, keeps: impl Fn(&str) -> bool) -> Self {
        let lacking: Vec<_> = before.iter().filter(|(id, _)| !self.components.contains_key(*id)).collect();
        if lacking.is_empty() {
            return self;
        }
        let with = |keeps: &dyn Fn(&str) -> bool| {
            let mut document: Value = serde_json::from_str(&self.payload).ok()?;
            let all = document.get_mut("cmps")?.as_object_mut()?;
            let mut components = self.components.clone();
            for &(id, component) in &lacking {
                let kept = keeps(id);
                let then = parsed(component);
                let now = if kept { then } else { json!({ "p": then.get("p")? }) };
                all.insert(id.clone(), now);
                if kept {
                    components.insert(id.clone(), component.clone());
                }
            }
            let (topic, device) = (self.topic.clone(), self.device.clone());
            Some(Self { payload: document.to_string(), components, topic, device, ..self })
        };
        let kept = with(&keeps).filter(|document| document.payload.len() <= MAX_BYTES);
        kept.or_else(|| with(&|_| false)).unwrap_or(self)
    }
}

impl MeterDevice<'_> {
    /// Whether its identification does not distinguish it from other meters: not set, all wildcards, or shared.
    #[must_use]
    pub fn is_known_by_name(&self) -> bool {
        let useless = |identity: SecondaryAddress| matches!(identity.id(), 0x0000_0000 | 0x9999_9999 | 0xFFFF_FFFF);
        self.shares_identity || self.known_as().is_none_or(useless)
    }

    /// What is added to this total, in its unit: what the meters before it have counted.
    fn constant(&self, measurement: &Measurement) -> Option<Decimal> {
        self.keeps?.constants.get(&measurement.key)?.in_unit(measurement.unit)
    }

    /// The meter whose entities it has.
    fn known_as(&self) -> Option<SecondaryAddress> {
        self.keeps.map(|kept| kept.identity).or(self.identity)
    }
}

/// A component that is named as its class gets no name: Home Assistant has a translation of it. Where another one
/// has that name, or a rule chose it (`titled`), it stays.
pub(super) fn leave_names_to_classes(components: &mut BTreeMap<String, Component<'_>>, titled: &BTreeSet<&str>) {
    let named = |component: &Component<'_>| Some((component.name.clone()?, component.dev_cla?));
    let names: Vec<String> = components.values().filter_map(|component| component.name.clone()).collect();
    for (key, component) in components {
        let Some((name, class)) = named(component).filter(|_| !titled.contains(key.as_str())) else { continue };
        if !name::is_of_class(&name, class) {
            continue;
        }
        let alike = names.iter().filter(|other| **other == name || name::is_of_class(other, class)).count();
        if alike == 1 {
            component.name = None;
        }
    }
}

/// What [`sorted`] wrote.
fn parsed(component: &str) -> Value {
    serde_json::from_str(component).unwrap_or_default()
}
