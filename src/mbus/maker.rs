//! Who is behind the three letters of a manufacturer code: the makers that are met most, by the names
//! under which people know them (FLAG Association's list of identification characters). A search tries
//! them where meters differ by their maker alone.
//!
//! Not here: the code itself (`address`).

use crate::mbus::address::Manufacturer;

/// Letters and name; the name is empty where people would not know it.
const MAKERS: [(&str, &str); 47] = [
    ("ABB", "ABB"),
    ("ACE", ""),
    ("ACW", "Itron"),
    ("AMT", "Aquametro"),
    ("APA", "Apator"),
    ("ATS", ""),
    ("AXI", "Axioma"),
    ("BAR", ""),
    ("BMT", "BMeters"),
    ("DME", "Diehl"),
    ("DWZ", ""),
    ("EFE", "Engelmann"),
    ("ELS", "Elster"),
    ("ELV", "Elvaco"),
    ("EMH", "EMH"),
    ("EMU", "EMU"),
    ("ESY", "EasyMeter"),
    ("GAV", "Carlo Gavazzi"),
    ("GMC", "Gossen Metrawatt"),
    ("GWF", "GWF"),
    ("HYD", "Hydrometer"),
    ("ISK", "Iskraemeco"),
    ("ITR", "Itron"),
    ("ITW", "Itron"),
    ("JAN", ""),
    ("KAM", "Kamstrup"),
    ("LGB", "Landis+Gyr"),
    ("LGZ", "Landis+Gyr"),
    ("LSE", "Landis & Staefa"),
    ("LUG", "Landis+Gyr"),
    ("NZR", "NZR"),
    ("PAD", "PadMess"),
    ("QDS", "Qundis"),
    ("REL", "Relay"),
    ("RKE", "ista"),
    ("SAP", "Sappel"),
    ("SBC", "Saia Burgess"),
    ("SEN", "Sensus"),
    ("SIE", "Siemens"),
    ("SLB", "Schlumberger"),
    ("SON", "Sontex"),
    ("SPX", "Spanner Pollux"),
    ("SVM", "Svensk Värmemätning"),
    ("TCH", "Techem"),
    ("WEH", ""),
    ("WEP", "Weptech"),
    ("ZRI", "Zenner"),
];

/// The maker's name; `None` where this list does not have it.
#[must_use]
pub fn name(code: Manufacturer) -> Option<&'static str> {
    let letters = code.to_string();
    MAKERS.iter().find(|(known, _)| *known == letters).map(|(_, name)| *name).filter(|name| !name.is_empty())
}

/// The codes of all makers in this list.
pub(crate) fn codes() -> impl Iterator<Item = Manufacturer> {
    MAKERS.iter().filter_map(|(letters, _)| Manufacturer::from_letters(letters))
}

#[cfg(test)]
mod tests {
    use super::{MAKERS, codes, name};
    use crate::mbus::address::Manufacturer;

    #[test]
    fn codes_are_three_letters_in_order_and_unknown_ones_have_no_name() {
        assert!(MAKERS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(MAKERS.iter().all(|(letters, _)| Manufacturer::from_letters(letters).is_some()));
        assert_eq!(name(Manufacturer(0x2C2D)), Some("Kamstrup"));
        assert_eq!(name(Manufacturer(0xFFFF)), None);
        assert_eq!(Manufacturer::from_letters("JAN").and_then(name), None);
        assert_eq!(codes().count(), MAKERS.len());
    }
}
