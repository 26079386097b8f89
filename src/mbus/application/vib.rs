//! The value information block, VIF and VIFEs: what the data measures, in which unit, times which
//! power of ten, and what modifies it (EN 13757-3 clause 6.4).
//!
//! The tables are in `vif` and `vife`; here is the way through them.

use crate::mbus::application::dib::MAX_EXTENSIONS;
use crate::mbus::application::quantity::{Known, Quantity, Unit};
use crate::mbus::application::structure::StructureError;
use crate::mbus::application::text::Text;
use crate::mbus::application::vif::{Kind, Meaning, PRIMARY, RESERVED, TABLE_FB, TABLE_FD, TABLE_FDFD};
use crate::mbus::application::vife::{Effect, Modifier, ProfileKind, ReportedError};
use crate::mbus::octets::{ByteOrder, Octets};

/// Whether more bytes of the block follow.
const EXTENSION: u8 = 0x80;

/// VIF and VIFEs taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vib<'a> {
    /// As on the wire, with the length and characters of a plain text unit.
    pub bytes: &'a [u8],
    /// What is measured.
    pub quantity: Quantity,
    /// What is counted; [`Unit::None`] where the unit is `text`.
    pub unit: Unit,
    /// The value is the data × 10^`exponent` units, corrections (70 to 77, 7D) included.
    pub exponent: i8,
    /// 10^`offset` units are to be added to the value (78 to 7B).
    pub offset: Option<i8>,
    /// How the data bytes become a value.
    pub kind: Kind,
    /// The data is a series of values.
    pub profile: Option<ProfileKind>,
    /// From a meter: the record has no usable value, and why.
    pub reported: Option<ReportedError>,
    /// Places in `bytes`: of the characters of a plain text unit, and of the VIFEs.
    text: Place,
    vifes: Place,
    order: ByteOrder,
}

/// Where a part of a block is. Places instead of slices keep a record small, for it is moved often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    start: u16,
    len: u8,
}

/// How the data of a record becomes a value: all that `value` needs to know of a block, small enough
/// for a register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scaling {
    pub(crate) kind: Kind,
    pub(crate) exponent: i8,
    pub(crate) offset: Option<i8>,
    pub(crate) profile: Option<ProfileKind>,
}

impl<'a> Vib<'a> {
    /// Takes the block from the front of `bytes`. `order` only matters for a plain text unit.
    ///
    /// # Errors
    /// [`StructureError`]: cut off, or more than ten VIFEs.
    #[inline]
    pub fn parse(bytes: &'a [u8], order: ByteOrder) -> Result<(Self, &'a [u8]), StructureError> {
        let head = Head::parse(bytes)?;
        let mut at = head.len;
        let (mut text, mut vifes) = (None, Place::default());
        let string_first = head.plain_text && head.more && string_first(bytes.get(at..).unwrap_or_default());
        if string_first || (head.plain_text && !head.more) {
            text = Some(take_text(bytes, &mut at)?);
        }
        if head.more {
            vifes = take_vifes(bytes, &mut at, head.vifes_taken)?;
        }
        if head.plain_text && text.is_none() {
            text = Some(take_text(bytes, &mut at)?);
        }
        let (own, rest) = bytes.split_at_checked(at).ok_or(StructureError::CutInVib)?;
        let text = text.unwrap_or_default();
        let plain = Changed::from(head.meaning);
        let changed = if vifes.len == 0 { plain } else { plain.by(modifiers(own, vifes, head.quantity)) };
        let Changed { unit, exponent, offset, kind, profile, reported } = changed;
        let quantity = head.quantity;
        Ok((Self { bytes: own, quantity, unit, exponent, offset, kind, profile, reported, text, vifes, order }, rest))
    }

    /// The block of a value that a fixed structure or a profile holds: no bytes to take apart.
    pub(crate) const fn plain(bytes: &'a [u8], quantity: Quantity, unit: Unit, exponent: i8, kind: Kind) -> Self {
        let none = Place { start: 0, len: 0 };
        Self {
            bytes,
            quantity,
            unit,
            exponent,
            offset: None,
            kind,
            profile: None,
            reported: None,
            text: none,
            vifes: none,
            order: ByteOrder::LeastFirst,
        }
    }

