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

    /// The same with what stands for `{}` in it.
    pub(super) fn with(&self, english: &str, what: impl std::fmt::Display) -> String {
        self.of(english).replacen("{}", &what.to_string(), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rights::tests::headers;
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

    /// Every text between `t.of("` or `t.with("` and the next quote, in templates and code.
    fn used() -> BTreeSet<String> {
        let mut texts = BTreeSet::new();
        for folder in ["src/http/templates", "src/http/pages"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let text = std::fs::read_to_string(entry.expect("a file").path()).expect("text");
                for start in ["t.of(\"", "t.with(\"", "word(\""] {
                    let found = text.split(start).skip(1).filter_map(|rest| rest.split('"').next());
                    texts.extend(found.map(str::to_owned));
                }
            }
        }
        texts
    }

    #[test]
    fn every_text_is_translated_and_no_translation_is_idle() {
        let used = used();
        assert!(used.len() > 50 && used.contains("Read now"), "{used:?}");
        for (language, text) in TRANSLATED {
            let table: Table = serde_json::from_str(text).expect("a table");
            let missing: Vec<_> = used.iter().filter(|text| !table.contains_key(*text)).collect();
            assert!(missing.is_empty(), "{language} lacks {missing:#?}");
            // names of measurements are made of keys
            let is_name = |text: &str| !text.contains(' ') && text.chars().next().is_some_and(char::is_uppercase);
            let idle: Vec<_> = table.keys().filter(|text| !used.contains(*text) && !is_name(text)).collect();
            assert!(idle.is_empty(), "{language} has {idle:#?}");
            let places = |text: &str| text.matches("{}").count();
            let wrong: Vec<_> = table.iter().filter(|(english, other)| places(english) != places(other)).collect();
            assert!(wrong.is_empty(), "{language}: {wrong:#?}");
        }
    }
}
