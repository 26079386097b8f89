//! `${NAME}` in a text of the file is the environment's, `$${` a literal `${`.
//!
//! Not here: which texts there are ([`file`](super::file)), what they mean ([`check`](super::check)).

use super::file::{Item, Table, Value};
use super::problem::Problem;

/// Replaces all of it in a file; `variable` knows the environment.
pub(super) fn expand(file: &mut Table, variable: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) {
    table(file, "", variable, problems);
}

fn table(found: &mut Table, name: &str, variable: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) {
    for (key, entry) in &mut found.entries {
        item(&mut entry.item, name, key, variable, problems);
    }
}

/// Secrets may hold any characters: of those only a text that is one `${NAME}` as a whole is replaced. The `key`
/// of `[http]` is a file.
fn is_secret(table: &str, key: &str) -> bool {
    key == "password" || (key == "key" && table != "http")
}

/// A value of this table under this key.
fn item(found: &mut Item, of: &str, key: &str, variable: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) {
    match &mut found.value {
        Value::Table(inner) => table(inner, key, variable, problems),
        Value::Array(items) => items.iter_mut().for_each(|inner| item(inner, of, key, variable, problems)),
        Value::Text(text) if text.contains("${") && (!is_secret(of, key) || is_one_name(text)) => {
            match expanded(text, variable) {
                Ok(new) => {
                    let written = std::mem::replace(text, new);
                    // A `$${` gives nothing away.
                    found.written = Some(written).filter(|written| written.replace("$${", "${") != *text);
                }
                Err(what) => problems.push(Problem::new(found.at, what)),
            }
        }
        _ => {}
    }
}

/// `${NAME}` and nothing else.
fn is_one_name(text: &str) -> bool {
    text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(is_name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn expanded(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            done += before;
            done += "${";
            rest = after;
            continue;
        }
        done += before;
        let (name, after) = after.split_once('}').ok_or("`${` without `}`; write `$${` for a literal `${`")?;
        if !is_name(name) {
            // not repeated: in a URL it may be a part of a password
            return Err(
                "what stands in `${…}` is not the name of a variable: letters, digits and _; write `$${` for a \
                        literal `${`"
                    .to_owned(),
            );
        }
        done += &variable(name).ok_or_else(|| {
            format!("`${{{name}}}` is not in the environment; set it (Environment= or EnvironmentFile= in systemd)")
        })?;
        rest = after;
    }
    Ok(done + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    fn read(text: &str) -> (Table, Vec<Problem>) {
        let (mut table, mut problems) = file::read(text);
        let variable = |name: &str| match name {
            "HOSTNAME" => Some("pi4".to_owned()),
            "SECRET" => Some("a${HOSTNAME}b".to_owned()),
            _ => None,
        };
        expand(&mut table, &variable, &mut problems);
        (table, problems)
    }

    fn text<'t>(table: &'t Table, key: &str) -> &'t str {
        let Value::Text(text) = &table.entries[key].item.value else { panic!("a text") };
        text
    }

    #[test]
    fn names_are_replaced_once_wherever_a_text_stands() {
        let (table, problems) = read("a = \"m/${HOSTNAME}/${HOSTNAME}\"\nb = \"$${HOSTNAME} $$\"\nc = \"${SECRET}\"\n");
        assert_eq!(problems, []);
        assert_eq!((text(&table, "a"), text(&table, "b")), ("m/pi4/pi4", "${HOSTNAME} $$"));
        assert_eq!(text(&table, "c"), "a${HOSTNAME}b", "what it holds is not looked at again");
        let (table, _) = read("[[meter]]\nlist = [\"${HOSTNAME}\"]\n");
        let Value::Array(meters) = &table.entries["meter"].item.value else { panic!("tables") };
        assert!(matches!(&meters[0].value, Value::Table(meter) if matches!(&meter.entries["list"].item.value,
            Value::Array(list) if list[0].value == Value::Text("pi4".to_owned()))));
    }

    #[test]
    fn a_secret_may_hold_the_signs_and_is_replaced_as_a_whole() {
        let (table, problems) = read("password = \"p${HOSTNAME}\"\nkey = \"${SECRET}\"\n");
        assert_eq!(problems, []);
        assert_eq!((text(&table, "password"), text(&table, "key")), ("p${HOSTNAME}", "a${HOSTNAME}b"));
        for (table, expected) in [("[[meter]]", "${HOSTNAME}.key"), ("[http]", "pi4.key")] {
            let (read, _) = read(&format!("{table}\nkey = \"${{HOSTNAME}}.key\"\n"));
            assert!(format!("{read:?}").contains(&format!("{expected:?}")), "{table}: {read:?}");
        }
    }

    #[test]
    fn a_message_repeats_what_is_written_and_not_what_the_environment_gave() {
        let text =
            "[[meter]]\nname = \"${SECRET}\"\naddress = 5\ninterval = \"${SECRET}\"\nrequests = [\"${SECRET}\"]\n";
        let said =
            crate::config::load::tests::problems(text, &|name| (name == "SECRET").then(|| "hunter 2".to_owned()));
        assert_eq!((said.contains("hunter"), said.matches("\"${SECRET}\"").count()), (false, 4), "{said}");
    }

    #[test]
    fn what_is_not_there_is_an_error_with_its_place() {
        let (_, problems) =
            read("a = 1\nb = \"x ${NOWHERE}\"\nc = \"${\"\nd = \"${a b}\"\npassword = \"${NOWHERE}\"\n");
        let said: Vec<_> = problems.iter().map(|p| (p.at.line, p.what.as_str())).collect();
        assert_eq!(said.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert!(said[0].1.starts_with("`${NOWHERE}` is not in the environment"), "{said:?}");
        let (_, problems) = read("url = \"mqtt://u:p${ss-w}ord@h\"\n");
        assert!(problems.len() == 1 && !problems[0].what.contains("ss-w"), "{problems:?}");
    }
}
