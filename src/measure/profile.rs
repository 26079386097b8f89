//! Rules that name, scale, hide or dress up the records of a meter model: a user's
//! `[[meter.record]]`, a user's `[[profile]]`, or a built-in profile.

use crate::mbus::address::{Manufacturer, SecondaryAddress};
use crate::mbus::application::quantity::{Function, Quantity, Unit};
use crate::mbus::application::record::Part;
use crate::mbus::decimal::Decimal;

/// The rules of one meter model.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// `[a-z0-9_]`, what `profile = "…"` names.
    pub name: String,
    /// What it is for, in words.
    pub title: String,
    /// What the maker calls the model, and himself: for meters that do not say it.
    pub product: Product,
    /// Which meters it is for: any of each list, of an empty one all. All three empty: only by name.
    pub manufacturer: Vec<Manufacturer>,
    /// The header's version.
    pub version: Vec<u8>,
    /// The header's device type.
    pub medium: Vec<u8>,
    /// Tried in order; the first that selects a record is used.
    pub records: Vec<RecordRule>,
}

/// A model and its maker as people know them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// `iEM3135`.
    pub model: Option<String>,
    /// `Schneider Electric`.
    pub maker: Option<String>,
}

/// One rule: which records, and what to do with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordRule {
    /// Which records.
    pub select: Selector,
    /// Published key instead of the one made from the record. `_*` in it stands for what that one has
    /// behind its quantity, but for the subunit; where the rule selects several records they get
    /// `_1`, `_2` … when the key ends in `_N`.
    pub key: Option<String>,
    /// Unit to publish: an exact conversion where there is one, else the number is one of this unit.
    pub unit: Option<Unit>,
    /// Multiplies the value, in the published unit.
    pub scale: Option<Decimal>,
    /// Added after `scale`.
    pub offset: Option<Decimal>,
    /// Leave it out.
    pub hide: bool,
    /// Whether a total is doubted where it falls or leaps; `None`: as the meter's.
    pub plausible: Option<bool>,
    /// How subscribers show it.
    pub presentation: Presentation,
}

/// Which records a rule is for: every given field must be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// What it measures.
    pub quantity: Option<Quantity>,
    /// Storage number.
    pub storage: Option<u64>,
    /// Tariff.
    pub tariff: Option<u32>,
    /// Subunit.
    pub subunit: Option<u16>,
    /// Function field.
    pub function: Option<Function>,
    /// Place among the records of the whole readout, from 0.
    pub index: Option<usize>,
    /// DIF and DIFEs.
    pub dif: Option<Pattern>,
    /// VIF and VIFEs.
    pub vif: Option<Pattern>,
    /// A part of the manufacturer's block, and no record.
    pub bytes: Option<Part>,
}

/// Bytes as a rule writes them: hex digits, where `?` is any digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Of upper case hex digits and `?`, two a byte.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |digit: u8| digit == b'?' || digit.is_ascii_hexdigit();
        let good = !text.is_empty() && text.len() % 2 == 0 && text.bytes().all(is_digit);
        good.then(|| Self(text.to_ascii_uppercase()))
    }

    /// Whether these bytes are written so.
    #[must_use]
    pub fn fits(&self, bytes: &[u8]) -> bool {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]);
        let fits =
            |(written, digit): (u8, u8)| written == b'?' || char::from(written).to_digit(16) == Some(u32::from(digit));
        self.0.len() == 2 * bytes.len() && self.0.bytes().zip(digits).all(fits)
    }

    /// The bytes, where every digit is given.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        self.0.as_bytes().chunks(2).map(byte).collect()
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RecordRule {
    /// Whether a record at this place starts enabled in Home Assistant; `None`: like one without a rule. A
    /// rule is for what its owner wants to see; one for many records (`_*`) is for those that are now.
    #[must_use]
    pub fn enables(&self, function: Function, storage: u64, tariff: u32) -> Option<bool> {
        let for_many = self.key.as_deref().is_some_and(|key| key.contains('*'));
        let now = function == Function::Instantaneous && storage == 0 && tariff == 0;
        self.presentation.enabled.or((now || !for_many).then_some(true))
    }
}

