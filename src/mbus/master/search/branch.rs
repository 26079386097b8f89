//! A mask that several meters match, divided by one of its fields.

use crate::mbus::address::{Manufacturer, SecondaryAddress};
use crate::mbus::maker;
use crate::mbus::master::probe::Sight;

/// Device types that EN 13757-7 table 13 gives a meaning.
const DEVICE_TYPES: u8 = 0x40;
/// No meter's fabrication number. One that is selected by it does not look at that part of a selection.
const NO_FABRICATION_NUMBER: u32 = 0xEEEE_EEEE;
/// Any fabrication number.
const ANY_FABRICATION_NUMBER: u32 = 0xFFFF_FFFF;

/// What a selection asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) mask: SecondaryAddress,
    /// Eight BCD digits, nibbles F for any.
    pub(super) fabrication_number: Option<u32>,
}

/// A part of a selection that is left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A digit of the identification number; 0 is the first.
    Digit(u32),
    Manufacturer,
    Medium,
    Version,
    /// A digit of the fabrication number.
    Fabrication(u32),
}

/// A selection that several meters answer, and those made of it by giving one field a value.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) whole: Selection,
    pub(super) field: Field,
    /// Still to be tried, the next one last; and those that are less likely to be answered.
    children: Vec<Selection>,
    unlikely: Vec<Selection>,
    /// Children that are one meter, and children that are several.
    pub(super) single: u32,
    several: u32,
}

impl From<SecondaryAddress> for Selection {
    fn from(mask: SecondaryAddress) -> Self {
        Self { mask, fabrication_number: None }
    }
}

impl Selection {
    /// The first digit that is left open.
    pub(super) fn open_digit(self) -> Option<Field> {
        open_digit(self.mask.id()).map(Field::Digit)
    }

    /// The first field that is left open from `field` on. Makers come first, since a few selections tell
    /// them apart, versions last.
    pub(super) fn open_field(self, from: Field) -> Option<Field> {
        let fabrication = open_digit(self.fabrication_number.unwrap_or(ANY_FABRICATION_NUMBER)).map(Field::Fabrication);
        let open = [
            (self.mask.manufacturer().0 == 0xFFFF).then_some(Field::Manufacturer),
            (self.mask.medium() == 0xFF).then_some(Field::Medium),
            (self.mask.version() == 0xFF).then_some(Field::Version),
            fabrication,
        ];
        let skipped = match from {
            Field::Digit(_) | Field::Manufacturer => 0,
            Field::Medium => 1,
            Field::Version => 2,
            Field::Fabrication(_) => 3,
        };
        open.into_iter().skip(skipped).flatten().next()
    }

    /// Asks for this value of a digit; 0 is the first digit.
    pub(super) fn with_digit(self, index: u32, value: u8) -> Self {
        let [_, _, _, _, rest @ ..] = self.mask.to_wire();
        let [m, n, version, medium] = rest;
        let [a, b, c, d] = with_digit(self.mask.id(), index, value).to_le_bytes();
        Self { mask: SecondaryAddress::from_wire([a, b, c, d, m, n, version, medium]), ..self }
    }

    fn with(self, field: Field, value: u8) -> Self {
        let [a, b, c, d, m, n, mut version, mut medium] = self.mask.to_wire();
        match field {
            Field::Digit(index) => return self.with_digit(index, value),
            Field::Fabrication(index) => {
                let number = self.fabrication_number.unwrap_or(ANY_FABRICATION_NUMBER);
                return Self { fabrication_number: Some(with_digit(number, index, value)), ..self };
            }
            Field::Medium => medium = value,
            Field::Version => version = value,
            Field::Manufacturer => {}
        }
        Self { mask: SecondaryAddress::from_wire([a, b, c, d, m, n, version, medium]), ..self }
    }

    fn made_by(self, maker: Manufacturer) -> Self {
        let [a, b, c, d, _, _, version, medium] = self.mask.to_wire();
        let [m, n] = maker.0.to_le_bytes();
        Self { mask: SecondaryAddress::from_wire([a, b, c, d, m, n, version, medium]), ..self }
    }

    /// Whether it asks for a number that no meter has.
    pub(super) fn is_a_test(self) -> bool {
        self.fabrication_number == Some(NO_FABRICATION_NUMBER)
    }
}

