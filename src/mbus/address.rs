//! Primary and secondary addresses (EN 13757-2 clause 5.7.5, EN 13757-3 clause 11.3).

use core::fmt;

use crate::mbus::medium;

/// An address in the A field that one meter answers to: 0..=250, or [`ONLY`](Self::ONLY).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrimaryAddress(u8);

impl PrimaryAddress {
    /// 0..=250; `None` for 251..=255, which are not a meter's.
    #[must_use]
    pub const fn new(address: u8) -> Option<Self> {
        if address <= 250 { Some(Self(address)) } else { None }
    }

    /// Whatever meter is alone on its bus (FE): every meter answers to it. For reading only.
    pub const ONLY: Self = Self(TEST_BROADCAST);

    /// The A field.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A field of whatever meters a selection chose (FD).
pub const SELECTED: u8 = 253;
/// Every meter answers (FE): only of use with a single meter on the bus.
pub const TEST_BROADCAST: u8 = 254;
/// Every meter obeys, none answers (FF).
pub const BROADCAST: u8 = 255;

impl fmt::Display for PrimaryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a meter, or a mask of several: the eight bytes of the long header and of a
/// selection, in wire order: identification (4, BCD, LSB first), manufacturer (2), version, medium.
/// Identification nibbles F and FF bytes elsewhere are wildcards in a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecondaryAddress {
    bytes: [u8; 8],
}

impl SecondaryAddress {
    /// Matches every meter.
    pub const ANY: Self = Self { bytes: [0xFF; 8] };

    /// From the eight bytes as on the wire.
    #[must_use]
    pub const fn from_wire(bytes: [u8; 8]) -> Self {
        Self { bytes }
    }

    /// Of a meter of the fixed structure, which says no more of itself: manufacturer and version
    /// read FF, and so does a medium that it does not say.
    #[must_use]
    pub const fn of_fixed(id: u32, medium: Option<u8>) -> Self {
        let [a, b, c, d] = id.to_le_bytes();
        let medium = match medium {
            Some(medium) => medium,
            None => 0xFF,
        };
        Self { bytes: [a, b, c, d, 0xFF, 0xFF, 0xFF, medium] }
    }

    /// Whether manufacturer and version are left open, as in [`of_fixed`](Self::of_fixed).
    #[must_use]
    pub const fn is_anonymous(self) -> bool {
        self.manufacturer().0 == 0xFFFF && self.version() == 0xFF
    }

    /// The eight bytes as on the wire.
    #[must_use]
    pub const fn to_wire(self) -> [u8; 8] {
        self.bytes
    }

    /// The identification number as its eight hex digits read (`0x30137315`).
    #[must_use]
    pub const fn id(self) -> u32 {
        let [a, b, c, d, ..] = self.bytes;
        u32::from_le_bytes([a, b, c, d])
    }

    /// The manufacturer code.
    #[must_use]
    pub const fn manufacturer(self) -> Manufacturer {
        let [_, _, _, _, a, b, ..] = self.bytes;
        Manufacturer(u16::from_le_bytes([a, b]))
    }

    /// The manufacturer's generation number.
    #[must_use]
    pub const fn version(self) -> u8 {
        let [.., version, _] = self.bytes;
        version
    }

    /// The device type (EN 13757-7 table 13).
    #[must_use]
    pub const fn medium(self) -> u8 {
        let [.., medium] = self.bytes;
        medium
    }

    /// The device type, unless it is left open with manufacturer and version.
    #[must_use]
    pub fn known_medium(self) -> Option<u8> {
        Some(self.medium()).filter(|medium| *medium != 0xFF || !self.is_anonymous())
    }

    /// What it says, for people: `KAM 12345678, heat`; `12345678, water` where it says no more.
    #[must_use]
    pub fn in_words(self) -> String {
        let mut words = if self.is_anonymous() { String::new() } else { format!("{} ", self.manufacturer()) };
        words += &format!("{:08X}", self.id());
        if let Some(medium) = self.known_medium() {
            words += &format!(", {}", medium::name(medium).replace('_', " "));
        }
        words
    }

    /// Whether a meter with the identity `meter` answers to this mask (EN 13757-3 clause 11.3:
    /// nibble-wise for the identification, byte-wise for the rest).
    #[must_use]
    pub fn matches(self, meter: Self) -> bool {
        let nibbles = self.id();
        let id = (0..8).all(|n| {
            let (want, got) = ((nibbles >> (4 * n)) & 0xF, (meter.id() >> (4 * n)) & 0xF);
            want == 0xF || want == got
        });
        id && (self.manufacturer().0 == 0xFFFF || self.manufacturer() == meter.manufacturer())
            && (self.version() == 0xFF || self.version() == meter.version())
            && (self.medium() == 0xFF || self.medium() == meter.medium())
    }

    /// Whether a part of it is left open.
    #[must_use]
    pub fn has_wildcard(self) -> bool {
        (0..8).any(|n| (self.id() >> (4 * n)) & 0xF == 0xF)
            || self.manufacturer().0 == 0xFFFF
            || self.version() == 0xFF
            || self.medium() == 0xFF
    }