    /// The unit in the meter's own words (VIF 7C, FC).
    #[must_use]
    pub fn text(&self) -> Option<Text<'a>> {
        let is_plain_text = self.quantity == Quantity::Known(Known::PlainText);
        is_plain_text.then(|| Text::new(Octets::new(self.text.of(self.bytes), self.order)))
    }

    /// The modifiers in wire order. Their names are part of the published key.
    #[must_use]
    pub fn modifiers(&self) -> Modifiers<'a> {
        modifiers(self.bytes, self.vifes, self.quantity)
    }

    /// How the data becomes a value.
    pub(crate) const fn scaling(&self) -> Scaling {
        Scaling { kind: self.kind, exponent: self.exponent, offset: self.offset, profile: self.profile }
    }
}

fn modifiers(bytes: &[u8], vifes: Place, quantity: Quantity) -> Modifiers<'_> {
    let manufacturer = quantity == Quantity::Known(Known::ManufacturerSpecific);
    Modifiers { vifes: vifes.of(bytes), manufacturer }
}

impl Place {
    fn of(self, bytes: &[u8]) -> &[u8] {
        let start = usize::from(self.start);
        bytes.get(start..start + usize::from(self.len)).unwrap_or_default()
    }
}

/// What the modifiers change of a VIF's meaning.
#[derive(Clone, Copy)]
struct Changed {
    unit: Unit,
    exponent: i8,
    offset: Option<i8>,
    kind: Kind,
    profile: Option<ProfileKind>,
    reported: Option<ReportedError>,
}

impl From<Meaning> for Changed {
    fn from(Meaning { unit, exponent, kind, .. }: Meaning) -> Self {
        Self { unit, exponent, offset: None, kind, profile: None, reported: None }
    }
}

impl Changed {
    fn by(mut self, modifiers: Modifiers<'_>) -> Self {
        for modifier in modifiers {
            match modifier.effect() {
                Effect::Names => {}
                Effect::Shift(places) => self.exponent = self.exponent.saturating_add(places),
                Effect::Offset(places) => self.offset = Some(places),
                Effect::Moment => self.counts(Unit::None, Kind::Moment),
                Effect::Duration(unit) => self.counts(unit, Kind::Signed),
                Effect::Count => self.counts(Unit::None, Kind::Signed),
                Effect::NonMetric => self.leave_metric(),
                Effect::Unsigned => self.kind = Kind::Unsigned,
                Effect::Flags => self.counts(Unit::None, Kind::Flags),
                Effect::Profile(kind) => self.profile = Some(kind),
                Effect::Error(error) => self.reported = Some(error),
            }
        }
        self
    }

    /// The data is something about the quantity, no longer the quantity.
    fn counts(&mut self, unit: Unit, kind: Kind) {
        (self.unit, self.exponent, self.kind) = (unit, 0, kind);
    }

    /// Annex C: volume counts gallons (one where the metric code counts litres), temperatures °F.
    /// What else the annex names is passed on as a bare number.
    fn leave_metric(&mut self) {
        (self.unit, self.exponent) = match self.unit {
            Unit::CubicMetre => (Unit::UsGallon, self.exponent.saturating_add(3)),
            Unit::Celsius | Unit::Kelvin => (Unit::Fahrenheit, self.exponent),
            _ => (Unit::None, 0),
        };
    }
}

/// The VIF with the extension bytes that choose its table.
struct Head {
    quantity: Quantity,
    meaning: Meaning,
    len: usize,
    /// How many of the ten VIFEs the table's choice has used up.
    vifes_taken: usize,
    more: bool,
    plain_text: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, StructureError> {
        match *bytes {
            [] => Err(StructureError::CutInVib),
            [0xFD, 0xFD, code, ..] => Ok(Self::of(&TABLE_FDFD, 0xFDFD, code, 3)),
            [0xFD, 0xFD] | [0xFB | 0xFD | 0xEF] => Err(StructureError::CutInVib),
            [0xFD, code, ..] => Ok(Self::of(&TABLE_FD, 0xFD, code, 2)),
            [0xFB, code, ..] => Ok(Self::of(&TABLE_FB, 0xFB, code, 2)),
            // a third table is announced but empty: every code of it is unknown
            [0xEF, code, ..] => Ok(Self {
                quantity: Quantity::Unknown { table: 0xEF, code: code & 0x7F },
                ..Self::of(&PRIMARY, 0, 0x6F | code & EXTENSION, 2)
            }),
            [vif, ..] => Ok(Self { plain_text: vif & 0x7F == 0x7C, ..Self::of(&PRIMARY, 0, vif, 1) }),
        }
    }