impl Branch {
    /// Divides `whole` by `field`; first by the values that meters of this segment have.
    pub(super) fn new(whole: Selection, field: Field, found: &[SecondaryAddress]) -> Self {
        let values = |values: Vec<u8>| values.into_iter().map(|value| whole.with(field, value)).collect::<Vec<_>>();
        let (mut children, mut unlikely) = match field {
            Field::Digit(_) => (values((0..10).collect()), values((10..15).collect())),
            Field::Manufacturer => {
                let (known, rest) = split(found.iter().map(|found| found.manufacturer()), maker::codes());
                let of = |makers: Vec<Manufacturer>| makers.into_iter().map(|maker| whole.made_by(maker)).collect();
                (of(known), of(rest))
            }
            Field::Medium => {
                let (known, rest) = split(found.iter().map(|found| found.medium()), 0..DEVICE_TYPES);
                (values(known), values(rest))
            }
            Field::Version => {
                let (known, rest) = split(found.iter().map(|found| found.version()), 0..0xFF);
                (values(known), values(rest))
            }
            Field::Fabrication(0) => {
                let test = Selection { fabrication_number: Some(NO_FABRICATION_NUMBER), ..whole };
                ([test].into_iter().chain(values((0..10).collect())).collect(), Vec::new())
            }
            Field::Fabrication(_) => (values((0..10).collect()), Vec::new()),
        };
        children.reverse();
        unlikely.reverse();
        let mut branch = Self { whole, field, children, unlikely, single: 0, several: 0 };
        branch.widen();
        branch
    }

    /// The selection to try next; `None`: the branch is done.
    pub(super) fn child(&self) -> Option<Selection> {
        self.children.last().copied()
    }

    /// Takes who answered the child.
    pub(super) fn count(&mut self, sight: &Sight) {
        let child = self.children.pop();
        if child.is_some_and(Selection::is_a_test) {
            if *sight != Sight::None {
                // They do not look at the number, so no number tells them apart.
                self.children.clear();
            }
            return;
        }
        match sight {
            Sight::None | Sight::Noise => {}
            Sight::One(_) => self.single += 1,
            Sight::Several => self.several += 1,
        }
        self.widen();
    }

    /// Where the likely values do not explain who answered, the others are tried too.
    fn widen(&mut self) {
        if self.children.is_empty() && !self.is_explained() {
            self.children = core::mem::take(&mut self.unlikely);
        }
    }

    /// Done, though meters with unlikely values may be left beside those that were found: the branch with
    /// these values. Not of digits, which are tried otherwise.
    pub(super) fn rest(mut self) -> Option<Self> {
        let worth_it = matches!(self.field, Field::Manufacturer | Field::Medium | Field::Version);
        self.children = core::mem::take(&mut self.unlikely);
        Some(self).filter(|rest| worth_it && !rest.children.is_empty())
    }

    /// Several answered the whole: one child that is several explains it, or two children.
    pub(super) fn is_explained(&self) -> bool {
        self.several > 0 || self.single > 1
    }

    /// The masks still to be tried, the next one last.
    pub(super) fn masks_left(&self) -> Vec<SecondaryAddress> {
        if matches!(self.field, Field::Fabrication(_)) {
            return vec![self.whole.mask]; // no mask holds a fabrication number
        }
        let unlikely = self.unlikely.iter().filter(|_| !self.is_explained());
        unlikely.chain(&self.children).map(|selection| selection.mask).collect()
    }

    pub(super) fn left(&self) -> u32 {
        u32::try_from(self.children.len()).unwrap_or(u32::MAX)
    }
}

/// The first of eight digits that is F.
fn open_digit(digits: u32) -> Option<u32> {
    (0..8).find(|digit| (digits >> (28 - 4 * digit)) & 0xF == 0xF)
}

/// Eight digits of which one is exchanged; 0 is the first.
fn with_digit(digits: u32, index: u32, value: u8) -> u32 {
    let shift = 28 - 4 * index;
    (digits & !(0xF << shift)) | (u32::from(value & 0xF) << shift)
}

/// The known values, each once, and the others.
fn split<T: PartialEq + Copy>(known: impl Iterator<Item = T>, all: impl Iterator<Item = T>) -> (Vec<T>, Vec<T>) {
    let mut distinct = Vec::new();
    for value in known {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    let others = all.filter(|value| !distinct.contains(value)).collect();
    (distinct, others)
}
