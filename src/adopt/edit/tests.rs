use super::{Edit, Entry, HEAD, Place, apply};
use crate::mbus::address::{MeterAddress, PrimaryAddress, SecondaryAddress};
use crate::request::{Change, KeyText, Wanted};

fn place(address: &str) -> Place {
    let primary = address.parse().ok().and_then(PrimaryAddress::new).map(MeterAddress::Primary);
    let secondary = || MeterAddress::Secondary(SecondaryAddress::parse(address).expect("an address"));
    Place { bus: "hat".to_owned(), address: primary.unwrap_or_else(secondary) }
}

fn add(name: &str, address: &str) -> Edit {
    Edit::Add(entry(name, address))
}

fn entry(name: &str, address: &str) -> Entry {
    let (name, title) = (name.to_owned(), name.to_uppercase());
    Entry { name, title, place: place(address), baud: None, also_at: Vec::new() }
}

fn forget(name: &str, address: &str) -> Edit {
    Edit::Forget { name: name.to_owned(), place: place(address) }
}

fn edited(text: &str, edits: &[Edit]) -> String {
    apply(text, edits).expect("a file")
}

const A: &str = "67200512KAM1D04";
const ONE: &str = "
[[meter]]
name = \"a\"
title = \"A\"
bus = \"hat\"
secondary = \"672005122D2C1D04\"
";

#[test]
fn a_meter_is_added_once_in_the_form_of_the_configuration() {
    let one = edited("", &[add("a", A)]);
    assert_eq!(one, format!("{HEAD}{ONE}"));
    assert_eq!(edited(&one, &[add("other", A), add("a", "672005122D2C1D04")]), one);
    let five = Entry { name: "b".into(), title: "B".into(), place: place("5"), baud: Some(300), also_at: Vec::new() };
    let two = edited(&one, &[Edit::Add(five)]);
    let second = "\n[[meter]]\nname = \"b\"\ntitle = \"B\"\nbus = \"hat\"\naddress = 5\nbaud = 300\n";
    assert_eq!(two, format!("{HEAD}{ONE}{second}"));
}

/// As a person leaves it.
const BY_HAND: &str = "\
# All of flat 3

# the old one
[[meter]]
name = \"a\" # not b
bus = \"hat\"
secondary = \"6720051?\"
interval = \"1h\"   # saves its battery

# the new one
  [[meter]]
  name = \"b\"
  bus = \"hat\"
  address = 5
  key_file = \"k\"
# the end
";

#[test]
fn what_a_person_wrote_stays_where_something_else_changes() {
    let wanted = Wanted { name: Some("c".into()), interval: Change::Is("30m".into()), ..Wanted::default() };
    let changed = edited(BY_HAND, &[Edit::Change { name: "a".into(), wanted }]);
    assert_eq!(changed, BY_HAND.replace("\"a\" #", "\"c\" #").replace("\"1h\" ", "\"30m\" "));
    assert_eq!(edited(BY_HAND, &[add("x", A)]), BY_HAND, "its mask has it");
    let added = edited(BY_HAND, &[add("x", "6")]);
    let new = "\n[[meter]]\nname = \"x\"\ntitle = \"X\"\nbus = \"hat\"\naddress = 6\n";
    assert_eq!(added, format!("{BY_HAND}{new}"));
}

#[test]
fn a_key_takes_the_place_of_its_file_and_is_shown_in_the_file_alone() {
    let key = KeyText::new("00112233445566778899AABBCCDDEEFF".to_owned());
    let edit = Edit::Change { name: "b".into(), wanted: Wanted { key: Change::Is(key), ..Wanted::default() } };
    assert!(!format!("{edit:?}").contains("0011"), "{edit:?}");
    let changed = edited(BY_HAND, &[edit]);
    assert!(
        changed.contains("key = \"00112233445566778899AABBCCDDEEFF\"") && !changed.contains("key_file"),
        "{changed}"
    );
}

#[test]
fn what_a_request_says_is_no_variable_of_the_environment() {
    let text = || Change::Is("$${HOME} ${HOME}".to_owned());
    let wanted = Wanted { name: Some("${HOME}".into()), title: text(), interval: text(), key: Change::Stays };
    let changed = edited(BY_HAND, &[Edit::Change { name: "b".into(), wanted }]);
    for line in ["name = \"$${HOME}\"", "title = \"$$${HOME} $${HOME}\"", "interval = \"$$${HOME} $${HOME}\""] {
        assert!(changed.contains(line), "{line}: {changed}");
    }
}

#[test]
fn what_is_taken_away_leaves_no_line_behind() {
    let wanted = Wanted { title: Change::Gone, interval: Change::Gone, key: Change::Gone, ..Wanted::default() };
    let changes = ["a", "b"].map(|name| Edit::Change { name: name.to_owned(), wanted: wanted.clone() });
    let less = BY_HAND.replace("interval = \"1h\"   # saves its battery\n", "").replace("  key_file = \"k\"\n", "");
    assert_eq!(edited(BY_HAND, &changes), less);
    assert_eq!(edited(&less, &changes), less, "it can be made twice");
}