    fn of(of_table: &[Meaning; 128], table: u16, byte: u8, len: usize) -> Self {
        let code = byte & !EXTENSION;
        let meaning = of_table.get(usize::from(code)).copied().unwrap_or(RESERVED);
        let quantity = meaning.quantity.map_or(Quantity::Unknown { table, code }, Quantity::Known);
        Self { quantity, meaning, len, vifes_taken: len - 1, more: byte & EXTENSION != 0, plain_text: false }
    }
}

/// After FC the standard has the VIFEs before the text (annex C.2); many meters send the text
/// first. A length of 1 to 20 with that many printable characters behind it is a text.
fn string_first(rest: &[u8]) -> bool {
    let Some((&length @ 1..=20, rest)) = rest.split_first() else {
        return false;
    };
    let printable = |b: &u8| matches!(b, 0x20..=0x7E | 0xA0..=0xFF);
    rest.get(..usize::from(length)).is_some_and(|text| text.iter().all(printable))
}

fn take_text(bytes: &[u8], at: &mut usize) -> Result<Place, StructureError> {
    let &len = bytes.get(*at).ok_or(StructureError::CutInVib)?;
    let text = Place { start: u16::try_from(*at + 1).map_err(|_| StructureError::CutInVib)?, len };
    *at += 1 + usize::from(len);
    // that the characters are all there is seen where the block is split off
    Ok(text)
}

fn take_vifes(bytes: &[u8], at: &mut usize, taken: usize) -> Result<Place, StructureError> {
    let rest = bytes.get(*at..).ok_or(StructureError::CutInVib)?;
    let limit = MAX_EXTENSIONS - taken;
    let start = u16::try_from(*at).map_err(|_| StructureError::CutInVib)?;
    match (1_u8..).zip(rest).take(limit).find(|(_, vife)| **vife & EXTENSION == 0) {
        Some((len, _)) => {
            *at += usize::from(len);
            Ok(Place { start, len })
        }
        None if rest.len() < limit => Err(StructureError::CutInVib),
        None => Err(StructureError::TooManyVifes),
    }
}

/// Iterates the modifiers of a [`Vib`].
#[derive(Clone, Debug)]
pub struct Modifiers<'a> {
    vifes: &'a [u8],
    manufacturer: bool,
}