    /// Reads the three spellings a config may use, distinguished by length: 8 digits (`30137315`),
    /// 15 characters (`30137315ATS0104`: id, letters, version, medium) or 16 hex digits in libmbus'
    /// order (`3013731593060104`: the manufacturer's two bytes as on the wire). `F` and `?` are wildcards.
    ///
    /// # Errors
    /// [`NotAnAddress`] where the text has another shape.
    pub fn parse(text: &str) -> Result<Self, NotAnAddress> {
        let digits = text.replace('?', "F");
        let hex = |range: core::ops::Range<usize>| {
            let part = digits.get(range).filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(NotAnAddress)?;
            u32::from_str_radix(part, 16).map_err(|_| NotAnAddress)
        };
        let byte = |start: usize| hex(start..start + 2).map(|b| b.to_le_bytes()[0]);
        let [a, b, c, d] = hex(0..8)?.to_le_bytes();
        match digits.len() {
            8 => Ok(Self { bytes: [a, b, c, d, 0xFF, 0xFF, 0xFF, 0xFF] }),
            15 => {
                let letters = digits.get(8..11).ok_or(NotAnAddress)?;
                let [m, n] = match letters {
                    "FFF" if text.contains('?') => [0xFF; 2],
                    _ => Manufacturer::from_letters(letters).ok_or(NotAnAddress)?.0.to_le_bytes(),
                };
                Ok(Self { bytes: [a, b, c, d, m, n, byte(11)?, byte(13)?] })
            }
            16 => Ok(Self { bytes: [a, b, c, d, byte(8)?, byte(10)?, byte(12)?, byte(14)?] }),
            _ => Err(NotAnAddress),
        }
    }
}

impl fmt::Display for SecondaryAddress {
    /// The 16 hex digits of libmbus' order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, _, _, _, m, n, version, medium] = self.bytes;
        write!(f, "{:08X}{m:02X}{n:02X}{version:02X}{medium:02X}", self.id())
    }
}

/// How a meter is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MeterAddress {
    /// By its primary address.
    Primary(PrimaryAddress),
    /// By selection; wildcards allowed.
    Secondary(SecondaryAddress),
}

impl MeterAddress {
    /// The A field of the requests to the meter; a selected one is asked at FD.
    #[must_use]
    pub const fn a_field(self) -> u8 {
        match self {
            Self::Primary(address) => address.get(),
            Self::Secondary(_) => SELECTED,
        }
    }

    /// Who may answer: the mask of the selection; anyone at a primary address.
    #[must_use]
    pub const fn mask(self) -> SecondaryAddress {
        match self {
            Self::Primary(_) => SecondaryAddress::ANY,
            Self::Secondary(mask) => mask,
        }
    }
}

impl fmt::Display for MeterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(address) => address.fmt(f),
            Self::Secondary(address) => address.fmt(f),
        }
    }
}

/// What a secondary address must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAddress;

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected 8 digits (30137315), 15 characters (30137315ATS0104) or 16 hex digits (3013731593060104)")
    }
}

impl core::error::Error for NotAnAddress {}

/// The two manufacturer bytes: three letters of the FLAG list, five bits each (EN 13757-7 clause 7.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Manufacturer(pub u16);

impl Manufacturer {
    /// From three capital letters.
    #[must_use]
    pub fn from_letters(letters: &str) -> Option<Self> {
        let [a, b, c]: [u8; 3] = letters.as_bytes().try_into().ok()?;
        let five = |l: u8| l.is_ascii_uppercase().then(|| u16::from(l - b'@'));
        Some(Self((five(a)? << 10) | (five(b)? << 5) | five(c)?))
    }

    /// The three characters; bit 15 (not globally unique) is left out. FFFF reads `___`.
    #[must_use]
    pub fn letters(self) -> [char; 3] {
        [10, 5, 0].map(|shift| char::from(((self.0 >> shift) & 0x1F).to_le_bytes()[0] + b'@'))
    }
}

impl fmt::Display for Manufacturer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters().iter().try_for_each(|l| write!(f, "{l}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Manufacturer, PrimaryAddress, SecondaryAddress};

    #[test]
    fn only_0_to_250_are_meters() {
        assert_eq!(PrimaryAddress::new(250).map(PrimaryAddress::get), Some(250));
        assert_eq!(PrimaryAddress::new(251), None);
    }

    #[test]
    fn the_three_spellings_are_one_address() {
        let whole = SecondaryAddress::parse("3013731593060104").expect("16 digits");
        assert_eq!(SecondaryAddress::parse("30137315ATS0104"), Ok(whole));
        assert_eq!(whole.to_string(), "3013731593060104");
        assert_eq!(whole.to_wire(), [0x15, 0x73, 0x13, 0x30, 0x93, 0x06, 0x01, 0x04]);
        let id = SecondaryAddress::parse("30137315").expect("8 digits");
        assert!(id.matches(whole));
        assert!(SecondaryAddress::parse("3013731?").expect("a mask").matches(whole));
        assert!(!SecondaryAddress::parse("3013732?").expect("a mask").matches(whole));
        for wrong in
            ["", "1", "3013731", "30137315ats0104", "30137315ATS010", "3013731593060104F", "+0137315", "3013731é"]
        {
            assert!(SecondaryAddress::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_identity_in_words_makes_nothing_up() {
        let words = |text| SecondaryAddress::parse(text).map(SecondaryAddress::in_words);
        assert_eq!(words("30137315ATS0108"), Ok("ATS 30137315, heat cost allocator".to_owned()));
        assert_eq!(SecondaryAddress::of_fixed(0x1234_5678, Some(7)).in_words(), "12345678, water");
        assert_eq!(SecondaryAddress::of_fixed(0x1234_5678, None).in_words(), "12345678");
    }

    #[test]
    fn manufacturer_letters() {
        assert_eq!(Manufacturer::from_letters("PAD"), Some(Manufacturer(0x4024)));
        assert_eq!(Manufacturer(0x2C2D).to_string(), "KAM");
        assert_eq!(Manufacturer(0xFFFF).to_string(), "___");
    }
}
