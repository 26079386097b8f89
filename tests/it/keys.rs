//! Keys are kept forever, so their parts are written down where users look.

use mbushat::mbus::application::quantity::{Known, Unit};
use mbushat::mbus::application::vife::Modifier;
use mbushat::measure::unit;

#[test]
fn the_page_of_keys_lists_every_name_a_key_may_be_made_of() {
    let page = include_str!("../../docs/src/keys.md");
    let modifiers = (0..128).flat_map(|code| [Modifier::Combinable(code), Modifier::Extended(code)]);
    let modifiers = modifiers.filter_map(Modifier::name).filter(|name| !name.starts_with("vife_"));
    for name in Known::ALL.iter().map(|known| known.name()).chain(modifiers) {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_page_of_keys_lists_every_unit_and_those_together_that_convert() {
    let page = include_str!("../../docs/src/keys.md");
    let rows: Vec<Vec<Unit>> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(1))
        .map(|units| units.split('`').filter_map(Unit::from_name).filter(|unit| *unit != Unit::None).collect())
        .collect();
    for &one in Unit::ALL.iter().filter(|unit| **unit != Unit::None) {
        let row = rows.iter().find(|row| row.contains(&one)).unwrap_or_else(|| panic!("{one:?} is missing"));
        for &other in Unit::ALL.iter().filter(|unit| **unit != Unit::None) {
            assert_eq!(row.contains(&other), unit::convertible(one, other), "{one:?} and {other:?}");
        }
    }
}