impl Iterator for Modifiers<'_> {
    type Item = Modifier;

    fn next(&mut self) -> Option<Modifier> {
        let (&vife, rest) = self.vifes.split_first()?;
        self.vifes = rest;
        let code = vife & !EXTENSION;
        if self.manufacturer {
            return Some(Modifier::Manufacturer(code));
        }
        match (vife, rest.split_first()) {
            (0xFC, Some((&extended, rest))) => {
                self.vifes = rest;
                Some(Modifier::Extended(extended & !EXTENSION))
            }
            (0xFF, Some((&own, rest))) => {
                (self.vifes, self.manufacturer) = (rest, true);
                Some(Modifier::Manufacturer(own & !EXTENSION))
            }
            _ => Some(Modifier::Combinable(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ByteOrder, Kind, Known, Modifier, Quantity, StructureError, Unit, Vib};

    fn vib(bytes: &[u8]) -> Vib<'_> {
        let (vib, rest) = Vib::parse(bytes, ByteOrder::LeastFirst).expect("a block");
        assert!(rest.is_empty(), "{rest:02X?}");
        assert_eq!(vib.bytes, bytes);
        vib
    }

    fn names(bytes: &[u8]) -> Vec<&'static str> {
        vib(bytes).modifiers().filter_map(Modifier::name).collect()
    }

    #[test]
    fn corrections_change_the_exponent_once_each() {
        assert_eq!(vib(&[0x93, 0x7D]).exponent, 0);
        assert_eq!(vib(&[0xFB, 0x82, 0x75]).exponent, 2);
        assert_eq!(vib(&[0x93, 0xFD, 0x77]).exponent, 1);
        assert_eq!(vib(&[0x93, 0x7B]).offset, Some(0));
    }

    #[test]
    fn phases_and_directions_are_named_in_wire_order() {
        assert_eq!(names(&[0xAB, 0xFC, 0x01]), ["l1"]);
        assert_eq!(names(&[0xAB, 0xC8, 0xFC, 0x90, 0x3C]), ["upper_limit", "absolute", "export"]);
        assert_eq!(names(&[0xFD, 0xD9, 0xFF, 0x81, 0x13]), ["manufacturer_01", "manufacturer_13"]);
        assert_eq!(names(&[0x83, 0x7F]), ["manufacturer"]);
        assert_eq!(names(&[0xFF, 0x95, 0x02]), ["manufacturer_15", "manufacturer_02"]);
        assert_eq!(vib(&[0xFF, 0x95, 0x02]).reported, None);
    }

    #[test]
    fn some_modifiers_make_the_data_something_else() {
        let begin = vib(&[0xDA, 0x6F]);
        assert_eq!((begin.quantity, begin.unit, begin.kind), (Known::FlowTemperature.into(), Unit::None, Kind::Moment));
        let duration = vib(&[0xBB, 0x5E]);
        assert_eq!((duration.unit, duration.exponent), (Unit::Hour, 0));
        assert_eq!(vib(&[0xBB, 0x49]).unit, Unit::None);
        assert_eq!((vib(&[0x93, 0x3D]).unit, vib(&[0x93, 0x3D]).exponent), (Unit::UsGallon, 0));
    }

    #[test]
    fn a_plain_text_unit_stands_before_or_behind_the_vifes() {
        for bytes in [
            &[0x7C, 0x03, 0x48, 0x52, 0x25][..],
            &[0xFC, 0x03, 0x48, 0x52, 0x25, 0x74],
            &[0xFC, 0x74, 0x03, 0x48, 0x52, 0x25],
        ] {
            let vib = vib(bytes);
            assert_eq!(vib.text().expect("a text").to_string(), "%RH");
            assert_eq!(vib.exponent, if bytes.len() == 6 { -2 } else { 0 });
        }
        let cut = Vib::parse(&[0x7C, 0x03, 0x48, 0x52], ByteOrder::LeastFirst);
        assert_eq!(cut, Err(StructureError::CutInVib));
    }

    #[test]
    fn unknown_codes_keep_their_table() {
        for (bytes, text) in [
            (&[0x6F_u8][..], "unknown_6f"),
            (&[0xFB, 0x7F], "cumulative_maximum_power"),
            (&[0xFB, 0x38], "unknown_fb38"),
            (&[0xFD, 0xFD, 0x3E], "unknown_fdfd3e"),
            (&[0xEF, 0x13], "unknown_ef13"),
        ] {
            assert_eq!(vib(bytes).quantity.to_string(), text);
        }
        assert_eq!(vib(&[0xFD, 0xFD, 0x02]).quantity, Quantity::Known(Known::BatteryLife));
    }

    #[test]
    fn eleven_vifes_are_too_many_and_none_at_the_end_is_a_cut() {
        let parse = |bytes: &[u8]| Vib::parse(bytes, ByteOrder::LeastFirst).map(|_| ());
        let mut bytes = [0x93; 11];
        bytes[10] = 0x3C;
        assert_eq!(parse(&bytes), Ok(()));
        assert_eq!(parse(&[0x93; 12]), Err(StructureError::TooManyVifes));
        assert_eq!(parse(&[0x93; 5]), Err(StructureError::CutInVib));
        for cut in [&[][..], &[0xFB], &[0xFD], &[0xFD, 0xFD], &[0xFC], &[0x7C]] {
            assert_eq!(parse(cut), Err(StructureError::CutInVib));
        }
    }
}
