//! The sample of the configuration says what is true.

use super::*;

/// The sample: prose and examples have two `#`, defaults one.
const SAMPLE: &str = include_str!("../../../../config/mbushat.toml");

#[test]
fn each_commented_out_value_of_the_sample_is_the_default() {
    let plain = "[[meter]]\nname = \"cold_water\"\naddress = 48\n";
    let spelled: String = SAMPLE.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line))).collect();
    assert!(spelled.lines().count() > 100 && spelled.contains("\nretries = 2\n"));
    // the sample spells the assumed bus out
    let spelled = Config { assumed_bus: true, ..config(&spelled) };
    assert_eq!(format!("{:#?}", config(plain)), format!("{spelled:#?}"));
}

#[test]
fn the_sample_as_it_is_sets_nothing_so_that_lines_can_be_pasted_anywhere_in_it() {
    let sets = |line: &&str| !line.is_empty() && !line.starts_with("# ") && !line.starts_with("##");
    assert_eq!(SAMPLE.lines().find(sets), None);
    assert_eq!(format!("{:#?}", config(SAMPLE)), format!("{:#?}", config("")));
}

/// Whether a `##` line is an example: a setting, or the header of a table.
fn example(line: &str) -> Option<&str> {
    let line = line.strip_prefix("## ")?;
    let key = line.split(" = ").next().filter(|key| *key != line && spelling::is_slug(key));
    (key.is_some() || line.starts_with("[[")).then_some(line)
}

#[test]
fn every_example_of_the_sample_is_good_and_every_key_is_shown() {
    let shown: Vec<&str> =
        SAMPLE.lines().map(|line| example(line).or(line.strip_prefix("# ")).unwrap_or(line)).collect();
    for kind in KINDS {
        for key in kind.keys {
            let forms = [format!("{key} = "), format!("[{key}]"), format!("[[{key}]]"), format!("[[meter.{key}]]")];
            let inline = kind.name == "`bytes`" && shown.iter().any(|line| line.contains(&format!(" {key} = ")));
            let is_shown = inline || shown.iter().any(|line| forms.iter().any(|form| line.starts_with(form)));
            assert!(is_shown, "{key} of {}", kind.name);
        }
    }
    // alternatives exclude each other, so that the examples are tried one by one
    let lines: Vec<&str> = SAMPLE.lines().collect();
    for (place, line) in lines.iter().enumerate() {
        let Some(line) = example(line).filter(|line| !line.starts_with("[[")) else { continue };
        let table = lines[..=place].iter().rev().find_map(|l| {
            let header = example(l).unwrap_or(l.strip_prefix("# ").unwrap_or(l));
            header.starts_with('[').then_some(header)
        });
        let company = match (table, line.split(" = ").next()) {
            (Some("[mqtt]"), Some("password" | "password_file")) => "username = \"u\"\n",
            (Some("[mqtt]"), Some("ca_file")) => "url = \"mqtts://h\"\n",
            (Some("[mqtt]"), Some("client_cert")) => "url = \"mqtts://h\"\nclient_key = \"k\"\n",
            (Some("[mqtt]"), Some("client_key")) => "url = \"mqtts://h\"\nclient_cert = \"c\"\n",
            (Some("[[bus]]"), _) => "name = \"b\"\n",
            (Some("[[meter]]"), Some("secondary")) => "name = \"m\"\n",
            (Some("[[meter]]"), _) => "name = \"m\"\naddress = 1\n",
            (Some("[[meter.record]]"), Some("index")) => "",
            (Some("[[meter.record]]"), Some("bytes")) => "key = \"a\"\n",
            (Some("[[meter.record]]" | "[[profile.record]]"), _) => "index = 1\n",
            (Some("[[profile]]"), Some("title" | "model" | "maker" | "manufacturer" | "version" | "medium")) => {
                "name = \"p\"\n"
            }
            _ => "",
        };
        let header = match table {
            Some("[[meter.record]]") => format!("{METER}[[meter.record]]"),
            Some("[[profile.record]]") => "[[profile]]\nname = \"p\"\n[[profile.record]]".to_owned(),
            table => table.unwrap_or_default().to_owned(),
        };
        let text = format!("{header}\n{company}{line}\n");
        let reported = config_with(&text, None).err().map(|problems| problems.to_string());
        let expected = line.starts_with("key_file"); // the file of the example does not exist
        assert_eq!(reported.is_some(), expected, "{text}{reported:?}");
    }
}