#[test]
fn a_forgotten_meter_is_ignored_until_it_is_adopted_again() {
    let forget = forget("a", A);
    let forgotten = edited(BY_HAND, std::slice::from_ref(&forget));
    assert!(forgotten.starts_with("# All of flat 3\n\n# the new one\n  [[meter]]\n"), "{forgotten}");
    let ignored = "\n[[ignore]]\nbus = \"hat\"\nsecondary = \"672005122D2C1D04\"\n";
    assert!(forgotten.ends_with(&format!("# the end\n{ignored}")), "{forgotten}");
    assert_eq!(edited(&forgotten, &[forget]), forgotten);
    let again = edited(&forgotten, &[add("a", A)]);
    assert!(!again.contains("[[ignore]]") && again.contains("name = \"a\"") && again.contains("# the end"), "{again}");
}

#[test]
fn the_last_meter_leaves_the_head_behind() {
    let one = edited("", &[add("a", A)]);
    let none = edited(&one, &[forget("a", A), add("a", A), forget("a", A)]);
    assert_eq!(none, format!("{HEAD}\n[[ignore]]\nbus = \"hat\"\nsecondary = \"672005122D2C1D04\"\n"));
}

#[test]
fn only_the_very_address_is_ignored_no_more() {
    let ignored = |what: &str| format!("# all of the cellar\n[[ignore]]\nbus = \"hat\"\n{what}\n");
    for stays in ["secondary = \"6720051?\"", "secondary = \"67200512\"", "address = 6"] {
        let text = edited(&ignored(stays), &[add("a", A)]);
        assert_eq!(text, format!("{}{ONE}", ignored(stays)));
    }
    let found = Entry { also_at: vec![place("7").address], ..entry("a", A) };
    for goes in ["secondary = \"672005122D2C1D04\"", "secondary = \"67200512KAM1D04\"", "address = 7"] {
        assert_eq!(edited(&ignored(goes), &[Edit::Add(found.clone())]), ONE, "{goes}");
    }
}

#[test]
fn one_of_two_meters_at_an_address_is_forgotten_and_the_other_still_read() {
    let meter = |name: &str, more: &str| format!("[[meter]]\nname = \"{name}\"\nbus = \"hat\"\naddress = 5\n{more}");
    let both = meter("full", "") + &meter("short", "application_select = 80\n");
    assert_eq!(edited(&both, &[forget("short", "5")]), meter("full", ""));
    let none = edited(&both, &[forget("short", "5"), forget("full", "5")]);
    assert_eq!(none, "\n[[ignore]]\nbus = \"hat\"\naddress = 5\n");
}

#[test]
fn what_an_empty_line_parts_from_a_forgotten_meter_stays_whatever_ends_the_lines() {
    for parting in ["  \n", "\t\n"] {
        let by_hand = BY_HAND.replacen("\n\n", &format!("\n{parting}"), 1);
        let forgotten = edited(&by_hand, &[forget("a", A)]);
        assert!(forgotten.starts_with("# All of flat 3\n\n# the new one\n  [[meter]]\n"), "{forgotten:?}");
    }
    let windows = BY_HAND.replace('\n', "\r\n");
    assert_eq!(edited(&windows, &[]), windows);
    assert_eq!(edited(&windows, &[forget("a", A)]), edited(BY_HAND, &[forget("a", A)]).replace('\n', "\r\n"));
}

#[test]
fn a_list_on_one_line_becomes_tables_unless_that_costs_a_comment() {
    let text = edited("meter = [{ name = \"a\", bus = \"hat\", address = 4 }]\nignore = []\n", &[add("b", "5")]);
    let added = "\n[[meter]]\nname = \"b\"\ntitle = \"B\"\nbus = \"hat\"\naddress = 5\n";
    assert!(
        text.starts_with("[[meter]]\nname = \"a\"\nbus = \"hat\"\naddress = 4\n") && text.ends_with(added),
        "{text}"
    );
    let refused = apply("meter = [ # mine\n{ name = \"a\" }]\n", &[]);
    assert_eq!(refused, Err("write each meter as a table of its own, below [[meter]]".to_owned()));
}

#[test]
fn what_is_not_written_as_tables_is_said_and_no_line_is_quoted() {
    let other = apply("meter = 5\n", &[add("b", "5")]);
    assert_eq!(other, Err("write each meter as a table of its own, below [[meter]]".to_owned()));
    assert_eq!(apply("key = 0011\n[", &[add("b", "5")]), Err("it is not valid TOML".to_owned()));
}