/// How a measurement is shown; `None` fields are decided by Home Assistant's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presentation {
    /// Name in Home Assistant.
    pub title: Option<String>,
    /// Home Assistant's device class; `Some("")` is none.
    pub device_class: Option<String>,
    /// Home Assistant's state class; `Some("")` is none.
    pub state_class: Option<String>,
    /// Digits after the point to show.
    pub precision: Option<u8>,
    /// Whether it starts enabled in Home Assistant; what does not is a diagnostic.
    pub enabled: Option<bool>,
    /// Icon in Home Assistant, such as `mdi:water`.
    pub icon: Option<String>,
}

/// What a rule can know of a record.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What it measures.
    pub quantity: Quantity,
    /// Function field.
    pub function: Function,
    /// Storage number.
    pub storage: u64,
    /// Tariff.
    pub tariff: u32,
    /// Subunit.
    pub subunit: u16,
    /// Place among the records of the whole readout, from 0.
    pub index: usize,
    /// DIF and DIFEs.
    pub dib: &'a [u8],
    /// VIF and VIFEs.
    pub vib: &'a [u8],
    /// It is this part of the manufacturer's block.
    pub part: Option<Part>,
}

impl Selector {
    /// Whether every given field equals the record's.
    #[must_use]
    pub fn selects(&self, record: &Facts<'_>) -> bool {
        self.bytes == record.part
            && self.quantity.is_none_or(|quantity| quantity == record.quantity)
            && self.function.is_none_or(|function| function == record.function)
            && self.storage.is_none_or(|storage| storage == record.storage)
            && self.tariff.is_none_or(|tariff| tariff == record.tariff)
            && self.subunit.is_none_or(|subunit| subunit == record.subunit)
            && self.index.is_none_or(|index| index == record.index)
            && self.dif.as_ref().is_none_or(|dif| dif.fits(record.dib))
            && self.vif.as_ref().is_none_or(|vif| vif.fits(record.vib))
    }
}

impl Profile {
    /// Whether it is for this meter. One that names no manufacturer, version or medium is used by name only.
    #[must_use]
    pub fn matches(&self, meter: SecondaryAddress) -> bool {
        let by_name_only = self.manufacturer.is_empty() && self.version.is_empty() && self.medium.is_empty();
        !by_name_only
            && is_one(&self.manufacturer, meter.manufacturer())
            && is_one(&self.version, meter.version())
            && is_one(&self.medium, meter.medium())
    }
}

fn is_one<T: PartialEq>(list: &[T], one: T) -> bool {
    list.is_empty() || list.contains(&one)
}

/// The rules that apply to one meter.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    own: &'a [RecordRule],
    profile: Option<&'a Profile>,
}

impl<'a> Rules<'a> {
    /// The meter's own rules, then those of the profile it names, or else of the first that matches.
    #[must_use]
    pub fn new(
        own: &'a [RecordRule],
        named: Option<&str>,
        profiles: &'a [Profile],
        identity: Option<SecondaryAddress>,
    ) -> Self {
        let profile = match named {
            Some(name) => profiles.iter().find(|profile| profile.name == name),
            None => identity.and_then(|meter| profiles.iter().find(|profile| profile.matches(meter))),
        };
        Self { own, profile }
    }

