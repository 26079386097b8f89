//! Names that refer to other tables.

use super::{METER, assert_one, problems};

const TWO: &str = "[[bus]]\nname = \"one\"\nport = \"/dev/x\"\n[[bus]]\nname = \"Keller 2.OG\"\nport = \"/dev/y\"\n";

#[test]
fn a_bad_name_is_one_problem_whoever_refers_to_it() {
    assert_one(&format!("{TWO}{METER}bus = \"Keller 2.OG\"\n"), "5:8", "`name` is \"Keller 2.OG\"");
    assert_one(&format!("{TWO}{METER}bus = \"one\"\n"), "5:8", "`name` is \"Keller 2.OG\"");
    let profile = "[[profile]]\nname = \"My Model\"\nmanufacturer = \"KAM\"\n";
    assert_one(&format!("{METER}profile = \"My Model\"\n{profile}"), "6:8", "`name` is \"My Model\"");
}

#[test]
fn a_bus_without_a_name_is_offered_to_nobody() {
    let reported = problems(&format!("{TWO}{METER}"));
    assert_eq!(
        reported.last().map(String::as_str),
        Some("7:1: this [[meter]] does not say its `bus`: there is \"one\"")
    );
    assert_eq!(reported.len(), 2, "{reported:#?}");
}

#[test]
fn a_meter_with_a_bad_name_is_not_called_by_it() {
    let reported = problems("[[meter]]\nname = \"Kalt\"\naddress = 1\n[[meter]]\nname = \"m\"\naddress = 1\n");
    let expected = "6:11: this address is also that of the meter of line 3, on the same bus";
    assert_eq!(reported.last().map(String::as_str), Some(expected), "{reported:#?}");
}

#[test]
fn two_buses_with_bad_names_are_not_called_by_them() {
    let bad = TWO.replace("\"one\"", "\"Keller 1.OG\"").replace("/dev/y", "/dev/x");
    let reported = problems(&bad);
    assert!(
        reported.iter().any(|problem| problem.contains("the port is that of the bus of line 3 too")),
        "{reported:#?}"
    );
    let alone = problems(&format!("{bad}{METER}").replacen("port = \"/dev/x\"", "port = \"/dev/z\"", 1));
    assert_eq!(alone.last().map(String::as_str), Some("7:1: this [[meter]] does not say its `bus`"), "{alone:#?}");
}
