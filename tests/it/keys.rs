//! Keys are kept forever, so their parts are written down where users look.

use mbushat::mbus::application::quantity::Known;
use mbushat::mbus::application::vife::Modifier;

#[test]
fn the_page_of_keys_lists_every_name_a_key_may_be_made_of() {
    let page = include_str!("../../docs/keys.md");
    let modifiers = (0..128).flat_map(|code| [Modifier::Combinable(code), Modifier::Extended(code)]);
    let modifiers = modifiers.filter_map(Modifier::name).filter(|name| !name.starts_with("vife_"));
    for name in Known::ALL.iter().map(|known| known.name()).chain(modifiers) {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
