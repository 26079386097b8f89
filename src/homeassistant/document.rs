//! The shapes of a discovery document, with Home Assistant's abbreviations for their fields.

use std::collections::BTreeMap;

use serde::Serialize;

/// The agent in `origin` and on its own device.
pub(super) const PROGRAM: &str = "mbushat";

#[derive(Serialize)]
pub(super) struct Root<'a> {
    pub(super) dev: Device,
    pub(super) o: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stat_t: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) avty: Vec<Availability<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avty_mode: Option<&'static str>,
    pub(super) qos: u8,
    pub(super) cmps: BTreeMap<String, Component<'a>>,
}

#[derive(Serialize)]
pub(super) struct Device {
    pub(super) ids: [String; 1],
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mf: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mdl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mdl_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sa: Option<String>,
    /// A page about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) via_device: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Origin {
    pub(super) name: &'static str,
    pub(super) sw: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<&'static str>,
}

impl Default for Origin {
    fn default() -> Self {
        let pages = [env!("CARGO_PKG_HOMEPAGE"), env!("CARGO_PKG_REPOSITORY")];
        Self { name: PROGRAM, sw: env!("CARGO_PKG_VERSION"), url: first_page(pages) }
    }
}

/// Home Assistant refuses an empty address.
fn first_page(pages: [&'static str; 2]) -> Option<&'static str> {
    pages.into_iter().find(|page| !page.is_empty())
}

#[derive(Serialize)]
pub(super) struct Availability<'a> {
    pub(super) t: &'a str,
}

#[derive(Default, Serialize)]
pub(super) struct Component<'a> {
    pub(super) p: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uniq_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) def_ent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dev_cla: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit_of_meas: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stat_cla: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sug_dsp_prc: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ent_cat: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) en: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stat_t: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evt_typ: Option<&'static [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) val_tpl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avty: Option<Vec<Availability<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cmd_t: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cmd_tpl: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ops: Option<&'static [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pl_prs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pl_on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pl_off: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) json_attr_t: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) json_attr_tpl: Option<String>,
}

impl Component<'_> {
    pub(super) fn of(platform: &'static str) -> Self {
        Self { p: platform, ..Self::default() }
    }
}

/// These shapes have text keys only, so this cannot fail.
pub(super) fn text(document: &Root<'_>) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

/// A component alone, its keys sorted.
pub(super) fn sorted(component: &Component<'_>) -> String {
    serde_json::to_value(component).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::first_page;

    #[test]
    fn an_address_that_is_not_set_is_left_out() {
        assert_eq!(first_page(["", "https://b"]), Some("https://b"));
        assert_eq!(first_page(["https://a", "https://b"]), Some("https://a"));
        assert_eq!(first_page(["", ""]), None);
    }
}