    /// All of them, in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &'a RecordRule> {
        self.own.iter().chain(self.profile.into_iter().flat_map(|profile| &profile.records))
    }

    /// What the profile says of the model.
    #[must_use]
    pub fn product(&self) -> Option<&'a Product> {
        self.profile.map(|profile| &profile.product)
    }

    /// The first rule that selects the record.
    #[must_use]
    pub fn rule(&self, record: &Facts<'_>) -> Option<&'a RecordRule> {
        self.iter().find(|rule| rule.select.selects(record))
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, Pattern, Product, Profile, RecordRule, Rules, Selector};
    use crate::mbus::address::{Manufacturer, SecondaryAddress};
    use crate::mbus::application::quantity::{Function, Known, Quantity};
    use crate::mbus::application::record::{Part, PartCoding};

    const RECORD: Facts<'_> = Facts {
        quantity: Quantity::Known(Known::Energy),
        function: Function::Instantaneous,
        storage: 1,
        tariff: 2,
        subunit: 3,
        index: 4,
        dib: &[0x8C, 0x10],
        vib: &[0x06],
        part: None,
    };

    fn keyed(key: &str, select: Selector) -> RecordRule {
        RecordRule { select, key: Some(key.to_owned()), ..RecordRule::default() }
    }

    #[test]
    fn a_selector_wants_every_field_it_gives() {
        let all = Selector {
            quantity: Some(RECORD.quantity),
            storage: Some(1),
            tariff: Some(2),
            subunit: Some(3),
            function: Some(Function::Instantaneous),
            index: Some(4),
            dif: Pattern::parse("8C10"),
            vif: Pattern::parse("06"),
            bytes: None,
        };
        assert!(all.selects(&RECORD));
        assert!(Selector::default().selects(&RECORD));
        for other in [
            Selector { quantity: Some(Known::Volume.into()), ..all.clone() },
            Selector { storage: Some(0), ..all.clone() },
            Selector { tariff: Some(0), ..all.clone() },
            Selector { subunit: Some(0), ..all.clone() },
            Selector { function: Some(Function::Maximum), ..all.clone() },
            Selector { index: Some(0), ..all.clone() },
            Selector { dif: Pattern::parse("8C20"), ..all.clone() },
            Selector { vif: Pattern::parse("07"), ..all.clone() },
            Selector { bytes: Some(Part { at: 0, length: 1, coding: PartCoding::Uint }), ..all.clone() },
        ] {
            assert!(!other.selects(&RECORD), "{other:?}");
        }
    }

    #[test]
    fn a_question_mark_is_any_digit_and_no_byte_more() {
        let pattern = Pattern::parse("ffd9?0").expect("a pattern");
        assert_eq!(pattern.as_str(), "FFD9?0");
        assert!(pattern.fits(&[0xFF, 0xD9, 0x00]) && pattern.fits(&[0xFF, 0xD9, 0x10]));
        for other in [&[0xFF, 0xD9, 0x15][..], &[0xFF, 0xD8, 0x10], &[0xFF, 0xD9], &[0xFF, 0xD9, 0x00, 0x00]] {
            assert!(!pattern.fits(other), "{other:02X?}");
        }
        for wrong in ["", "F", "FFD", "FG", "F*", "é"] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_meters_own_rule_comes_first_then_the_first_profile_that_matches() {
        let meter = SecondaryAddress::parse("30137315ATS0104").expect("an address");
        let profile = |name: &str, manufacturer: &str, medium| Profile {
            name: name.to_owned(),
            title: String::new(),
            product: Product::default(),
            manufacturer: Manufacturer::from_letters(manufacturer).into_iter().collect(),
            version: vec![],
            medium,
            records: vec![keyed(name, Selector::default())],
        };
        let profiles = [
            profile("by_name", "", vec![]),
            profile("other", "KAM", vec![]),
            profile("heat", "ATS", vec![6, 7]),
            profile("ats", "ATS", vec![3, 4]),
            profile("late", "ATS", vec![]),
        ];
        let own = [keyed("own", Selector { storage: Some(7), ..Selector::default() })];
        let key = |rules: Rules<'_>, storage| {
            rules.rule(&Facts { storage, ..RECORD }).and_then(|rule| rule.key.clone()).unwrap_or_default()
        };
        let matched = Rules::new(&own, None, &profiles, Some(meter));
        assert_eq!((key(matched, 7), key(matched, 0)), ("own".to_owned(), "ats".to_owned()));
        assert_eq!(key(Rules::new(&own, Some("by_name"), &profiles, Some(meter)), 0), "by_name");
        assert_eq!(key(Rules::new(&own, None, &profiles, None), 0), "");
    }
}
