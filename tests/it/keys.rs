//! Keys are for ever, so their parts are written down where users look.

use mbushat::mbus::application::quantity::Known;
use mbushat::mbus::application::vife::Modifier;

#[test]
fn the_readme_lists_every_name_a_key_may_be_made_of() {
    let readme = include_str!("../../README.md");
    let modifiers = (0..128).flat_map(|code| [Modifier::Combinable(code), Modifier::Extended(code)]);
    let modifiers = modifiers.filter_map(Modifier::name).filter(|name| !name.starts_with("vife_"));
    for name in Known::ALL.iter().map(|known| known.name()).chain(modifiers) {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}
