//! The words of the page in the reader's language. English stands in the templates; every other language is one file
//! of `texts/`, which has each English text with its translation. To add one, copy `de.json` and name it here.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::{HeaderMap, header};

type Table = BTreeMap<String, String>;

/// Languages besides English.
const TRANSLATED: [(&str, &str); 1] = [("de", include_str!("texts/de.json"))];

/// The words of one language.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    /// As in `lang="de"`.
    pub(super) language: &'static str,
    table: Option<&'static Table>,
}

impl Words {
    /// In the first language of the browser that there is, else English.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let languages = accepted.split(',').map(|range| range.trim().split(['-', ';']).next().unwrap_or_default());
        let known = |language: &str| TRANSLATED.iter().position(|(name, _)| language.eq_ignore_ascii_case(name));
        let mut choices = languages.map(|language| (language, known(language)));
        match choices.find(|(language, known)| known.is_some() || language.eq_ignore_ascii_case("en")) {
            Some((_, Some(index))) => Self::translated(index),
            _ => Self { language: "en", table: None },
        }
    }

    fn translated(index: usize) -> Self {
        static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
        // a test reads every file
        let read = || TRANSLATED.iter().map(|(_, text)| serde_json::from_str(text).unwrap_or_default()).collect();
        let table = TABLES.get_or_init(read).get(index);
        Self { language: TRANSLATED.get(index).map_or("en", |(name, _)| name), table }
    }

    /// This English text in the reader's language, or as it is.
    pub(super) fn of<'a>(&self, english: &'a str) -> &'a str {
        self.table.and_then(|table| table.get(english)).map_or(english, String::as_str)
    }

    /// The name of a measurement, as far as its words are known: `Energy tariff 1`.
    pub(super) fn name(&self, english: &str) -> String {
        let Some(table) = self.table else { return english.to_owned() };
        // the longest beginning that is a name, then word by word
        let ends = english.match_indices(' ').map(|(end, _)| end).chain([english.len()]);
        let known = |end: &usize| english.get(..*end).is_some_and(|start| table.contains_key(start));
        let (start, rest) = english.split_at(ends.filter(known).max().unwrap_or_default());
        let rest = rest.split(' ').map(|word| self.of(word)).collect::<Vec<_>>().join(" ");
        if start.is_empty() { english.to_owned() } else { format!("{}{rest}", self.of(start)) }
    }

    /// A text that was made elsewhere, of one of these templates: each `{}` of it stands for the same.
    pub(super) fn said(&self, templates: &[&str], english: &str) -> String {
        let made = templates.iter().find_map(|template| Some((template, filling(template, english)?)));
        made.map_or_else(|| english.to_owned(), |(template, what)| self.of(template).replace("{}", what))
    }

    /// The same with what stands for `{}` in it.
    pub(super) fn with(&self, english: &str, what: impl std::fmt::Display) -> String {
        self.of(english).replacen("{}", &what.to_string(), 1)
    }
}

/// Marks a text that is translated where it is shown.
pub(super) const fn word(english: &'static str) -> &'static str {
    english
}

/// What stands for each `{}` of a template in this text; empty where it has none.
fn filling<'t>(template: &str, text: &'t str) -> Option<&'t str> {
    let places = template.matches("{}").count();
    let filled = text.len().checked_sub(template.len() - 2 * places)?;
    let length = filled.checked_div(places).unwrap_or_default();
    let start = template.find("{}").unwrap_or_default();
    let what = text.get(start..start + length)?;
    (template.replace("{}", what) == text).then_some(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::homeassistant::name;
    use crate::http::rights::tests::headers;
    use crate::mbus::application::quantity::Known;
    use crate::mbus::medium;
    use crate::status::said::SAID;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn the_first_language_of_the_browser_that_there_is_counts() {
        let of = |accepted: &str| Words::wanted(&headers(&[("accept-language", accepted)])).language;
        for (accepted, language) in [
            ("de-CH,de;q=0.9,en;q=0.8", "de"),
            ("DE", "de"),
            ("fr, de;q=0.5", "de"),
            ("en-GB,de;q=0.9", "en"),
            ("fr", "en"),
            ("", "en"),
        ] {
            assert_eq!(of(accepted), language, "{accepted}");
        }
    }

    /// Every text between `t.of("` or `t.with("` and the next quote, in templates and code, and what a search says.
    fn used() -> BTreeSet<String> {
        let mut texts = BTreeSet::new();
        for folder in ["src/http/templates", "src/http/pages"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let text = std::fs::read_to_string(entry.expect("a file").path()).expect("text");
                for start in ["t.of(", "t.with(", "word("] {
                    let quoted = |rest: &str| rest.trim_start().strip_prefix('"')?.split('"').next().map(str::to_owned);
                    let found = text.split(start).skip(1).filter_map(quoted);
                    texts.extend(found);
                }
            }
        }
        texts.extend(SAID.map(str::to_owned));
        texts
    }

    /// Names of measurements and media, and the words in them.
    fn made() -> BTreeSet<String> {
        let names = Known::ALL.iter().map(|known| name::title(known.name()));
        let media = (0..=u8::MAX).map(|code| medium::name(code).replace('_', " "));
        let others = [
            "Date and time",
            "Plain number",
            "Maker's own value",
            "Unknown value",
            "Temperature",
            "Forward volume",
            "Backward volume",
            "Forward volume flow",
            "Backward volume flow",
            "Energy received",
            "Energy given back",
            "Power received",
            "Power given back",
            "tariff",
            "storage",
            "channel",
            "import",
            "export",
        ];
        names.chain(media).chain(others.map(str::to_owned)).collect()
    }

    #[test]
    fn names_and_what_is_said_elsewhere_are_translated_too() {
        let german = Words::wanted(&headers(&[("accept-language", "de")]));
        for (english, other) in [
            ("Flow temperature", "Vorlauftemperatur"),
            ("Energy tariff 1 storage 2", "Energie Tarif 1 Speicher 2"),
            ("Cellar of Ann", "Cellar of Ann"),
        ] {
            assert_eq!(german.name(english), other);
        }
        let templates = ["at {} baud", "a meter at {}: read {} again", "plain"];
        assert_eq!(filling(templates[0], "at 2400 baud"), Some("2400"));
        assert_eq!(filling(templates[1], "a meter at 5: read 5 again"), Some("5"));
        assert_eq!(filling(templates[1], "a meter at 5: read 6 again"), None);
        assert_eq!((filling(templates[2], "plain"), filling(templates[0], "é")), (Some(""), None));
        let told =
            german.said(&["looking at {} baud at primary addresses"], "looking at 300 baud at primary addresses");
        assert_eq!(told, "sucht mit 300 Baud unter Primäradressen");
    }

    #[test]
    fn every_text_is_translated_and_no_translation_is_idle() {
        let used = used();
        assert!(used.len() > 50 && used.contains("Read now"), "{used:?}");
        for (language, text) in TRANSLATED {
            let table: Table = serde_json::from_str(text).expect("a table");
            let missing: Vec<_> = used.iter().filter(|text| !table.contains_key(*text)).collect();
            assert!(missing.is_empty(), "{language} lacks {missing:#?}");
            let made = made();
            let idle: Vec<_> = table.keys().filter(|text| !used.contains(*text) && !made.contains(*text)).collect();
            assert!(idle.is_empty(), "{language} has {idle:#?}");
            let places = |text: &str| text.matches("{}").count();
            let wrong: Vec<_> = table.iter().filter(|(english, other)| places(english) != places(other)).collect();
            assert!(wrong.is_empty(), "{language}: {wrong:#?}");
        }
    }
}
